"""The state line below a card's first line: what the request waits for, or why, when and by whom it ended.

Owns these words for every state, progress and outcome. Must not know blocks or buttons.
"""

import dataclasses
from collections.abc import Mapping
from typing import Final, assert_never

from bot.lifecycle import schedule
from bot.lifecycle.records import Awaiting, Emergency, Ending, Operation, OutcomeKind, Request
from bot.lifecycle.states import Progress, State
from bot.slack.messages import emergencies, outcomes
from bot.slack.messages.text import acting, code, date, escape, listed, quiet, quote, user

MOST_NAMED: Final = 4

UNTOUCHED: Final = "the flow was not touched"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StateLine:
    """The state in a word or two, and the rest of the line.

    `settled` means that the card's first line already says what came of it, so the lead is not spoken again.
    """

    lead: str
    rest: str
    settled: bool = False

    @property
    def shown(self) -> str:
        """The line as the card shows it: the lead is bold."""
        return f"*{self.lead}*{self.rest}" if self.lead else self.spoken

    @property
    def spoken(self) -> str:
        """The line as it follows the card's first line in a notification or a list."""
        if not self.settled:
            return f"{self.lead}{self.rest}"
        said = self.rest.lstrip(" ,:;·")
        return f"{said[:1].upper()}{said[1:]}"


def line(request: Request, *, workspace_url: str) -> StateLine:
    """Return the state line for a request."""
    match request.state:
        case State.PENDING:
            return _pending(request, workspace_url)
        case State.APPROVED:
            return _approved(request)
        case State.DENIED:
            return _denied(request.ending)
        case State.EXPIRED:
            why = f": {expired_because(request)}; {UNTOUCHED}{_when(request.ending)}"
            return StateLine(lead="Expired", rest=why, settled=True)
        case State.WITHDRAWN:
            return _withdrawn(request.ending)
        case State.SUPERSEDED:
            return _superseded(request.ending)
        case _:
            assert_never(request.state)


def approvals(request: Request, *, count: int, needed: int, workspace_url: str) -> str:
    """Return how many approvals there are, how many are needed, and who may give the rest; it pings nobody."""
    tally = f"{count} of {needed}"
    if count >= needed:
        return f"{tally}, complete"
    approvers = tuple(quiet(entry, workspace_url=workspace_url) for entry in request.terms.approvers)
    return f"{tally} — waiting for {listed(approvers, most=MOST_NAMED, last='or') or 'an approver'}"


def counted(request: Request) -> tuple[str, ...]:
    """Return the ids of those whose approvals count, each once; the requester's never counts."""
    users = {vote.actor.id: vote.actor.user for vote in request.votes}
    return tuple(user_id for person, user_id in users.items() if person != request.requester.id)


def expired_because(request: Request) -> str:
    """Return why the request expired; an approved one has `decided_at`."""
    if request.decided_at is not None:
        return "approved, but not begun within two minutes"
    return "not approved in time" if request.terms.approvals > 0 else "not confirmed in time"


def withdrawn_because(ending: Ending | None) -> str:
    """Return why flowbot itself withdrew the request."""
    return f"Slack did not accept the card ({code(ending.code)})" if ending and ending.code else "it could not go on"


def _pending(request: Request, workspace_url: str) -> StateLine:
    until = f". Expires at {date(request.expires_at)}"
    if request.emergency is not None:
        return _pressed(request, request.emergency, until, workspace_url)
    needed = request.terms.approvals
    if needed == 0:
        return StateLine(lead="Waiting for confirmation", rest=f"; no approval is needed{until}")
    tally = approvals(request, count=len(counted(request)), needed=needed, workspace_url=workspace_url)
    so_far = f"; approved {_by(request)}" if counted(request) else ""
    return StateLine(lead="Approvals", rest=f": {tally}{so_far}{until}")


def _pressed(request: Request, emergency: Emergency, until: str, workspace_url: str) -> StateLine:
    """Return which of the two presses of an emergency is missing."""
    who = user(request.requester.user)
    others = emergencies.members(emergency, workspace_url=workspace_url)
    limit = f"; they have used up their emergencies, so the second press must come from another of {others}"
    if emergency.first_at is None:
        over = limit if emergency.needs_second else ""
        return StateLine(lead="Waiting for the first of two presses", rest=f" by {who}{over}{until}")
    once = f" by {who} at {date(emergency.first_at)}"
    if emergency.needs_second:
        return StateLine(lead="Pressed once", rest=f"{once}{limit}{until}")
    second = f"a second press, at least {emergencies.APART} later, carries it out"
    return StateLine(lead="Pressed once", rest=f"{once}; {second}{until}")


def _by(request: Request) -> str:
    voters = {vote.actor.id: vote.actor for vote in request.votes}
    if request.terms.approvals > 0:
        voters.pop(request.requester.id, None)
    return f"by {listed(tuple(map(acting, voters.values())), most=MOST_NAMED)}"


