"""A look at a database that changes nothing: no file is made, none is left behind, and nothing is written.

Whether it could be written is taken from rights and settings. It judges nothing.
"""

import asyncio
import dataclasses
import os
import pathlib
import shutil
import sqlite3
from collections.abc import Callable
from typing import Any, Final, Protocol

import sqlalchemy as sa
from sqlalchemy import exc

from bot.store import revision
from bot.store.engines import database_url, failures
from bot.usecases import errors

BUSY: Final = 1.0
"""Seconds to wait for whoever has locked an SQLite file."""

_SERVER: Final = sa.text(
    "SELECT extract(epoch FROM clock_timestamp()) AS time, pg_is_in_recovery() AS standby,"
    " current_setting('transaction_read_only') AS read_only"
)
_RIGHTS: Final = sa.text(
    "SELECT has_table_privilege('requests', 'INSERT') AND has_table_privilege('requests', 'UPDATE')"
    " AND has_table_privilege('audit', 'INSERT')"
)


class Disk(Protocol):
    """What the operating system says about files."""

    def may_write(self, path: pathlib.Path) -> bool:
        """Tell whether this process may write there."""

    def free(self, directory: pathlib.Path) -> int:
        """Return the free bytes of the disk that a directory is on."""


class MachineDisk:
    """The machine's own."""

    def may_write(self, path: pathlib.Path) -> bool:
        """Tell whether this process may write there, without trying it."""
        return os.access(path, os.W_OK)

    def free(self, directory: pathlib.Path) -> int:
        """Return the free bytes of the disk that a directory is on."""
        return shutil.disk_usage(directory).free


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatabaseSeen:
    """A database as it was found. `file` is None for a server.

    `failure` says why it could not be read; an SQLite file that does not exist is none. `read_only` says what forbids
    writing. `free` is in bytes, of an SQLite file's disk. `time` is the server's clock at our time `at`.
    """

    file: pathlib.Path | None = None
    exists: bool = True
    failure: str | None = None
    revision: str | None = None
    read_only: str | None = None
    free: int | None = None
    time: float | None = None
    at: float = 0.0


async def look(url: str, *, within: float, now: Callable[[], float], disk: Disk) -> DatabaseSeen:
    """Look at the database of this address, for at most so many seconds; `now` is our clock (UTC)."""
    try:
        parsed = database_url.parse(url)
        async with asyncio.timeout(within):
            path = database_url.sqlite_file(parsed)
            if path is not None:
                return await asyncio.to_thread(_file, path, disk)
            return await _server(parsed, within, now)
    except errors.StoreError as error:
        return DatabaseSeen(failure=str(error))
    except (exc.SQLAlchemyError, TimeoutError) as error:
        return DatabaseSeen(failure=str(failures.unread(error)))


def _file(path: pathlib.Path, disk: Disk) -> DatabaseSeen:
    directory = path.parent
    if not directory.is_dir():
        return DatabaseSeen(file=path, exists=False, failure=f"there is no directory {directory}")
    free, barred = disk.free(directory), [each for each in _written(path) if not disk.may_write(each)]
    read_only = f"{barred[0]} may not be written" if barred else None
    seen = DatabaseSeen(file=path, exists=path.exists(), read_only=read_only, free=free)
    if not seen.exists:
        return seen
    try:
        return dataclasses.replace(seen, revision=_stored(path))
    except exc.SQLAlchemyError as error:
        return dataclasses.replace(seen, failure=str(failures.unread(error)))


def _written(path: pathlib.Path) -> list[pathlib.Path]:
    """Return what SQLite writes to: the directory for the files beside the database, and those that are there."""
    beside = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]
    return [path.parent, *(each for each in beside if each.exists())]


def _stored(path: pathlib.Path) -> str | None:
    """Return the revision. Reading a database in WAL mode would create files beside it, unless it is immutable.

    It is so while nobody has it open: then there is no WAL.
    """
    in_use = path.with_name(path.name + "-wal").exists()
    mode = "mode=ro" if in_use else "mode=ro&immutable=1"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=BUSY, isolation_level=None)

    engine = sa.create_engine("sqlite+pysqlite://", creator=connect, hide_parameters=True, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        return revision.stored(connection)


async def _server(url: sa.URL, within: float, now: Callable[[], float]) -> DatabaseSeen:
    from bot.store.engines import postgres  # whoever has a file pays for no driver of a server

    engine = postgres.engine(url, patience=within)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_seen_server, now)
    finally:
        await engine.dispose()


def _seen_server(connection: sa.Connection, now: Callable[[], float]) -> DatabaseSeen:
    stored = revision.stored(connection)
    began = now()
    row: Any = connection.execute(_SERVER).one()
    at = (began + now()) / 2
    read_only = None
    if row.standby or row.read_only == "on":
        read_only = "the server is read-only: is it a standby?"
    elif stored is not None and not connection.execute(_RIGHTS).scalar_one():
        read_only = "the user of DATABASE_URL may not write to flowbot's tables"
    return DatabaseSeen(revision=stored, read_only=read_only, time=float(row.time), at=at)
