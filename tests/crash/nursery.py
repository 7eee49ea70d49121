"""Lives of one bot after another: how each is started and killed, and what is known afterwards.

Owns processes and the ways to end them. It must not know what is said in the workspace.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from typing import Literal, Self

from bot.playground.live.errors import Trouble
from bot.playground.world import World
from tests.crash import child


class Nursery:
    """The process that forks bots; create it before any event loop or thread."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            ours.close()
            child.breed(theirs, child.be_born)
        theirs.close()
        self._orders = ours

    def fork(self, job: child.Job) -> tuple[int, int]:
        """Return the process id of a new bot, and the descriptor for its reports."""
        heard, said = os.pipe()
        socket.send_fds(self._orders, [job.dump()], [said])
        os.close(said)
        return int(self._orders.recv(64)), heard


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kill:
    """How one life ends: at its `point`-th point, after real `seconds`, or while a call is held.

    `held` is the call: `PUT` and `lost PUT` of the cloud (with and without its effect), or a method of Slack that has
    taken effect.
    """

    point: int | None = None
    seconds: float | None = None
    held: str | None = None

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in dataclasses.asdict(self).items() if value is not None)


class Lives:
    """One bot that is killed as planned and started again each time, until its plan is done."""

    def __init__(self, world: World, nursery: Nursery, kills: list[Kill], *, epoch: float) -> None:
        self.world = world
        self.up = asyncio.Event()
        self.deaths: list[str] = []
        self.failure: str | None = None
        self.died: Callable[[], None] = lambda: None
        self._nursery = nursery
        self._kills = list(kills)
        self._epoch = epoch
        self._pid = 0

    @contextlib.asynccontextmanager
    async def lived(self) -> AsyncIterator[Self]:
        """Run it until the context ends."""
        keeping = asyncio.create_task(self._keep())
        try:
            yield self
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping

    async def _keep(self) -> None:
        try:
            while self.failure is None:
                await self._live(self._kills.pop(0) if self._kills else Kill())
                self.died()
        except Exception as error:  # the play would wait for ever without it
            self.failure = repr(error)
            raise

    async def _live(self, kill: Kill) -> None:
        self._pid, heard = self._nursery.fork(
            child.Job(
                environ=self.world.environ,
                directory=str(self.world.directory),
                epoch=self._epoch,
                kill_at=kill.point,
            )
        )
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(heard, "rb")
        )
        killing = asyncio.create_task(self._kill(kill))
        try:
            while line := await reader.readline():
                self._hear(json.loads(line))
        finally:
            self.up.clear()
            killing.cancel()
            transport.close()
            self._end()

    def _hear(self, said: dict[str, object]) -> None:
        if "port" in said:
            self.world.slack.connect(f"http://127.0.0.1:{said['port']}/slack/events")
            self.up.set()
        elif "killed" in said:
            self.deaths.append(str(said["killed"]))
        else:
            self.failure = str(said)

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    async def _kill(self, kill: Kill) -> None:
        """End this life from outside, if so planned."""
        if kill.seconds is not None:
            await self.up.wait()
            await asyncio.sleep(kill.seconds)
            self.deaths.append(f"{kill.seconds:.3f} s after it came up")
            self._end()
        elif kill.held is not None:
            gate = self._hold(kill.held)
            await gate.reached.wait()
            self.deaths.append(f"while {kill.held} was held")
            self._end()
            gate.set()

    def _hold(self, call: str) -> "Gate":
        gate = Gate()
        if call.endswith("PUT"):
            trouble = Trouble(hold=gate, effect=call == "PUT")
            self.world.live.faults.add(trouble, method="PUT", path="/flows/stop")
        else:
            self.world.slack.faults.hold(call, gate, after=True)
        return gate


class Gate(asyncio.Event):
    """An event that reports when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    async def wait(self) -> Literal[True]:
        """Wait until it is set."""
        self.reached.set()
        return await super().wait()
