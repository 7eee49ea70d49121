"""What the cloud does with the call, and that card and thread say exactly that."""

import asyncio

import pytest

from bot.playground import world
from bot.playground.live.errors import Refusal, from_service, invalid, no_such_flow, not_authenticated, throttled
from bot.playground.slack import transcript
from bot.playground.slack.records import PostedMessage
from tests.scenarios.conftest import MAIN, PATIENCE, Stage

STOP = "live:ott:updateFlowStatusStop"


async def _approved(stage: Stage) -> PostedMessage:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "approve")
    return card


def _shown_in_channel(stage: Stage, card: PostedMessage) -> list[str]:
    """Return the replies that were broadcast to the channel."""
    return [one.plain for one in stage.slack.workspace.messages(card.channel) if one.broadcast]


async def _failed(stage: Stage, card: PostedMessage, *words: str, calls: int = 1) -> str:
    """Wait for the outcome, check that it is shown as a failure everywhere after this many calls, and return it."""
    outcome = (await stage.thread_says(card, words[0])).plain
    await stage.quiet()
    assert all(word in outcome for word in words)
    assert "<@U0ALICE>" in outcome
    assert _shown_in_channel(stage, card) == [outcome]
    assert "Failed" in stage.reads(card)
    assert "STANDBY" not in stage.reads(card)
    assert list(stage.now(card).buttons) == ["ask_again"]
    assert stage.stops() == calls
    return outcome


async def test_a_flow_that_somebody_else_has_stopped_is_not_called(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    stage.live.set_status(world.PROJECT_ID, MAIN, "STANDBY")

    await stage.presses("U0DAVE", card, "approve")
    outcome = await stage.thread_says(card, "already so, not by this request")
    await stage.quiet()

    assert "STANDBY" in outcome.plain
    assert "not by this request" in stage.reads(card)
    assert _shown_in_channel(stage, card) == []
    assert stage.stops() == 0


async def test_a_refusal_as_standby_is_read_back(stage: Stage) -> None:
    let_go = asyncio.Event()
    stage.put_fails(hold=let_go)
    card = await _approved(stage)
    await stage.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=PATIENCE)
    stage.live.set_status(world.PROJECT_ID, MAIN, "STANDBY")
    let_go.set()

    outcome = (await stage.thread_says(card, "reading the flow back confirms it")).plain
    await stage.quiet()

    assert "LIVE.100011001" in outcome
    assert "flow task is in standby status" in outcome
    assert "STANDBY" in outcome
    assert "STANDBY" in stage.reads(card)
    assert stage.stops() == 1


async def test_a_refusal_as_standby_of_a_flow_that_stays_active_is_repeated_for_a_minute_and_fails(
    stage: Stage,
) -> None:
    stage.put_fails(invalid("flow task is in standby status"))
    card = await _approved(stage)
    await stage.ticks(lambda: "Failed" in stage.reads(card), most=60)

    await _failed(
        stage, card, "still ACTIVE; it may have been started again", "flow task is in standby status", calls=5
    )


async def test_a_missing_right_is_told_with_code_message_and_request_id(stage: Stage) -> None:
    stage.live.deny(STOP)

    outcome = await _failed(
        stage, await _approved(stage), "LIVE.100011003", "You do not have permission to access the API.", STOP
    )

    number = stage.live.calls_of("PUT", "/flows/stop")[0].number
    assert f"live-{number + 1:06d}" in outcome


async def test_a_missing_right_of_an_identity_policy_is_told(stage: Stage) -> None:
    stage.live.deny(STOP, status=403)

    await _failed(stage, await _approved(stage), "PAP5.0001", "HTTP 403", STOP)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        pytest.param(no_such_flow("404"), "LIVE.103011019", id="404"),
        pytest.param(invalid("the parameter is wrong"), "LIVE.100011001", id="400"),
        pytest.param(from_service(400, "LIVE.103011099", "odd"), "LIVE.103011099", id="400 of another kind"),
        pytest.param(not_authenticated("verify aksk signature fail"), "APIGW.0301", id="401 credentials"),
    ],
)
async def test_a_definite_no_is_told_as_it_came(stage: Stage, reply: Refusal, code: str) -> None:
    stage.put_fails(reply)

    assert isinstance(reply.body, dict)
    message = str(reply.body["error_msg"])
    await _failed(stage, await _approved(stage), code, message[:40])


async def test_promise_4_no_card_says_done_unless_the_cloud_says_done(stage: Stage) -> None:
    stage.put_fails(status="ACTIVE")
    card = await _approved(stage)
    await stage.shows(card, "the cloud accepted it but does not report it done yet")
    reads = len(stage.live.calls_of("GET", "/flows/detail"))

    for _ in range(14):
        await stage.passes(2)
    assert "Failed" not in stage.reads(card)
    await stage.passes(2)

    assert len(stage.live.calls_of("GET", "/flows/detail")) - reads == 15
    await _failed(stage, card, "accepted, still ACTIVE")


