"""The server without a proxy: real connections, and clients that send too much, too slowly or too often.

Each wait is for something that the server does; its time limits are set to small numbers.
"""

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator
from typing import TypeAlias, cast

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from bot.serve import http_server
from bot.serve.http_server import Limits
from tests.fakes import until

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

SHORT = 0.05
"""Seconds for a time limit that is to expire."""

WHOLE = b"GET /where?x=1 HTTP/1.1\r\nHost: here\r\n\r\n"
HALF = b"POST /slack/events HTTP/1.1\r\nHost: here\r\nX-One: "


class Server:
    """The server, and its requests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen: list[str] = []
        self.gate: asyncio.Event | None = None
        self.connections: set[object] = set()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the path as it was sent, after reading the body if the path asks for it."""
        request = Request(scope, receive)
        self.seen.append(scope["raw_path"].decode())
        if self.gate is not None:
            await self.gate.wait()
        if scope["path"] == "/read":
            await request.body()
        large = b"x" * 8_000_000 if scope["path"] == "/large" else scope["raw_path"]
        await Response(large, media_type="text/plain")(scope, receive, send)

    @contextlib.asynccontextmanager
    async def caller(self, *sent: bytes) -> AsyncIterator[Streams]:
        """Connect, and send something."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.writelines(sent)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def said(self, *sent: bytes) -> bytes:
        """Send something, and return everything until the server closes the connection."""
        async with self.caller(*sent) as (reader, _):
            return await everything(reader)


async def everything(reader: asyncio.StreamReader) -> bytes:
    """Read until the server closes the connection."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            found += piece
    return found


