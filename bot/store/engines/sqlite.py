"""Connections to an SQLite file: each transaction runs as a whole on a thread.

A trip to the thread costs more than a statement, and under load the way back waits for the event loop; so there is one
trip for each transaction. It must not know any table.
"""

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from bot.store.engines import database


class Threads:
    """Connections with one thread each. Waiting longer than `patience` seconds for one is an error."""

    def __init__(self, engine: sa.Engine, *, size: int, patience: float) -> None:
        self.engine = engine
        self._patience = patience
        self._free = asyncio.Semaphore(size)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="sqlite")

    async def run(self, work: database.Work[database.Returned]) -> database.Returned:
        """Run the function on a thread. Once begun, it continues even if its caller is cancelled."""
        await self._turn()
        try:
            context = contextvars.copy_context()
            return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, self._whole, work)
        finally:
            self._free.release()

    async def close(self) -> None:
        """Close all connections when their work has ended."""
        await asyncio.to_thread(self._threads.shutdown)
        self.engine.dispose()

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(self._patience if self._free.locked() else None):
                await self._free.acquire()
        except TimeoutError:
            raise exc.TimeoutError from None

    def _whole(self, work: database.Work[database.Returned]) -> database.Returned:
        with self.engine.connect() as connection:
            return work(connection)


def open_sqlite(url: sa.URL, *, busy_timeout: float) -> database.Database:
    """Create the connections of an SQLite file; they open at first use. `busy_timeout` is in seconds."""
    writer = _engine(
        url,
        busy_timeout,
        "BEGIN IMMEDIATE",
        ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON"),
    )
    readers = _engine(url, busy_timeout, "BEGIN", ("PRAGMA query_only = ON",))
    return database.Database(
        writer=Threads(writer, size=1, patience=5 * busy_timeout),
        readers=Threads(readers, size=database.READERS, patience=5 * busy_timeout),
    )


def _engine(url: sa.URL, busy_timeout: float, begin: str, pragmas: tuple[str, ...]) -> sa.Engine:
    # Autocommit in the driver leaves BEGIN to us; the driver's own would be late and deferred.
    driver = {"timeout": busy_timeout, "isolation_level": None}
    engine = sa.create_engine(
        url, connect_args=driver, pool_size=database.READERS, max_overflow=0, hide_parameters=True
    )

    def connected(connection: Any, _record: object) -> None:
        for pragma in pragmas:
            connection.execute(pragma).close()

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine
