"""No statement of the store reads a growing table from end to end, or more of it the more it grows.

Every place in `bot/store` that runs a statement has to be passed, so that a new statement is looked at too. The plans
are made after the tables were filled, with fresh statistics; `FLOWBOT_STORED` says with how many requests.
"""

import ast
import dataclasses
import inspect
import json
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

import bot.store
from bot.store import linker, retention, statements, store
from bot.store.engines import dialect, postgres, sqlite
from bot.usecases import answers, ports

from . import examples, filled
from .conftest import Clock, Replicas

STORED = int(os.environ.get("FLOWBOT_STORED", "20000"))
"""Requests that the tables hold."""

STEPS = 5_000
"""Instructions of SQLite's machine that a statement may take: a row takes several."""

ROWS = 500
"""Rows that PostgreSQL may look at for a statement."""

SCANS = {"bounds": "`flowbot audit export --since` reads the audit from end to end anyhow"}
"""The functions whose statements may read a whole table, each with its reason."""

ROOM = pathlib.Path(bot.store.__file__).parent
_MODULES = [path for path in sorted(ROOM.glob("*.py")) if path.name not in ("migrate.py", "opening.py")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ran:
    """A statement as it went to the driver, and the line of `bot/store` that ran it."""

    sql: str
    parameters: tuple[Any, ...]
    module: str
    line: int
    function: str


async def _use_every_method(opened: store.SqlStore, clock: Clock) -> None:
    await opened.prepare()
    await opened.database.write(statements.lapse_all)
    await opened.record([examples.entry("k1"), examples.entry("k2")])
    await opened.entry("k1")
    await opened.commit(
        ports.Change(audit=(), request=examples.asked(), entry="k1", answer=answers.Noted(what="asked"))
    )
    approved = examples.approved(examples.asked())
    limit = ports.EmergencyLimit(person="U1", since=clock.time - 86_400.0, most=9)
    audited = (ports.AuditEvent(at=1.0, what="approved"),)
    await opened.commit(ports.Change(audit=audited, request=approved, limit=limit, unless_paused=True))
    await opened.postpone_entry("k1", until=clock.time)
    await opened.claim_entries(limit=9)
    await opened.finish_entry("k1")
    await opened.load("r1")
    await opened.holder("live", "flow-1")
    await opened.last_denial("live", "flow-1", since=clock.time - 3600.0)
    await opened.emergencies("U1", since=clock.time - 86_400.0)
    await opened.unsettled(limit=9)
    await opened.history("live", limit=9)
    await opened.history("live", flow_id="flow-1", limit=9)
    await opened.claim("r1")
    await opened.release(approved, due_at=clock.time)
    await opened.next_due_at()
    await opened.claim_due(limit=9)
    await opened.told(approved)
    await opened.card_seen("r1", ts="1.2")
    await opened.card_shown("r1", version=2)
    await opened.reply_sent("r1", seq=1, ts="1.2")
    await opened.let_go(keeping={"r1"})
    await opened.key_standing("key")
    await opened.bad_try("key", most=5, says_locked=False, locked_until=clock.time)
    await opened.good_try("key")
    await opened.pause(ports.Pause(at=1.0, reason="a test", by="root"))
    await opened.paused()
    await opened.resume(at=2.0, by="root")
    await opened.submit(examples.entry("host", received_at=clock.time))
    assert not (await opened.result("host")).is_decided
    assert await opened.withdraw_entry("host")
    await opened.link_audit(9)
    await opened.clean_up(keep_for=0.0, limit=9)
    for step in retention.steps(lambda connection: dialect.now(connection, clock), keep_for=0.0, limit=9):
        assert await opened.database.write(step)
    await opened.database.read(linker.ends)
    await opened.database.read(linker.unlinked)
    await opened.database.read(lambda connection: linker.after(connection, 12, limit=9))
    await opened.database.read(lambda connection: linker.bounds(connection, since=clock.time, until=clock.time))


def _site() -> tuple[str, int, str]:
    """Return the innermost line of the room, outside its engines, that is running: module, line and function."""
    frame = sys._getframe(1)
    while (path := pathlib.Path(frame.f_code.co_filename)).parent != ROOM:
        assert frame.f_back is not None
        frame = frame.f_back
    return path.name, frame.f_lineno, frame.f_code.co_name


def _places() -> Iterator[tuple[str, range]]:
    """Return every call of `execute` in the room."""
    for path in _MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "execute":
                assert node.end_lineno is not None
                yield path.name, range(node.lineno, node.end_lineno + 1)


def _engines(opened: store.SqlStore) -> list[sa.Engine]:
    found = []
    for connections in (opened.database.writer, opened.database.readers):
        assert isinstance(connections, (sqlite.Threads, postgres.Pool))
        found.append(connections.engine if isinstance(connections, sqlite.Threads) else connections.engine.sync_engine)
    return found


async def _ran(opened: store.SqlStore, clock: Clock) -> list[Ran]:
    """Use every method, and return each statement once."""
    seen: dict[tuple[str, str, int], Ran] = {}

    def note(_c: object, _cursor: object, sql: str, parameters: Any, _context: object, _many: bool) -> None:
        if sql.startswith(("BEGIN", "PRAGMA")) or "pg_catalog" in sql:
            return
        module, line, function = _site()
        first = parameters[0] if parameters and isinstance(parameters[0], tuple) else parameters
        seen[sql, module, line] = Ran(sql=sql, parameters=tuple(first), module=module, line=line, function=function)

    for engine in _engines(opened):
        event.listen(engine, "before_cursor_execute", note)
    await _use_every_method(opened, clock)
    for engine in _engines(opened):
        event.remove(engine, "before_cursor_execute", note)
    return list(seen.values())


@pytest.fixture
async def full(replicas: Replicas) -> store.SqlStore:
    """Return a store with very many finished requests, of which it knows the statistics."""
    opened = await replicas.open("mine")
    # Past the patience that a server's transactions have: another connection fills.
    url = sa.make_url(replicas.url)
    server = url.drivername != "sqlite"
    filling = postgres.engine(url, patience=600.0, limited=False) if server else None
    if filling is None:
        with sa.create_engine(url).begin() as connection:
            filled.fill(connection, count=STORED)
        return opened
    async with filling.begin() as through:
        await through.run_sync(lambda connection: filled.fill(connection, count=STORED))
    await filling.dispose()
    return opened


async def test_no_statement_reads_the_more_the_more_is_stored(full: store.SqlStore, clock: Clock) -> None:
    on_server = isinstance(full.database.writer, postgres.Pool)
    clock.time = clock.time + 0.5
    ran = await _ran(full, clock)
    asked = [each for each in ran if each.function not in SCANS]
    costly = {}
    for each in asked:
        found = await (_on_server(full, each) if on_server else _on_file(full, each))
        if found:
            costly[f"{each.module}:{each.line} {each.sql}"] = found
    assert costly == {}
    passed = {(each.module, each.line) for each in ran}
    missed = [(name, lines) for name, lines in _places() if not any((name, line) in passed for line in lines)]
    # What only a server runs, or only a file, is passed there.
    assert [(name, lines[0]) for name, lines in missed if not _of_the_other(name, lines)] == []


async def test_every_method_of_the_store_is_used(mine: store.SqlStore) -> None:
    used = ast.walk(ast.parse(inspect.getsource(_use_every_method)))
    called = {node.attr for node in used if isinstance(node, ast.Attribute)}
    public = {name for name, found in inspect.getmembers(mine, inspect.iscoroutinefunction) if name[0] != "_"}
    assert public - called == {"close"}


def _of_the_other(module: str, lines: range) -> bool:
    """Tell a place that is passed on one kind of database only: it stands under a question about the server."""
    before = (ROOM / module).read_text(encoding="utf-8").splitlines()[: lines[0]]
    function = next(number for number in range(len(before) - 1, -1, -1) if before[number].startswith("def "))
    return any("on_server(" in line or "isinstance(now, float)" in line for line in before[function:])


async def _on_file(opened: store.SqlStore, ran: Ran) -> str:
    """Return why a statement is too dear on SQLite: a scan in its plan, or the instructions that it takes."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 100
        return 0

    def work(connection: sa.Connection) -> str:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {ran.sql}", ran.parameters)
        scans = [row.detail for row in plan if _is_scan(row.detail)]
        driver: Any = connection.connection.driver_connection
        savepoint = connection.begin_nested()
        driver.set_progress_handler(count, 100)
        try:
            connection.exec_driver_sql(ran.sql, ran.parameters).close()
        except sa.exc.IntegrityError:
            pass
        finally:
            driver.set_progress_handler(None, 0)
            savepoint.rollback()
        return f"{scans}, {steps} instructions" if scans or steps > STEPS else ""

    return await opened.database.write(work)


def _is_scan(detail: str) -> bool:
    return (
        detail.startswith("SCAN") and any(f" {table}" in detail for table in filled.GROWING) and "INDEX" not in detail
    )


async def _on_server(opened: store.SqlStore, ran: Ran) -> str:
    """Return why a statement is too dear on PostgreSQL: a scan in its plan, or the rows that it looks at."""
    # ANALYZE runs the statement once more: a second INSERT is refused, and so is a change of the audit.
    analyze = "" if ran.sql.startswith(("INSERT", "UPDATE audit", "DELETE FROM audit")) else "ANALYZE, TIMING OFF, "

    def work(connection: sa.Connection) -> str:
        savepoint = connection.begin_nested()
        found = connection.exec_driver_sql(f"EXPLAIN ({analyze}FORMAT JSON) {ran.sql}", ran.parameters).scalar_one()
        savepoint.rollback()
        nodes = list(_nodes((json.loads(found) if isinstance(found, str) else found)[0]["Plan"]))
        scans = [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] in filled.GROWING]
        looked_at = max(map(_looked_at, nodes))
        return f"{[each['Relation Name'] for each in scans]}, {looked_at} rows" if scans or looked_at > ROWS else ""

    return await opened.database.write(work)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _looked_at(node: dict[str, Any]) -> float:
    rows = (node.get(key, 0) for key in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"))
    return float(sum(rows) * node.get("Actual Loops", 1))
