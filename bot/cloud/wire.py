"""One exchange over HTTP: a reply of bounded length, or what its loss means.

Must not know what is asked, nor what the words of a reply mean: those are in `bodies`.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Final

import httpx

from bot.cloud import bodies
from bot.lifecycle.cloud_failure import CloudFailure, Fault

MAX_BODY: Final = 1 << 20

NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
"""Errors after which the other side has certainly seen nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HttpReply:
    """What came back; its repr shows neither headers nor body, which may hold secrets."""

    http_status: int
    headers: httpx.Headers = dataclasses.field(repr=False)
    body: bytes = dataclasses.field(repr=False)

    @property
    def succeeded(self) -> bool:
        """Whether the other side says so."""
        return 200 <= self.http_status < 300

    def fields(self) -> Mapping[str, object]:
        """Return the JSON object of the body; none where it cannot be read."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


def phases(timeout: float) -> httpx.Timeout:
    """Return the bounds of the parts of a try that takes at most `timeout` seconds.

    Connecting (an address, then TLS) and waiting for a free connection end well before the whole try does. So a try
    that never left ends with an error that says so; past the deadline the call may have been carried out.
    """
    return httpx.Timeout(timeout, connect=timeout * 0.3, pool=timeout * 0.2)


async def exchange(client: httpx.AsyncClient, request: httpx.Request, *, auth: httpx.Auth | None = None) -> HttpReply:
    """Send a request once and read the reply, up to a length that none of ours has. Raises what httpx raises."""
    response = await client.send(request, auth=auth, stream=True, follow_redirects=False)
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BODY:
                break  # what came of it cannot be read
    finally:
        await response.aclose()
    return HttpReply(http_status=response.status_code, headers=response.headers, body=bytes(body))


def lost(fault: Fault, error: Exception, *, secrets: Iterable[str]) -> CloudFailure:
    """Tell of an exchange that brought no reply."""
    # h11 quotes the header that it will not send, and that may be a key with a stray newline.
    quotable = str(error) and not isinstance(error, httpx.LocalProtocolError)
    words = f"{type(error).__name__}: {error}" if quotable else type(error).__name__
    return CloudFailure(fault=fault, message=bodies.shown(words, secrets=secrets))
