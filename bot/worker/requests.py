"""The worker: claims what is due and carries it out.

Two things can be claimed: rows of the inbox (`entries`), and requests with their call and deliveries. The replica that
wrote one is woken within the process; what another replica left behind is found when its lease expires. The call comes
first; deliveries to Slack run beside it.
"""

import asyncio
import collections
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import structlog

from bot.commands.deliveries import Entry
from bot.lifecycle import schedule, transitions
from bot.lifecycle.records import Request
from bot.usecases import clicks, commit, errors, ports
from bot.usecases.clicks import UseCases
from bot.usecases.ports import Claimed
from bot.usecases.tasks import TaskSet
from bot.worker import unexpected
from bot.worker.call import Caller
from bot.worker.deliver import Deliverer
from bot.worker.entries import Entries

CLAIM: Final = 500
"""How many inbox rows are claimed with one statement."""

CLAIM_DUE: Final = 8
"""How many due requests are claimed with one statement."""

POLL_INTERVAL: Final = 1.0
"""Seconds between two polls of the database: work of a dead replica waits at most this long after its lease."""

KEEP_FOR: Final = 400 * 86_400.0
"""Seconds for which settled requests and the audit are kept: 400 days."""

CLEAN_EVERY: Final = 3600.0
"""Seconds until the next clean-up, after one that found nothing more to delete."""

CLEAN_AT_ONCE: Final = 100
"""The maximum number of records to delete at once, so that acknowledgements do not wait long."""

CALL_GRACE: Final = 0.2
"""Seconds that a call may take before deliveries to Slack start beside it."""

HELD_LONG_ENOUGH: Final = 25.0
"""Seconds that a lease must still hold so that no new claim is needed, as just after a commit or a poll."""

UNRECORDED: Final = 10_000
"""How many requests are kept in mind whose unexpected errors could not be recorded; a restart forgets them."""

PAUSE: Final = 1.0
"""Seconds of real time to wait after an unexpected error of the polling loop."""

log = structlog.get_logger()


@dataclasses.dataclass(kw_only=True)
class _InProgress:
    """One request being worked on in this process."""

    nudge: asyncio.Event
    acting: asyncio.Task[None] | None = None
    telling: asyncio.Task[None] | None = None
    showing: asyncio.Task[None] | None = None
    shown_version: int = 0

    def running(self) -> set[asyncio.Task[None]]:
        """Return the running tasks."""
        return {task for task in (self.acting, self.telling, self.showing) if task is not None}


