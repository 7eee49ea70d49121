"""The first line of a card: the decision while the request is open, and the outcome once it is settled.

Owns these words. Must not know the lines below it, blocks or buttons.
"""

from typing import Final, assert_never

from bot.lifecycle.cloud_failure import Fault
from bot.lifecycle.records import Awaiting, Ending, Operation, Outcome, OutcomeKind, Request
from bot.lifecycle.states import Progress, State
from bot.slack.messages import emergencies, outcomes
from bot.slack.messages.text import acting, code, escape, short_id

MOST_WORD: Final = 40
"""Maximum length of a project's name, and of the cloud's word for a state."""


def headline(request: Request) -> str:
    """Return the first line for a request."""
    match request.state:
        case State.PENDING:
            return decision(request)
        case State.APPROVED:
            return _approved(request)
        case State.DENIED:
            return _attempt(request, f"denied by {_by(request.ending, otherwise='policy')}")
        case State.EXPIRED:
            return _attempt(request, "expired")
        case State.WITHDRAWN:
            return _attempt(request, f"withdrawn by {_by(request.ending, otherwise='flowbot')}")
        case State.SUPERSEDED:
            of = f" of {acting(request.ending.actor)}" if request.ending and request.ending.actor else ""
            return _attempt(request, f"superseded by an emergency request{of}")
        case _:
            assert_never(request.state)


def decision(request: Request) -> str:
    """Return what there is to decide: verb, flow, project, the flow's state when asked, and its number of outputs."""
    status = escape(request.flow.status, most=MOST_WORD)
    outputs = counted(len(request.flow.outputs), "output")
    now = f"{status}, {outputs}" if status else "its state could not be read"
    return f"{_mark(request)}{request.verb.capitalize()} {_flow(request)}: {now}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _approved(request: Request) -> str:
    operation = request.operation
    match operation.progress:
        case Progress.WAITING | Progress.RUNNING:
            return decision(request)
        case Progress.SUCCEEDED | Progress.FAILED | Progress.UNKNOWN | Progress.CANCELLED:
            return _came_of_it(request, operation, operation.outcome)
        case _:
            assert_never(operation.progress)


def _came_of_it(request: Request, operation: Operation, outcome: Outcome | None) -> str:
    if outcome is None:
        return _attempt(request, "ended without a call")
    status = outcomes.status(request, outcome)
    match outcome.how:
        case OutcomeKind.DONE | OutcomeKind.READ_BACK | OutcomeKind.CONFIRMED:
            done = f"{_mark(request)}{outcomes.past(request.verb).capitalize()} {_flow(request)}"
            return f"{done}{_since(operation) or f': {status}'}"
        case OutcomeKind.ALREADY:
            return _attempt(request, f"not needed{_since(operation) or f': already {status}'}")
        case OutcomeKind.REHEARSED:
            return _attempt(request, "passed every check")
        case OutcomeKind.UNREADABLE | OutcomeKind.REFUSED | OutcomeKind.NOT_DONE | OutcomeKind.UNDONE:
            return _attempt(request, f"failed: {_failed(request, outcome)}")
        case OutcomeKind.LOST:
            return _attempt(request, "unknown: checking" if operation.awaiting is Awaiting.READING else "unknown")
        case _:
            assert_never(outcome.how)


def _since(operation: Operation) -> str:
    """Return what the check after the success found; empty if the state has not changed."""
    return f", but now {escape(operation.changed_to, most=MOST_WORD)}" if operation.changed_to else ""


def _failed(request: Request, outcome: Outcome) -> str:
    """Return the cloud's error code, or a word or two without one; never the state that has not changed."""
    failure = outcome.failure
    if failure is not None and failure.code:
        return code(failure.code)
    if outcome.how is OutcomeKind.UNREADABLE:
        return "the flow could not be read"
    if failure is not None and failure.fault is Fault.NEVER_SENT:
        return "nothing was sent"
    return f"not {outcomes.past(request.verb)}"


def _by(ending: Ending | None, *, otherwise: str) -> str:
    return acting(ending.actor) if ending is not None and ending.actor is not None else otherwise


def _attempt(request: Request, came_of_it: str) -> str:
    return f"{_mark(request)}{request.verb.capitalize()} of {_flow(request)} {came_of_it}"


def _mark(request: Request) -> str:
    return emergencies.mark(dry_run=request.dry_run, emergency=request.emergency is not None)


def _flow(request: Request) -> str:
    flow, where = request.flow, escape(request.project, most=MOST_WORD)
    return f"{code(flow.called)} (…{short_id(flow.flow_id)}) in {where}"
