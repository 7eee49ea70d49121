"""The steps of a request: approve, deny, begin, finish … each a function from one record to its next version.

Each step raises the version by one and queues its replies. An illegal step raises records.IllegalTransition and changes
nothing. No clock: times are arguments, in seconds since the epoch (UTC).
"""

import dataclasses
from collections.abc import Mapping
from typing import Final

from bot.commands.deliveries import Actor
from bot.lifecycle import records
from bot.lifecycle.cloud_failure import CloudFailure
from bot.lifecycle.records import (
    Awaiting,
    Card,
    Ending,
    Outcome,
    OutcomeKind,
    Reply,
    ReplyKind,
    Request,
    Review,
    Terms,
    Vote,
)
from bot.lifecycle.states import Event, Progress, State, Step

ENDS: Final = (Event.DENY, Event.EXPIRE, Event.WITHDRAW, Event.SUPERSEDE)
"""The events that end a request without a call."""


def approve(request: Request, vote: Vote, *, needed: int) -> Request:
    """Add one approval; `needed` approve the request, or as many as it first required if that is more."""
    _require(request.state is State.PENDING and request.terms.approvals > 0, request, "takes no approval")
    needed = max(needed, request.terms.approvals)
    terms = dataclasses.replace(request.terms, approvals=needed)
    voted = dataclasses.replace(request, terms=terms, votes=(*request.votes, vote))
    count = len({vote.actor.id for vote in voted.votes} - {request.requester.id})
    voted = say(voted, ReplyKind.VOTED, at=vote.at, actor=vote.actor, count=count, needed=needed)
    if count >= needed:
        voted = dataclasses.replace(records.apply(voted, Event.APPROVE), decided_at=vote.at)
    return _next_version(voted)


def confirm(request: Request, vote: Vote) -> Request:
    """Confirm a request that needs no approval."""
    plain = request.terms.approvals == 0 and request.emergency is None
    _require(plain, request, "takes no confirmation of this kind")
    confirmed = dataclasses.replace(records.apply(request, Event.APPROVE), votes=(vote,), decided_at=vote.at)
    return _next_version(say(confirmed, ReplyKind.CONFIRMED, at=vote.at, actor=vote.actor))


def press_first(request: Request, *, at: float, needs_second: bool = False) -> Request:
    """Record the requester's first press of an emergency; `needs_second`: another member must press second."""
    emergency = request.emergency
    if request.state is not State.PENDING or emergency is None or emergency.first_at is not None:
        raise records.IllegalTransition(f"{request.id} takes no first press")
    pressed = dataclasses.replace(
        request, emergency=dataclasses.replace(emergency, first_at=at, needs_second=needs_second)
    )
    return _next_version(say(pressed, ReplyKind.PRESSED_FIRST, at=at, actor=request.requester))


def want_second(request: Request) -> Request:
    """Require that another member make the second press of an emergency."""
    emergency = request.emergency
    if request.state is not State.PENDING or emergency is None or emergency.needs_second:
        raise records.IllegalTransition(f"{request.id} needs no second person")
    return _next_version(dataclasses.replace(request, emergency=dataclasses.replace(emergency, needs_second=True)))


def confirm_emergency(request: Request, vote: Vote) -> Request:
    """Record the second press of an emergency, which approves it."""
    first_at = None if request.emergency is None else request.emergency.first_at
    if first_at is None or vote.at < first_at + records.APART:
        raise records.IllegalTransition(f"{request.id} takes no second press yet")
    votes = (Vote(actor=request.requester, at=first_at), vote)
    confirmed = dataclasses.replace(records.apply(request, Event.APPROVE), votes=votes, decided_at=vote.at)
    return _next_version(say(confirmed, ReplyKind.CONFIRMED, at=vote.at, actor=vote.actor))


def review(request: Request, review: Review) -> Request:
    """Record the review of an emergency."""
    if request.emergency is None or not records.is_review_open(request):
        raise records.IllegalTransition(f"{request.id} has no open review")
    reviewed = dataclasses.replace(request, emergency=dataclasses.replace(request.emergency, review=review))
    return _next_version(say(reviewed, ReplyKind.REVIEWED, at=review.at, actor=review.actor, reason=review.comment))


def remind_of_review(request: Request, *, at: float) -> Request:
    """Ask the reviewers of an emergency again."""
    _require(records.is_review_open(request), request, "has no open review")
    return _next_version(_ask_for_review(request, at=at))


