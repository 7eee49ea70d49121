"""PostgreSQL only: the server restarts, hangs or refuses, and others write at the same time."""

import asyncio
import dataclasses
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import sqlalchemy as sa
from pytest_mock import MockerFixture
from sqlalchemy.util import await_only

from bot.lifecycle import records, transitions
from bot.store import migrate, opening, statements, store
from bot.store.engines import database, database_url, postgres
from bot.usecases import errors, ports
from tests import postgres as servers
from tests.fakes import PATIENCE

from . import examples, pooler
from .conftest import Clock, rows_of

CHANGE = ports.Change(audit=(ports.AuditEvent(at=1.0, what="changed"),), request=examples.asked())


@pytest.fixture
def url(server_url: str) -> str:
    """Return a database on the server that all tests share."""
    return server_url


@pytest.fixture
async def db(url: str) -> AsyncIterator[database.Database]:
    """Return connections without a store."""
    opened = postgres.open_postgres(database_url.parse(url))
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def frail() -> Iterator[servers.Server]:
    """Return a server that tests may stop."""
    with servers.running() as server:
        server.execute("CREATE DATABASE flowbot")
        migrate.migrate(server.url("flowbot"))
        yield server


@pytest.fixture
async def on_frail(frail: servers.Server) -> AsyncIterator[store.SqlStore]:
    """Return a store on the server that tests may stop."""
    opened = await opening.open_store(frail.url("flowbot"), clock=Clock(), replica="mine")
    yield opened
    await opened.close()


async def query(opened: database.Database, statement: str) -> object:
    """Run one statement on a write connection."""

    def work(connection: sa.Connection) -> object:
        result = connection.exec_driver_sql(statement)
        return result.scalar() if result.returns_rows else None

    return await opened.write(work)


def entry() -> str:
    """Return the key of a new entry."""
    return examples.new_key()


