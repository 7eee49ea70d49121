"""Bring a database to the revision of this code. Nothing else imports Alembic: import this only where it is used."""

import contextlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import command, config
from sqlalchemy import event, exc

from bot import errors
from bot.store import failures, hold, schema
from bot.store import url as urls


def migrate(url: str) -> str:
    """Bring the database to the newest revision that this code knows, and return the revision it is at then.

    A database made by newer code is left as it is. Blocks, and is safe to repeat. Raises errors.StoreError; a migration
    that fails leaves nothing behind.
    """
    parsed = urls.parse(url)
    path = urls.sqlite_file(parsed)
    if path is None:
        raise errors.StoreError("PostgreSQL is not there yet: DATABASE_URL must be sqlite:///FILE")
    with _connected(parsed) as connection:
        found = _stored(connection)
    if found is not None and (found == schema.REVISION or found not in schema.REVISIONS):
        return found
    held = hold.hold_file(path)
    try:
        with _connected(parsed) as connection:
            command.upgrade(_settings(connection), "head")
            connection.commit()
    finally:
        held.release()
    return schema.REVISION


@contextlib.contextmanager
def _connected(url: sa.URL) -> Iterator[sa.Connection]:
    # Alembic is synchronous, and so is the standard library's driver: no loop is needed, and none is in the way.
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


def _settings(connection: Any) -> config.Config:
    settings = config.Config()
    settings.set_main_option("script_location", "bot.store:migrations")
    settings.set_main_option("path_separator", "os")
    settings.attributes["connection"] = connection
    return settings
