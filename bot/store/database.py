"""Connections and transactions: who may write when, and what is known when a write fails.

On SQLite one connection writes, and others read; on a server several write. It knows no table and no record; the
statements come in as functions of a connection.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot import errors
from bot.store import failures

READERS: Final = 4
"""Connections that read at the same time."""

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]
"""The statements of one transaction. It awaits nothing but its connection."""


class Database:
    """One database, open.

    A write that has begun goes on to its end even when its caller is cancelled: whoever stops waiting does not know
    what came of it.
    """

    def __init__(
        self, *, writer: AsyncEngine, readers: AsyncEngine, turns: int = 1, patience: float | None = None
    ) -> None:
        """Take the engines; `turns` is how many writes of the worker may run side by side.

        `patience` is how many seconds a transaction may take, from the wait for its connection to its end; without it
        the database's own limits are enough.
        """
        self.writer = writer
        self.readers = readers
        self._turn = asyncio.Semaphore(turns)
        self._patience = patience
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def write_in_turn(self, work: Work[T]) -> T:
        """Run a write of the worker, in its turn: where one connection writes, at most one stands before a `write`."""
        return await self._finish(self._take_turn(work))

    async def write(self, work: Work[T]) -> T:
        """Run a write that takes no turn.

        Raises errors.NotRecorded when nothing was written, errors.Unconfirmed when nobody knows, and what `work`
        raises, having written nothing.
        """
        return await self._finish(self._transact(work))

    async def read(self, work: Work[T]) -> T:
        """Run reads on one snapshot."""
        if self._closed:
            raise errors.StoreError("the database is closed")
        try:
            async with asyncio.timeout(self._patience), self.readers.connect() as connection:
                return await work(connection)
        except (exc.SQLAlchemyError, TimeoutError) as error:
            raise failures.unread(error) from failures.shown(error)

    async def close(self) -> None:
        """Let the writes that have begun end, then close every connection."""
        self._closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.readers.dispose()
        await self.writer.dispose()

    async def _finish(self, writing: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(writing)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _take_turn(self, work: Work[T]) -> T:
        async with self._turn:
            return await self._transact(work)

    async def _transact(self, work: Work[T]) -> T:
        if self._closed:
            raise errors.NotRecorded("nothing was recorded: the database is closed")
        stage = _Stage()
        try:
            async with asyncio.timeout(self._patience), self.writer.connect() as connection:
                result = await work(connection)
                stage.committing = True
                await _commit(connection)
                return result
        except (exc.SQLAlchemyError, TimeoutError) as error:
            named = failures.uncommitted(error) if stage.committing else failures.refused(error)
            raise named from failures.shown(error)


@dataclasses.dataclass
class _Stage:
    """How far a transaction has come. Before COMMIT is sent, what ends it leaves nothing."""

    committing: bool = False


async def _commit(connection: AsyncConnection) -> None:
    try:
        await connection.commit()
    except exc.SQLAlchemyError:
        # SQLAlchemy would put the connection back into its pool with the transaction still open, and every later BEGIN
        # on it would fail.
        with contextlib.suppress(exc.SQLAlchemyError):
            await connection.invalidate()
        raise


def open_sqlite(url: sa.URL, *, busy_timeout: float) -> Database:
    """Prepare the engines of an SQLite file; they connect when they are used first. `busy_timeout` is in seconds."""
    # Autocommit in the driver leaves BEGIN to us: its own would come late, and deferred.
    driver = {"timeout": busy_timeout, "isolation_level": None}
    writer = create_async_engine(
        url, connect_args=driver, pool_size=1, max_overflow=0, pool_timeout=5 * busy_timeout, hide_parameters=True
    )
    readers = create_async_engine(
        url, connect_args=driver, pool_size=READERS, max_overflow=0, pool_timeout=5 * busy_timeout, hide_parameters=True
    )
    _prepare(writer, "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON")
    _prepare(readers, "PRAGMA query_only = ON")
    _begin(writer, "BEGIN IMMEDIATE")
    _begin(readers, "BEGIN")
    return Database(writer=writer, readers=readers)


def _prepare(engine: AsyncEngine, *pragmas: str) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()


def _begin(engine: AsyncEngine, statement: str) -> None:
    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql(statement)
