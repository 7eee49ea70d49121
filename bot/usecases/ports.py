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
        """Wait for this many seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditEvent:
    """One line of the audit: what happened, who did it, to which request, and the facts as JSON values; no secret."""

    at: float
    what: str
    actor: Actor | None = None
    request_id: str | None = None
    facts: dict[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claimed:
    """An inbox row that this replica may work on. `answer` is set once it was decided and only the telling is left."""

    entry: Entry
    answer: answers.AnyAnswer | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmergencyLimit:
    """How many emergencies of one person (Actor.id) may have been let run since then for a further one; no dry runs."""

    person: str
    since: float
    most: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """What one decision changes, written in one transaction with its audit.

    `superseded`, the next version of a request that gives way, is written first, so that `request` may hold its flow.
    `request` is the new record: version 1 is added, a higher one replaces the version below it. `entry` is the key of
    the inbox row that was decided, with its `answer`; without an answer the row is done. A row is decided once;
    `reopens` gives it another answer later. A `limit` that is reached by then is a Conflict, and so is a pause where
    the change is written `unless_paused`: whoever pauses later waits for this transaction to end.
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
    """Where requests, the inbox and the audit live. Every method raises errors.StoreError when the database is away."""

    async def record(self, entries: Sequence[Entry]) -> frozenset[str]:
        """Write the entries in one transaction, claimed by this replica, and return the keys that are new.

        Raises errors.NotRecorded when nothing was written for sure, errors.Unconfirmed when nobody knows.
        """

    async def entry(self, key: str) -> Entry | None:
        """Return an inbox row of the last 24 hours."""

    async def claim_entries(self, *, limit: int) -> list[Claimed]:
        """Claim unfinished inbox rows whose lease has lapsed, the oldest first."""

    async def finish_entry(self, key: str) -> None:
        """Mark an inbox row as done: its answer was told."""

    async def postpone_entry(self, key: str, *, until: float) -> None:
        """Let go of an inbox row until then, when telling its answer is tried again."""

    async def commit(self, change: Change) -> None:
        """Write one change whole.

        A request that no other replica holds is claimed by this one, as from now. One that another replica holds stays
        with it: its release fails, since the version moved, and it looks again; should it be gone, the request is due
        once its lease has lapsed. So a write is no right to call: `lease_left` tells. It tells of a lease that this
        write gave where the request is new or the change is that of an entry, for whoever looks at it anew; any other
        write only renews the one that its writer still had.

        Raises errors.Conflict when the request is not at the version below any more, or where the change's own
        conditions do not hold, errors.FlowHeld when another
        open request holds the flow, errors.DecidedBefore when the entry was decided already, errors.NotRecorded or
        errors.Unconfirmed. Nothing is written but where the last one is raised.
        """

    async def load(self, request_id: str) -> records.Request | None:
        """Return a request with the replies that are still unsent."""

    async def holder(self, project: str, flow: str) -> records.Request | None:
        """Return the open request that holds the flow with this id in the project; dry runs hold none."""

    async def last_denial(self, project: str, flow_id: str, *, since: float) -> records.Request | None:
        """Return the newest request for the flow, no dry run, that somebody denied since then."""

    async def emergencies(self, person: str, *, since: float) -> int:
        """Count the emergencies, no dry runs, that somebody (Actor.id) asked for and that were let run since then."""

    async def unsettled(self, *, limit: int) -> list[records.Request]:
        """Return the newest requests of which something may still come, dry runs too."""

    async def history(self, project: str, *, flow_id: str | None = None, limit: int) -> list[records.Request]:
        """Return the newest requests of a project, or for one flow of it."""

    async def claim(self, request_id: str) -> records.Request | None:
        """Lease the request to this replica and return it, unless another replica's lease holds."""

    def lease_left(self, request_id: str) -> float:
        """Return for how many seconds more this replica's lease holds at least, by its own clock; 0 for none.

        It counts from before the lease was asked for: whoever was stopped for longer than that knows so here, without
        asking the database.
        """

    async def claim_due(self, *, limit: int) -> list[records.Request]:
        """Lease requests that are due and whose lease has lapsed, the most overdue first."""

    async def next_due_at(self) -> float | None:
        """Return when the next request is due that nobody holds."""

    async def release(self, request: records.Request, *, due_at: float | None) -> bool:
        """Let go of a claimed request unless it has moved past the version seen; tell whether it was let go."""

    async def let_go(self, *, keeping: Collection[str]) -> None:
        """End the leases of this replica, but for the inbox rows and requests with these keys and ids."""

    async def told(self, request: records.Request) -> None:
        """Save what Slack shows now: the card's place and version, and the failures and time of telling.

        A place that is on record stays, with the version that is shown there.
        """

    async def card_seen(self, request_id: str, *, ts: str) -> None:
        """Save where somebody saw the card, unless it is on record by then where it stands."""

    async def card_shown(self, request_id: str, *, version: int) -> None:
        """Save that the card shows a version, unless it shows a newer one; nothing else that Slack shows changes."""

    async def reply_sent(self, request_id: str, *, seq: int, ts: str) -> None:
        """Save that Slack has a reply."""

    async def clean_up(self, *, keep_for: float, limit: int) -> int:
        """Delete some of what is settled for longer than `keep_for` seconds, and return how many records that were.

        0 when none is left. The database's clock counts, where replicas share one: a replica may be set wrong.

        One call writes one short transaction of at most `limit` records of one kind: requests with all of theirs, inbox
        rows of more than 24 hours ago, rows of the audit. A request that is open or unknown is never
        deleted.
        """

    async def close(self) -> None:
        """Let go of the database."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowName:
    """A row of the cloud's list of flows."""

    flow_id: str
    name: str
    status: str


