"""The worker: claims what is due and carries it out.

Two things can be claimed: a row of the inbox, and a request with its call and its deliveries. The replica that wrote
a thing is woken in the process; what another replica left behind is found once its lease has lapsed. The call comes
first, Slack is told beside it.
"""

import asyncio
import collections
import contextlib
import dataclasses
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from bot import answers, due, errors, life, ports, service
from bot.arrivals import Entry, Typed
from bot.calling import Calling
from bot.ports import Claimed
from bot.request import Request
from bot.service import Service
from bot.telling import Telling

AT_ONCE: Final = 8
"""How many inbox rows are worked on side by side."""

CLICKS_AT_ONCE: Final = 64
"""How many clicks are worked on side by side: they may wait for Slack, and hold up nobody."""

CLAIM: Final = 500
"""How many inbox rows are claimed with one statement."""

LOOK_AGAIN: Final = 2.0
"""Seconds between two looks for what nobody was woken for: what a dead replica held waits so long beyond its lease."""

KEEP_FOR: Final = 400 * 86_400.0
"""Seconds for which what is settled, and the audit, is kept: a year and a month."""

CLEAN_EVERY: Final = 3600.0
"""Seconds between two clean-ups, once nothing is left of the last."""

CLEAN_AT_ONCE: Final = 100
"""How many records one look takes away at most, so that no acknowledgement waits long for it."""

HEAD_START: Final = 0.2
"""Seconds that a call may take before Slack is told beside it."""

HELD_LONG_ENOUGH: Final = 25.0
"""Seconds for which a lease holds that a commit, or a look for what is due, has just given: no claim is needed."""

RIGHTS_SLOW: Final = 2.0
"""Seconds after which somebody is told that their rights are being checked."""

log = structlog.get_logger()


