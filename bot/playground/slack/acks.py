"""Deliveries over the wire: signing, sending within Slack's three seconds, and the acknowledgement.

Knows no payload's meaning. Signs as in "Verifying requests from Slack".
"""

import asyncio
import hashlib
import hmac
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from bot.playground.slack.records import PostedMessage
from bot.usecases import ports

ACK_SECONDS = 3.0
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The bytes of a delivery, so that it can be sent again."""

    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Ack:
    """The bot's answer to a delivery.

    Without a status there was no answer: not within three seconds (`timed_out`), a network error (`error`), or nothing
    was delivered (`sent` is None). `shown` is the message that the answer became; `problems` say why Slack would not
    show it.
    """

    status: int | None = None
    body: str = ""
    content_type: str = ""
    latency: float = 0.0
    timed_out: bool = False
    error: str = ""
    no_retry: bool = False
    attempts: int = 1
    sent: Sent | None = None
    shown: PostedMessage | None = None
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether Slack counts it as received."""
        return self.status == 200

    @property
    def json(self) -> Any:
        """The body as JSON; None if it is empty or not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def signature(secret: str, body: bytes, timestamp: int) -> dict[str, str]:
    """Return the two headers with which Slack signs a body."""
    base = b"v0:%d:%b" % (timestamp, body)
    digest = hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": str(timestamp), "X-Slack-Signature": f"v0={digest}"}


class Wire:
    """The connections from Slack to the bot."""

    def __init__(self, *, clock: ports.Clock) -> None:
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def send(self, url: str, sent: Sent) -> Ack:
        """Send a delivery, and give up after three seconds of the clock."""
        started = time.perf_counter()
        answer = asyncio.ensure_future(self._post(url, sent))
        deadline = asyncio.ensure_future(self._clock.sleep(ACK_SECONDS))
        try:
            await asyncio.wait((answer, deadline), return_when=asyncio.FIRST_COMPLETED)
            latency = time.perf_counter() - started
            if not answer.done():
                return Ack(timed_out=True, latency=latency, sent=sent)
            status, headers, body = answer.result()
        except aiohttp.ClientError as error:
            return Ack(error=f"{type(error).__name__}: {error}", latency=time.perf_counter() - started, sent=sent)
        finally:
            for task in (answer, deadline):
                task.cancel()
                with suppress(asyncio.CancelledError, aiohttp.ClientError):
                    await task
        return Ack(
            status=status,
            body=body,
            content_type=headers.get("content-type", ""),
            latency=latency,
            no_retry=headers.get("x-slack-no-retry") == "1",
            sent=sent,
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, url: str, sent: Sent) -> tuple[int, dict[str, str], str]:
        if self._session is None:
            # A new connection for each delivery: one that the bot has just closed would look like the bot's failure.
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        async with self._session.post(url, data=sent.body, headers=sent.headers, allow_redirects=False) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return response.status, headers, await response.text(errors="replace")
