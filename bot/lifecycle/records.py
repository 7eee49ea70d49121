"""The records of a request and its operation, and their changes of state.

The tables of states are in `states`, the steps of a request in `transitions`. It must not know Slack, the cloud or the
store. Times are seconds since the epoch (UTC).
"""

import dataclasses
import enum
from typing import Final

from bot.commands.deliveries import Actor, Verdict
from bot.commands.verbs import Door, Verb
from bot.lifecycle.cloud_failure import CloudFailure, Halt
from bot.lifecycle.states import PROGRESS, TRANSITIONS, Event, Progress, State, Step

APART: Final = 3.0
"""The least time between the two presses of an emergency, in seconds."""


class IllegalTransition(Exception):
    """The request or its operation cannot take this step in its current state."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A source or an output of a flow, reduced to what may be shown."""

    name: str
    protocol: str = ""
    health: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flow:
    """A flow as the cloud described it; `status` is the cloud's own word, `ACTIVE` or `STANDBY`.

    An emergency continues even if the cloud cannot be read: then `status` is empty, and so is `name` if only the id is
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
        """Return the name of the flow, or its id if the name is not known."""
        return self.name or self.flow_id


@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms:
    """What the deciding rule required when the request was made.

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
    """One approval, or the confirmation if no approval is needed."""

    actor: Actor
    at: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ending:
    """How a request ended without a call.

    `actor` is None if no person ended it. Then it expired; or the policy ended it, by `rule` (`who_could` do it
    instead) or by a pause with this `reason`; or Slack refused the card with the error `code`.
    """

    actor: Actor | None
    at: float
    reason: str | None = None
    rule: str | None = None
    who_could: tuple[str, ...] = ()
    code: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Review:
    """The review of an emergency; `comment` holds the reviewer's own words, if any."""

    actor: Actor
    at: float
    verdict: Verdict
    comment: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Emergency:
    """How a request skips its approvals, and who reviews it.

    `members` may use `--emergency` under the rule. `passed_over` are the approvers whose approval is skipped; they may
    deny and review, or the other members if there are no approvers. Both are named as in the rules (sets, user ids,
    group ids). `judges` are those who may deny and review by the latest policy; None in old records. `announced_in` is
    the project's home channel; None if the card is there. `first_at` is the time of the requester's first press. Over
    the limit, `needs_second` requires that another member press second. `reminded_at` is when reviewers were last
    asked.
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
    """How an operation ended: the cloud's status word, the last error if any, and why it was not retried."""

    how: OutcomeKind
    status: str | None = None
    failure: CloudFailure | None = None
    halt: Halt | None = None


class Awaiting(enum.StrEnum):
    """What an operation waits for."""

    TRY = "try"  # the first call or a retry
    REPLY = "reply"  # the reply to a claimed call
    READING = "reading"  # reading the flow back
    NOTHING = "nothing"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operation:
    """The one change that a request asks for, and the progress of its calls.

    What it awaits happens no earlier than `not_before`. `held_ups` counts the temporary obstacles in a row before a
    try, `reads` the inconclusive polls. `begun_at` is when the first of `tries` began, `accepted_at` when the cloud
    accepted the call but returned another status, `unknown_since` when the outcome became unknown. `trouble` is the
    latest failure of a call or a poll. `changed_to` is the status found by the last read after a success, if it
    differs. `unexpected` counts unexpected errors.
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
    """The kind of a reply in the card's thread."""

    ASKED = "asked"  # the first reply; mentions the approvers
    EMERGENCY = "emergency"  # the first reply to an emergency, also in the channel; mentions the skipped approvers
    ANNOUNCED = "announced"  # the same in the project's home channel
    LINKED = "linked"  # visible to the requester only: a link to a card in another channel
    REMINDED = "reminded"
    VOTED = "voted"
    PRESSED_FIRST = "pressed_first"  # the first press of an emergency
    CONFIRMED = "confirmed"
    FELL_OFF = "fell_off"  # a vote was removed, because the voter lost the right
    DENIED = "denied"
    DENY_REASON = "deny_reason"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"  # replaced by an emergency
    EXPIRED = "expired"
    CALLING = "calling"
    OUTCOME = "outcome"
    CHANGED = "changed"  # the last read after a success found another status
    GIVEN_UP = "given_up"  # polling ended, the outcome stays unknown
    REVIEW_OPEN = "review_open"  # asks for the review of an emergency; repeated daily
    REVIEWED = "reviewed"
    UNEXPECTED = "unexpected"  # an unexpected error; `reason` is its id


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
    """Where the card is, and the version of the request that it shows (0: not posted yet).

    `thread` is the `ts` of the root message if the card is a reply in a thread.
    """

    channel: str
    ts: str | None = None
    shown: int = 0
    thread: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """One request, with its one operation.

    `version` counts the changes that were decided; delivering the card and the replies does not raise it. `asked_in` is
    the channel where the command was typed. `unsent` are the replies that Slack does not have yet, in order; `next_seq`
    is the number of the next reply. `tell_at` is when to try Slack again after a failure.
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
    """Return the request after an event; an end without a call cancels the operation.

    Raises IllegalTransition if the table has no such step, or if the operation has begun: a call cannot be taken back.
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
    """Return the operation after a step; raises IllegalTransition if the table has no such step."""
    try:
        progress = PROGRESS[operation.progress, step]
    except KeyError:
        raise IllegalTransition(f"an operation that is {operation.progress} cannot {step}") from None
    return dataclasses.replace(operation, progress=progress)


def is_open(request: Request) -> bool:
    """Return whether the request is pending, or approved with an operation that waits or runs."""
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
    """Return whether the request may be asked for again: it expired, or its operation failed."""
    return request.state is State.EXPIRED or request.operation.progress is Progress.FAILED


def can_withdraw(request: Request) -> bool:
    """Return whether the requester may still withdraw the request: until its first call is claimed."""
    return is_open(request) and request.operation.progress is Progress.WAITING


def holds_flow(request: Request) -> bool:
    """Return whether the request blocks others for the same flow; a dry run never does."""
    return (is_open(request) or is_read_back(request)) and not request.dry_run
