"""Taking away what is old and settled, a little at a time: each function is the statements of one short transaction.

What somebody may still act on is never taken: an open request, and one of which nobody knows what came of it. They
begin and end no transaction.
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
    """Return what there is to clean up, as one transaction for each kind; each says how many records it deleted."""

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
    """Delete settled requests that nobody has changed since then and on which nothing is due, with all of theirs."""
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
    """Delete rows of the inbox that are done and too old to be met by a repeated delivery."""
    table = schema.inbox
    done = table.c.state == sa.literal_column(f"'{schema.EntryState.DONE}'")
    old = (
        sa.select(table.c.key)
        .where(done, table.c.received_at <= now - statements.REPEAT_WITHIN)
        .order_by(table.c.received_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    chosen = dialect.among(connection, table.c.key, old)
    return connection.execute(table.delete().where(chosen)).rowcount
