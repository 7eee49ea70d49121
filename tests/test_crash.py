"""kill -9 of a real `flowbot serve` at one point after the other: nothing that was acknowledged is lost, nothing is
done twice, and nothing is claimed that nobody knows (promises 2, 4 and 5).
"""

import asyncio
import contextlib
import json
import pathlib
import random
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import aiohttp
import pytest

from bot.playground import world
from bot.playground.live.errors import Trouble
from bot.playground.slack.records import PostedMessage
from tests.nursery import Forked, Nursery, QuickClock

MAIN: Final = "ec897482-d24b-4d64-aa39-407980901b2d"
HERE: Final = "C0INCIDENT"
DEADLINE: Final = 120.0
"""Real seconds for a process to come up, and for the bot to do what it owes."""


QUICKER: Final = 5.0
"""Seconds of the bot's clock in a real one: the last look, ten seconds after a success, is owed as well."""


class Child:
    """A `flowbot serve` of its own, which finds the stand-ins of this process; it never outlives its test.

    With a nursery it is forked instead of started from nothing.
    """

    patience = DEADLINE
    """Real seconds for it to come up."""

    connects = True
    """Whether Slack delivers to it straight away."""

    def __init__(
        self, built: world.World, *, nursery: Nursery | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self.world = built
        self._nursery = nursery
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.errors = built.directory / "stderr.log"
        self._environ = {"PATH": "/usr/bin:/bin", **built.environ, "PORT": str(self.port)} | dict(environ or {})
        self.process: asyncio.subprocess.Process | Forked | None = None

    @property
    def environ(self) -> dict[str, str]:
        """The environment that it runs in."""
        return self._environ

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it, and return once it says that it is ready."""
        with self.errors.open("ab") as log:
            if self._nursery is None:
                self.process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "bot", "serve", env=self._environ, cwd=self.world.directory, stderr=log
                )
            else:
                clock = self.world.clock if isinstance(self.world.clock, QuickClock) else None
                self.process = self._nursery.fork(self._environ, self.world.directory, stderr=log.fileno(), clock=clock)
        if self.connects:
            self.world.slack.connect(f"{self.url}/slack/events")
        async with asyncio.timeout(self.patience), aiohttp.ClientSession() as session:
            while not await self._is_ready(session):  # noqa: ASYNC110 - another process tells nobody
                await asyncio.sleep(0.02)

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, self.errors.read_text()
        try:
            async with session.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def kill(self) -> None:
        """End it as a power cut would."""
        await self.end(signal.SIGKILL)

    async def end(self, how: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        async with asyncio.timeout(DEADLINE):
            return await self.process.wait()

    def select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Look into its database."""
        path = self.world.directory / "flowbot.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()


@contextlib.asynccontextmanager
async def open_child(
    directory: pathlib.Path,
    *,
    nursery: Nursery | None = None,
    clock: QuickClock | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Child]:
    """Open the sample world with a bot in a process of its own, not yet started."""
    async with world.build(directory, clock=clock) as built:
        child = Child(built, nursery=nursery, environ=environ)
        try:
            yield child
        finally:
            if child.process is not None:
                await child.kill()


@pytest.fixture
async def child(tmp_path: pathlib.Path, nursery: Nursery) -> AsyncIterator[Child]:
    """Run a bot in a process of its own."""
    async with open_child(tmp_path, nursery=nursery, clock=QuickClock(epoch=time.time(), quicker=QUICKER)) as opened:
        await opened.start()
        yield opened


class Play:
    """What happens around the crash."""

    def __init__(self, child: Child) -> None:
        self.child, self.slack, self.live = child, child.world.slack, child.world.live

    async def asks(self) -> None:
        """Alice asks, and is told that it is being read."""
        assert (await self.slack.people.command("U0ALICE", HERE, "stop main-feed")).ok

    async def card(self) -> PostedMessage:
        """Return the card, once it stands with its first reply."""
        card = await self.slack.until(
            lambda workspace: next((one for one in workspace.messages(HERE) if one.buttons), None), timeout=DEADLINE
        )
        await self.says(card, "<@U0CAROL>")
        return card

    async def approves(self, card: PostedMessage) -> None:
        """Carol approves, and her click is acknowledged."""
        assert (await self.slack.people.click("U0CAROL", card, "approve")).ok

    async def says(self, card: PostedMessage, words: str) -> None:
        """Wait for a reply under the card."""
        await self.slack.until(
            lambda workspace: any(words in reply.plain for reply in workspace.thread(card)), timeout=DEADLINE
        )

    async def reads(self, times: int) -> None:
        """Wait until the flow has been read so often."""
        await self.live.until(lambda live: len(live.calls_of("GET", "/flows/detail")) >= times, timeout=DEADLINE)

    async def crashes(self) -> None:
        """Kill it, and start it again on the same database."""
        await self.child.kill()
        await self.child.start()

    def stops(self) -> int:
        """Count the stops that left."""
        return len(self.live.calls_of("PUT", "/flows/stop"))

    async def settles(self, *, most: int = 1) -> tuple[str, str]:
        """Wait until nothing is owed any more, check what must hold whatever happened, and return where it ended."""
        done = "SELECT 1 FROM requests WHERE due_at IS NULL AND lease_owner IS NULL AND card_shown = version"
        async with asyncio.timeout(DEADLINE):
            while not self.child.select(done):  # noqa: ASYNC110 - the database tells nobody that it has changed
                await asyncio.sleep(0.02)
        assert self.child.select("SELECT count(*) FROM requests") == [(1,)]
        assert self.child.select("SELECT DISTINCT state FROM inbox") == [("done",)]
        assert self.child.select("SELECT count(*) FROM replies WHERE ts IS NULL") == [(0,)]
        ((state, votes),) = self.child.select("SELECT state, votes FROM requests")
        ((progress,),) = self.child.select("SELECT progress FROM operations")
        assert [vote["actor"]["user"] for vote in json.loads(votes)] == ["U0CAROL"]
        assert self.stops() <= most
        return state, progress


@pytest.fixture
def play(child: Child) -> Play:
    """Return the play."""
    return Play(child)


def newest(play: Play, card: PostedMessage) -> str:
    """Return what the card shows."""
    standing = play.slack.workspace.message(HERE, card.ts)
    assert standing is not None
    assert not standing.buttons
    return standing.plain


async def test_promise_5_an_acknowledged_command_opens_its_request_after_the_crash(play: Play) -> None:
    play.live.faults.add(Trouble(hold=asyncio.Event()), method="GET", path="/flows/detail")
    await play.asks()
    await play.reads(1)
    await play.crashes()
    card = await play.card()
    await play.approves(card)

    assert await play.settles() == ("approved", "succeeded")
    assert "STANDBY" in newest(play, card)


async def test_promise_5_a_card_goes_on_after_the_crash(play: Play) -> None:
    await play.asks()
    card = await play.card()
    await play.crashes()
    await play.approves(card)

    assert await play.settles() == ("approved", "succeeded")
    assert len([one for one in play.slack.workspace.messages(HERE) if not one.thread_ts]) == 1


async def test_promise_5_an_acknowledged_approval_is_carried_out_after_the_crash(play: Play) -> None:
    await play.asks()
    card = await play.card()
    play.live.faults.add(Trouble(hold=asyncio.Event()), method="GET", path="/flows/detail")
    read = len(play.live.calls_of("GET", "/flows/detail"))
    await play.approves(card)
    await play.reads(read + 1)
    await play.crashes()

    assert await play.settles() == ("approved", "succeeded")
    assert (play.stops(), play.live.flows[world.PROJECT_ID, MAIN].status) == (1, "STANDBY")


@pytest.mark.parametrize(("effect", "calls"), [(True, 1), (False, 2)])
async def test_promise_2_a_call_that_was_cut_is_read_back_before_it_is_made_again(
    play: Play, effect: bool, calls: int
) -> None:
    await play.asks()
    card, gate = await play.card(), asyncio.Event()
    play.live.faults.add(Trouble(hold=gate, effect=effect), method="PUT")
    await play.approves(card)
    await play.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=DEADLINE)
    await play.crashes()
    gate.set()

    assert await play.settles(most=calls) == ("approved", "succeeded")
    assert play.stops() == calls
    assert "STANDBY" in newest(play, card)


