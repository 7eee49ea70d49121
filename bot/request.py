"""One request and its operation: what they are, and which step may follow which.

Everything that changes the state of a request or an operation lives in this file. It knows nothing of Slack, of the
cloud, or of how requests are stored; it has no clock: times come in as seconds since the epoch (UTC).
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Final

from bot import errors
from bot.arrivals import Actor
from bot.commands import Verb


class State(enum.StrEnum):
    """Where a request stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"


class Event(enum.StrEnum):
    """What can happen to a request."""

    APPROVE = "approve"  # the last approval that was needed, or the confirmation
    FALL_SHORT = "fall_short"  # rights or policy changed before the call: approvals are missing again
    DENY = "deny"
    EXPIRE = "expire"
    WITHDRAW = "withdraw"
    SUPERSEDE = "supersede"


class Progress(enum.StrEnum):
    """Where an operation stands."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


class Step(enum.StrEnum):
    """What can happen to an operation."""

    BEGIN = "begin"
    SUCCEED = "succeed"
    FAIL = "fail"
    LOSE = "lose"  # nobody knows what came of the call
    CANCEL = "cancel"


TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = {
    (State.PENDING, Event.APPROVE): State.APPROVED,
    (State.PENDING, Event.DENY): State.DENIED,
    (State.PENDING, Event.EXPIRE): State.EXPIRED,
    (State.PENDING, Event.WITHDRAW): State.WITHDRAWN,
    (State.PENDING, Event.SUPERSEDE): State.SUPERSEDED,
    (State.APPROVED, Event.FALL_SHORT): State.PENDING,
    (State.APPROVED, Event.DENY): State.DENIED,
    (State.APPROVED, Event.EXPIRE): State.EXPIRED,
    (State.APPROVED, Event.WITHDRAW): State.WITHDRAWN,
}

PROGRESS: Final[Mapping[tuple[Progress, Step], Progress]] = {
    (Progress.WAITING, Step.BEGIN): Progress.RUNNING,
    (Progress.WAITING, Step.CANCEL): Progress.CANCELLED,
    (Progress.RUNNING, Step.SUCCEED): Progress.SUCCEEDED,
    (Progress.RUNNING, Step.FAIL): Progress.FAILED,
    (Progress.RUNNING, Step.LOSE): Progress.UNKNOWN,
    (Progress.UNKNOWN, Step.SUCCEED): Progress.SUCCEEDED,
    (Progress.UNKNOWN, Step.FAIL): Progress.FAILED,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A source or an output of a flow, by what may be shown of it."""

    name: str
    protocol: str = ""
    health: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flow:
    """A flow as the cloud described it; `status` is the cloud's own word, `ACTIVE` or `STANDBY`."""

    flow_id: str
    name: str
    region: str
    status: str
    sources: tuple[Part, ...] = ()
    outputs: tuple[Part, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms:
    """What the rule in force asked for when the request was made.

    `approvers` is as the rule names them (sets, user ids, group ids); `mentions` are user and group ids to be told;
    `rule_text` is the rule as it stood in the policy file, whose hash is `policy_hash`.
    """

    rule: str
    rule_text: str
    policy_hash: str
    approvals: int
    approvers: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vote:
    """One approval, or the confirmation where no approval is needed."""

    actor: Actor
    at: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ending:
    """How a request ended without its operation being called.

    `actor` is None where nobody ended it: a clock did, or the policy (`rule`, where one rule is behind it, and
    `who_could` do it instead), or Slack refused to show the card (`code` is its error code).
    """

    actor: Actor | None
    at: float
    reason: str | None = None
    rule: str | None = None
    who_could: tuple[str, ...] = ()
    code: str | None = None


class How(enum.StrEnum):
    """What came of an operation."""

    STOPPED = "stopped"  # the cloud answered STANDBY
    ALREADY = "already"  # it was so before the call; nothing was called
    CONFIRMED_STANDBY = "confirmed_standby"  # the cloud refused as already in standby, and a read-back agrees
    REHEARSED = "rehearsed"  # a dry run: the whole gate, no call
    UNREADABLE = "unreadable"  # the cloud would not show the flow before the call; nothing was called
    REFUSED = "refused"  # the cloud said a definite no to the call
    STILL_ACTIVE = "still_active"  # accepted, still ACTIVE
    LOST = "lost"  # no answer that says what happened


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of an operation: the status word that the cloud returned, and its error where there was one."""

    how: How
    status: str | None = None
    failure: errors.CloudFailure | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operation:
    """The one call that a request is about: its progress, when its first try began, and its outcome.

    It does not begin before `not_before`: something that may pass was in the way, `held_ups` times in a row.
    """

    progress: Progress = Progress.WAITING
    not_before: float = 0.0
    held_ups: int = 0
    begun_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome | None = None


class Said(enum.StrEnum):
    """What a reply in the card's thread tells."""

    ASKED = "asked"  # the first reply: mentions the approvers
    LINKED = "linked"  # told to the requester alone: the card stands in another channel
    REMINDED = "reminded"
    VOTED = "voted"
    CONFIRMED = "confirmed"
    FELL_OFF = "fell_off"  # a vote whose right is gone
    DENIED = "denied"
    DENY_REASON = "deny_reason"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    CALLING = "calling"
    OUTCOME = "outcome"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reply:
    """One reply in the thread, composed when it is sent.

    `seq` orders the replies of a request; `ts` is set once Slack has it.
    """

    seq: int
    said: Said
    at: float
    actor: Actor | None = None
    reason: str | None = None
    count: int = 0
    needed: int = 0
    ts: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """Where the card stands, and the version of the request that it shows (0: not posted yet)."""

    channel: str
    ts: str | None = None
    shown: int = 0


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
    operation: Operation = Operation()
    version: int = 1
    next_seq: int = 1
    unsent: tuple[Reply, ...] = ()
    tell_failures: int = 0
    tell_at: float = 0.0


def apply(request: Request, event: Event) -> Request:
    """Return the request one step on.

    Raises errors.IllegalTransition where the table has no such step; nothing is changed then. A request that ends
    without approval cancels its operation.
    """
    try:
        state = TRANSITIONS[request.state, event]
    except KeyError:
        raise errors.IllegalTransition(f"{request.id} is {request.state}: it cannot {event}") from None
    operation = request.operation
    if state not in (State.PENDING, State.APPROVED):
        operation = advance(operation, Step.CANCEL)
    return dataclasses.replace(request, state=state, operation=operation)


def advance(operation: Operation, step: Step) -> Operation:
    """Return the operation one step on; raises errors.IllegalTransition where the table has no such step."""
    try:
        progress = PROGRESS[operation.progress, step]
    except KeyError:
        raise errors.IllegalTransition(f"an operation that is {operation.progress} cannot {step}") from None
    return dataclasses.replace(operation, progress=progress)


def approve(request: Request, vote: Vote, *, needed: int) -> Request:
    """Count one approval; the request is approved once `needed` are there, or more where it asked for more at first."""
    needed = max(needed, request.terms.approvals)
    terms = dataclasses.replace(request.terms, approvals=needed)
    voted = dataclasses.replace(request, terms=terms, votes=(*request.votes, vote))
    count = len({vote.actor.user for vote in voted.votes} - {request.requester.user})
    voted = say(voted, Said.VOTED, at=vote.at, actor=vote.actor, count=count, needed=needed)
    if count >= needed:
        voted = dataclasses.replace(apply(voted, Event.APPROVE), decided_at=vote.at)
    return _next_version(voted)


def confirm(request: Request, vote: Vote) -> Request:
    """Take the confirmation of a request that needs no approval."""
    confirmed = dataclasses.replace(apply(request, Event.APPROVE), votes=(vote,), decided_at=vote.at)
    return _next_version(say(confirmed, Said.CONFIRMED, at=vote.at, actor=vote.actor))


def fall_short(request: Request, *, lost: tuple[Vote, ...], terms: Terms, at: float) -> Request:
    """Take back an approval that does not reach what the policy asks for now; the votes of `lost` fall off, visibly."""
    kept = tuple(vote for vote in request.votes if vote not in lost)
    short = dataclasses.replace(apply(request, Event.FALL_SHORT), votes=kept, terms=terms, decided_at=None)
    for vote in lost:
        short = say(short, Said.FELL_OFF, at=at, actor=vote.actor, count=len(kept), needed=terms.approvals)
    if terms.approvals > request.terms.approvals:
        short = say(short, Said.ASKED, at=at, needed=terms.approvals)
    return _next_version(short)


def tighten(request: Request, terms: Terms, *, at: float) -> Request:
    """Ask for the approvals of a policy that has become stricter.

    Raises errors.IllegalTransition unless the request is pending.
    """
    if request.state is not State.PENDING:
        raise errors.IllegalTransition(f"{request.id} is {request.state}: its terms are settled")
    return _next_version(say(dataclasses.replace(request, terms=terms), Said.ASKED, at=at, needed=terms.approvals))


def end(request: Request, event: Event, ending: Ending, *, said: Said) -> Request:
    """End the request without a call: denied, withdrawn, expired or superseded."""
    ended = dataclasses.replace(apply(request, event), ending=ending)
    return _next_version(say(ended, said, at=ending.at, actor=ending.actor, reason=ending.reason))


def explain_denial(request: Request, *, reason: str, at: float) -> Request:
    """Add the reason that a denier gave after the denial.

    Raises errors.IllegalTransition unless the request is denied without one.
    """
    if request.state is not State.DENIED or request.ending is None or request.ending.reason is not None:
        raise errors.IllegalTransition(f"{request.id} takes no reason for a denial")
    ending = dataclasses.replace(request.ending, reason=reason)
    explained = dataclasses.replace(request, ending=ending)
    return _next_version(say(explained, Said.DENY_REASON, at=at, actor=ending.actor, reason=reason))


def begin(request: Request, *, at: float) -> Request:
    """Start the operation. Raises errors.IllegalTransition unless the request is approved."""
    if request.state is not State.APPROVED:
        raise errors.IllegalTransition(f"{request.id} is {request.state}: nothing may run")
    operation = dataclasses.replace(advance(request.operation, Step.BEGIN), begun_at=at)
    return _next_version(dataclasses.replace(request, operation=operation))


def hold_up(request: Request, *, until: float) -> Request:
    """Put the call off: something that may pass is in its way."""
    operation = dataclasses.replace(request.operation, not_before=until, held_ups=request.operation.held_ups + 1)
    return _next_version(dataclasses.replace(request, operation=operation))


def finish(request: Request, outcome: Outcome, *, at: float) -> Request:
    """Record what came of the operation, and tell it."""
    step = STEP_OF[outcome.how]
    operation = dataclasses.replace(advance(request.operation, step), outcome=outcome, ended_at=at)
    return _next_version(say(dataclasses.replace(request, operation=operation), Said.OUTCOME, at=at))


STEP_OF: Final[Mapping[How, Step]] = {
    How.STOPPED: Step.SUCCEED,
    How.ALREADY: Step.SUCCEED,
    How.CONFIRMED_STANDBY: Step.SUCCEED,
    How.REHEARSED: Step.SUCCEED,
    How.UNREADABLE: Step.FAIL,
    How.REFUSED: Step.FAIL,
    How.STILL_ACTIVE: Step.FAIL,
    How.LOST: Step.LOSE,
}
"""What each outcome means for the operation."""


def call_takes_long(request: Request, *, at: float) -> Request:
    """Tell that the cloud has not answered yet."""
    return _next_version(say(request, Said.CALLING, at=at))


def settle_without_call(request: Request, outcome: Outcome, *, at: float) -> Request:
    """Record an outcome that needed no call: it was so already, it is a dry run, or the flow cannot be read."""
    return dataclasses.replace(finish(begin(request, at=at), outcome, at=at), version=request.version + 1)


def remind(request: Request, *, at: float) -> Request:
    """Remind the approvers, once."""
    return _next_version(say(dataclasses.replace(request, reminded=True), Said.REMINDED, at=at))


def say(
    request: Request,
    said: Said,
    *,
    at: float,
    actor: Actor | None = None,
    reason: str | None = None,
    count: int = 0,
    needed: int = 0,
) -> Request:
    """Queue one reply; it is composed when it is sent."""
    reply = Reply(seq=request.next_seq, said=said, at=at, actor=actor, reason=reason, count=count, needed=needed)
    return dataclasses.replace(request, unsent=(*request.unsent, reply), next_seq=request.next_seq + 1)


def shown(request: Request, card: Card) -> Request:
    """Note what Slack shows now; not a new version."""
    return dataclasses.replace(request, card=card, tell_failures=0, tell_at=0.0)


def not_shown(request: Request, *, again_at: float) -> Request:
    """Note that Slack could not be told, and when it is tried again; not a new version."""
    return dataclasses.replace(request, tell_failures=request.tell_failures + 1, tell_at=again_at)


def is_open(request: Request) -> bool:
    """Tell whether anything may still come of the request: it waits, or its operation waits or runs."""
    return request.state is State.PENDING or (
        request.state is State.APPROVED and request.operation.progress in (Progress.WAITING, Progress.RUNNING)
    )


def can_withdraw(request: Request) -> bool:
    """Tell whether the requester may still take the request back: until its first call is claimed."""
    return is_open(request) and request.operation.progress is Progress.WAITING


def holds_flow(request: Request) -> bool:
    """Tell whether the request keeps others from opening one for the same flow; a dry run never does."""
    return is_open(request) and not request.dry_run


def _next_version(request: Request) -> Request:
    return dataclasses.replace(request, version=request.version + 1)
