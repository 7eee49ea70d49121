"""One request and its operation: what they are, and which step may follow which.

The tables of states stand here; what happens to a request, step by step, is in `life`. It knows nothing of Slack, of
the cloud, or of how requests are stored. Times are seconds since the epoch (UTC).
"""

import dataclasses
import enum
from typing import Final

from bot.commands.deliveries import Actor, Verdict
from bot.commands.verbs import Door, Verb
from bot.lifecycle.cloud_failure import CloudFailure, Halt
from bot.lifecycle.states import PROGRESS, TRANSITIONS, Event, Progress, State, Step

APART: Final = 3.0
"""Seconds that the two presses of an emergency are apart at least."""


class IllegalTransition(Exception):
    """A request or an operation cannot take this step from where it is."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A source or an output of a flow, by what may be shown of it."""

    name: str
    protocol: str = ""
    health: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flow:
    """A flow as the cloud described it; `status` is the cloud's own word, `ACTIVE` or `STANDBY`.

    An emergency goes on where the cloud cannot be read: then `status` is empty, and `name` too where only an id is
    known.
    """

    flow_id: str
    name: str
    region: str
    status: str
    sources: tuple[Part, ...] = ()
    outputs: tuple[Part, ...] = ()

    @property
    def called(self) -> str:
        """What people call it: its name, or its id where no name is known."""
        return self.name or self.flow_id


@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms:
    """What the rule in force asked for when the request was made.

    `approvers` is as the rule names them (sets, user ids, group ids); `mentions` are user and group ids to be told;
    `rule_text` is the rule as it stood in the policy file, whose hash is `policy_hash`. With `door`, confirmations and
    approvals count from there only.
    """

    rule: str
    rule_text: str
    policy_hash: str
    approvals: int
    approvers: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    door: Door | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vote:
    """One approval, or the confirmation where no approval is needed."""

    actor: Actor
    at: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ending:
    """How a request ended without its operation being called.

    `actor` is None where nobody ended it: a clock did, or the policy (`rule`, where one rule is behind it, and
    `who_could` do it instead; with a `reason`, a pause and no rule was), or Slack refused to show the card (`code` is
    its error code).
    """

    actor: Actor | None
    at: float
    reason: str | None = None
    rule: str | None = None
    who_could: tuple[str, ...] = ()
    code: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Review:
    """The end of the review that an emergency leaves open; `comment` is the reviewer's own words, if any."""

    actor: Actor
    at: float
    verdict: Verdict
    comment: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Emergency:
    """How a request passes over its approvals, and who looks at it afterwards.

    `members` may use it under the rule, `passed_over` are the approvers who are not waited for: they may deny, and
    review; where the rule has none, the other members do. Both are as the rules name them (sets, user ids, group ids).
    `judges` are those of them who may deny and review as the policy was when it was last asked; None in old records.
    `announced_in` is the project's home channel, unless the card stands there. `first_at` is when its requester pressed
    first. Over the limit, `needs_second` wants the other press from another of the members. `reminded_at` is when
    somebody was last asked to review it.
    """

    members: tuple[str, ...]
    passed_over: tuple[str, ...]
    judges: tuple[str, ...] | None = None
    announced_in: str | None = None
    needs_second: bool = False
    first_at: float | None = None
    review: Review | None = None
    reminded_at: float | None = None


class OutcomeKind(enum.StrEnum):
    """The outcome of an operation."""

    DONE = "done"  # the cloud returned the wanted status
    ALREADY = "already"  # the flow already had the wanted status; no call was made
    CONFIRMED = "confirmed"  # the cloud refused because it was already done, and reading the flow back confirms it
    READ_BACK = "read_back"  # the reply was lost, and reading the flow back confirms the wanted status
    REHEARSED = "rehearsed"  # a dry run: every check, no call
    UNREADABLE = "unreadable"  # the flow could not be read before the call; no call was made
    REFUSED = "refused"  # the cloud definitely refused the call
    NOT_DONE = "not_done"  # accepted, but the status has not changed
    UNDONE = "undone"  # reading the flow back shows another status; it may have been changed again
    LOST = "lost"  # the outcome could not be determined


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of an operation: the cloud's status word, its error where there was one, and why no try followed it."""

    how: OutcomeKind
    status: str | None = None
    failure: CloudFailure | None = None
    halt: Halt | None = None


class Awaiting(enum.StrEnum):
    """What an operation waits for."""

    TRY = "try"  # a call, the first or a further one
    REPLY = "reply"  # the reply to a call that was claimed
    READING = "reading"  # a reading of the flow's state
    NOTHING = "nothing"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operation:
    """The one change that a request is about, and how far the calls for it have come.

    What it waits for comes no sooner than `not_before`. `held_ups` counts how often in a row something that may pass
    was in the way of a try, `reads` the readings that found nothing out. `begun_at` is when the first of
    `tries` began; `accepted_at` when the cloud said yes with another status than the one wanted; `unknown_since` when
    nobody knew any more. `trouble` is the latest failure of a call or a reading; `changed_to` the status that a last
    look after the success found instead. `unexpected` counts the unexpected errors that work on it met.
    """

    progress: Progress = Progress.WAITING
    awaiting: Awaiting = Awaiting.TRY
    not_before: float = 0.0
    held_ups: int = 0
    tries: int = 0
    reads: int = 0
    begun_at: float | None = None
    accepted_at: float | None = None
    unknown_since: float | None = None
    ended_at: float | None = None
    trouble: CloudFailure | None = None
    outcome: Outcome | None = None
    changed_to: str | None = None
    unexpected: int = 0


