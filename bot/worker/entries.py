"""Process entries of the inbox in fair turns: decide each, answer its sender, and mark the row as done.

Each project and channel has a lane, so that one that hangs or floods does not delay others. It must not know how a
request continues.
"""

import asyncio
import collections
import contextlib
import dataclasses
from collections.abc import Callable, Hashable
from typing import Final

import structlog

from bot.commands.deliveries import Entry, Submitted, Typed
from bot.usecases import answers, commit, errors, ports
from bot.usecases.bounded_dict import BoundedDict
from bot.usecases.clicks import UseCases
from bot.usecases.ports import Claimed
from bot.usecases.tasks import TaskSet
from bot.worker import turns, unexpected
from bot.worker.deliver import Deliverer

AT_ONCE: Final = 8
"""How many commands of one lane run concurrently; one person gets at most half of these seats."""

CLICKS_AT_ONCE: Final = 64
"""How many clicks of one lane run concurrently, with the same share; more, since they may wait for Slack."""

RIGHTS_SLOW: Final = 2.0
"""Seconds after which a person is told that their rights are being checked."""

TEAM_AGAIN: Final = 2.0
"""Seconds until an entry is tried again that waits for Slack to say which workspace is ours."""

GIVEN_UP: Final = 10_000
"""How many keys are kept of entries that were given up without a record of it; a restart forgets them."""

log = structlog.get_logger()


