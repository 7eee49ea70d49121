"""No method of the store scans a whole table of SQLite; each uses an index."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from bot.store import store
from bot.store.engines import sqlite
from bot.usecases import answers, ports

from . import examples
from .conftest import Clock


async def _use_every_method(opened: store.SqlStore, clock: Clock) -> None:
    await opened.record([examples.entry("k1"), examples.entry("k2")])
    await opened.entry("k1")
    await opened.commit(
        ports.Change(audit=(), request=examples.asked(), entry="k1", answer=answers.Noted(what="asked"))
    )
    approved = examples.approved(examples.asked())
    await opened.commit(ports.Change(audit=(ports.AuditEvent(at=1.0, what="approved"),), request=approved))
    await opened.postpone_entry("k1", until=clock.time)
    await opened.claim_entries(limit=9)
    await opened.finish_entry("k1")
    await opened.load("r1")
    await opened.holder("live", "flow-1")
    await opened.last_denial("live", "flow-1", since=0.0)
    await opened.emergencies("UALICE", since=0.0)
    await opened.unsettled(limit=9)
    await opened.history("live", limit=9)
    await opened.history("live", flow_id="flow-1", limit=9)
    await opened.claim("r1")
    await opened.release(approved, due_at=clock.time)
    await opened.next_due_at()
    await opened.claim_due(limit=9)
    await opened.told(approved)
    await opened.reply_sent("r1", seq=1, ts="1.2")
    await opened.let_go(keeping={"r1"})
    await opened.clean_up(keep_for=0.0, limit=9)


@pytest.fixture
def url(file_url: str) -> str:
    """Return a file: a server's plans depend on its statistics."""
    return file_url


async def test_every_row_is_found_by_an_index(mine: store.SqlStore, clock: Clock) -> None:
    ran: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool) -> None:
        several = bool(parameters) and isinstance(parameters[0], tuple)
        ran.append((statement, parameters[0] if several else parameters))

    threads = (mine.database.writer, mine.database.readers)
    engines = [each.engine for each in threads if isinstance(each, sqlite.Threads)]
    assert len(engines) == len(threads)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    await _use_every_method(mine, clock)
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)
    statements = {statement: parameters for statement, parameters in ran if not statement.startswith("BEGIN")}
    plans = {statement: await _plan(mine, statement, found) for statement, found in statements.items()}
    assert len(plans) > 15
    assert {statement: plan for statement, plan in plans.items() if _scans(plan)} == {}


async def _plan(opened: store.SqlStore, statement: str, parameters: Any) -> list[str]:
    def work(connection: sa.Connection) -> list[str]:
        found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", tuple(parameters))
        return [row.detail for row in found]

    return await opened.database.write(work)


def _scans(plan: list[str]) -> bool:
    return any(line.startswith("SCAN") and "INDEX" not in line and "CONSTANT" not in line for line in plan)
