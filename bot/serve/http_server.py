"""The HTTP port: uvicorn with limits, since nothing says that a proxy stands in front.

Owns how many bytes and how much time a request may take, and how many connections may be open. Knows no path and no
delivery.
"""

import asyncio
import contextlib
import dataclasses
import resource
import socket
from collections.abc import Iterator
from typing import Any, Final, Literal

import httptools
import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from bot.settings.log import Throttle

CLOSE_WITHIN: Final = 3
"""Seconds that a shutdown waits for connections that are still open."""

RESERVED: Final = 160
"""File descriptors kept for the database, for calls to Slack and to the cloud, and for the process itself."""

FEWEST: Final = 16
"""Connections that are allowed however few descriptors there are."""

WANTED: Final = 4096
"""File descriptors that the process asks for, where the system lets it have them."""

ACCEPTED_AT_ONCE: Final = 16
"""Connections taken in one turn of the event loop, so that the limit is looked at before the descriptors are gone."""

PIPELINED: Final = 8
"""Requests that may wait behind the one being answered on a connection. Neither Slack nor proxies send any."""

Phase = Literal["head", "body", "idle"]

log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What one connection may take, and how many there may be. Times are in seconds."""

    head_bytes: int = 16 * 1024
    """Request line and headers, and likewise trailers and the framing of a chunked body."""

    head_within: float = 5.0
    """From the opening of the connection, or the first byte of a later request, to the end of the headers."""

    body_within: float = 10.0
    """From the end of the headers to the end of the body, also of one that nobody reads."""

    write_within: float = 10.0
    """For a caller to take the answer."""

    idle: float = 75.0
    """Between two requests: longer than proxies keep a connection, so that none is closed as it is used again."""

    connections: int = 2000


class Server(uvicorn.Server):
    """uvicorn, with signals left to us: it would end the process with the signal's own exit code."""

    def finish(self) -> None:
        """Stop accepting and answer what is in flight."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


class Config(uvicorn.Config):
    """uvicorn's settings, with our limits."""

    def __init__(self, app: ASGIApp, *, limits: Limits) -> None:
        """Use the C parser, our logging, and the plain loop (uvloop's p99 was far longer)."""
        super().__init__(
            app,
            http=HttpConnection,
            interface="asgi3",
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=limits.idle,  # type: ignore[arg-type]  # it is only ever a delay
            timeout_graceful_shutdown=CLOSE_WITHIN,
        )
        self.limits = limits
        self.throttle = Throttle()
        self.waiting: dict[Phase, dict[HttpConnection, None]] = {"head": {}, "body": {}, "idle": {}}


def config(app: ASGIApp, *, limits: Limits | None = None) -> Config:
    """Return how uvicorn serves the app; without limits, those that fit the descriptors of this process."""
    return Config(app, limits=limits or Limits(connections=_connections()))


def raise_descriptor_limit() -> None:
    """Let the process open as many files as it wants, or as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _connections() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return Limits.connections
    return max(FEWEST, min(Limits.connections, soft - RESERVED))


class Listener(socket.socket):
    """A listening socket from which one turn of the event loop takes a few connections, not a whole backlog."""

    _taken = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection. Raises BlockingIOError after a few, and when there is none."""
        if self._taken >= ACCEPTED_AT_ONCE:
            self._taken = 0
            raise BlockingIOError
        self._taken += 1
        try:
            return super().accept()
        except OSError:
            self._taken = 0
            raise


