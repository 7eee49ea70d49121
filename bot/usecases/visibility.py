"""What a person may see of flows, and of requests by other people.

The name and id of a flow are shown only to those who may read it. A card in a private channel is shown only to its
requester, its approvers and that channel. It changes nothing, and must not know the wording of any message.
"""

import dataclasses
from collections.abc import Callable

from bot.commands.deliveries import Actor
from bot.commands.verbs import Verb
from bot.lifecycle.records import Request
from bot.usecases import answers, find_flow
from bot.usecases.gate import Gate


async def of_found(gate: Gate, found: find_flow.Found, *, actor: Actor, channel: str) -> find_flow.Found:
    """Keep only the candidate flows that the reader may see in this channel."""
    if not isinstance(found, answers.NoSuchFlow) or not found.candidates:
        return found
    readable = await gate.readable(actor, found.candidates, project=found.project, channel=channel)
    return only(found, lambda flow: flow in readable)


def only(found: answers.NoSuchFlow, may_read: Callable[[tuple[str, str]], bool]) -> answers.NoSuchFlow:
    """Keep only some of the candidates."""
    left = tuple(filter(may_read, found.candidates))
    return dataclasses.replace(found, candidates=left, ambiguous=found.ambiguous and len(left) > 1)


async def of_holder(
    gate: Gate, holder: Request, verb: Verb, actor: Actor, *, channel: str
) -> answers.Joined | answers.Blocked | answers.HeldInPrivate:
    """Link to the request that holds a flow, or name its requester if the reader may not see the card."""
    if not await gate.may_see_card(holder, actor, channel=channel):
        return answers.HeldInPrivate(
            verb=verb,
            held_by=holder.verb,
            flow=holder.flow.called,
            requester=holder.requester.user,
            approvers=holder.terms.approvers,
        )
    card = card_link(holder)
    return answers.Joined(card=card) if holder.verb is verb else answers.Blocked(verb=verb, card=card)


def card_link(request: Request) -> answers.CardLink:
    """Return the location of a request's card."""
    return answers.CardLink(
        request_id=request.id,
        verb=request.verb,
        flow=request.flow.called,
        channel=request.card.channel,
        ts=request.card.ts,
        thread=request.card.thread,
    )
