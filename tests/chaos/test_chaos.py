"""Every promise holds after chaos: two replicas on one server while everything fails in an order drawn from a seed.

Processes are killed or stopped, the database restarts, Slack and the cloud drop connections, clocks are wrong.

    FLOWBOT_CHAOS_SEEDS=200 pytest tests/chaos    number of seeds
    FLOWBOT_CHAOS_SEED=17 pytest tests/chaos      one of them
"""

import os
import pathlib
import traceback

import pytest

from tests import postgres
from tests.chaos import plan, play, record
from tests.crash import judge
from tests.replicas.nursery import Nursery
from tests.replicas.stage import Stage, staged


def seeds() -> list[int]:
    """Return the seeds that the environment asks for."""
    if one := os.environ.get("FLOWBOT_CHAOS_SEED"):
        return [int(one)]
    first = int(os.environ.get("FLOWBOT_CHAOS_FIRST", "1"))
    return list(range(first, first + int(os.environ.get("FLOWBOT_CHAOS_SEEDS", "3"))))


async def played(planned: plan.Plan, stage: Stage, server: postgres.Server) -> tuple[record.ServerJournal, list[str]]:
    """Play a seed, and return its journal and the broken promises."""
    journal = record.ServerJournal(stage.world, channels=["C0INCIDENT", *play.ROOMS])
    going = play.Play(planned, stage, journal, server)
    wrong: list[str] = []
    async with going.alive():
        try:
            await going.takes_place()
        except Exception:  # noqa: BLE001 - a play that cannot go on is a finding
            wrong.append(f"promise 5: it does not settle: {traceback.format_exc(limit=-3)}")
    await record.copy(stage)
    return journal, wrong + judge.broken(record.ServerRecord(stage.world, journal))


@pytest.mark.parametrize("seed", seeds())
async def test_promises_hold_when_everything_fails_around_two_replicas(
    seed: int, tmp_path: pathlib.Path, server: postgres.Server, nursery: Nursery
) -> None:
    planned = plan.plan(seed)
    async with staged(tmp_path, server, nursery, rate=play.RATE, furnish=play.furnish, policy=play.POLICY) as stage:
        journal, wrong = await played(planned, stage, server)
        story = record.story(stage, journal) if wrong else ""
    again = f"    again: FLOWBOT_CHAOS_SEED={seed} pytest tests/chaos"
    assert not wrong, "\n".join((story[-60_000:], f"seed {seed}: {planned.events}", *wrong, again))


def test_a_failing_seed_is_drawn_again_as_it_was() -> None:
    assert [plan.plan(seed) for seed in range(50)] == [plan.plan(seed) for seed in range(50)]
