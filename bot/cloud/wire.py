"""One HTTP exchange: a reply of bounded length, or what its loss means.

Must not know what the request is for, nor the meaning of a reply's content, which is in `bodies`.
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
"""Errors after which the request certainly never reached the server."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HttpReply:
    """A reply; its repr shows neither headers nor body, which may contain secrets."""

    http_status: int
    headers: httpx.Headers = dataclasses.field(repr=False)
    body: bytes = dataclasses.field(repr=False)

    @property
    def succeeded(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.http_status < 300

    def fields(self) -> Mapping[str, object]:
        """The JSON object in the body; empty if it cannot be parsed."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


def phases(timeout: float) -> httpx.Timeout:
    """Return httpx timeouts for a try that takes at most `timeout` seconds.

    Connecting (an address, then TLS) and waiting for a free connection end well before the whole try. So a try that
    never left fails with an error that says so; past the deadline the call may have been carried out.
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
                break  # too long to be parsed
    finally:
        await response.aclose()
    return HttpReply(http_status=response.status_code, headers=response.headers, body=bytes(body))


def lost(fault: Fault, error: Exception, *, secrets: Iterable[str]) -> CloudFailure:
    """Return the failure for an exchange without a reply."""
    # h11 quotes the header that it refuses to send, which may be a key with a stray newline.
    quotable = str(error) and not isinstance(error, httpx.LocalProtocolError)
    words = f"{type(error).__name__}: {error}" if quotable else type(error).__name__
    return CloudFailure(fault=fault, message=bodies.shown(words, secrets=secrets))
