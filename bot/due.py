"""What is due on a request, and when it wants looking at again.

Pure functions of one record and a time in seconds since the epoch (UTC): the worker carries out what they say.
"""

import enum
from typing import Final

from bot import request as requests
from bot.request import Progress, Request, Said, State

BEGIN_WITHIN: Final = 120.0
"""Seconds after its approval within which a request must begin (promise 10)."""

REMIND_AFTER: Final = 300.0
"""Seconds after which the approvers are reminded, unless half the request's time is less."""


class Act(enum.StrEnum):
    """What is due on a request itself."""

    EXPIRE = "expire"
    LAPSE = "lapse"  # approved, and not begun in time
    CALL = "call"
    RECOVER = "recover"  # a call began and whoever made it is gone
    REMIND = "remind"


class Tell(enum.StrEnum):
    """What Slack does not show yet."""

    POST_CARD = "post_card"
    EDIT_CARD = "edit_card"
    REPLY = "reply"


def act(request: Request, now: float) -> Act | None:
    """Tell the next thing to do for the request, if any is due. The call comes before everything else."""
    match request.state, request.operation.progress:
        case State.APPROVED, Progress.WAITING:
            if now >= begin_by(request):
                return Act.LAPSE
            return Act.CALL if now >= request.operation.not_before else None
        case State.APPROVED, Progress.RUNNING:
            return Act.RECOVER
        case State.PENDING, _ if now >= request.expires_at:
            return Act.EXPIRE
        case State.PENDING, _ if _wants_reminder(request) and now >= remind_at(request):
            return Act.REMIND
        case _:
            return None


def tell(request: Request, now: float) -> Tell | None:
    """Tell the next thing that Slack must hear, if it may be tried now.

    The card comes first; then, of the replies in their order, the one that calls people, then the card's newest state.
    """
    if now < request.tell_at:
        return None
    if request.card.ts is None:
        return None if request.ending is not None and request.ending.code is not None else Tell.POST_CARD
    if request.unsent and request.unsent[0].said in (Said.ASKED, Said.OUTCOME):
        return Tell.REPLY
    if request.card.shown < request.version:
        return Tell.EDIT_CARD
    return Tell.REPLY if request.unsent else None


def at(request: Request) -> float | None:
    """Tell when the request wants looking at again; None when nothing more can come of it."""
    times = []
    if request.state is State.PENDING:
        times.append(min(remind_at(request), request.expires_at) if _wants_reminder(request) else request.expires_at)
    elif requests.can_withdraw(request):
        times.append(min(request.operation.not_before, begin_by(request)))
    elif requests.is_open(request):
        times.append(0.0)
    if tell(request, request.tell_at) is not None:
        times.append(request.tell_at)
    return min(times, default=None)


def begin_by(request: Request) -> float:
    """Tell until when an approved request may begin."""
    return (request.decided_at or request.asked_at) + BEGIN_WITHIN


def remind_at(request: Request) -> float:
    """Tell when the approvers are reminded: after half the request's time or five minutes, whichever is less."""
    return request.asked_at + min(REMIND_AFTER, (request.expires_at - request.asked_at) / 2)


def _wants_reminder(request: Request) -> bool:
    """Tell whether anybody is there to be reminded: a confirmation is its requester's own business."""
    return request.terms.approvals > 0 and not request.reminded
