"""What is due on a request, and when to check it again.

Pure functions of one record and a time in seconds since the epoch (UTC). The worker does what is due.
"""

import enum
from typing import Final

from bot.lifecycle import records
from bot.lifecycle.records import Awaiting, ReplyKind, Request
from bot.lifecycle.states import Progress, State

BEGIN_WITHIN: Final = 120.0
"""Seconds after its approval in which a request must begin (promise 10)."""

CLOCK_STEP: Final = 30.0
"""Seconds that the clock may go back before an approval counts as too old."""

REMIND_AFTER: Final = 300.0
"""Seconds after which the approvers are reminded; half the request's lifetime, if that is less."""

ANNOUNCE_WITHIN: Final = 10.0
"""The maximum time in seconds that the call of an emergency waits for its announcements."""

REVIEW_AGAIN: Final = 86_400.0
"""Seconds between two reminders to review an emergency."""

REVIEW_FOR: Final = 7 * REVIEW_AGAIN
"""Seconds after the end of an emergency when the reminders stop; its review stays open."""

OPEN: Final = 253_402_300_800.0
"""When to check a request that waits for a person, not for a time: the end of the year 9999."""

ANNOUNCEMENTS: Final = (ReplyKind.EMERGENCY, ReplyKind.ANNOUNCED)
"""The replies that announce an emergency in the channels before its call."""

_FIRST: Final = (ReplyKind.ASKED, ReplyKind.OUTCOME, *ANNOUNCEMENTS)
"""The replies that are sent before the card is updated."""

NO_CARD: Final = ""
"""The `ts` of a card that will never be posted."""


class Act(enum.StrEnum):
    """The next action on a request."""

    EXPIRE = "expire"
    LAPSE = "lapse"  # approved, but not begun in time
    CALL = "call"  # the first try, after a last check
    CALL_AGAIN = "call_again"
    READ = "read"  # reads the flow back, to learn whether the call worked and lasted
    RECOVER = "recover"  # the replica that made the call is gone
    REMIND = "remind"
    REMIND_REVIEW = "remind_review"


class Tell(enum.StrEnum):
    """The next update for Slack."""

    POST_CARD = "post_card"
    NEVER_SHOWN = "never_shown"  # it ended before the card could be posted: the requester is told
    EDIT_CARD = "edit_card"
    REPLY = "reply"


def act(request: Request, now: float) -> Act | None:
    """Return the next action due on the request, if any."""
    match request.state:
        case State.PENDING if now >= request.expires_at:
            return Act.EXPIRE
        case State.PENDING if _wants_reminder(request) and now >= remind_at(request):
            return Act.REMIND
        case State.APPROVED:
            return _act_on(request, now)
        case _:
            return None


def _act_on(request: Request, now: float) -> Act | None:
    operation = request.operation
    if operation.progress is Progress.WAITING:
        if not 0 < begin_by(request) - now <= BEGIN_WITHIN + CLOCK_STEP:
            return Act.LAPSE
        return Act.CALL if now >= call_at(request) else None
    if operation.progress is Progress.RUNNING and operation.awaiting is Awaiting.REPLY:
        return Act.RECOVER
    if operation.awaiting is Awaiting.READING and now >= operation.not_before:
        return Act.READ
    if operation.progress is Progress.RUNNING and operation.awaiting is Awaiting.TRY and now >= operation.not_before:
        return Act.CALL_AGAIN
    review_at = _review_at(request)
    return Act.REMIND_REVIEW if review_at is not None and now >= review_at else None


def tell(request: Request, now: float) -> Tell | None:
    """Return the next update for Slack, if it may be sent now.

    The card is posted first. Then come replies that mention people, then the update of the card, then other replies;
    replies keep their order. An announcement that Slack refuses does not hold back the card, which has the next button.
    """
    if now < request.tell_at:
        return None
    if request.card.ts is None:
        told_already = request.ending is not None and request.ending.code is not None
        return Tell.POST_CARD if request.ending is None else None if told_already else Tell.NEVER_SHOWN
    if request.card.ts == NO_CARD:
        return None
    behind = request.card.shown < request.version
    if behind and request.emergency is not None and request.tell_failures % 2 == 1:
        return Tell.EDIT_CARD  # after each failure, card and reply change places
    if request.unsent and request.unsent[0].said in _FIRST:
        return Tell.REPLY
    if behind and not (request.tell_failures and request.unsent):
        return Tell.EDIT_CARD
    return Tell.REPLY if request.unsent else None


def is_card_held_back(request: Request) -> bool:
    """Return whether an unsent announcement delays the update of the card with the next button."""
    behind = bool(request.card.ts) and request.card.shown < request.version
    waits = request.emergency is not None and request.state is State.PENDING and behind
    return waits and bool(request.unsent) and request.unsent[0].said in ANNOUNCEMENTS


def at(request: Request) -> float | None:
    """Return when to check the request again; None if it is settled.

    A request with an open review always has a time, which keeps it in the store and in the lists.
    """
    times = []
    operation = request.operation
    if request.state is State.PENDING:
        reminder = remind_at(request) if _wants_reminder(request) else request.expires_at
        times.append(min(reminder, request.expires_at))
    elif records.can_withdraw(request):
        times.append(min(call_at(request), begin_by(request)))
    elif operation.awaiting is Awaiting.READING or operation.progress is Progress.RUNNING:
        times.append(0.0 if operation.awaiting is Awaiting.REPLY else operation.not_before)
    if records.is_review_open(request):
        times.append(_review_at(request) or OPEN)
    if tell(request, request.tell_at) is not None:
        times.append(request.tell_at)
    return min(times, default=None)


def call_at(request: Request) -> float:
    """Return when the call of an approved request may begin; an emergency waits briefly for its announcements."""
    announced_by = (request.decided_at or request.asked_at) + ANNOUNCE_WITHIN if is_announcing(request) else 0.0
    return max(request.operation.not_before, announced_by)


def is_announcing(request: Request) -> bool:
    """Return whether the call of an emergency waits for its announcements."""
    waits = request.emergency is not None and request.state is State.APPROVED and records.can_withdraw(request)
    return waits and any(reply.said in ANNOUNCEMENTS for reply in request.unsent)


def begin_by(request: Request) -> float:
    """Return the deadline by which an approved request must begin."""
    return (request.decided_at or request.asked_at) + BEGIN_WITHIN


def remind_at(request: Request) -> float:
    """Return when to remind the approvers: after half the request's lifetime or five minutes, whichever is less."""
    return request.asked_at + min(REMIND_AFTER, (request.expires_at - request.asked_at) / 2)


def is_last_reminder(request: Request, at: float) -> bool:
    """Return whether a review reminder sent at this time is the last one."""
    ended_at = request.operation.ended_at
    return ended_at is not None and at >= ended_at + REVIEW_FOR


def _review_at(request: Request) -> float | None:
    """Return when to ask for the review again, if at all; the first time is at the end of the emergency."""
    if request.emergency is None or not records.is_review_open(request):
        return None
    asked_at = request.emergency.reminded_at or 0.0
    return None if is_last_reminder(request, asked_at) else asked_at + REVIEW_AGAIN


def _wants_reminder(request: Request) -> bool:
    """Return whether there is anybody to remind; a confirmation only waits for its requester."""
    return request.terms.approvals > 0 and not request.reminded
