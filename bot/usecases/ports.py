"""Ports to the outside world: clock, store, cloud, Slack messages and the Slack user directory.

Times are seconds since the epoch (UTC).
"""

import dataclasses
import enum
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, Protocol

from bot.commands.deliveries import Actor, Entry
from bot.commands.verbs import Verb
from bot.lifecycle import call_outcome, records
from bot.lifecycle.cloud_failure import CloudFailure
from bot.policy import model
from bot.usecases import answers


class Clock(Protocol):
    """The current time, and a way to wait."""

    def now(self) -> float:
        """Return the seconds since the epoch (UTC)."""

    async def sleep(self, seconds: float) -> None:
        """Sleep for this many seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditEvent:
    """One line of the audit: what happened, who did it, to which request, and facts as JSON values; no secrets."""

    at: float
    what: str
    actor: Actor | None = None
    request_id: str | None = None
    facts: dict[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claimed:
    """An inbox row that this replica may work on. `answer` is set if it is decided and only has to be delivered."""

    entry: Entry
    answer: answers.AnyAnswer | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmergencyLimit:
    """One more emergency of a person (Actor.id) needs fewer than `most` confirmed since then; dry runs do not count."""

    person: str
    since: float
    most: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """The change of one decision, written in one transaction with its audit.

    `superseded` is the next version of a superseded request; it is written first, to free its flow for `request`.
    `request` is the new record: version 1 is inserted, a higher version replaces the one below it. `entry` is the key
    of the decided inbox row, with its `answer`; without an answer, the row is done. A row is decided only once;
    `reopens` replaces its answer later. It is a Conflict if the `limit` is reached, or if the change is written
    `unless_paused` and there is a pause; a pause that comes later waits for this transaction.
    """

    audit: tuple[AuditEvent, ...] = ()
    superseded: records.Request | None = None
    request: records.Request | None = None
    entry: str | None = None
    answer: answers.AnyAnswer | None = None
    reopens: bool = False
    limit: EmergencyLimit | None = None
    unless_paused: bool = False


class Store(Protocol):
    """The database of requests, inbox and audit. Every method raises errors.StoreError if it is unavailable."""

    async def record(self, entries: Sequence[Entry]) -> frozenset[str]:
        """Write the entries in one transaction, claimed by this replica, and return the new keys.

        Raises errors.NotRecorded if certainly nothing was written, errors.Unconfirmed if that is unknown.
        """

    async def entry(self, key: str) -> Entry | None:
        """Return an inbox row of the last 24 hours."""

    async def claim_entries(self, *, limit: int) -> list[Claimed]:
        """Claim unfinished inbox rows whose lease has lapsed, the oldest first."""

    async def finish_entry(self, key: str) -> None:
        """Mark an inbox row as done: its answer was delivered."""

    async def postpone_entry(self, key: str, *, until: float) -> None:
        """Release an inbox row until then, when its answer is sent again."""

    async def commit(self, change: Change) -> None:
        """Write one change atomically.

        If no other replica holds the request, this replica claims it now. If another one does, that one keeps it: its
        release fails, since the version has changed, and it checks the request again; if it is gone, the request is due
        when its lease expires. So a write gives no right to make a call; see `lease_left`. A new request, or a change
        by an entry, gets a new lease that `lease_left` counts; any other write only renews the lease that its writer
        still has.

        Raises errors.Conflict if the request has another version or a condition of the change does not hold,
        errors.FlowHeld if another open request holds the flow, errors.DecidedBefore if the entry was already decided,
        errors.NotRecorded or errors.Unconfirmed. Only with the last one may anything have been written.
        """

    async def load(self, request_id: str) -> records.Request | None:
        """Return a request with its unsent replies."""

    async def holder(self, project: str, flow: str) -> records.Request | None:
        """Return the open request that holds the flow with this id in the project; dry runs hold none."""

    async def last_denial(self, project: str, flow_id: str, *, since: float) -> records.Request | None:
        """Return the newest request for the flow that a person denied since then; dry runs do not count."""

    async def emergencies(self, person: str, *, since: float) -> int:
        """Count the emergencies of a person (Actor.id) that were confirmed since then; dry runs do not count."""

    async def unsettled(self, *, limit: int) -> list[records.Request]:
        """Return the newest requests that are not settled, including dry runs."""

    async def history(self, project: str, *, flow_id: str | None = None, limit: int) -> list[records.Request]:
        """Return the newest requests of a project, or for one flow of it."""

    async def claim(self, request_id: str) -> records.Request | None:
        """Lease the request to this replica and return it, unless another replica holds a lease."""

    def lease_left(self, request_id: str) -> float:
        """Return the seconds for which this replica's lease certainly holds, by its own monotonic clock; 0 for none.

        They count from before the lease was requested. So a process that was stopped for long learns here that its
        lease is over, without asking the database.
        """

    async def claim_due(self, *, limit: int) -> list[records.Request]:
        """Lease requests that are due and held by no other replica, the most overdue first."""

    async def next_due_at(self) -> float | None:
        """Return when the next request that nobody holds is due."""

    async def release(self, request: records.Request, *, due_at: float | None) -> bool:
        """Release a claimed request, unless it has a newer version; return whether it was released."""

    async def let_go(self, *, keeping: Collection[str]) -> None:
        """End this replica's leases, except for the inbox rows and requests with these keys and ids."""

    async def told(self, request: records.Request) -> None:
        """Save what Slack shows now: place and version of the card, failures, and the time of the next attempt.

        A recorded place is kept, with the version shown there.
        """

    async def card_seen(self, request_id: str, *, ts: str) -> None:
        """Save where a person saw the card, unless its place is already recorded."""

    async def card_shown(self, request_id: str, *, version: int) -> None:
        """Save that the card shows a version, unless it already shows a newer one; change nothing else."""

    async def reply_sent(self, request_id: str, *, seq: int, ts: str) -> None:
        """Save that Slack has a reply."""

    async def clean_up(self, *, keep_for: float, limit: int) -> int:
        """Delete some records settled more than `keep_for` seconds ago, and return their number; 0 if none is left.

        Replicas use the clock of their database, since their own may be wrong. Each call is one short transaction of at
        most `limit` records of one kind: requests with everything that belongs to them, inbox rows older than 24 hours,
        or rows of the audit. Open and unknown requests are never deleted.
        """

    async def close(self) -> None:
        """Close the database."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowName:
    """A row of the cloud's list of flows."""

    flow_id: str
    name: str
    status: str


