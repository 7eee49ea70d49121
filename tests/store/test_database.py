"""SQLite: what is known after a failed write, who waits for whom, and the messages to an operator."""

import asyncio
import errno
import fcntl
import pathlib
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from pytest_mock import MockerFixture
from sqlalchemy import exc

from bot.store import migrate, opening, store
from bot.store.engines import database, database_url, failures, file_lock, sqlite
from bot.usecases import errors, ports

from . import examples
from .conftest import BUSY, Clock, Replicas, changed, rows_of

CHANGE = ports.Change(audit=(ports.AuditEvent(at=1.0, what="changed"),), request=examples.asked())


@pytest.fixture
def url(file_url: str) -> str:
    """Return a file."""
    return file_url


@pytest.fixture
async def db(url: str) -> AsyncIterator[database.Database]:
    """Return connections without a store."""
    opened = sqlite.open_sqlite(database_url.parse(url), busy_timeout=BUSY)
    yield opened
    await opened.close()


class TestFailures:
    @pytest.mark.parametrize(
        ("sabotage", "words"),
        [
            ("PRAGMA max_page_count = 1", "no room left"),
            ("PRAGMA query_only = ON", "read-only"),
            ("DROP TABLE audit", "SQLITE_ERROR"),
        ],
    )
    async def test_a_write_that_the_database_refuses_is_not_recorded(
        self, mine: store.SqlStore, sabotage: str, words: str
    ) -> None:
        await changed(mine, sabotage)
        many = [examples.entry(f"k{number}") for number in range(2000)]
        with pytest.raises(errors.NotRecorded, match=words):
            await mine.record(many) if "audit" not in sabotage else await mine.commit(CHANGE)
        assert await rows_of(mine, "inbox") == await rows_of(mine, "requests") == []

    async def test_a_write_that_another_process_blocks_is_not_recorded(
        self, mine: store.SqlStore, replicas: Replicas
    ) -> None:
        file = database_url.sqlite_file(database_url.parse(replicas.url))
        assert file is not None
        blocker = sqlite3.connect(file, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(errors.NotRecorded, match="another process"):
                await mine.record([examples.entry()])
            with pytest.raises(errors.NotRecorded, match="another process"):
                await mine.commit(CHANGE)
            assert await mine.load("r1") is None
        finally:
            blocker.close()
        assert await mine.record([examples.entry()]) == {"k1"}

    async def test_a_commit_that_fails_is_unconfirmed(self, db: database.Database) -> None:
        def orphan(connection: sa.Connection) -> None:
            # A constraint that is checked at COMMIT: the one statement of SQLite that can be made to fail there.
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            connection.exec_driver_sql(
                "INSERT INTO replies (request_id, seq, said, at, count, needed) VALUES ('nobody', 1, 'asked', 0, 0, 0)"
            )

        with pytest.raises(errors.Unconfirmed, match="not known"):
            await db.write(orphan)
        assert await db.write(_count) == 0

    async def test_no_message_or_chained_exception_holds_what_a_user_typed(self, mine: store.SqlStore) -> None:
        await changed(mine, "DROP TABLE inbox")
        with pytest.raises(errors.NotRecorded) as caught:
            await mine.record([examples.entry(text="stop something-telling")])
        assert "no such table" in str(caught.value.__cause__)
        assert "something-telling" not in f"{caught.value} {caught.value.__cause__}"

    async def test_a_read_that_fails_is_told(self, mine: store.SqlStore) -> None:
        await changed(mine, "DROP TABLE replies", "DROP TABLE operations")
        with pytest.raises(errors.StoreError, match="could not be read"):
            await mine.load("r1")

    async def test_a_record_of_newer_code_is_told(self, mine: store.SqlStore) -> None:
        await mine.commit(CHANGE)
        await changed(mine, "UPDATE requests SET state = 'paused'")
        with pytest.raises(errors.StoreError, match="request r1 cannot be read"):
            await mine.load("r1")

    async def test_an_entry_of_newer_code_is_left_alone_and_keeps_no_other_waiting(
        self, mine: store.SqlStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        await mine.record([examples.entry(), examples.entry("k2")])
        await changed(
            mine,
            "UPDATE inbox SET lease_until = 0",
            """UPDATE inbox SET answer = '{"kind": "sung"}' WHERE key = 'k1'""",
        )
        assert [one.entry.key for one in await mine.claim_entries(limit=9)] == ["k2"]
        assert "inbox row k1 cannot be read" in capsys.readouterr().out

    async def test_a_request_of_newer_code_is_left_alone_and_keeps_no_other_waiting(
        self, mine: store.SqlStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for number in (1, 2):
            new = examples.request(f"r{number}", flow=f"flow-{number}")
            await mine.commit(ports.Change(audit=(), request=new))
        await changed(
            mine,
            "UPDATE requests SET lease_until = 0",
            "UPDATE requests SET reminded = 1, votes = 'sung' WHERE id = 'r1'",
        )
        assert [one.id for one in await mine.claim_due(limit=9)] == ["r2"]
        assert [one.id for one in await mine.unsettled(limit=9)] == ["r2"]
        assert [one.id for one in await mine.history("live", limit=9)] == ["r2"]
        assert "request r1 cannot be read" in capsys.readouterr().out
        with pytest.raises(errors.StoreError, match="request r1 cannot be read"):
            await mine.claim("r1")


class _FromPostgres(Exception):
    """An error like asyncpg's for a constraint."""


@pytest.mark.parametrize(
    ("cause", "failure"),
    [
        (sqlite3.IntegrityError("UNIQUE constraint failed: operations.project, operations.flow_id"), errors.FlowHeld),
        (_FromPostgres('violates unique constraint "one_open_request_per_flow"'), errors.FlowHeld),
        (sqlite3.IntegrityError("UNIQUE constraint failed: requests.id"), errors.Conflict),
        (_FromPostgres('violates unique constraint "pk_requests"'), errors.Conflict),
        (_FromPostgres('violates foreign key constraint "fk_replies_request_id"'), errors.NotRecorded),
        (sqlite3.IntegrityError("NOT NULL constraint failed: audit.what"), errors.NotRecorded),
    ],
)
def test_a_constraint_has_its_meaning_on_every_database(cause: Exception, failure: type[errors.StoreError]) -> None:
    assert type(failures.refused(exc.IntegrityError("INSERT …", {}, cause))) is failure


@pytest.mark.parametrize(
    ("name", "failure"), [("SQLITE_FULL", errors.NotRecorded), ("SQLITE_IOERR_FSYNC", errors.Unconfirmed)]
)
def test_a_commit_is_known_to_have_failed_only_where_a_page_did_not_fit(
    name: str, failure: type[errors.StoreError]
) -> None:
    cause = sqlite3.OperationalError("…")
    cause.sqlite_errorname = name
    assert type(failures.uncommitted(exc.OperationalError("COMMIT", {}, cause))) is failure


class TestTurns:
    async def test_a_batch_for_the_inbox_waits_for_one_write_only(self, db: database.Database) -> None:
        done: list[str] = []
        begun, go_on = threading.Event(), threading.Event()

        def writing(name: str) -> database.Work[None]:
            def work(_connection: sa.Connection) -> None:
                begun.set()
                go_on.wait()
                done.append(name)

            return work

        first = asyncio.create_task(db.write_in_turn(writing("first of the worker")))
        await asyncio.to_thread(begun.wait)
        later = [asyncio.create_task(db.write_in_turn(writing(f"{n} of the worker"))) for n in ("second", "third")]
        batch = asyncio.create_task(db.write(writing("batch")))
        while not batch.done():
            await asyncio.sleep(0)
            go_on.set()
        await asyncio.gather(first, *later)
        assert done == ["first of the worker", "batch", "second of the worker", "third of the worker"]

    async def test_a_write_that_waits_too_long_for_another_is_not_recorded(self, db: database.Database) -> None:
        go_on = threading.Event()

        def slow(_connection: sa.Connection) -> None:
            go_on.wait()

        first = asyncio.create_task(db.write_in_turn(slow))
        with pytest.raises(errors.NotRecorded, match="too slow"):
            await asyncio.gather(db.write(_count), db.write(_count))
        go_on.set()
        await first

    async def test_a_write_has_the_database_for_itself_from_its_beginning(
        self, db: database.Database, replicas: Replicas
    ) -> None:
        def work(connection: sa.Connection) -> None:
            _count(connection)
            rival = sqlite3.connect(
                str(database_url.sqlite_file(database_url.parse(replicas.url))), isolation_level=None, timeout=0
            )
            try:
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    rival.execute("BEGIN IMMEDIATE")
            finally:
                rival.close()

        await db.write(work)

    async def test_readers_cannot_write(self, db: database.Database) -> None:
        def work(connection: sa.Connection) -> None:
            connection.exec_driver_sql("DELETE FROM inbox")

        with pytest.raises(errors.StoreError, match="read-only"):
            await db.read(work)

    async def test_a_reader_sees_one_state(self, mine: store.SqlStore) -> None:
        loop = asyncio.get_running_loop()

        def work(connection: sa.Connection) -> list[int]:
            before = _count(connection)
            asyncio.run_coroutine_threadsafe(mine.record([examples.entry()]), loop).result()
            return [before, _count(connection)]

        assert await mine.database.read(work) == [0, 0]
        assert await mine.database.read(_count) == 1

    async def test_every_commit_is_synchronised_to_the_disk(self, db: database.Database) -> None:
        def work(connection: sa.Connection) -> list[object]:
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

        assert await db.write(work) == ["wal", 2, 1, BUSY * 1000]


def _count(connection: sa.Connection) -> int:
    found: int = connection.execute(sa.text("SELECT count(*) FROM inbox")).scalar_one()
    return found


class TestOpening:
    async def test_a_file_is_served_by_one_process(self, url: str, clock: Clock) -> None:
        first = await opening.open_store(url, clock=clock, replica="first")
        with pytest.raises(errors.StoreError, match=r"another flowbot is using .*flowbot\.db"):
            await opening.open_store(url, clock=clock, replica="second")
        await first.close()
        await first.close()
        second = await opening.open_store(url, clock=clock, replica="second")
        await second.close()

    async def test_whoever_serves_a_file_next_goes_on_at_once(self, url: str, clock: Clock) -> None:
        dead = await opening.open_store(url, clock=clock, replica="dead", exclusive=False)
        await dead.commit(CHANGE)
        await dead.record([examples.entry()])
        heir = await opening.open_store(url, clock=clock, replica="heir")
        assert await heir.claim_due(limit=9) == [examples.asked()]
        assert await heir.claim_entries(limit=9) == [ports.Claimed(entry=examples.entry())]
        await dead.close()
        await heir.close()

    async def test_a_replica_beside_others_takes_nothing_from_them(
        self, mine: store.SqlStore, replicas: Replicas
    ) -> None:
        await mine.commit(CHANGE)
        assert await (await replicas.open("other")).claim("r1") is None

    async def test_a_file_without_tables_is_refused(self, tmp_path: pathlib.Path, clock: Clock) -> None:
        with pytest.raises(errors.RevisionMismatch, match="flowbot migrate"):
            await opening.open_store(f"sqlite:///{tmp_path / 'new.db'}", clock=clock, replica="r")
        migrate.migrate(f"sqlite:///{tmp_path / 'new.db'}")
        await (await opening.open_store(f"sqlite:///{tmp_path / 'new.db'}", clock=clock, replica="r")).close()

    async def test_something_else_than_a_database_is_refused(self, tmp_path: pathlib.Path, clock: Clock) -> None:
        (tmp_path / "text.db").write_text("not a database at all" * 100)
        with pytest.raises(errors.StoreError, match="not an SQLite database"):
            await opening.open_store(f"sqlite:///{tmp_path / 'text.db'}", clock=clock, replica="r")

    async def test_a_directory_that_is_not_there_is_told(self, tmp_path: pathlib.Path, clock: Clock) -> None:
        with pytest.raises(errors.StoreError, match="cannot create"):
            await opening.open_store(f"sqlite:///{tmp_path / 'nowhere' / 'a.db'}", clock=clock, replica="r")

    def test_a_disk_that_cannot_lock_is_told(self, tmp_path: pathlib.Path, mocker: MockerFixture) -> None:
        mocker.patch.object(fcntl, "flock", side_effect=OSError(errno.ENOLCK, "No locks available"))
        with pytest.raises(errors.StoreError, match="No locks available; the file must be on a local disk"):
            file_lock.hold_file(tmp_path / "a.db")

    async def test_a_link_to_a_file_is_that_file(self, url: str, tmp_path: pathlib.Path, clock: Clock) -> None:
        (tmp_path / "link.db").symlink_to(tmp_path / "flowbot.db")
        first = await opening.open_store(url, clock=clock, replica="first")
        with pytest.raises(errors.StoreError, match="another flowbot"):
            await opening.open_store(f"sqlite:///{tmp_path / 'link.db'}", clock=clock, replica="second")
        await first.close()


def test_a_copy_of_a_database_is_held_by_itself(url: str, tmp_path: pathlib.Path, clock: Clock) -> None:
    async def both() -> None:
        copy = shutil.copy(tmp_path / "flowbot.db", tmp_path / "copy.db")
        opened = [await opening.open_store(one, clock=clock, replica="r") for one in (url, f"sqlite:///{copy}")]
        for one in opened:
            await one.close()

    asyncio.run(both())
