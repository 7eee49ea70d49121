"""The result of one inbox entry: the answer to its sender, and the records it touched."""

import dataclasses

from bot.commands.deliveries import Actor, Button
from bot.lifecycle.records import Request
from bot.lifecycle.states import State
from bot.policy import model
from bot.usecases import answers, visibility


@dataclasses.dataclass(frozen=True, kw_only=True)
class CardCopy:
    """A message that looks like a card but is not the recorded one, which is `card`."""

    channel: str
    ts: str
    card: answers.CardLink


@dataclasses.dataclass(frozen=True, kw_only=True)
class EntryResult:
    """The result of an entry: the request that it touched, the request that it superseded, the answer to its sender,
    and the copy of a card that was clicked.
    """

    request_id: str | None = None
    superseded_id: str | None = None
    answer: answers.AnyAnswer | None = None
    copy: CardCopy | None = None


def refused(policy: model.Policy, *, action: str, flow: str, decision: model.Refuse) -> answers.Refused:
    """Return a refusal, with the people who could do it instead."""
    people = model.expand(policy, decision.who_could)
    return answers.Refused(action=action, flow=flow, decision=decision, people=people)


def settled(request: Request, button: Button) -> answers.Settled:
    """Return the current state of a request, for a click that came too late."""
    actor, at = _settled_by(request, button)
    return answers.Settled(
        button=button,
        card=visibility.card_link(request),
        state=request.state,
        progress=request.operation.progress,
        by=None if actor is None else actor.user,
        at=at,
        dry_run=request.dry_run,
    )


def _settled_by(request: Request, button: Button) -> tuple[Actor | None, float | None]:
    emergency = request.emergency
    if button is Button.REVIEW:
        review = None if emergency is None else emergency.review
        return (None, None) if review is None else (review.actor, review.at)
    if button is Button.EMERGENCY_FIRST and request.state is State.PENDING and emergency is not None:
        return (None if emergency.first_at is None else request.requester), emergency.first_at
    if request.ending is not None:
        return request.ending.actor, request.ending.at
    return (request.votes[-1].actor if request.votes else None), request.decided_at
