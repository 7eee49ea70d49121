"""Open a database: choose the engine by its URL, and make sure that no other process serves its file."""

from collections.abc import Callable

import sqlalchemy as sa

from bot.store.engines import database, database_url, file_lock, sqlite
from bot.store.store import _ELAPSING, SqlStore
from bot.usecases import ports


async def open_store(
    url: str,
    *,
    clock: ports.Clock,
    replica: str,
    exclusive: bool = True,
    busy_timeout: float = 1.5,
    monotonic: Callable[[], float] = _ELAPSING,
) -> "SqlStore":
    """Open the database for one replica, whose name must be unique among the running ones.

    An SQLite file is locked until `close`, and earlier leases end at once; without `exclusive`, a command opens the
    file beside a running bot. Raises errors.RevisionMismatch if the database is older than the code, errors.StoreError
    if it cannot be used.
    """
    parsed = database_url.parse(url)
    path = database_url.sqlite_file(parsed)
    held = file_lock.hold_file(path) if exclusive and path is not None else None
    if held is None and path is not None:
        file_lock.keep_private(path)
    db = _open_server(parsed) if path is None else sqlite.open_sqlite(parsed, busy_timeout=busy_timeout)
    store = SqlStore(db, clock=clock, replica=replica, held=held, monotonic=monotonic)
    try:
        await store.prepare()
    except BaseException:
        await store.close()
        raise
    return store


def _open_server(url: sa.URL) -> database.Database:
    from bot.store.engines import postgres  # whoever has a file pays for no driver of a server

    return postgres.open_postgres(url)