class Worker:
    """Carries out what the inbox and the requests ask for, until it is drained."""

    def __init__(
        self,
        *,
        store: ports.Store,
        use_cases: UseCases,
        caller: Caller,
        deliverer: Deliverer,
        chat: ports.Chat,
        clock: ports.Clock,
        look_beside: Callable[[], Awaitable[None]] | None = None,
        count: Callable[[unexpected.Doing], None] = lambda doing: None,
    ) -> None:
        self._store = store
        self._caller = caller
        self._deliverer = deliverer
        self._clock = clock
        self._commits = commit.Commits(store=store, clock=clock)
        self._look_beside = look_beside
        self._unexpected = unexpected.Errors(count=count)
        self._tasks = TaskSet(failed=lambda error: self._unexpected.note(error, doing="looking"))
        self._entries = Entries(
            tasks=self._tasks,
            wake=self.wake,
            look_by=self.look_by,
            store=store,
            use_cases=use_cases,
            deliverer=deliverer,
            chat=chat,
            clock=clock,
            unexpected_errors=self._unexpected,
        )
        self._in_progress: dict[str, _InProgress] = {}
        self._stranded: set[str] = set()
        self._unrecorded: collections.Counter[str] = collections.Counter()
        self._looking = asyncio.Lock()
        self._look_at = 0.0
        self._clean_at = 0.0
        self._sooner = asyncio.Event()
        self._draining = False

    def wake_entry(self, entry: Entry) -> None:
        """Process an inbox row that this replica has just written."""
        self._entries.take_up(Claimed(entry=entry))

    def wake(self, request_id: str) -> None:
        """Check a request now."""
        doing = self._in_progress.get(request_id)
        if doing is not None:
            doing.nudge.set()
        elif not self._draining and self._unrecorded[request_id] < unexpected.MOST:
            self._in_progress[request_id] = _InProgress(nudge=asyncio.Event())
            self._tasks.start(self._drive(request_id))

    def look_by(self, at: float | None) -> None:
        """Poll no later than at this time."""
        if at is not None and at < self._look_at:
            self._look_at = at
            self._sooner.set()

    async def run(self) -> None:
        """Poll the database for due work until cancelled."""
        while True:
            try:
                await self._look_once()
                while (pause := self._look_at - self._clock.now()) > 0:
                    self._sooner.clear()
                    await _first(self._clock.sleep(pause), self._sooner.wait())
            except Exception as error:  # noqa: BLE001 - noted; the clock itself may be broken
                self._unexpected.note(error, doing="looking")
                await asyncio.sleep(PAUSE)

    async def _look_once(self) -> None:
        self._look_at = self._clock.now() + POLL_INTERVAL
        try:
            await self._look()
            await self._clean_up()
        except errors.StoreError as failure:
            log.warning("database unavailable", reason=str(failure))
        except Exception as error:  # noqa: BLE001 - noted; an unreadable row must not end the polling
            self._unexpected.note(error, doing="looking")

    async def settle(self) -> None:
        """Carry out everything that is due now, and return when nothing is left."""
        await self._look()
        while self._tasks:
            await self._tasks.wait()
            await self._look()

    async def drain(self) -> None:
        """Accept no new work, and wait for the work in flight."""
        self._draining = True
        log.info("draining: no new work is accepted", in_flight=len(self._tasks))
        self._entries.drain()
        await self._tasks.drain()

    async def let_go(self) -> None:
        """Release everything that is not in flight, so that other replicas can take it over at once."""
        try:
            await self._store.let_go(keeping=self._in_progress.keys() | self._entries.taken_up)
        except errors.StoreError as failure:
            log.warning("leases not released, they will expire: database unavailable", reason=str(failure))

    async def _look(self) -> None:
        """Look once more, after a look that has begun already: what that one has claimed is taken up first."""
        async with self._looking:
            await self._take_up()

    async def _take_up(self) -> None:
        """Claim due work that nobody holds, and resume work that failed because the database was unavailable."""
        if self._look_beside is not None:
            await self._look_beside()
        while claimed := await self._store.claim_entries(limit=CLAIM):
            for each in claimed:
                self._entries.take_up(each)
        found = await self._store.claim_due(limit=CLAIM_DUE)
        for request in found:
            self.wake(request.id)
        entries, self._entries.stranded = self._entries.stranded, {}
        for entry in entries.values():
            self._entries.take_up(entry)
        stranded, self._stranded = self._stranded, set()
        for request_id in stranded:
            self.wake(request_id)
        next_at = await self._store.next_due_at()
        if len(found) == CLAIM_DUE or (next_at is not None and next_at > self._clock.now()):
            self.look_by(next_at)  # what is due by our clock but was not claimed is not due by the database's clock

    async def _clean_up(self) -> None:
        """Delete some of the records that are too old."""
        now = self._clock.now()
        if now >= self._clean_at:
            gone = await self._store.clean_up(keep_for=KEEP_FOR, limit=CLEAN_AT_ONCE)
            self._clean_at = now if gone else now + CLEAN_EVERY

    async def _drive(self, request_id: str) -> None:
        doing = self._in_progress[request_id]
        try:
            while (claimed := await self._claim(request_id, doing)) is not None:
                try:
                    await self._carry_out(claimed, doing)
                except errors.LeaseLost as lost:
                    log.warning(
                        "lease lost before a call; claiming the request again", request=request_id, reason=str(lost)
                    )
                    continue
                request = await self._store.load(request_id)
                if request is None:
                    return
                due_at = None if unexpected.is_given_up(request) else schedule.at(request)
                if await self._store.release(request, due_at=due_at) and not doing.nudge.is_set():
                    self.look_by(due_at)
                    return
        except errors.StoreError as failure:
            self._stranded.add(request_id)
            log.warning("request delayed: database unavailable", request=request_id, reason=str(failure))
        except Exception as error:  # noqa: BLE001 - noted, and its requester is told
            await self._after_unexpected(request_id, error)
        finally:
            del self._in_progress[request_id]

    async def _after_unexpected(self, request_id: str, error: Exception) -> None:
        """Record an unexpected error on a request, and release it until it may continue."""
        error_id, at = unexpected.id_of(request_id), self._clock.now()
        self._unexpected.note(error, doing="acting", error_id=error_id)
        request: Request | None = None
        try:
            request = await self._store.load(request_id)
            if request is None:
                return
            if unexpected.is_given_up(request):
                await self._store.release(request, due_at=None)
                return
            changed = unexpected.after(request, at=at)
            what = "given up after an unexpected error" if unexpected.is_given_up(changed) else "unexpected error"
            facts = {"error_id": error_id, "error": type(error).__name__, "state": changed.state}
            await self._commits.write(ports.Change(request=changed), what, facts=facts, at=at)
            if unexpected.is_given_up(changed):
                await self._deliverer.tell_unexpected(changed)
            due_at = max(schedule.at(changed) or 0.0, unexpected.again_at(changed, at=at))
            if await self._store.release(changed, due_at=due_at):
                self.look_by(due_at)
        except errors.Conflict:
            log.info("request changed meanwhile", request=request_id)
        except errors.StoreError as failure:
            self._stranded.add(request_id)
            log.warning("request delayed: database unavailable", request=request_id, reason=str(failure))
        except Exception as again:  # noqa: BLE001 - noted; it is retried when its lease expires, but not for ever
            self._unexpected.note(again, doing="acting", error_id=error_id)
            self._unrecorded[request_id] += 1
            if len(self._unrecorded) > UNRECORDED:
                del self._unrecorded[next(iter(self._unrecorded))]
            if self._unrecorded[request_id] == unexpected.MOST and request is not None:
                await self._deliverer.tell_unexpected(request)

    async def _claim(self, request_id: str, doing: _InProgress) -> Request | None:
        doing.nudge.clear()  # before the record is read, so that no later change is missed
        if self._store.lease_left(request_id) >= HELD_LONG_ENOUGH:
            return await self._store.load(request_id)
        return await self._store.claim(request_id)

    async def _carry_out(self, claimed: Request, doing: _InProgress) -> None:
        """Act and deliver until neither is due; at most one action and one delivery run at a time."""
        request: Request | None = claimed  # just loaded, so the call need not wait for another load
        try:
            while request is not None:
                await self._begin(request, doing)
                running = doing.running()
                if not running and not self._entries.clicks[request.id]:
                    return
                await _first(*running, doing.nudge.wait(), *self._announcing(request))
                _reap(doing)
                doing.nudge.clear()
                request = await self._store.load(claimed.id)
        finally:
            for surprise in await asyncio.gather(*doing.running(), return_exceptions=True):
                if isinstance(surprise, Exception):  # the first one is already being raised
                    log.info("concurrent work failed too", request=claimed.id, reason=str(surprise))

    def _announcing(self, request: Request) -> list[Coroutine[Any, Any, None]]:
        """Return a timer for the announcements of an emergency, if its call waits for them."""
        left = schedule.call_at(request) - self._clock.now()
        return [self._clock.sleep(left)] if schedule.is_announcing(request) and left > 0 else []

    async def _begin(self, request: Request, doing: _InProgress) -> None:
        """Start what is due and not running yet. The call gets CALL_GRACE before deliveries start beside it."""
        now = self._clock.now()
        act = None if self._draining or doing.acting is not None else schedule.act(request, now)
        if act is schedule.Act.EXPIRE and self._entries.clicks[request.id]:
            act = None  # clicks that were received in time go first
        if act is not None:
            doing.acting = asyncio.create_task(self._act(request, act))
            await asyncio.wait({doing.acting}, timeout=CALL_GRACE)
            if doing.acting.done():
                return
        if doing.telling is None and schedule.tell(request, now) is not None:
            doing.telling = asyncio.create_task(self._deliverer.tell(request.id, announced=doing.nudge.set))
        if doing.showing is None and doing.shown_version < request.version and schedule.is_card_held_back(request):
            doing.shown_version = request.version  # tried once; a hanging announcement must not block it
            doing.showing = asyncio.create_task(self._deliverer.show_card(request))

    async def _act(self, request: Request, act: schedule.Act) -> None:
        with contextlib.suppress(errors.Conflict):  # the request changed, and its writer has woken this task
            match act:
                case schedule.Act.CALL:
                    await self._caller.call(request, moved=lambda: self.wake(request.id))
                case schedule.Act.CALL_AGAIN:
                    await self._caller.call_again(request, moved=lambda: self.wake(request.id))
                case schedule.Act.READ:
                    await self._caller.read(request)
                case schedule.Act.RECOVER:
                    await self._caller.recover(request)
                case schedule.Act.EXPIRE | schedule.Act.LAPSE:
                    await self._caller.save(clicks.expired(request, at=self._clock.now()), "expired")
                case schedule.Act.REMIND:
                    await self._caller.save(transitions.remind(request, at=self._clock.now()), "reminded")
                case schedule.Act.REMIND_REVIEW:
                    await self._caller.remind_of_review(request)


def _reap(doing: _InProgress) -> None:
    """Clear the tasks that have ended, and raise what they raised."""
    if doing.acting is not None and doing.acting.done():
        ended, doing.acting = doing.acting, None
        ended.result()
    if doing.telling is not None and doing.telling.done():
        ended, doing.telling = doing.telling, None
        ended.result()
    if doing.showing is not None and doing.showing.done():
        ended, doing.showing = doing.showing, None
        ended.result()


async def _first(*waits: Coroutine[Any, Any, object] | asyncio.Task[Any]) -> None:
    """Wait for the first to finish; the other coroutines are cancelled, tasks keep running."""
    ours = [asyncio.ensure_future(wait) for wait in waits if not isinstance(wait, asyncio.Task)]
    theirs = [wait for wait in waits if isinstance(wait, asyncio.Task)]
    try:
        await asyncio.wait({*ours, *theirs}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in ours:
            task.cancel()
