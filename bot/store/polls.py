"""The statements with which the worker looks for due work, several times a second; each is built once per database.

They begin and end no transaction. `LOAD` and its like, for one request, are in `statements`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from bot.lifecycle import records
from bot.store import schema, statements
from bot.store.engines import dialect

_TIME: Final = sa.bindparam("the_time", type_=sa.Double)
_MOST: Final = sa.bindparam("the_most", type_=sa.Integer)
_REPLICA: Final = sa.bindparam("the_replica", type_=sa.Text)


def claim_entries(connection: sa.Connection, *, limit: int, replica: str, now: dialect.Time) -> Sequence[sa.RowMapping]:
    """Lease unfinished inbox rows that are due and whose lease has expired, the oldest first."""
    claim = _CLAIM_ENTRIES[dialect.on_server(connection)]
    return connection.execute(claim, _given(limit=limit, replica=replica, now=now)).mappings().all()


def claim_due(connection: sa.Connection, *, limit: int, replica: str, now: dialect.Time) -> list[records.Request]:
    """Lease requests that are due and whose lease has expired, and read them, the most overdue first."""
    claim = _CLAIM_DUE[dialect.on_server(connection)]
    got = connection.execute(claim, _given(limit=limit, replica=replica, now=now)).all()
    return statements.claimed(connection, {row.id: row.due_at for row in got})


def next_due_at(connection: sa.Connection, *, now: dialect.Time) -> float | None:
    """Return when the next request that nobody holds is due."""
    query = _NEXT_DUE[dialect.on_server(connection)]
    due_at: float | None = connection.execute(query, dialect.plain(the_time=now)).scalar()
    return due_at


def _given(*, limit: int, replica: str, now: dialect.Time) -> dict[str, Any]:
    return {"the_most": limit, "the_replica": replica, **dialect.plain(the_time=now)}


def _now(*, server: bool) -> sa.ColumnElement[float]:
    return dialect.SERVER_NOW if server else _TIME


def _claim(
    table: sa.Table, key: sa.Column[str], *which: sa.ColumnElement[bool], oldest: sa.Column[Any], server: bool
) -> sa.Update:
    """Return the UPDATE that leases rows which nobody holds."""
    now = _now(server=server)
    free = sa.select(key).where(table.c.due_at <= now, *which, statements.lapsed(table, now)).order_by(oldest)
    chosen = dialect.among(key, free.limit(_MOST).with_for_update(skip_locked=True), server=server)
    return table.update().where(chosen).values(lease_owner=_REPLICA, lease_until=now + statements.LEASE)


def _claim_entries(*, server: bool) -> sa.sql.dml.ReturningUpdate[Any]:
    inbox = schema.inbox
    claim = _claim(inbox, inbox.c.key, statements.UNFINISHED, oldest=inbox.c.received_at, server=server)
    return claim.returning(inbox)


def _claim_due(*, server: bool) -> sa.sql.dml.ReturningUpdate[Any]:
    requests = schema.requests
    claim = _claim(requests, requests.c.id, oldest=requests.c.due_at, server=server)
    return claim.returning(requests.c.id, requests.c.due_at)


def _next_due(*, server: bool) -> sa.Select[Any]:
    due_at = schema.requests.c.due_at
    free = statements.lapsed(schema.requests, _now(server=server))
    return sa.select(sa.func.min(due_at)).where(due_at.is_not(None), free)


_CLAIM_ENTRIES: Final[Mapping[bool, Any]] = {server: _claim_entries(server=server) for server in (True, False)}
_CLAIM_DUE: Final[Mapping[bool, Any]] = {server: _claim_due(server=server) for server in (True, False)}
_NEXT_DUE: Final[Mapping[bool, Any]] = {server: _next_due(server=server) for server in (True, False)}