def listen(host: str, port: int) -> Listener:
    """Return a listening socket.

    asyncio sets TCP_NODELAY only on sockets that it makes; without it an answer in two writes waits 40 ms for an ack.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = Listener(fileno=socket.create_server((host, port), family=family).detach())
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class HttpConnection(HttpToolsProtocol):
    """One connection, within limits.

    At the limit of connections a newcomer takes the place of the one that has waited longest, first among those that
    have not sent a whole request. Where all others are being answered, the newcomer is refused.
    """

    config: Config

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = config.limits
        self._waiting = config.waiting
        self._stands_in: dict[HttpConnection, None] | None = None
        self._phase: Phase = "head"
        self._number = 0
        self._framing = 0
        self._discarding = False
        self._timed: tuple[int, Phase] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._lingering: asyncio.TimerHandle | None = None

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or refuse it."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            oldest = next((other for phase in self._waiting.values() for other in phase), self)
            oldest._drop("too many connections")
        if not self._is_over:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything that waits."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._stop_waiting()
        self._stop_timing()
        if self._lingering is not None:
            self._lingering.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless it is too much."""
        if self._is_over:
            return
        self._unset_keepalive_if_required()
        self._framing += len(data)
        if self._phase == "idle":
            self._phase = "head"
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # it is answered in HTTP/1.1, and nothing after it is read
        except httptools.HttpParserError:
            self._refuse(b"400 Bad Request", "malformed requests")
        if self._framing > self._limits.head_bytes:
            self._refuse(b"431 Request Header Fields Too Large", "too large headers")
        if not self._is_over:
            self._watch()

    def pause_writing(self) -> None:
        """Give a caller who does not read some time."""
        super().pause_writing()
        self._linger()

    def resume_writing(self) -> None:
        """Take the time away again from a caller who reads."""
        super().resume_writing()
        if self._lingering is not None and not self._is_over:
            self._lingering.cancel()
            self._lingering = None

    # What the parser calls

    def on_headers_complete(self) -> None:
        """Start the answer, unless the headers are too large or too many requests wait for theirs."""
        if self._framing > self._limits.head_bytes and self._head() > self._limits.head_bytes:
            self._refuse(b"431 Request Header Fields Too Large", "too large headers")
            raise _NoMore
        if len(self.pipeline) >= PIPELINED:
            self._drop("too many requests at once on a connection")
            raise _NoMore
        super().on_headers_complete()
        self.scope["raw_path"] = self.url.partition(b"?")[0]  # as it was sent, also where that is no path
        self._phase = "body"
        self._framing = 0

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; how long the body may be is for whoever reads it."""
        self._framing -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is there whole."""
        super().on_message_complete()
        self._phase = "idle"
        self._number += 1
        self._framing = 0

    # What the answer calls

    def on_response_complete(self) -> None:
        """Wait for the next request, or let a caller take the last answer, but not for ever."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._linger()
        elif not self._discarding:
            self._watch()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also one whose caller has never taken the answer."""
        super().timeout_keep_alive_handler()
        self._linger()

    # Limits

    @property
    def _is_over(self) -> bool:
        return self._discarding or self.transport.is_closing()

    @property
    def _is_answering(self) -> bool:
        """Tell whether a request that is there whole has no whole answer yet."""
        unanswered = self.cycle is not None and not self.cycle.response_complete
        return bool(self.pipeline) or (unanswered and self._phase != "body")

    def _head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _watch(self) -> None:
        """Give what has begun to arrive its time, and an idle connection too."""
        is_answering = self._is_answering
        if self._phase == "idle":
            self._stop_timing()
            if self.timeout_keep_alive_task is None and not is_answering:
                self.timeout_keep_alive_task = self.loop.call_later(self._limits.idle, self.timeout_keep_alive_handler)
        elif self._timed != (self._number, self._phase):
            self._stop_timing()
            self._timed = (self._number, self._phase)
            within = self._limits.head_within if self._phase == "head" else self._limits.body_within
            self._deadline = self.loop.call_later(within, self._late)
        stands_in = None if is_answering else self._waiting[self._phase]
        if stands_in is not self._stands_in:
            self._stop_waiting()
            self._stands_in = stands_in
            if stands_in is not None:
                stands_in[self] = None

    def _stop_waiting(self) -> None:
        if self._stands_in is not None:
            del self._stands_in[self]
            self._stands_in = None

    def _stop_timing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = self._timed = None

    def _late(self) -> None:
        if self._phase == "head" and self._framing:
            self._refuse(b"408 Request Timeout", "slow requests")
        else:
            self._drop("slow requests" if self._phase == "body" else "silent connections")

    def _refuse(self, status: bytes, why: str) -> None:
        """Answer a request that goes no further, and read nothing more: what still comes is thrown away for a while.

        To close at once would take the answer away from a caller who is still sending.
        """
        if self._is_over:
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._drop(why)
            return
        self._say(why)
        self._discarding = True
        self._stop_timing()
        self.transport.write(b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status)
        self.transport.write_eof()
        self._linger()

    def _drop(self, why: str) -> None:
        self._say(why)
        self.connections.discard(self)
        self._stop_waiting()
        self.transport.abort()

    def _linger(self) -> None:
        if self._lingering is None:
            self._lingering = self.loop.call_later(self._limits.write_within, self.transport.abort)

    def _say(self, why: str) -> None:
        suppressed = self.config.throttle.passes(why, now=self.loop.time())
        if suppressed is not None:
            more = {"suppressed": suppressed} if suppressed else {}
            log.warning("connection rejected", reason=why, **more)


class _NoMore(Exception):
    """Keeps the parser from going on."""
