"""Transactions: who may write when, and what is known after a write fails.

On SQLite, one connection writes and the others read; on a server, several write. A transaction is one function of a
connection, so that it takes one trip to the connection's thread instead of one for each statement. It must not know any
table or record.
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
"""The number of connections for reading."""

Returned = TypeVar("Returned")
Work = Callable[[sa.Connection], Returned]
"""The statements of one transaction. It waits only for its connection, and may run on another thread."""


class Connections(Protocol):
    """A pool of connections of one kind."""

    async def run(self, work: Work[Returned]) -> Returned:
        """Run the function with one connection, and roll back what it has not committed."""

    async def close(self) -> None:
        """Close all connections when their work has ended."""


class Database:
    """An open database.

    A write that has begun continues to its end even if its caller is cancelled; the caller then does not know the
    result.
    """

    def __init__(
        self, *, writer: Connections, readers: Connections, turns: int = 1, patience: float | None = None
    ) -> None:
        """Take the connections; `turns` is the number of concurrent writes of the worker.

        `patience` is the time limit of a transaction in seconds, including the wait for its connection; without it, the
        database has limits of its own.
        """
        self.writer = writer
        self.readers = readers
        self._turn = asyncio.Semaphore(turns)
        self._patience = patience
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def write_in_turn(self, work: Work[Returned]) -> Returned:
        """Run a write of the worker in turn, so that at most `turns` of them are ahead of any `write`."""
        return await self._finish(self._take_turn(work))

    async def write(self, work: Work[Returned]) -> Returned:
        """Run a write without waiting for a turn.

        Raises errors.NotRecorded if nothing was written, errors.Unconfirmed if that is unknown, and whatever `work`
        raises; then nothing was written.
        """
        return await self._finish(self._transact(work))

    async def read(self, work: Work[Returned]) -> Returned:
        """Run reads in one snapshot."""
        if self._closed:
            raise errors.StoreError("the database is closed")
        try:
            async with asyncio.timeout(self._patience):
                return await self.readers.run(work)
        except (exc.SQLAlchemyError, TimeoutError) as error:
            raise failures.unread(error) from failures.shown(error)

    async def close(self) -> None:
        """Wait for the writes in progress, then close all connections."""
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
    """The progress of a transaction. If it fails before COMMIT is sent, nothing was written."""

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
