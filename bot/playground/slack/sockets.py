"""Socket Mode as Slack implements it: single-use tickets, WebSockets, envelopes and their acknowledgements.

Each envelope goes to one connection and must be acknowledged on it within three seconds. Knows no payload's meaning.
From "Using Socket Mode" on docs.slack.dev; where that leaves a question open, this is strict: an acknowledgement on
another connection does not count.
"""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Literal

from aiohttp import WSMsgType, web

from bot.playground.slack.acks import ACK_SECONDS, Ack, Sent
from bot.playground.slack.errors import NotPossible
from bot.playground.slack.faults import HANDSHAKE, Faults
from bot.playground.slack.records import Json
from bot.usecases import ports

MOST = 10
TICKET_SECONDS = 60.0
STATUS: Final = {"server_error": 500, "ratelimited": 429}

Kind = Literal["slash_commands", "interactive", "events_api"]


class Line:
    """One connection of the bot; `silent` blocks both directions, as a dead network would.

    `drop` cuts it.
    """

    def __init__(self, socket: web.WebSocketResponse, drop: Callable[[], None]) -> None:
        self.socket = socket
        self.silent = False
        self.pongs = 0
        self.waiting: dict[str, asyncio.Future[Json | None]] = {}
        self.drop = drop

    async def send(self, message: Json) -> None:
        """Send a message, unless the line is silent or gone."""
        if not self.silent:
            with suppress(ConnectionError):
                await self.socket.send_json(message)

    async def disconnect(self, reason: str) -> None:
        """Announce the end of the connection, as Slack does about ten seconds before it."""
        await self.send({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-playground"}})

    async def close(self) -> None:
        """Close it gracefully."""
        await self.socket.close()

    def over(self) -> None:
        """End every wait for an acknowledgement."""
        for waiting in self.waiting.values():
            if not waiting.done():
                waiting.set_result(None)


class AppConnections:
    """The app's connections, oldest first, and their events.

    `knocks` are the tickets of all handshakes; `strays` are acknowledgements that match no envelope of their
    connection. `mute` suppresses the hello; `duplicates` is the number of envelopes still to be sent twice.
    """

    def __init__(self, *, clock: ports.Clock, faults: Faults, app_id: str, changed: Callable[[], None]) -> None:
        self.lines: list[Line] = []
        self.knocks: list[str] = []
        self.strays: list[Json] = []
        self.mute = False
        self.duplicates = 0
        self._clock = clock
        self._faults = faults
        self._app_id = app_id
        self._changed = changed
        self._all: list[Line] = []
        self._tickets: dict[str, float] = {}
        self._issued = 0
        self._turn = 0
        self._web = web.Server(self._serve, access_log=None)
        self._server: asyncio.Server | None = None
        self._starting = asyncio.Lock()
        self._base = ""

    async def start(self) -> None:
        """Start listening, unless it does already."""
        async with self._starting:  # two tickets may be asked for at once
            if self._server is None:
                self._web = web.Server(self._serve, access_log=None)
                self._server = await asyncio.get_running_loop().create_server(self._web, "127.0.0.1", 0)
                self._base = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/link/"

    async def stop(self) -> None:
        """Cut every connection and stop listening."""
        if self._server is None:
            return
        self._server.close()
        for line in list(self._all):
            line.drop()
        await self._web.shutdown(timeout=1.0)
        await self._server.wait_closed()
        self._server = None

    def ticket(self) -> str:
        """Return a URL that is valid for one connection."""
        self._issued += 1
        ticket = f"ticket-{self._issued}"
        self._tickets[ticket] = self._clock.now()
        return f"{self._base}?ticket={ticket}&app_id={self._app_id}"

    # Delivering

    async def deliver(
        self, kind: Kind, payload: Json, *, accepts: bool = False, retry: int = 0, reason: str = ""
    ) -> Ack:
        """Send an envelope over one of the connections and wait for its acknowledgement.

        `accepts` allows a payload in the acknowledgement. Only events are retried, with their number `retry` and a
        reason.
        """
        self._issued += 1
        envelope = {"envelope_id": f"envelope-{self._issued}", "type": kind, "payload": payload}
        again = {"retry_attempt": retry, "retry_reason": reason} if kind == "events_api" else {}
        return await self._send({**envelope, "accepts_response_payload": accepts, **again})

    async def deliver_again(self, ack: Ack) -> Ack:
        """Send an earlier envelope again."""
        if ack.sent is None:
            raise NotPossible("there is no delivery to send again")
        return await self._send(json.loads(ack.sent.body))

    async def _send(self, envelope: Json) -> Ack:
        started, sent = time.perf_counter(), Sent(body=json.dumps(envelope).encode(), headers={})
        if not self.lines:
            return Ack(error="no connection", sent=sent)
        lines = [self._next()]
        if self.duplicates:
            self.duplicates -= 1
            lines.append(self._next())
        answers = [self._expect(line, envelope["envelope_id"]) for line in lines]
        for line in lines:
            await line.send(envelope)
        deadline = asyncio.ensure_future(self._clock.sleep(ACK_SECONDS))
        try:
            await asyncio.wait((answers[0], deadline), return_when=asyncio.FIRST_COMPLETED)
        finally:
            deadline.cancel()
            with suppress(asyncio.CancelledError):
                await deadline
        latency = time.perf_counter() - started
        if not answers[0].done():
            lines[0].waiting.pop(envelope["envelope_id"], None)
            return Ack(timed_out=True, latency=latency, sent=sent)
        answer = answers[0].result()
        if answer is None:
            return Ack(error="the connection ended without an acknowledgement", latency=latency, sent=sent)
        return _ack(envelope, answer, latency=latency, sent=sent)

    def _next(self) -> Line:
        self._turn += 1
        return self.lines[self._turn % len(self.lines)]

    def _expect(self, line: Line, id: str) -> asyncio.Future[Json | None]:
        if id not in line.waiting:
            line.waiting[id] = asyncio.get_running_loop().create_future()
        return line.waiting[id]

    # Serving

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        self.knocks.append(ticket)
        if fault := self._faults.take(HANDSHAKE):
            if fault.kind.startswith("drop"):
                _abort(request)
            return web.Response(status=STATUS.get(fault.kind) or int(fault.code or 400))
        issued = self._tickets.pop(ticket, None)
        if issued is None or self._clock.now() - issued > TICKET_SECONDS:
            return web.Response(status=404)
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        line = Line(socket, lambda: _abort(request))
        if len(self.lines) >= MOST:
            await line.disconnect("too_many_websockets")
            await line.close()
            return socket
        self._all.append(line)
        try:
            await self._greet(line)
            async for message in socket:
                await self._hear(line, message.type, message.data)
        finally:
            self._all.remove(line)
            if line in self.lines:
                self.lines.remove(line)
            line.over()
            self._changed()
        return socket

    async def _greet(self, line: Line) -> None:
        if self.mute:
            return
        about = {"num_connections": len(self.lines) + 1, "connection_info": {"app_id": self._app_id}}
        await line.send({"type": "hello", **about, "debug_info": {"host": "applink-playground"}})
        await line.socket.ping(b"Ping from applink-playground")
        self.lines.append(line)
        self._changed()

    async def _hear(self, line: Line, kind: WSMsgType, data: Any) -> None:
        if line.silent:
            return
        if kind is WSMsgType.PING:
            await line.socket.pong(data)
        elif kind is WSMsgType.PONG:
            line.pongs += 1
            self._changed()
        elif kind is WSMsgType.TEXT:
            answer = json.loads(data)
            waiting = line.waiting.pop(str(answer.get("envelope_id")), None)
            if waiting is None or waiting.done():
                self.strays.append(answer)
            else:
                waiting.set_result(answer)


def _abort(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


def _ack(envelope: Json, answer: Json, *, latency: float, sent: Sent) -> Ack:
    """Return an acknowledgement in the form that it has over HTTP."""
    payload = answer.get("payload")
    unwanted = ("a payload where none is accepted",) if payload and not envelope["accepts_response_payload"] else ()
    if payload is None or unwanted:
        return Ack(status=200, latency=latency, sent=sent, problems=unwanted)
    body = json.dumps(payload)
    return Ack(status=200, body=body, content_type="application/json", latency=latency, sent=sent)
