"""`ports.Store` on a database: which statements form one transaction.

It decides nothing about requests, and returns records as they were saved. Rows are built in `rows` and `audit`;
connections and transactions are in `engines/database`.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import sqlalchemy as sa
import structlog

from bot.commands.deliveries import Entry
from bot.lifecycle import records
from bot.lifecycle.states import State
from bot.policy.file import keys
from bot.store import audit, host_entries, leases, linker, polls, retention, revision, rows, schema, statements
from bot.store.engines import database, dialect, file_lock
from bot.usecases import errors, ports

log = structlog.get_logger()

LEASE: Final = statements.LEASE
"""The duration of a lease in seconds."""

_ELAPSING: Final = leases.elapsing()

_REQUESTS: Final = schema.requests
_REPLIES: Final = schema.replies
_INBOX: Final = schema.inbox

# Every command runs these, so they are made once, as those in `statements` are.

_DENIAL: Final = statements.reading(
    _REQUESTS.c.project == sa.bindparam("the_project", type_=sa.Text),
    _REQUESTS.c.flow_id == sa.bindparam("the_flow", type_=sa.Text),
    # A request is denied while it is pending: the index finds no more than those of so long a time.
    _REQUESTS.c.created_at >= sa.bindparam("asked_since", type_=sa.Double),
    _REQUESTS.c.state == State.DENIED.value,
    _REQUESTS.c.ended_by.is_not(None),
    _REQUESTS.c.dry_run.is_(sa.false()),
    _REQUESTS.c.ended_at >= sa.bindparam("since", type_=sa.Double),
    limit=1,
)
_KEY: Final = sa.select(schema.keys).where(schema.keys.c.key == sa.bindparam("the_key", type_=sa.Text))


class SqlStore:
    """Requests, inbox and audit in one database, for one replica."""

    def __init__(
        self,
        db: database.Database,
        *,
        clock: ports.Clock,
        replica: str,
        held: file_lock.Hold | None = None,
        monotonic: Callable[[], float] = _ELAPSING,
    ) -> None:
        self.database = db
        self._clock = clock
        self._replica = replica
        self._held = held
        self._leases = leases.Leases(seconds=LEASE, monotonic=monotonic)

    async def prepare(self) -> None:
        """Check the revision, and end every lease if no other replica can be running."""
        revision.require(await self.database.write_in_turn(revision.stored))
        if self._held is not None:
            await self.database.write_in_turn(statements.lapse_all)

    async def record(self, entries: Sequence[Entry]) -> frozenset[str]:
        """Write the entries in one transaction, claimed by this replica, and return the new keys."""
        if not entries:
            return frozenset()
        # PostgreSQL refuses to change a row twice in one statement, so the first entry with a key counts.
        first = {entry.key: rows.entry(entry) for entry in reversed(entries)}
        # Sorted, so that two replicas with the same rows do not wait for each other.
        in_order = [first[key] for key in sorted(first)]

        def work(connection: sa.Connection) -> frozenset[str]:
            now = self._now(connection)
            return statements.record(connection, in_order, replica=self._replica, now=now)

        return await self.database.write(work)

    async def entry(self, key: str) -> Entry | None:
        """Return an inbox row of the last 24 hours."""

        def work(connection: sa.Connection) -> sa.RowMapping | None:
            since = self._now(connection) - statements.REPEAT_WITHIN
            query = sa.select(_INBOX).where(_INBOX.c.key == key, _INBOX.c.received_at > since)
            return connection.execute(query).mappings().one_or_none()

        row = await self.database.read(work)
        return rows.to_entry(row) if row else None

    async def claim_entries(self, *, limit: int) -> list[ports.Claimed]:
        """Claim unfinished inbox rows that are due and whose lease has expired, the oldest first."""

        def work(connection: sa.Connection) -> Sequence[sa.RowMapping]:
            now = self._now(connection)
            return polls.claim_entries(connection, limit=limit, replica=self._replica, now=now)

        claimed = await self.database.write_in_turn(work)
        found = (_readable(row) for row in sorted(claimed, key=lambda row: row["received_at"]))
        return [each for each in found if each is not None]

    async def finish_entry(self, key: str) -> None:
        """Mark an inbox row as done: its answer was delivered."""
        done = {"state": schema.EntryState.DONE.value, **statements.FREE}
        await self._update(statements.ENTRY, {"the_key": key, **done})

    async def postpone_entry(self, key: str, *, until: float) -> None:
        """Release an inbox row until then, unless another replica holds it now."""
        mine = (_INBOX.c.key == key, _INBOX.c.lease_owner == self._replica)
        await self._update(_INBOX.update().where(*mine), {"due_at": until, **statements.FREE})

    async def commit(self, change: ports.Change) -> None:
        """Write one change atomically, and claim the request unless another replica holds it.

        Raises errors.Conflict, errors.FlowHeld, errors.DecidedBefore, errors.NotRecorded or errors.Unconfirmed.
        """

        written = [one for one in (change.superseded, change.request) if one is not None]

        def work(connection: sa.Connection) -> tuple[float, list[str]]:
            asked_at, now = self._leases.now(), self._now(connection)
            if change.unless_paused:
                statements.hold_to_no_pause(connection)
            if change.limit is not None:
                statements.hold_to(connection, change.limit)
            holders = [statements.save(connection, one, replica=self._replica, now=now) for one in written]
            if change.entry is not None:
                statements.decide(connection, change, statements.lease(self._replica, now))
            _note(connection, *change.audit)
            return asked_at, holders

        asked_at, holders = await self.database.write_in_turn(work)
        for one, holder in zip(written, holders, strict=True):
            if holder != self._replica:
                self._leases.gone(one.id)  # another replica took over: our old lease allows no call
            else:
                # A new request, or a change by an entry, is loaded again; work under a lease is as old as the lease.
                goes_on = change.entry is None and one.version > 1
                keep = self._leases.renewed if goes_on else self._leases.given
                keep(one.id, asked_at=asked_at)

    async def load(self, request_id: str) -> records.Request | None:
        """Return a request with its unsent replies."""
        return await self._one(statements.LOAD, {"the_id": request_id})

    async def holder(self, project: str, flow: str) -> records.Request | None:
        """Return the open request that holds the flow with this id in the project; dry runs hold none."""
        return await self._one(statements.HOLDER, {"the_project": project, "the_flow": flow})

    async def last_denial(self, project: str, flow_id: str, *, since: float) -> records.Request | None:
        """Return the newest request for the flow that a person denied since then; dry runs do not count."""
        which = {"the_project": project, "the_flow": flow_id, "since": since, "asked_since": since - keys.LONGEST}
        return await self._one(_DENIAL, which)

    async def emergencies(self, person: str, *, since: float) -> int:
        """Count the emergencies of a person (Actor.id) that were confirmed since then; dry runs do not count."""

        return await self.database.read(lambda connection: statements.emergencies(connection, person, since=since))

    async def unsettled(self, *, limit: int) -> list[records.Request]:
        """Return the newest requests that are not settled, including dry runs."""
        found = await self._several(statements.ALIVE, limit=limit)
        return [one for one in found if _is_unsettled(one)]

    async def history(self, project: str, *, flow_id: str | None = None, limit: int) -> list[records.Request]:
        """Return the newest requests of a project, or for one flow of it."""
        of_flow = () if flow_id is None else (_REQUESTS.c.flow_id == flow_id,)
        return await self._several(_REQUESTS.c.project == project, *of_flow, limit=limit)

    async def claim(self, request_id: str) -> records.Request | None:
        """Lease the request to this replica and return it, unless another replica holds a lease."""

        def work(connection: sa.Connection) -> tuple[float, list[records.Request]]:
            asked_at, now = self._leases.now(), self._now(connection)
            return asked_at, statements.claim(connection, request_id, replica=self._replica, now=now)

        claimed = self._given(*await self.database.write_in_turn(work))
        if not claimed:
            self._leases.gone(request_id)
        return next(iter(claimed), None)

    def lease_left(self, request_id: str) -> float:
        """Return the seconds for which this replica's lease certainly holds; 0 for none."""
        return self._leases.left(request_id)

    async def claim_due(self, *, limit: int) -> list[records.Request]:
        """Lease requests that are due and held by no other replica, the most overdue first."""

        def work(connection: sa.Connection) -> tuple[float, list[records.Request]]:
            asked_at, now = self._leases.now(), self._now(connection)
            return asked_at, polls.claim_due(connection, limit=limit, replica=self._replica, now=now)

        self._leases.forget_lapsed()
        return self._given(*await self.database.write_in_turn(work))

    async def next_due_at(self) -> float | None:
        """Return when the next request that nobody holds is due."""

        return await self.database.read(lambda connection: polls.next_due_at(connection, now=self._now(connection)))

    async def release(self, request: records.Request, *, due_at: float | None) -> bool:
        """Release a claimed request, unless it has a newer version; return whether it was released."""
        mine = {"the_id": request.id, "the_version": request.version, "the_replica": self._replica}
        released = await self._update(statements.RELEASE, {**mine, "due_at": due_at, **statements.FREE}) == 1
        if released:
            self._leases.gone(request.id)
        return released

    async def let_go(self, *, keeping: Collection[str]) -> None:
        """End this replica's leases, except for the inbox rows and requests with these keys and ids."""

        def work(connection: sa.Connection) -> None:
            statements.let_go(connection, replica=self._replica, keeping=keeping)

        await self.database.write_in_turn(work)

    async def told(self, request: records.Request) -> None:
        """Save what Slack shows now, without a new version of the request."""
        told = rows.told(request)
        shown = {"seen_at": told.pop("card_ts"), "shown_now": told.pop("card_shown")}
        await self._update(statements.TOLD, {"the_id": request.id, **shown, **told})

    async def card_seen(self, request_id: str, *, ts: str) -> None:
        """Save where a person saw the card, unless its place is already recorded."""
        await self._update(statements.CARD_SEEN, {"the_id": request_id, "seen_at": ts})

    async def card_shown(self, request_id: str, *, version: int) -> None:
        """Save that the card shows a version, unless it already shows a newer one; change nothing else."""
        await self._update(statements.CARD_SHOWN, {"the_id": request_id, "shown_now": version})

    async def reply_sent(self, request_id: str, *, seq: int, ts: str) -> None:
        """Save that Slack has a reply."""
        await self._update(statements.REPLY_SENT, {"the_id": request_id, "the_seq": seq, "ts": ts})

    async def key_standing(self, key: str) -> ports.KeyStanding:
        """Return the state of an access key."""

        def work(connection: sa.Connection) -> sa.RowMapping | None:
            return connection.execute(_KEY, {"the_key": key}).mappings().one_or_none()

        row = await self.database.read(work)
        return rows.to_standing(row) if row else ports.KeyStanding()

    async def bad_try(self, key: str, *, most: int, says_locked: bool, locked_until: float) -> ports.KeyStanding:
        """Count a failed try of an access key, and return its new state."""

        def work(connection: sa.Connection) -> sa.RowMapping:
            return statements.bad_try(connection, key, most=most, says_locked=says_locked, locked_until=locked_until)

        return rows.to_standing(await self.database.write_in_turn(work))

    async def good_try(self, key: str) -> ports.KeyStanding:
        """Reset the failed tries of an access key, and return its new state."""

        def work(connection: sa.Connection) -> sa.RowMapping | None:
            return connection.execute(statements.GOOD_TRY, {"the_key": key}).mappings().one_or_none()

        row = await self.database.write_in_turn(work)
        return rows.to_standing(row) if row else ports.KeyStanding()

    async def paused(self) -> ports.Pause | None:
        """Return the pause, or None."""

        def work(connection: sa.Connection) -> sa.RowMapping | None:
            return connection.execute(statements.PAUSE).mappings().one_or_none()

        row = await self.database.read(work)
        return rows.to_pause(row) if row else None

    async def pause(self, pause: ports.Pause) -> None:
        """Pause, or change the reason of a pause, and write it to the audit."""

        def work(connection: sa.Connection) -> None:
            statements.pause(connection, pause)
            facts: dict[str, object] = {"reason": pause.reason, "by": pause.by}
            _note(connection, ports.AuditEvent(at=pause.at, what="paused", facts=facts))

        await self.database.write_in_turn(work)

    async def resume(self, *, at: float, by: str) -> bool:
        """End the pause and write that to the audit; return whether there was one."""

        def work(connection: sa.Connection) -> bool:
            was_paused = connection.execute(schema.pause.delete()).rowcount > 0
            if was_paused:
                _note(connection, ports.AuditEvent(at=at, what="resumed", facts={"by": by}))
            return was_paused

        return await self.database.write_in_turn(work)

    async def clean_up(self, *, keep_for: float, limit: int) -> int:
        """Delete some old settled records, and return their number; 0 if none is left."""

        for work in retention.steps(self._now, keep_for=keep_for, limit=limit):
            if deleted := await self.database.write_in_turn(work):
                return deleted
        return 0

    async def submit(self, entry: Entry) -> None:
        """Write an entry of the host, for any bot to take up."""
        await self.database.write_in_turn(lambda connection: host_entries.submit(connection, entry))

    async def result(self, key: str) -> host_entries.Result:
        """Return what became of an entry of the host by now."""
        return await self.database.read(lambda connection: host_entries.result(connection, key))

    async def withdraw_entry(self, key: str) -> bool:
        """Take back an entry of the host; tell whether that was in time: no bot had taken it up."""

        def work(connection: sa.Connection) -> bool:
            return host_entries.withdraw(connection, key, now=self._now(connection))

        return await self.database.write_in_turn(work)

    async def link_audit(self, limit: int) -> int:
        """Link rows of the audit to its chain, and return their number; 0 if none is left."""
        return await self.database.write_in_turn(lambda connection: linker.link(connection, limit=limit))

    async def close(self) -> None:
        """Close the database after the writes in progress."""
        await self.database.close()
        if self._held is not None:
            self._held.release()

    def _now(self, connection: sa.Connection) -> dialect.Time:
        return dialect.now(connection, self._clock)

    def _given(self, asked_at: float, claimed: list[records.Request]) -> list[records.Request]:
        for request in claimed:
            self._leases.given(request.id, asked_at=asked_at)
        return claimed

    async def _update(self, statement: sa.Update, columns: rows.Columns) -> int:
        def work(connection: sa.Connection) -> int:
            return connection.execute(statement, columns).rowcount

        return await self.database.write_in_turn(work)

    async def _several(self, *where: statements.Where, limit: int) -> list[records.Request]:
        def work(connection: sa.Connection) -> list[records.Request]:
            return statements.read(connection, statements.reading(*where, limit=limit), skipping=True)

        return await self.database.read(work)

    async def _one(self, query: sa.Select[Any], which: rows.Columns | None = None) -> records.Request | None:
        def work(connection: sa.Connection) -> list[records.Request]:
            return statements.read(connection, query, which)

        return next(iter(await self.database.read(work)), None)


def _note(connection: sa.Connection, *events: ports.AuditEvent) -> None:
    if events:
        connection.execute(statements.NOTE, [audit.row(event) for event in events])


def _is_unsettled(request: records.Request) -> bool:
    return records.is_open(request) or records.is_read_back(request) or records.is_review_open(request)


def _readable(row: sa.RowMapping) -> ports.Claimed | None:
    """Read one row; log an unreadable one, so that it does not block the others."""
    try:
        return rows.to_claimed(row)
    except errors.StoreError as failure:
        log.error("unreadable inbox row skipped", reason=str(failure))
        return None
