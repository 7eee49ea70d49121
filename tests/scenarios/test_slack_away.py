"""Slack as a real network: outages, rate limits, duplicates. What is recorded is delivered, the newest state first."""

import asyncio

import pytest

from bot.playground import world
from bot.playground.slack.records import PostedMessage
from tests.fakes import FakeClock
from tests.scenarios import policies
from tests.scenarios.conftest import INCIDENT, PATIENCE, RANDOM, OpenStage, Stage, running

POST, EDIT = "chat.postMessage", "chat.update"
TWO_CHANNELS = policies.TWO_PROJECTS.replace('channels   = ["C0SG"]', 'channels   = ["C0RANDOM"]')


async def _card(stage: Stage) -> PostedMessage:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.quiet()
    return card


def _dms(stage: Stage, user: str) -> list[str]:
    return [one.plain for one in stage.slack.workspace.messages(f"D{user[1:]}")]


def _mute(stage: Stage) -> None:
    """Let Slack accept no messages, while it still says who people are."""
    for method in (POST, EDIT, "chat.postEphemeral", "response_url"):
        stage.slack.faults.server_error(method, times=None)


async def _lasts(stage: Stage, seconds: float, *, step: float = 60.0) -> None:
    """Let an outage last, in steps, so that Slack is tried repeatedly."""
    for _ in range(int(seconds / step)):
        await stage.passes(step)


async def test_an_hour_without_slack_ends_in_a_dm_to_whoever_asked_for_what_expired_unseen(stage: Stage) -> None:
    await stage.quiet()
    _mute(stage)
    await stage.types("U0ALICE", "stop main-feed")
    await _lasts(stage, 3600)
    assert stage.cards() == []
    assert stage.select("SELECT state FROM requests") == [("expired",)]

    stage.slack.faults.clear()
    await _lasts(stage, 120)

    assert stage.cards() == []
    (dm,) = _dms(stage, "U0ALICE")
    assert "expired" in dm
    assert "main-feed" in dm
    await _lasts(stage, 600)
    assert len(_dms(stage, "U0ALICE")) == 1


async def test_a_day_without_slack_loses_nothing_that_was_acknowledged(stage: Stage) -> None:
    card = await _card(stage)
    stage.slack.faults.down()
    await stage.types(
        "U0BOB", "stop backup-feed"
    )  # Slack cannot be asked who Bob is: the answer is no, once it is back
    await _lasts(stage, 86_400, step=600)
    assert "approve" in stage.now(card).buttons

    stage.slack.faults.up()
    await _lasts(stage, 120)

    assert "Expired" in stage.reads(card)
    assert list(stage.now(card).buttons) == ["ask_again"]
    assert "<@U0ALICE>" in stage.replies(card)[-1]
    assert "expired" in stage.replies(card)[-1]
    (answer,) = stage.heard("U0BOB")
    assert "Slack" in answer
    assert len(stage.cards()) == 1
    assert stage.stops() == 0


async def test_a_stop_is_carried_out_without_slack_and_told_when_it_is_back(stage: Stage) -> None:
    card = await _card(stage)
    _mute(stage)
    await stage.presses("U0DAVE", card, "approve")
    await stage.quiet()
    assert stage.stops() == 1
    await _lasts(stage, 3600)
    assert len(stage.replies(card)) == 1

    stage.slack.faults.clear()
    await _lasts(stage, 120)

    assert "STANDBY" in stage.reads(card)
    asked, voted, outcome = stage.replies(card)
    assert "asks to stop" in asked
    assert "approved" in voted
    assert "is now STANDBY" in outcome
    assert stage.stops() == 1


async def test_an_outage_outlives_a_restart(built: world.World, clock: FakeClock) -> None:
    async with running(built) as stage:
        await stage.quiet()
        stage.slack.faults.server_error(POST, times=None)
        await stage.types("U0ALICE", "stop main-feed")
        await _lasts(stage, 600)
    clock.turn(7200)
    async with running(built) as stage:
        await stage.quiet()
        stage.slack.faults.clear()
        await _lasts(stage, 120)

        (dm,) = _dms(stage, "U0ALICE")
        assert "expired" in dm
        assert stage.cards() == []


async def test_one_edit_shows_the_newest_state_of_many(stage: Stage) -> None:
    card = await _card(stage)
    edits = len(stage.slack.workspace.called(EDIT))
    for method in (POST, EDIT):
        stage.slack.faults.server_error(method, times=None)
    await stage.passes(300)  # the reminder
    await stage.presses("U0DAVE", card, "approve")  # approved, called, done
    await _lasts(stage, 60, step=20)
    failed = len(stage.slack.workspace.called(EDIT))

    stage.slack.faults.clear()
    await _lasts(stage, 120)

    assert stage.select("SELECT version > 4 FROM requests") == [(1,)]
    assert "STANDBY" in stage.reads(card)
    assert len(stage.slack.workspace.called(EDIT)) - failed == 1
    assert failed > edits
    assert len(stage.slack.workspace.versions(card)) == 2


