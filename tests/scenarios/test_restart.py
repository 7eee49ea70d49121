"""What survives a restart: acknowledged work continues, and the audit has all of it."""

from bot.playground import world
from tests.fakes import FakeClock
from tests.scenarios.conftest import PATIENCE, Stage, running


async def test_promise_5_a_restart_loses_no_request(built: world.World) -> None:
    async with running(built) as stage:
        card = await stage.asks("U0ALICE", "stop main-feed")
        await stage.quiet()

    async with running(built) as stage:
        await stage.presses("U0DAVE", card, "approve")
        await stage.thread_says(card, "STANDBY")
        await stage.quiet()
        assert len(stage.cards()) == 1
        assert len(stage.replies(card)) == 3
        assert stage.stops() == 1


async def test_promise_5_a_restart_loses_no_card_that_slack_did_not_take(built: world.World, clock: FakeClock) -> None:
    async with running(built) as stage:
        stage.slack.faults.drop_before("chat.postMessage", times=None)
        await stage.types("U0ALICE", "stop main-feed")
        await stage.quiet()
        assert stage.cards() == []

    built.slack.faults.clear()
    clock.turn(120)
    async with running(built) as stage:
        await stage.ticks(stage.cards, most=60)
        await stage.quiet()
        (card,) = stage.cards()
        assert "0 of 1" in stage.reads(card)
        assert len(stage.replies(card)) == 1


async def test_promise_5_a_restart_loses_no_answer(built: world.World, clock: FakeClock) -> None:
    async with running(built) as stage:
        card = await stage.asks("U0ALICE", "stop main-feed")
        for method in ("response_url", "chat.postEphemeral", "chat.postMessage"):
            stage.slack.faults.server_error(method, times=None)
        await stage.presses("U0BOB", card, "approve")
        await stage.quiet()
        assert stage.heard("U0BOB") == []

    built.slack.faults.clear()
    clock.turn(120)
    async with running(built) as stage:
        await stage.ticks(lambda: stage.heard("U0BOB"), most=60)
        await stage.quiet()
        assert len(stage.heard("U0BOB")) == 1
        assert "you may not approve" in stage.heard("U0BOB")[0]


async def test_promise_5_a_restart_loses_no_outcome(built: world.World, clock: FakeClock) -> None:
    async with running(built) as stage:
        card = await stage.asks("U0ALICE", "stop main-feed")
        await stage.quiet()
        for method in ("chat.update", "chat.postMessage"):
            stage.slack.faults.drop_before(method, times=None)
        await stage.presses("U0DAVE", card, "approve")
        await stage.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=PATIENCE)
        await stage.quiet()

    built.slack.faults.clear()
    clock.turn(600)
    async with running(built) as stage:
        await stage.ticks(lambda: "STANDBY" in stage.reads(card), most=120)
        await stage.quiet()
        assert len(stage.replies(card)) == 3
        assert stage.stops() == 1


async def test_a_repeat_after_a_restart_acts_once(built: world.World) -> None:
    async with running(built) as stage:
        ack = await stage.types("U0ALICE", "stop main-feed")
        await stage.quiet()

    async with running(built) as stage:
        again = await stage.slack.people.replay(ack)
        await stage.quiet()
        assert (again.status, again.body) == (200, "")
        assert len(stage.cards()) == 1
        assert stage.heard("U0ALICE") == []


async def test_promise_8_everything_asked_refused_voted_called_and_answered_is_in_the_audit(stage: Stage) -> None:
    await stage.types("U0ALICE", "help")
    await stage.types("U0ALICE", "stop studio-b")
    await stage.quiet()
    card = await stage.asks("U0ALICE", "stop main-feed because the encoder loops")
    for user in ("U0BOB", "U0DAVE"):
        await stage.presses(user, card, "approve")
        await stage.quiet()
    await stage.presses_late("U0CAROL", card, "approve")
    await stage.quiet()

    trail = stage.select("SELECT what, actor_user FROM audit ORDER BY id")
    assert trail == [
        ("nothing opened", "U0ALICE"),
        ("asked", "U0ALICE"),
        ("refused", "U0BOB"),
        ("approved", "U0DAVE"),
        ("call begins", None),
        ("call ended", None),
        ("answered", "U0CAROL"),
    ]
    ((asked,),) = stage.select("SELECT facts FROM audit WHERE what = 'asked'")
    assert "the encoder loops" in asked
    ((ended,),) = stage.select("SELECT facts FROM audit WHERE what = 'call ended'")
    assert "STANDBY" in ended
