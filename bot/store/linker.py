"""The statements of the audit's chain: link new rows, cut off old ones, and read rows in order.

They do not begin or end transactions. Only one replica links at a time: the one that has locked the row of `chain`.
"""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from bot.store import audit, chain, schema
from bot.usecases import ports

_CHAIN: Final = schema.chain
_AUDIT: Final = schema.audit

_LOCKED: Final = sa.select(_CHAIN).where(_CHAIN.c.id == 1).with_for_update(skip_locked=True)
_ENDS: Final = sa.select(_CHAIN).where(_CHAIN.c.id == 1)
_MOVE: Final = _CHAIN.update().where(_CHAIN.c.id == 1)
_TO_LINK: Final = (
    sa.select(_AUDIT).where(_AUDIT.c.hash.is_(None)).order_by(_AUDIT.c.id).limit(sa.bindparam("most", type_=sa.Integer))
)
_LINK: Final = _AUDIT.update().where(_AUDIT.c.id == sa.bindparam("the_id"))
_IN_ORDER: Final = (
    sa.select(_AUDIT)
    .where(_AUDIT.c.seq > sa.bindparam("after", type_=sa.BigInteger))
    .order_by(_AUDIT.c.seq)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


def link(connection: sa.Connection, *, limit: int) -> int:
    """Link the oldest unlinked rows, at most `limit`, and return their number.

    It is also 0 if another replica is linking at the moment.
    """
    ends = connection.execute(_LOCKED).mappings().one_or_none()
    if ends is None:
        return 0
    found = connection.execute(_TO_LINK, {"most": limit}).mappings().all()
    if not found:
        return 0
    last = chain.Link(seq=ends["seq"], hash=ends["hash"])
    rows = list(chain.linked([_row(each) for each in found], after=last))
    places = [
        {"the_id": each["id"], "seq": row["seq"], "prev": row["prev"], "hash": row["hash"]}
        for each, row in zip(found, rows, strict=True)
    ]
    connection.execute(_LINK, places)
    connection.execute(_MOVE.values(seq=rows[-1]["seq"], hash=rows[-1]["hash"]))
    return len(rows)


def cut(connection: sa.Connection, *, before: float, limit: int, now: float) -> int:
    """Delete the first rows of the chain that are older than `before`, at most `limit`, and return their number.

    The anchor moves to the last deleted row, and a new row of the audit records it. Triggers allow deletion only up to
    the anchor, and only before the time that `retention` holds during this transaction.
    """
    ends = connection.execute(_LOCKED).mappings().one_or_none()
    if ends is None:
        return 0
    old = 0
    found = connection.execute(_IN_ORDER, {"after": ends["anchor_seq"], "most": limit}).mappings().all()
    while old < len(found) and found[old]["at"] < before:
        old += 1
    if not old:
        return 0
    anchor = found[old - 1]
    connection.execute(_MOVE.values(anchor_seq=anchor["seq"], anchor_hash=anchor["hash"]))
    keep = schema.retention.update().where(schema.retention.c.id == 1)
    connection.execute(keep.values(audit_before=before))
    connection.execute(_AUDIT.delete().where(_AUDIT.c.seq <= anchor["seq"]))
    connection.execute(keep.values(audit_before=None))
    facts: dict[str, object] = {"rows": old, "through": anchor["seq"], "hash": anchor["hash"]}
    connection.execute(_AUDIT.insert(), audit.row(ports.AuditEvent(at=now, what="audit cut", facts=facts)))
    return old


def ends(connection: sa.Connection) -> tuple[chain.Link, chain.Link]:
    """Return the anchor, to which the first row is linked, and the head."""
    row = connection.execute(_ENDS).mappings().one()
    return (
        chain.Link(seq=row["anchor_seq"], hash=row["anchor_hash"]),
        chain.Link(seq=row["seq"], hash=row["hash"]),
    )


def after(connection: sa.Connection, seq: int, *, limit: int) -> list[dict[str, Any]]:
    """Return the linked rows after a number, in order, at most `limit`."""
    found = connection.execute(_IN_ORDER, {"after": seq, "most": limit}).mappings().all()
    return [{**_row(each), "seq": each["seq"], "prev": each["prev"], "hash": each["hash"]} for each in found]


def bounds(connection: sa.Connection, *, since: float | None, until: float | None) -> tuple[int, int]:
    """Return the first and the last number of the linked rows of a period; if there are none, the first is greater.

    The export contains all rows between the two, so that it can be verified: `at` comes from the clocks of replicas and
    may be slightly out of order.
    """
    first, last = sa.select(sa.func.min(_AUDIT.c.seq)), sa.select(sa.func.max(_AUDIT.c.seq))
    begins = connection.execute(first if since is None else first.where(_AUDIT.c.at >= since)).scalar()
    ends = connection.execute(last if until is None else last.where(_AUDIT.c.at < until)).scalar()
    return (1, 0) if begins is None or ends is None else (begins, ends)


def unlinked(connection: sa.Connection) -> int:
    """Return the number of rows that are not linked yet."""
    return connection.execute(sa.select(sa.func.count()).where(_AUDIT.c.hash.is_(None))).scalar_one()


_CONTENTS: Final[Sequence[str]] = ("at", "what", "actor_team", "actor_user", "request_id")


def _row(found: sa.RowMapping) -> dict[str, Any]:
    return {**{name: found[name] for name in _CONTENTS}, "facts": chain.facts_of(found["facts"])}
