"""Who may see the name of a flow, and who gets the link to a card."""

import asyncio
import dataclasses
import pathlib
from collections.abc import AsyncIterator

import pytest

from bot.commands.deliveries import Actor
from bot.commands.verbs import Verb
from bot.usecases import answers, ports, visibility
from tests.fakes import ALICE, BOB, CAROL, ERIN, MAIN, POLICY, Desk, open_desk, policy_of

CLOSED = (
    POLICY + '[[rules]]\nname = "closed"\neffect = "deny"\nverbs = ["read"]\nwho = ["U0ALICE"]\nflows = ["main-*"]\n'
)


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk."""
    async with open_desk(tmp_path) as opened:
        yield opened


async def test_a_name_that_fits_none_offers_what_the_asker_may_read_about(desk: Desk) -> None:
    desk.cloud.there["flow-2"] = dataclasses.replace(MAIN, flow_id="flow-2", name="spare-feed")
    desk.policy = policy_of(CLOSED)

    found = (await desk.take(desk.typed("stop fee"))).answer

    assert isinstance(found, answers.NoSuchFlow)
    assert found.candidates == (("flow-2", "spare-feed"),)


async def test_of_several_flows_of_a_name_only_those_are_told_that_the_asker_may_read_about(desk: Desk) -> None:
    desk.cloud.there["flow-2"] = dataclasses.replace(MAIN, flow_id="flow-2", name="flow-1")
    desk.policy = policy_of(CLOSED)

    found = (await desk.take(desk.typed("stop flow-1"))).answer

    assert isinstance(found, answers.NoSuchFlow)
    assert (found.candidates, found.ambiguous) == ((("flow-2", "flow-1"),), False)


# Cards


@pytest.mark.parametrize(
    ("actor", "channel", "led"),
    [
        (ALICE, "C0RANDOM", True),  # the requester
        (CAROL, "C0RANDOM", True),  # an approver
        (BOB, "C0INCIDENT", True),  # in the card's channel
        (BOB, "C0RANDOM", False),
        (ERIN, "C0RANDOM", False),
    ],
)
async def test_a_card_in_a_private_channel_is_for_who_has_to_know(
    desk: Desk, actor: Actor, channel: str, led: bool
) -> None:
    desk.directory.private.add("C0INCIDENT")
    opened = await desk.opened()

    taken = await desk.take(desk.typed("stop flow-1", actor, channel=channel))

    hidden = answers.HeldInPrivate(
        verb=Verb.STOP, held_by=Verb.STOP, flow="main-feed", requester="U0ALICE", approvers=("media-leads",)
    )
    assert taken.answer == (answers.Joined(card=visibility.card_link(opened)) if led else hidden)


async def test_a_card_in_a_private_channel_that_blocks_is_for_who_has_to_know(desk: Desk) -> None:
    desk.directory.private.add("C0INCIDENT")
    opened = await desk.opened()
    starting = dataclasses.replace(opened, version=2, verb=Verb.START)
    await desk.store.commit(ports.Change(request=starting, audit=()))

    taken = await desk.take(desk.typed("stop flow-1", BOB, channel="C0RANDOM"))

    assert isinstance(taken.answer, answers.HeldInPrivate)
    assert (taken.answer.verb, taken.answer.held_by) == (Verb.STOP, Verb.START)


async def test_who_loses_the_race_for_a_flow_learns_as_little_of_a_private_card(desk: Desk) -> None:
    desk.directory.private.add("C0INCIDENT")
    taken = await asyncio.gather(*(desk.take(desk.typed("stop flow-1", BOB, channel="C0RANDOM")) for _ in range(4)))
    by_bob = [one.answer for one in taken if one.answer is not None]
    assert all(isinstance(one, answers.Joined) for one in by_bob)  # he is the requester

    both = [desk.typed("stop flow-2", actor, channel="C0RANDOM") for actor in (ALICE, BOB)]
    desk.cloud.there["flow-2"] = dataclasses.replace(MAIN, flow_id="flow-2", name="spare-feed")
    raced = await asyncio.gather(*map(desk.take, both))
    assert sorted(type(one.answer).__name__ for one in raced) == ["HeldInPrivate", "NoneType"]


async def test_a_channel_that_slack_tells_nothing_of_is_private(desk: Desk) -> None:
    await desk.opened()
    desk.directory.unknown.add("C0INCIDENT")

    taken = await desk.take(desk.typed("stop flow-1", BOB, channel="C0RANDOM"))

    assert isinstance(taken.answer, answers.HeldInPrivate)
