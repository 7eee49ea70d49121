"""What a transaction does with the tables, for `store` to put together.

Functions of a connection; they begin and end no transaction, and they know neither a clock nor the replica.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import errors, ports
from bot import request as requests
from bot.store import dialect, rows, schema

log = structlog.get_logger()

LEASE: Final = 30.0
"""Seconds for which a claim holds."""

REPEAT_WITHIN: Final = 86_400.0
"""Seconds within which a second entry with the same key is the same delivery."""

Where = sa.ColumnElement[bool] | sa.TextClause

FREE: Final[dict[str, Any]] = {"lease_owner": None, "lease_until": None}
"""The lease of what nobody works on."""

UNFINISHED: Final = schema.inbox.c.state != sa.literal_column(f"'{schema.EntryState.DONE}'")
"""Rows of the inbox that still want something; written out, so that the partial index is found."""

HOLDING: Final = sa.text("operations.holds")
"""Operations that hold their flow; in the words of the partial index, which SQLite does not find by `holds = 1`."""

ALIVE: Final = sa.and_(
    # SQLite does not find the partial index by IS NOT NULL, which this implies: no time is before the epoch.
    schema.requests.c.due_at >= 0.0,
    schema.requests.c.state.in_((requests.State.PENDING.value, requests.State.APPROVED.value)),
)
"""Requests of which something may still come: whatever may, is due some time."""


def lapsed(table: sa.Table, now: dialect.Time) -> sa.ColumnElement[bool]:
    """Tell rows that nobody works on, or not any more."""
    return sa.or_(table.c.lease_until.is_(None), table.c.lease_until <= now)


def lease(replica: str, now: dialect.Time) -> dict[str, Any]:
    """Return the columns of a lease."""
    return {"lease_owner": replica, "lease_until": now + LEASE}


def _record(*, server: bool) -> sa.sql.dml.ReturningInsert[tuple[str]]:
    inbox = schema.inbox
    insert = dialect.insert(inbox, server=server)
    if server:
        insert = insert.values(lease_until=dialect.SERVER_NOW + LEASE)
    return insert.on_conflict_do_update(
        index_elements=[inbox.c.key],
        set_={column.name: insert.excluded[column.name] for column in inbox.c if column is not inbox.c.key},
        where=inbox.c.received_at <= insert.excluded.received_at - sa.literal_column(str(REPEAT_WITHIN)),
    ).returning(inbox.c.key)


_RECORD: Final = {server: _record(server=server) for server in (True, False)}


def _note_key(*, server: bool) -> dialect.Insert:
    keys = schema.keys
    insert = dialect.insert(keys, server=server)
    others = {column.name: insert.excluded[column.name] for column in keys.c if column is not keys.c.key}
    return insert.on_conflict_do_update(index_elements=[keys.c.key], set_=others)


_NOTE_KEY: Final = {server: _note_key(server=server) for server in (True, False)}


def _replace(*, server: bool) -> sa.Update:
    """Return the UPDATE of one version to the next: by version alone, and leaving others the lease that they have."""
    table = schema.requests
    now = dialect.SERVER_NOW if server else sa.bindparam("the_time", type_=sa.Double)
    mine = sa.bindparam("the_replica", type_=sa.Text)
    theirs = sa.and_(table.c.lease_owner != mine, table.c.lease_until > now)
    return (
        table.update()
        .where(table.c.id == sa.bindparam("the_id"), table.c.version == sa.bindparam("the_version_below"))
        .values(
            lease_owner=sa.case((theirs, table.c.lease_owner), else_=mine),
            lease_until=sa.case((theirs, table.c.lease_until), else_=now + LEASE),
            due_at=now,
            changed_at=now,
        )
    )


_REPLACE: Final = {server: _replace(server=server) for server in (True, False)}

_ADD: Final = {
    False: schema.requests.insert(),
    True: schema.requests.insert().values(
        lease_until=dialect.SERVER_NOW + LEASE, due_at=dialect.SERVER_NOW, changed_at=dialect.SERVER_NOW
    ),
}


async def record(
    connection: AsyncConnection, entries: Iterable[rows.Columns], *, replica: str, now: dialect.Time
) -> frozenset[str]:
    """Add rows to the inbox, or replace rows that are too old to be the same delivery; return the keys."""
    leased = {"lease_owner": replica, **dialect.plain(lease_until=now + LEASE)}
    result = await connection.execute(_RECORD[dialect.on_server(connection)], [{**row, **leased} for row in entries])
    return frozenset(result.scalars())


async def note_key(connection: AsyncConnection, columns: rows.Columns) -> None:
    """Add or replace how an access key stands."""
    await connection.execute(_NOTE_KEY[dialect.on_server(connection)], columns)


async def pause(connection: AsyncConnection, pause: ports.Pause) -> None:
    """Put a pause in the place of whatever pause there is."""
    await connection.execute(schema.pause.delete())
    await connection.execute(schema.pause.insert(), {"id": 1, **dataclasses.asdict(pause)})


async def lapse_all(connection: AsyncConnection) -> None:
    """End every lease, of whatever replica."""
    await connection.execute(schema.requests.update().where(schema.requests.c.lease_owner.is_not(None)).values(FREE))
    await connection.execute(schema.inbox.update().where(UNFINISHED).values(FREE))


async def let_go(connection: AsyncConnection, *, replica: str, keeping: Collection[str]) -> None:
    """End the leases of one replica on what wants something, but for the rows with these keys and ids."""
    requests_, inbox = schema.requests, schema.inbox
    held = (requests_.c.due_at >= 0.0, requests_.c.lease_owner == replica, requests_.c.id.not_in(keeping))
    await connection.execute(requests_.update().where(*held).values(FREE))
    taken = (UNFINISHED, inbox.c.lease_owner == replica, inbox.c.key.not_in(keeping))
    await connection.execute(inbox.update().where(*taken).values(FREE))


async def read(
    connection: AsyncConnection, *where: Where, limit: int | None = None, skipping: bool = False
) -> list[requests.Request]:
    """Read requests, the newest first. With `skipping`, one that cannot be read keeps none of the others waiting."""
    query = (
        sa.select(*rows.REQUEST_COLUMNS)
        .join(schema.operations, schema.operations.c.request_id == schema.requests.c.id)
        .where(*where)
        .order_by(schema.requests.c.created_at.desc())
        .limit(limit)
    )
    found = (await connection.execute(query)).mappings().all()
    unsent = await _unsent(connection, [row["id"] for row in found])
    if not skipping:
        return [rows.to_request(row, unsent[row["id"]]) for row in found]
    read = (_readable(row, unsent[row["id"]]) for row in found)
    return [request for request in read if request is not None]


def _readable(row: sa.RowMapping, unsent: list[sa.RowMapping]) -> requests.Request | None:
    try:
        return rows.to_request(row, unsent)
    except errors.StoreError as failure:
        log.error("a request is left alone", reason=str(failure))
        return None


async def claimed(connection: AsyncConnection, claim: sa.Update, *, skipping: bool = False) -> list[requests.Request]:
    """Carry out a claim and read the requests that it got, the most overdue first."""
    got = (await connection.execute(claim.returning(schema.requests.c.id, schema.requests.c.due_at))).all()
    due = {row.id: row.due_at for row in got}
    found = await read(connection, schema.requests.c.id.in_(due), skipping=skipping) if due else []
    return sorted(found, key=lambda request: due[request.id] or 0.0)


async def save(connection: AsyncConnection, request: requests.Request, *, replica: str, now: dialect.Time) -> None:
    """Add version 1 of a request, or put a higher version in the place of the one below it; with operation and replies.

    Raises errors.Conflict when it is not there to be replaced, or there already.
    """
    # Plain statements and no upsert: SQLAlchemy compiles an ON CONFLICT anew each time.
    if request.version == 1:
        await _add(connection, request, replica=replica, now=now)
    else:
        await _put(connection, request, replica=replica, now=now)
    if request.unsent:
        insert = dialect.insert(schema.replies, server=dialect.on_server(connection))
        new = [rows.reply(request.id, reply) for reply in request.unsent]
        await connection.execute(insert.on_conflict_do_nothing(), new)


async def _add(connection: AsyncConnection, request: requests.Request, *, replica: str, now: dialect.Time) -> None:
    leased = {"lease_owner": replica, **dialect.plain(lease_until=now + LEASE, due_at=now, changed_at=now)}
    new = {"id": request.id, **rows.decided(request), **leased, **rows.told(request)}
    await connection.execute(_ADD[dialect.on_server(connection)], new)
    await connection.execute(schema.operations.insert(), rows.operation(request))


async def _put(connection: AsyncConnection, request: requests.Request, *, replica: str, now: dialect.Time) -> None:
    below = {"the_id": request.id, "the_version_below": request.version - 1, "the_replica": replica}
    columns = {**rows.decided(request), **below, **dialect.plain(the_time=now)}
    if (await connection.execute(_REPLACE[dialect.on_server(connection)], columns)).rowcount != 1:
        raise errors.Conflict(f"{request.id} was changed by somebody else")
    this = schema.operations.c.request_id == request.id
    await connection.execute(schema.operations.update().where(this).values(rows.operation(request)))


async def decide(connection: AsyncConnection, change: ports.Change, leased: Mapping[str, Any]) -> None:
    """Store the answer of an inbox row, which stays claimed until it is told; without one the row is done.

    Raises errors.DecidedBefore when it was decided already: by a replica that took it over, or by a write of ours whose
    reply was lost.
    """
    inbox = schema.inbox
    done = change.answer is None
    state = schema.EntryState.DONE if done else schema.EntryState.DECIDED
    settled = {"state": state.value, "answer": rows.answer(change.answer), **(FREE if done else leased)}
    undecided = () if change.reopens else (inbox.c.state == schema.EntryState.RECEIVED.value,)
    updated = await connection.execute(inbox.update().where(inbox.c.key == change.entry, *undecided).values(settled))
    if undecided and updated.rowcount != 1:
        raise errors.DecidedBefore(f"the entry {change.entry} was decided already")


async def _unsent(connection: AsyncConnection, ids: list[str]) -> dict[str, list[sa.RowMapping]]:
    found: dict[str, list[sa.RowMapping]] = defaultdict(list)
    if ids:
        replies = schema.replies
        query = sa.select(replies).where(replies.c.request_id.in_(ids), replies.c.ts.is_(None)).order_by(replies.c.seq)
        for row in (await connection.execute(query)).mappings():
            found[row["request_id"]].append(row)
    return found