class Entries:
    """Processes claimed entries.

    `taken_up` are the keys of those that wait or are worked on, `clicks` counts them by the request that they are
    about, and `stranded` are those that wait for the database. `wake` has a request looked at now, `look_by` all that
    is due by a time; a shutdown waits for `tasks`.
    """

    def __init__(
        self,
        *,
        tasks: TaskSet,
        wake: Callable[[str], None],
        look_by: Callable[[float | None], None],
        store: ports.Store,
        use_cases: UseCases,
        deliverer: Deliverer,
        chat: ports.Chat,
        clock: ports.Clock,
        unexpected_errors: unexpected.Errors,
    ) -> None:
        self.taken_up: set[str] = set()
        self.clicks: collections.Counter[str] = collections.Counter()
        self.stranded: dict[str, Claimed] = {}
        self._tasks = tasks
        self._wake = wake
        self._look_by = look_by
        self._store = store
        self._use_cases = use_cases
        self._deliverer = deliverer
        self._chat = chat
        self._clock = clock
        self._commits = commit.Commits(store=store, clock=clock)
        self._unexpected = unexpected_errors
        self._commands = turns.Turns[Claimed](seats=AT_ONCE, share=max(1, AT_ONCE // 2))
        self._clicks = turns.Turns[Claimed](seats=CLICKS_AT_ONCE, share=CLICKS_AT_ONCE // 2)
        self._given_up: BoundedDict[str, None] = BoundedDict(GIVEN_UP)
        self._draining = False

    def take_up(self, claimed: Claimed) -> None:
        """Queue an entry for its turn, unless it is already waiting or running."""
        entry = claimed.entry
        if entry.key in self.taken_up or entry.key in self._given_up:
            return
        self.taken_up.add(entry.key)
        self.clicks[clicked_on(entry)] += 1
        line, lane = self._line(entry), self._lane(entry)
        line.add(claimed, lane=lane, person=entry.actor.user)
        turn = None if self._draining else line.take(lane)
        if turn is not None:  # otherwise it waits without a task: thousands of tasks would slow down acknowledgements
            self._tasks.start(self._entry_by_entry(line, lane, turn))

    def drain(self) -> None:
        """Start nothing more, and drop the queue, so that other replicas can take it over."""
        self._draining = True
        for claimed in (*self._commands.clear(), *self._clicks.clear()):
            self.taken_up.discard(claimed.entry.key)

    def _line(self, entry: Entry) -> turns.Turns[Claimed]:
        return self._commands if isinstance(entry.arrival, Typed) else self._clicks

    def _lane(self, entry: Entry) -> Hashable:
        """Return the lane of an entry by what it may wait for: the cloud of its project, and Slack in its channel."""
        where = entry.actor.user if isinstance(entry.arrival, Submitted) else entry.arrival.channel
        try:
            return self._use_cases.project_of(entry), where
        except Exception as error:  # noqa: BLE001 - noted; the work on the entry meets it again, and answers
            self._unexpected.note(error, doing="deciding", error_id=unexpected.id_of(entry.key))
            return "", where

    async def _entry_by_entry(
        self, line: turns.Turns[Claimed], lane: Hashable, turn: tuple[str, Claimed] | None
    ) -> None:
        """Process entries on one seat of a lane until none waits."""
        while turn is not None:
            person, claimed = turn
            try:
                await self._entry(claimed)
            finally:
                line.leave(lane, person)
            turn = None if self._draining else line.take(lane)

    async def _entry(self, claimed: Claimed) -> None:
        request_id = clicked_on(claimed.entry)
        try:
            if not self._draining:
                await self._decide_and_answer(claimed)
        finally:
            self.taken_up.discard(claimed.entry.key)
            self.clicks -= collections.Counter([request_id])
            if request_id:
                self._wake(request_id)

    async def _decide_and_answer(self, claimed: Claimed) -> None:
        entry = claimed.entry
        try:
            answer = claimed.answer or await self._take(entry)
            claimed = dataclasses.replace(claimed, answer=answer)
            if answer is not None:
                self._look_by(await self._deliverer.answer(entry, answer))
        except errors.StoreError as failure:
            self.stranded[entry.key] = claimed
            log.warning("entry delayed: database unavailable", entry=entry.key, reason=str(failure))
        except Exception as error:  # noqa: BLE001 - noted, and its sender is told
            await self._after_unexpected(claimed, error)

    async def _take(self, entry: Entry) -> answers.AnyAnswer | None:
        taking = asyncio.create_task(self._use_cases.take(entry))
        if not isinstance(entry.arrival, Typed):
            waiting = asyncio.ensure_future(self._clock.sleep(RIGHTS_SLOW))
            await asyncio.wait({taking, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if not taking.done() and entry.take_up_by is None:
                self._tasks.start(self._say_that_it_takes_long(entry))
        try:
            taken = await taking
        except errors.DecidedBefore:
            await self._leave_as_decided(entry)
            return None
        except errors.TeamUnknown:
            await self._store.postpone_entry(entry.key, until=self._clock.now() + TEAM_AGAIN)
            return None
        for touched in (taken.request_id, taken.superseded_id):
            if touched is not None:
                self._wake(touched)
        if taken.copy is not None:
            log.info("a copy of a card was clicked", entry=entry.key)
            with contextlib.suppress(errors.ChatError):  # the click counts anyway
                await self._chat.retire_copy(taken.copy.channel, taken.copy.ts, taken.copy.card)
        return taken.answer

    async def _leave_as_decided(self, entry: Entry) -> None:
        """Continue after an earlier decision: its answer and its request are picked up by the next poll."""
        log.info("entry already decided", entry=entry.key)
        await self._store.postpone_entry(entry.key, until=entry.received_at)
        for request_id in {entry.key, clicked_on(entry)} - {""}:
            self._wake(request_id)
        self._look_by(self._clock.now())

    async def _say_that_it_takes_long(self, entry: Entry) -> None:
        with contextlib.suppress(errors.ChatError):  # a courtesy; the answer itself follows
            await self._chat.answer(entry, answers.Checking())

    # — unexpected errors —

    async def _after_unexpected(self, claimed: Claimed, error: Exception) -> None:
        """Settle an entry with the answer "unexpected error", or as done if even that answer fails."""
        entry, doing = claimed.entry, "deciding" if claimed.answer is None else "answering"
        error_id = unexpected.id_of(entry.key)
        self._unexpected.note(error, doing="deciding" if claimed.answer is None else "answering", error_id=error_id)
        told = isinstance(claimed.answer, answers.Unexpected)
        answer = None if told else answers.Unexpected(error_id=error_id)
        change = ports.Change(entry=entry.key, answer=answer, reopens=claimed.answer is not None)
        what = "given up after an unexpected error" if told else "unexpected error"
        facts = {"error_id": error_id, "error": type(error).__name__, "doing": doing}
        try:
            await self._commits.write(change, what, facts=facts, actor=entry.actor, about=clicked_on(entry) or None)
        except errors.DecidedBefore:
            return await self._leave_as_decided(entry)
        except errors.StoreError as failure:
            self.stranded[entry.key] = claimed
            log.warning("entry delayed: database unavailable", entry=entry.key, reason=str(failure))
        except Exception as again:  # noqa: BLE001 - noted
            self._unexpected.note(again, doing="deciding", error_id=error_id)
            await self._give_up_unrecorded(entry, answers.Unexpected(error_id=error_id))
        else:
            if answer is not None:
                await self._decide_and_answer(dataclasses.replace(claimed, answer=answer))

    async def _give_up_unrecorded(self, entry: Entry, answer: answers.Unexpected) -> None:
        """Send an answer that cannot be recorded, once, and do not process the entry again."""
        self._given_up[entry.key] = None
        try:
            await self._deliverer.answer(entry, answer)
        except Exception as error:  # noqa: BLE001 - noted
            self._unexpected.note(error, doing="answering", error_id=answer.error_id)


def clicked_on(entry: Entry) -> str:
    """Return the id of the request that was clicked, or an empty string for a command."""
    return "" if isinstance(entry.arrival, Typed) else entry.arrival.request_id
