"""The inbox: makes entries durable before they are acknowledged.

One task writes entries that arrive together in one transaction; each caller waits for its own commit, and never longer
than its patience. It must not know what an entry means.
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
"""The maximum number of entries that wait for the database."""

SHARE: Final = CAPACITY // 4
"""The maximum number of them per person, so that nobody can crowd out others."""

BATCH: Final = 500
"""The maximum number of entries in one transaction."""

PATIENCE: Final = 1.7
"""Seconds that a caller waits for its commit, so that every answer leaves within two seconds."""

log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Waiting:
    entry: Entry
    done: asyncio.Future[Recording]


class Inbox:
    """Records entries in group commits, and passes each new one on."""

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
        """Write the entry to disk and return the result within `patience` seconds.

        After that time, an entry that is still queued is removed and is "not recorded"; one whose write has begun is
        left to its commit and is "unconfirmed".
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
        # A bare timer: `asyncio.timeout` around a shield costs three times as much for each acknowledgement.
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
        """Accept nothing more; queued entries are still written."""
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
        except Exception as surprise:  # one entry that cannot be written must not end the inbox
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
        except Exception as error:  # it is on disk, and is found when its lease expires; others must not wait for it
            log.error("unexpected error while passing on an entry", entry=entry.key, exc_info=error)


def _settle(batch: list[_Waiting], recording: Recording) -> None:
    for waiting in batch:
        if not waiting.done.done():
            waiting.done.set_result(recording)
