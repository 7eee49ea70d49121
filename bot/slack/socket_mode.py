"""Socket Mode, which needs no public address: two WebSockets to Slack, kept open.

Owns tickets, reconnecting and acknowledgements. slack_sdk's client is not used: it closes a connection before it opens
the next, retries a used ticket for ever, acknowledges on whichever connection is current, and stops without waiting for
running handlers. None of that can be changed from outside.
"""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from starlette.responses import JSONResponse, PlainTextResponse, Response

from bot.slack import failures, messages, payloads
from bot.slack.connection import CLOSE_WITHIN, Connection, Envelope
from bot.slack.installation import Installation
from bot.usecases import errors, ports
from bot.usecases.tasks import TaskSet

SOCKETS: Final = 2
"""Connections kept open, so that one works while the other is renewed. Slack allows ten per app, all replicas
together."""

OPEN_WITHIN: Final = 10.0
"""Seconds for the handshake and the hello."""

SHORTEST: Final = 1.0
LONGEST: Final = 60.0
"""Minimum and maximum seconds between two attempts to connect."""

SETTLED: Final = 60.0
"""Seconds after which a connection counts as having worked; after a shorter one the next attempt backs off."""

REFUSALS: Final = failures.OPERATORS | {
    *(
        "not_allowed_token_type",
        "access_denied",
        "team_access_not_granted",
        "org_login_required",
        "enterprise_is_restricted",
    ),
}
"""Error codes of `apps.connections.open` that mean that the token cannot open connections."""

OPERATORS: Final = {
    "link_disabled": "Socket Mode is switched off in the Slack app's settings; switch it on, or unset SLACK_APP_TOKEN",
    "too_many_websockets": "the Slack app has its ten connections already; run fewer replicas",
}
"""Reasons for a close that only an operator can fix."""

log = structlog.get_logger()


