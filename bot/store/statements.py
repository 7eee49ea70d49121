"""The statements from which `store` builds its transactions.

Functions of a connection. They do not begin or end transactions, and have no clock.
"""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import sqlalchemy as sa
import structlog

from bot.lifecycle import records, schedule
from bot.lifecycle.states import State
from bot.store import rows, schema
from bot.store.engines import dialect
from bot.usecases import errors, ports

log = structlog.get_logger()

LEASE: Final = 30.0
"""The duration of a lease in seconds."""

REPEAT_WITHIN: Final = 86_400.0
"""Seconds in which a second entry with the same key counts as the same delivery."""

Where = sa.ColumnElement[bool] | sa.TextClause

FREE: Final[dict[str, Any]] = {"lease_owner": None, "lease_until": None}
"""The columns of a row without a lease."""

UNFINISHED: Final = schema.inbox.c.state != sa.literal_column(f"'{schema.EntryState.DONE}'")
"""Inbox rows that are not done; written literally, so that the partial index is used."""

HOLDING: Final = sa.text("operations.holds")
"""Operations that hold their flow; written like the partial index, which SQLite does not use for `holds = 1`."""

EMERGENCY: Final = schema.requests.c.emergency.is_not(None)
"""Emergencies."""

ALIVE: Final = sa.and_(
    # This implies IS NOT NULL, since no time is before the epoch; SQLite uses the partial index only for this form.
    schema.requests.c.due_at >= 0.0,
    schema.requests.c.state.in_((State.PENDING.value, State.APPROVED.value)),
)
"""Requests that are not settled: they always have a due time."""


def lapsed(table: sa.Table, now: dialect.Time) -> sa.ColumnElement[bool]:
    """Return the condition for rows without a lease, or with an expired one."""
    return sa.or_(table.c.lease_until.is_(None), table.c.lease_until <= now)


def lease(replica: str, now: dialect.Time) -> dict[str, Any]:
    """Return the columns of a lease."""
    return {"lease_owner": replica, "lease_until": now + LEASE}


def reading(*where: Where, limit: int | None = None) -> sa.Select[Any]:
    """Return the SELECT of requests, newest first."""
    return (
        sa.select(*rows.REQUEST_COLUMNS)
        .join(schema.operations, schema.operations.c.request_id == schema.requests.c.id)
        .where(*where)
        .order_by(schema.requests.c.created_at.desc())
        .limit(limit)
    )


# Statements for each command and click are built once: SQLAlchemy needs three times as long for a new statement, even
# if it has compiled a similar one.

_THE_ID: Final = sa.bindparam("the_id", type_=sa.Text)
_THE_KEY: Final = sa.bindparam("the_key", type_=sa.Text)
_THE_REPLICA: Final = sa.bindparam("the_replica", type_=sa.Text)
_NOW: Final[dict[bool, dialect.Time]] = {True: dialect.SERVER_NOW, False: sa.bindparam("the_time", type_=sa.Double)}

LOAD: Final = reading(schema.requests.c.id == _THE_ID)

HOLDER: Final = reading(
    schema.operations.c.project == sa.bindparam("the_project", type_=sa.Text),
    schema.operations.c.flow_id == sa.bindparam("the_flow", type_=sa.Text),
    HOLDING,
)

CLAIM: Final = {
    server: schema.requests.update()
    .where(
        schema.requests.c.id == _THE_ID,
        sa.or_(lapsed(schema.requests, now), schema.requests.c.lease_owner == _THE_REPLICA),
    )
    .values(lease_owner=_THE_REPLICA, lease_until=now + LEASE)
    for server, now in _NOW.items()
}

RELEASE: Final = schema.requests.update().where(
    schema.requests.c.id == _THE_ID,
    schema.requests.c.version == sa.bindparam("the_version", type_=sa.Integer),
    schema.requests.c.lease_owner == _THE_REPLICA,
)

_REQUEST: Final = schema.requests.update().where(schema.requests.c.id == _THE_ID)
_CARD_TS: Final = schema.requests.c.card_ts
_SEEN_AT: Final = sa.bindparam("seen_at", type_=sa.Text)
_SHOWN_NOW: Final = sa.bindparam("shown_now", type_=sa.Integer)
_ELSEWHERE: Final = sa.and_(_CARD_TS != schedule.NO_CARD, _CARD_TS.is_distinct_from(_SEEN_AT))

