"""The migrations make exactly the tables that the code expects, whole or not at all."""

import pathlib
import sqlite3
import subprocess
import sys

import pytest
import sqlalchemy as sa
from alembic import autogenerate, config, script
from alembic.migration import MigrationContext

from bot import errors
from bot.store import hold, migrate, revision, schema, store

from .conftest import Clock


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
    """Return the path of a database that is not there yet."""
    return tmp_path / "flowbot.db"


def test_migrated_tables_are_those_of_the_code(file: pathlib.Path) -> None:
    migrate.migrate(f"sqlite:///{file}")
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert autogenerate.compare_metadata(context, schema.metadata) == []
        indexes = {row.name: row.sql for row in connection.execute(sa.text("SELECT * FROM sqlite_master"))}
    engine.dispose()
    assert indexes["one_open_request_per_flow"].endswith("(project, flow_id) WHERE holds")
    assert indexes["unfinished_entries"].endswith("WHERE state <> 'done'")
    assert indexes["due_requests"].endswith("WHERE due_at IS NOT NULL")


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
    held = hold.hold_file(file)
    with pytest.raises(errors.StoreError, match="another flowbot"):
        migrate.migrate(f"sqlite:///{file}")
    held.release()
    migrate.migrate(f"sqlite:///{file}")
    held = hold.hold_file(file)
    assert migrate.migrate(f"sqlite:///{file}") == schema.REVISION
    held.release()


async def test_an_older_database_is_refused(file: pathlib.Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate.migrate(f"sqlite:///{file}")
    _stamp(file, "0000")
    monkeypatch.setattr(schema, "REVISIONS", ("0000", *schema.REVISIONS))
    with pytest.raises(errors.RevisionMismatch, match="0000, older"):
        await store.open_store(f"sqlite:///{file}", clock=clock, replica="r")


async def test_a_newer_database_is_opened(file: pathlib.Path, clock: Clock) -> None:
    migrate.migrate(f"sqlite:///{file}")
    _stamp(file, "9999")
    opened = await store.open_store(f"sqlite:///{file}", clock=clock, replica="r")
    assert await opened.database.read(revision.stored) == "9999"
    await opened.close()


def test_only_migrate_imports_alembic() -> None:
    program = "import sys, bot.store.store; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - our own program
