"""Where a request stands, as the one line under the card's first: what it waits for, or how it ended, by whom and when.

Owns these words for every state, progress and outcome. Must not know blocks or buttons.
"""

import dataclasses
from collections.abc import Mapping
from typing import Final, assert_never

from bot.lifecycle import schedule
from bot.lifecycle.records import Awaiting, Emergency, Ending, Operation, OutcomeKind, Request
from bot.lifecycle.states import Progress, State
from bot.slack.messages import emergencies, outcomes
from bot.slack.messages.text import code, date, escape, listed, quiet, quote, user

MOST_NAMED: Final = 4

UNTOUCHED: Final = "the flow was not touched"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """The state in a word or two, and what goes on right behind it."""

    lead: str
    rest: str


def line(request: Request, *, workspace_url: str) -> Line:
    """Return the line for the request as it is."""
    match request.state:
        case State.PENDING:
            return _pending(request, workspace_url)
        case State.APPROVED:
            return _approved(request)
        case State.DENIED:
            return _denied(request.ending)
        case State.EXPIRED:
            return Line(lead="Expired", rest=f": {expired_because(request)}; {UNTOUCHED}{_when(request.ending)}")
        case State.WITHDRAWN:
            return _withdrawn(request.ending)
        case State.SUPERSEDED:
            return _superseded(request.ending)
        case _:
            assert_never(request.state)


def approvals(request: Request, *, count: int, needed: int, workspace_url: str) -> str:
    """Return the approvals had and needed, and from whom the rest may come; it pings nobody."""
    tally = f"{count} of {needed}"
    if count >= needed:
        return f"{tally}, complete"
    approvers = tuple(quiet(entry, workspace_url=workspace_url) for entry in request.terms.approvers)
    return f"{tally} — waiting for {listed(approvers, most=MOST_NAMED, last='or') or 'an approver'}"


def counted(request: Request) -> tuple[str, ...]:
    """Return the ids of those whose approvals count, each once; the requester's never does."""
    users = {vote.actor.id: vote.actor.user for vote in request.votes}
    return tuple(user_id for person, user_id in users.items() if person != request.requester.id)


def expired_because(request: Request) -> str:
    """Return why the request expired; one that was approved has `decided_at`."""
    if request.decided_at is not None:
        return "approved, but not begun within two minutes"
    return "not approved in time" if request.terms.approvals > 0 else "not confirmed in time"


def withdrawn_because(ending: Ending | None) -> str:
    """Return why flowbot itself took the request back."""
    return f"Slack did not take the card ({code(ending.code)})" if ending and ending.code else "it could not go on"


def _pending(request: Request, workspace_url: str) -> Line:
    until = f". Expires at {date(request.expires_at)}"
    if request.emergency is not None:
        return _pressed(request, request.emergency, until, workspace_url)
    needed = request.terms.approvals
    if needed == 0:
        return Line(lead="Waiting for confirmation", rest=f"; no approval is needed{until}")
    tally = approvals(request, count=len(counted(request)), needed=needed, workspace_url=workspace_url)
    so_far = f"; approved {_by(request)}" if counted(request) else ""
    return Line(lead="Approvals", rest=f": {tally}{so_far}{until}")


def _pressed(request: Request, emergency: Emergency, until: str, workspace_url: str) -> Line:
    """Return how far the two presses of an emergency have come."""
    who = user(request.requester.user)
    others = emergencies.members(emergency, workspace_url=workspace_url)
    limit = f"; they are over the limit of emergencies, so the second press is for another of {others}"
    if emergency.first_at is None:
        over = limit if emergency.needs_second else ""
        return Line(lead="Waiting for the first of two presses", rest=f" by {who}{over}{until}")
    once = f" by {who} · {date(emergency.first_at)}"
    if emergency.needs_second:
        return Line(lead="Pressed once", rest=f"{once}{limit}{until}")
    return Line(lead="Pressed once", rest=f"{once}; the second press, {emergencies.APART} later, lets it run{until}")


def _by(request: Request) -> str:
    votes = tuple({vote.actor.id: vote.actor.user for vote in request.votes}.values())
    people = counted(request) if request.terms.approvals > 0 else votes
    return f"by {listed(tuple(map(user, people)), most=MOST_NAMED)}"


def _approved(request: Request) -> Line:
    operation, decision = request.operation, "Approved" if request.terms.approvals > 0 else "Confirmed"
    match operation.progress:
        case Progress.WAITING:
            return Line(lead=decision, rest=f" {_by(request)}; {_next(request)}")
        case Progress.RUNNING:
            return Line(lead="Calling", rest=f": {_running(operation)}. {decision} {_by(request)}")
        case Progress.SUCCEEDED | Progress.FAILED | Progress.UNKNOWN | Progress.CANCELLED:
            came_of_it = _ended(request, operation)
            if operation.changed_to is not None:
                now = escape(operation.changed_to, most=40)
                came_of_it = Line(lead=f"{now} again", rest=f", after it was {came_of_it.lead}{came_of_it.rest}")
            at = f" · {date(operation.ended_at)}" if operation.ended_at is not None else ""
            return dataclasses.replace(came_of_it, rest=f"{came_of_it.rest}. {decision} {_by(request)}{at}")
        case _:
            assert_never(operation.progress)


