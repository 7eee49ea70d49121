"""The pause: it denies every changing verb at once, even if approved, and says so to whoever asks."""

import asyncio

import pytest

from bot.playground.live.errors import throttled
from bot.playground.slack.records import PostedMessage
from bot.serve import pause

from .conftest import Stage

WHY = "the console team is working on it"


async def pauses(stage: Stage) -> None:
    """Pause, as `flowbot pause` does next to the bot."""
    url, clock = stage.world.settings().database_url, stage.world.clock
    await asyncio.to_thread(pause.pause, url, reason=WHY, by="root", clock=clock)


async def resumes(stage: Stage) -> str:
    """End the pause, as `flowbot resume` does."""
    url, clock = stage.world.settings().database_url, stage.world.clock
    return await asyncio.to_thread(pause.resume, url, by="root", clock=clock)


@pytest.mark.parametrize("command", ["stop main-feed", "start backup-feed", "stop main-feed --dry-run"])
async def test_nothing_opens_while_paused_and_whoever_asks_is_told_why(stage: Stage, command: str) -> None:
    await pauses(stage)

    await stage.types("U0CAROL", command)
    await stage.quiet()

    (answer,) = stage.heard("U0CAROL")
    assert "flowbot is paused" in answer
    assert WHY in answer
    assert stage.cards() == []


@pytest.mark.parametrize(("user", "button"), [("U0DAVE", "approve"), ("U0CAROL", "confirm")])
async def test_no_click_lets_a_request_run_while_paused(stage: Stage, user: str, button: str) -> None:
    card = await stage.asks("U0ALICE" if button == "approve" else "U0CAROL", "stop main-feed")
    await pauses(stage)

    await stage.presses(user, card, button)
    await stage.quiet()

    assert stage.stops() == 0
    assert WHY in stage.heard(user)[-1]
    assert button in stage.now(card).buttons

    await resumes(stage)
    await stage.presses(user, card, button)
    await stage.quiet()
    assert stage.stops() == 1


async def test_a_request_may_be_denied_while_paused(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await pauses(stage)

    await stage.presses("U0DAVE", card, "deny")
    await stage.quiet()

    assert "Denied" in stage.reads(card)


async def test_what_is_approved_and_has_not_begun_is_denied_and_says_why(stage: Stage) -> None:
    card = await _held_up(stage)

    await pauses(stage)
    stage.live.faults.clear()
    await stage.passes(5)

    assert stage.stops() == 0
    assert "Denied by policy: flowbot is paused" in stage.reads(card).replace("*", "")
    assert WHY in stage.reads(card)


async def _held_up(stage: Stage) -> PostedMessage:
    """Let a request be approved whose call cannot begin yet."""
    card = await stage.asks("U0ALICE", "stop main-feed")
    stage.reads_fail(throttled(80, "5 second"))
    await stage.presses("U0DAVE", card, "approve")
    await stage.quiet()
    return card


async def test_a_call_that_the_cloud_refused_for_a_while_is_not_repeated_while_paused(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    stage.put_fails(throttled(80, "5 second"), times=1)
    await stage.presses("U0DAVE", card, "approve")
    await stage.quiet()
    assert stage.stops() == 1

    await pauses(stage)
    await stage.passes(60)

    assert stage.stops() == 1
    assert "Failed: the cloud refused it because of too many calls, and flowbot was paused" in stage.reads(card)
    assert "it is still ACTIVE" in stage.reads(card)
    assert any(WHY in reply and "flowbot resume" in reply for reply in stage.replies(card))
    assert list(stage.now(card).buttons) == ["ask_again"]


async def test_pause_and_resume_are_in_the_audit(stage: Stage) -> None:
    await pauses(stage)
    assert await resumes(stage) == "resumed: the rules decide again"
    assert await resumes(stage) == "flowbot was not paused"

    lines = stage.select("SELECT what, facts FROM audit WHERE what IN ('paused', 'resumed') ORDER BY id")
    assert [what for what, _ in lines] == ["paused", "resumed"]
    assert WHY in lines[0][1]
    assert all('"by":"root"' in facts for _, facts in lines)
