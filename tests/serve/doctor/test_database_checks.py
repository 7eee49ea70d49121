"""Each fault of a database is found by its own test, and looking at one changes nothing."""

import contextlib
import hashlib
import pathlib
import sqlite3
from collections.abc import Iterator

import pytest

from bot.playground import world
from bot.serve.doctor import database_checks
from bot.serve.doctor.findings import Finding, Severity
from bot.store import migrate, schema
from bot.store.engines import inspection
from tests import postgres
from tests.fakes import FakeClock
from tests.serve.doctor.conftest import FakeDisk, examined


def files(directory: pathlib.Path) -> dict[str, str]:
    """Return what each file in the directory holds, by a hash."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def revise(directory: pathlib.Path, revision: str) -> None:
    """Say that the database is at another revision."""
    with contextlib.closing(sqlite3.connect(directory / "flowbot.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()


async def test_looking_leaves_a_database_as_it_was_with_no_file_beside_it(
    built: world.World, tmp_path: pathlib.Path
) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "flowbot.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    before = files(tmp_path)

    found = await examined(built)

    assert found["revision"].found == f"{schema.REVISION}, as this version needs it"
    assert files(tmp_path) == before


async def test_a_database_that_a_bot_uses_is_read_beside_it(built: world.World, tmp_path: pathlib.Path) -> None:
    async with built.bot():
        assert (tmp_path / "flowbot.db-wal").exists()
        found = await examined(built)
        assert (await built.slack.people.command("U0ALICE", "C0INCIDENT", "whoami")).ok

    assert {found[name].status for name in ("database", "revision", "writable", "disk")} == {Severity.OK}


async def test_a_missing_database_is_not_made(built: world.World, tmp_path: pathlib.Path) -> None:
    (tmp_path / "flowbot.db").unlink()

    found = await examined(built)

    assert not (tmp_path / "flowbot.db").exists()
    assert (found["database"].status, "does not exist yet" in found["database"].found) == (Severity.WARN, True)
    assert "revision" not in found


async def test_a_missing_directory_is_found(built: world.World, tmp_path: pathlib.Path) -> None:
    found = await examined(built, DATABASE_URL=f"sqlite:///{tmp_path}/nothing/flowbot.db")

    assert (found["database"].status, found["database"].found) == (
        Severity.FAIL,
        f"there is no directory {tmp_path}/nothing",
    )


async def test_a_file_that_is_no_database_is_found(built: world.World, tmp_path: pathlib.Path) -> None:
    (tmp_path / "flowbot.db").write_text("this is no database, but it is longer than a header of one\n" * 20)

    found = (await examined(built))["database"]

    assert (found.status, "is not an SQLite database" in found.found) == (Severity.FAIL, True)


@pytest.mark.parametrize(
    ("revision", "status", "words"),
    [
        (schema.REVISIONS[0], Severity.FAIL, f"is at 0001, and this version needs {schema.REVISION}"),
        ("9999", Severity.WARN, "made by a newer version"),
        (schema.REVISION, Severity.OK, "as this version needs it"),
    ],
)
async def test_an_older_database_is_found(
    built: world.World, tmp_path: pathlib.Path, revision: str, status: Severity, words: str
) -> None:
    revise(tmp_path, revision)

    found = (await examined(built))["revision"]

    assert (found.status, words in found.found) == (status, True), found
    assert (found.remedy == "Run `flowbot migrate`.") == (status is Severity.FAIL)


async def test_a_database_without_tables_is_found(built: world.World, tmp_path: pathlib.Path) -> None:
    (tmp_path / "flowbot.db").write_bytes(b"")

    assert (await examined(built))["revision"].found == "the database has no tables yet"


@pytest.mark.parametrize("barred", ["flowbot.db", ""])
async def test_a_database_that_may_not_be_written_is_found(
    built: world.World, tmp_path: pathlib.Path, barred: str
) -> None:
    found = (await examined(built, disk=FakeDisk(barred=frozenset({tmp_path / barred}))))["writable"]

    assert (found.status, found.found) == (Severity.FAIL, f"{tmp_path / barred} may not be written")


@pytest.mark.parametrize(
    ("room", "status"),
    [(0, Severity.FAIL), (10**8, Severity.WARN), (10**10, Severity.OK)],
    ids=["full", "low", "enough"],
)
async def test_a_full_disk_is_found(built: world.World, tmp_path: pathlib.Path, room: int, status: Severity) -> None:
    found = (await examined(built, disk=FakeDisk(room=room)))["disk"]

    assert (found.status, found.found) == (status, f"{room // 2**20} MiB free in {tmp_path}")


def test_the_machine_is_asked_what_may_be_written_and_how_much_room_there_is(tmp_path: pathlib.Path) -> None:
    disk = inspection.MachineDisk()

    assert disk.may_write(tmp_path)
    assert not disk.may_write(tmp_path / "nothing")
    assert disk.free(tmp_path) > 0


# PostgreSQL


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    """Run a server with a migrated database `whole`, an empty one, and users with fewer rights."""
    with postgres.running() as running:
        running.execute("CREATE DATABASE whole", "CREATE DATABASE bare", "CREATE ROLE reader LOGIN")
        migrate.migrate(running.url("whole"))
        running.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", database="whole")
        running.execute("CREATE ROLE barred LOGIN", "ALTER ROLE barred SET default_transaction_read_only = on")
        yield running


async def looked(url: str, *, now: float | None = None) -> dict[str, Finding]:
    """Look at a database, by the machine's clock or at another time."""
    clock = FakeClock() if now is None else FakeClock(now)
    seen = await inspection.look(url, within=30.0, now=clock.now, disk=FakeDisk())
    return {each.name: each for each in database_checks.judge(seen)}


