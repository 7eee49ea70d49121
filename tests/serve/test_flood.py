"""The bot as a process with few file descriptors, while its port is flooded."""

import asyncio
import contextlib
import os
import pathlib
import resource
import socket
import sys
from collections.abc import AsyncIterator, Mapping

import pytest

from bot.playground import process, world
from tests.fakes import database_in

DESCRIPTORS = 256
HALF = b"POST /slack/events HTTP/1.1\r\nHost: here\r\nX-Half: "


async def launch(environ: Mapping[str, str], directory: pathlib.Path) -> process.Process:
    """Run the bot with few file descriptors."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "bot", "serve"),
        cwd=directory,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=process.LONGEST_LINE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS)),
    )


@contextlib.asynccontextmanager
async def running(built: world.World) -> AsyncIterator[tuple[process.BotProcess, int]]:
    """Run the bot, and return it and its port."""
    urls: list[str] = []
    bot = process.BotProcess(
        built.environ, directory=built.directory, changed=lambda: None, connected=urls.append, launch=launch
    )
    await bot.start()
    built.deliver_to(urls[0])
    try:
        yield bot, int(urls[0].rpartition(":")[2])
    finally:
        await bot.stop()


async def get(port: int, path: str) -> bytes:
    """Return the status of a path."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.split(b" ")[1]


def open_files(pid: int | None) -> int:
    """Return the number of open descriptors of a process."""
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


def resident(pid: int | None) -> int:
    """Return the resident memory of a process in megabytes."""
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_half_sent_requests_take_neither_the_port_nor_the_database_nor_the_disk(tmp_path: pathlib.Path) -> None:
    database_in(tmp_path)
    async with world.build(tmp_path) as built, running(built) as (bot, port), contextlib.AsyncExitStack() as stack:
        for _ in range(600):
            stack.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(HALF)
        assert [await get(port, path) for path in ("/healthz", "/readyz", "/metrics")] == [b"200"] * 3
        assert "Reading" in (await built.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed")).body
        assert open_files(bot.pid) < DESCRIPTORS - 60
    assert [line["reason"] for line in bot.log if line["event"] == "connection rejected"] == ["too many connections"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_endless_headers_take_no_memory(tmp_path: pathlib.Path) -> None:
    database_in(tmp_path)
    async with world.build(tmp_path) as built, running(built) as (bot, port):
        before = resident(bot.pid)
        for _ in range(5):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HALF)
            with contextlib.suppress(ConnectionError):
                for _ in range(480):  # 30 MB
                    writer.write(b"x" * 65536)
                    await writer.drain()
            writer.transport.abort()
            assert await get(port, "/healthz") == b"200"
        assert resident(bot.pid) < before + 15
