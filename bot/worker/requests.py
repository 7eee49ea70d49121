"""The worker: claims what is due and carries it out.

Two things can be claimed: a row of the inbox (`entries`), and a request with its call and its deliveries. The replica
that wrote a thing is woken in the process; what another replica left behind is found once its lease has lapsed. The
call comes first, Slack is told beside it.
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
"""How many requests that are due are claimed with one statement."""

POLL_INTERVAL: Final = 1.0
"""Seconds between two looks for what nobody was woken for: what a dead replica held waits so long beyond its lease."""

KEEP_FOR: Final = 400 * 86_400.0
"""Seconds for which what is settled, and the audit, is kept: a year and a month."""

CLEAN_EVERY: Final = 3600.0
"""Seconds between two clean-ups, once nothing is left of the last."""

CLEAN_AT_ONCE: Final = 100
"""How many records one look takes away at most, so that no acknowledgement waits long for it."""

CALL_GRACE: Final = 0.2
"""Seconds that a call may take before Slack is told beside it."""

HELD_LONG_ENOUGH: Final = 25.0
"""Seconds for which a lease holds that a commit, or a look for what is due, has just given: no claim is needed."""

UNRECORDED: Final = 10_000
"""How many requests are kept in mind whose unexpected errors could not be recorded; a restart forgets them."""

PAUSE: Final = 1.0
"""Seconds by the machine's own clock after an unexpected error that came from waiting itself."""

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
        """Return what is running."""
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
        self._look_at = 0.0
        self._clean_at = 0.0
        self._sooner = asyncio.Event()
        self._draining = False

    def wake_entry(self, entry: Entry) -> None:
        """Take up a row of the inbox that this replica has just written."""
        self._entries.take_up(Claimed(entry=entry))

    def wake(self, request_id: str) -> None:
        """Look at a request now."""
        doing = self._in_progress.get(request_id)
        if doing is not None:
            doing.nudge.set()
        elif not self._draining and self._unrecorded[request_id] < unexpected.MOST:
            self._in_progress[request_id] = _InProgress(nudge=asyncio.Event())
            self._tasks.start(self._drive(request_id))

    def look_by(self, at: float | None) -> None:
        """Look for what is due by then."""
        if at is not None and at < self._look_at:
            self._look_at = at
            self._sooner.set()

    async def run(self) -> None:
        """Look again and again for what nobody was woken for, until cancelled."""
        while True:
            try:
                await self._look_once()
                while (pause := self._look_at - self._clock.now()) > 0:
                    self._sooner.clear()
                    await _first(self._clock.sleep(pause), self._sooner.wait())
            except Exception as error:  # noqa: BLE001 - noted; without a clock, nothing else tells how long to wait
                self._unexpected.note(error, doing="looking")
                await asyncio.sleep(PAUSE)

    async def _look_once(self) -> None:
        self._look_at = self._clock.now() + POLL_INTERVAL
        try:
            await self._look()
            await self._clean_up()
        except errors.StoreError as failure:
            log.warning("database unavailable", reason=str(failure))
        except Exception as error:  # noqa: BLE001 - noted; a row that nobody can read must not end the looking
            self._unexpected.note(error, doing="looking")

    async def settle(self) -> None:
        """Carry out all that is due by now; return when nothing is left to do at this time."""
        await self._look()
        while self._tasks:
            await self._tasks.wait()
            await self._look()

    async def drain(self) -> None:
        """Take up nothing more, and wait for what is in flight."""
        self._draining = True
        log.info("draining: no new work is accepted", in_flight=len(self._tasks))
        self._entries.drain()
        await self._tasks.drain()

    async def let_go(self) -> None:
        """Leave everything that is not in flight to the other replicas, at once."""
        try:
            await self._store.let_go(keeping=self._in_progress.keys() | self._entries.taken_up)
        except errors.StoreError as failure:
            log.warning("leases will expire by themselves: database unavailable", reason=str(failure))

    async def _look(self) -> None:
        """Claim what is due and nobody holds, and take up again what the database kept from being done."""
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
            self.look_by(next_at)  # what is due by our clock and was not claimed is not due by the database's

    async def _clean_up(self) -> None:
        """Take away a little of what is too old."""
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
        """Record what an unexpected error means for a request, and let go of it until it may go on."""
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
        except Exception as again:  # noqa: BLE001 - noted; it is looked at again once its lease has lapsed, but not for ever
            self._unexpected.note(again, doing="acting", error_id=error_id)
            self._unrecorded[request_id] += 1
            if len(self._unrecorded) > UNRECORDED:
                del self._unrecorded[next(iter(self._unrecorded))]
            if self._unrecorded[request_id] == unexpected.MOST and request is not None:
                await self._deliverer.tell_unexpected(request)

    async def _claim(self, request_id: str, doing: _InProgress) -> Request | None:
        doing.nudge.clear()  # before the record is read: what changes from now on is looked at again
        if self._store.lease_left(request_id) >= HELD_LONG_ENOUGH:
            return await self._store.load(request_id)
        return await self._store.claim(request_id)

    async def _carry_out(self, claimed: Request, doing: _InProgress) -> None:
        """Act and tell until neither is due: at most one act and one telling side by side."""
        request: Request | None = claimed  # as fresh as a load, which a call would wait for
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
                if isinstance(surprise, Exception):  # the first that was met is on its way up already
                    log.info("concurrent work failed too", request=claimed.id, reason=str(surprise))

    def _announcing(self, request: Request) -> list[Coroutine[Any, Any, None]]:
        """Wait no longer than it may take for the announcements that a call waits for."""
        left = schedule.call_at(request) - self._clock.now()
        return [self._clock.sleep(left)] if schedule.is_announcing(request) and left > 0 else []

    async def _begin(self, request: Request, doing: _InProgress) -> None:
        """Begin what is due of what is not running yet. The call has a head start before Slack is told beside it."""
        now = self._clock.now()
        act = None if self._draining or doing.acting is not None else schedule.act(request, now)
        if act is schedule.Act.EXPIRE and self._entries.clicks[request.id]:
            act = None  # a click counts by its time of receipt: what was pressed in time is looked at first
        if act is not None:
            doing.acting = asyncio.create_task(self._act(request, act))
            await asyncio.wait({doing.acting}, timeout=CALL_GRACE)
            if doing.acting.done():
                return
        if doing.telling is None and schedule.tell(request, now) is not None:
            doing.telling = asyncio.create_task(self._deliverer.tell(request.id, announced=doing.nudge.set))
        if doing.showing is None and doing.shown_version < request.version and schedule.is_card_held_back(request):
            doing.shown_version = request.version  # tried once: an announcement that hangs holds back no button
            doing.showing = asyncio.create_task(self._deliverer.show_card(request))

    async def _act(self, request: Request, act: schedule.Act) -> None:
        with contextlib.suppress(errors.Conflict):  # the request moved on: whoever moved it has woken this one
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
    """Put away what has ended; what it raised is raised here."""
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
    """Return when the first of them is done; coroutines that are not are cancelled, tasks are left running."""
    ours = [asyncio.ensure_future(wait) for wait in waits if not isinstance(wait, asyncio.Task)]
    theirs = [wait for wait in waits if isinstance(wait, asyncio.Task)]
    try:
        await asyncio.wait({*ours, *theirs}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in ours:
            task.cancel()
