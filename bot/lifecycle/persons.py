"""Identify the people behind the actors of a request: one person may have several user ids.

Pure. `usecases/gate` asks Slack who an id belongs to.
"""

import dataclasses
from collections.abc import Mapping

from bot.commands.deliveries import Actor
from bot.lifecycle.records import Request


def actors(request: Request) -> tuple[Actor, ...]:
    """Return everybody who requested, voted on or ended the request."""
    ended_by = () if request.ending is None or request.ending.actor is None else (request.ending.actor,)
    return (request.requester, *(vote.actor for vote in request.votes), *ended_by)


def is_uncertain(request: Request, actor: Actor) -> bool:
    """Tell whether nobody can say if somebody who acts on the host is one of those who acted on a request.

    That is so where Slack could not be asked for their person, while it was for others: these may be theirs.
    """
    by_user_id = actor.login is not None and actor.person is None and not actor.user.startswith("W")
    return by_user_id and any(one.person is not None for one in actors(request))


def identified(request: Request, known: Mapping[str, str | None]) -> Request:
    """Return the request with each actor's `person` filled in by user id; unknown actors are unchanged."""
    ending = request.ending
    if ending is not None and ending.actor is not None:
        ending = dataclasses.replace(ending, actor=_identified(ending.actor, known))
    votes = (dataclasses.replace(vote, actor=_identified(vote.actor, known)) for vote in request.votes)
    requester = _identified(request.requester, known)
    return dataclasses.replace(request, requester=requester, votes=tuple(votes), ending=ending)


def _identified(actor: Actor, known: Mapping[str, str | None]) -> Actor:
    return dataclasses.replace(actor, person=known.get(actor.user, actor.person))