# A recorded place is kept: any other place is that of a copy, or older than the record.
TOLD: Final = _REQUEST.values(
    card_ts=sa.case((_ELSEWHERE, _CARD_TS), else_=_SEEN_AT),
    card_shown=sa.case((_ELSEWHERE, schema.requests.c.card_shown), else_=_SHOWN_NOW),
)
CARD_SEEN: Final = _REQUEST.where(_CARD_TS.is_(None)).values(card_ts=_SEEN_AT, card_shown=0, tell_failures=0, tell_at=0)
CARD_SHOWN: Final = _REQUEST.where(schema.requests.c.card_shown < _SHOWN_NOW).values(card_shown=_SHOWN_NOW)

REPLY_SENT: Final = schema.replies.update().where(
    schema.replies.c.request_id == _THE_ID, schema.replies.c.seq == sa.bindparam("the_seq", type_=sa.Integer)
)

ENTRY: Final = schema.inbox.update().where(schema.inbox.c.key == _THE_KEY)
_UNDECIDED: Final = ENTRY.where(schema.inbox.c.state == schema.EntryState.RECEIVED.value)


def _decide(*, server: bool, done: bool, reopens: bool) -> sa.Update:
    """Return the UPDATE of a decided entry; its lease is renewed if an answer has to be delivered."""
    entry = ENTRY if reopens else _UNDECIDED
    return entry.values(lease_until=dialect.SERVER_NOW + LEASE) if server and not done else entry


_DECIDE: Final = {
    (server, done, reopens): _decide(server=server, done=done, reopens=reopens)
    for server, done, reopens in itertools.product((True, False), repeat=3)
}

_OPERATION: Final = schema.operations.update().where(schema.operations.c.request_id == _THE_ID)
_UNSENT: Final = (
    sa.select(schema.replies)
    .where(
        schema.replies.c.request_id.in_(sa.bindparam("ids", expanding=True, type_=sa.Text)),
        schema.replies.c.ts.is_(None),
    )
    .order_by(schema.replies.c.seq)
)

PAUSE: Final = sa.select(schema.pause)
_PAUSE_LOCK: Final = sa.cast(int.from_bytes(b"pause"), sa.BigInteger)
"""The advisory lock of a pause; transactions that record the beginning of a call share it."""

NOTE: Final = schema.audit.insert()
_ADD_OPERATION: Final = schema.operations.insert()


def _record_on_server() -> sa.sql.dml.ReturningInsert[tuple[str]]:
    inbox = schema.inbox
    insert = dialect.insert(inbox, server=True).values(lease_until=dialect.SERVER_NOW + LEASE)
    return insert.on_conflict_do_update(
        index_elements=[inbox.c.key],
        set_={column.name: insert.excluded[column.name] for column in inbox.c if column is not inbox.c.key},
        where=inbox.c.received_at <= insert.excluded.received_at - sa.literal_column(str(REPEAT_WITHIN)),
    ).returning(inbox.c.key)


_RECORD_ON_SERVER: Final = _record_on_server()

_KNOWN: Final = sa.select(schema.inbox.c.key, schema.inbox.c.received_at).where(
    schema.inbox.c.key.in_(sa.bindparam("keys", expanding=True, type_=sa.Text))
)

_RECORD: Final = schema.inbox.insert().prefix_with("OR REPLACE")


def _bad_try(*, server: bool) -> sa.sql.dml.ReturningInsert[tuple[int, float]]:
    """Return the single statement that counts a failed try, so that replicas do not overwrite each other's counts."""
    keys = schema.keys
    until = sa.bindparam("the_end", type_=sa.Double)
    locks = sa.or_(sa.bindparam("says_locked", type_=sa.Boolean), keys.c.bad_tries + 1 >= sa.bindparam("the_most"))
    later = sa.case((keys.c.locked_until > until, keys.c.locked_until), else_=until)
    insert = dialect.insert(keys, server=server)
    return insert.on_conflict_do_update(
        index_elements=[keys.c.key],
        set_={
            "bad_tries": sa.case((locks, 0), else_=keys.c.bad_tries + 1),
            "locked_until": sa.case((locks, later), else_=keys.c.locked_until),
        },
    ).returning(keys.c.bad_tries, keys.c.locked_until)


_BAD_TRY: Final = {server: _bad_try(server=server) for server in (True, False)}

GOOD_TRY: Final = (
    schema.keys.update()
    .where(schema.keys.c.key == _THE_KEY)
    .values(bad_tries=0)
    .returning(schema.keys.c.bad_tries, schema.keys.c.locked_until)
)


def _replace(*, server: bool) -> sa.Update:
    """Return the UPDATE from one version to the next; it keeps the lease of another replica."""
    table, now, mine = schema.requests, _NOW[server], _THE_REPLICA
    theirs = sa.and_(table.c.lease_owner != mine, table.c.lease_until > now)
    return (
        table.update()
        .where(table.c.id == _THE_ID, table.c.version == sa.bindparam("the_version_below"))
        .values(
            lease_owner=sa.case((theirs, table.c.lease_owner), else_=mine),
            lease_until=sa.case((theirs, table.c.lease_until), else_=now + LEASE),
            due_at=now,
            changed_at=now,
        )
        .returning(table.c.lease_owner)
    )


