"""The migrations create exactly the tables that the code expects, and are atomic."""

import asyncio
import os
import pathlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar

import pytest
import sqlalchemy as sa
from alembic import autogenerate, config, script
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from bot.store import migrate, opening, revision, rows, schema
from bot.store.engines import database_url, file_lock
from bot.usecases import errors
from tests import postgres

from . import examples
from .conftest import Clock, rows_of

T = TypeVar("T")


def _stamp(file: pathlib.Path, found: str) -> None:
    connection = sqlite3.connect(file)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [found])
    connection.close()


def _tables(file: pathlib.Path) -> set[str]:
    connection = sqlite3.connect(file)
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    return names


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return the path of a database that does not exist yet."""
    return tmp_path / "flowbot.db"


@pytest.fixture
def empty(server: postgres.Server, new_database: Callable[..., str]) -> str:
    """Return the URL of a database on a server, without tables."""
    return server.url(new_database())


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> str:
    """Return the URL of a database of each kind, without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('file')}"
    found: str = request.getfixturevalue("empty")
    return found


async def inspect(url: str, look: Callable[[sa.Connection], T]) -> T:
    """Run a function on a database of any kind, and commit its changes."""
    parsed = database_url.parse(url)
    if database_url.sqlite_file(parsed) is not None:
        file = sa.create_engine(parsed)
        with file.begin() as connection:
            found = look(connection)
        file.dispose()
        return found
    engine = create_async_engine(parsed)
    async with engine.begin() as remote:
        found = await remote.run_sync(look)
    await engine.dispose()
    return found