def fall_short(request: Request, *, lost: tuple[Vote, ...], terms: Terms, at: float) -> Request:
    """Return an approved request to pending, because the current policy needs more votes; `lost` votes are removed."""
    kept = tuple(vote for vote in request.votes if vote not in lost)
    short = dataclasses.replace(records.apply(request, Event.FALL_SHORT), votes=kept, terms=terms, decided_at=None)
    for vote in lost:
        short = say(short, ReplyKind.FELL_OFF, at=at, actor=vote.actor, count=len(kept), needed=terms.approvals)
    if terms.approvals > request.terms.approvals:
        short = say(short, ReplyKind.ASKED, at=at, needed=terms.approvals)
    return _next_version(short)


def tighten(request: Request, terms: Terms, *, at: float) -> Request:
    """Raise the number of approvals, because the policy has become stricter."""
    stricter = terms.approvals > request.terms.approvals
    _require(request.state is State.PENDING and stricter, request, "takes no such terms")
    return _next_version(say(dataclasses.replace(request, terms=terms), ReplyKind.ASKED, at=at, needed=terms.approvals))


def end(request: Request, event: Event, ending: Ending, *, said: ReplyKind) -> Request:
    """End the request without a call: denied, withdrawn, expired or superseded."""
    _require(event in ENDS, request, f"does not end by {event}")
    ended = dataclasses.replace(records.apply(request, event), ending=ending)
    return _next_version(say(ended, said, at=ending.at, actor=ending.actor, reason=ending.reason))


def explain_denial(request: Request, *, reason: str, at: float) -> Request:
    """Add the reason that a denier gave after the denial."""
    ending = request.ending
    if request.state is not State.DENIED or ending is None or ending.reason is not None:
        raise records.IllegalTransition(f"{request.id} takes no reason for a denial")
    ending = dataclasses.replace(ending, reason=reason)
    explained = dataclasses.replace(request, ending=ending)
    return _next_version(say(explained, ReplyKind.DENY_REASON, at=at, actor=ending.actor, reason=reason))


def begin(request: Request, *, at: float) -> Request:
    """Claim a try: the first of an approved request, or a retry that is due."""
    operation = request.operation
    _require(request.state is State.APPROVED and operation.awaiting is Awaiting.TRY, request, "may not run")
    if operation.progress is Progress.WAITING:
        operation = dataclasses.replace(records.advance(operation, Step.BEGIN), begun_at=at)
    _require(operation.progress is Progress.RUNNING, request, "may not run")
    claimed = dataclasses.replace(operation, awaiting=Awaiting.REPLY, tries=operation.tries + 1)
    return _next_version(dataclasses.replace(request, operation=claimed))


def wait(request: Request, awaiting: Awaiting, *, until: float, trouble: CloudFailure | None = None) -> Request:
    """Make a running or unknown operation wait for a retry or a poll."""
    operation = request.operation
    _require(operation.progress in (Progress.RUNNING, Progress.UNKNOWN), request, "waits for nothing")
    waiting = dataclasses.replace(operation, awaiting=awaiting, not_before=until, trouble=trouble or operation.trouble)
    return _next_version(dataclasses.replace(request, operation=waiting))


def accept(request: Request, *, at: float, until: float) -> Request:
    """Record that the cloud accepted the call but still reports another status; read it back at `until`."""
    accepted = dataclasses.replace(request.operation, accepted_at=at)
    return wait(dataclasses.replace(request, operation=accepted), Awaiting.READING, until=until)


def hold_up(request: Request, *, until: float, trouble: CloudFailure | None = None) -> Request:
    """Postpone the call because of a temporary obstacle; keep the error of an earlier try."""
    operation = request.operation
    waits = operation.progress in (Progress.WAITING, Progress.RUNNING) and operation.awaiting is Awaiting.TRY
    _require(request.state is State.APPROVED and waits, request, "has no call to put off")
    kept = trouble if operation.progress is Progress.WAITING else operation.trouble
    held_up = dataclasses.replace(operation, not_before=until, held_ups=operation.held_ups + 1, trouble=kept)
    return _next_version(dataclasses.replace(request, operation=held_up))


def rename(request: Request, name: str) -> Request:
    """Record the current name of the flow, without a new version: it belongs to the step that follows."""
    return dataclasses.replace(request, flow=dataclasses.replace(request.flow, name=name))


def finish(request: Request, outcome: Outcome, *, at: float, look_again_at: float | None = None) -> Request:
    """Record the outcome and queue its reply; `look_again_at` is when the state is read back once more."""
    operation = dataclasses.replace(
        records.advance(request.operation, STEP_OF[outcome.how]),
        outcome=outcome,
        ended_at=at,
        awaiting=Awaiting.NOTHING if look_again_at is None else Awaiting.READING,
        not_before=look_again_at or 0.0,
    )
    if outcome.how is OutcomeKind.LOST:
        operation = dataclasses.replace(operation, unknown_since=at)
    told = say(dataclasses.replace(request, operation=operation), ReplyKind.OUTCOME, at=at)
    first = records.is_review_open(told) and told.emergency is not None and told.emergency.reminded_at is None
    return _next_version(_ask_for_review(told, at=at) if first else told)


