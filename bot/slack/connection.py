"""One WebSocket to Slack: hello, pings, envelopes and their acknowledgements, close.

It knows nothing about tickets or the meaning of an envelope. An envelope is acknowledged on the connection that
delivered it; whether Slack accepts the acknowledgement on another one is not documented.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import structlog
from aiohttp import WSMsgType

from bot.slack import payloads
from bot.usecases import ports
from bot.usecases.tasks import TaskSet

PING_EVERY: Final = 5.0
"""Seconds between pings."""

UNANSWERED: Final = 2
"""Consecutive pings without hearing anything, Slack's own pings included, after which the connection counts as dead."""

FINISH_WITHIN: Final = 3.0
"""Seconds to wait for pending acknowledgements when closing; each has two."""

CLOSE_WITHIN: Final = 1.0
"""Seconds to wait for Slack to answer our close."""

LINGER: Final = 30.0
"""Seconds to keep reading a connection after its successor said hello, unless Slack closes it first."""

ENDS: Final = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)

Envelope = dict[str, Any]
Take = Callable[[Envelope], Awaitable[dict[str, Any] | None]]
"""Handles an envelope and returns its acknowledgement, or None to send none."""

log = structlog.get_logger()


class Connection:
    """A newly opened WebSocket. Once `leaving` is set, `reason` says why the connection must be replaced."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, *, take: Take, clock: ports.Clock) -> None:
        self._socket = socket
        self._take = take
        self._clock = clock
        self._heard = False
        self._acknowledgements = TaskSet()
        self._greeted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.leaving = asyncio.Event()
        self.over = asyncio.Event()
        self.reason = ""
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._watch())]

    async def greeted(self) -> bool:
        """Wait for the hello; return False if the connection ended without one."""
        return await asyncio.shield(self._greeted)

    @property
    def is_live(self) -> bool:
        """Whether envelopes can arrive."""
        return self._greeted.done() and self._greeted.result() and not self.over.is_set()

    async def linger(self) -> None:
        """Handle what Slack still sends here until it closes the connection, for at most 30 seconds; then finish."""
        waits = [asyncio.ensure_future(self.over.wait()), asyncio.ensure_future(self._clock.sleep(LINGER))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _ended(*waits)
            await self.finish()

    async def finish(self) -> None:
        """Stop reading, finish the pending acknowledgements, and close."""
        await _ended(*self._tasks)
        await self._acknowledgements.drain(within=FINISH_WITHIN)
        await self._socket.close()

    async def _read(self) -> None:
        try:
            while (frame := await self._socket.receive()).type not in ENDS:
                self._heard = True
                if frame.type is WSMsgType.PING:
                    await self._socket.pong(frame.data)
                elif frame.type is WSMsgType.TEXT:
                    self._hear(frame.data)
        except (aiohttp.ClientError, OSError) as failure:
            self._leave(type(failure).__name__)
        finally:
            self._end("closed")

    def _hear(self, text: str) -> None:
        try:
            message = payloads.parse(text.encode(), "application/json")
        except (ValueError, RecursionError):
            log.warning("delivery rejected", status=400, reason="malformed")
            return
        if message.get("type") == "hello" and not self._greeted.done():
            self._greeted.set_result(True)
        elif message.get("type") == "disconnect":
            self._leave(str(message.get("reason")))
        elif isinstance(message.get("envelope_id"), str):
            self._acknowledgements.start(self._answer(message))

    async def _answer(self, envelope: Envelope) -> None:
        acknowledgement = await self._take(envelope)
        if acknowledgement is None:
            return
        try:
            await self._socket.send_json(acknowledgement)
        except (aiohttp.ClientError, OSError) as failure:
            log.warning("connection closed before the acknowledgement", reason=type(failure).__name__)

    async def _watch(self) -> None:
        """Ping, and end the connection when nothing is heard any more.

        It counts pings, not seconds: after the machine has slept, the first check must not end a healthy connection.
        """
        unanswered = 0
        while unanswered < UNANSWERED:
            self._heard = False
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(PING_EVERY):
                    await self._socket.ping()
            await self._clock.sleep(PING_EVERY)
            unanswered = 0 if self._heard else unanswered + 1
        self._end("silent")

    def _leave(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.leaving.set()

    def _end(self, reason: str) -> None:
        self._leave(reason)
        self.over.set()
        if not self._greeted.done():
            self._greeted.set_result(False)


async def _ended(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