def _approved(request: Request) -> StateLine:
    operation, decision = request.operation, "Approved" if request.terms.approvals > 0 else "Confirmed"
    match operation.progress:
        case Progress.WAITING:
            return StateLine(lead=decision, rest=f" {_by(request)}; {_next(request)}")
        case Progress.RUNNING:
            return StateLine(lead="Calling", rest=f": {_running(operation)}. {decision} {_by(request)}")
        case Progress.SUCCEEDED | Progress.FAILED | Progress.UNKNOWN | Progress.CANCELLED:
            at = f" · {date(operation.ended_at)}" if operation.ended_at is not None else ""
            lead, rest = _ended(request, operation)
            return StateLine(lead=lead, rest=f"{rest}{decision} {_by(request)}{at}", settled=True)
        case _:
            assert_never(operation.progress)


def _next(request: Request) -> str:
    operation = request.operation
    if operation.held_ups == 0:
        return "the final checks and the call come next"
    why = f" ({escape(operation.trouble.message, most=120)})" if operation.trouble and operation.trouble.message else ""
    return f"the call is held up{why} and will not begin after {date(schedule.begin_by(request))}"


def _running(operation: Operation) -> str:
    match operation.awaiting:
        case Awaiting.READING if operation.accepted_at is not None:
            return "the cloud accepted it but does not report it done yet"
        case Awaiting.READING:
            return "no reply came; reading the flow back"
        case Awaiting.TRY:
            return f"try {operation.tries} did not go through; another follows at {date(operation.not_before)}"
        case Awaiting.REPLY | Awaiting.NOTHING:
            return "the cloud has not answered yet"
        case _:
            assert_never(operation.awaiting)


_ENDED: Final[Mapping[OutcomeKind, tuple[str, str]]] = {
    OutcomeKind.DONE: ("", ""),
    OutcomeKind.ALREADY: ("", "It was already so, not by this request; no call was made. "),
    OutcomeKind.READ_BACK: ("", "The cloud's reply was lost; reading the flow back confirms it. "),
    OutcomeKind.CONFIRMED: ("", "The cloud refused the call: already {past}; reading the flow back confirms it. "),
    OutcomeKind.REHEARSED: ("Dry run done", ": no call was made and nothing has changed. "),
    OutcomeKind.UNREADABLE: ("Failed", ": {unreadable}; no call was made. "),
    OutcomeKind.REFUSED: ("Failed", ": {refused}. "),
    OutcomeKind.NOT_DONE: ("Failed", ": accepted, still {status}. "),
    OutcomeKind.UNDONE: ("Failed", ": still {status}; it may have been {undone} again. "),
    OutcomeKind.LOST: ("Unknown", ": {unknown}. "),
}
"""What the state line adds to the first line, by outcome: a word or two, and one or more sentences."""


def _ended(request: Request, operation: Operation) -> tuple[str, str]:
    outcome = operation.outcome
    if outcome is None:
        return "Ended", f": {UNTOUCHED}. "
    if outcome.halt is not None:
        return "Failed", f": {outcomes.halted(outcome, outcome.halt)}. "
    if operation.changed_to is not None:
        found = escape(operation.changed_to, most=40)
        return "", f"It was {outcomes.status(request, outcome)}; the check ten seconds later found {found}. "
    asks = "the cloud has not confirmed the call; I keep checking"
    asked = "the cloud has not confirmed the call within an hour; I have stopped checking"
    words = {
        "status": outcomes.status(request, outcome),
        "past": outcomes.past(request.verb),
        "undone": outcomes.past_other(request.verb),
        "refused": outcomes.refused(outcome),
        "unreadable": outcomes.unreadable(outcome),
        "unknown": asks if operation.awaiting is Awaiting.READING else asked,
    }
    lead, rest = _ENDED[outcome.how]
    return lead, rest.format(**words)


def _denied(ending: Ending | None) -> StateLine:
    if ending is None or ending.actor is None:
        why = f"{policy_because(ending)}; {UNTOUCHED}{_when(ending)}"
        return StateLine(lead="Denied by policy", rest=why, settled=True)
    why = f". Reason: {quote(ending.reason, most=200)}" if ending.reason else ""
    return StateLine(lead="Denied", rest=f": {UNTOUCHED}{_when(ending)}{why}", settled=True)


def policy_because(ending: Ending | None) -> str:
    """Return why the policy denied, to follow "denied by policy": a pause, a rule, or that no rule allows it."""
    if ending is not None and ending.reason:
        return f": flowbot is paused ({quote(ending.reason, most=200)})"
    if ending is not None and ending.rule:
        return f", under rule {quote(ending.rule, most=100)}"
    return ": no rule allows it now"


def _withdrawn(ending: Ending | None) -> StateLine:
    why = "" if ending and ending.actor else f"{withdrawn_because(ending)}; "
    return StateLine(lead="Withdrawn", rest=f": {why}{UNTOUCHED}{_when(ending)}", settled=True)


def _superseded(ending: Ending | None) -> StateLine:
    why = f": this request did not touch the flow{_when(ending)}"
    return StateLine(lead="Superseded", rest=why, settled=True)


def _when(ending: Ending | None) -> str:
    return f" · {date(ending.at)}" if ending is not None else ""
