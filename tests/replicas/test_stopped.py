"""A replica that is stopped for longer than its lease and then continues.

By then another replica has its work, so it sends nothing more.
"""

import asyncio
import signal

import pytest

from bot.playground.live.errors import Trouble
from bot.store import store
from tests.replicas.nursery import Replica
from tests.replicas.stage import Stage
from tests.replicas.test_takeover import Instant

INSTANTS = {
    "the vote is saved": Instant(at="after store commit"),
    "the state was read": Instant(at="after cloud flow"),
    "the call is claimed": Instant(at="after store commit", nth=2),
    "the reply is not recorded": Instant(at="after cloud change"),
    "the outcome is recorded": Instant(at="after store commit", nth=3),
}


async def goes_on(stage: Stage, mine: Replica) -> None:
    """Let it continue until it has finished everything that it had begun."""
    mine.meets(signal.SIGCONT)
    mine.meets(signal.SIGTERM)
    async with asyncio.timeout(90):
        await mine.dead.wait()
    assert mine.failure is None
    assert mine.ended
    await stage.settles()


def said_twice(stage: Stage) -> list[str]:
    """Return the duplicate messages in the channel and its threads."""
    workspace = stage.world.slack.workspace
    roots = [one for one in workspace.messages("C0INCIDENT") if not one.thread_ts]
    said = [one.plain for root in roots for one in (root, *workspace.thread(root))]
    return sorted({words for words in said if said.count(words) > 1})


@pytest.mark.parametrize("instant", INSTANTS.values(), ids=INSTANTS.keys())
async def test_promise_2_a_replica_that_stood_still_beyond_its_lease_sends_nothing(
    stage: Stage, instant: Instant
) -> None:
    async with stage.pair(instant.at, nth=instant.nth, meets=signal.SIGSTOP) as (mine, other):
        stage.deliver_to(other)
        card = await stage.asked()
        stage.deliver_to(mine, other)
        await stage.approved(card)
        await mine.stands_still()
        stage.clock.step(store.LEASE)
        await stage.shows_standby(card)
        await stage.settles()
        stage.deliver_to(other)
        await goes_on(stage, mine)

        assert stage.stops() == [200]
        assert said_twice(stage) == []
        await stage.shows_standby(card)


async def test_promise_2_a_call_that_was_on_the_wire_all_the_time_is_not_recorded_over_what_was_read(
    stage: Stage,
) -> None:
    async with stage.pair() as (mine, other):
        stage.deliver_to(mine, other)
        card, gate = await stage.asked(), asyncio.Event()
        stage.world.live.faults.add(Trouble(hold=gate, effect=True), method="PUT")
        await stage.approved(card)
        await stage.world.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=90)
        mine.meets(signal.SIGSTOP)
        await mine.stands_still()
        gate.set()
        stage.clock.step(store.LEASE)
        await stage.shows_standby(card)
        await stage.settles()
        stage.deliver_to(other)
        await goes_on(stage, mine)

        assert stage.stops() == [200]
        assert said_twice(stage) == []
        await stage.shows_standby(card)
