"""Replicas as objects for tests: forked, listened to, and sent signals; none outlives its nursery.

Owns processes. It must not know what is said in the workspace.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Final

from tests.replicas.child import Job

ROOT: Final = pathlib.Path(__file__).parents[2]

DEADLINE: Final = 90.0
"""Real seconds for a process to do something, on a machine that others use too."""


class Nursery:
    """The process that forks replicas."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders

    @contextlib.asynccontextmanager
    async def replica(self, job: Job) -> AsyncIterator["Replica"]:
        """Fork a replica, wait until it listens, and end it with the context."""
        heard, said = os.pipe()
        socket.send_fds(self._orders, [job.dump()], [said])
        os.close(said)
        replica = Replica(pid=int(self._orders.recv(64)), job=job)
        hearing = asyncio.create_task(replica.hear(heard))
        try:
            await replica.comes(replica.up)
            yield replica
        finally:
            replica.meets(signal.SIGKILL)
            await hearing


@contextlib.contextmanager
def opened() -> Iterator[Nursery]:
    """Start a nursery; its replicas end with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.replicas.child", str(theirs.fileno())]
    process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])  # noqa: S603 - our own command
    theirs.close()  # so that it notices when ours closes
    try:
        yield Nursery(ours)
    finally:
        ours.close()
        process.wait()


class Replica:
    """One replica."""

    def __init__(self, *, pid: int, job: Job) -> None:
        self.pid = pid
        self.job = job
        self.port = 0
        self.ended = False
        self.failure: str | None = None
        self.up = asyncio.Event()
        self.met = asyncio.Event()
        self.dead = asyncio.Event()

    def meets(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still alive."""
        if not self.dead.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def comes(self, event: asyncio.Event) -> None:
        """Wait for one of its events, or for its end. Raises RuntimeError if it fails."""
        waits = [asyncio.ensure_future(each.wait()) for each in (event, self.dead)]
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()
        if self.failure is not None:
            raise RuntimeError(self.failure)
        if not event.is_set():
            raise RuntimeError(f"{self.job.name} ended instead")

    async def stands_still(self) -> None:
        """Wait until a SIGSTOP has taken effect."""
        async with asyncio.timeout(DEADLINE):
            while _state(self.pid) != "T":  # noqa: ASYNC110 - a stopped process reports nothing
                await asyncio.sleep(0.005)

    async def hear(self, heard: int) -> None:
        """Read its events until it is dead."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(heard, "rb")
        )
        while line := await reader.readline():
            self._take(json.loads(line))
        transport.close()
        self.dead.set()

    def _take(self, said: dict[str, object]) -> None:
        if "port" in said:
            self.port = int(str(said["port"]))
            self.up.set()
        elif "met" in said:
            self.met.set()
        elif "ended" in said:
            self.ended = True
        else:
            self.failure = str(said["failed"])


def _state(pid: int) -> str:
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
