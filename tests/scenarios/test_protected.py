"""Protected flows: their name must be typed before a request opens, and the bot compares it with the cloud's."""

import pytest

from bot.playground import world
from bot.playground.slack.records import PostedMessage
from tests.scenarios import policies
from tests.scenarios.conftest import MAIN, OpenStage, Stage

PROTECTED = policies.HEAD + policies.rule("mind the name", protected=["main-*"], **policies.ONE_LEAD)
WITH_REASON = policies.HEAD + policies.rule(
    "mind the name", protected=["main-*"], reason="required", **policies.ONE_LEAD
)


async def asked_for_the_name(stage: Stage, text: str = "stop main-feed") -> PostedMessage:
    """Let Alice ask for a protected flow; return what only she sees."""
    await stage.types("U0ALICE", text)
    offer = await stage.told("U0ALICE", "type the flow's name")
    await stage.quiet()
    assert "rule “mind the name”" in offer.plain
    assert stage.cards() == []
    return offer


async def types_in(stage: Stage, offer: PostedMessage, name: str, *, reason: str | None = None) -> None:
    """Let Alice press the button, and fill in the modal."""
    await stage.slack.people.click("U0ALICE", offer, "type_name")
    view = await stage.opens_for("U0ALICE")
    filled = {"name": name} if reason is None else {"name": name, "reason": reason}
    await stage.slack.people.submit("U0ALICE", view, filled)
    await stage.quiet()


@pytest.mark.parametrize("typed", ["main-feed", MAIN])
async def test_the_request_opens_once_the_name_is_typed(open_stage: OpenStage, typed: str) -> None:
    stage = await open_stage(PROTECTED)
    offer = await asked_for_the_name(stage, f"stop {typed} because the encoder loops")

    await types_in(stage, offer, "main-feed")

    (card,) = stage.cards()
    assert "the encoder loops" in stage.reads(card)
    assert stage.view("U0ALICE") is None
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "STANDBY")
    assert stage.stops() == 1


@pytest.mark.parametrize("typed", [MAIN, "Main-feed", "main-feed-2", "main", "main feed"])
async def test_another_name_opens_nothing_and_may_be_corrected(open_stage: OpenStage, typed: str) -> None:
    stage = await open_stage(PROTECTED)
    offer = await asked_for_the_name(stage)

    await types_in(stage, offer, typed)

    assert f"You typed {typed}, which is not main-feed, so nothing was opened" in stage.heard("U0ALICE")[-1].replace(
        "`", ""
    )
    assert stage.cards() == []
    again = stage.slack.workspace.messages("D0ALICE")[-1]
    await types_in(stage, again, "main-feed")
    assert len(stage.cards()) == 1


async def test_the_name_is_that_which_the_flow_has_when_it_is_sent(open_stage: OpenStage) -> None:
    stage = await open_stage(PROTECTED)
    offer = await asked_for_the_name(stage, f"stop {MAIN}")
    stage.live.add_flow(world.PROJECT_ID, MAIN, "main-renamed")

    await types_in(stage, offer, "main-feed")
    assert stage.cards() == []
    await types_in(stage, offer, "main-renamed")

    assert len(stage.cards()) == 1


async def test_a_name_and_a_reason_are_asked_for_in_one_modal_and_the_reason_is_typed_once(
    open_stage: OpenStage,
) -> None:
    stage = await open_stage(WITH_REASON)
    offer = await asked_for_the_name(stage)

    await types_in(stage, offer, "main", reason="the encoder loops")
    assert stage.cards() == []
    await types_in(stage, stage.slack.workspace.messages("D0ALICE")[-1], "main-feed")

    (card,) = stage.cards()
    assert "the encoder loops" in stage.reads(card)


async def test_a_dry_run_asks_for_the_name_too(open_stage: OpenStage) -> None:
    stage = await open_stage(PROTECTED)
    offer = await asked_for_the_name(stage, "stop main-feed --dry-run")

    await types_in(stage, offer, "main-feed")

    assert offer.plain.startswith("Dry run: ")
    assert stage.reads(stage.cards()[0]).startswith("Dry run: ")


async def test_other_flows_need_no_name(open_stage: OpenStage) -> None:
    stage = await open_stage(PROTECTED.replace("main-*", "premium-*"))

    assert (await stage.asks("U0ALICE", "stop main-feed")).buttons
    assert stage.heard("U0ALICE") == []


async def test_nobody_types_the_name_for_somebody_else(open_stage: OpenStage) -> None:
    stage = await open_stage(PROTECTED)
    offer = await asked_for_the_name(stage)

    await stage.slack.people.click("U0BOB", offer, "type_name", stale=offer.blocks, forged=True)
    view = await stage.opens_for("U0BOB")
    await stage.slack.people.submit("U0BOB", view, {"name": "main-feed"})
    await stage.quiet()

    assert stage.cards() == []
    assert len(stage.heard("U0BOB")) == 1


async def test_asking_again_asks_for_the_name_again(open_stage: OpenStage) -> None:
    stage = await open_stage(PROTECTED)
    await types_in(stage, await asked_for_the_name(stage), "main-feed")
    (card,) = stage.cards()
    await stage.passes(1801)

    await stage.presses("U0BOB", stage.now(card), "ask_again")
    offer = await stage.told("U0BOB", "type the flow's name")
    assert len(stage.cards()) == 1
    await stage.slack.people.click("U0BOB", offer, "type_name")
    await stage.slack.people.submit("U0BOB", await stage.opens_for("U0BOB"), {"name": "main-feed"})
    await stage.quiet()

    assert len(stage.cards()) == 2
    assert stage.stops() == 0
