"""Unexpected errors: logging them, and what one means for its request.

People are told the id of the error, which finds it in the log and in the audit. Nothing is retried for ever: a request
that cannot continue expires or is given up.
"""

import dataclasses
from collections.abc import Callable
from typing import Final, Literal

import structlog

from bot.lifecycle import call_outcome, records, schedule, transitions
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.lifecycle.records import Awaiting, ReplyKind, Request
from bot.lifecycle.states import Event, Progress, State

Doing = Literal["deciding", "answering", "acting", "telling", "looking"]
"""What flowbot was doing when an unexpected error occurred."""

MOST: Final = 8
"""The maximum number of unexpected errors of one request; after that, it is given up."""

AGAIN: Final = 5.0
"""Seconds until work is retried after an unexpected error; doubled with each error."""

AGAIN_AT_MOST: Final = 60.0

log = structlog.get_logger()


class Errors:
    """Logs and counts unexpected errors."""

    def __init__(self, *, count: Callable[[Doing], None] = lambda doing: None) -> None:
        self._count = count

    def note(self, error: BaseException, *, doing: Doing, error_id: str | None = None) -> None:
        """Log an error with its traceback, and count it."""
        self._count(doing)
        log.error("unexpected error", doing=doing, error_id=error_id, exc_info=error)


def id_of(key: str) -> str:
    """Return the id that people are told: the first characters of the key of the entry or request."""
    return key[:8]


def is_given_up(request: Request) -> bool:
    """Return whether work on the request has been given up."""
    return request.operation.unexpected >= MOST


def after(request: Request, *, at: float) -> Request:
    """Return the request after an unexpected error; its requester is told of the first one."""
    noted = transitions.note_unexpected(request, error_id=id_of(request.id), at=at)
    last = is_given_up(noted)
    if records.can_withdraw(request) and (last or at >= _open_until(request)):
        step = transitions.end(noted, Event.EXPIRE, records.Ending(actor=None, at=at), said=ReplyKind.EXPIRED)
    elif last and records.is_read_back(request):
        step = transitions.give_up(noted, at=at)
    else:
        step = _go_on(noted, at) if request.state is State.APPROVED else noted
    return dataclasses.replace(step, version=request.version + 1)


def again_at(request: Request, *, at: float) -> float:
    """Return when work on a request may continue after an unexpected error."""
    return at + min(AGAIN_AT_MOST, AGAIN * 2.0 ** min(request.operation.unexpected - 1, 10))


def _go_on(noted: Request, at: float) -> Request:
    """Postpone a call that has not begun; find out the outcome of one that has."""
    operation, until = noted.operation, again_at(noted, at=at)
    failure = CloudFailure(fault=Fault.UNCERTAIN, message=f"unexpected error in flowbot, id {id_of(noted.id)}")
    if operation.progress is Progress.WAITING:
        return transitions.hold_up(noted, until=until, trouble=failure)
    if operation.awaiting is Awaiting.REPLY:
        return call_outcome.recover(noted, at=until)
    if operation.awaiting is Awaiting.READING:
        return call_outcome.after_reading(noted, failure, at=at)
    if operation.progress is Progress.RUNNING:
        return transitions.wait(noted, Awaiting.READING, until=until)
    return noted


def _open_until(request: Request) -> float:
    return request.expires_at if request.state is State.PENDING else schedule.begin_by(request)
