"""The inbox: what is durable before it is acknowledged.

Entries that arrive together share one transaction, written by one task; each caller waits for its own commit, and
never longer than its patience. It knows nothing of what an entry means.
"""

import asyncio
import collections
import dataclasses
from collections.abc import Callable
from typing import Final

import structlog

from bot.commands.deliveries import Entry
from bot.usecases import errors, ports
from bot.usecases.ports import Recording

CAPACITY: Final = 4096
"""Entries that may wait for the database at once."""

SHARE: Final = CAPACITY // 4
"""How many of them may be one person's, so that nobody who floods keeps others out."""

BATCH: Final = 500
"""Entries that share one transaction at most."""

PATIENCE: Final = 1.7
"""Seconds that a caller waits for its commit, so that every answer leaves within two."""

log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Waiting:
    entry: Entry
    done: asyncio.Future[Recording]


class Inbox:
    """Records entries in group commits, and hands each new one on."""

    def __init__(
        self, store: ports.Store, *, recorded: Callable[[Entry], object], capacity: int = CAPACITY, share: int = SHARE
    ) -> None:
        self._store = store
        self._recorded = recorded
        self._capacity = capacity
        self._share = share
        self._queue: dict[int, _Waiting] = {}
        self._queued: collections.Counter[str] = collections.Counter()
        self._tickets = 0
        self._arrived = asyncio.Event()
        self._closing = False

    async def record(self, entry: Entry, *, patience: float = PATIENCE) -> Recording:
        """Put the entry on disk and say what became of it, within `patience` seconds.

        An entry that is still queued when patience ends is taken out again, so that "not recorded" is true; one whose
        write has begun is left to its commit, and nobody claims to know.
        """
        if self._closing:
            return Recording.NOT_RECORDED
        if len(self._queue) >= self._capacity or self._queued[entry.actor.user] >= self._share:
            return Recording.FULL
        self._tickets += 1
        loop = asyncio.get_running_loop()
        ticket, waiting = self._tickets, _Waiting(entry=entry, done=loop.create_future())
        self._queue[ticket] = waiting
        self._queued[entry.actor.user] += 1
        self._arrived.set()
        # A bare timer: `asyncio.timeout` around a shield costs three times as much, for each acknowledgement.
        patient = loop.call_later(patience, self._give_up, ticket, waiting)
        try:
            return await waiting.done
        finally:
            patient.cancel()

    def _give_up(self, ticket: int, waiting: _Waiting) -> None:
        was_queued = ticket in self._queue
        if was_queued:
            self._take(ticket)
        _settle([waiting], Recording.NOT_RECORDED if was_queued else Recording.UNCONFIRMED)

    def _take(self, ticket: int) -> _Waiting:
        waiting = self._queue.pop(ticket)
        user = waiting.entry.actor.user
        self._queued[user] -= 1
        if not self._queued[user]:
            del self._queued[user]
        return waiting

    async def run(self) -> None:
        """Write what arrives until the inbox is closed and empty."""
        while True:
            if not self._queue:
                if self._closing:
                    return
                self._arrived.clear()
                await self._arrived.wait()
                continue
            tickets = list(self._queue)[:BATCH]
            await self._write([self._take(ticket) for ticket in tickets])

    def close(self) -> None:
        """Take nothing more; what is queued is still written."""
        self._closing = True
        self._arrived.set()

    async def _write(self, batch: list[_Waiting]) -> None:
        first = {waiting.entry.key: waiting for waiting in reversed(batch)}
        try:
            new = await self._store.record([waiting.entry for waiting in first.values()])
        except errors.Unconfirmed:
            _settle(batch, Recording.UNCONFIRMED)
        except errors.StoreError:
            _settle(batch, Recording.NOT_RECORDED)
        except Exception as surprise:  # what one entry cannot be written with must not end the inbox
            log.error("unexpected error in a batch", exc_info=surprise)
            _settle(batch, Recording.UNCONFIRMED)
        else:
            for waiting in batch:
                is_new = waiting.entry.key in new and first[waiting.entry.key] is waiting
                _settle([waiting], Recording.NEW if is_new else Recording.REPEATED)
                if is_new:
                    self._hand_on(waiting.entry)

    def _hand_on(self, entry: Entry) -> None:
        try:
            self._recorded(entry)
        except Exception as error:  # it is on disk, and found once its lease has lapsed; others must not wait for it
            log.error("unexpected error while an entry was handed on", entry=entry.key, exc_info=error)


def _settle(batch: list[_Waiting], recording: Recording) -> None:
    for waiting in batch:
        if not waiting.done.done():
            waiting.done.set_result(recording)
