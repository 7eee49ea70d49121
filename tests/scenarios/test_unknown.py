"""Lost replies are read back, and only a read that says "not done" allows another call."""

import asyncio
import contextlib
import json
import sqlite3

import pytest

from bot.playground import world
from bot.playground.live.errors import failing
from bot.playground.slack.records import PostedMessage
from tests.fakes import FakeClock
from tests.scenarios.conftest import MAIN, PATIENCE, Stage, running

LOST = ["500", "502 html", "504 empty", "dropped"]


def _lose(stage: Stage, lost: str, *, has_effect: bool, times: int | None = 1) -> None:
    """Let the reply to a stop be lost, before or after its effect."""
    if lost == "dropped":
        return stage.put_fails(drop=True, effect=has_effect, times=times)
    status, _, shape = lost.partition(" ")
    reply = failing(int(status), "html" if shape == "html" else "empty" if shape else "live")
    return stage.put_fails(reply, effect=has_effect, times=times)


async def _approved(stage: Stage) -> PostedMessage:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.quiet()
    await stage.presses("U0DAVE", card, "approve")
    await stage.quiet()
    return card


async def _unknown(stage: Stage) -> PostedMessage:
    """Return the card of a stop that worked, whose reply was lost, and whose flow cannot be read."""
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.quiet()
    let_go = asyncio.Event()
    stage.put_fails(drop=True, effect=True, hold=let_go)
    await stage.presses("U0DAVE", card, "approve")
    await stage.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=PATIENCE)
    stage.reads_fail(failing(503, "html"))
    let_go.set()
    await stage.shows(card, "Unknown")
    await stage.quiet()
    return card


def _broadcast(stage: Stage, card: PostedMessage) -> list[str]:
    return [one.plain for one in stage.slack.workspace.messages(card.channel) if one.broadcast]


def _readings(stage: Stage) -> int:
    return len(stage.live.calls_of("GET", "/flows/detail"))


@pytest.mark.parametrize("lost", LOST)
async def test_promise_4_a_lost_reply_after_the_effect_is_read_back_and_not_repeated(stage: Stage, lost: str) -> None:
    _lose(stage, lost, has_effect=True, times=None)
    card = await _approved(stage)

    assert "in hk: STANDBY\nThe cloud's reply was lost; reading the flow back confirms it" in stage.reads(card)
    assert "<@U0ALICE>: `main-feed` is now STANDBY. The cloud's reply was lost" in stage.replies(card)[-1]
    assert _broadcast(stage, card) == []
    for _ in range(6):
        await stage.passes(30)
    assert stage.stops() == 1


@pytest.mark.parametrize("lost", LOST)
async def test_promise_2_a_lost_reply_before_the_effect_is_repeated_once_a_reading_says_active(
    stage: Stage, lost: str
) -> None:
    _lose(stage, lost, has_effect=False)
    card = await _approved(stage)
    assert stage.stops() == 1
    assert stage.live.calls[-1].method == "GET"

    await stage.passes(2)

    assert "Stopped `main-feed` (…1b2d) in hk: STANDBY" in stage.reads(card)
    assert stage.stops() == 2
    await stage.passes(60)
    assert stage.stops() == 2


@pytest.mark.parametrize("lost", LOST)
async def test_promise_2_each_call_follows_a_reading_and_none_comes_after_a_minute(stage: Stage, lost: str) -> None:
    _lose(stage, lost, has_effect=False, times=None)
    card = await _approved(stage)
    for _ in range(70):
        await stage.passes(1)

    assert "Failed: still ACTIVE; it may have been started again" in stage.reads(card)
    assert _broadcast(stage, card) == [stage.replies(card)[-1]]
    assert list(stage.now(card).buttons) == ["ask_again"]
    puts = [number for number, call in enumerate(stage.live.calls) if call.method == "PUT"]
    assert len(puts) == 5
    assert all(stage.live.calls[number - 1].method == "GET" for number in puts)
    assert stage.live.calls[puts[-1]].at - stage.live.calls[puts[0]].at < 60