class ReplyKind(enum.StrEnum):
    """What a reply in the card's thread tells."""

    ASKED = "asked"  # the first reply: mentions the approvers
    EMERGENCY = "emergency"  # the first reply to an emergency, shown in the channel: mentions those passed over
    ANNOUNCED = "announced"  # the same, told in the project's home channel
    LINKED = "linked"  # told to the requester alone: the card stands in another channel
    REMINDED = "reminded"
    VOTED = "voted"
    PRESSED_FIRST = "pressed_first"  # the first of the two presses of an emergency
    CONFIRMED = "confirmed"
    FELL_OFF = "fell_off"  # a vote whose right is gone
    DENIED = "denied"
    DENY_REASON = "deny_reason"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"  # an emergency took its place
    EXPIRED = "expired"
    CALLING = "calling"
    OUTCOME = "outcome"
    CHANGED = "changed"  # a last look after the success found another status
    GIVEN_UP = "given_up"  # unknown for good
    REVIEW_OPEN = "review_open"  # somebody is asked to review an emergency; repeated daily
    REVIEWED = "reviewed"
    UNEXPECTED = "unexpected"  # an unexpected error was met; `reason` is its id


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reply:
    """One reply in the thread, composed when it is sent.

    `seq` orders the replies of a request; `ts` is set once Slack has it.
    """

    seq: int
    said: ReplyKind
    at: float
    actor: Actor | None = None
    reason: str | None = None
    count: int = 0
    needed: int = 0
    ts: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """Where the card stands, and the version of the request that it shows (0: not posted yet).

    `thread` is the `ts` of the root of the thread that it is a reply in; None where it is a root itself.
    """

    channel: str
    ts: str | None = None
    shown: int = 0
    thread: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """One request, with its one operation.

    `version` counts every change of what was decided; the card and the replies are told after it and do not raise it.
    `asked_in` is the channel where the command was typed. `unsent` are the replies that Slack does not have yet, in
    order; `next_seq` numbers the next. `tell_at` is when Slack may be tried again after a failure.
    """

    id: str
    verb: Verb
    project: str
    flow: Flow
    requester: Actor
    reason: str | None
    dry_run: bool
    asked_in: str
    asked_at: float
    expires_at: float
    terms: Terms
    card: Card
    recently_denied_by: Actor | None = None
    state: State = State.PENDING
    votes: tuple[Vote, ...] = ()
    decided_at: float | None = None
    ending: Ending | None = None
    reminded: bool = False
    emergency: Emergency | None = None
    operation: Operation = Operation()
    version: int = 1
    next_seq: int = 1
    unsent: tuple[Reply, ...] = ()
    tell_failures: int = 0
    tell_at: float = 0.0


def apply(request: Request, event: Event) -> Request:
    """Return the request one step on; one that ends without a call cancels its operation.

    Raises errors.IllegalTransition where the table has no such step, or where the operation has begun: nothing takes a
    call back.
    """
    if request.operation.progress is not Progress.WAITING:
        raise IllegalTransition(f"{request.id} has begun: it cannot {event}")
    try:
        state = TRANSITIONS[request.state, event]
    except KeyError:
        raise IllegalTransition(f"{request.id} is {request.state}: it cannot {event}") from None
    operation = request.operation
    if state not in (State.PENDING, State.APPROVED):
        operation = advance(operation, Step.CANCEL)
    return dataclasses.replace(request, state=state, operation=operation)


def advance(operation: Operation, step: Step) -> Operation:
    """Return the operation one step on; raises errors.IllegalTransition where the table has no such step."""
    try:
        progress = PROGRESS[operation.progress, step]
    except KeyError:
        raise IllegalTransition(f"an operation that is {operation.progress} cannot {step}") from None
    return dataclasses.replace(operation, progress=progress)


def is_open(request: Request) -> bool:
    """Return whether the request is open: it waits, or its operation waits or runs."""
    return request.state is State.PENDING or (
        request.state is State.APPROVED and request.operation.progress in (Progress.WAITING, Progress.RUNNING)
    )


def is_read_back(request: Request) -> bool:
    """Return whether the outcome is unknown and the cloud is still being polled."""
    operation = request.operation
    return operation.progress is Progress.UNKNOWN and operation.awaiting is Awaiting.READING


def is_review_open(request: Request) -> bool:
    """Return whether an emergency still needs its review; a dry run needs none."""
    used = request.emergency is not None and request.emergency.review is None and not request.dry_run
    return used and request.operation.progress in (Progress.SUCCEEDED, Progress.FAILED, Progress.UNKNOWN)


def may_be_asked_again(request: Request) -> bool:
    """Return whether the request expired or failed, rather than being denied by a person."""
    return request.state is State.EXPIRED or request.operation.progress is Progress.FAILED


def can_withdraw(request: Request) -> bool:
    """Return whether the requester may still withdraw the request: until its first call is claimed."""
    return is_open(request) and request.operation.progress is Progress.WAITING


def holds_flow(request: Request) -> bool:
    """Return whether the request blocks others for the same flow; a dry run never does."""
    return (is_open(request) or is_read_back(request)) and not request.dry_run