async def answer(reader: asyncio.StreamReader) -> bytes:
    """Read one whole response, and return its status line and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: "))
    return head.partition(b"\r\n")[0] + b" | " + await reader.readexactly(length)


@contextlib.asynccontextmanager
async def running(limits: Limits) -> AsyncIterator[Server]:
    """Run the server with these limits."""
    listener = http_server.listen("127.0.0.1", 0)
    opened = Server(listener.getsockname()[1])
    config = http_server.config(opened.app, limits=limits)
    config.load()
    server = http_server.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    opened.connections = cast(set[object], server.server_state.connections)
    try:
        yield opened
    finally:
        for listening in server.servers:
            listening.close()
        if opened.gate is not None:
            opened.gate.set()
        if answering := set(server.server_state.tasks):
            await asyncio.wait(answering)
        for connection in list(server.server_state.connections):
            assert isinstance(connection, http_server.HttpConnection)
            connection.transport.abort()
        await asyncio.sleep(0)


class TestBytes:
    @pytest.mark.parametrize(
        "head",
        [
            pytest.param(HALF + b"x" * 200_000, id="one header without an end"),
            pytest.param(HALF + b"x" * 20_000 + b"\r\n\r\n", id="one header"),
            pytest.param(HALF + b"x\r\n" + b"A: b\r\n" * 40_000, id="headers without an end"),
            pytest.param(HALF + b"x\r\n" + b"A: b\r\n" * 10_000 + b"\r\n", id="many headers"),
            pytest.param(b"GET /" + b"x" * 200_000, id="a path without an end"),
            pytest.param(b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", id="a path"),
        ],
    )
    async def test_headers_that_are_too_large_are_refused_and_read_no_further(self, head: bytes) -> None:
        async with running(Limits()) as server:
            assert (await server.said(head)).startswith(b"HTTP/1.1 431 ")
            assert server.seen == []

    async def test_a_caller_who_never_ends_its_headers_is_cut_off(self) -> None:
        async with running(Limits(write_within=SHORT)) as server, server.caller(HALF) as (_, writer):
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()
            await until(lambda: not server.connections)

    @pytest.mark.parametrize(
        "rest",
        [
            pytest.param(b"1\r\na\r\n" * 50_000, id="a body of single bytes"),
            pytest.param(b"1;" + b"e" * 800_000, id="an extension of a chunk"),
            pytest.param(b"0\r\nTrailer: " + b"t" * 800_000, id="a trailer"),
        ],
    )
    async def test_the_framing_of_a_body_has_its_limit_too(self, rest: bytes) -> None:
        head = b"POST /read HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
        async with running(Limits()) as server, server.caller(head) as (reader, writer):
            writer.write(rest)
            assert b" 200 " not in await everything(reader)

    async def test_headers_of_a_usual_size_and_large_bodies_pass(self) -> None:
        head = b"POST /read HTTP/1.1\r\nHost: here\r\nContent-Length: 900000\r\nX-Long: " + b"x" * 8000 + b"\r\n\r\n"
        async with running(Limits()) as server, server.caller(head, b"x" * 900_000) as (reader, writer):
            assert await answer(reader) == b"HTTP/1.1 200 OK | /read"
            writer.write(WHOLE)
            assert await answer(reader) == b"HTTP/1.1 200 OK | /where"

    async def test_requests_that_pile_up_on_a_connection_end_it(self) -> None:
        async with running(Limits()) as server:
            server.gate = asyncio.Event()
            assert await server.said(WHOLE * 5000) == b""
            assert len(server.seen) == 1


class TestTime:
    @pytest.mark.parametrize("sent", [HALF, b"G", b"\r\n"], ids=["headers", "a letter", "a line"])
    async def test_headers_have_their_time(self, sent: bytes) -> None:
        async with running(Limits(head_within=SHORT, write_within=SHORT)) as server:
            assert (await server.said(sent)).startswith(b"HTTP/1.1 408 ")

    async def test_a_silent_caller_is_disconnected(self) -> None:
        async with running(Limits(head_within=SHORT)) as server:
            assert await server.said() == b""

    async def test_a_trickle_of_bytes_buys_no_time(self) -> None:
        limits = Limits(head_within=SHORT, write_within=SHORT)
        async with running(limits) as server, server.caller(HALF) as (reader, writer):
            hung_up = asyncio.create_task(everything(reader))
            while not hung_up.done():
                writer.write(b"x")
                await asyncio.sleep(0)
            assert hung_up.result().startswith(b"HTTP/1.1 408 ")

    @pytest.mark.parametrize("path", [b"/read", b"/where"])
    async def test_a_body_has_its_time_whether_it_is_read_or_not(self, path: bytes) -> None:
        head = b"POST " + path + b" HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n"
        async with running(Limits(body_within=SHORT)) as server:
            said = await server.said(head)
            assert said == b"" if path == b"/read" else said.endswith(b"/where")

    async def test_an_idle_connection_has_its_time_also_after_a_body_that_came_late(self) -> None:
        head = b"POST /where HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\n"
        async with running(Limits(idle=SHORT)) as server, server.caller(head) as (reader, writer):
            assert await answer(reader) == b"HTTP/1.1 200 OK | /where"
            writer.write(b"abc")
            assert await everything(reader) == b""

    async def test_a_second_request_has_a_time_of_its_own(self) -> None:
        limits = Limits(head_within=SHORT, write_within=SHORT)
        async with running(limits) as server, server.caller(WHOLE) as (reader, writer):
            assert await answer(reader) == b"HTTP/1.1 200 OK | /where"
            writer.write(HALF)
            assert (await everything(reader)).startswith(b"HTTP/1.1 408 ")

    @pytest.mark.parametrize("last", [b"", b"Connection: close\r\n"], ids=["kept open", "to be closed"])
    async def test_a_caller_who_does_not_take_its_answer_is_cut_off(self, last: bytes) -> None:
        large = b"GET /large HTTP/1.1\r\nHost: here\r\n" + last + b"\r\n"
        async with running(Limits(write_within=SHORT)) as server:
            with socket.create_connection(("127.0.0.1", server.port)) as deaf:
                deaf.sendall(large)
                await until(lambda: server.seen)
                await until(lambda: not server.connections)


class TestConnections:
    async def test_many_half_sent_requests_keep_nobody_from_being_answered(self) -> None:
        async with running(Limits(connections=8)) as server, contextlib.AsyncExitStack() as stack:
            for _ in range(300):
                await stack.enter_async_context(server.caller(HALF))
            reader, _ = await stack.enter_async_context(server.caller(WHOLE))
            assert await answer(reader) == b"HTTP/1.1 200 OK | /where"
            assert len(server.connections) <= 8

    async def test_the_oldest_half_sent_request_makes_way_before_a_connection_at_rest(self) -> None:
        async with running(Limits(connections=3)) as server, contextlib.AsyncExitStack() as stack:
            at_rest = await stack.enter_async_context(server.caller(WHOLE))
            await answer(at_rest[0])
            first, _ = await stack.enter_async_context(server.caller(HALF))
            second, _ = await stack.enter_async_context(server.caller(HALF))
            await until(lambda: len(server.connections) == 3)
            newcomer, _ = await stack.enter_async_context(server.caller(WHOLE))
            assert await answer(newcomer) == b"HTTP/1.1 200 OK | /where"
            assert await everything(first) == b""
            at_rest[1].write(WHOLE)
            assert await answer(at_rest[0]) == b"HTTP/1.1 200 OK | /where"
            assert not second.at_eof()

    async def test_no_request_being_answered_is_dropped_for_a_new_one(self) -> None:
        async with running(Limits(connections=2)) as server, contextlib.AsyncExitStack() as stack:
            server.gate = asyncio.Event()
            callers = [await stack.enter_async_context(server.caller(WHOLE)) for _ in range(2)]
            await until(lambda: len(server.seen) == 2)
            assert await server.said(WHOLE) == b""
            server.gate.set()
            assert [await answer(reader) for reader, _ in callers] == [b"HTTP/1.1 200 OK | /where"] * 2

    def test_the_limit_leaves_descriptors_for_the_database_and_for_calls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        allowed = []
        for soft in (64, 256, 1024, 1_000_000, resource.RLIM_INFINITY):
            monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
            allowed.append(http_server.config(PlainTextResponse("")).limits.connections)
        assert allowed == [16, 96, 864, 2000, 2000]

    @pytest.mark.parametrize(
        ("soft", "hard", "now"),
        [
            (1024, 524_288, 4096),
            (256, 256, 256),
            (256, 1000, 1000),
            (9000, 9000, 9000),
            (99, resource.RLIM_INFINITY, 4096),
        ],
    )
    def test_the_process_asks_for_more_descriptors(
        self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, now: int
    ) -> None:
        limits = [(soft, hard)]
        monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
        monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.append(wanted))
        http_server.raise_descriptor_limit()
        assert limits[-1] == (now, hard)

    async def test_a_backlog_is_taken_a_few_at_a_time(self) -> None:
        with http_server.listen("127.0.0.1", 0) as listener, contextlib.ExitStack() as stack:
            listener.setblocking(False)
            for _ in range(http_server.ACCEPTED_AT_ONCE + 3):
                stack.enter_context(socket.create_connection(listener.getsockname()))
            turns = [taken(listener, stack), taken(listener, stack), taken(listener, stack)]
        assert turns == [http_server.ACCEPTED_AT_ONCE, 3, 0]


def taken(listener: http_server.Listener, stack: contextlib.ExitStack) -> int:
    """Accept as asyncio does in one turn, and return the number of connections."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            stack.enter_context(listener.accept()[0])
            count += 1
    return count


class TestWords:
    async def test_a_flood_is_logged_once_in_a_while(self, capsys: pytest.CaptureFixture[str]) -> None:
        async with running(Limits(connections=4)) as server:
            for _ in range(50):
                assert (await server.said(b"\x16\x03\x01 not HTTP\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert capsys.readouterr().out.count("malformed requests") == 1

    @pytest.mark.parametrize("target", [b"/%77here", b"http://here/where", b"/where/../where", b"//where"])
    async def test_an_app_sees_the_target_as_it_was_sent(self, target: bytes) -> None:
        async with running(Limits()) as server:
            await server.said(b"GET " + target + b"?x=1 HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            assert server.seen == [target.decode()]

    async def test_an_upgrade_is_answered_as_if_nobody_had_asked_for_it(self) -> None:
        asked = b"GET /where HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        async with running(Limits()) as server:
            said = await server.said(asked)
        assert said.startswith(b"HTTP/1.1 200 ")
        assert said.endswith(b"/where")
