"""Who must agree before a flow stops: one confirmation, one approval, two approvals."""

from tests.scenarios import policies
from tests.scenarios.conftest import OpenStage, Stage


async def test_promise_1_no_second_person_no_stop(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed because the encoder loops")

    await stage.presses("U0ALICE", card, "approve")
    await stage.forges("U0ALICE", card, "confirm")
    await stage.presses("U0BOB", card, "approve")
    await stage.forges("U0BOB", card, "confirm")
    await stage.quiet()

    assert len(stage.heard("U0ALICE")) == 2
    assert len(stage.heard("U0BOB")) == 2
    assert "0 of 1" in stage.reads(card)
    assert len(stage.replies(card)) == 1
    await stage.passes(1801)
    assert "Expired" in stage.reads(card)
    assert stage.stops() == 0


async def test_a_colleague_with_the_same_right_confirms(stage: Stage) -> None:
    card = await stage.asks("U0CAROL", "stop main-feed")

    await stage.presses("U0DAVE", card, "confirm")

    await stage.thread_says(card, "STANDBY")
    await stage.quiet()
    assert "Confirmed by <@U0DAVE>" in stage.reads(card)
    assert stage.stops() == 1


async def test_a_colleague_without_the_right_cannot_confirm(stage: Stage) -> None:
    card = await stage.asks("U0CAROL", "stop main-feed")

    await stage.presses("U0BOB", card, "confirm")
    await stage.quiet()

    (refusal,) = stage.heard("U0BOB")
    assert "on-call stops, a lead approves" in refusal
    assert "<@U0CAROL>" in refusal
    assert "confirm" in stage.now(card).buttons
    assert stage.replies(card) == []
    assert stage.stops() == 0


async def test_the_thread_is_the_trail_of_one_approval(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed because the encoder loops")

    await stage.presses("U0DAVE", card, "approve")
    await stage.quiet()

    asked, voted, outcome = stage.replies(card)
    assert "<@U0CAROL>" in asked
    assert "<@U0DAVE>" in asked
    assert "<@U0DAVE> approved" in voted
    assert "<@U0ALICE>" in outcome
    assert "STANDBY" in outcome
    assert "the encoder loops" in stage.reads(card)
    assert not stage.now(card).buttons
    assert stage.heard("U0DAVE") == []
    assert len(stage.cards()) == 1
    assert stage.stops() == 1


async def test_a_card_that_needs_approvals_offers_no_confirmation(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")

    assert set(card.buttons) == {"approve", "deny", "withdraw"}
    await stage.forges("U0DAVE", card, "confirm")
    await stage.quiet()

    (answer,) = stage.heard("U0DAVE")
    assert "not waiting for that button" in answer
    assert stage.stops() == 0


async def test_a_card_that_needs_no_approval_takes_none(stage: Stage) -> None:
    card = await stage.asks("U0CAROL", "stop main-feed")

    assert set(card.buttons) == {"confirm", "withdraw"}
    for button in ("approve", "deny"):
        await stage.forges("U0DAVE", card, button)
    await stage.quiet()

    assert len(stage.heard("U0DAVE")) == 2
    assert "confirm" in stage.now(card).buttons
    assert stage.stops() == 0


async def test_two_approvals_are_two_people(open_stage: OpenStage) -> None:
    stage = await open_stage(policies.TWO_APPROVALS)
    card = await stage.asks("U0ALICE", "stop main-feed")

    await stage.presses("U0DAVE", card, "approve")
    await stage.shows(card, "1 of 2")
    await stage.presses("U0DAVE", card, "approve")
    await stage.told("U0DAVE", "already counts")
    await stage.quiet()
    assert "1 of 2" in stage.reads(card)
    assert stage.stops() == 0

    await stage.presses("U0CAROL", card, "approve")
    await stage.thread_says(card, "STANDBY")
    await stage.quiet()
    assert len(stage.heard("U0DAVE")) == 1
    assert len(stage.replies(card)) == 4
    assert stage.stops() == 1


async def test_a_requester_among_the_approvers_never_counts(open_stage: OpenStage) -> None:
    stage = await open_stage(policies.TWO_APPROVALS)
    card = await stage.asks("U0CAROL", "stop main-feed")

    await stage.presses("U0DAVE", card, "approve")
    await stage.shows(card, "1 of 2")
    await stage.presses("U0CAROL", card, "approve")
    await stage.told("U0CAROL", "your own")
    await stage.quiet()
    assert "1 of 2" in stage.reads(card)
    assert stage.stops() == 0

    await stage.presses("U0BOB", card, "approve")
    await stage.thread_says(card, "STANDBY")
    assert stage.stops() == 1


async def test_a_rule_that_nobody_can_satisfy_opens_nothing(open_stage: OpenStage) -> None:
    rule = policies.rule("two leads", who=["media-leads"], approvals=2, approvers=["media-leads"])
    stage = await open_stage(policies.HEAD + rule)

    await stage.types("U0CAROL", "stop main-feed")
    await stage.quiet()

    (refusal,) = stage.heard("U0CAROL")
    assert "two leads" in refusal
    assert "only 1 person could give them" in refusal
    assert stage.cards() == []