async def test_a_flow_that_is_found_stopped_right_before_another_try_is_not_called_again(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    let_go = asyncio.Event()
    stage.put_fails(drop=True, hold=let_go, times=1)
    await stage.presses("U0DAVE", card, "approve")
    await stage.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=PATIENCE)
    let_go.set()
    await stage.shows(card, "another follows")
    stage.live.set_status(world.PROJECT_ID, MAIN, "STANDBY")

    await stage.passes(2)

    assert "in hk: STANDBY\nThe cloud's reply was lost; reading the flow back confirms it" in stage.reads(card)
    assert stage.stops() == 1


async def test_promise_4_what_nobody_can_read_is_unknown_and_nothing_more_is_sent(stage: Stage) -> None:
    card = await _unknown(stage)
    for _ in range(10):
        await stage.passes(30)

    assert "Unknown: the cloud has not confirmed the call; I keep checking" in stage.reads(card)
    assert list(stage.now(card).buttons) == ["check_now"]
    told = [reply for reply in stage.replies(card) if "unknown" in reply]
    assert len(told) == 1
    assert "<@U0ALICE>" in told[0]
    assert _broadcast(stage, card) == told
    assert "is now STANDBY" not in "\n".join(stage.replies(card))
    assert stage.stops() == 1


async def test_promise_4_what_becomes_readable_is_told(stage: Stage) -> None:
    card = await _unknown(stage)
    stage.live.faults.clear()

    await stage.passes(5)

    assert "in hk: STANDBY\nThe cloud's reply was lost; reading the flow back confirms it" in stage.reads(card)
    assert not stage.now(card).buttons
    assert "is now STANDBY. The cloud's reply was lost; reading the flow back confirms it" in stage.replies(card)[-1]
    assert stage.stops() == 1


async def test_promise_4_what_becomes_readable_as_not_done_has_failed_and_is_not_repeated(stage: Stage) -> None:
    card = await _unknown(stage)
    stage.live.faults.clear()
    stage.live.set_status(world.PROJECT_ID, MAIN, "ACTIVE")

    for _ in range(6):
        await stage.passes(30)

    assert "Failed: still ACTIVE; it may have been started again" in stage.reads(card)
    assert list(stage.now(card).buttons) == ["ask_again"]
    assert stage.stops() == 1


async def test_readings_of_what_nobody_knows_become_rarer(stage: Stage) -> None:
    await _unknown(stage)
    before = _readings(stage)
    times: list[int] = []
    for second in range(600):
        await stage.passes(1)
        if _readings(stage) > before + len(times):
            times.append(second + 1)

    assert times == [5, 15, 35, 75, 155, 315]