def _next(request: Request) -> str:
    operation = request.operation
    if operation.held_ups == 0:
        return "the last checks and the call come next"
    why = f" ({escape(operation.trouble.message, most=120)})" if operation.trouble and operation.trouble.message else ""
    return f"the call is held up{why}, and does not begin after {date(schedule.begin_by(request))}"


def _running(operation: Operation) -> str:
    match operation.awaiting:
        case Awaiting.READING if operation.accepted_at is not None:
            return "the cloud accepted it, and does not report it done yet"
        case Awaiting.READING:
            return "no reply came, so the flow's state is read"
        case Awaiting.TRY:
            return f"try {operation.tries} was not carried out, and another follows at {date(operation.not_before)}"
        case Awaiting.REPLY | Awaiting.NOTHING:
            return "the cloud has not answered yet"
        case _:
            assert_never(operation.awaiting)


_ENDED: Final[Mapping[OutcomeKind, tuple[str, str]]] = {
    OutcomeKind.DONE: ("{status}", ": the cloud says that it is {past}"),
    OutcomeKind.ALREADY: ("{status}", ": already so, not by this request; nothing was called"),
    OutcomeKind.READ_BACK: ("{status}", ": the reply was lost, and a reading finds it so"),
    OutcomeKind.CONFIRMED: ("{status}", ": the cloud refused the call as already so, and a second reading agrees"),
    OutcomeKind.REHEARSED: ("Dry run done", ": nothing was called and nothing has changed"),
    OutcomeKind.UNREADABLE: ("Failed", ": {unreadable}; nothing was called"),
    OutcomeKind.REFUSED: ("Failed", ": {refused}{named}"),
    OutcomeKind.NOT_DONE: ("Failed", ": accepted, still {status}"),
    OutcomeKind.UNDONE: ("Failed", ": still {status}; it may have been {undone} again"),
    OutcomeKind.LOST: ("Unknown", ": {unknown}"),
}
"""How an operation ended, by its outcome: a word or two, and what goes on behind it."""


def _ended(request: Request, operation: Operation) -> Line:
    outcome = operation.outcome
    if outcome is None:
        return Line(lead="Ended", rest=f"; {UNTOUCHED}")
    if outcome.halt is not None:
        return Line(lead="Failed", rest=f": {outcomes.halted(outcome, outcome.halt)}")
    named = outcome.failure.code if outcome.failure is not None else None
    asks = "nobody knows what came of the call; I keep asking the cloud"
    asked = "nobody will know what came of the call; I asked the cloud for an hour"
    words = {
        "status": outcomes.status(request, outcome),
        "past": outcomes.past(request.verb),
        "undone": outcomes.past_other(request.verb),
        "refused": outcomes.refused(outcome),
        "unreadable": outcomes.unreadable(outcome),
        "named": f", {code(named)}" if named else "",
        "unknown": asks if operation.awaiting is Awaiting.READING else asked,
    }
    lead, rest = _ENDED[outcome.how]
    return Line(lead=lead.format(**words), rest=rest.format(**words))


def _denied(ending: Ending | None) -> Line:
    if ending is None or ending.actor is None:
        return Line(lead="Denied by policy", rest=f"{policy_because(ending)}; {UNTOUCHED}{_when(ending)}")
    why = f". Reason: {quote(ending.reason, most=200)}" if ending.reason else ""
    return Line(lead="Denied", rest=f" by {user(ending.actor.user)}; {UNTOUCHED}{_when(ending)}{why}")


def policy_because(ending: Ending | None) -> str:
    """Return why the policy denied, fit to follow "denied by policy": a pause, a rule, or that no rule allows it."""
    if ending is not None and ending.reason:
        return f": flowbot is paused, {quote(ending.reason, most=200)}"
    if ending is not None and ending.rule:
        return f", under rule {quote(ending.rule, most=100)}"
    return ": no rule allows it now"


def _withdrawn(ending: Ending | None) -> Line:
    by = f"by {user(ending.actor.user)}" if ending and ending.actor else f"by flowbot: {withdrawn_because(ending)}"
    return Line(lead="Withdrawn", rest=f" {by}; {UNTOUCHED}{_when(ending)}")


def _superseded(ending: Ending | None) -> Line:
    by = f" of {user(ending.actor.user)}" if ending and ending.actor else ""
    return Line(lead="Superseded", rest=f" by an emergency request{by}; {UNTOUCHED}{_when(ending)}")


def _when(ending: Ending | None) -> str:
    return f" · {date(ending.at)}" if ending is not None else ""
