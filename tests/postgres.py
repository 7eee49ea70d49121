"""A PostgreSQL server of the tests' own: Debian's binaries, a directory and a port that nobody else has.

It runs as an unprivileged user, as it will not as root, listens on loopback, and writes as it would in earnest.
"""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import asyncpg
import pytest

_ROOT: Final = pathlib.Path("/usr/lib/postgresql")

_SETTINGS: Final = """
listen_addresses = '127.0.0.1'
max_connections = 60
shared_buffers = 16MB
log_min_messages = fatal
search_path = 'public, fake, pg_catalog'
"""

_WATCH: Final = 'read -r _; pid=$(head -n 1 "$1") && kill -KILL "$pid"'
"""Waits for the end of its input; what is stopped by then has left no file."""


@dataclasses.dataclass(kw_only=True)
class Server:
    """One server; its databases are made from `template`."""

    binaries: pathlib.Path
    directory: pathlib.Path
    port: int
    user: dict[str, Any]

    def start(self) -> None:
        """Start it, and return once it takes connections."""
        self._control("start", "-l", str(self.directory / "log"), "-o", f"-k {self.directory}")

    def stop(self) -> None:
        """Stop it at once, without waiting for whoever is connected."""
        self._control("stop", "-m", "fast")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to each of its processes: with SIGSTOP it hangs, until SIGCONT."""
        postmaster = int((self.directory / "data" / "postmaster.pid").read_text().splitlines()[0])
        children = pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in (postmaster, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def url(self, database: str) -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements, each in a transaction of its own."""
        command = [self.binaries / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.url(database)]
        for statement in statements:
            command += ["-c", statement]
        _run(command)

    def follow_clock(self, database: str) -> None:
        """Let the clock of a database, and of each that is made from it, be what its file says."""
        self.execute(
            "CREATE SCHEMA fake",
            f"""
            CREATE FUNCTION fake.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS $$
            SELECT to_timestamp(pg_read_file('{self.directory}/clock of ' || current_database())::double precision) $$
            """,
            database=database,
        )

    def clock_of(self, database: str) -> pathlib.Path:
        """Return the file with the time of a database, in seconds since the epoch."""
        return self.directory / f"clock of {database}"

    def run(self, database: str, work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
        """Run some work on a connection of its own."""

        async def connected() -> Any:
            connection = await asyncpg.connect(self.url(database))
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(connected())

    def _control(self, *arguments: str) -> None:
        command = [self.binaries / "pg_ctl", "-D", self.directory / "data", "-s", "-w", *arguments]
        _run(command, **self.user)


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Make a server and run it; skip the test where Debian's binaries are not installed, and fail it in CI."""
    binaries = _binaries()
    with tempfile.TemporaryDirectory(prefix="flowbot-pg-") as made:
        directory = pathlib.Path(made)
        server = Server(binaries=binaries, directory=directory, port=_free_port(), user=_unprivileged())
        if server.user:
            os.chown(directory, server.user["user"], server.user["group"])
        data = directory / "data"
        initdb = [binaries / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]
        _run([*initdb, "--no-sync"], **server.user)
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(f"{_SETTINGS}port = {server.port}\n")
        with _ended_with_us(server):
            server.start()
            yield server
            with contextlib.suppress(RuntimeError):
                server.stop()


@contextlib.contextmanager
def _ended_with_us(server: Server) -> Iterator[None]:
    """Have somebody listen who ends the server when this process is gone, however it goes."""
    watch = subprocess.Popen(  # noqa: S603 - our own words
        ["/bin/sh", "-c", _WATCH, "sh", str(server.directory / "data" / "postmaster.pid")],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        **server.user,
    )
    try:
        yield
    finally:
        watch.communicate()


def _binaries() -> pathlib.Path:
    found = sorted(_ROOT.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    if os.environ.get("CI") == "true":
        pytest.fail("PostgreSQL is not installed: CI needs Debian's package `postgresql`")
    pytest.skip("PostgreSQL is not installed: Debian's package `postgresql` has it")


def _unprivileged() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("postgres")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _run(command: list[Any], **options: Any) -> None:
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    words = list(map(str, command))
    with tempfile.TemporaryFile() as log:  # no pipe: what it starts would keep one open
        done = subprocess.run(  # noqa: S603 - Debian's binaries
            words, check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, cwd="/", **options
        )
        log.seek(0)
        said = log.read().decode(errors="replace")
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {said}")
