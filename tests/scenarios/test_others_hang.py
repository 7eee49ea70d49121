"""Promise 12: whatever hangs or floods in one project, another's stop goes from the command to the PUT.

The clock stands still meanwhile, and what hangs does so without end: the healthy project waits for nothing at all.
Afterwards everybody is answered.
"""

import asyncio
import dataclasses
import functools
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
import pytest

from bot.cloud.client import LiveClient
from bot.playground import world
from bot.playground.live.errors import Trouble
from bot.playground.live.server import LiveStandIn
from bot.playground.slack.acks import Ack
from bot.serve import build
from tests.fakes import FakeClock
from tests.scenarios import policies
from tests.scenarios.conftest import INCIDENT, PATIENCE, RANDOM, OpenStage, Stage

SICK: Final = "hk"
MANY: Final = tuple(f"U0MANY{number}" for number in range(12))
"""People on call."""

POLICY: Final = policies.SECOND_PROJECT.replace("C0SG", RANDOM)
"""The healthy project; the sick one follows it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ward:
    """A stage with a healthy project in one channel, and a sick one in another; `gate` ends what hangs."""

    stage: Stage
    sick: LiveStandIn
    gate: asyncio.Event

    async def all_type(self, text: str, *, times: int, channel: str = INCIDENT, users: tuple[str, ...] = MANY) -> None:
        """Let people type in turn, each about a flow of its own, and see that each is acknowledged."""
        typing = (
            self.stage.types(users[number % len(users)], text.format(f"flow-{number}"), channel=channel)
            for number in range(times)
        )
        acks: list[Ack] = await asyncio.gather(*typing)
        assert {ack.status for ack in acks} == {200}


async def cloud_hangs_for_commands(ward: Ward) -> None:
    ward.sick.faults.add(Trouble(hold=ward.gate), times=None)
    await ward.all_type("stop {}", times=20)


async def cloud_hangs_for_reads(ward: Ward) -> None:
    ward.sick.faults.add(Trouble(hold=ward.gate), times=None)
    await ward.all_type("status {}", times=20)


async def cloud_hangs_for_whom_the_healthy_channel_asks(ward: Ward) -> None:
    ward.sick.faults.add(Trouble(hold=ward.gate), times=None)
    await ward.all_type(f"stop {{}} --project {SICK}", times=20, channel=RANDOM)


async def calls_hang(ward: Ward) -> None:
    await ward.all_type("stop {}", times=4)
    await ward.stage.slack.until(lambda _: len(ward.stage.cards()) == 4 and ward.stage.cards(), timeout=PATIENCE)
    ward.sick.faults.add(Trouble(hold=ward.gate), method="PUT", path="/flows/stop", times=None)
    for card in ward.stage.cards():
        await ward.stage.presses("U0DAVE", card, "approve")


async def quota_of_the_shared_key_is_used_up(ward: Ward) -> None:
    await ward.all_type("status {}", times=48)
    await ward.stage.slack.until(lambda _: all(map(ward.stage.heard, MANY)), timeout=PATIENCE)


async def cards_flood_a_channel(ward: Ward) -> None:
    await ward.all_type("stop {}", times=12)
    await ward.stage.slack.until(lambda _: len(ward.stage.cards()) >= 5, timeout=PATIENCE)


async def slack_hangs_in_a_channel(ward: Ward) -> None:
    ward.stage.slack.faults.hold("*", ward.gate, times=None, place=INCIDENT)
    await ward.all_type("stop {}", times=20)


async def answers_to_reads_hang(ward: Ward) -> None:
    ward.stage.slack.faults.hold("response_url", ward.gate, times=None)
    await ward.all_type("list {}", times=20)


async def one_person_floods_the_healthy_channel(ward: Ward) -> None:
    ward.stage.slack.faults.hold("response_url", ward.gate, times=4)
    await ward.all_type("stop no-{}", times=40, channel=RANDOM, users=("U0ALICE",))


TROUBLES: Final[tuple[Callable[[Ward], Awaitable[None]], ...]] = (
    cloud_hangs_for_commands,
    cloud_hangs_for_reads,
    cloud_hangs_for_whom_the_healthy_channel_asks,
    calls_hang,
    quota_of_the_shared_key_is_used_up,
    cards_flood_a_channel,
    slack_hangs_in_a_channel,
    answers_to_reads_hang,
    one_person_floods_the_healthy_channel,
)


async def is_stopped(stage: Stage) -> None:
    """Ask for a stop in the healthy project, approve it, and see it reach the cloud."""
    card = await stage.asks("U0BOB", "stop healthy-feed", channel=RANDOM, seen_in=RANDOM, others_wait=True)
    await stage.presses("U0CAROL", card, "approve")
    await stage.live.until(lambda _: stage.stops() > 0, timeout=PATIENCE)


@pytest.fixture
def _without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no call time out: a slow machine must not free what hangs."""
    monkeypatch.setattr(build, "LiveClient", functools.partial(LiveClient, timeout=3600.0))
    monkeypatch.setattr(build, "SLACK_TIMEOUT", aiohttp.ClientTimeout(total=None))


@pytest.mark.usefixtures("_without_end")
@pytest.mark.parametrize("trouble", TROUBLES, ids=[trouble.__name__ for trouble in TROUBLES])
async def test_promise_12_what_hangs_or_floods_holds_up_no_stop_of_another_project(
    open_stage: OpenStage, clock: FakeClock, trouble: Callable[[Ward], Awaitable[None]]
) -> None:
    async with LiveStandIn(clock=clock) as sick:
        stage = await open_stage(POLICY + world.POLICY.replace("{endpoint}", sick.endpoint))
        for user in MANY:
            stage.slack.workspace.add_person(user, user.lower())
            stage.slack.workspace.join(INCIDENT, user)
            stage.slack.workspace.join(RANDOM, user)
        stage.slack.workspace.change_group("S0MEDIAGRP", members=MANY)
        for number in range(48):
            sick.add_flow(world.PROJECT_ID, f"flow-{number}", f"feed-{number}")
        stage.live.add_flow(policies.OTHER_PROJECT_ID, "healthy-1", "healthy-feed")
        ward = Ward(stage=stage, sick=sick, gate=asyncio.Event())
        try:
            await trouble(ward)
            await is_stopped(stage)
        finally:
            ward.gate.set()
        await stage.ticks(lambda: not stage.waiting())
