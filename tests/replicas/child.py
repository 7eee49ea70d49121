"""One replica: the real bot as built by `serve`, in a forked process, which is killed or stopped at a named point.

Owns these points and the replica's clock. It must not know what is played.
"""

import asyncio
import collections
import dataclasses
import json
import os
import pathlib
import signal
import socket
import sys
from collections.abc import Mapping
from typing import NoReturn, cast

import aiohttp

from bot.cloud import client as cloud
from bot.cloud import key_lock
from bot.cloud.credentials import CredentialSource
from bot.serve import build, http_server, web
from bot.settings import loader, log
from bot.store import opening, store
from bot.usecases import errors, ports
from tests.crash import child
from tests.replicas.clocks import SharedClock


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One life of a replica. With `at` it gets the signal `meets` the `nth` time that it reaches that point."""

    name: str
    environ: Mapping[str, str]
    directory: str
    clock: SharedClock
    at: str | None = None
    nth: int = 1
    meets: int = signal.SIGKILL

    def dump(self) -> bytes:
        """Serialize it for `load`."""
        return json.dumps({**dataclasses.asdict(self), "environ": dict(self.environ)}).encode()

    @classmethod
    def load(cls, written: bytes) -> "Job":
        """Return what `dump` serialized."""
        read = json.loads(written)
        return cls(**{**read, "clock": SharedClock(**read["clock"])})


class NamedPoints(child.Points):
    """Sends a signal at one of its points."""

    def __init__(self, job: Job, said: int) -> None:
        super().__init__(kill_at=None, said=said)
        self._job = job
        self._times: collections.Counter[str] = collections.Counter()

    def here(self, name: str) -> None:
        """Pass a point; it may be the last thing that this process does."""
        self._times[name] += 1
        if name == self._job.at and self._times[name] == self._job.nth:
            self.say({"met": name})
            os.kill(os.getpid(), self._job.meets)


async def live(job: Job, points: NamedPoints) -> None:
    """Run the bot until SIGTERM or worse; report its port once it listens."""
    read = loader.load(job.environ, directory=pathlib.Path(job.directory))
    log.configure(fmt="json", level="debug", secrets=read.secrets())
    clock = job.clock
    database = await _open(read.database_url, job)
    seconds = cloud.TIMEOUT / clock.rate
    patience = aiohttp.ClientTimeout(total=seconds, connect=seconds / 2)
    session = aiohttp.ClientSession(timeout=patience, trace_configs=[points.trace()])
    async with session, cloud.open_client() as transport:
        api = cloud.LiveClient(transport, credentials=CredentialSource(read), now=clock.now, timeout=seconds)
        live = key_lock.LockedCloud(
            cloud=cast(ports.Cloud, child.Counted(api, points, "cloud")),
            keys=lambda project: project.name,
            store=database,
            clock=clock,
        )
        counted = cast(store.SqlStore, child.Counted(database, points, "store"))
        bot = build.assemble(read, clock=clock, database=counted, session=session, live=live)
        await _serve(bot, points)
    await database.close()


async def _open(url: str, job: Job) -> store.SqlStore:
    """Open the database, trying again while it is down, as a supervisor would restart the process."""
    while True:
        try:
            return await opening.open_store(url, clock=job.clock, replica=job.name, monotonic=job.clock.monotonic)
        except errors.StoreError:
            await asyncio.sleep(0.1)


async def _serve(bot: build.Bot, points: NamedPoints) -> None:
    await web.introduce(bot.installation)
    server = http_server.Server(http_server.config(bot.app))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.finish)
    bot.start()
    listener = http_server.listen("127.0.0.1", 0)
    points.say({"port": listener.getsockname()[1]})
    await server.serve(sockets=[listener])
    await bot.stop()


def be_born(written: bytes, said: int) -> NoReturn:
    """Run a job in a process that was just forked."""
    job = Job.load(written)
    points = NamedPoints(job, said)
    child.to_the_end(live(job, points), points, directory=job.directory)


if __name__ == "__main__":
    child.breed(socket.socket(fileno=int(sys.argv[1])), be_born)
