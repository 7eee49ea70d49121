"""The bot behind a real HAProxy, which keeps connections to it open and reuses them."""

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator

import pytest

from bot.playground import world
from bot.serve import build, http_server
from bot.serve.http_server import Limits
from tests import proxies
from tests.fakes import FakeClock, database_in

DELIVERIES = 120
ASKS_AGAIN = "retries 3\n    retry-on conn-failure empty-response"


@pytest.fixture
async def built(tmp_path: pathlib.Path) -> AsyncIterator[world.World]:
    """Open the sample world, with a database and no bot."""
    database_in(tmp_path)
    async with world.build(tmp_path, clock=FakeClock()) as opened:
        yield opened


@contextlib.asynccontextmanager
async def running(built: world.World, limits: Limits) -> AsyncIterator[int]:
    """Run the bot, and return its port."""
    async with build.build(built.settings(), clock=built.clock) as bot:
        listener = http_server.listen("127.0.0.1", 0)
        server = http_server.Server(http_server.config(bot.app, limits=limits))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.finish()
            await serving


async def delivered(built: world.World, senders: int) -> list[str]:
    """Send deliveries one after another from this many senders; return how each was answered."""

    async def send() -> list[str]:
        return [
            (await built.slack.people.command("U0ALICE", "C0INCIDENT", "help")).body[:6]
            for _ in range(DELIVERIES // senders)
        ]

    return [answer for answers in await asyncio.gather(*[send() for _ in range(senders)]) for answer in answers]


@pytest.mark.parametrize("senders", [1, 6])
@pytest.mark.parametrize(
    ("limits", "defaults"),
    [
        pytest.param(Limits(), "http-reuse always", id="connections are used again"),
        pytest.param(Limits(), "timeout http-keep-alive 1ms", id="the proxy closes them"),
        pytest.param(
            Limits(idle=0.002), f"http-reuse always\n    {ASKS_AGAIN}", id="the bot closes them as they are used"
        ),
    ],
)
async def test_no_delivery_is_lost_when_a_connection_is_used_again(
    built: world.World, tmp_path: pathlib.Path, limits: Limits, defaults: str, senders: int
) -> None:
    async with running(built, limits) as port:
        with proxies.haproxy(port, tmp_path, defaults=defaults) as url:
            built.slack.connect(f"{url}/slack/events")
            answers = await delivered(built, senders)
    assert len(answers) == DELIVERIES
    assert len(set(answers)) == 1


def test_an_idle_connection_outlives_that_of_the_usual_proxies() -> None:
    usual = {
        "HAProxy's pool-purge-delay": 5,
        "nginx's keepalive_timeout": 60,
        "an AWS load balancer's idle timeout": 60,
    }
    assert [name for name, seconds in usual.items() if Limits.idle <= seconds] == []
