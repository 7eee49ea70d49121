"""Waits for one command typed in Slack, in place of a bot that does not run, and says how far it came.

Opens the port or the connection that the bot would. What it does not wait for is answered as failed, so that Slack
tells its sender and nothing is lost unnoticed.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import aiohttp
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.serve import http_server
from bot.serve.doctor import delivery_checks, examination, findings
from bot.serve.doctor.findings import Finding
from bot.settings.loader import Settings
from bot.slack import connection as slack_connection
from bot.slack import manifest, payloads
from bot.slack.connection import Connection
from bot.slack.directory.survey import Survey, Unasked
from bot.slack.guard import Guard
from bot.slack.installation import Installation
from bot.usecases import errors, ports

WITHIN: Final = 60.0
"""Seconds to wait for the command."""

ASK_WITHIN: Final = 5.0
"""Seconds for Slack to answer a question, or to greet."""

Ready = Callable[[str], None]
"""Called with the address once a delivery can arrive; with an empty one in Socket Mode."""


class Watch:
    """The furthest stage that a delivery has reached; `ended` is set when nothing further can be learnt."""

    def __init__(self, nothing: Finding) -> None:
        self.furthest = nothing
        self.ended = asyncio.Event()
        self._rank = 0

    def reached(self, finding: Finding, *, rank: int, ends: bool = False) -> None:
        """Note a stage, if none that is further was reached before."""
        if rank > self._rank:
            self.furthest, self._rank = finding, rank
        if ends:
            self.ended.set()


async def wait(settings: Settings, *, clock: ports.Clock, ready: Ready, within: float = WITHIN) -> Finding:
    """Wait for `/flow whoami`, and return the last stage that a delivery reached."""
    found = await _last_stage(settings, clock, ready, within)
    (cut,) = findings.redacted((found,), examination.redaction(settings).text)
    return cut


async def _last_stage(settings: Settings, clock: ports.Clock, ready: Ready, within: float) -> Finding:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_WITHIN)) as session:
        client = examination.web_api(settings, session)
        installation = Installation(client=client)
        with contextlib.suppress(errors.ChatError):  # then a delivery of any workspace counts
            await installation.learn()
        try:
            listener = http_server.listen(settings.host, settings.port)
        except OSError as error:
            address = f"{settings.host}:{settings.port}"
            by_flowbot = await _is_flowbot(session, address)
            return delivery_checks.port_taken(address, by_flowbot=by_flowbot, why=os.strerror(error.errno or 0))
        with listener:
            if settings.slack_app_token is None:
                address = f"{settings.host}:{listener.getsockname()[1]}"
                watch = Watch(delivery_checks.nothing_by_http(address, within))
                async with _serving(_app(settings, installation, clock, watch), listener):
                    ready(address)
                    await _until(watch.ended, clock, within)
                return watch.furthest
        survey = Survey(client=client, clock=clock)
        ticket = await survey.ticket(settings.slack_app_token.get_secret_value())
        if isinstance(ticket, Unasked):
            return delivery_checks.no_socket(ticket.code)
        return await _by_socket(ticket, client.proxy, installation, clock, ready, within)


async def _is_flowbot(session: aiohttp.ClientSession, address: str) -> bool:
    try:
        async with session.get(f"http://{address}/healthz") as answer:
            return answer.status == 200 and await answer.text() == "alive"
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return False


async def _until(ended: asyncio.Event, clock: ports.Clock, within: float) -> None:
    """Return when it has ended, or after so many seconds."""
    waits = [asyncio.ensure_future(ended.wait()), asyncio.ensure_future(clock.sleep(within))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def _is_awaited(payload: dict[str, Any]) -> bool:
    return payload.get("command") == manifest.COMMAND and str(payload.get("text", "")).strip().casefold() == "whoami"


# By HTTP


def _app(settings: Settings, installation: Installation, clock: ports.Clock, watch: Watch) -> ASGIApp:
    secret = settings.slack_signing_secret

    async def dispatch(payload: dict[str, Any]) -> Response:
        if _is_awaited(payload):
            watch.reached(delivery_checks.arrived(), rank=4, ends=True)
            return Response()
        watch.reached(delivery_checks.another_command(), rank=3)
        return PlainTextResponse("only flowbot doctor is running", status_code=503)

    guard = Guard(
        signing_secret="" if secret is None else secret.get_secret_value(),
        installation=installation,
        clock=clock,
        dispatch=dispatch,
    )

    async def take(request: Request) -> Response:
        from_slack = "x-slack-signature" in request.headers
        if (request.method, request.url.path) != ("POST", manifest.PATH):
            found = delivery_checks.wrong_path(request.url.path[:100], from_slack=from_slack)
            watch.reached(found, rank=2 if from_slack else 1, ends=from_slack)
            return PlainTextResponse("not found", status_code=404)
        answered = await guard.receive(request)
        if 400 <= answered.status_code < 500:
            found = delivery_checks.rejected(bytes(answered.body).decode())
            watch.reached(found, rank=2 if from_slack else 1, ends=from_slack)
        return answered

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        answered = await take(Request(scope, receive))
        await answered(scope, receive, send)

    return app


@contextlib.asynccontextmanager
async def _serving(app: ASGIApp, listener: http_server.Listener) -> AsyncIterator[None]:
    server = http_server.Server(http_server.config(app))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.finish()
        await serving


# By Socket Mode


async def _by_socket(
    url: str, proxy: str | None, installation: Installation, clock: ports.Clock, ready: Ready, within: float
) -> Finding:
    watch = Watch(delivery_checks.nothing_by_socket(within))

    async def take(envelope: slack_connection.Envelope) -> dict[str, Any] | None:
        payload = envelope.get("payload")
        if not isinstance(payload, dict):
            return None
        if payloads.is_foreign(payload, ours=installation.teams()):
            watch.reached(delivery_checks.rejected("another workspace"), rank=2, ends=True)
        elif _is_awaited(payload):
            watch.reached(delivery_checks.arrived_by_socket(), rank=4, ends=True)
            return {"envelope_id": envelope["envelope_id"]}
        else:
            watch.reached(delivery_checks.another_command(), rank=3)
        return None

    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)))
        try:
            async with asyncio.timeout(ASK_WITHIN):
                socket = await session.ws_connect(url, autoping=False, proxy=proxy)
                connected = Connection(socket, take=take, clock=clock)
                stack.push_async_callback(connected.finish)
                greeted = await connected.greeted()
        except aiohttp.WSServerHandshakeError as failure:  # its text contains the ticket
            return delivery_checks.no_hello(f"the handshake ended with {failure.status}")
        except (aiohttp.ClientError, OSError, TimeoutError) as failure:
            return delivery_checks.no_hello(type(failure).__name__)
        if not greeted:
            return delivery_checks.no_hello(connected.reason)
        if connected.connections > 1:
            return delivery_checks.others_connected(connected.connections - 1)
        ready("")
        await _until(watch.ended, clock, within)
    return watch.furthest
