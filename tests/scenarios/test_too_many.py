"""Somebody exceeds the rate limit for commands: acknowledged and answered, but nothing is done."""

import asyncio

from bot.usecases import rate_limit
from tests.scenarios.conftest import Stage


async def test_who_sends_too_many_commands_is_told_when_to_go_on(stage: Stage) -> None:
    await asyncio.gather(*(stage.types("U0ALICE", f"stop nothing-{n}") for n in range(rate_limit.COMMANDS)))
    await stage.quiet()
    asked = len(stage.live.calls_of("GET", "/flows"))

    ack = await stage.types("U0ALICE", "stop main-feed")
    await stage.quiet()

    assert ack.shown is not None
    assert ack.shown.plain.startswith("Reading ")
    assert "Please send it again in 60 seconds" in stage.heard("U0ALICE")[-1]
    assert len(stage.heard("U0ALICE")) == rate_limit.COMMANDS + 1
    assert stage.cards() == []
    assert len(stage.live.calls_of("GET", "/flows")) == asked
    card = await stage.asks("U0BOB", "stop main-feed")
    await stage.presses("U0ALICE", card, "approve")
    await stage.told("U0ALICE", "you may not approve")
    await stage.passes(60)
    await stage.types("U0ALICE", "stop main-feed")
    await stage.quiet()
    assert "is already open" in stage.heard("U0ALICE")[-1]
