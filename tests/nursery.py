"""Bots as processes of their own, forked from one that has imported everything: a start costs a fork, not an import.

Owns `flowbot serve` in a forked process: its environment, its signals and how it ended. It must not know what it is
tested for. That a bot starts from nothing is held by the tests of the command line and of the newcomer.
"""

import asyncio
import contextlib
import dataclasses
import functools
import gc
import json
import os
import pathlib
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn, cast

from starlette.applications import Starlette

ROOT: Final = pathlib.Path(__file__).parents[1]

LARGEST_ORDER: Final = 65_536


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuickClock:
    """ports.Clock that runs `quicker` times as fast as the machine's since `epoch`."""

    epoch: float
    quicker: float

    def now(self) -> float:
        """Return the seconds since the epoch (UTC), as this clock has them."""
        return self.epoch + (time.time() - self.epoch) * self.quicker

    async def sleep(self, seconds: float) -> None:
        """Return after so many of its seconds."""
        await asyncio.sleep(seconds / self.quicker)


class Forked:
    """A running bot, as much of `asyncio.subprocess.Process` as its keepers use."""

    def __init__(self, pid: int, ended: int, stderr: asyncio.StreamReader | None = None) -> None:
        self.pid = pid
        self.stderr = stderr
        self.returncode: int | None = None
        self._ended = ended
        self._over = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(ended, self._note)

    def send_signal(self, how: signal.Signals) -> None:
        """Send it a signal, while it lives."""
        if self.returncode is None:
            os.kill(self.pid, how)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to drain and end."""
        self.send_signal(signal.SIGTERM)

    async def wait(self) -> int:
        """Return how it ended, once it has."""
        return int(await asyncio.shield(self._over))

    def _note(self) -> None:
        asyncio.get_running_loop().remove_reader(self._ended)
        self.returncode = int(os.read(self._ended, 64))
        os.close(self._ended)
        self._over.set_result(self.returncode)


class Nursery:
    """Orders bots from the process that forks them."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders

    async def launch(self, environ: Mapping[str, str], directory: pathlib.Path) -> Forked:
        """Run the bot there, and hear what it says: `bot.playground.process.Launch`."""
        heard, said = os.pipe()
        reader = asyncio.StreamReader(limit=2**22)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(heard, "rb")
        )
        try:
            return Forked(*self._order(environ, directory, said, None), stderr=reader)
        finally:
            os.close(said)

    def fork(
        self, environ: Mapping[str, str], directory: pathlib.Path, *, stderr: int, clock: QuickClock | None = None
    ) -> Forked:
        """Run the bot there; what it says goes to `stderr`."""
        return Forked(*self._order(environ, directory, stderr, clock))

    def _order(
        self, environ: Mapping[str, str], directory: pathlib.Path, stderr: int, clock: QuickClock | None
    ) -> tuple[int, int]:
        """Return the process id, and the descriptor from which comes how it ended."""
        ended, ending = os.pipe()
        quick = None if clock is None else dataclasses.asdict(clock)
        order = {"environ": dict(environ), "directory": str(directory), "clock": quick}
        socket.send_fds(self._orders, [json.dumps(order).encode()], [stderr, ending])
        os.close(ending)
        return int(self._orders.recv(64)), ended


@contextlib.contextmanager
def opened() -> Iterator[Nursery]:
    """Run the process that forks bots; it ends with its orders, and all its bots with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        command = [sys.executable, "-m", "tests.nursery", str(theirs.fileno())]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])  # noqa: S603 - our own words
        theirs.close()
        yield Nursery(ours)
    process.wait()


def breed(orders: socket.socket) -> None:
    """Fork a bot for each order, and say of each how it ended, until nobody can order any more."""
    waiting = selectors.DefaultSelector()
    waiting.register(orders, selectors.EVENT_READ)
    alive: dict[int, int] = {}
    while True:
        for key, _ in waiting.select():
            if key.data is not None:
                waiting.unregister(key.fd)
                os.close(key.fd)
                _bury(key.data, alive.pop(key.data))
                continue
            written, descriptors, _, _ = socket.recv_fds(orders, LARGEST_ORDER, 2)
            if not written:
                for pid in alive:
                    os.kill(pid, signal.SIGKILL)
                return
            stderr, ending = descriptors
            if (pid := os.fork()) == 0:
                _be_born(json.loads(written), stderr)
            os.close(stderr)
            alive[pid] = ending
            waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
            orders.send(str(pid).encode())


def _bury(pid: int, ending: int) -> None:
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):  # whoever ordered it may be gone
        os.write(ending, str(os.waitstatus_to_exitcode(status)).encode())
    os.close(ending)


def _be_born(order: Mapping[str, Any], stderr: int) -> NoReturn:
    code = 1
    try:
        os.setsid()
        os.dup2(stderr, sys.stderr.fileno())
        os.closerange(sys.stderr.fileno() + 1, max(map(int, os.listdir("/proc/self/fd"))) + 1)
        os.chdir(order["directory"])
        os.environ.clear()
        os.environ.update(order["environ"])
        _serve(order["clock"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the process has no other way to tell than its standard error
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve(clock: Mapping[str, float] | None) -> None:
    from bot.cli import main as command_line
    from bot.serve import clock as machine_clock

    if clock is not None:
        machine_clock.SystemClock = cast(Any, functools.partial(QuickClock, **clock))  # type: ignore[misc]
    command_line.main(["serve"])


def import_everything() -> None:
    """Import and read what a bot needs, also what comes late: with a first migration, call or request."""
    from bot.cloud import client
    from bot.serve import http_server
    from bot.store import migrate

    client.open_client()
    with tempfile.TemporaryDirectory() as directory:
        migrate.migrate(f"sqlite:///{directory}/flowbot.db")
    http_server.config(Starlette()).load()


if __name__ == "__main__":
    import_everything()
    gc.freeze()
    breed(socket.socket(fileno=int(sys.argv[1])))
