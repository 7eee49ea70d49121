"""A key that the cloud has locked: no call, cards say until when, old approvals expire, and then it works again."""

import asyncio

from bot.playground import world
from bot.playground.live import server as live_server
from bot.playground.live.errors import not_authenticated
from bot.playground.slack.records import PostedMessage
from tests.fakes import FakeClock
from tests.scenarios.conftest import PATIENCE, Stage, running

WRONG = "SKEXAMPLEWRONG"
UNTIL = "it will be used again at 22:19 UTC"


async def _locks(stage: Stage) -> None:
    """Let five commands use a wrong secret, which locks the key in the cloud."""
    stage.live.add_key(ak=live_server.AK, sk=WRONG)
    for number in range(5):
        await stage.types("U0BOB", f"stop flow-{number}")
        await stage.quiet()
    stage.live.add_key(ak=live_server.AK, sk=live_server.SK)


async def _approved_then_locked(stage: Stage) -> tuple[PostedMessage, int]:
    """Return a card approved while the key is locked, and the number of calls until then."""
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.quiet()
    await _locks(stage)
    calls = len(stage.live.calls)
    await stage.presses("U0DAVE", card, "approve")
    await stage.quiet()
    return card, calls


async def test_five_bad_tries_in_a_row_stop_every_call(stage: Stage) -> None:
    await _locks(stage)
    calls = len(stage.live.calls)

    for text in ("stop main-feed", "stop backup-feed", "status main-feed", "list"):
        await stage.types("U0ALICE", text)
        await stage.quiet()
        await stage.passes(6)

    assert len(stage.live.calls) == calls
    assert stage.cards() == []
    assert len([answer for answer in stage.heard("U0ALICE") if UNTIL in answer]) >= 2
    assert all(call.status == 401 for call in stage.live.calls)


async def test_the_card_says_until_when_and_nothing_is_called(stage: Stage) -> None:
    card, calls = await _approved_then_locked(stage)

    assert "held up" in stage.reads(card)
    assert UNTIL in stage.reads(card)
    for _ in range(11):
        await stage.passes(10)
    assert UNTIL in stage.reads(card)
    assert len(stage.live.calls) == calls


async def test_promise_10_an_approval_lapses_while_the_key_is_locked(stage: Stage) -> None:
    card, calls = await _approved_then_locked(stage)

    for _ in range(12):
        await stage.passes(10)

    assert "Expired: approved, but not begun within two minutes" in stage.reads(card)
    assert list(stage.now(card).buttons) == ["ask_again"]
    for _ in range(24):
        await stage.passes(20)
    assert len(stage.live.calls) == calls
    assert stage.stops() == 0


async def test_it_works_after_the_five_minutes(stage: Stage) -> None:
    card, calls = await _approved_then_locked(stage)
    for _ in range(31):
        await stage.passes(10)
    assert len(stage.live.calls) == calls

    known = {one.ts for one in stage.cards()}
    await stage.presses("U0ALICE", stage.now(card), "ask_again")
    await stage.quiet()
    (again,) = [one for one in stage.cards() if one.ts not in known]
    await stage.presses("U0DAVE", again, "approve")
    await stage.thread_says(again, "is now STANDBY")

    assert stage.stops() == 1
    assert all(call.status == 200 for call in stage.live.calls[calls:])


async def test_a_restart_keeps_the_lock(built: world.World, clock: FakeClock) -> None:
    async with running(built) as stage:
        await _locks(stage)
    calls = len(built.live.calls)

    clock.turn(200)
    async with running(built) as stage:
        await stage.types("U0ALICE", "stop main-feed")
        await stage.quiet()
        assert UNTIL in stage.heard("U0ALICE")[-1]
        assert len(stage.live.calls) == calls

        await stage.passes(101)
        await stage.asks("U0ALICE", "stop main-feed")


async def test_a_401_to_the_call_itself_is_never_repeated(stage: Stage) -> None:
    stage.put_fails(not_authenticated("verify aksk signature fail"))
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "APIGW.0301")

    for _ in range(6):
        await stage.passes(30)

    assert "Failed" in stage.reads(card)
    assert stage.stops() == 1


async def test_the_gateways_own_words_lock_the_key_at_once(stage: Stage) -> None:
    stage.put_fails(not_authenticated("AK access failed to reach the limit,forbidden"))
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "has locked the key for five minutes")
    await stage.quiet()
    calls = len(stage.live.calls)

    await stage.types("U0ALICE", "stop backup-feed")
    await stage.quiet()

    assert len(stage.live.calls) == calls
    assert UNTIL in stage.heard("U0ALICE")[-1]


async def test_promise_4_a_lost_reply_whose_key_is_locked_is_unknown_until_the_lock_is_over(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.quiet()
    let_go = asyncio.Event()
    stage.put_fails(drop=True, effect=True, hold=let_go)
    await stage.presses("U0DAVE", card, "approve")
    await stage.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=PATIENCE)
    stage.reads_fail(not_authenticated("AK access failed to reach the limit,forbidden"))
    let_go.set()
    await stage.shows(card, "Unknown")
    await stage.quiet()
    stage.live.faults.clear()
    calls = len(stage.live.calls)

    for _ in range(29):
        await stage.passes(10)
    assert len(stage.live.calls) == calls
    for _ in range(3):
        await stage.passes(10)

    assert "in hk: STANDBY\nThe cloud's reply was lost; reading the flow back confirms it" in stage.reads(card)
    assert stage.stops() == 1
