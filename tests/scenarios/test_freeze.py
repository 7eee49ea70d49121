"""A freeze: a rule that asks for more, or refuses, between two times, also for requests that are already open."""

from bot.playground import world

from .conftest import OpenStage, takes_two

BEGINS, ENDS = "2023-11-14T22:20:00Z", "2023-11-14T22:30:00Z"
"""400 and 1,000 seconds after the start of the stage's clock."""


def frozen(what: str) -> str:
    """Return the sample policy with a freeze in its first rule."""
    before, rule, after = world.POLICY.partition("[[rules]]")
    return f"{before}{rule}\nfreeze = [{{ from = {BEGINS}, to = {ENDS}, {what} }}]{after}"


async def test_a_freeze_that_denies_refuses_until_it_ends(open_stage: OpenStage) -> None:
    stage = await open_stage(frozen("deny = true"))
    await stage.passes(500)

    await stage.types("U0ALICE", "stop main-feed")
    await stage.quiet()
    (answer,) = stage.heard("U0ALICE")
    assert "forbids you to stop `main-feed` until <!date^1700001000" in answer
    assert stage.cards() == []

    await stage.passes(600)
    assert (await stage.asks("U0ALICE", "stop main-feed")).buttons


async def test_a_freeze_that_begins_raises_what_an_open_request_needs(open_stage: OpenStage) -> None:
    stage = await open_stage(frozen("approvals = 2"))
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.passes(500)

    await takes_two(stage, card)
