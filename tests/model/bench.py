"""Two replicas of the bot on one database, with the strict outside of `world`: build them, drive them until nothing is
due, and kill them.

It steps an event loop by hand for a synchronous state machine; nothing sleeps, since the clock is moved.
"""

import asyncio
import contextlib
import pathlib
import sqlite3
import tempfile
from collections.abc import Coroutine
from typing import Any, Final, TypeVar
from unittest import mock

from bot.cloud.key_lock import LockedCloud
from bot.commands.deliveries import Entry
from bot.store import opening, store
from bot.usecases import errors, ports
from bot.usecases.clicks import UseCases
from bot.usecases.find_flow import FlowFinder
from bot.usecases.gate import Gate
from bot.usecases.open_request import RequestOpener
from bot.worker.call import Caller
from bot.worker.deliver import Deliverer
from bot.worker.inbox import Inbox
from bot.worker.requests import Worker
from tests.fakes import FakeClock, database_in, policy_of
from tests.model.quick_sqlite import quick_sqlite
from tests.model.rules import POLICIES
from tests.model.world import People, StrictChat, StrictCloud, Tap

WRITES: Final = frozenset({"record", "commit", "told", "reply_sent", "finish_entry", "claim", "release"})

IDLE: Final = 60
"""Steps of the loop without a call of a port, after which everything counts as waiting for the clock."""

MOST_CALLS: Final = 5000
"""Calls of ports in one piece of work, after which it counts as endless."""

SHARED_MEMORY: Final = pathlib.Path("/dev/shm")  # noqa: S108 - nothing here outlives its example

T = TypeVar("T")


class ModelClock(FakeClock):
    """A clock that can move to the time when the next sleeper wakes."""

    def turn_to_next(self) -> bool:
        """Move to the time of the next sleeper; return whether there is one."""
        times = [sleeper.until for sleeper in self._sleepers if not sleeper.woken.is_set()]
        if times:
            self.turn(max(0.0, min(times) - self.now()))
        return bool(times)


class Replica:
    """One process: when it dies, everything in its memory is lost."""

    def __init__(self, bench: "Bench", name: str, opened: store.SqlStore) -> None:
        self.tap, self.name = Tap(), name
        self.opened = opened
        self._bench = bench
        clock = bench.clock
        database = self.tap.of(opened, writes=WRITES)
        key = "hash of the key"
        cloud = LockedCloud(cloud=self.tap.of(bench.cloud), keys=lambda _: key, store=database, clock=clock)
        chat = self.tap.of(bench.chat)
        people = self.tap.of(bench.people)
        gate = Gate(current_policy=lambda: bench.policies[bench.policy], directory=people, switch=database, clock=clock)
        opener = RequestOpener(store=database, finder=FlowFinder(cloud=cloud, clock=clock), gate=gate, clock=clock)
        self.worker = Worker(
            store=database,
            use_cases=UseCases(store=database, gate=gate, opener=opener, clock=clock),
            caller=Caller(store=database, cloud=cloud, gate=gate, clock=clock),
            deliverer=Deliverer(store=database, chat=chat, clock=clock, may_show=gate.may_show),
            chat=chat,
            clock=clock,
        )
        self.inbox = Inbox(database, recorded=self.worker.wake_entry)
        self.writing = asyncio.ensure_future(self.inbox.run())

    async def settle(self) -> None:
        """Do everything that is due, or die on the way; retry an unavailable database, like `Worker.run`."""
        for _ in range(20):
            settling = asyncio.ensure_future(self.worker.settle())
            dying = asyncio.ensure_future(self.tap.died.wait())
            await asyncio.wait({settling, dying}, return_when=asyncio.FIRST_COMPLETED)
            for task in (settling, dying):
                task.cancel()
            try:
                await settling
            except errors.StoreError:
                continue
            except asyncio.CancelledError:
                return
            return
        raise AssertionError("it does not settle")


class Bench:
    """The world of one example."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        where = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        directory = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="flowbot-model-", dir=where))
        self._stack.enter_context(quick_sqlite())
        # In real seconds, which do not pass here: Slack is told beside each call from its first moment.
        self._stack.enter_context(mock.patch("bot.worker.requests.CALL_GRACE", 0.0))
        self._url = database_in(pathlib.Path(directory))
        self._loop = asyncio.new_event_loop()
        self._file = pathlib.Path(directory) / "flowbot.db"
        self.clock = ModelClock()
        self.cloud, self.chat, self.people = StrictCloud(self.clock), StrictChat(), People()
        self.policies = {name: policy_of(rules.text) for name, rules in POLICIES.items()}
        self.policy = "usual"
        self.deaths = 0
        self.failed_writes = 0
        self.replicas: list[Replica] = []
        self._names = 0
        for _ in range(2):
            self.replicas.append(self.run(self._born()))
        self._reader = sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, isolation_level=None)
        self._reader.row_factory = sqlite3.Row

    def select(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Query the database."""
        return [dict(row) for row in self._reader.execute(query, values).fetchall()]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; move the clock whenever everything waits for it."""
        return self._loop.run_until_complete(self._driven(work))

    def settle(self) -> None:
        """Let every replica do what is due; replace dead ones."""

        async def everybody() -> None:
            await asyncio.gather(*(replica.settle() for replica in self.replicas))

        self.run(everybody())
        self.bury()

    def bury(self) -> None:
        """Replace each dead process with a new one."""
        for at, replica in enumerate(self.replicas):
            if replica.tap.dead:
                self.deaths += 1
                replica.writing.cancel()
                self.run(replica.opened.close())
                self.replicas[at] = self.run(self._born())

    def deliver(self, at: int, entry: Entry) -> ports.Recording | None:
        """Pass an entry to a replica; return its acknowledgement, or None if it died."""
        replica = self.replicas[at]

        async def record() -> ports.Recording | None:
            recording = asyncio.ensure_future(replica.inbox.record(entry, patience=3600.0))
            dying = asyncio.ensure_future(replica.tap.died.wait())
            await asyncio.wait({recording, dying}, return_when=asyncio.FIRST_COMPLETED)
            done = recording.done() and not recording.cancelled()
            for task in (recording, dying):
                task.cancel()
            return recording.result() if done else None

        return self.run(record())

    def close(self) -> None:
        """Close everything."""
        for replica in self.replicas:
            replica.tap.dead = True
            self.run(replica.opened.close())
        self._reader.close()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()
        self._stack.close()

    async def _born(self) -> Replica:
        self._names += 1
        name = f"replica {self._names}"
        opened = await opening.open_store(self._url, clock=self.clock, replica=name, exclusive=False)
        return Replica(self, name, opened)

    def _calls(self) -> int:
        return sum(replica.tap.calls for replica in self.replicas)

    async def _driven(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(work)
        idle, calls, stuck = 0, self._calls(), 0
        most = calls + MOST_CALLS
        while not task.done():
            await asyncio.sleep(0)
            now = self._calls()
            assert now < most, "it does not come to rest"
            idle, calls = (idle + 1, calls) if now == calls else (0, now)
            if idle > IDLE:
                idle = 0
                stuck = 0 if self.clock.turn_to_next() else stuck + 1
                assert stuck < 1000, "it waits for something that never comes"
                if stuck:
                    await asyncio.sleep(0.001)  # a head start of the worker's is in real seconds
        return task.result()