async def test_an_accepted_stop_that_takes_effect_within_half_a_minute_succeeds(stage: Stage) -> None:
    stage.put_fails(status="ACTIVE")
    card = await _approved(stage)
    await stage.shows(card, "the cloud accepted it but does not report it done yet")
    await stage.passes(12)
    assert "STANDBY" not in stage.reads(card)

    stage.live.set_status(world.PROJECT_ID, MAIN, "STANDBY")
    await stage.passes(2)

    assert "Stopped `main-feed` (…1b2d) in hk: STANDBY" in stage.reads(card)
    assert "is now STANDBY" in stage.replies(card)[-1]
    assert _shown_in_channel(stage, card) == []
    assert stage.stops() == 1


async def test_a_success_that_does_not_last_is_told_ten_seconds_later(stage: Stage) -> None:
    card = await _approved(stage)
    await stage.thread_says(card, "is now STANDBY")
    await stage.quiet()
    stage.live.set_status(world.PROJECT_ID, MAIN, "ACTIVE")

    await stage.passes(9)
    assert "but now" not in stage.reads(card)
    await stage.passes(1)

    assert "Stopped `main-feed` (…1b2d) in hk, but now ACTIVE" in stage.reads(card)
    told = stage.replies(card)[-1]
    assert "<@U0ALICE>: `main-feed` is ACTIVE again" in told
    assert _shown_in_channel(stage, card) == [told]
    await stage.passes(3600)
    assert stage.replies(card)[-1] == told
    assert stage.stops() == 1


async def test_a_success_that_lasts_is_looked_at_once_and_not_told_of_again(stage: Stage) -> None:
    card = await _approved(stage)
    await stage.thread_says(card, "is now STANDBY")
    await stage.quiet()
    before, calls = stage.replies(card), len(stage.live.calls)

    for _ in range(6):
        await stage.passes(10)

    assert stage.replies(card) == before
    assert len(stage.live.calls) == calls + 1


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(throttled(80), id="429"),
        pytest.param(from_service(500, "LIVE.100011007", "The number of concurrent API requests"), id="500"),
    ],
)
async def test_what_was_not_carried_out_is_repeated_until_it_is(stage: Stage, trouble: Refusal) -> None:
    stage.put_fails(trouble, times=2)
    card = await _approved(stage)
    await stage.shows(card, "another follows")

    await stage.ticks(lambda: "is now STANDBY" in stage.replies(card)[-1], most=119)
    await stage.quiet()

    assert "STANDBY" in stage.reads(card)
    assert stage.stops() == 3


async def test_what_is_throttled_for_two_minutes_fails_in_the_clouds_words(stage: Stage) -> None:
    stage.put_fails(throttled(80))
    card = await _approved(stage)
    await stage.shows(card, "another follows")
    await stage.ticks(lambda: "Failed" in stage.reads(card), most=119)

    calls = stage.stops()
    await _failed(stage, card, "APIGW.0308", "throttling threshold", calls=calls)
    assert calls == 4
    await stage.passes(600)
    assert stage.stops() == calls


async def test_a_call_that_takes_long_is_told_of_after_five_seconds(stage: Stage) -> None:
    stage.put_fails(hold=8.0, effect=True)
    card = await _approved(stage)
    await stage.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=PATIENCE)
    await stage.shows(card, "has not answered yet")
    called = stage.world.clock.now()

    await stage.ticks(lambda: "Calling" in stage.replies(card)[-1], most=7.75)
    assert stage.world.clock.now() - called >= 5
    await stage.ticks(lambda: "STANDBY" in stage.replies(card)[-1], most=10)
    await stage.quiet()

    assert len([reply for reply in stage.replies(card) if "Calling" in reply]) == 1
    assert stage.stops() == 1


async def test_a_quick_call_is_not_told_of(stage: Stage) -> None:
    card = await _approved(stage)
    await stage.thread_says(card, "STANDBY")
    await stage.quiet()
    await stage.passes(60)

    assert not [reply for reply in stage.replies(card) if "Calling" in reply]


async def test_promise_9_secrets_that_the_gateway_echoes_are_cut_out(stage: Stage) -> None:
    key = stage.world.environ["HUAWEICLOUD_SDK_SK"]
    stage.put_fails(not_authenticated(f"the secret {key} is wrong"))
    card = await _approved(stage)
    await stage.thread_says(card, "APIGW.0301")
    await stage.quiet()

    tables = ("requests", "operations", "replies", "inbox", "audit")
    stored = "\n".join(str(stage.select(f"SELECT * FROM {table}")) for table in tables)  # noqa: S608
    assert key not in transcript.of(stage.slack.workspace)
    for secret in (
        key,
        stage.slack.bot_token,
        stage.slack.signing_secret,
        "not-for-anyone",
        "/response/",
        "trigger_id",
    ):
        assert secret not in stored
