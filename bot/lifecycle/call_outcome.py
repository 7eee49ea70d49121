"""Decide what a reply of the cloud, or reading the flow back, means for the operation.

Pure. A call is repeated only after a definite refusal, or after reading the flow back shows no effect, and never before
the previous try has ended. Times are seconds since the epoch (UTC).
"""

import dataclasses
from collections.abc import Mapping
from typing import Final

from bot.commands.verbs import CHANGES, Verb
from bot.lifecycle import schedule, transitions
from bot.lifecycle.cloud_failure import CloudFailure, Fault, Halt
from bot.lifecycle.records import Awaiting, Flow, Outcome, OutcomeKind, Request
from bot.lifecycle.states import Progress

WANTED: Final[Mapping[Verb, str]] = {verb: change.wanted for verb, change in CHANGES.items()}
"""The cloud's status word after each changing verb."""

REPEAT_WITHIN: Final = 60.0
"""Seconds from the first try in which a call may be repeated after the flow was read back."""

SETTLE_WITHIN: Final = 30.0
"""Seconds that the cloud may take to carry out a call that it accepted."""

SETTLE_EVERY: Final = 2.0

LOOK_AGAIN_AFTER: Final = 10.0
"""Seconds after a success until the state is read once more."""

BACKOFF: Final = 2.0
"""Seconds before a call that had no effect is retried; doubled with each try."""

BACKOFF_AT_MOST: Final = 30.0

READ_BACKOFF: Final = 5.0
"""Seconds until an unknown outcome is polled again; doubled with each inconclusive poll."""

READ_BACKOFF_AT_MOST: Final = 300.0

GIVE_UP_AFTER: Final = 3600.0
"""Seconds after which polling an unknown outcome ends."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accepted:
    """The cloud's 200 reply to a change: the status word that it returned, and the id of the call."""

    status: str
    request_id: str | None = None


def after_reply(request: Request, reply: Accepted | CloudFailure, *, at: float) -> Request:
    """Return the request after a try, answered or not."""
    if isinstance(reply, Accepted):
        return _accepted(request, reply, at)
    if reply.fault in (Fault.THROTTLED, Fault.NEVER_SENT):
        return _not_carried_out(request, reply, at)
    says_so_already = reply.fault is Fault.REJECTED and WANTED[request.verb].casefold() in reply.message.casefold()
    if reply.fault is Fault.UNCERTAIN or says_so_already:
        return transitions.wait(request, Awaiting.READING, until=at, trouble=reply)
    return transitions.finish(request, Outcome(how=OutcomeKind.REFUSED, failure=reply), at=at)


def after_reading(request: Request, flow: Flow | CloudFailure, *, at: float) -> Request:
    """Return the request after reading the flow back, to learn whether the call worked and lasted."""
    if request.operation.progress is Progress.SUCCEEDED:
        return _last_look(request, flow, at)
    if isinstance(flow, CloudFailure):
        return _nothing_found_out(request, flow, at)
    if flow.status == WANTED[request.verb]:
        return _done(request, flow.status, at)
    if request.operation.progress is Progress.UNKNOWN:
        return transitions.finish(request, Outcome(how=OutcomeKind.UNDONE, status=flow.status), at=at)
    if request.operation.accepted_at is not None:
        return _not_yet_so(request, flow.status, at)
    again_at = at + _backoff(request)
    if _may_repeat(request, again_at):
        return transitions.wait(request, Awaiting.TRY, until=again_at)
    return transitions.finish(
        request, Outcome(how=OutcomeKind.UNDONE, status=flow.status, failure=request.operation.trouble), at=at
    )


def again(request: Request, *, at: float) -> Request:
    """Claim another try. If it is too late for one, read the flow back, or fail with the last error.

    A due try may start late: after a restart, or after the database was away.
    """
    if not _was_carried_out(request.operation.trouble):
        if at < schedule.begin_by(request):
            return transitions.begin(request, at=at)
        return transitions.finish(request, Outcome(how=OutcomeKind.REFUSED, failure=request.operation.trouble), at=at)
    return (
        transitions.begin(request, at=at)
        if _may_repeat(request, at)
        else transitions.wait(request, Awaiting.READING, until=at)
    )


def before_again(request: Request, flow: Flow | CloudFailure, *, at: float) -> Request | None:
    """Return the request settled by the read right before another try, or None if the try may go ahead.

    An emergency goes ahead unless there is no such flow. Callers handle temporary failures themselves.
    """
    carried_out = _was_carried_out(request.operation.trouble)
    if isinstance(flow, Flow):
        if flow.status != WANTED[request.verb]:
            return None
        so_already = Outcome(how=OutcomeKind.ALREADY, status=flow.status)
        return _done(request, flow.status, at) if carried_out else transitions.finish(request, so_already, at=at)
    if request.emergency is not None and flow.fault is not Fault.NOT_FOUND:
        return None
    if carried_out:
        return _nothing_found_out(request, flow, at)
    why = flow if flow.fault is Fault.NOT_FOUND else request.operation.trouble
    return transitions.finish(request, Outcome(how=OutcomeKind.REFUSED, failure=why), at=at)