Purpose = Literal["stop", "read"]
"""What a reading of the cloud is for: `stop` goes first, `read` is what only somebody's curiosity asks for."""


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
        """Ask once for what a changing verb does to a flow. Raises KeyError for any other verb."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyStanding:
    """How an access key stands with the cloud: bad tries in a row, and until when it must not be used."""

    bad_tries: int = 0
    locked_until: float = 0.0


class KeyStore(Protocol):
    """Where replicas share what they know of access keys; a key goes by a hash."""

    async def key_standing(self, key: str) -> KeyStanding:
        """Return how the key stands."""

    async def bad_try(self, key: str, *, most: int, says_locked: bool, locked_until: float) -> KeyStanding:
        """Count a bad try in one step, whoever else counts at the time, and return how the key stands then.

        The `most`th in a row, or one after which the cloud `says_locked`, locks the key until then at least.
        """

    async def good_try(self, key: str) -> KeyStanding:
        """Forget the bad tries so far, and return how the key stands then; a lock stays."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pause:
    """Every changing verb is denied: since when, why, and by whose login on the machine that was said."""

    at: float
    reason: str
    by: str


class Switch(Protocol):
    """Where it stands whether changing verbs are paused. Every method raises errors.StoreError."""

    async def paused(self) -> Pause | None:
        """Return the pause, or None where there is none."""

    async def pause(self, pause: Pause) -> None:
        """Begin to pause, or give another reason for it; with its line in the audit."""

    async def resume(self, *, at: float, by: str) -> bool:
        """End the pause, with its line in the audit; tell whether there was one."""


class Chat(Protocol):
    """Slack, as a place to speak. Every method raises errors.ChatRefused or errors.ChatUnavailable."""

    async def post_card(self, request: records.Request) -> str:
        """Post the card and return its `ts`."""

    async def edit_card(self, request: records.Request) -> None:
        """Make the card show the request as seen."""

    async def reply(self, request: records.Request, reply: records.Reply) -> str:
        """Post one reply under the card and return its `ts`."""

    async def reply_privately(self, request: records.Request, reply: records.Reply) -> None:
        """Tell the requester in a DM what cannot be told under the card."""

    async def retire_copy(self, channel: str, ts: str, card: answers.CardLink) -> None:
        """Turn a copy of a card into a link to the card."""

    async def answer(self, entry: Entry, answer: answers.AnyAnswer) -> None:
        """Tell one person the answer to what they typed or pressed, so that nobody else sees it."""


class Directory(Protocol):
    """Slack, as a directory of people. What cannot be asked comes back as unknown, never as an exception."""

    async def is_ours(self, teams: Collection[str]) -> bool | None:
        """Tell whether one of these is the workspace, or the organisation, in which we are installed.

        None while Slack has not said which that is.
        """

    async def person(self, actor: Actor, *, max_age: float) -> model.Person:
        """Say what somebody is, from an answer at most `max_age` seconds old; the actor comes back with their `person`.

        policy.Kind.UNREACHABLE when Slack cannot be asked.
        """

    async def persons(self, users: Collection[str], *, max_age: float) -> Mapping[str, model.Person]:
        """Say what the people behind user ids are, from answers at most `max_age` seconds old.

        No rate limit is waited for: whoever cannot be asked about now is policy.Kind.UNREACHABLE.
        """

    async def members(self, group: str, *, max_age: float) -> frozenset[str] | None:
        """Return the user ids in a user group, from an answer at most `max_age` seconds old.

        None when Slack cannot be asked.
        """

    async def is_private(self, channel: str, *, max_age: float) -> bool | None:
        """Tell whether only its members see a channel, from an answer at most `max_age` seconds old.

        None when Slack cannot be asked.
        """

    async def is_shared(self, channel: str, *, max_age: float) -> bool | None:
        """Tell whether people of other organisations see a channel, from an answer at most `max_age` seconds old.

        None when Slack cannot be asked. A channel that Slack does not show us is not shared: nothing is posted there.
        """


class Recording(enum.StrEnum):
    """What became of an entry that a door handed over."""

    NEW = "new"
    REPEATED = "repeated"
    FULL = "full"  # too many at once; nothing was recorded
    NOT_RECORDED = "not_recorded"
    UNCONFIRMED = "unconfirmed"
