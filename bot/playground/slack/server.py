"""The stand-in itself: real HTTP on a loopback port, on the caller's event loop.

Owns the socket, the timing of faults and the waiting of tests. What Slack does is in `web_api`, `grants` and
`deliveries`.
"""

import asyncio
import email.utils
import json
import math
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bot.playground.slack import scopes as slack_scopes
from bot.playground.slack import transcript
from bot.playground.slack.deliveries import People
from bot.playground.slack.errors import NeverHappened, SlackError
from bot.playground.slack.faults import RESPONSE_URL, Faults, SlackFault
from bot.playground.slack.grants import ResponseUrls, Triggers
from bot.playground.slack.records import Json
from bot.playground.slack.sockets import AppConnections
from bot.playground.slack.web_api import api
from bot.playground.slack.workspace import Workspace
from bot.serve.clock import SystemClock
from bot.usecases import ports

Seen = TypeVar("Seen")

BOT_TOKEN = "xoxb-playground"  # noqa: S105 - a word that no scanner mistakes for a token
APP_TOKEN = "xapp-playground"  # noqa: S105
SIGNING_SECRET = "playground-signing-secret"  # noqa: S105


class SlackStandIn:
    """A Slack with one workspace: `async with SlackStandIn() as slack`."""

    def __init__(
        self,
        *,
        clock: ports.Clock | None = None,
        signing_secret: str = SIGNING_SECRET,
        bot_token: str = BOT_TOKEN,
        app_token: str = APP_TOKEN,
        port: int = 0,
        scopes: Collection[str] = slack_scopes.EVERY,
        **workspace: Any,
    ) -> None:
        """Create it, not yet listening; further arguments are those of `Workspace`.

        `scopes` are those of the bot token. `ahead` is how many seconds its `Date` is ahead of the clock.
        """
        self.clock = clock or SystemClock()
        self.signing_secret = signing_secret
        self.bot_token = bot_token
        self.app_token = app_token
        self.scopes = frozenset(scopes)
        self.ahead = 0.0
        self.workspace = Workspace(now=self.clock.now, **workspace)
        self.faults = Faults(now=self.clock.now)
        triggers = Triggers(now=self.clock.now)
        self._response_urls = ResponseUrls(self.workspace, base=lambda: self.base_url)
        self.sockets = AppConnections(
            clock=self.clock, faults=self.faults, app_id=self.workspace.app_id, changed=self.workspace.changed
        )
        self._api = api.Api(
            self.workspace,
            triggers=triggers,
            bot_token=bot_token,
            app_token=app_token,
            new_ticket=self.sockets.ticket,
            held=lambda: self.scopes,
        )
        self.people = People(
            self.workspace,
            clock=self.clock,
            signing_secret=signing_secret,
            triggers=triggers,
            response_urls=self._response_urls,
            sockets=self.sockets,
        )
        self._port = port
        self._server: uvicorn.Server | None = None
        self._stopping = asyncio.Event()

    @property
    def base_url(self) -> str:
        """Where the stand-in listens."""
        return f"http://127.0.0.1:{self._port}/"

    @property
    def api_url(self) -> str:
        """The Web API's base, for `AsyncWebClient(base_url=…)`."""
        return f"{self.base_url}api/"

    def connect(self, request_url: str) -> None:
        """Set the URL for commands, interactions and events."""
        self.people.request_url, self.people.by_socket = request_url, False

    def connect_socket(self) -> None:
        """Switch to Socket Mode: everything goes over the connections that the bot opens, nothing by HTTP."""
        self.people.request_url, self.people.by_socket = "", True

    async def start(self) -> None:
        """Listen."""
        routes = [
            Route("/api/{method}", self._serve_api, methods=["GET", "POST"]),
            Route("/response/{secret}", self._serve_response_url, methods=["POST"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            log_config=None,
            access_log=False,
            lifespan="off",
            date_header=False,
            ws="none",
            timeout_keep_alive=120,  # longer than clients keep theirs, so that no call meets a closing connection
        )
        config.load()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it only on its own sockets
        listener.bind(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        self._stopping.clear()
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[listener])

    async def stop(self) -> None:
        """Stop listening, release what is held, and close every connection."""
        await self.people.aclose()
        await self.sockets.stop()
        self._stopping.set()
        if self._server is None:
            return
        # uvicorn's own shutdown sleeps for a tenth of a second each time; that adds up in tests.
        for listening in self._server.servers:
            listening.close()
        tasks = set(self._server.server_state.tasks)
        if tasks:
            await asyncio.wait(tasks)
        for connection in list(self._server.server_state.connections):
            connection.transport.close()
        await asyncio.sleep(0)
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()  # a client that no longer reads
        await asyncio.sleep(0)
        for listening in self._server.servers:
            await listening.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def until(self, happened: Callable[[Workspace], Seen | None], *, timeout: float = 5) -> Seen:  # noqa: ASYNC109 - simple to call for tests
        """Return the first truthy value of `happened`, called at each change; raise NeverHappened on timeout."""
        woken = asyncio.Event()
        self.workspace.watchers.append(woken.set)
        try:
            async with asyncio.timeout(timeout):
                while not (found := happened(self.workspace)):
                    woken.clear()
                    await woken.wait()
                return found
        except TimeoutError:
            story = transcript.of(self.workspace) or "(nothing was said)"
            raise NeverHappened(f"not within {timeout} seconds; the workspace now:\n{story}") from None
        finally:
            self.workspace.watchers.remove(woken.set)

    async def _serve_api(self, request: Request) -> Response:
        method = request.path_params["method"]
        if method == api.CONNECTIONS_OPEN:
            await self.sockets.start()
        try:
            args = api.arguments(
                query=request.url.query,
                content_type=request.headers.get("content-type", ""),
                body=await request.body(),
            )
        except SlackError as error:
            return JSONResponse(api.refusal(error))
        authorization = request.headers.get("authorization", "")
        fault = self.faults.take(method, place=str(args.get("channel", "")))
        response = await self._through(
            fault, request, method, args, lambda: self._api.call(method, args, authorization=authorization)
        )
        response.headers.update({**self._api.headers(args, authorization=authorization), **self._date()})
        return response

    async def _serve_response_url(self, request: Request) -> Response:
        secret = request.path_params["secret"]
        args = _json_or_none(await request.body())

        def effect() -> Json:
            try:
                self._response_urls.post(secret, args)
            except SlackError as error:
                return api.refusal(error)
            return {"ok": True}

        fault = self.faults.take(RESPONSE_URL, place=secret)
        return await self._through(fault, request, RESPONSE_URL, args if isinstance(args, dict) else {}, effect)

    async def _through(
        self, fault: SlackFault | None, request: Request, method: str, args: Json, effect: Callable[[], Json]
    ) -> Response:
        """Carry out a call according to its fault, and add it to the journal."""
        if fault and not fault.after:
            await self._wait(fault)
        refused = _refused(fault)
        if refused is not None:
            self._api.journal(method, args, _body(refused), refused.status_code)
            return refused
        if self._stopping.is_set() or (fault and fault.kind == "drop_before"):
            self._api.journal(method, args, None, None)
            return await self._drop(request)
        answer = effect()
        if fault and fault.kind == "lacks":
            answer = _without(answer, fault)
        if fault and fault.after:
            await self._wait(fault)
        if fault and fault.kind == "drop_after":
            self._api.journal(method, args, None, None)
            return await self._drop(request)
        response = _answered(method, answer)
        self._api.journal(method, args, answer, response.status_code)
        return response

    def _date(self) -> Mapping[str, str]:
        return {"date": email.utils.formatdate(self.clock.now() + self.ahead, usegmt=True)}

    async def _wait(self, fault: SlackFault) -> None:
        """Wait as the fault says, but not beyond the end of the stand-in."""
        if fault.kind == "delay":
            waiting = asyncio.ensure_future(self.clock.sleep(fault.seconds))
        elif fault.gate is not None:
            waiting = asyncio.ensure_future(_set(fault.gate))
        else:
            return
        stopping = asyncio.ensure_future(_set(self._stopping))
        await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
        for one in (waiting, stopping):
            one.cancel()
            with suppress(asyncio.CancelledError):
                await one

    async def _drop(self, request: Request) -> Response:
        """Cut the connection of this request; the returned response is never received."""
        client = request.client
        connections = self._server.server_state.connections if self._server else ()
        for connection in list(connections):
            if client and connection.transport.get_extra_info("peername") == (client.host, client.port):
                connection.transport.abort()
        await request.receive()
        return Response()


async def _set(event: asyncio.Event) -> None:
    await event.wait()


def _without(part: Any, fault: SlackFault) -> Any:
    """Return an answer, or a part of it, without the fields that the fault removes."""
    if isinstance(part, list):
        return [_without(one, fault) for one in part]
    if not isinstance(part, dict):
        return part
    left_out = fault.names if fault.of in ("", part.get("id")) else ()
    return {name: _without(value, fault) for name, value in part.items() if name not in left_out}


def _refused(fault: SlackFault | None) -> Response | None:
    """Return the answer of a fault that prevents the effect."""
    if fault is None:
        return None
    if fault.kind == "ratelimited":
        wait = {"retry-after": str(max(1, math.ceil(fault.seconds)))}
        return JSONResponse({"ok": False, "error": "ratelimited"}, status_code=429, headers=wait)
    if fault.kind == "server_error":
        return PlainTextResponse("Internal Server Error", status_code=500)
    return JSONResponse({"ok": False, "error": fault.code}) if fault.kind == "error" else None


def _body(response: Response) -> Json | None:
    return _json_or_none(bytes(response.body)) if response.media_type == "application/json" else None


def _answered(method: str, answer: Json) -> Response:
    if method != RESPONSE_URL:
        return JSONResponse(answer)
    return PlainTextResponse("ok") if answer["ok"] else JSONResponse(answer, status_code=404)


def _json_or_none(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
