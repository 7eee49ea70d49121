"""The bot to be killed: the real one as built by `serve`, in a forked process that dies at a counted point.

Owns the points at which a process can die, a clock that runs fast, and the process that forks bots. It must not know
what is played, nor what must hold.
"""

import asyncio
import dataclasses
import functools
import gc
import inspect
import json
import os
import pathlib
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, NoReturn, cast

import aiohttp

from bot.cloud import client as cloud
from bot.cloud.credentials import CredentialSource
from bot.serve import build, http_server
from bot.settings import loader, log
from bot.store import opening, store
from bot.usecases import ports
from tests import nursery

QUICKER: Final = 15.0
"""Seconds of the bot's clock per real second: backoffs and delayed checks take little time, and nobody has to advance
it."""

LARGEST_JOB: Final = 65_536


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuickClock:
    """ports.Clock that runs faster than real time from `epoch` on; with `slept` 1.0, sleeps take real seconds."""

    epoch: float
    slept: float = QUICKER

    def now(self) -> float:
        """Return the seconds since the epoch (UTC) by this clock."""
        return self.epoch + (time.time() - self.epoch) * QUICKER

    async def sleep(self, seconds: float) -> None:
        """Sleep for this many seconds of this clock."""
        await asyncio.sleep(seconds / self.slept)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One life of a bot: its world, and the point at which it dies (None: at none)."""

    environ: Mapping[str, str]
    directory: str
    epoch: float
    kill_at: int | None

    def dump(self) -> bytes:
        """Serialize it for `load`."""
        return json.dumps({**dataclasses.asdict(self), "environ": dict(self.environ)}).encode()

    @classmethod
    def load(cls, written: bytes) -> "Job":
        """Return what `dump` serialized."""
        return cls(**json.loads(written))


class Points:
    """Counts the points that the process passes, and kills it at one of them, as the kernel would."""

    def __init__(self, *, kill_at: int | None, said: int) -> None:
        self.passed = 0
        self._kill_at = kill_at
        self._said = said

    def here(self, name: str) -> None:
        """Pass a point; it may be the last thing that this process does."""
        self.passed += 1
        if self.passed == self._kill_at:
            self.say({"killed": f"{name} (point {self.passed})"})
            os.kill(os.getpid(), signal.SIGKILL)

    def say(self, what: Mapping[str, object]) -> None:
        """Report to the process that started this one."""
        os.write(self._said, json.dumps(what).encode() + b"\n")

    def trace(self) -> aiohttp.TraceConfig:
        """Return a trace config that makes each call to Slack pass a point before and after it."""
        config = aiohttp.TraceConfig()

        async def before(_session: object, _context: object, call: aiohttp.TraceRequestStartParams) -> None:
            self.here(f"before slack {_method(call.url.path)}")

        async def after(_session: object, _context: object, call: aiohttp.TraceRequestEndParams) -> None:
            self.here(f"after slack {_method(call.url.path)}")

        config.on_request_start.append(before)
        config.on_request_end.append(after)
        return config


class Counted:
    """Wraps a port so that each of its asynchronous methods passes a point before and after."""

    def __init__(self, port: object, points: Points, name: str) -> None:
        self._port = port
        self._points = points
        self._name = name

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return self._counting(found, f"{self._name} {name}") if inspect.iscoroutinefunction(found) else found

    def _counting(self, method: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(method)
        async def counting(*values: Any, **named: Any) -> Any:
            self._points.here(f"before {name}")
            done = await method(*values, **named)
            self._points.here(f"after {name}")
            return done

        return counting


async def live(job: Job, points: Points) -> None:
    """Run the bot until it is killed; report its port once it listens."""
    read = loader.load(job.environ, directory=pathlib.Path(job.directory))
    log.configure(fmt="json", level="debug", secrets=read.secrets())
    clock = QuickClock(epoch=job.epoch)
    database = await opening.open_store(read.database_url, clock=clock, replica=f"{os.getpid()}-{time.time_ns()}")
    session = aiohttp.ClientSession(timeout=build.SLACK_TIMEOUT, trace_configs=[points.trace()])
    async with session, cloud.open_client() as transport:
        api = cloud.LiveClient(transport, credentials=CredentialSource(read), now=clock.now)
        bot = build.assemble(
            read,
            clock=clock,
            database=cast(store.SqlStore, Counted(database, points, "store")),
            session=session,
            live=cast(ports.Cloud, Counted(api, points, "cloud")),
        )
        await bot.installation.learn()
        bot.start()
        listener = http_server.listen("127.0.0.1", 0)
        points.say({"port": listener.getsockname()[1]})
        await http_server.Server(http_server.config(bot.app)).serve(sockets=[listener])


def breed(orders: socket.socket, be_born: Callable[[bytes, int], NoReturn]) -> None:
    """Fork a bot for each job received, until no more can come; then kill them all.

    Call it in a process without an event loop or threads. The reply to a job is the process id, with a descriptor from
    which the bot's reports can be read; it closes when the bot is dead.
    """
    os.setpgid(0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    nursery.import_everything()
    gc.freeze()
    while True:
        written, descriptors, _, _ = socket.recv_fds(orders, LARGEST_JOB, 1)
        if not written:
            os.killpg(0, signal.SIGKILL)
        (said,) = descriptors
        child = os.fork()
        if child == 0:
            orders.close()
            be_born(written, said)
        os.close(said)
        orders.send(str(child).encode())


def be_born(written: bytes, said: int) -> NoReturn:
    """Run a job in a process that was just forked."""
    job = Job.load(written)
    points = Points(kill_at=job.kill_at, said=said)
    to_the_end(live(job, points), points, directory=job.directory)


def to_the_end(life: Coroutine[None, None, None], points: Points, *, directory: str) -> NoReturn:
    """Run a bot with its log in a file, and end the process with it."""
    try:
        errors = os.open(pathlib.Path(directory) / "stderr.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(errors, sys.stderr.fileno())
        asyncio.run(life)
        points.say({"ended": True})
    except BaseException:  # noqa: BLE001 - it is reported to whoever waits for the bot
        points.say({"failed": traceback.format_exc()})
    finally:
        os._exit(1)


def _method(path: str) -> str:
    return "response_url" if path.startswith("/response/") else path.rpartition("/")[2]