@dataclasses.dataclass(kw_only=True)
class _Doing:
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
        service: Service,
        calling: Calling,
        telling: Telling,
        chat: ports.Chat,
        clock: ports.Clock,
        look_beside: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._service = service
        self._calling = calling
        self._telling = telling
        self._chat = chat
        self._clock = clock
        self._look_beside = look_beside
        self._tasks: set[asyncio.Task[None]] = set()
        self._doing: dict[str, _Doing] = {}
        self._stranded: dict[str, Claimed | None] = {}
        self._taking: set[str] = set()
        self._clicks: collections.Counter[str] = collections.Counter()
        self._line: collections.deque[Claimed] = collections.deque()
        self._seats_taken = 0
        self._click_seats = asyncio.Semaphore(CLICKS_AT_ONCE)
        self._look_at = 0.0
        self._clean_at = 0.0
        self._sooner = asyncio.Event()
        self._draining = False

    def wake_entry(self, entry: Entry) -> None:
        """Take up a row of the inbox that this replica has just written."""
        self._take_up(Claimed(entry=entry))

    def wake(self, request_id: str) -> None:
        """Look at a request now."""
        doing = self._doing.get(request_id)
        if doing is not None:
            doing.nudge.set()
        elif not self._draining:
            self._doing[request_id] = _Doing(nudge=asyncio.Event())
            self._start(self._drive(request_id))

    async def run(self) -> None:
        """Look again and again for what nobody was woken for, until cancelled."""
        while True:
            self._look_at = self._clock.now() + LOOK_AGAIN
            try:
                await self._look()
                await self._clean_up()
            except errors.StoreError as failure:
                log.warning("the database is away", reason=str(failure))
            except Exception as surprise:  # a row that nobody can read must not end the looking
                log.error("looking met a surprise", exc_info=surprise)
            while (pause := self._look_at - self._clock.now()) > 0:
                self._sooner.clear()
                await _first(self._clock.sleep(pause), self._sooner.wait())

    async def settle(self) -> None:
        """Carry out all that is due by now; return when nothing is left to do at this time."""
        await self._look()
        while self._tasks:
            await asyncio.wait(set(self._tasks))
            await self._look()

    async def drain(self) -> None:
        """Take up nothing more, and wait for what is in flight."""
        self._draining = True
        log.info("draining: nothing more is taken up", in_flight=len(self._tasks))
        while self._line:  # other replicas need not wait for what has not begun
            self._taking.discard(self._line.popleft().entry.key)
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def let_go(self) -> None:
        """Leave everything that is not in flight to the other replicas, at once."""
        try:
            await self._store.let_go(keeping=self._doing.keys() | self._taking)
        except errors.StoreError as failure:
            log.warning("leases run out by themselves: the database is away", reason=str(failure))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (surprise := task.exception()) is not None:
            log.error("work ended in a surprise; it is taken up again when its lease has lapsed", exc_info=surprise)

    async def _look(self) -> None:
        """Claim what is due and nobody holds, and take up again what the database kept from being done."""
        self._look_beside()
        while claimed := await self._store.claim_entries(limit=CLAIM):
            for each in claimed:
                self._take_up(each)
        found = await self._store.claim_due(limit=AT_ONCE)
        for seen in found:
            self.wake(seen.id)
        stranded, self._stranded = self._stranded, {}
        for key, entry in stranded.items():
            self.wake(key) if entry is None else self._take_up(entry)
        next_at = await self._store.next_due_at()
        if len(found) == AT_ONCE or (next_at is not None and next_at > self._clock.now()):
            self._look_by(next_at)  # what is due by our clock and was not claimed is not due by the database's

    async def _clean_up(self) -> None:
        """Take away a little of what is too old."""
        now = self._clock.now()
        if now >= self._clean_at:
            gone = await self._store.clean_up(keep_for=KEEP_FOR, limit=CLEAN_AT_ONCE)
            self._clean_at = now if gone else now + CLEAN_EVERY

    def _look_by(self, at: float | None) -> None:
        if at is not None and at < self._look_at:
            self._look_at = at
            self._sooner.set()

    # — the inbox —

    def _take_up(self, claimed: Claimed) -> None:
        if claimed.entry.key in self._taking:  # what takes longer than a lease is not begun twice
            return
        self._taking.add(claimed.entry.key)
        self._clicks[_clicked_on(claimed.entry)] += 1
        if isinstance(claimed.entry.arrival, Typed):
            self._line.append(claimed)  # no task of its own: a rush of thousands would weigh on every acknowledgement
            self._seat()
        else:
            self._start(self._entry(claimed))

    def _seat(self) -> None:
        if self._line and self._seats_taken < AT_ONCE and not self._draining:
            self._seats_taken += 1
            self._start(self._entry_by_entry())

    async def _entry_by_entry(self) -> None:
        """Work through the line of commands, on one seat."""
        try:
            while self._line and not self._draining:
                await self._entry(self._line.popleft())
        finally:
            self._seats_taken -= 1
            self._seat()

    async def _entry(self, claimed: Claimed) -> None:
        request_id = _clicked_on(claimed.entry)
        try:
            await self._decide_and_answer(claimed)
        finally:
            self._taking.discard(claimed.entry.key)
            self._clicks -= collections.Counter([request_id])
            if request_id:
                self.wake(request_id)

    async def _decide_and_answer(self, claimed: Claimed) -> None:
        entry = claimed.entry
        async with contextlib.nullcontext() if isinstance(entry.arrival, Typed) else self._click_seats:
            if self._draining:
                return
            try:
                answer = claimed.answer or await self._take(entry)
                claimed = dataclasses.replace(claimed, answer=answer)
                if answer is not None:
                    self._look_by(await self._telling.answer(entry, answer))
            except errors.StoreError as failure:
                self._stranded[entry.key] = claimed
                log.warning("an entry waits for the database", entry=entry.key, reason=str(failure))

    async def _take(self, entry: Entry) -> answers.Answer | None:
        taking = asyncio.create_task(self._service.take(entry))
        if not isinstance(entry.arrival, Typed):
            await _first(taking, self._clock.sleep(RIGHTS_SLOW))
            if not taking.done():
                self._start(self._say_that_it_takes_long(entry))
        try:
            taken = await taking
        except errors.DecidedBefore:
            await self._leave_as_decided(entry)
            return None
        for touched in (taken.request_id, taken.superseded_id):
            if touched is not None:
                self.wake(touched)
        if taken.copy is not None:
            log.info("a copy of a card was clicked", entry=entry.key)
            with contextlib.suppress(errors.ChatError):  # the click counts all the same
                await self._chat.retire_copy(taken.copy.channel, taken.copy.ts, taken.copy.card)
        return taken.answer

    async def _leave_as_decided(self, entry: Entry) -> None:
        """Go on with what was decided before: its answer is told by whoever looks next, its request is looked at."""
        log.info("an entry was decided before", entry=entry.key)
        await self._store.postpone_entry(entry.key, until=entry.received_at)
        for request_id in {entry.key, _clicked_on(entry)} - {""}:
            self.wake(request_id)
        self._look_by(self._clock.now())

    async def _say_that_it_takes_long(self, entry: Entry) -> None:
        with contextlib.suppress(errors.ChatError):  # a courtesy; the answer itself follows
            await self._chat.answer(entry, answers.Checking())

    # — requests —

    async def _drive(self, request_id: str) -> None:
        doing = self._doing[request_id]
        try:
            while (claimed := await self._claim(request_id, doing)) is not None:
                try:
                    await self._carry_out(claimed, doing)
                except errors.LeaseLost as lost:
                    log.warning("a request is claimed again before a call", request=request_id, reason=str(lost))
                    continue
                seen = await self._store.load(request_id)
                if seen is None:
                    return
                due_at = due.at(seen)
                if await self._store.release(seen, due_at=due_at) and not doing.nudge.is_set():
                    self._look_by(due_at)
                    return
        except errors.StoreError as failure:
            self._stranded[request_id] = None
            log.warning("a request waits for the database", request=request_id, reason=str(failure))
        finally:
            del self._doing[request_id]

    async def _claim(self, request_id: str, doing: _Doing) -> Request | None:
        doing.nudge.clear()  # before the record is read: what changes from now on is looked at again
        if self._store.lease_left(request_id) >= HELD_LONG_ENOUGH:
            return await self._store.load(request_id)
        return await self._store.claim(request_id)

    async def _carry_out(self, claimed: Request, doing: _Doing) -> None:
        """Act and tell until neither is due: at most one act and one telling side by side."""
        seen: Request | None = claimed  # as fresh as a load, which a call would wait for
        try:
            while seen is not None:
                await self._begin(seen, doing)
                running = doing.running()
                if not running and not self._clicks[seen.id]:
                    return
                await _first(*running, doing.nudge.wait(), *self._announcing(seen))
                _reap(doing)
                doing.nudge.clear()
                seen = await self._store.load(claimed.id)
        finally:
            for surprise in await asyncio.gather(*doing.running(), return_exceptions=True):
                if isinstance(surprise, Exception):  # the first that was met is on its way up already
                    log.info("work ended with another failure", request=claimed.id, reason=str(surprise))

    def _announcing(self, seen: Request) -> list[Coroutine[Any, Any, None]]:
        """Wait no longer than it may take for the announcements that a call waits for."""
        left = due.call_at(seen) - self._clock.now()
        return [self._clock.sleep(left)] if due.is_announcing(seen) and left > 0 else []

    async def _begin(self, seen: Request, doing: _Doing) -> None:
        """Begin what is due of what is not running yet. The call has a head start before Slack is told beside it."""
        now = self._clock.now()
        act = None if self._draining or doing.acting is not None else due.act(seen, now)
        if act is due.Act.EXPIRE and self._clicks[seen.id]:
            act = None  # a click counts by its time of receipt: what was pressed in time is looked at first
        if act is not None:
            doing.acting = asyncio.create_task(self._act(seen, act))
            await asyncio.wait({doing.acting}, timeout=HEAD_START)
            if doing.acting.done():
                return
        if doing.telling is None and due.tell(seen, now) is not None:
            doing.telling = asyncio.create_task(self._telling.tell(seen.id, announced=doing.nudge.set))
        if doing.showing is None and doing.shown_version < seen.version and due.is_card_held_back(seen):
            doing.shown_version = seen.version  # tried once: an announcement that hangs holds back no button
            doing.showing = asyncio.create_task(self._telling.show_card(seen))

    async def _act(self, seen: Request, act: due.Act) -> None:
        with contextlib.suppress(errors.Conflict):  # the request moved on: whoever moved it has woken this one
            match act:
                case due.Act.CALL:
                    await self._calling.call(seen, moved=lambda: self.wake(seen.id))
                case due.Act.CALL_AGAIN:
                    await self._calling.call_again(seen, moved=lambda: self.wake(seen.id))
                case due.Act.READ:
                    await self._calling.read(seen)
                case due.Act.RECOVER:
                    await self._calling.recover(seen)
                case due.Act.EXPIRE | due.Act.LAPSE:
                    await self._calling.save(service.expired(seen, at=self._clock.now()), "expired")
                case due.Act.REMIND:
                    await self._calling.save(life.remind(seen, at=self._clock.now()), "reminded")
                case due.Act.REMIND_REVIEW:
                    await self._calling.save(life.remind_of_review(seen, at=self._clock.now()), "reminded of a review")


def _clicked_on(entry: Entry) -> str:
    """Return the request that an entry is about, or nothing for a command."""
    return "" if isinstance(entry.arrival, Typed) else entry.arrival.request_id


def _reap(doing: _Doing) -> None:
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
