"""A storm: a thousand commands at once, all acknowledged in Slack's time, none lost."""

import asyncio
import collections
import time

from bot.playground import world
from bot.playground.slack.acks import ACK_SECONDS
from tests.scenarios.conftest import Stage

SAME, UNKNOWN, KNOWN = 800, 150, 50
SENDERS = ("U0ALICE", "U0BOB", "U0ERIN")
SLOWER_THAN_A_REFUSAL = 8.0
"""How much longer a command may take than a delivery that the door turns away, where the machine is slow."""


async def _time_of_refusals(stage: Stage, number: int) -> float:
    """Return how long it takes here to turn away as many unsigned deliveries at once."""
    started = time.perf_counter()
    acks = await asyncio.gather(*(stage.slack.people.raw(b"x=1", {}) for _ in range(number)))
    assert {ack.status for ack in acks} == {401}
    return time.perf_counter() - started


async def test_a_thousand_commands_at_once_are_all_acknowledged_and_answered(stage: Stage) -> None:
    for number in range(KNOWN):
        stage.live.add_flow(world.PROJECT_ID, f"known-{number:04d}", f"feed-{number:04d}")
    texts = ["stop main-feed"] * SAME
    texts += [f"stop nothing-{number:04d}" for number in range(UNKNOWN)]
    texts += [f"stop known-{number:04d}" for number in range(KNOWN)]
    usual = await _time_of_refusals(stage, len(texts))

    acks = await asyncio.gather(
        *(stage.types(SENDERS[number % len(SENDERS)], text) for number, text in enumerate(texts))
    )
    await stage.quiet(patience=120)

    assert {ack.status for ack in acks} == {200}
    assert max(ack.latency for ack in acks) < max(ACK_SECONDS, SLOWER_THAN_A_REFUSAL * usual)
    said = collections.Counter(ack.shown.plain.partition(" ")[0] for ack in acks if ack.shown is not None)
    assert said.total() == len(texts)
    # Who was told that nothing could be recorded, or that nobody knows, was answered too.
    unsure = said.total() - said["Reading"]
    answers = [answer for sender in SENDERS for answer in stage.heard(sender)]
    heard = len(answers) - unsure
    assert said["Reading"] <= heard + len(stage.cards()) <= len(texts)
    assert stage.recorded() == heard + len(stage.cards())
    lines = collections.Counter(stage.reads(card).partition("\n")[0] for card in stage.cards())
    assert set(lines.values()) == {1}
    assert unsure or len(stage.cards()) == KNOWN + 1
