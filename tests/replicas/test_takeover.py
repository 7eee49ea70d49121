"""kill -9 of the replica that holds a running stop, at one instant after another.

The other replica takes over, the cloud carries out one stop, and the card tells the truth, within the lease and five
seconds.

The lease is the real one of thirty seconds; instead of waiting, the clock of the server and all replicas is set
forward.
"""

import asyncio
import dataclasses
import signal
from typing import Final

import pytest

from bot.playground.live.errors import Trouble
from bot.playground.slack.records import PostedMessage
from bot.store import store
from tests.replicas.stage import Stage

TAKEN_OVER_WITHIN: Final = store.LEASE + 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instant:
    """The `nth` time that the replica reaches that point after the click."""

    at: str
    nth: int = 1


INSTANTS: Final = {
    "the click is on disk": Instant(at="after store record"),
    "the vote is saved": Instant(at="after store commit"),
    "the state was read": Instant(at="after cloud flow"),
    "the call is claimed": Instant(at="after store commit", nth=2),
    "the call is about to leave": Instant(at="before cloud change"),
    "the reply is not recorded": Instant(at="after cloud change"),
    "the outcome is recorded": Instant(at="after store commit", nth=3),
    "the card was edited": Instant(at="after slack chat.update"),
}


async def taken_over(stage: Stage, card: PostedMessage) -> float:
    """Let the lease expire, wait for the correct card, and return the seconds since the death."""
    died = stage.clock.now()
    stage.clock.step(store.LEASE)
    await stage.shows_standby(card)
    took = stage.clock.now() - died
    await stage.settles()
    return took


@pytest.mark.parametrize("instant", INSTANTS.values(), ids=INSTANTS.keys())
async def test_promise_2_a_killed_replica_leaves_one_stop_and_a_true_card(stage: Stage, instant: Instant) -> None:
    async with stage.pair(instant.at, nth=instant.nth) as (mine, other):
        stage.deliver_to(other)
        card = await stage.asked()
        stage.deliver_to(mine, other)
        await stage.approved(card)
        await mine.comes(mine.dead)

        assert await taken_over(stage, card) <= TAKEN_OVER_WITHIN
        assert stage.stops() == [200]


@pytest.mark.parametrize("effect", [True, False], ids=["carried out", "lost"])
async def test_promise_2_a_replica_killed_while_its_call_is_on_the_wire_leaves_one_stop_and_a_true_card(
    stage: Stage, effect: bool
) -> None:
    async with stage.pair() as (mine, other):
        stage.deliver_to(mine, other)
        card, gate = await stage.asked(), asyncio.Event()
        stage.world.live.faults.add(Trouble(hold=gate, effect=effect), method="PUT")
        await stage.approved(card)
        await stage.world.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=90)
        mine.meets(signal.SIGKILL)
        await mine.dead.wait()
        gate.set()

        assert await taken_over(stage, card) <= TAKEN_OVER_WITHIN
        assert len(stage.stops()) == (1 if effect else 2)
        assert stage.stops()[-1] == 200
