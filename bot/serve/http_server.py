"""The HTTP server: uvicorn with limits, because it may not be behind a proxy.

Owns how many bytes and how much time a request may take, and how many connections may be open. It knows no path and no
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
"""Seconds that a shutdown waits for open connections."""

RESERVED: Final = 160
"""File descriptors reserved for the database, calls to Slack and the cloud, and the process itself."""

FEWEST: Final = 16
"""Connections that are always allowed, however few descriptors there are."""

WANTED: Final = 4096
"""File descriptors that the process asks the system for."""

ACCEPTED_AT_ONCE: Final = 16
"""Connections accepted per turn of the event loop, so that the limit is checked before the descriptors run out."""

PIPELINED: Final = 8
"""Requests that may wait behind the one being answered on a connection. Neither Slack nor proxies pipeline any."""

Phase = Literal["head", "body", "idle"]

log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one connection, and of their number. Times are in seconds."""

    head_bytes: int = 16 * 1024
    """Request line and headers; also trailers and the framing of a chunked body."""

    head_within: float = 5.0
    """From opening the connection, or the first byte of a later request, to the end of the headers."""

    body_within: float = 10.0
    """From the end of the headers to the end of the body, even if nobody reads it."""

    write_within: float = 10.0
    """For the client to read the response."""

    idle: float = 75.0
    """Between two requests: longer than proxies keep a connection, so that none is closed while it is reused."""

    connections: int = 2000


class Server(uvicorn.Server):
    """uvicorn without its signal handling, which would end the process with the signal's own exit code."""

    def finish(self) -> None:
        """Stop accepting, and answer the requests in progress."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class Config(uvicorn.Config):
    """uvicorn's settings with our limits."""

    def __init__(self, app: ASGIApp, *, limits: Limits) -> None:
        """Use the C parser, our logging, and the plain asyncio loop (uvloop's p99 was much longer)."""
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
    """Return uvicorn's settings for the app; the default limits fit the file descriptors of this process."""
    return Config(app, limits=limits or Limits(connections=_connections()))


def raise_descriptor_limit() -> None:
    """Raise the limit of open files to what the process wants, as far as the system allows."""
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
    """A listening socket that accepts only a few connections per turn of the event loop, not the whole backlog."""

    _taken = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection. Raises BlockingIOError after a few, or if there is none."""
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

    asyncio sets TCP_NODELAY only on sockets that it creates; without it, a response in two writes waits 40 ms for an
    ACK.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = Listener(fileno=socket.create_server((host, port), family=family).detach())
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class HttpConnection(HttpToolsProtocol):
    """One connection, within limits.

    At the limit of connections, a new one replaces the one that has waited longest, preferring those without a complete
    request. If all others are being answered, the new one is refused.
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

    # Called by asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, or refuse it."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            oldest = next((other for phase in self._waiting.values() for other in phase), self)
            oldest._drop("too many connections")
        if not self._is_over:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything that waits for the connection."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._stop_waiting()
        self._stop_timing()
        if self._lingering is not None:
            self._lingering.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse the data, unless it is too much."""
        if self._is_over:
            return
        self._unset_keepalive_if_required()
        self._framing += len(data)
        if self._phase == "idle":
            self._phase = "head"
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # it is answered as HTTP/1.1, and nothing after it is read
        except httptools.HttpParserError:
            self._refuse(b"400 Bad Request", "malformed requests")
        if self._framing > self._limits.head_bytes:
            self._refuse(b"431 Request Header Fields Too Large", "too large headers")
        if not self._is_over:
            self._watch()

    def pause_writing(self) -> None:
        """Start the time limit for a client that does not read."""
        super().pause_writing()
        self._linger()

    def resume_writing(self) -> None:
        """Stop the time limit once the client reads."""
        super().resume_writing()
        if self._lingering is not None and not self._is_over:
            self._lingering.cancel()
            self._lingering = None

    # Called by the parser

    def on_headers_complete(self) -> None:
        """Start the response, unless the headers are too large or too many requests wait."""
        if self._framing > self._limits.head_bytes and self._head() > self._limits.head_bytes:
            self._refuse(b"431 Request Header Fields Too Large", "too large headers")
            raise _NoMore
        if len(self.pipeline) >= PIPELINED:
            self._drop("too many requests at once on a connection")
            raise _NoMore
        super().on_headers_complete()
        self.scope["raw_path"] = self.url.partition(b"?")[0]  # as sent, even if it is not a valid path
        self._phase = "body"
        self._framing = 0

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body; its reader limits the length."""
        self._framing -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is complete."""
        super().on_message_complete()
        self._phase = "idle"
        self._number += 1
        self._framing = 0

    # Called by the response

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the client to read the last response, within a time limit."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._linger()
        elif not self._discarding:
            self._watch()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even if the client never read the response."""
        super().timeout_keep_alive_handler()
        self._linger()

    # Limits

    @property
    def _is_over(self) -> bool:
        return self._discarding or self.transport.is_closing()

    @property
    def _is_answering(self) -> bool:
        """Whether a complete request has no complete response yet."""
        unanswered = self.cycle is not None and not self.cycle.response_complete
        return bool(self.pipeline) or (unanswered and self._phase != "body")

    def _head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _watch(self) -> None:
        """Start the time limit for what has begun to arrive, or for an idle connection."""
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
        """Refuse a request and read no more of it; what still arrives is discarded for a while.

        Closing at once would lose the response for a client that is still sending.
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
    """Stops the parser."""