def migrate_to(url: str, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create a database like older code."""
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "_NEWEST", revision)
        migrate.migrate(url)


async def test_migrated_tables_are_those_of_the_code(place: str) -> None:
    await asyncio.to_thread(migrate.migrate, place)

    def differences(connection: sa.Connection) -> object:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return autogenerate.compare_metadata(context, schema.metadata)

    assert await inspect(place, differences) == []


INDEXES = {
    "one_open_request_per_flow": "holds",
    "unfinished_entries": "state <> 'done'",
    "done_entries": "state = 'done'",
    "due_requests": "due_at IS NOT NULL",
    "settled_requests": "due_at IS NULL",
    "emergencies_of_user": "emergency IS NOT NULL",
    "emergencies_of_person": "emergency IS NOT NULL",
    "audit_in_order": "seq IS NOT NULL",
    "audit_to_link": "hash IS NULL",
}
CATALOGUE = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE '%WHERE%'",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexdef LIKE '%WHERE%'",
}


async def test_indexes_are_partial_as_the_code_says(place: str) -> None:
    await asyncio.to_thread(migrate.migrate, place)

    def conditions(connection: sa.Connection) -> dict[str, str]:
        found = connection.exec_driver_sql(CATALOGUE[connection.dialect.name])
        return {name: sql.partition(" WHERE ")[2].strip("()").replace("::text", "") for name, sql in found}

    assert await inspect(place, conditions) == INDEXES


async def test_rows_of_the_first_revision_are_kept(place: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    await asyncio.to_thread(migrate_to, place, "0001", monkeypatch)

    def fill(connection: sa.Connection) -> None:
        new = examples.asked()
        values = {"id": new.id, **rows.decided(new), **rows.told(new), "ended_at": 130.0}
        del values["emergency"]  # of the third
        del values["requester_person"]  # of the fourth, as the person of the reply below
        del values["requester_login"]  # of the sixth, as the login of the reply below
        connection.execute(sa.insert(sa.table("requests", *[sa.column(name) for name in values])).values(values))
        connection.execute(schema.operations.insert().values(rows.operation(new)))
        replies = [rows.reply(new.id, reply) for reply in new.unsent]
        of_then = [
            {name: value for name, value in reply.items() if name not in ("actor_person", "actor_login")}
            for reply in replies
        ]
        connection.execute(sa.insert(sa.table("replies", *map(sa.column, of_then[0]))), of_then)
        connection.execute(schema.audit.insert().values(at=1.0, what="asked", facts="{}"))

    await inspect(place, fill)
    with pytest.raises(errors.RevisionMismatch, match="is at 0001, older than this code: run `flowbot migrate`"):
        await opening.open_store(place, clock=clock, replica="r")
    assert await asyncio.to_thread(migrate.migrate, place) == schema.REVISION
    opened = await opening.open_store(place, clock=clock, replica="r")
    assert await opened.load("r1") == examples.asked()
    assert [row["changed_at"] for row in await rows_of(opened, "requests")] == [130.0]
    with pytest.raises(errors.NotRecorded):
        await opened.database.write(lambda connection: connection.execute(schema.audit.delete()).close())
    assert len(await rows_of(opened, "audit")) == 1
    await opened.close()


async def test_a_database_of_newer_code_is_served_and_left_as_it_is(place: str, clock: Clock) -> None:
    await asyncio.to_thread(migrate.migrate, place)
    stamp = "UPDATE alembic_version SET version_num = '9999'"
    await inspect(place, lambda connection: connection.exec_driver_sql(stamp).close())
    assert await asyncio.to_thread(migrate.migrate, place) == "9999"
    opened = await opening.open_store(place, clock=clock, replica="r")
    assert await opened.database.read(revision.stored) == "9999"
    await opened.close()


async def test_a_database_without_tables_is_refused(place: str, clock: Clock) -> None:
    with pytest.raises(errors.RevisionMismatch, match="no tables yet: run `flowbot migrate`"):
        await opening.open_store(place, clock=clock, replica="r")


def test_of_two_that_migrate_a_server_at_once_one_waits(empty: str, tmp_path: pathlib.Path) -> None:
    environ = {"PATH": os.environ["PATH"], "DATABASE_URL": empty}
    program = "import os; from bot.store import migrate; print(migrate.migrate(os.environ['DATABASE_URL']))"
    command = [sys.executable, "-c", program]
    several = [
        subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
        for _ in range(3)
    ]
    assert [one.communicate(timeout=60)[0].strip() for one in several] == [schema.REVISION] * 3
    assert [one.returncode for one in several] == [0, 0, 0]


def test_a_migration_of_a_server_that_fails_leaves_nothing(server: postgres.Server, empty: str) -> None:
    name = empty.rpartition("/")[2]
    server.execute("CREATE TABLE replies (x int)", database=name)
    with pytest.raises(errors.NotRecorded):
        migrate.migrate(empty)
    server.execute("DROP TABLE replies", database=name)
    assert migrate.migrate(empty) == schema.REVISION


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(errors.StoreError, match="cannot be reached"):
        migrate.migrate("postgresql://127.0.0.1:1/flowbot")


def test_the_code_knows_every_revision_in_order() -> None:
    settings = config.Config()
    settings.set_main_option("script_location", "bot.store:migrations")
    settings.set_main_option("path_separator", "os")
    found = [one.revision for one in script.ScriptDirectory.from_config(settings).walk_revisions()]
    assert tuple(reversed(found)) == schema.REVISIONS
    assert found[0] == schema.REVISION


def test_migrating_again_changes_nothing(file: pathlib.Path) -> None:
    assert migrate.migrate(f"sqlite:///{file}") == schema.REVISION
    before = file.read_bytes()
    assert migrate.migrate(f"sqlite:///{file}") == schema.REVISION
    assert file.read_bytes() == before


def test_a_newer_database_is_left_as_it_is(file: pathlib.Path) -> None:
    migrate.migrate(f"sqlite:///{file}")
    _stamp(file, "9999")
    assert migrate.migrate(f"sqlite:///{file}") == "9999"


def test_a_migration_that_fails_leaves_nothing(file: pathlib.Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE replies (x)")
    connection.close()
    with pytest.raises(errors.NotRecorded):
        migrate.migrate(f"sqlite:///{file}")
    assert _tables(file) == {"replies"}


def test_a_file_in_use_is_not_migrated(file: pathlib.Path) -> None:
    held = file_lock.hold_file(file)
    with pytest.raises(errors.StoreError, match="another flowbot"):
        migrate.migrate(f"sqlite:///{file}")
    held.release()
    migrate.migrate(f"sqlite:///{file}")
    held = file_lock.hold_file(file)
    assert migrate.migrate(f"sqlite:///{file}") == schema.REVISION
    held.release()


def test_only_migrate_imports_alembic() -> None:
    program = "import sys, bot.store.store; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - our own program


def test_who_has_a_file_imports_no_driver_of_a_server(tmp_path: pathlib.Path) -> None:
    program = f"""
import asyncio, sys
from bot.store import migrate, opening
migrate.migrate("sqlite:///{tmp_path}/a.db")
asyncio.run(opening.open_store("sqlite:///{tmp_path}/a.db", clock=None, replica="r"))
sys.exit("asyncpg" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - our own program
