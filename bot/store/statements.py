"""What a transaction does with the tables, for `store` to put together.

Functions of a connection; they begin and end no transaction, and they know neither a clock nor the replica.
"""

from collections import defaultdict
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import errors, ports
from bot import request as requests
from bot.store import dialect, rows, schema

REPEAT_WITHIN: Final = 86_400.0
"""Seconds within which a second entry with the same key is the same delivery."""

Where = sa.ColumnElement[bool] | sa.TextClause

FREE: Final[dict[str, Any]] = {"lease_owner": None, "lease_until": None}
"""The lease of what nobody works on."""

UNFINISHED: Final = schema.inbox.c.state != sa.literal_column(f"'{schema.EntryState.DONE}'")
"""Rows of the inbox that still want something; written out, so that the partial index is found."""

HOLDING: Final = sa.text("operations.holds")
"""Operations that hold their flow; in the words of the partial index, which SQLite does not find by `holds = 1`."""


def lapsed(table: sa.Table, now: float) -> sa.ColumnElement[bool]:
    """Tell rows that nobody works on, or not any more."""
    return sa.or_(table.c.lease_until.is_(None), table.c.lease_until <= now)


def _record() -> sa.sql.dml.ReturningInsert[tuple[str]]:
    inbox = schema.inbox
    insert = dialect.insert(inbox)
    return insert.on_conflict_do_update(
        index_elements=[inbox.c.key],
        set_={column.name: insert.excluded[column.name] for column in inbox.c if column is not inbox.c.key},
        where=inbox.c.received_at <= insert.excluded.received_at - sa.literal_column(str(REPEAT_WITHIN)),
    ).returning(inbox.c.key)


RECORD: Final = _record()
"""Adds rows to the inbox, or replaces rows that are too old to be the same delivery; returns the keys."""


def _note_key() -> sa.sql.dml.Insert:
    keys = schema.keys
    insert = dialect.insert(keys)
    others = {column.name: insert.excluded[column.name] for column in keys.c if column is not keys.c.key}
    return insert.on_conflict_do_update(index_elements=[keys.c.key], set_=others)


NOTE_KEY: Final = _note_key()
"""Adds or replaces how an access key stands."""


async def lapse_all(connection: AsyncConnection) -> None:
    """End every lease, of whatever replica."""
    await connection.execute(schema.requests.update().where(schema.requests.c.lease_owner.is_not(None)).values(FREE))
    await connection.execute(schema.inbox.update().where(UNFINISHED).values(FREE))


async def read(connection: AsyncConnection, *where: Where, limit: int | None = None) -> list[requests.Request]:
    """Read requests, the newest first."""
    query = (
        sa.select(*rows.REQUEST_COLUMNS)
        .join(schema.operations, schema.operations.c.request_id == schema.requests.c.id)
        .where(*where)
        .order_by(schema.requests.c.created_at.desc())
        .limit(limit)
    )
    found = (await connection.execute(query)).mappings().all()
    unsent = await _unsent(connection, [row["id"] for row in found])
    return [rows.to_request(row, unsent[row["id"]]) for row in found]


async def claimed(connection: AsyncConnection, claim: sa.Update) -> list[requests.Request]:
    """Carry out a claim and read the requests that it got, the most overdue first."""
    got = (await connection.execute(claim.returning(schema.requests.c.id, schema.requests.c.due_at))).all()
    due = {row.id: row.due_at for row in got}
    found = await read(connection, schema.requests.c.id.in_(due)) if due else []
    return sorted(found, key=lambda request: due[request.id] or 0.0)


async def save(connection: AsyncConnection, request: requests.Request, leased: dict[str, Any]) -> None:
    """Add version 1 of a request, or put a higher version in the place of the one below it; with operation and replies.

    Raises errors.Conflict when it is not there to be replaced, or there already.
    """
    # Two plain statements and no upsert: SQLAlchemy compiles an ON CONFLICT anew each time.
    decided = {**rows.decided(request), **leased}
    if request.version == 1:
        new = {"id": request.id, **decided, **rows.told(request)}
        await connection.execute(schema.requests.insert(), new)
        await connection.execute(schema.operations.insert(), rows.operation(request))
    else:
        await _replace(connection, request, decided)
    if request.unsent:
        new_ones = dialect.insert(schema.replies).on_conflict_do_nothing()
        await connection.execute(new_ones, [rows.reply(request.id, reply) for reply in request.unsent])


async def decide(connection: AsyncConnection, change: ports.Change, lease: dict[str, Any]) -> None:
    """Store the answer of an inbox row, which stays claimed until it is told; without one the row is done.

    Also a row that was done may get an answer: a card that turns out to be impossible is told of there.
    """
    done = change.answer is None
    state = schema.EntryState.DONE if done else schema.EntryState.DECIDED
    settled = {"state": state.value, "answer": rows.answer(change.answer), **(FREE if done else lease)}
    await connection.execute(schema.inbox.update().where(schema.inbox.c.key == change.entry).values(settled))


async def _replace(connection: AsyncConnection, request: requests.Request, decided: rows.Columns) -> None:
    below = (schema.requests.c.id == request.id, schema.requests.c.version == request.version - 1)
    if (await connection.execute(schema.requests.update().where(*below).values(decided))).rowcount != 1:
        raise errors.Conflict(f"{request.id} was changed by somebody else")
    this = schema.operations.c.request_id == request.id
    await connection.execute(schema.operations.update().where(this).values(rows.operation(request)))


async def _unsent(connection: AsyncConnection, ids: list[str]) -> dict[str, list[sa.RowMapping]]:
    found: dict[str, list[sa.RowMapping]] = defaultdict(list)
    if ids:
        replies = schema.replies
        query = sa.select(replies).where(replies.c.request_id.in_(ids), replies.c.ts.is_(None)).order_by(replies.c.seq)
        for row in (await connection.execute(query)).mappings():
            found[row["request_id"]].append(row)
    return found
