"""The inbox as the host uses it: an entry that waits for any bot, its result, and how it is withdrawn.

The functions are the statements of one short transaction each, and begin and end none.
"""

import dataclasses
from typing import Final

import sqlalchemy as sa

from bot.commands.deliveries import Entry
from bot.store import rows, schema, statements
from bot.store.engines import dialect
from bot.usecases import answers

_INBOX: Final = schema.inbox
_KEY: Final = _INBOX.c.key == sa.bindparam("the_key", type_=sa.Text)
_SUBMIT: Final = _INBOX.insert()
_RESULT: Final = sa.select(_INBOX).where(_KEY)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What became of an entry: whether it is decided, and its answer where there is one."""

    is_decided: bool
    answer: answers.AnyAnswer | None = None


def submit(connection: sa.Connection, entry: Entry) -> None:
    """Write an entry that no replica has claimed."""
    connection.execute(_SUBMIT, rows.entry(entry))


def result(connection: sa.Connection, key: str) -> Result:
    """Return what became of an entry by now."""
    row = connection.execute(_RESULT, {"the_key": key}).mappings().one()
    is_decided = row["state"] != schema.EntryState.RECEIVED
    return Result(is_decided=is_decided, answer=rows.to_claimed(row).answer if is_decided else None)


def withdraw(connection: sa.Connection, key: str, *, now: dialect.Time) -> bool:
    """Delete an entry that no bot has taken up, and tell whether that was so: it will never be carried out."""
    waits = _INBOX.c.state == schema.EntryState.RECEIVED.value
    gone = connection.execute(_INBOX.delete().where(_INBOX.c.key == key, waits, statements.lapsed(_INBOX, now)))
    return gone.rowcount == 1