async def test_a_burst_is_posted_at_once_and_the_rest_one_a_second(stage: Stage) -> None:
    for number in range(12):
        stage.live.add_flow(world.PROJECT_ID, f"known-{number:04d}", f"feed-{number:04d}")
    await asyncio.gather(*(stage.types("U0ALICE", f"stop known-{number:04d}") for number in range(12)))
    await stage.slack.until(lambda workspace: len(workspace.called(POST)) == 10 or None, timeout=PATIENCE)

    burst = stage.world.clock.now()

    await stage.ticks(lambda: len(stage.slack.workspace.called(POST)) >= 24, most=120)

    assert len(stage.cards()) == 12
    for number, call in enumerate(stage.slack.workspace.called(POST), start=1):
        assert call.at - burst >= number - 10 - 0.001  # allows for rounding in the sum of the clock's steps
    await stage.quiet()
    assert [len(stage.replies(card)) for card in stage.cards()] == [1] * 12


async def test_slack_at_its_documented_limits_takes_all_in_the_end(stage: Stage) -> None:
    stage.slack.faults.enforce_rate_limits = True
    for number in range(5):
        stage.live.add_flow(world.PROJECT_ID, f"known-{number:04d}", f"feed-{number:04d}")
        await stage.types("U0ALICE", f"stop known-{number:04d}")

    await stage.ticks(lambda: not stage.waiting(), most=120)
    await stage.quiet()

    assert [len(stage.replies(card)) for card in stage.cards()] == [1] * 5


async def test_one_channel_never_blocks_another(open_stage: OpenStage) -> None:
    stage = await open_stage(TWO_CHANNELS)
    stage.live.add_flow(policies.OTHER_PROJECT_ID, "elsewhere", "other-feed")
    for number in range(30):
        stage.live.add_flow(world.PROJECT_ID, f"known-{number:04d}", f"feed-{number:04d}")
    await asyncio.gather(*(stage.types("U0ALICE", f"stop known-{number:04d}") for number in range(30)))
    await stage.slack.until(lambda workspace: len(workspace.called(POST)) == 10 or None, timeout=PATIENCE)

    card = await stage.asks("U0ALICE", "stop other-feed", channel=RANDOM, seen_in=RANDOM, others_wait=True)
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "is now STANDBY")

    assert len([call for call in stage.slack.workspace.called(POST) if call.args["channel"] == INCIDENT]) == 10
    await stage.ticks(lambda: not stage.waiting(), most=300)


async def test_a_slow_channel_holds_up_neither_call_nor_click(stage: Stage) -> None:
    card = await _card(stage)
    for number in range(12):
        stage.live.add_flow(world.PROJECT_ID, f"known-{number:04d}", f"feed-{number:04d}")
    await asyncio.gather(*(stage.types("U0BOB", f"stop known-{number:04d}") for number in range(12)))
    await stage.slack.until(lambda workspace: len(workspace.called(POST)) == 10 or None, timeout=PATIENCE)

    await stage.presses("U0DAVE", card, "approve")

    await stage.shows(card, "STANDBY")
    assert stage.stops() == 1
    await stage.ticks(lambda: not stage.waiting(), most=300)


@pytest.mark.parametrize("button", ["approve", "deny"])
async def test_a_click_on_a_copy_counts_and_turns_it_into_a_link(stage: Stage, button: str) -> None:
    stage.slack.faults.drop_after(POST)
    await stage.types("U0ALICE", "stop main-feed")
    await stage.ticks(lambda: len(stage.cards()) == 2, most=120)
    await stage.quiet()
    copy, card = stage.cards()

    await stage.presses("U0DAVE", copy, button)
    await stage.quiet()

    assert ("STANDBY" if button == "approve" else "denied by <@U0DAVE>") in stage.reads(card)
    assert not stage.now(copy).buttons
    assert f"/archives/{card.channel}/p{card.ts.replace('.', '')}" in stage.reads(copy)
    assert "This copy of a card is not in use" in stage.reads(copy)
    assert stage.stops() == (button == "approve")


async def test_a_copy_that_slack_does_not_change_counts_all_the_same(stage: Stage) -> None:
    stage.slack.faults.drop_after(POST)
    await stage.types("U0ALICE", "stop main-feed")
    await stage.ticks(lambda: len(stage.cards()) == 2, most=120)
    await stage.quiet()
    copy, card = stage.cards()
    stage.slack.faults.server_error(EDIT)

    await stage.presses("U0CAROL", copy, "approve")
    await stage.ticks(lambda: "STANDBY" in stage.reads(card), most=60)

    assert stage.stops() == 1


async def test_the_end_of_a_request_whose_channel_is_gone_reaches_its_requester_in_a_dm(stage: Stage) -> None:
    card = await _card(stage)
    for method in (POST, EDIT):
        stage.slack.faults.error(method, "channel_not_found", times=1)
    await stage.presses("U0DAVE", card, "deny")
    await _lasts(stage, 120)

    (dm,) = _dms(stage, "U0ALICE")
    assert "denied" in dm


async def test_the_first_reply_calls_nobody_once_it_is_decided(stage: Stage) -> None:
    await stage.quiet()
    stage.slack.faults.hold(POST, let_post := asyncio.Event(), after=True)
    await stage.types("U0ALICE", "stop main-feed")
    await stage.slack.until(lambda _: stage.cards() or None, timeout=PATIENCE)
    (card,) = stage.cards()
    await stage.presses("U0DAVE", card, "deny")
    await stage.ticks(lambda: stage.select("SELECT 1 FROM requests WHERE state = 'denied'"), most=5)
    let_post.set()
    await stage.quiet()

    replies = "\n".join(stage.replies(card))
    assert "that is already decided" in replies
    assert "<@U0CAROL>" not in replies