async def test_promise_4_after_an_hour_of_silence_it_is_final_and_says_so(stage: Stage) -> None:
    card = await _unknown(stage)
    for _ in range(3599 // 60):
        await stage.passes(60)
    assert "I keep checking" in stage.reads(card)

    await stage.passes(60)

    assert "Unknown: the cloud has not confirmed the call within an hour; I have stopped checking" in stage.reads(card)
    assert not stage.now(card).buttons
    assert (
        "the cloud has not confirmed the stop of `main-feed` within an hour; it stays unknown"
        in stage.replies(card)[-1]
    )
    assert "<@U0ALICE>" in stage.replies(card)[-1]
    readings = _readings(stage)
    stage.live.faults.clear()
    await stage.passes(7200)
    assert _readings(stage) == readings
    assert stage.stops() == 1


async def test_what_nobody_knows_holds_the_flow_only_while_it_is_read_back(stage: Stage) -> None:
    card = await _unknown(stage)
    await stage.types("U0BOB", "stop main-feed")
    await stage.quiet()
    assert "is already open" in stage.heard("U0BOB")[0]
    for _ in range(61):
        await stage.passes(60)
    stage.live.faults.clear()
    stage.live.set_status(world.PROJECT_ID, MAIN, "ACTIVE")

    again = await stage.asks("U0BOB", "stop main-feed")
    await stage.presses("U0DAVE", again, "approve")
    await stage.thread_says(again, "is now STANDBY")

    assert "Unknown" in stage.reads(card)
    assert stage.stops() == 2


@pytest.mark.parametrize("user", ["U0ALICE", "U0ERIN", "U0DAVE"])
async def test_any_colleague_may_have_it_read_now(stage: Stage, user: str) -> None:
    card = await _unknown(stage)
    await stage.passes(200)
    stage.live.faults.clear()
    readings = _readings(stage)

    await stage.presses(user, card, "check_now")
    await stage.quiet()

    assert _readings(stage) == readings + 1
    assert "in hk: STANDBY\nThe cloud's reply was lost; reading the flow back confirms it" in stage.reads(card)
    assert stage.stops() == 1


@pytest.mark.parametrize("user", ["U0GUEST", "U0OTHER", "U0GONE", "U0ROBOT"])
async def test_promise_7_no_guest_or_stranger_has_the_cloud_asked(stage: Stage, user: str) -> None:
    card = await _unknown(stage)
    stage.live.faults.clear()
    readings = _readings(stage)

    await stage.forges(user, card, "check_now")
    await stage.quiet()

    assert _readings(stage) == readings
    assert "Unknown" in stage.reads(card)
    assert len(stage.heard(user)) == 1
    assert stage.select("SELECT count(*) FROM audit WHERE what = 'refused' AND actor_user = ?", user) == [(1,)]


async def test_promise_3_a_check_of_what_is_known_by_now_is_answered(stage: Stage) -> None:
    card = await _unknown(stage)
    old = stage.now(card)
    stage.live.faults.clear()
    await stage.passes(5)

    await stage.slack.people.click("U0BOB", old, "check_now", stale=old.blocks, forged=True)
    await stage.quiet()

    assert len(stage.heard("U0BOB")) == 1
    assert stage.stops() == 1


async def test_many_checks_at_once_send_nothing(stage: Stage) -> None:
    card = await _unknown(stage)

    await asyncio.gather(*(stage.presses_late("U0BOB", stage.now(card), "check_now") for _ in range(10)))
    await stage.quiet()

    assert "Unknown" in stage.reads(card)
    assert stage.stops() == 1


@pytest.mark.parametrize("has_effect", [True, False], ids=["after", "before"])
async def test_promise_5_a_crash_with_a_call_claimed_is_read_back(
    built: world.World, clock: FakeClock, has_effect: bool
) -> None:
    async with running(built) as stage:
        card = await stage.asks("U0ALICE", "stop main-feed")
        await stage.quiet()
    # Another process claimed the call, may have sent it, and was killed before the reply.
    _claim(stage, clock.now())
    if has_effect:
        stage.live.set_status(world.PROJECT_ID, MAIN, "STANDBY")

    async with running(built) as stage:
        await stage.quiet()
        for _ in range(6):
            await stage.passes(1)
        assert "STANDBY" in stage.reads(card)
        assert ("The cloud's reply was lost" in stage.reads(card)) is has_effect
        assert stage.stops() == (0 if has_effect else 1)


async def test_promise_10_a_repeat_that_a_restart_takes_up_late_is_not_sent(
    built: world.World, clock: FakeClock
) -> None:
    async with running(built) as stage:
        _lose(stage, "500", has_effect=False, times=None)
        card = await _approved(stage)
        await stage.shows(card, "another follows")
        assert stage.stops() == 1

    clock.turn(1800)
    async with running(built) as stage:
        await stage.quiet()
        assert "Failed: still ACTIVE" in stage.reads(card)
        assert stage.stops() == 1


def _claim(stage: Stage, at: float) -> None:
    """Store an approved request with a claimed call, as a killed process leaves it."""
    operation = {"progress": "running", "awaiting": "reply", "tries": 1, "begun_at": at}
    vote = [{"actor": {"team": stage.slack.workspace.team_id, "user": "U0DAVE"}, "at": at}]
    file = stage.world.directory / "flowbot.db"
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "UPDATE requests SET state = 'approved', decided_at = ?, votes = ?, version = 3, due_at = 0",
            (at, json.dumps(vote)),
        )
        connection.execute("UPDATE operations SET progress = 'running', record = ?", (json.dumps(operation),))
