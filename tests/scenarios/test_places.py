"""Where a card is posted, and what happens if it cannot be."""

import pytest

from bot.playground import world
from tests.scenarios.conftest import INCIDENT, RANDOM, OpenStage, Stage


@pytest.mark.parametrize("private", [True, False], ids=["private", "public"])
async def test_a_channel_without_the_bot_opens_nothing_and_says_how_to_invite_it(stage: Stage, private: bool) -> None:
    workspace = stage.slack.workspace
    workspace.change_channel(INCIDENT, is_private=private)
    workspace.leave(INCIDENT, workspace.bot_user_id)

    await stage.types("U0ALICE", "stop main-feed")
    await stage.quiet()

    (answer,) = stage.heard("U0ALICE")
    assert "/invite @flowbot" in answer
    assert f"<#{INCIDENT}>" in answer
    assert stage.cards() == []
    assert stage.stops() == 0

    workspace.join(INCIDENT, workspace.bot_user_id)
    card = await stage.asks("U0BOB", "stop main-feed")
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "STANDBY")


async def test_no_card_stands_in_a_channel_that_other_organisations_see(stage: Stage) -> None:
    stage.slack.workspace.change_channel(INCIDENT, is_ext_shared=True)

    await stage.types("U0ALICE", "stop main-feed")
    await stage.quiet()

    (answer,) = stage.heard("U0ALICE")
    assert "is shared with other organisations" in answer
    assert "allow_shared = true" in answer
    assert stage.cards() == []


async def test_a_project_may_allow_cards_where_other_organisations_see_them(open_stage: OpenStage) -> None:
    stage = await open_stage(world.POLICY.replace("[projects.hk]", "[projects.hk]\nallow_shared = true"))
    stage.slack.workspace.change_channel(INCIDENT, is_ext_shared=True)

    card = await stage.asks("U0ALICE", "stop main-feed")

    assert card.channel == INCIDENT


async def test_an_archived_home_channel_is_told_of(stage: Stage) -> None:
    stage.slack.workspace.change_channel(INCIDENT, is_archived=True)

    await stage.types("U0ALICE", "stop main-feed", channel=RANDOM)
    await stage.quiet()

    (answer,) = stage.heard("U0ALICE")
    assert "archived" in answer
    assert stage.cards() == []


async def test_a_card_asked_for_elsewhere_stands_at_home_and_its_requester_gets_the_link(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed", channel=RANDOM)
    await stage.quiet()

    assert card.channel == INCIDENT
    assert stage.cards(RANDOM) == []
    (link,) = [one.plain for one in stage.slack.workspace.ephemerals("U0ALICE", RANDOM) if "archives" in one.plain]
    assert f"/archives/{INCIDENT}/p{card.ts.replace('.', '')}|" in link
    assert stage.heard("U0ALICE") == [link]
