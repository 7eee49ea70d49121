"""The processes of a measurement: how each is started, found ready, looked at and ended.

It must not know what is measured.
"""

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final

ROOT: Final = pathlib.Path(__file__).parents[2]

READY_WITHIN: Final = 60.0
"""Seconds; a machine that others use too may be slow."""

ASKED_EVERY: Final = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class Serving:
    """A process that answers on a port; `cold` is how many seconds it took to answer first."""

    pid: int
    port: int
    cold: float
    database: pathlib.Path | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def resident(self) -> float:
        """Return the memory that it holds, in MB."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def cpu(self) -> float:
        """Return the seconds of CPU that it has used, in all of its threads."""
        stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port of loopback that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def serving(*command: str, port: int, environ: Mapping[str, str], path: str) -> Iterator[Serving]:
    """Run a server until the context ends; it is ready when it answers at `path` at all below 500."""
    began = time.perf_counter()
    with _running(command, environ) as process:
        while not _answers(port, path):
            if process.poll() is not None or time.perf_counter() - began > READY_WITHIN:
                raise RuntimeError(f"{command} did not become ready: {process.stderr.read() if process.stderr else ''}")
            time.sleep(ASKED_EVERY)
        yield Serving(pid=process.pid, port=port, cold=time.perf_counter() - began)


@contextlib.contextmanager
def bare(kind: str, environ: Mapping[str, str]) -> Iterator[Serving]:
    """Run a bare Bolt app."""
    port = free_port()
    with serving("-m", "tests.bench.bare", kind, str(port), port=port, environ=environ, path="/") as app:
        yield app


@contextlib.contextmanager
def flowbot(environ: Mapping[str, str], database: pathlib.Path | str) -> Iterator[Serving]:
    """Run `flowbot serve` on a database."""
    port = free_port()
    url = database if isinstance(database, str) else f"sqlite:///{database}"
    own = {"PORT": str(port), "DATABASE_URL": url, "FLOWBOT_LOG_LEVEL": "warning", "FLOWBOT_LOG_FORMAT": "json"}
    with serving("-m", "bot", "serve", port=port, environ={**environ, **own}, path="/readyz") as bot:
        yield bot if isinstance(database, str) else dataclasses.replace(bot, database=database)


@contextlib.contextmanager
def _running(command: tuple[str, ...], environ: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, *command],
        cwd=ROOT,
        env={"PATH": "", **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


class Outside:
    """The process with the stand-ins."""

    def __init__(self, orders: IO[str], answers: IO[str], directory: pathlib.Path) -> None:
        self._orders = orders
        self._answers = answers
        self._directory = directory
        self._taken = 0
        self._written = 0
        self.environ: dict[str, str] = self.order("environ")

    def order(self, order: str, **details: object) -> Any:
        """Have something done and return the answer."""
        self._orders.write(json.dumps({"order": order, **details}) + "\n")
        self._orders.flush()
        answer = self._answers.readline()
        if not answer:
            raise RuntimeError(f"the stand-ins ended at {order}")
        return json.loads(answer)

    def take(self, count: int) -> int:
        """Take flows that nobody has used yet and return the number of the first."""
        first, self._taken = self._taken, self._taken + count
        return first

    def deliveries(self, count: int, *, text: str = "stop main-feed") -> pathlib.Path:
        """Have signed commands written, ready for the wire."""
        self._written += 1
        path = self._directory / f"deliveries-{self._written}"
        self.order("deliveries", path=str(path), count=count, text=text)
        return path


@contextlib.contextmanager
def outside(directory: pathlib.Path) -> Iterator[Outside]:
    """Run the stand-ins."""
    command = [sys.executable, "-m", "tests.bench.outside", str(directory)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Outside(process.stdin, process.stdout, directory)
        finally:
            process.kill()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sent:
    """What came of a load: the seconds that all of it took and each acknowledgement, in order."""

    seconds: float
    took: list[float]
    statuses: dict[str, int]

    @property
    def rate(self) -> float:
        """Acknowledgements a second."""
        return len(self.took) / self.seconds

    def part(self, share: float) -> float:
        """Return within which time so large a share was acknowledged, in seconds."""
        return self.took[min(len(self.took) - 1, int(len(self.took) * share))]


def load(target: Serving, deliveries: pathlib.Path, *, senders: int) -> Sent:
    """Send deliveries from a process of its own."""
    command = [sys.executable, "-m", "tests.bench.senders", str(target.port), str(senders), str(deliveries)]
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    result = json.loads(run.stdout)
    return Sent(seconds=result["seconds"], took=sorted(result["took"]), statuses=result["statuses"])
