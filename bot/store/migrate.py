"""Migrate a database to the revision of this code. Only this module imports Alembic; import it only when needed."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa
from alembic import command, config
from sqlalchemy import event, exc

from bot.store import schema
from bot.store.engines import database_url, failures, file_lock

_LOCK: Final = 0x666C6F77626F74
"""The advisory lock for migrating a database on a server: the name of the bot."""

_NEWEST: Final = "head"

_PATIENCE: Final = 10.0
"""Seconds to connect to a server. The migration itself has no time limit."""


def migrate(url: str) -> str:
    """Migrate the database to the newest revision of this code, and return its revision.

    A database made by newer code is left unchanged. Blocks, and is safe to repeat; concurrent migrations on a server
    wait for each other. Raises errors.StoreError; a failed migration changes nothing.
    """
    parsed = database_url.parse(url)
    path = database_url.sqlite_file(parsed)
    if path is None:
        return asyncio.run(_migrate_server(parsed))
    file_lock.keep_private(path)
    with _connected(parsed) as connection:
        found = _stored(connection)
    if _is_current(found):
        return str(found)
    held = file_lock.hold_file(path)
    try:
        with _connected(parsed) as connection:
            _upgrade(connection)
            connection.commit()
    finally:
        held.release()
    return schema.REVISION


async def _migrate_server(url: sa.URL) -> str:
    from bot.store.engines import postgres  # whoever has a file pays for no driver of a server

    engine = postgres.engine(url, patience=_PATIENCE, limited=False)
    try:
        async with engine.begin() as connection:
            # A lock of the transaction: a session's lock would stay behind in a proxy's pool.
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.cast(_LOCK, sa.BigInteger))))
            return await connection.run_sync(_upgrade_unless_current)
    except (exc.SQLAlchemyError, TimeoutError) as error:
        raise failures.refused(error) from failures.shown(error)
    finally:
        await engine.dispose()


def _upgrade_unless_current(connection: sa.Connection) -> str:
    found = _stored(connection)
    if _is_current(found):
        return str(found)
    _upgrade(connection)
    return schema.REVISION


def _is_current(found: str | None) -> bool:
    return found is not None and (found == schema.REVISION or found not in schema.REVISIONS)


@contextlib.contextmanager
def _connected(url: sa.URL) -> Iterator[sa.Connection]:
    # Alembic is synchronous, so this uses the standard library's driver, without an event loop.
    engine = sa.create_engine(url.set(drivername="sqlite"), connect_args={"isolation_level": None})
    event.listen(engine, "begin", _begin)
    try:
        with engine.connect() as connection:
            yield connection
    except exc.SQLAlchemyError as error:
        raise failures.refused(error) from error
    finally:
        engine.dispose()


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _stored(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _upgrade(connection: Any) -> None:
    settings = config.Config()
    settings.set_main_option("script_location", "bot.store:migrations")
    settings.set_main_option("path_separator", "os")
    settings.attributes["connection"] = connection
    command.upgrade(settings, _NEWEST)
