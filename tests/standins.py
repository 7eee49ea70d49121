"""The stand-ins for Slack and for Huawei Cloud Live as pytest fixtures, for any project: name it in `pytest_plugins`.

It may be copied: it uses `bot` alone, and nothing else of `tests`. Not part of `bot`, as pytest is not installed there.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest_asyncio
from starlette.applications import Starlette

from bot.playground.live.server import LiveStandIn
from bot.playground.slack.server import SlackStandIn
from bot.serve import http_server
from bot.serve.clock import SystemClock

Serving: TypeAlias = Callable[[Starlette], Awaitable[str]]


@pytest_asyncio.fixture
async def slack() -> AsyncIterator[SlackStandIn]:
    """Run a Slack with one workspace, in which nobody is yet but the bot: `slack.workspace.add_person(…)`."""
    async with SlackStandIn() as standin:
        yield standin


@pytest_asyncio.fixture
async def live() -> AsyncIterator[LiveStandIn]:
    """Run a Live that has no flows yet: `live.add_flow(…)`."""
    async with LiveStandIn(clock=SystemClock()) as standin:
        yield standin


@pytest_asyncio.fixture
async def serving() -> AsyncIterator[Serving]:
    """Serve an app on a port of loopback until the test ends: `url = await serving(app)`."""
    async with contextlib.AsyncExitStack() as stack:
        yield lambda app: stack.enter_async_context(_listening(app))


@contextlib.asynccontextmanager
async def _listening(app: Starlette) -> AsyncIterator[str]:
    with http_server.listen("127.0.0.1", 0) as listener:
        server = http_server.Server(http_server.config(app))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.finish()
            await task
