"""Transactions: who may write when, and what is known when a write fails.

On SQLite one connection writes, and others read; on a server several write. It knows no table and no record; the
statements of a transaction come in as one function of a connection, so that a transaction is one trip to wherever the
connection lives, and never one for each statement.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from bot.store.engines import failures
from bot.usecases import errors

READERS: Final = 4
"""Connections that read at the same time."""

Returned = TypeVar("Returned")
Work = Callable[[sa.Connection], Returned]
"""The statements of one transaction. It waits for nothing but its connection, and may run beside the event loop."""


class Connections(Protocol):
    """Connections that are alike."""

    async def run(self, work: Work[Returned]) -> Returned:
        """Run the function with one of them, and roll back what it has not committed."""

    async def close(self) -> None:
        """Close them all, after what runs."""


class Database:
    """One database, open.

    A write that has begun goes on to its end even when its caller is cancelled: whoever stops waiting does not know
    what came of it.
    """

    def __init__(
        self, *, writer: Connections, readers: Connections, turns: int = 1, patience: float | None = None
    ) -> None:
        """Take the connections; `turns` is how many writes of the worker may run side by side.

        `patience` is how many seconds a transaction may take, from the wait for its connection to its end; without it
        the database's own limits are enough.
        """
        self.writer = writer
        self.readers = readers
        self._turn = asyncio.Semaphore(turns)
        self._patience = patience
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def write_in_turn(self, work: Work[Returned]) -> Returned:
        """Run a write of the worker, in its turn: where one connection writes, at most one stands before a `write`."""
        return await self._finish(self._take_turn(work))

    async def write(self, work: Work[Returned]) -> Returned:
        """Run a write that takes no turn.

        Raises errors.NotRecorded when nothing was written, errors.Unconfirmed when nobody knows, and what `work`
        raises, having written nothing.
        """
        return await self._finish(self._transact(work))

    async def read(self, work: Work[Returned]) -> Returned:
        """Run reads on one snapshot."""
        if self._closed:
            raise errors.StoreError("the database is closed")
        try:
            async with asyncio.timeout(self._patience):
                return await self.readers.run(work)
        except (exc.SQLAlchemyError, TimeoutError) as error:
            raise failures.unread(error) from failures.shown(error)

    async def close(self) -> None:
        """Let the writes that have begun end, then close every connection."""
        self._closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.readers.close()
        await self.writer.close()

    async def _finish(self, writing: Coroutine[Any, Any, Returned]) -> Returned:
        task = asyncio.create_task(writing)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _take_turn(self, work: Work[Returned]) -> Returned:
        async with self._turn:
            return await self._transact(work)

    async def _transact(self, work: Work[Returned]) -> Returned:
        if self._closed:
            raise errors.NotRecorded("nothing was recorded: the database is closed")
        stage = _Stage()
        try:
            async with asyncio.timeout(self._patience):
                return await self.writer.run(lambda connection: _whole(connection, work, stage))
        except (exc.SQLAlchemyError, TimeoutError) as error:
            named = failures.uncommitted(error) if stage.committing else failures.refused(error)
            raise named from failures.shown(error)


@dataclasses.dataclass
class _Stage:
    """How far a transaction has come. Before COMMIT is sent, what ends it leaves nothing."""

    committing: bool = False


def _whole(connection: sa.Connection, work: Work[Returned], stage: _Stage) -> Returned:
    result = work(connection)
    stage.committing = True
    try:
        connection.commit()
    except exc.SQLAlchemyError:
        # SQLAlchemy would put the connection back into its pool with the transaction still open, and every later BEGIN
        # on it would fail.
        with contextlib.suppress(exc.SQLAlchemyError):
            connection.invalidate()
        raise
    return result