class TestLosingTheServer:
    async def test_a_store_goes_on_by_itself_once_the_server_is_back(
        self, frail: servers.Server, on_frail: store.SqlStore
    ) -> None:
        assert await on_frail.record([examples.entry("before")]) == {"before"}
        await asyncio.to_thread(frail.stop)
        with pytest.raises(errors.NotRecorded, match=r"cannot be reached \(ConnectionRefusedError\)"):
            await on_frail.record([examples.entry("meanwhile")])
        with pytest.raises(errors.StoreError, match="cannot be reached"):
            await on_frail.entry("before")
        await asyncio.to_thread(frail.start)
        assert await on_frail.record([examples.entry("after"), examples.entry("before")]) == {"after"}
        assert {row["key"] for row in await rows_of(on_frail, "inbox")} >= {"before", "after"}

    async def test_a_restart_that_nobody_has_noticed_costs_no_write(
        self, frail: servers.Server, on_frail: store.SqlStore
    ) -> None:
        key = entry()
        await asyncio.gather(*[on_frail.record([examples.entry(f"{key} {number}")]) for number in range(4)])
        await asyncio.to_thread(frail.stop)
        await asyncio.to_thread(frail.start)
        for number in range(4, 8):
            assert await on_frail.record([examples.entry(f"{key} {number}")]) == {f"{key} {number}"}

    async def test_a_server_that_hangs_is_not_waited_for(self, frail: servers.Server, on_frail: store.SqlStore) -> None:
        key = entry()
        await on_frail.record([examples.entry(key)])
        frail.signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            results = await asyncio.gather(
                on_frail.record([examples.entry(f"{key} hung")]),
                on_frail.commit(dataclasses.replace(CHANGE, request=None)),
                on_frail.entry(key),
                return_exceptions=True,
            )
            took = time.monotonic() - began
        finally:
            frail.signal(signal.SIGCONT)
        assert [type(result) for result in results] == [errors.NotRecorded, errors.NotRecorded, errors.StoreError]
        assert all("does not answer" in str(result) for result in results)
        assert took < 2
        assert await on_frail.record([examples.entry(f"{key} hung")]) == {f"{key} hung"}

    async def test_a_store_closes_though_the_server_hangs(self, frail: servers.Server) -> None:
        opened = await opening.open_store(frail.url("flowbot"), clock=Clock(), replica="mine")
        frail.signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            await opened.close()
        finally:
            frail.signal(signal.SIGCONT)
        assert time.monotonic() - began < 2

    async def test_a_connection_that_ends_during_the_commit_leaves_it_unconfirmed(
        self, db: database.Database, server: servers.Server
    ) -> None:
        def work(connection: sa.Connection) -> None:
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            connection.exec_driver_sql("CREATE TABLE slow (x int)")
            connection.exec_driver_sql(
                "CREATE FUNCTION wait_for_end() RETURNS trigger LANGUAGE plpgsql AS $$ "
                "BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END $$"
            )
            connection.exec_driver_sql(
                "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION wait_for_end()"
            )
            connection.exec_driver_sql("INSERT INTO slow VALUES (1)")
            assert isinstance(pid, int)

        with pytest.raises(errors.Unconfirmed, match="not known whether this was recorded"):
            await db.write(work)
        assert await query(db, "SELECT 1") == 1

    async def test_a_commit_that_breaks_a_constraint_is_not_recorded(self, db: database.Database) -> None:
        def work(connection: sa.Connection) -> None:
            connection.exec_driver_sql("CREATE TABLE once (x int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
            connection.exec_driver_sql("INSERT INTO once VALUES (1), (1)")

        with pytest.raises(errors.NotRecorded, match="UniqueViolationError"):
            await db.write(work)
        assert await query(db, "SELECT to_regclass('once')") is None

    async def test_a_commit_that_hangs_is_unconfirmed(self, server: servers.Server, url: str) -> None:
        patient = postgres.open_postgres(database_url.parse(url), patience=PATIENCE)
        hasty = postgres.open_postgres(database_url.parse(url))

        def prepare(connection: sa.Connection) -> None:
            connection.exec_driver_sql("CREATE TABLE slow (x int)")
            connection.exec_driver_sql(
                "CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$ "
                "BEGIN PERFORM pg_sleep(9); RETURN NULL; END $$"
            )
            connection.exec_driver_sql(
                "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION sleep()"
            )

        await patient.write(prepare)
        await patient.close()
        with pytest.raises(errors.Unconfirmed, match="does not answer"):
            await hasty.write(lambda connection: connection.exec_driver_sql("INSERT INTO slow VALUES (1)"))
        await hasty.close()


class TestRefusals:
    @pytest.mark.parametrize(
        ("statement", "words"),
        [
            ("SELECT pg_sleep(2)", "too slow"),
            ("SELECT * FROM nowhere", "run `flowbot migrate`"),
            ("SELECT 1/0", r"refused it \(DivisionByZeroError\)"),
            ("SET TRANSACTION READ ONLY; ", None),
        ],
    )
    async def test_what_the_server_refuses_is_told(
        self, db: database.Database, statement: str, words: str | None
    ) -> None:
        if words is None:

            def read_only(connection: sa.Connection) -> None:
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
                connection.exec_driver_sql("DELETE FROM inbox")

            with pytest.raises(errors.NotRecorded, match="read-only"):
                await db.write(read_only)
        else:
            with pytest.raises(errors.NotRecorded, match=words):
                await query(db, statement)

    @pytest.mark.parametrize(
        ("state", "words"),
        [
            ("53100", "no room left"),
            ("53300", "max_connections"),
            ("40001", "another write was in the way"),
            ("40P01", "another write was in the way"),
            ("57P01", "shutting down"),
            ("42501", "may not do that"),
            ("08006", "connection to the database server was lost"),
            ("XX000", r"refused it \(InternalServerError\)"),
        ],
    )
    async def test_an_error_of_the_server_has_its_sentence(self, db: database.Database, state: str, words: str) -> None:
        raised = f"DO $$ BEGIN RAISE EXCEPTION 'a secret' USING ERRCODE = '{state}'; END $$"
        with pytest.raises(errors.NotRecorded, match=words) as caught:
            await query(db, raised)
        assert "secret" not in str(caught.value)
        assert caught.value.__suppress_context__
        assert caught.value.__cause__ is None

    async def test_too_many_connections_are_told(self, frail: servers.Server, server_url: str) -> None:
        frail.execute("CREATE ROLE narrow LOGIN CONNECTION LIMIT 0")
        with pytest.raises(errors.StoreError, match="no connection left"):
            await opening.open_store(
                frail.url("flowbot").replace("postgres@", "narrow@"), clock=Clock(), replica="mine"
            )

    async def test_what_does_not_fit_a_url_is_told_without_showing_it(
        self, frail: servers.Server, clock: Clock
    ) -> None:
        hba = frail.directory / "data" / "pg_hba.conf"
        trusting = hba.read_text()
        frail.execute("CREATE ROLE alice LOGIN PASSWORD 'right'")
        hba.write_text("host all alice 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n")
        frail.execute("SELECT pg_reload_conf()")
        here = f"127.0.0.1:{frail.port}"
        refused = {
            f"postgres://alice:hunter2@{here}/flowbot": "user or the password",
            f"postgres://bob:hunter2@{here}/flowbot": "does not let the user",
            f"postgres://postgres:hunter2@{here}/nowhere": "no database with the name",
            f"postgres://postgres:hunter2@{here}/flowbot?sslmode=require": "cannot be encrypted",
            f"postgres://postgres:hunter2@{here}/flowbot?sslmode=verify-full&sslrootcert=/no/file": "names a file",
            f"postgres://postgres:hunter2@{here}/flowbot?target_session_attrs=most": "has a wrong value",
            "postgres://postgres:hunter2@/flowbot?host=/no/socket": "names a file or a socket",
            "postgres://postgres:hunter2@127.0.0.1:1/flowbot": "cannot be reached",
        }
        try:
            for address, words in refused.items():
                with pytest.raises(errors.StoreError, match=words) as caught:
                    await opening.open_store(address, clock=clock, replica="mine")
                assert "hunter2" not in f"{caught.value} {caught.value.__cause__}"
        finally:
            hba.write_text(trusting)
            frail.execute("SELECT pg_reload_conf()")


class TestEncryption:
    async def test_a_connection_is_encrypted_where_the_url_says_so(
        self, frail: servers.Server, clock: Clock, tmp_path: pathlib.Path
    ) -> None:
        data = frail.directory / "data"
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        made = ["-keyout", str(data / "server.key"), "-out", str(data / "server.crt")]
        command = ["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *made, *subject]
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
        (data / "server.key").chmod(0o600)
        if frail.user:
            os.chown(data / "server.key", frail.user["user"], frail.user["group"])
        frail.execute("ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
        authority = tmp_path / "root.crt"
        authority.write_text((data / "server.crt").read_text())
        for query_string in (
            "sslmode=require",
            f"sslmode=verify-full&sslrootcert={authority}",
            "channel_binding=require",
        ):
            opened = await opening.open_store(f"{frail.url('flowbot')}?{query_string}", clock=clock, replica="mine")
            found = await query(opened.database, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            assert found is True
            await opened.close()
        frail.execute("ALTER SYSTEM RESET ssl", "SELECT pg_reload_conf()")


class TestTransactions:
    async def test_every_transaction_is_limited_and_no_session_is_changed(self, db: database.Database) -> None:
        names = ("statement_timeout", "idle_in_transaction_session_timeout")
        assert [await query(db, f"SHOW {name}") for name in names] == ["1s", "5s"]

        def read(connection: sa.Connection) -> list[object]:
            asked = ("transaction_isolation", "transaction_read_only", *names)
            return [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in asked]

        assert await db.read(read) == ["repeatable read", "on", "1s", "5s"]
        assert isinstance(db.writer, postgres.Pool)
        async with db.writer.engine.connect() as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            assert raw is not None
            assert [await raw.fetchval(f"SHOW {name}") for name in names] == ["0", "0"]

    async def test_a_batch_for_the_inbox_waits_for_no_write_of_the_worker(self, db: database.Database) -> None:
        go_on = asyncio.Event()

        def slow(_connection: sa.Connection) -> None:
            await_only(go_on.wait())

        worker = [asyncio.create_task(db.write_in_turn(slow)) for _ in range(20)]
        await asyncio.sleep(0)
        assert await query(db, "SELECT count(*) FROM inbox") == 0
        go_on.set()
        await asyncio.gather(*worker)

    async def test_a_reader_sees_one_state(self, mine: store.SqlStore) -> None:
        def count(connection: sa.Connection) -> int:
            return int(connection.execute(sa.text("SELECT count(*) FROM inbox")).scalar_one())

        def work(connection: sa.Connection) -> list[int]:
            before = count(connection)
            await_only(mine.record([examples.entry()]))
            return [before, count(connection)]

        assert await mine.database.read(work) == [0, 0]
        assert await mine.database.read(count) == 1

    async def test_whoever_pauses_waits_for_a_call_that_is_being_put_on_record(
        self, mine: store.SqlStore, other: store.SqlStore
    ) -> None:
        looked, go_on, order = asyncio.Event(), asyncio.Event(), list[str]()

        def begins(connection: sa.Connection) -> None:
            statements.hold_to_no_pause(connection)
            looked.set()
            await_only(go_on.wait())
            order.append("call begins")

        async def pauses() -> None:
            await other.pause(ports.Pause(at=5.0, reason="a release", by="root"))
            order.append("paused")

        calling = asyncio.create_task(mine.database.write(begins))
        await looked.wait()
        pausing = asyncio.create_task(pauses())
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        async with asyncio.timeout(PATIENCE):
            while not (await query(mine.database, waiting) or pausing.done()):
                continue
        go_on.set()
        await asyncio.gather(calling, pausing)

        assert order == ["call begins", "paused"]

    async def test_the_audit_cannot_be_emptied(self, mine: store.SqlStore) -> None:
        await mine.commit(CHANGE)
        with pytest.raises(errors.NotRecorded, match="RestrictViolationError"):
            await query(mine.database, "TRUNCATE audit")

    async def test_the_servers_clock_counts_and_not_the_replicas(
        self, server: servers.Server, new_database: Callable[..., str]
    ) -> None:
        url = server.url(new_database())
        await asyncio.to_thread(migrate.migrate, url)
        early, late = Clock(), Clock()
        late.time = early.time + 10 * store.LEASE
        mine = await opening.open_store(url, clock=early, replica="mine")
        other = await opening.open_store(url, clock=late, replica="other")
        await mine.commit(CHANGE)
        assert await other.claim("r1") is None
        (row,) = await rows_of(mine, "requests")
        assert abs(float(str(row["lease_until"])) - store.LEASE - time.time()) < 5
        await mine.close()
        await other.close()


class TestRaces:
    async def test_a_replica_whose_clock_is_400_days_ahead_deletes_nothing_that_is_kept(
        self, mine: store.SqlStore, url: str, clock: Clock
    ) -> None:
        keep_for, ahead = 400 * 86_400.0, Clock()
        await mine.commit(dataclasses.replace(CHANGE, audit=(ports.AuditEvent(at=clock.time, what="asked"),)))
        await mine.commit(ports.Change(request=examples.denied(examples.asked()), audit=()))
        await mine.release(examples.denied(examples.asked()), due_at=None)
        ahead.time = clock.time + 401 * 86_400.0
        other = await opening.open_store(url, clock=ahead, replica="other")

        assert await other.clean_up(keep_for=keep_for, limit=9) == 0
        await other.close()

    async def test_of_two_hundred_commits_on_one_version_exactly_one_wins(
        self, mine: store.SqlStore, other: store.SqlStore
    ) -> None:
        await mine.commit(dataclasses.replace(CHANGE, request=examples.request()))
        votes = [records.Vote(actor=dataclasses.replace(examples.BOB, user=f"U{i}"), at=float(i)) for i in range(200)]
        rivals = [transitions.approve(examples.request(), vote, needed=1) for vote in votes]
        results = await asyncio.gather(
            *[(mine, other)[i % 2].commit(ports.Change(audit=(), request=rival)) for i, rival in enumerate(rivals)],
            return_exceptions=True,
        )
        won = [rival for rival, result in zip(rivals, results, strict=True) if result is None]
        assert len(won) == 1
        assert {type(result) for result in results if result is not None} == {errors.Conflict}
        assert await mine.load("r1") == won[0]

    async def test_no_row_is_claimed_twice(self, mine: store.SqlStore, other: store.SqlStore, clock: Clock) -> None:
        for number in range(60):
            new = examples.request(f"r{number}", flow=f"flow-{number}")
            await mine.commit(ports.Change(audit=(), request=new))
            await mine.release(new, due_at=0.0)
        await mine.record([examples.entry(f"k{number}") for number in range(60)])
        clock.time += store.LEASE
        claims = [one.claim_due(limit=7) for _ in range(8) for one in (mine, other)]
        entries = [one.claim_entries(limit=7) for _ in range(8) for one in (mine, other)]
        receiving = asyncio.ensure_future(asyncio.gather(*entries))
        found, received = await asyncio.gather(*claims), await receiving
        ids = [one.id for some in found for one in some]
        keys = [one.entry.key for some in received for one in some]
        assert max(map(len, found)) == max(map(len, received)) == 7
        assert len(ids) == len(set(ids))
        assert len(keys) == len(set(keys))
        assert {*ids, *[one.id for one in await mine.claim_due(limit=99)]} == {f"r{number}" for number in range(60)}

    async def test_deliveries_that_reach_two_replicas_at_once_are_new_to_one(
        self, mine: store.SqlStore, other: store.SqlStore
    ) -> None:
        entries = [examples.entry(f"k{number}") for number in range(50)]
        both = await asyncio.gather(mine.record(entries), other.record(entries[::-1]))
        assert both[0] | both[1] == {one.key for one in entries}
        assert not both[0] & both[1]

    async def test_a_replica_that_was_stopped_within_a_transaction_keeps_nobody_waiting(
        self, mine: store.SqlStore, url: str, mocker: MockerFixture
    ) -> None:
        await mine.commit(dataclasses.replace(CHANGE, request=examples.request()))
        mocker.patch.object(postgres, "LIMITS", postgres.LIMITS.replace("'5s'", "'50ms'"))
        stopped = postgres.open_postgres(database_url.parse(url), patience=30)
        locked, never = asyncio.Event(), asyncio.Event()

        def stop_within(connection: sa.Connection) -> None:
            connection.exec_driver_sql("UPDATE requests SET reminded = true")
            locked.set()
            await_only(never.wait())

        stopping = asyncio.create_task(stopped.write(stop_within))
        await locked.wait()
        await mine.commit(ports.Change(audit=(), request=examples.approved(examples.request())))
        never.set()
        with pytest.raises(errors.StoreError):
            await stopping
        await stopped.close()


class TestBehindAPooler:
    async def test_nothing_relies_on_a_session(self, server: servers.Server, url: str, clock: Clock) -> None:
        name = url.rpartition("/")[2]
        async with pooler.pooling(server.port) as (proxy, port):
            behind = f"postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=disable"
            assert await asyncio.to_thread(migrate.migrate, behind)
            opened = [await opening.open_store(behind, clock=clock, replica=replica) for replica in ("mine", "other")]
            for number in range(10):
                new = examples.request(f"r{number}", flow=f"flow-{number}")
                one, another = opened[number % 2], opened[1 - number % 2]
                await asyncio.gather(
                    one.record([examples.entry(f"k{number}")]),
                    one.commit(dataclasses.replace(CHANGE, request=new)),
                    another.entry("k0"),
                    another.unsettled(limit=9),
                )
                assert await another.claim(new.id) is None
                assert await one.release(new, due_at=0.0)
            due = [request.id for one in opened for request in await one.claim_due(limit=5)]
            assert len(set(due)) == 10
            for one in opened:
                await one.close()
            assert proxy.transactions > 60
            assert proxy.named == []
            assert all(startup.keys() <= _KNOWN_TO_POOLERS for startup in proxy.startups)


_KNOWN_TO_POOLERS = {"user", "database", "client_encoding", "application_name", ""}
"""The start-up parameters that PgBouncer accepts."""