def halt(request: Request, flow: Flow | CloudFailure, why: Halt, *, at: float) -> Request:
    """Return the request after another try was forbidden; `flow` shows the effect of earlier tries."""
    trouble = request.operation.trouble
    carried_out = _was_carried_out(trouble)
    if isinstance(flow, CloudFailure):
        if carried_out:
            return _nothing_found_out(request, flow, at)
        return transitions.finish(request, Outcome(how=OutcomeKind.REFUSED, failure=trouble, halt=why), at=at)
    if flow.status == WANTED[request.verb] and (settled := before_again(request, flow, at=at)) is not None:
        return settled
    how = OutcomeKind.UNDONE if carried_out else OutcomeKind.REFUSED
    return transitions.finish(request, Outcome(how=how, status=flow.status, failure=trouble, halt=why), at=at)


def recover(request: Request, *, at: float) -> Request:
    """Return the request after the replica that made its call is gone; the outcome must be read back."""
    lost = CloudFailure(fault=Fault.UNCERTAIN, message="flowbot was interrupted before the reply came")
    return transitions.wait(request, Awaiting.READING, until=at, trouble=lost)


def _accepted(request: Request, reply: Accepted, at: float) -> Request:
    if reply.status == WANTED[request.verb]:
        return transitions.finish(
            request, Outcome(how=OutcomeKind.DONE, status=reply.status), at=at, look_again_at=at + LOOK_AGAIN_AFTER
        )
    return transitions.accept(request, at=at, until=at + SETTLE_EVERY)


def _not_carried_out(request: Request, refusal: CloudFailure, at: float) -> Request:
    """Retry a call that provably had no effect, unless the approval would be too old by then."""
    wait = refusal.retry_after or _backoff(request)
    if not refusal.must_wait:
        wait = min(BACKOFF_AT_MOST, wait)
    if at + wait < schedule.begin_by(request):
        return transitions.wait(request, Awaiting.TRY, until=at + wait, trouble=refusal)
    return transitions.finish(request, Outcome(how=OutcomeKind.REFUSED, failure=refusal), at=at)


def _was_carried_out(trouble: CloudFailure | None) -> bool:
    """Return whether the last try may have had an effect."""
    return trouble is None or trouble.fault not in (Fault.THROTTLED, Fault.NEVER_SENT)


def _may_repeat(request: Request, at: float) -> bool:
    return at - (request.operation.begun_at or at) < REPEAT_WITHIN


def _backoff(request: Request) -> float:
    return min(BACKOFF_AT_MOST, BACKOFF * 2.0 ** (request.operation.tries - 1))


def _done(request: Request, status: str, at: float) -> Request:
    accepted, lost = request.operation.accepted_at is not None, request.operation.outcome
    trouble = request.operation.trouble if lost is None else lost.failure  # later failures come from polling
    refused = trouble is not None and trouble.fault is Fault.REJECTED
    how = OutcomeKind.DONE if accepted else OutcomeKind.CONFIRMED if refused else OutcomeKind.READ_BACK
    outcome = Outcome(how=how, status=status, failure=None if accepted else trouble)
    return transitions.finish(request, outcome, at=at, look_again_at=at + LOOK_AGAIN_AFTER)


def _not_yet_so(request: Request, status: str, at: float) -> Request:
    if at - (request.operation.accepted_at or at) < SETTLE_WITHIN:
        return transitions.wait(request, Awaiting.READING, until=at + SETTLE_EVERY)
    return transitions.finish(request, Outcome(how=OutcomeKind.NOT_DONE, status=status), at=at)


def _nothing_found_out(request: Request, failure: CloudFailure, at: float) -> Request:
    operation = request.operation
    if operation.accepted_at is not None and at - operation.accepted_at < SETTLE_WITHIN:
        return transitions.wait(request, Awaiting.READING, until=at + SETTLE_EVERY)
    if operation.progress is Progress.RUNNING:
        outcome = Outcome(how=OutcomeKind.LOST, failure=operation.trouble or failure)
        return transitions.finish(request, outcome, at=at, look_again_at=at + READ_BACKOFF)
    final_at = (operation.unknown_since or at) + GIVE_UP_AFTER
    if at >= final_at:
        return transitions.give_up(request, at=at)
    wait = min(READ_BACKOFF_AT_MOST, failure.retry_after or READ_BACKOFF * 2 ** min(operation.reads + 1, 10))
    return transitions.count_reading(request, until=min(at + wait, final_at), trouble=failure)


def _last_look(request: Request, flow: Flow | CloudFailure, at: float) -> Request:
    other = None if isinstance(flow, CloudFailure) or flow.status == WANTED[request.verb] else flow.status
    return transitions.look_back(request, changed_to=other, at=at)
