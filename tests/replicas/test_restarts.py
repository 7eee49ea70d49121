"""Two real `flowbot serve` on one server, restarted one after another as in a deployment.

SIGTERM finishes the work in progress and leaves the rest to the other replica at once; nobody notices.
"""

import asyncio
import contextlib
import dataclasses
import pathlib
import signal
import time
from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import pytest

from bot.playground import world
from bot.playground.live.errors import Trouble
from bot.playground.live.server import LiveStandIn
from bot.playground.slack.acks import Ack
from bot.playground.slack.records import PostedMessage
from bot.playground.slack.server import SlackStandIn
from bot.store import store
from tests import postgres
from tests.crash.journal import HERE, shown
from tests.replicas.nursery import DEADLINE, Nursery
from tests.replicas.stage import Stage, staged
from tests.test_crash import Child

ENDS_WITHIN: Final = 10.0
"""Real seconds from SIGTERM to the exit."""

ROOMS: Final = [f"C0ROOM{number:02}" for number in range(30)]
"""Channels: flowbot posts about once a second in each."""

FLOWS: Final = 240
AT_ONCE: Final = 4


def furnish(slack: SlackStandIn, live: LiveStandIn) -> None:
    """Add many flows and channels."""
    world.sample(slack, live)
    everybody = [person for person in slack.workspace.persons if person.startswith("U0")]
    for room in ROOMS:
        slack.workspace.add_channel(room, room.lower(), members=everybody)
    for number in range(FLOWS):
        live.add_flow(world.PROJECT_ID, flow(number), flow(number))


def flow(number: int) -> str:
    """Return the id of a flow."""
    return f"feed-{number}"


class Replica(Child):
    """A `flowbot serve` behind a balancer."""

    connects = False
    patience = DEADLINE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deployment:
    """Two processes behind a balancer."""

    stage: Stage
    replicas: tuple[Replica, Replica]

    def behind(self, *replicas: Replica) -> None:
        """Let Slack deliver to these in turn."""
        self.stage.balancer.turns = len(replicas) > 1
        self.stage.balancer.ports = [replica.port for replica in replicas]


@pytest.fixture
async def deployment(tmp_path: pathlib.Path, server: postgres.Server, nursery: Nursery) -> AsyncIterator[Deployment]:
    """Run two replicas."""
    policy = world.POLICY.replace('["C0INCIDENT"]', str([HERE, *ROOMS]).replace("'", '"'))
    async with (
        staged(tmp_path, server, nursery, furnish=furnish, policy=policy) as stage,
        contextlib.AsyncExitStack() as ends,
    ):
        replicas = Replica(stage.world), Replica(stage.world)
        for replica in replicas:
            ends.push_async_callback(replica.kill)
        await asyncio.gather(*(replica.start() for replica in replicas))
        made = Deployment(stage=stage, replicas=replicas)
        made.behind(*replicas)
        yield made


async def ends(replica: Replica) -> None:
    """End it by SIGTERM; it must exit in time and with 0."""
    began = time.monotonic()
    assert await replica.end(signal.SIGTERM) == 0, replica.errors.read_text()[-5000:]
    assert time.monotonic() - began < ENDS_WITHIN


class Load:
    """People who ask for stops and approve them, one after another, until told to stop."""

    def __init__(self, stage: Stage) -> None:
        self.slack = stage.world.slack
        self.leaves = False
        self.acks: list[Ack] = []
        self.stopped: list[int] = []
        self._numbers = iter(range(FLOWS))

    async def goes_on(self) -> None:
        """Ask and approve."""
        while not self.leaves:
            await self._conversation(next(self._numbers))

    async def _conversation(self, number: int) -> None:
        people, room = self.slack.people, ROOMS[number % len(ROOMS)]
        self.acks.append(await people.command("U0ALICE", room, f"stop {flow(number)}"))
        card = await self.slack.until(lambda _: self._card(number), timeout=DEADLINE)
        assert card is not None
        self.acks.append(await people.click("U0CAROL", card, "approve"))
        await self.slack.until(lambda _: self._says_done(card), timeout=DEADLINE)
        told = len(self.slack.workspace.ephemerals("U0BOB"))
        self.acks.append(await people.command("U0BOB", room, f"status {flow(number)}"))
        await self.slack.until(lambda workspace: len(workspace.ephemerals("U0BOB")) > told, timeout=DEADLINE)
        self.stopped.append(number)

    def _card(self, number: int) -> PostedMessage | None:
        """Return the card of a flow once it can be approved."""
        standing = self.slack.workspace.with_button(ROOMS[number % len(ROOMS)], "approve")
        return next((one for one in standing if f"`{flow(number)}`" in one.plain), None)

    def _says_done(self, card: PostedMessage) -> bool:
        standing = self.slack.workspace.message(card.channel, card.ts)
        now = None if standing is None else shown(standing)
        return now is not None and now.says_standby


