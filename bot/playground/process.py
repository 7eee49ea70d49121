"""The bot as a separate process, `python -m bot serve`, so that killing it is real.

Owns the process, its environment and its log. Knows nothing about the page or what the bot does.
"""

import asyncio
import collections
import contextlib
import ctypes
import json
import os
import pathlib
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal, Protocol

import aiohttp

from bot.usecases import errors

State = Literal["starting", "ready", "killed", "stopped", "ended"]

READY_WITHIN: Final = 30.0
ASKED_EVERY: Final = 0.02
STOPS_WITHIN: Final = 12.0
KEPT_LINES: Final = 200
PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>
LONGEST_LINE: Final = 2**22

_OURS: Final = ("FLOWBOT_", "HUAWEICLOUD_", "SLACK_")
_OURS_TOO: Final = frozenset({"DATABASE_URL", "HOST", "PORT", "SECRETS_DIR"})


class Process(Protocol):
    """A running bot: the part of `asyncio.subprocess.Process` that is used here."""

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def returncode(self) -> int | None:
        """The exit code, once it has ended."""

    @property
    def stderr(self) -> asyncio.StreamReader | None:
        """The stream of its log."""

    def kill(self) -> None:
        """Kill it."""

    def terminate(self) -> None:
        """Ask it to drain and end."""

    async def wait(self) -> int:
        """Wait until it ends, and return its exit code."""


Launch = Callable[[Mapping[str, str], pathlib.Path], Awaitable[Process]]
"""Runs `flowbot serve` with this environment in this directory."""


class NotStarted(errors.FlowbotError):
    """The bot ended before it was ready; the message is its output."""


class BotProcess:
    """One bot that can be started, killed and started again.

    `changed` is called whenever its state or log changes, `connected` with its address whenever it is ready; `launch`
    runs it.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        directory: pathlib.Path,
        changed: Callable[[], None],
        connected: Callable[[str], None],
        launch: Launch,
    ) -> None:
        self.state: State = "stopped"
        self.starts = 0
        self.log: collections.deque[dict[str, Any]] = collections.deque(maxlen=KEPT_LINES)
        self._environ = environ
        self._directory = directory
        self._changed = changed
        self._connected = connected
        self._launch = launch
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._serving: asyncio.Future[int] | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The process id, while there is a process."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises NotStarted."""
        async with self._turn:
            if self.pid is None:
                await self._start()

    async def kill(self) -> None:
        """Kill it, without a graceful shutdown."""
        async with self._turn:
            if self._process and self.pid is not None:
                self._process.kill()
                await self._ended("killed")

    async def stop(self) -> None:
        """Let it finish its work and end."""
        async with self._turn:
            if not self._process or self.pid is None:
                return
            self._process.terminate()
            try:
                async with asyncio.timeout(STOPS_WITHIN):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
            await self._ended("stopped")

    async def _start(self) -> None:
        self._set("starting")
        self.starts += 1
        self._serving = asyncio.get_running_loop().create_future()
        self._process = await self._launch(self._variables(), self._directory)
        self._reading = asyncio.create_task(self._read(self._process))
        try:
            async with asyncio.timeout(READY_WITHIN):
                url = f"http://127.0.0.1:{await self._serving}"
                await _ready(url)
        except (TimeoutError, NotStarted, aiohttp.ClientError) as error:
            if self.pid is not None:
                self._process.kill()
            await self._ended("ended")
            raise NotStarted("\n".join(map(_words, self.log)) or "the bot did not become ready") from error
        self._connected(url)
        self._set("ready")

    def _variables(self) -> dict[str, str]:
        """Return the bot's environment: the settings of this world, and none from outside."""
        secrets = self._directory / "secrets"
        secrets.mkdir(exist_ok=True)
        outside = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_OURS) and name not in _OURS_TOO and not name.lower().endswith("_proxy")
        }
        own = {"HOST": "127.0.0.1", "PORT": "0", "FLOWBOT_LOG_FORMAT": "json", "SECRETS_DIR": str(secrets)}
        return {**outside, **self._environ, **own}

    async def _read(self, process: Process) -> None:
        """Read the log until the process has ended."""
        stream = process.stderr
        while stream is not None and (line := await stream.readline()):
            record = _record(line)
            self.log.append(record)
            if record.get("event") == "serving" and self._serving and not self._serving.done():
                self._serving.set_result(int(record["port"]))
            self._changed()
        await process.wait()
        if self._serving and not self._serving.done():
            self._serving.set_exception(NotStarted())
        elif self.state == "ready" and process is self._process:
            self._set("ended")

    async def _ended(self, state: State) -> None:
        if self._process:
            await self._process.wait()
        if self._reading:
            await self._reading
        if self._serving and self._serving.done() and not self._serving.cancelled():
            self._serving.exception()  # nobody may have waited for it
        self._set(state)

    def _set(self, state: State) -> None:
        self.state = state
        self._changed()


async def launch(environ: Mapping[str, str], directory: pathlib.Path) -> Process:
    """Run `python -m bot serve`: see Launch."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "bot", "serve"),
        cwd=directory,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=LONGEST_LINE,
        start_new_session=True,  # Ctrl-C is for the playground, which then stops it
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )


def _end_with_parent() -> None:
    """Ask the kernel for a SIGTERM when the playground ends, however it ends, so that no process is left behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _record(line: bytes) -> dict[str, Any]:
    text = line.decode(errors="replace").rstrip()
    with contextlib.suppress(ValueError):
        record = json.loads(text)
        if isinstance(record, dict):
            return record
    return {"event": text, "level": "error"}


def _words(record: Mapping[str, Any]) -> str:
    return str(record.get("event", ""))


async def _ready(url: str) -> None:
    """Wait until the bot is ready; in Socket Mode it listens before Slack can reach it."""
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/readyz") as response:
                if response.status == 200:
                    return
            await asyncio.sleep(ASKED_EVERY)
