"""The guard: the first check of every HTTP delivery.

It checks size, signature, age and workspace, reads the body once, and passes Slack's dict on. Bad input gets a 4xx with
a short reason, no record and no effect. It never logs a body, and does not know what a delivery means.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from bot.settings.log import Throttle
from bot.slack import payloads
from bot.slack.installation import Installation
from bot.usecases import ports

MAX_BODY: Final = 1024 * 1024
"""Maximum bytes of one delivery; Slack's own are far smaller."""

MAX_BODIES: Final = 64 * 1024 * 1024
"""Maximum bytes of all deliveries being read at the same time."""

BODY_WITHIN: Final = 5.0
"""Seconds within which the whole delivery must arrive."""

MAX_AGE: Final = 300.0
"""Maximum age of a signature in seconds, as Slack recommends."""

MAX_AHEAD: Final = 60.0
"""Maximum seconds that a signature may be ahead of our clock."""

log = structlog.get_logger()


class Rejected(Exception):
    """A rejected delivery, with the status and the reason for its sender."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Guard:
    """An endpoint that accepts only deliveries that Slack signed for our workspace."""

    def __init__(
        self,
        *,
        signing_secret: str,
        installation: Installation,
        clock: ports.Clock,
        dispatch: Callable[[dict[str, Any]], Awaitable[Response]],
    ) -> None:
        self._secret = signing_secret.encode()
        self._installation = installation
        self._clock = clock
        self._dispatch = dispatch
        self._held = 0
        self._throttle = Throttle()

    async def receive(self, request: Request) -> Response:
        """Check a delivery and dispatch it."""
        try:
            body = await self._body(request)
            self._check_signature(request, body)
            payload = _payload(body, request.headers.get("content-type", ""))
            if payload.get("type") == "url_verification":
                return PlainTextResponse(str(payload.get("challenge", "")))
            self._check_team(payload)
            _check_shape(payload)
        except Rejected as rejected:
            self._say(rejected)
            return PlainTextResponse(rejected.reason, status_code=rejected.status)
        return await self._dispatch(payload)

    async def _body(self, request: Request) -> bytes:
        size = request.headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > MAX_BODY:
            raise Rejected(413, "too large")
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_WITHIN):
                async for chunk in request.stream():
                    body += chunk
                    self._held += len(chunk)
                    if len(body) > MAX_BODY:
                        raise Rejected(413, "too large")
                    if self._held > MAX_BODIES:
                        raise Rejected(503, "too many at once")
        except TimeoutError:
            raise Rejected(408, "too slow") from None
        except ClientDisconnect:
            raise Rejected(400, "cut off") from None
        finally:
            self._held -= len(body)
        return bytes(body)

    def _say(self, rejected: Rejected) -> None:
        suppressed = self._throttle.passes(rejected.reason, now=self._clock.now())
        if suppressed is not None:
            more = {"suppressed": suppressed} if suppressed else {}
            log.warning("delivery rejected", status=rejected.status, reason=rejected.reason, **more)

    def _check_signature(self, request: Request, body: bytes) -> None:
        stamp, signature = (
            request.headers.get("x-slack-request-timestamp", ""),
            request.headers.get("x-slack-signature", ""),
        )
        if not stamp or not signature:
            raise Rejected(401, "not signed")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            raise Rejected(401, "the timestamp is not a number")
        age = self._clock.now() - int(stamp)
        if age > MAX_AGE or age < -MAX_AHEAD:
            raise Rejected(401, "the timestamp is too old or ahead of the time")
        mac = hmac.new(self._secret, b"v0:" + stamp.encode() + b":" + body, hashlib.sha256)
        if not hmac.compare_digest(f"v0={mac.hexdigest()}".encode(), signature.encode("utf-8", "surrogateescape")):
            raise Rejected(401, "the signature does not fit")

    def _check_team(self, payload: dict[str, Any]) -> None:
        """Reject a delivery for another workspace; while ours is unknown, the worker checks before it decides."""
        if payloads.is_foreign(payload, ours=self._installation.teams()):
            raise Rejected(403, "another workspace")


def _check_shape(payload: dict[str, Any]) -> None:
    try:
        payloads.check(payload)
    except ValueError:
        raise Rejected(400, "incomplete") from None


def _payload(body: bytes, content_type: str) -> dict[str, Any]:
    try:
        return payloads.parse(body, content_type)
    except (ValueError, RecursionError):
        raise Rejected(400, "malformed") from None