async def test_promise_5_replicas_are_restarted_one_after_the_other_and_nobody_notices(deployment: Deployment) -> None:
    stage, load = deployment.stage, Load(deployment.stage)
    people = [asyncio.create_task(load.goes_on()) for _ in range(AT_ONCE)]
    for replica in deployment.replicas:
        before = len(load.stopped)
        await ends(replica)
        await replica.start()
        await stage.world.slack.until(
            lambda _, before=before: len(load.stopped) > before + AT_ONCE or any(each.done() for each in people),  # type: ignore[misc]
            timeout=DEADLINE,
        )
    load.leaves = True
    await asyncio.gather(*people)
    await stage.settles()

    assert [ack for ack in load.acks if not ack.ok] == []
    calls = [call.query["flow_id"] for call in stage.world.live.calls_of("PUT", "/flows/stop")]
    assert sorted(calls) == sorted(map(flow, load.stopped))
    cards, replies = len(await stage.fetch("SELECT 1 FROM requests")), len(await stage.fetch("SELECT 1 FROM replies"))
    roots = [one for room in ROOMS for one in stage.world.slack.workspace.messages(room) if not one.thread_ts]
    assert cards == len(load.stopped) == len([one for one in roots if shown(one) is not None])
    assert replies == sum(len(stage.world.slack.workspace.thread(root)) for root in roots)


async def on_the_wire(stage: Stage, gate: asyncio.Event) -> PostedMessage:
    """Let a stop be approved, and return its card once the call was sent; its reply waits for the gate."""
    card = await stage.asked()
    stage.world.live.faults.add(Trouble(hold=gate, effect=True), method="PUT")
    await stage.approved(card)
    await stage.world.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=DEADLINE)
    return card


async def refuses(replica: Replica) -> None:
    """Wait until a replica accepts no connections any more."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", replica.port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.01)


async def drains(replica: Replica) -> None:
    """Wait until a replica has stopped taking up work."""
    async with asyncio.timeout(DEADLINE):
        while "draining" not in replica.errors.read_text():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)


async def leases(stage: Stage) -> list[asyncpg.Record]:
    """Return the holders of leases on requests and inbox rows."""
    query = "SELECT lease_owner FROM requests WHERE lease_owner IS NOT NULL"
    rows = "SELECT lease_owner FROM inbox WHERE lease_owner IS NOT NULL AND state <> 'done'"
    return await stage.fetch(f"{query} UNION ALL {rows}")


async def test_promise_5_sigterm_waits_for_a_call_and_the_other_replica_goes_on_at_once(deployment: Deployment) -> None:
    stage, (first, second) = deployment.stage, deployment.replicas
    deployment.behind(first)
    gate = asyncio.Event()
    card = await on_the_wire(stage, gate)
    ending = asyncio.create_task(ends(first))
    await refuses(first)
    deployment.behind(second)
    assert (await stage.world.slack.people.command("U0BOB", HERE, f"stop {flow(1)}")).ok
    gate.set()
    await ending
    ended = time.monotonic()
    await stage.shows_standby(card)
    await stage.settles()

    assert time.monotonic() - ended < store.LEASE / 2
    assert stage.stops() == [200]


async def test_promise_5_what_sigterm_lets_go_of_is_taken_up_by_the_other_replica_at_once(
    deployment: Deployment,
) -> None:
    stage, (first, second) = deployment.stage, deployment.replicas
    deployment.behind(first)
    gate = asyncio.Event()
    stage.world.live.faults.add(Trouble(hold=gate), method="GET", path="/flows/detail")
    assert (await stage.world.slack.people.command("U0ALICE", HERE, f"stop {flow(1)}")).ok
    await stage.world.live.until(lambda live: bool(live.calls_of("GET", "/flows/detail")), timeout=DEADLINE)
    ending = asyncio.create_task(ends(first))
    await drains(first)
    deployment.behind(second)
    gate.set()
    await ending
    ended = time.monotonic()
    await stage.world.slack.until(lambda workspace: workspace.with_button(HERE, "approve"), timeout=DEADLINE)
    await stage.settles()

    assert time.monotonic() - ended < store.LEASE / 2


async def test_promise_2_a_call_that_hangs_at_the_end_stays_with_its_lease(deployment: Deployment) -> None:
    stage, (first, second) = deployment.stage, deployment.replicas
    deployment.behind(first)
    await on_the_wire(stage, asyncio.Event())
    owners = {row["lease_owner"] for row in await leases(stage)}
    await ends(first)

    assert {row["lease_owner"] for row in await leases(stage)} == owners
    deployment.behind(second)
    assert len(stage.stops()) == 1
