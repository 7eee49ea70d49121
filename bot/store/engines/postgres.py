"""Connections to a PostgreSQL server, through asyncpg. Only what works on a server imports this.

Nothing here is kept by a session, so that a proxy which lends another session to each transaction (PgBouncer's
transaction mode) may stand between: no named statement, no SET but for one transaction, no lock of a session.
"""

import asyncio
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.store.engines import database, database_url

PATIENCE: Final = 1.2
"""Seconds for a transaction, from the wait for a connection to its end: whoever waits for the answer waits for two."""

CLOSE_WITHIN: Final = 0.2
"""Seconds for a polite end of a connection."""

WRITERS: Final = 5
"""Connections that write at the same time; the worker leaves one of them to the inbox."""

LIMITS: Final = (
    "SET LOCAL statement_timeout = '1s'; "
    # Longer than PATIENCE: only a replica that was stopped within a transaction meets it, and its locks go with it.
    "SET LOCAL idle_in_transaction_session_timeout = '5s';"
)
"""What the server shall end by itself. It travels with BEGIN: a round trip of its own would cost as much as a write."""


_FAILURES: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncio.IncompleteReadError)


class _AsyncpgConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection that limits each of its transactions, and that ends soon even where the server hangs."""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 - asyncpg's
        limited = f"{query} {LIMITS}" if query.startswith("BEGIN") else query
        status: str = await super().execute(limited, *args, timeout=timeout)
        return status

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's
        try:
            await super().close(timeout=min(timeout or CLOSE_WITHIN, CLOSE_WITHIN))
        except _FAILURES:
            self.terminate()


class Pool:
    """Connections to a server. What asyncpg waits for, the event loop waits for, within the function that runs."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def run(self, work: database.Work[database.Returned]) -> database.Returned:
        """Run the function with a connection."""
        async with self.engine.connect() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def open_postgres(url: sa.URL, *, patience: float = PATIENCE) -> database.Database:
    """Prepare the engines of a server; they connect when they are used first."""
    writer = engine(url, patience=patience, pool_size=WRITERS)
    readers = engine(url, patience=patience, pool_size=database.READERS, isolation_level="REPEATABLE READ")
    readers = readers.execution_options(postgresql_readonly=True)
    return database.Database(writer=Pool(writer), readers=Pool(readers), turns=WRITERS - 1, patience=patience)


def engine(url: sa.URL, *, patience: float, limited: bool = True, **options: Any) -> AsyncEngine:
    """Return an engine whose connections are asyncpg's own reading of the URL."""
    dsn = database_url.dsn(url)

    async def connect() -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                dsn,
                connection_class=_AsyncpgConnection if limited else asyncpg.Connection,
                statement_cache_size=0,
                timeout=patience,
            )
        except _FAILURES as failure:
            raise exc.OperationalError(None, None, failure) from failure

    connecting = {"async_creator_fn": connect, "prepared_statement_cache_size": 0}
    made = create_async_engine(
        sa.URL.create("postgresql+asyncpg"),
        connect_args=connecting,
        hide_parameters=True,
        max_overflow=0,
        pool_timeout=patience,
        **options,
    )
    event.listen(made.sync_engine, "checkout", _refuse_closed)
    return made


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Make the pool connect anew where the server has hung up meanwhile: known here, without asking it each time."""
    if connection.driver_connection.is_closed():
        raise exc.DisconnectionError
