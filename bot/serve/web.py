"""HTTP routes and Socket Mode: where deliveries arrive, the checks at startup, and the endpoints for operators.

Built from the settings by `serve`; knows nothing about requests.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import prometheus_client
import structlog
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.policy.file.problems import Problem, SettingsInvalid
from bot.settings.loader import Settings
from bot.slack.guard import Guard
from bot.slack.installation import Installation
from bot.slack.socket_mode import Sockets
from bot.slack.web_api import WebApi
from bot.usecases import errors, ports

READY_WITHIN: Final = 2.0
"""Seconds for the database to answer a readiness check."""

log = structlog.get_logger()


async def introduce(installation: Installation) -> None:
    """Ask Slack who we are. Raises errors.SettingsInvalid if it rejects the bot token."""
    try:
        identity = await installation.learn()
    except errors.ChatRefused as refused:
        what = (
            f"Slack does not accept it ({refused.code}); copy the bot token from the app's page “OAuth & Permissions”"
        )
        raise SettingsInvalid((Problem(where="SLACK_BOT_TOKEN", what=what),)) from refused
    except errors.ChatUnavailable as failure:
        log.warning("Slack cannot be reached yet; trying again with the next delivery", reason=str(failure))
    else:
        log.info("connected to Slack", team=identity.team, bot_user=identity.bot_user)


async def preflight(connecting: Sockets) -> None:
    """Check the app token with Slack. Raises errors.SettingsInvalid if Slack rejects it."""
    try:
        await connecting.preflight()
    except errors.ChatRefused as refused:
        what = (
            f"Slack does not accept it for Socket Mode ({refused.code}); copy an app-level token with the scope"
            " connections:write from the app's page “Basic Information”"
        )
        raise SettingsInvalid((Problem(where="SLACK_APP_TOKEN", what=what),)) from refused
    except errors.ChatUnavailable as failure:
        log.warning("no connection to Slack yet; still trying", reason=str(failure))


Dispatch = Callable[[dict[str, Any]], Awaitable[Response]]


def guard(settings: Settings, installation: Installation, clock: ports.Clock, dispatch: Dispatch) -> Guard | None:
    """Return the guard for deliveries over HTTP; None in Socket Mode."""
    if settings.slack_app_token is not None or settings.slack_signing_secret is None:
        return None
    return Guard(
        signing_secret=settings.slack_signing_secret.get_secret_value(),
        installation=installation,
        clock=clock,
        dispatch=dispatch,
    )


def sockets(
    settings: Settings,
    client: AsyncWebClient,
    installation: Installation,
    clock: ports.Clock,
    dispatch: Dispatch,
    registry: prometheus_client.CollectorRegistry,
) -> Sockets | None:
    """Return the WebSockets for Socket Mode; None without an app token."""
    if settings.slack_app_token is None:
        return None
    return Sockets(
        client=client,
        app_token=settings.slack_app_token.get_secret_value(),
        installation=installation,
        dispatch=dispatch,
        clock=clock,
        chance=random.random,
        registry=registry,
    )


def routes(
    at_the_door: Guard | None,
    connected: Sockets | None,
    database: ports.Store,
    registry: prometheus_client.CollectorRegistry,
    web_api: WebApi,
) -> ASGIApp:
    """Return the ASGI app: Slack's deliveries, unless they come by Socket Mode, and the endpoints for operators."""

    async def alive(_: Request) -> Response:
        return PlainTextResponse("alive")

    async def ready(_: Request) -> Response:
        try:
            async with asyncio.timeout(READY_WITHIN):
                await database.next_due_at()
        except (errors.StoreError, TimeoutError):
            return JSONResponse({"database": "away"}, status_code=503)
        reachable = connected is None or connected.live > 0
        told = {"database": "answers", "slack": web_api.standing if reachable else "away"}
        return JSONResponse(told, status_code=200 if reachable else 503)

    async def metrics(_: Request) -> Response:
        written = prometheus_client.generate_latest(registry)
        return Response(written, media_type=prometheus_client.CONTENT_TYPE_PLAIN_0_0_4)

    door = [Route("/slack/events", at_the_door.receive, methods=["POST"])] if at_the_door is not None else []
    asked = Starlette(
        routes=[
            *door,
            Route("/healthz", alive),
            Route("/readyz", ready),
            Route("/metrics", metrics),
        ]
    )
    asked.router.redirect_slashes = False
    exact = _exact(asked)
    return exact if at_the_door is None else _short_way(at_the_door, exact, path=door[0].path)


def _exact(rest: ASGIApp) -> ASGIApp:
    """Accept only paths sent exactly as spelled here: a proxy's access rules may decode a path less than we do."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["raw_path"] != scope["path"].encode():
            await PlainTextResponse("not found", status_code=404)(scope, receive, send)
        else:
            await rest(scope, receive, send)

    return app


def _short_way(at_the_door: Guard, rest: ASGIApp, *, path: str) -> ASGIApp:
    """Pass deliveries directly to the guard: Starlette's routing would be a fifth of the cost of an acknowledgement."""
    raw = path.encode()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["raw_path"] == raw and scope["method"] == "POST":
            response = await at_the_door.receive(Request(scope, receive))
            await response(scope, receive, send)
        else:
            await rest(scope, receive, send)

    return app
