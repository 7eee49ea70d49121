"""Two replicas on one database between the stand-ins, and the steps of a test.

Reads the database directly; knows the sample people and channel. It judges nothing.
"""

import asyncio
import contextlib
import dataclasses
import itertools
import pathlib
import time
from collections.abc import AsyncIterator
from typing import Final

import asyncpg

from bot.playground import world
from bot.playground.slack.records import PostedMessage
from bot.store import migrate
from tests import postgres
from tests.crash.journal import HERE, shown
from tests.replicas.balancer import Balancer
from tests.replicas.child import Job
from tests.replicas.clocks import SharedClock, statements, write
from tests.replicas.nursery import DEADLINE, Nursery, Replica

MAIN: Final = "ec897482-d24b-4d64-aa39-407980901b2d"

TEMPLATE: Final = "template_of_replicas"

_numbers: Final = itertools.count(1)


def make_template(server: postgres.Server) -> None:
    """Create an empty database to copy, without fsync, as no test cuts the power."""
    server.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
    server.execute(f"CREATE DATABASE {TEMPLATE}")
    migrate.migrate(server.url(TEMPLATE))


def make_database(server: postgres.Server, *, rate: float = 1.0) -> tuple[str, SharedClock]:
    """Return the URL of an empty database, and its clock."""
    name = f"of_replicas_{next(_numbers)}"
    clock = SharedClock(file=f"{server.directory}/clock of {name}", epoch=time.time(), rate=rate)
    write(clock.file, 0.0)
    server.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    server.execute(*statements(clock), database=name)
    return server.url(name), clock


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """The world around the replicas."""

    world: world.World
    clock: SharedClock
    balancer: Balancer
    nursery: Nursery
    pool: asyncpg.Pool

    def job(self, name: str, *, at: str | None = None, nth: int = 1, meets: int = 9, skew: str | None = None) -> Job:
        """Return the job of a replica on this stage."""
        return Job(
            name=name,
            environ=self.world.environ,
            directory=str(self.world.directory),
            clock=dataclasses.replace(self.clock, skew=skew),
            at=at,
            nth=nth,
            meets=meets,
        )

    @contextlib.asynccontextmanager
    async def pair(
        self, at: str | None = None, *, nth: int = 1, meets: int = 9
    ) -> AsyncIterator[tuple[Replica, Replica]]:
        """Run the replica under test, and another one."""
        mine = self.nursery.replica(self.job("mine", at=at, nth=nth, meets=meets))
        async with mine as one, self.nursery.replica(self.job("other")) as other:
            yield one, other

    def deliver_to(self, *replicas: Replica) -> None:
        """Let Slack deliver to these, in this order."""
        self.balancer.turns = False
        self.balancer.ports = [replica.port for replica in replicas]

    async def asked(self) -> PostedMessage:
        """Let Alice ask for a stop; return its card once no replica holds its lease."""
        assert (await self.world.slack.people.command("U0ALICE", HERE, f"stop {MAIN}")).ok
        await self.sees("SELECT 1 FROM requests WHERE card_shown = version AND lease_owner IS NULL")
        await self.sees("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE state <> 'done')")
        [card] = self.world.slack.workspace.with_button(HERE, "approve")
        return card

    async def approved(self, card: PostedMessage) -> None:
        """Let Carol approve, and wait until it is acknowledged."""
        assert (await self.world.slack.people.click("U0CAROL", card, "approve")).ok

    async def shows_standby(self, card: PostedMessage, *, within: float = DEADLINE) -> None:
        """Wait until the card says that the flow is STANDBY."""

        def leads(_: object) -> bool:
            standing = self.world.slack.workspace.message(HERE, card.ts)
            now = None if standing is None else shown(standing)
            return now is not None and now.says_standby

        await self.world.slack.until(leads, timeout=within)

    async def sees(self, query: str) -> list[asyncpg.Record]:
        """Wait until a query returns rows."""
        async with asyncio.timeout(DEADLINE):
            while not (found := await self.fetch(query)):  # noqa: ASYNC110 - the database sends no notifications
                await asyncio.sleep(0.01)
        return found

    async def fetch(self, query: str) -> list[asyncpg.Record]:
        """Query the database, as soon as it answers."""
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    return list(await self.pool.fetch(query))
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await asyncio.sleep(0.05)

    async def settles(self) -> None:
        """Wait until nothing is owed except the check after success."""
        await self.sees(
            "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE state <> 'done')"
            " AND NOT EXISTS (SELECT 1 FROM requests WHERE lease_owner IS NOT NULL OR card_shown < version)"
            " AND NOT EXISTS (SELECT 1 FROM replies WHERE ts IS NULL)"
        )

    def stops(self) -> list[int | None]:
        """Return the cloud's answer to each stop."""
        return [call.status for call in self.world.live.calls_of("PUT", "/flows/stop")]


@contextlib.asynccontextmanager
async def staged(
    directory: pathlib.Path,
    server: postgres.Server,
    nursery: Nursery,
    *,
    rate: float = 1.0,
    furnish: world.Furnish | None = None,
    policy: str = world.POLICY,
) -> AsyncIterator[Stage]:
    """Open a world with its own database, and no replica yet."""
    url, clock = await asyncio.to_thread(make_database, server, rate=rate)
    patient = dataclasses.replace(clock, slept=1.0)
    async with (
        world.build(directory, clock=patient, policy=policy, furnish=furnish, DATABASE_URL=url) as built,
        Balancer().listening() as balancer,
        asyncpg.create_pool(url, min_size=0, max_size=2) as pool,
    ):
        built.slack.connect(balancer.url)
        yield Stage(world=built, clock=clock, balancer=balancer, nursery=nursery, pool=pool)
