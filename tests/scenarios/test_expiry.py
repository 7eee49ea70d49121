"""What time does to a request: the reminder, the expiry, and an old approval."""

import pytest

from bot.playground import world
from bot.playground.live.errors import failing
from tests.fakes import FakeClock
from tests.scenarios import policies
from tests.scenarios.conftest import OpenStage, Stage


@pytest.mark.parametrize(
    ("policy", "reminded_after", "expires_after"),
    [pytest.param(world.POLICY, 300, 1800, id="30m"), pytest.param(policies.SHORT, 2.5, 5, id="5s")],
)
async def test_a_request_is_reminded_of_once_and_expires(
    open_stage: OpenStage, policy: str, reminded_after: float, expires_after: float
) -> None:
    stage = await open_stage(policy)
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.quiet()

    await stage.passes(reminded_after - 1)
    assert len(stage.replies(card)) == 1
    await stage.passes(1)
    reminder = stage.replies(card)[1]
    assert "<@U0CAROL>" in reminder
    assert "is still waiting for you" in reminder

    await stage.passes(expires_after - reminded_after - 1)
    assert "approve" in stage.now(card).buttons
    await stage.passes(1)
    expired = stage.now(card)
    assert "Expired" in stage.reads(card)
    assert "enied" not in stage.reads(card)
    assert list(expired.buttons) == ["ask_again"]
    assert len(stage.replies(card)) == 3
    assert "<@U0ALICE>" in stage.replies(card)[2]
    assert "expired" in stage.replies(card)[2]

    await stage.presses_late("U0DAVE", card, "approve")
    await stage.quiet()
    (answer,) = stage.heard("U0DAVE")
    assert "has expired" in answer
    await stage.passes(3600)
    assert len(stage.replies(card)) == 3
    assert stage.stops() == 0


async def test_a_click_in_the_very_second_of_the_expiry_is_late(stage: Stage, clock: FakeClock) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.quiet()

    clock.turn(1800)
    await stage.presses_late("U0DAVE", card, "approve")
    await stage.quiet()

    (answer,) = stage.heard("U0DAVE")
    assert "has expired" in answer
    assert len([reply for reply in stage.replies(card) if "expired" in reply]) == 1
    assert "Expired" in stage.reads(card)
    assert stage.stops() == 0


async def test_a_confirmation_expires_without_a_reminder(stage: Stage) -> None:
    card = await stage.asks("U0CAROL", "stop main-feed")

    await stage.passes(900)
    assert stage.replies(card) == []
    await stage.passes(900)

    assert "not confirmed in time" in stage.reads(card)
    assert len(stage.replies(card)) == 1
    assert stage.stops() == 0


async def test_promise_10_an_old_approval_never_fires(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    stage.reads_fail(failing(500, "live"))
    await stage.presses("U0DAVE", card, "approve")
    await stage.shows(card, "held up")

    for _ in range(12):
        await stage.passes(10)
    stage.live.faults.clear()
    for _ in range(12):
        await stage.passes(10)

    assert "Expired: approved, but not begun within two minutes" in stage.reads(card)
    assert "enied" not in stage.reads(card)
    assert "not begun" in stage.replies(card)[-1]
    assert len([reply for reply in stage.replies(card) if "expired" in reply]) == 1
    await stage.presses_late("U0CAROL", card, "approve")
    await stage.quiet()
    assert len(stage.heard("U0CAROL")) == 1
    assert stage.stops() == 0


async def test_a_passing_trouble_within_two_minutes_only_delays_the_call(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    stage.reads_fail(failing(500, "live"))
    await stage.presses("U0DAVE", card, "approve")
    await stage.shows(card, "held up")

    await stage.passes(10)
    stage.live.faults.clear()
    for _ in range(4):
        await stage.passes(10)

    assert "STANDBY" in stage.replies(card)[-1]
    assert stage.stops() == 1


async def test_what_has_expired_may_be_asked_again(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.passes(1801)

    again = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", again, "approve")

    await stage.thread_says(again, "STANDBY")
    assert "Expired" in stage.reads(card)
    assert stage.stops() == 1