class Sockets:
    """The connections; each is replaced when Slack announces its end, when it ends, or when it falls silent."""

    def __init__(
        self,
        *,
        client: AsyncWebClient,
        app_token: str,
        installation: Installation,
        dispatch: Callable[[dict[str, Any]], Awaitable[Response]],
        clock: ports.Clock,
        chance: Callable[[], float],
        registry: CollectorRegistry,
    ) -> None:
        self._client = client
        self._session: aiohttp.ClientSession | None = None
        self._app_token = app_token
        self._installation = installation
        self._dispatch = dispatch
        self._clock = clock
        self._chance = chance
        self._spare: str | None = None
        self._open: set[Connection] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._lingering = TaskSet()
        self._reconnects = Counter(
            "flowbot_socket_reconnects", "Connections to Slack that were replaced.", registry=registry
        )
        connections = Gauge(
            "flowbot_socket_connections", "Connections over which Slack reaches flowbot.", registry=registry
        )
        connections.set_function(lambda: self.live)

    async def preflight(self) -> None:
        """Get the first ticket.

        Raises errors.ChatRefused if the app token is invalid, errors.ChatUnavailable if Slack does not answer.
        """
        self._spare = await self._ticket()

    def start(self) -> None:
        """Start connecting and handling envelopes."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), middlewares=[_once])
        self._keepers = [asyncio.create_task(self._keep(self._session)) for _ in range(SOCKETS)]

    async def stop(self) -> None:
        """Stop reading, acknowledge the envelopes already read, and close."""
        for task in self._keepers:
            task.cancel()
        await asyncio.gather(
            *self._keepers,
            self._lingering.cancel(),
            *(connection.finish() for connection in self._open),
            return_exceptions=True,
        )
        if self._session is not None:
            await self._session.close()

    @property
    def live(self) -> int:
        """The number of connections over which Slack can reach us."""
        return sum(connection.is_live for connection in self._open)

    # Keeping a connection open

    async def _keep(self, session: aiohttp.ClientSession) -> None:
        """Keep one connection open for ever, replacing it as needed."""
        failed = 0
        old: Connection | None = None
        while True:
            try:
                fresh = await self._connect(session)
            except errors.ChatError as failure:
                failed += 1
                await self._pause(failed, failure)
                continue
            if old is not None:
                self._let_go(old)
            began = self._clock.now()
            await fresh.leaving.wait()
            failed = 0 if self._clock.now() - began >= SETTLED else failed + 1
            self._reconnects.inc()
            old = fresh
            if fresh.over.is_set():
                self._let_go(fresh)
                old = None
            await self._after(fresh.reason, failed)

    async def _after(self, reason: str, failed: int) -> None:
        """Log why a connection is replaced, and wait if the next one should not follow at once."""
        if reason in OPERATORS:
            log.error(OPERATORS[reason], reason=reason)
            await self._clock.sleep(LONGEST)
            return
        log.info("Slack connection is being replaced", reason=reason)
        if failed > 1:
            await self._clock.sleep(self._backoff(failed))

    async def _pause(self, failed: int, failure: errors.ChatError) -> None:
        wait = self._backoff(failed)
        if isinstance(failure, errors.ChatRefused):
            wait = LONGEST
        elif isinstance(failure, errors.ChatUnavailable) and failure.retry_after:
            wait = max(wait, failure.retry_after)
        log.warning("no connection to Slack", reason=str(failure), again_in=round(wait, 1), live=self.live)
        await self._clock.sleep(wait)

    def _backoff(self, failed: int) -> float:
        most = min(LONGEST, SHORTEST * 2.0 ** min(failed - 1, 10))
        return most * (0.5 + 0.5 * self._chance())

    def _let_go(self, connection: Connection) -> None:
        self._lingering.start(self._finished(connection))

    async def _finished(self, connection: Connection) -> None:
        await connection.linger()
        self._open.discard(connection)

    async def _connect(self, session: aiohttp.ClientSession) -> Connection:
        """Open a connection with a new ticket, and return it once Slack has said hello.

        Raises errors.ChatError.
        """
        url, self._spare = self._spare, None
        if url is None:
            url = await self._ticket()
        try:
            async with asyncio.timeout(OPEN_WITHIN):
                return await self._greeted(session, url)
        except aiohttp.WSServerHandshakeError as failure:  # its text contains the ticket
            raise errors.ChatUnavailable(f"the handshake ended with {failure.status}") from None
        except (aiohttp.ClientError, OSError, TimeoutError) as failure:
            raise errors.ChatUnavailable(type(failure).__name__) from None

    async def _greeted(self, session: aiohttp.ClientSession, url: str) -> Connection:
        socket = await session.ws_connect(
            url,
            autoping=False,
            proxy=self._client.proxy,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_WITHIN),
        )
        connection = Connection(socket, take=self._take, clock=self._clock)
        self._open.add(connection)
        greeted = False
        try:
            greeted = await connection.greeted()
        finally:
            if not greeted:
                self._open.discard(connection)
                await connection.finish()
        if not greeted:
            if connection.reason in OPERATORS:
                log.error(OPERATORS[connection.reason], reason=connection.reason)
            raise errors.ChatUnavailable(f"no hello ({connection.reason})")
        return connection

    async def _ticket(self) -> str:
        """Get a URL that is valid for one connection. Raises errors.ChatError."""
        try:
            said = await self._client.apps_connections_open(app_token=self._app_token)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as failure:
            translated = failures.translate(failure)
            if str(translated) in REFUSALS:
                raise errors.ChatRefused(str(translated)) from failure
            raise translated from failure
        url = said.get("url")
        if not isinstance(url, str) or not url:
            raise errors.ChatUnavailable("apps.connections.open answered without an address")
        return url

    # Envelopes

    async def _take(self, envelope: Envelope) -> dict[str, Any] | None:
        """Dispatch an envelope, and return its acknowledgement."""
        answered = await self._answer(envelope.get("payload"))
        return _acknowledgement(envelope, answered)

    async def _answer(self, payload: object) -> Response:
        """Answer as the HTTP guard would; the socket itself takes the place of the signature."""
        if not isinstance(payload, dict):
            return _turned_away(400, "malformed")
        if payloads.is_foreign(payload, ours=self._installation.teams()):
            return _turned_away(403, "another workspace")
        try:
            payloads.check(payload)
        except ValueError:
            return _turned_away(400, "incomplete")
        return await self._dispatch(payload)


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from retrying a handshake after the connection broke: its ticket may be used up."""
    try:
        return await handler(request)
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as failure:
        raise errors.ChatUnavailable(type(failure).__name__) from None


def _turned_away(status: int, reason: str) -> Response:
    log.warning("delivery rejected", status=status, reason=reason)
    return PlainTextResponse(reason, status_code=status)


def _acknowledgement(envelope: Envelope, answered: Response) -> dict[str, Any] | None:
    """Return the acknowledgement for a response, or None if it is better to send none.

    A refused command is acknowledged with a message. A refused click is not acknowledged, so that Slack shows it as
    failed. A refused event is acknowledged, because redelivery would not help; one that is not ready yet is left for
    redelivery.
    """
    if answered.status_code != 200:
        if envelope.get("type") == "slash_commands":
            answered = _sorry(answered)
        elif envelope.get("type") == "events_api" and answered.status_code < 500:
            answered = Response()
        else:
            return None
    said = _said(answered)
    with_payload = said is not None and envelope.get("accepts_response_payload") is True
    return {"envelope_id": envelope["envelope_id"], **({"payload": said} if with_payload else {})}


def _sorry(answered: Response) -> Response:
    error_id = secrets.token_hex(4)
    log.warning("command not accepted", status=answered.status_code, error_id=error_id)
    return JSONResponse({"response_type": "ephemeral", "text": messages.unexpected(error_id).text})


def _said(answered: Response) -> dict[str, Any] | None:
    text = bytes(answered.body).decode()
    if not text:
        return None
    if answered.headers.get("content-type", "").startswith("application/json"):
        found: dict[str, Any] = json.loads(text)
        return found
    return {"text": text}