def _as(server: postgres.Server, user: str) -> str:
    return server.url("whole").replace("postgres@", f"{user}@")


async def test_a_server_is_in_order_but_for_a_clock_that_stands_still(server: postgres.Server) -> None:
    found = await looked(server.url("whole"))

    assert [found[name].status for name in ("database", "revision", "writable", "disk")] == [Severity.OK] * 4
    assert (found["database clock"].status, "behind the database server's" in found["database clock"].found) == (
        Severity.WARN,
        True,
    )


@pytest.mark.parametrize(
    ("ahead", "status", "words"),
    [(0.0, Severity.OK, "agrees"), (-60.0, Severity.WARN, "60 s behind"), (60.0, Severity.WARN, "60 s ahead of")],
)
def test_the_clock_of_a_server_is_compared(ahead: float, status: Severity, words: str) -> None:
    found = database_checks.clock(inspection.DatabaseSeen(time=1000.0, at=1000.0 + ahead))

    assert found is not None
    assert (found.status, words in found.found) == (status, True)


@pytest.mark.parametrize(
    ("user", "words"), [("reader", "may not write to flowbot's tables"), ("barred", "is read-only")]
)
async def test_a_user_that_may_not_write_is_found(server: postgres.Server, user: str, words: str) -> None:
    server.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}", database="whole")

    found = (await looked(_as(server, user)))["writable"]

    assert (found.status, words in found.found) == (Severity.FAIL, True), found


async def test_a_server_without_tables_is_found(server: postgres.Server) -> None:
    assert (await looked(server.url("bare")))["revision"].remedy == "Run `flowbot migrate`."


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://postgres:not-shown@127.0.0.1:9/x", "the database server cannot be reached"),
        ("mysql://x", "DATABASE_URL must begin with"),
    ],
)
async def test_a_database_that_cannot_be_reached_is_found(url: str, words: str) -> None:
    found = await looked(url)

    assert found["database"].status is Severity.FAIL
    assert words in found["database"].found
    assert "not-shown" not in found["database"].found
    assert list(found) == ["database"]
