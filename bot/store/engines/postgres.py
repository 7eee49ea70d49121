"""Connections to a PostgreSQL server through asyncpg; not imported for SQLite.

It keeps no state in a session, so that it works behind PgBouncer in transaction mode: no named statements, SET only for
one transaction, and no session locks.
"""

import asyncio
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.store.engines import database, database_url

PATIENCE: Final = 1.2
"""The time limit of a transaction in seconds, including the wait for a connection; callers wait for two seconds."""

CLOSE_WITHIN: Final = 0.2
"""Seconds to close a connection cleanly."""

WRITERS: Final = 5
"""The number of connections for writing; the worker leaves one of them to the inbox."""

LIMITS: Final = (
    "SET LOCAL statement_timeout = '1s'; "
    # Longer than PATIENCE, so it only ends transactions of a suspended replica, and releases their locks.
    "SET LOCAL idle_in_transaction_session_timeout = '5s';"
)
"""Time limits that the server enforces. Sent with BEGIN, since another round trip would cost as much as a write."""


_FAILURES: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncio.IncompleteReadError)


class _AsyncpgConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection with time limits for each transaction, which closes quickly even if the server hangs."""

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
    """Connections to a server. While the function waits for asyncpg, the event loop runs."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def run(self, work: database.Work[database.Returned]) -> database.Returned:
        """Run the function with a connection."""
        async with self.engine.connect() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def open_postgres(url: sa.URL, *, patience: float = PATIENCE) -> database.Database:
    """Create the engines for a server; they connect at first use."""
    writer = engine(url, patience=patience, pool_size=WRITERS)
    readers = engine(url, patience=patience, pool_size=database.READERS, isolation_level="REPEATABLE READ")
    readers = readers.execution_options(postgresql_readonly=True)
    return database.Database(writer=Pool(writer), readers=Pool(readers), turns=WRITERS - 1, patience=patience)


def engine(url: sa.URL, *, patience: float, limited: bool = True, **options: Any) -> AsyncEngine:
    """Return an engine for which asyncpg parses the URL itself."""
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
    """Make the pool replace a connection that the server has closed; asyncpg knows without a round trip."""
    if connection.driver_connection.is_closed():
        raise exc.DisconnectionError
