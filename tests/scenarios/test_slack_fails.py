"""Slack fails on our messages: what is recorded is delivered in the end, and a copy of a card works like the card."""

import pytest

from tests.scenarios.conftest import INCIDENT, PATIENCE, Stage

POST, EDIT, WHISPER = "chat.postMessage", "chat.update", "chat.postEphemeral"


@pytest.mark.parametrize("trouble", ["429", "500", "dropped before"])
async def test_a_card_that_slack_did_not_take_is_posted_once_in_the_end(stage: Stage, trouble: str) -> None:
    match trouble:
        case "429":
            stage.slack.faults.ratelimit(POST, times=3, retry_after=7)
        case "500":
            stage.slack.faults.server_error(POST, times=3)
        case _:
            stage.slack.faults.drop_before(POST, times=3)

    await stage.types("U0ALICE", "stop main-feed")
    await stage.quiet()
    assert stage.cards() == []
    await stage.ticks(stage.cards, most=120)
    await stage.quiet()
    (card,) = stage.cards()

    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "STANDBY")
    await stage.quiet()
    assert len(stage.replies(card)) == 3
    assert len(stage.cards()) == 1
    assert stage.stops() == 1


async def test_a_copy_of_a_card_whose_answer_was_lost_counts(stage: Stage) -> None:
    stage.slack.faults.drop_after(POST)
    await stage.types("U0ALICE", "stop main-feed")
    await stage.ticks(lambda: len(stage.cards()) == 2, most=120)
    await stage.quiet()
    copy, card = stage.cards()

    await stage.presses("U0DAVE", copy, "approve")
    await stage.thread_says(card, "STANDBY")
    await stage.quiet()

    assert len(stage.replies(card)) == 3
    assert stage.replies(copy) == []
    assert "STANDBY" in stage.reads(card)
    assert stage.stops() == 1


async def test_replies_that_slack_did_not_take_come_later_in_their_order(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.quiet()
    stage.slack.faults.server_error(POST, times=2)
    stage.slack.faults.drop_before(POST, times=2)

    await stage.presses("U0DAVE", card, "approve")
    await stage.ticks(lambda: "STANDBY" in stage.replies(card)[-1], most=300)
    await stage.quiet()

    asked, voted, outcome = stage.replies(card)
    assert "asks to stop" in asked
    assert "approved" in voted
    assert "STANDBY" in outcome
    assert stage.stops() == 1


@pytest.mark.parametrize("trouble", ["429", "500", "dropped before", "dropped after"])
async def test_the_newest_state_shows_in_the_end(stage: Stage, trouble: str) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.quiet()
    match trouble:
        case "429":
            stage.slack.faults.ratelimit(EDIT, times=4, retry_after=3)
        case "500":
            stage.slack.faults.server_error(EDIT, times=4)
        case "dropped before":
            stage.slack.faults.drop_before(EDIT, times=4)
        case _:
            stage.slack.faults.drop_after(EDIT, times=4)

    await stage.presses("U0DAVE", card, "approve")
    await stage.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=PATIENCE)
    await stage.ticks(lambda: len(stage.slack.workspace.called(EDIT)) > 4, most=300)
    await stage.quiet()

    assert "STANDBY" in stage.reads(card)
    assert not stage.now(card).buttons
    assert len(stage.replies(card)) == 3
    assert stage.stops() == 1


async def test_slack_being_away_keeps_no_call_from_its_time(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.quiet()
    for method in (POST, EDIT):
        stage.slack.faults.drop_before(method, times=None)

    await stage.presses("U0DAVE", card, "approve")
    await stage.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=PATIENCE)
    await stage.quiet()
    assert len(stage.replies(card)) == 1

    stage.slack.faults.clear()
    await stage.ticks(lambda: "STANDBY" in stage.reads(card), most=300)
    await stage.quiet()
    assert len(stage.replies(card)) == 3
    assert stage.stops() == 1


async def test_an_answer_goes_by_response_url_first(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")

    await stage.presses("U0BOB", card, "approve")
    await stage.quiet()

    assert len(stage.heard("U0BOB")) == 1
    assert stage.slack.workspace.called(WHISPER) == []


@pytest.mark.parametrize("trouble", ["429", "500", "dropped before"])
async def test_an_answer_goes_ephemerally_where_the_response_url_fails(stage: Stage, trouble: str) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    match trouble:
        case "429":
            stage.slack.faults.ratelimit("response_url", times=None)
        case "500":
            stage.slack.faults.server_error("response_url", times=None)
        case _:
            stage.slack.faults.drop_before("response_url", times=None)

    await stage.presses("U0BOB", card, "approve")
    await stage.quiet()

    (whisper,) = stage.slack.workspace.ephemerals("U0BOB", INCIDENT)
    assert "you may not approve" in whisper.plain
    assert len(stage.heard("U0BOB")) == 1


async def test_an_answer_goes_by_dm_where_nothing_else_works(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    stage.slack.faults.server_error("response_url", times=None)
    stage.slack.faults.error(WHISPER, "user_not_in_channel", times=None)

    await stage.presses("U0BOB", card, "approve")
    await stage.quiet()

    (dm,) = stage.slack.workspace.messages("D0BOB")
    assert "you may not approve" in dm.plain
    assert stage.slack.workspace.ephemerals("U0BOB") == []


async def test_an_answer_that_slack_did_not_take_comes_later_and_once(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.quiet()
    for method in ("response_url", WHISPER, POST):
        stage.slack.faults.server_error(method, times=None)

    await stage.presses("U0BOB", card, "approve")
    await stage.quiet()
    assert stage.heard("U0BOB") == []

    stage.slack.faults.clear()
    await stage.ticks(lambda: stage.heard("U0BOB"), most=120)
    for _ in range(6):
        await stage.passes(20)
    assert len(stage.heard("U0BOB")) == 1


async def test_a_card_that_slack_refuses_for_good_frees_the_flow(stage: Stage) -> None:
    stage.slack.faults.error(POST, "restricted_action")

    await stage.types("U0ALICE", "stop main-feed")
    await stage.quiet()
    (answer,) = stage.heard("U0ALICE")
    assert "`restricted_action`" in answer
    assert stage.cards() == []

    await stage.asks("U0BOB", "stop main-feed")
