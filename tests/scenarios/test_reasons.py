"""A rule that requires a reason: the button, the modal, and the request that opens with the command typed before."""

import pytest

from bot.playground.slack.records import PostedMessage
from tests.scenarios import policies
from tests.scenarios.conftest import OpenStage, Stage


async def _asked_why(open_stage: OpenStage, text: str) -> tuple[Stage, PostedMessage]:
    """Let Alice ask without a reason; return what only she sees."""
    stage = await open_stage(policies.REASON)
    await stage.types("U0ALICE", text)
    offer = await stage.told("U0ALICE", "requires a reason")
    await stage.quiet()
    assert "say why" in offer.plain
    assert stage.cards() == []
    return stage, offer


async def test_the_request_opens_with_the_reason_and_the_options(open_stage: OpenStage) -> None:
    stage, offer = await _asked_why(open_stage, "stop main-feed --project hk --dry-run")

    await stage.slack.people.click("U0ALICE", offer, "add_reason")
    view = await stage.opens_for("U0ALICE")
    await stage.slack.people.submit("U0ALICE", view, {"reason": "the encoder loops"})
    await stage.quiet()

    (card,) = stage.cards()
    assert "Dry run: Stop `main-feed`" in stage.reads(card)
    assert "the encoder loops" in stage.reads(card)
    assert stage.view("U0ALICE") is None
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "No call was made")
    assert stage.stops() == 0


async def test_a_reason_that_was_typed_is_enough(open_stage: OpenStage) -> None:
    stage = await open_stage(policies.REASON)

    card = await stage.asks("U0ALICE", "stop main-feed because the encoder loops")

    assert "the encoder loops" in card.plain
    assert stage.heard("U0ALICE") == []


async def test_a_reason_from_somebody_else_opens_nothing(open_stage: OpenStage) -> None:
    stage, offer = await _asked_why(open_stage, "stop main-feed")

    await stage.slack.people.click("U0BOB", offer, "add_reason", stale=offer.blocks, forged=True)
    view = await stage.opens_for("U0BOB")
    await stage.slack.people.submit("U0BOB", view, {"reason": "because I say so"})
    await stage.quiet()

    assert stage.cards() == []
    assert len(stage.heard("U0BOB")) == 1
    assert stage.stops() == 0


@pytest.mark.parametrize("reason", ["   ", "use --emergency now", "x\n--dry-run"])
async def test_a_reason_that_will_not_do_is_an_error_in_the_modal(open_stage: OpenStage, reason: str) -> None:
    stage, offer = await _asked_why(open_stage, "stop main-feed")
    await stage.slack.people.click("U0ALICE", offer, "add_reason")
    view = await stage.opens_for("U0ALICE")

    await stage.slack.people.submit("U0ALICE", view, {"reason": reason})
    await stage.quiet()

    shown = stage.view("U0ALICE")
    assert shown is not None
    assert shown.errors["reason"]
    assert stage.cards() == []
    await stage.slack.people.submit("U0ALICE", shown, {"reason": "the encoder loops"})
    await stage.quiet()
    assert len(stage.cards()) == 1


async def test_a_reason_that_comes_when_the_flow_is_taken_leads_to_the_card(open_stage: OpenStage) -> None:
    stage, offer = await _asked_why(open_stage, "stop main-feed")
    await stage.slack.people.click("U0ALICE", offer, "add_reason")
    view = await stage.opens_for("U0ALICE")
    await stage.asks("U0BOB", "stop main-feed because of the drill")

    await stage.slack.people.submit("U0ALICE", view, {"reason": "the encoder loops"})
    await stage.quiet()

    assert "is already open" in stage.heard("U0ALICE")[-1]
    assert len(stage.heard("U0ALICE")) == 2
    assert len(stage.cards()) == 1