_REPLACE: Final = {server: _replace(server=server) for server in (True, False)}

_ADD: Final = {
    False: schema.requests.insert(),
    True: schema.requests.insert().values(
        lease_until=dialect.SERVER_NOW + LEASE, due_at=dialect.SERVER_NOW, changed_at=dialect.SERVER_NOW
    ),
}


def record(
    connection: sa.Connection, entries: Iterable[rows.Columns], *, replica: str, now: dialect.Time
) -> frozenset[str]:
    """Add rows to the inbox, replacing those too old to be the same delivery; return the keys."""
    leased = [{**row, "lease_owner": replica, **dialect.plain(lease_until=now + LEASE)} for row in entries]
    if dialect.on_server(connection):
        return frozenset(connection.execute(_RECORD_ON_SERVER, leased).scalars())
    # Nobody else writes meanwhile, and asking first costs a third of an upsert with RETURNING.
    asked = connection.execute(_KNOWN, {"keys": [row["key"] for row in leased]})
    known: dict[str, float] = {row.key: row.received_at for row in asked}
    new = [row for row in leased if _is_new(row, known)]
    if new:
        connection.execute(_RECORD, new)
    return frozenset(str(row["key"]) for row in new)


def _is_new(row: Mapping[str, Any], known: Mapping[str, float]) -> bool:
    before = known.get(row["key"])
    return before is None or before <= row["received_at"] - REPEAT_WITHIN


def bad_try(connection: sa.Connection, key: str, *, most: int, says_locked: bool, locked_until: float) -> sa.RowMapping:
    """Count a failed try of an access key, and return its new state."""
    locks = says_locked or most <= 1
    first = {"key": key, "bad_tries": 0 if locks else 1, "locked_until": locked_until if locks else 0.0}
    against = {"says_locked": says_locked, "the_most": most, "the_end": locked_until}
    counted = connection.execute(_BAD_TRY[dialect.on_server(connection)], {**first, **against})
    return counted.mappings().one()


def pause(connection: sa.Connection, pause: ports.Pause) -> None:
    """Write a pause over any other, after waiting for calls whose beginning is being recorded."""
    if dialect.on_server(connection):
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_PAUSE_LOCK)))
    connection.execute(schema.pause.delete())
    connection.execute(schema.pause.insert(), {"id": 1, **dataclasses.asdict(pause)})


def lapse_all(connection: sa.Connection) -> None:
    """End every lease, of whatever replica, on what wants something."""
    connection.execute(schema.requests.update().where(schema.requests.c.due_at >= 0.0).values(FREE))
    connection.execute(schema.inbox.update().where(UNFINISHED).values(FREE))


def emergencies(connection: sa.Connection, person: str, *, since: float) -> int:
    """Count the emergencies of a person (Actor.id) that were confirmed since then; dry runs do not count."""
    table = schema.requests
    theirs = sa.or_(table.c.requester_person == person, table.c.requester_user == person)
    query = sa.select(sa.func.count()).where(
        EMERGENCY, theirs, table.c.decided_at >= since, table.c.dry_run.is_(sa.false())
    )
    return connection.execute(query).scalar_one()


def hold_to(connection: sa.Connection, limit: ports.EmergencyLimit) -> None:
    """Raise errors.Conflict if a person has reached the limit of emergencies.

    A concurrent confirmation of another one waits for this transaction.
    """
    if dialect.on_server(connection):
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(limit.person))))
    if emergencies(connection, limit.person, since=limit.since) >= limit.most:
        raise errors.Conflict(f"{limit.person} has reached the limit of {limit.most} emergencies meanwhile")


def hold_to_no_pause(connection: sa.Connection) -> None:
    """Raise errors.Conflict if changing verbs are paused. A concurrent pause waits for this transaction."""
    if dialect.on_server(connection):
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(_PAUSE_LOCK)))
    if connection.execute(PAUSE).first() is not None:
        raise errors.Conflict("flowbot was paused meanwhile")


def let_go(connection: sa.Connection, *, replica: str, keeping: Collection[str]) -> None:
    """End the leases of one replica on unfinished rows, except for those with these keys and ids."""
    requests_, inbox = schema.requests, schema.inbox
    held = (requests_.c.due_at >= 0.0, requests_.c.lease_owner == replica, requests_.c.id.not_in(keeping))
    connection.execute(requests_.update().where(*held).values(FREE))
    taken = (UNFINISHED, inbox.c.lease_owner == replica, inbox.c.key.not_in(keeping))
    connection.execute(inbox.update().where(*taken).values(FREE))