async def test_promise_5_what_slack_did_not_hear_is_told_after_the_crash(play: Play) -> None:
    await play.asks()
    card = await play.card()
    for method in ("chat.postMessage", "chat.update"):
        play.slack.faults.drop_before(method, times=None)
    await play.approves(card)
    await play.live.until(lambda live: live.flows[world.PROJECT_ID, MAIN].status == "STANDBY", timeout=DEADLINE)
    await play.slack.until(lambda workspace: workspace.calls[-1].response is None, timeout=DEADLINE)
    await play.child.kill()
    play.slack.faults.clear()
    await play.child.start()

    state, progress = await play.settles()
    assert (state, play.stops()) == ("approved", 1)
    assert progress in ("succeeded", "unknown")  # unknown where the kill came between the reply and its record
    assert ("STANDBY" if progress == "succeeded" else "unknown") in newest(play, card)


@pytest.mark.parametrize("seed", range(3))
async def test_promise_2_a_crash_at_any_instant_leaves_one_stop_at_most(play: Play, seed: int) -> None:
    await play.asks()
    card = await play.card()
    await play.approves(card)
    await asyncio.sleep(random.Random(seed).uniform(0, 0.06))
    cut = play.stops() == 1 and play.live.calls_of("PUT", "/flows/stop")[0].status is None
    await play.crashes()

    state, progress = await play.settles()

    assert (state, play.stops()) == ("approved", 1)
    assert progress in ("succeeded", "unknown")
    assert not cut or progress == "unknown"
