"""Delete old settled records in small steps; each function holds the statements of one short transaction.

Requests that people may still act on are never deleted: open ones, and those with an unknown outcome. The functions do
not begin or end transactions.
"""

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from bot.lifecycle.states import Progress, State
from bot.store import linker, schema, statements
from bot.store.engines import database, dialect

_KNOWN_ENDS: Final = (
    Progress.SUCCEEDED.value,
    Progress.FAILED.value,
    Progress.CANCELLED.value,
)


def steps(
    now: Callable[[sa.Connection], dialect.Time], *, keep_for: float, limit: int
) -> tuple[database.Work[int], ...]:
    """Return one clean-up transaction for each kind of record; each returns the number of deleted records."""

    def before(connection: sa.Connection) -> float:
        return dialect.read_now(connection, now(connection)) - keep_for

    return (
        lambda connection: _delete_requests(connection, before=before(connection), limit=limit, now=now(connection)),
        lambda connection: _delete_entries(connection, limit=limit, now=now(connection)),
        lambda connection: linker.cut(
            connection, before=before(connection), limit=limit, now=before(connection) + keep_for
        ),
    )


def _delete_requests(connection: sa.Connection, *, before: float, limit: int, now: dialect.Time) -> int:
    """Delete settled requests that were not changed since then and have nothing due, with all their rows."""
    table, operations = schema.requests, schema.operations
    ended = sa.exists().where(operations.c.request_id == table.c.id, operations.c.progress.in_(_KNOWN_ENDS))
    settled = (
        sa.select(table.c.id)
        .where(
            table.c.due_at.is_(None),
            table.c.changed_at < before,
            table.c.state != State.PENDING.value,
            statements.lapsed(table, now),
            ended,
        )
        .order_by(table.c.changed_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = connection.execute(settled).scalars().all()
    if ids:
        for children in (schema.replies, operations):
            connection.execute(children.delete().where(children.c.request_id.in_(ids)))
        connection.execute(table.delete().where(table.c.id.in_(ids)))
    return len(ids)


def _delete_entries(connection: sa.Connection, *, limit: int, now: dialect.Time) -> int:
    """Delete done inbox rows that are too old for a repeated delivery."""
    table = schema.inbox
    done = table.c.state == sa.literal_column(f"'{schema.EntryState.DONE}'")
    old = (
        sa.select(table.c.key)
        .where(done, table.c.received_at <= now - statements.REPEAT_WITHIN)
        .order_by(table.c.received_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    chosen = dialect.among(table.c.key, old, server=dialect.on_server(connection))
    return connection.execute(table.delete().where(chosen)).rowcount