def read(
    connection: sa.Connection, query: sa.Select[Any], parameters: rows.Columns | None = None, *, skipping: bool = False
) -> list[records.Request]:
    """Read requests. With `skipping`, unreadable ones are left out and logged."""
    found = connection.execute(query, parameters).mappings().all()
    unsent = _unsent(connection, [row["id"] for row in found])
    if not skipping:
        return [rows.to_request(row, unsent[row["id"]]) for row in found]
    read = (_readable(row, unsent[row["id"]]) for row in found)
    return [request for request in read if request is not None]


def _readable(row: sa.RowMapping, unsent: list[sa.RowMapping]) -> records.Request | None:
    try:
        return rows.to_request(row, unsent)
    except errors.StoreError as failure:
        log.error("unreadable request skipped", reason=str(failure))
        return None


def claim(connection: sa.Connection, request_id: str, *, replica: str, now: dialect.Time) -> list[records.Request]:
    """Lease a request unless another replica holds it, and read it."""
    whose = {"the_id": request_id, "the_replica": replica, **dialect.plain(the_time=now)}
    got = connection.execute(CLAIM[dialect.on_server(connection)], whose).rowcount
    return read(connection, LOAD, {"the_id": request_id}) if got else []


def claimed(connection: sa.Connection, due: Mapping[str, float | None]) -> list[records.Request]:
    """Read requests that were just claimed, by their due times, the most overdue first."""
    found = read(connection, reading(schema.requests.c.id.in_(due)), skipping=True) if due else []
    return sorted(found, key=lambda request: due[request.id] or 0.0)


def save(connection: sa.Connection, request: records.Request, *, replica: str, now: dialect.Time) -> str:
    """Insert version 1 of a request, or replace the version below it, with its operation and replies.

    Returns the replica that holds the lease then.
    Raises errors.Conflict if that version is missing, or if version 1 already exists.
    """
    # Plain statements instead of an upsert: SQLAlchemy compiles ON CONFLICT anew each time.
    if request.version == 1:
        _add(connection, request, replica=replica, now=now)
        holder = replica
    else:
        holder = _put(connection, request, replica=replica, now=now)
    if request.unsent:
        insert = dialect.insert(schema.replies, server=dialect.on_server(connection))
        new = [rows.reply(request.id, reply) for reply in request.unsent]
        connection.execute(insert.on_conflict_do_nothing(), new)
    return holder


def _add(connection: sa.Connection, request: records.Request, *, replica: str, now: dialect.Time) -> None:
    leased = {"lease_owner": replica, **dialect.plain(lease_until=now + LEASE, due_at=now, changed_at=now)}
    new = {"id": request.id, **rows.decided(request), **leased, **rows.told(request)}
    connection.execute(_ADD[dialect.on_server(connection)], new)
    connection.execute(_ADD_OPERATION, rows.operation(request))


def _put(connection: sa.Connection, request: records.Request, *, replica: str, now: dialect.Time) -> str:
    below = {"the_id": request.id, "the_version_below": request.version - 1, "the_replica": replica}
    columns = {**rows.decided(request), **below, **dialect.plain(the_time=now)}
    holder: str | None = connection.execute(_REPLACE[dialect.on_server(connection)], columns).scalar()
    if holder is None:
        raise errors.Conflict(f"{request.id} was changed meanwhile")
    connection.execute(_OPERATION, {"the_id": request.id, **rows.operation(request)})
    return holder


def decide(connection: sa.Connection, change: ports.Change, leased: Mapping[str, Any]) -> None:
    """Store the answer of an inbox row, which stays claimed until delivery; without an answer the row is done.

    Raises errors.DecidedBefore if it was already decided: by a replica that took over, or by an own write whose reply
    was lost.
    """
    done = change.answer is None
    state = schema.EntryState.DONE if done else schema.EntryState.DECIDED
    settled = {"the_key": change.entry, "state": state.value, "answer": rows.answer(change.answer)}
    statement = _DECIDE[dialect.on_server(connection), done, change.reopens]
    leased = FREE if done else dialect.plain(**leased)
    if connection.execute(statement, {**settled, **leased}).rowcount != 1 and not change.reopens:
        raise errors.DecidedBefore(f"the entry {change.entry} was already decided")


def _unsent(connection: sa.Connection, ids: list[str]) -> dict[str, list[sa.RowMapping]]:
    found: dict[str, list[sa.RowMapping]] = defaultdict(list)
    if ids:
        for row in connection.execute(_UNSENT, {"ids": ids}).mappings():
            found[row["request_id"]].append(row)
    return found
