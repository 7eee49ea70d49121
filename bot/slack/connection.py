"""One WebSocket to Slack: its hello, its pings, its envelopes with their acknowledgements, its end.

It knows neither tickets nor what an envelope means. Each envelope is acknowledged on the connection that brought it;
whether Slack takes an acknowledgement from another one is not documented.
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
"""Seconds between two pings."""

UNANSWERED: Final = 2
"""Pings in a row after which nothing at all was heard, not even Slack's own pings: the connection is dead."""

FINISH_WITHIN: Final = 3.0
"""Seconds that the end waits for acknowledgements; each has two."""

CLOSE_WITHIN: Final = 1.0
"""Seconds that Slack has to answer our close."""

LINGER: Final = 30.0
"""Seconds that a connection is still read after its successor said hello, if Slack does not close it before."""

ENDS: Final = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)

Envelope = dict[str, Any]
Take = Callable[[Envelope], Awaitable[dict[str, Any] | None]]
"""Takes an envelope and returns its acknowledgement, or None where Slack shall see none."""

log = structlog.get_logger()


class Connection:
    """A WebSocket that was just opened; `reason` says why it is to be left, once `leaving` is set."""

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
        """Wait for the hello; False when the connection ended without."""
        return await asyncio.shield(self._greeted)

    @property
    def is_live(self) -> bool:
        """Whether envelopes can come."""
        return self._greeted.done() and self._greeted.result() and not self.over.is_set()

    async def linger(self) -> None:
        """Take what Slack still sends here, until it closes the connection or for half a minute; then finish."""
        waits = [asyncio.ensure_future(self.over.wait()), asyncio.ensure_future(self._clock.sleep(LINGER))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _ended(*waits)
            await self.finish()

    async def finish(self) -> None:
        """Read no more, acknowledge what was taken, and close."""
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
        """Ping, and end a connection over which nothing comes any more.

        It counts pings, not seconds: after a machine has slept, the first look must not end what is alive.
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