def look_back(request: Request, *, changed_to: str | None, at: float) -> Request:
    """Record the last read after a success; queue a reply if it found another status than wanted."""
    operation = request.operation
    due = operation.progress is Progress.SUCCEEDED and operation.awaiting is Awaiting.READING
    _require(due, request, "is not looked at again")
    looked = dataclasses.replace(operation, awaiting=Awaiting.NOTHING, changed_to=changed_to)
    seen = dataclasses.replace(request, operation=looked)
    return _next_version(seen if changed_to is None else say(seen, ReplyKind.CHANGED, at=at))


def give_up(request: Request, *, at: float) -> Request:
    """Stop polling the cloud; the outcome stays unknown."""
    _require(records.is_read_back(request), request, "is not read back")
    operation = dataclasses.replace(request.operation, awaiting=Awaiting.NOTHING)
    return _next_version(say(dataclasses.replace(request, operation=operation), ReplyKind.GIVEN_UP, at=at))


def count_reading(request: Request, *, until: float, trouble: CloudFailure) -> Request:
    """Record an inconclusive poll and the time of the next one."""
    operation = dataclasses.replace(request.operation, reads=request.operation.reads + 1)
    return wait(dataclasses.replace(request, operation=operation), Awaiting.READING, until=until, trouble=trouble)


def check_now(request: Request, *, at: float) -> Request:
    """Make the next poll of an unknown outcome due immediately."""
    _require(records.is_read_back(request), request, "is not read back")
    return wait(request, Awaiting.READING, until=at)


STEP_OF: Final[Mapping[OutcomeKind, Step]] = {
    OutcomeKind.DONE: Step.SUCCEED,
    OutcomeKind.ALREADY: Step.SUCCEED,
    OutcomeKind.CONFIRMED: Step.SUCCEED,
    OutcomeKind.READ_BACK: Step.SUCCEED,
    OutcomeKind.REHEARSED: Step.SUCCEED,
    OutcomeKind.UNREADABLE: Step.FAIL,
    OutcomeKind.REFUSED: Step.FAIL,
    OutcomeKind.NOT_DONE: Step.FAIL,
    OutcomeKind.UNDONE: Step.FAIL,
    OutcomeKind.LOST: Step.LOSE,
}
"""What each outcome means for the operation."""


def settle_without_call(request: Request, outcome: Outcome, *, at: float) -> Request:
    """Record an outcome without a call: already done, a dry run, or a flow that cannot be read."""
    return dataclasses.replace(finish(begin(request, at=at), outcome, at=at), version=request.version + 1)


def call_takes_long(request: Request, *, at: float) -> Request:
    """Queue a reply that the cloud has not answered yet."""
    _require(request.operation.progress is Progress.RUNNING, request, "has no call under way")
    return _next_version(say(request, ReplyKind.CALLING, at=at))


def remind(request: Request, *, at: float) -> Request:
    """Remind the approvers, once."""
    _require(request.state is State.PENDING and not request.reminded, request, "needs no reminder")
    return _next_version(say(dataclasses.replace(request, reminded=True), ReplyKind.REMINDED, at=at))


def _ask_for_review(request: Request, *, at: float) -> Request:
    asked = request.emergency and dataclasses.replace(request.emergency, reminded_at=at)
    return say(dataclasses.replace(request, emergency=asked), ReplyKind.REVIEW_OPEN, at=at)


def say(
    request: Request,
    said: ReplyKind,
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
    """Record what Slack shows now, without a new version."""
    return dataclasses.replace(request, card=card, tell_failures=0, tell_at=0.0)


def not_shown(request: Request, *, again_at: float) -> Request:
    """Record a failed Slack update and when to retry it, without a new version."""
    return dataclasses.replace(request, tell_failures=request.tell_failures + 1, tell_at=again_at)


def note_unexpected(request: Request, *, error_id: str, at: float) -> Request:
    """Count an unexpected error in the work on the request, and report the first."""
    operation = dataclasses.replace(request.operation, unexpected=request.operation.unexpected + 1)
    noted = dataclasses.replace(request, operation=operation)
    if operation.unexpected == 1:
        noted = say(noted, ReplyKind.UNEXPECTED, at=at, actor=request.requester, reason=error_id)
    return _next_version(noted)


def _require(legal: bool, request: Request, what: str) -> None:
    if not legal:
        raise records.IllegalTransition(f"{request.id} is {request.state}, {request.operation.progress}: it {what}")


def _next_version(request: Request) -> Request:
    return dataclasses.replace(request, version=request.version + 1)
