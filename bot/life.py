"""What happens to a request: approved, denied, begun, finished … each a function from one record to its next version.

Every decision raises the version by one and queues the replies that tell of it. An illegal step raises
errors.IllegalTransition and changes nothing. No clock: times come in as seconds since the epoch (UTC).
"""

import dataclasses
from collections.abc import Mapping
from typing import Final

from bot import errors
from bot import request as requests
from bot.arrivals import Actor
from bot.request import (
    Card,
    Ending,
    Event,
    How,
    Outcome,
    Progress,
    Reply,
    Request,
    Said,
    State,
    Step,
    Terms,
    Vote,
)

ENDS: Final = (Event.DENY, Event.EXPIRE, Event.WITHDRAW, Event.SUPERSEDE)
"""The events that end a request without a call."""


def approve(request: Request, vote: Vote, *, needed: int) -> Request:
    """Count one approval; the request is approved once `needed` are there, or more where it asked for more at first."""
    _require(request.state is State.PENDING and request.terms.approvals > 0, request, "takes no approval")
    needed = max(needed, request.terms.approvals)
    terms = dataclasses.replace(request.terms, approvals=needed)
    voted = dataclasses.replace(request, terms=terms, votes=(*request.votes, vote))
    count = len({vote.actor.user for vote in voted.votes} - {request.requester.user})
    voted = say(voted, Said.VOTED, at=vote.at, actor=vote.actor, count=count, needed=needed)
    if count >= needed:
        voted = dataclasses.replace(requests.apply(voted, Event.APPROVE), decided_at=vote.at)
    return _next_version(voted)


def confirm(request: Request, vote: Vote) -> Request:
    """Take the confirmation of a request that needs no approval."""
    _require(request.terms.approvals == 0, request, "needs approvals and no confirmation")
    confirmed = dataclasses.replace(requests.apply(request, Event.APPROVE), votes=(vote,), decided_at=vote.at)
    return _next_version(say(confirmed, Said.CONFIRMED, at=vote.at, actor=vote.actor))


def fall_short(request: Request, *, lost: tuple[Vote, ...], terms: Terms, at: float) -> Request:
    """Take back an approval that does not reach what the policy asks for now; the votes of `lost` fall off, visibly."""
    kept = tuple(vote for vote in request.votes if vote not in lost)
    short = dataclasses.replace(requests.apply(request, Event.FALL_SHORT), votes=kept, terms=terms, decided_at=None)
    for vote in lost:
        short = say(short, Said.FELL_OFF, at=at, actor=vote.actor, count=len(kept), needed=terms.approvals)
    if terms.approvals > request.terms.approvals:
        short = say(short, Said.ASKED, at=at, needed=terms.approvals)
    return _next_version(short)


def tighten(request: Request, terms: Terms, *, at: float) -> Request:
    """Ask for the approvals of a policy that has become stricter."""
    stricter = terms.approvals > request.terms.approvals
    _require(request.state is State.PENDING and stricter, request, "takes no such terms")
    return _next_version(say(dataclasses.replace(request, terms=terms), Said.ASKED, at=at, needed=terms.approvals))


def end(request: Request, event: Event, ending: Ending, *, said: Said) -> Request:
    """End the request without a call: denied, withdrawn, expired or superseded."""
    _require(event in ENDS, request, f"does not end by {event}")
    ended = dataclasses.replace(requests.apply(request, event), ending=ending)
    return _next_version(say(ended, said, at=ending.at, actor=ending.actor, reason=ending.reason))


def explain_denial(request: Request, *, reason: str, at: float) -> Request:
    """Add the reason that a denier gave after the denial."""
    ending = request.ending
    if request.state is not State.DENIED or ending is None or ending.reason is not None:
        raise errors.IllegalTransition(f"{request.id} takes no reason for a denial")
    ending = dataclasses.replace(ending, reason=reason)
    explained = dataclasses.replace(request, ending=ending)
    return _next_version(say(explained, Said.DENY_REASON, at=at, actor=ending.actor, reason=reason))


def begin(request: Request, *, at: float) -> Request:
    """Start the operation of an approved request."""
    _require(request.state is State.APPROVED, request, "may not run")
    operation = dataclasses.replace(requests.advance(request.operation, Step.BEGIN), begun_at=at)
    return _next_version(dataclasses.replace(request, operation=operation))


def hold_up(request: Request, *, until: float) -> Request:
    """Put the call off: something that may pass is in its way."""
    _require(request.state is State.APPROVED and requests.can_withdraw(request), request, "has no call to put off")
    operation = dataclasses.replace(request.operation, not_before=until, held_ups=request.operation.held_ups + 1)
    return _next_version(dataclasses.replace(request, operation=operation))


def finish(request: Request, outcome: Outcome, *, at: float) -> Request:
    """Record what came of the operation, and tell it."""
    step = STEP_OF[outcome.how]
    operation = dataclasses.replace(requests.advance(request.operation, step), outcome=outcome, ended_at=at)
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


def settle_without_call(request: Request, outcome: Outcome, *, at: float) -> Request:
    """Record an outcome that needed no call: it was so already, it is a dry run, or the flow cannot be read."""
    return dataclasses.replace(finish(begin(request, at=at), outcome, at=at), version=request.version + 1)


def call_takes_long(request: Request, *, at: float) -> Request:
    """Tell that the cloud has not answered yet."""
    _require(request.operation.progress is Progress.RUNNING, request, "has no call under way")
    return _next_version(say(request, Said.CALLING, at=at))


def remind(request: Request, *, at: float) -> Request:
    """Remind the approvers, once."""
    _require(request.state is State.PENDING and not request.reminded, request, "needs no reminder")
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


def _require(legal: bool, request: Request, what: str) -> None:
    if not legal:
        raise errors.IllegalTransition(f"{request.id} is {request.state}, {request.operation.progress}: it {what}")


def _next_version(request: Request) -> Request:
    return dataclasses.replace(request, version=request.version + 1)