Purpose = Literal["stop", "read"]
"""Why the cloud is read: `stop` (for a request) goes before `read` (for a read command)."""


class Cloud(Protocol):
    """Huawei Cloud Live. `project` is the name in the policy file.

    One call is one try of at most ten seconds; failures are values.
    """

    async def flow(
        self, project: model.Project, flow_id: str, *, purpose: Purpose = "stop"
    ) -> records.Flow | CloudFailure:
        """Read one flow."""

    async def flows(self, project: model.Project, *, purpose: Purpose = "stop") -> tuple[FlowName, ...] | CloudFailure:
        """Read the names of all flows of the project."""

    async def change(self, project: model.Project, flow_id: str, verb: Verb) -> call_outcome.Accepted | CloudFailure:
        """Make the call of a changing verb once. Raises KeyError for any other verb."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyStanding:
    """The state of an access key: failed logins in a row, and until when the key must not be used."""

    bad_tries: int = 0
    locked_until: float = 0.0


class KeyStore(Protocol):
    """Shares the state of access keys between replicas; keys are identified by a hash."""

    async def key_standing(self, key: str) -> KeyStanding:
        """Return the state of the key."""

    async def bad_try(self, key: str, *, most: int, says_locked: bool, locked_until: float) -> KeyStanding:
        """Count a failed try atomically, and return the new state of the key.

        After `most` failures in a row, or if the cloud `says_locked`, the key is locked at least until `locked_until`.
        """

    async def good_try(self, key: str) -> KeyStanding:
        """Reset the count of failed tries, and return the new state of the key; a lock stays."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pause:
    """A pause of all changing verbs: since when, why, and the login on the host of the person who paused."""

    at: float
    reason: str
    by: str


class Switch(Protocol):
    """The switch that pauses all changing verbs. Every method raises errors.StoreError."""

    async def paused(self) -> Pause | None:
        """Return the pause, or None."""

    async def pause(self, pause: Pause) -> None:
        """Pause, or change the reason of a pause, and write it to the audit."""

    async def resume(self, *, at: float, by: str) -> bool:
        """End the pause and write that to the audit; return whether there was one."""


class Chat(Protocol):
    """Messages in Slack. Every method raises errors.ChatRefused or errors.ChatUnavailable."""

    async def post_card(self, request: records.Request) -> str:
        """Post the card and return its `ts`."""

    async def edit_card(self, request: records.Request) -> None:
        """Update the card to show this version of the request."""

    async def reply(self, request: records.Request, reply: records.Reply) -> str:
        """Post one reply under the card and return its `ts`."""

    async def reply_privately(self, request: records.Request, reply: records.Reply) -> None:
        """Send a reply to the requester as a direct message, where it cannot be posted under the card."""

    async def retire_copy(self, channel: str, ts: str, card: answers.CardLink) -> None:
        """Turn a copy of a card into a link to the card."""

    async def answer(self, entry: Entry, answer: answers.AnyAnswer) -> None:
        """Send a person the answer to their command or click, visible to nobody else."""


class Directory(Protocol):
    """Slack's directory of people and channels. If Slack cannot be asked, the result is unknown, never an exception."""

    async def is_ours(self, teams: Collection[str]) -> bool | None:
        """Return whether one of these is the workspace or the organisation where flowbot is installed.

        None while Slack has not said which that is.
        """

    async def person(self, actor: Actor, *, max_age: float) -> model.Person:
        """Return the person behind an actor, from an answer at most `max_age` seconds old; fills in `actor.person`.

        The kind is Kind.UNREACHABLE if Slack cannot be asked.
        """

    async def persons(self, users: Collection[str], *, max_age: float) -> Mapping[str, model.Person]:
        """Return the people behind user ids, from answers at most `max_age` seconds old.

        Never waits for a rate limit: people who cannot be asked about now are Kind.UNREACHABLE.
        """

    async def members(self, group: str, *, max_age: float) -> frozenset[str] | None:
        """Return the user ids in a user group, from an answer at most `max_age` seconds old.

        None if Slack cannot be asked.
        """

    async def is_private(self, channel: str, *, max_age: float) -> bool | None:
        """Return whether only its members can see a channel, from an answer at most `max_age` seconds old.

        None if Slack cannot be asked.
        """

    async def is_shared(self, channel: str, *, max_age: float) -> bool | None:
        """Return whether people of other organisations can see a channel, from an answer at most `max_age` seconds old.

        None if Slack cannot be asked. A channel that Slack does not show us is not shared: nothing can be posted there.
        """


class Recording(enum.StrEnum):
    """The result of recording an entry."""

    NEW = "new"
    REPEATED = "repeated"
    FULL = "full"  # too many at once; nothing was recorded
    NOT_RECORDED = "not_recorded"
    UNCONFIRMED = "unconfirmed"
