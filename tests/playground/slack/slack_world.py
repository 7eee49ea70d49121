"""A small workspace, a clock that tests advance, and a bot that answers as the test says."""

import asyncio
import heapq
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.playground.slack.server import SlackStandIn

Json = dict[str, Any]
Answer = Callable[[Request, Json], Awaitable[Response]]
START = 1_700_000_000.0
BUTTON: Json = {
    "type": "button",
    "action_id": "approve",
    "text": {"type": "plain_text", "text": "Approve"},
    "value": "r1",
}
CARD: list[Json] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "Stop *main-feed*?"}},
    {"type": "actions", "elements": [BUTTON]},
]
REASON: Json = {
    "type": "modal",
    "callback_id": "deny_reason",
    "title": {"type": "plain_text", "text": "Why not?"},
    "submit": {"type": "plain_text", "text": "Deny"},
    "blocks": [
        {
            "type": "input",
            "block_id": "reason",
            "label": {"type": "plain_text", "text": "Reason"},
            "element": {"type": "plain_text_input", "action_id": "words", "max_length": 20},
        }
    ],
}


class TurnedClock:
    """A clock that only tests advance; sleepers wake when it reaches their time."""

    def __init__(self) -> None:
        self._now = START
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self.asleep = asyncio.Condition()

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        async with self.asleep:
            self.asleep.notify_all()
        await future

    async def until_asleep(self, seconds: float) -> None:
        """Wait until somebody sleeps until that many seconds from now."""
        async with asyncio.timeout(60), self.asleep:
            await self.asleep.wait_for(lambda: any(at == self._now + seconds for at, _, _ in self._sleepers))

    def turn(self, seconds: float) -> None:
        """Advance the clock."""
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)


class Bot:
    """A minimal bot: it keeps what it receives and answers 200, or as `answer` says."""

    def __init__(self) -> None:
        self.heard: list[Json] = []
        self.requests: list[Request] = []
        self.answer: Answer | None = None

    async def serve(self, request: Request) -> Response:
        body = await request.body()
        is_form = request.headers["content-type"].startswith("application/x-www-form")
        heard: Json = dict(parse_qsl(body.decode(), keep_blank_values=True)) if is_form else await request.json()
        if "payload" in heard and is_form:
            heard = json.loads(heard["payload"])
        self.heard.append(heard)
        self.requests.append(request)
        return await self.answer(request, heard) if self.answer else Response()

    def answers(self, status: int = 200, **answer: Any) -> None:
        """Answer every delivery with this JSON."""

        async def fixed(request: Request, heard: Json) -> Response:
            return Response(json.dumps(answer) if answer else "", status_code=status, media_type="application/json")

        self.answer = fixed


@asynccontextmanager
async def running_app(app: Starlette) -> AsyncIterator[str]:
    """Serve an app on a port; return its base URL."""
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="off", ws="none")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        for listening in server.servers:
            listening.close()
        for task in list(server.server_state.tasks):
            task.cancel()
        await asyncio.gather(*server.server_state.tasks, return_exceptions=True)
        for connection in list(server.server_state.connections):
            connection.transport.close()
        for listening in server.servers:
            await listening.wait_closed()


@asynccontextmanager
async def running_bot(slack: SlackStandIn) -> AsyncIterator[Bot]:
    """Connect a minimal bot."""
    bot = Bot()
    app = Starlette(routes=[Route("/slack/events", bot.serve, methods=["POST"])])
    async with running_app(app) as url:
        slack.connect(f"{url}/slack/events")
        yield bot


def furnish(slack: SlackStandIn) -> None:
    """Add people and channels to the workspace."""
    add = slack.workspace.add_person
    for id, name in (("U0ALICE", "alice"), ("U0BOB", "bob"), ("U0CAROL", "carol")):
        add(id, name)
    add("U0GUEST", "guest", is_restricted=True)
    add("U0SINGLE", "single", is_restricted=True, is_ultra_restricted=True)
    add("U0STRANGE", "strange", team_id="T0OTHER", is_stranger=True)
    add("U0GONE", "gone", deleted=True)
    add("U0WORKFLOW", "workflow", is_workflow_bot=True)
    everybody = ("U0ALICE", "U0BOB", "U0GUEST", "U0GONE", "U0WORKFLOW")
    slack.workspace.add_channel("C0INCIDENT", "incidents", everybody)
    slack.workspace.add_channel("C0OPEN", "open", ("U0ALICE",), bot=False)
    slack.workspace.add_channel("C0SECRET", "secret", ("U0ALICE",), bot=False, private=True)
    slack.workspace.add_channel("C0PRIVATE", "private", ("U0ALICE",), private=True)
    slack.workspace.add_channel("C0SHARED", "shared", ("U0ALICE", "U0STRANGE"), shared=True)
    slack.workspace.add_channel("C0OLD", "old", ("U0ALICE",), archived=True)
    slack.workspace.add_group("S0LEADS", "leads", ("U0BOB", "U0CAROL"))
    slack.workspace.add_group("S0FORMER", "former", ("U0BOB",), enabled=False)


@asynccontextmanager
async def running_slack(**settings: Any) -> AsyncIterator[SlackStandIn]:
    """Run a furnished stand-in."""
    async with SlackStandIn(**settings) as slack:
        furnish(slack)
        yield slack


def web_client(slack: SlackStandIn, **settings: Any) -> AsyncWebClient:
    """Return the vendor's client, pointed at the stand-in."""
    return AsyncWebClient(**{"token": slack.bot_token, "base_url": slack.api_url, **settings})
