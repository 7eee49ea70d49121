"""The result of the last call to Slack."""

import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from bot.playground.slack.server import SlackStandIn
from bot.slack.web_api import WebApi


@pytest.fixture
async def slack() -> AsyncIterator[SlackStandIn]:
    """Run a stand-in for Slack."""
    async with SlackStandIn() as standin:
        yield standin


@pytest.fixture
async def client(slack: SlackStandIn) -> AsyncIterator[WebApi]:
    """Return a client for it."""
    async with aiohttp.ClientSession() as session:
        yield WebApi(token=slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])


async def test_nothing_is_known_before_the_first_call(client: WebApi) -> None:
    assert client.standing == "unknown"


async def test_the_last_call_decides_the_status(slack: SlackStandIn, client: WebApi) -> None:
    stood: list[str] = []
    for change in (slack.faults.up, slack.faults.down, slack.faults.up):
        change()
        with contextlib.suppress(SlackApiError, aiohttp.ClientError):
            await client.auth_test()
        stood.append(client.standing)
    assert stood == ["connected", "away", "connected"]


@pytest.mark.parametrize(
    ("code", "standing"),
    [
        ("invalid_auth", "refused"),
        ("token_revoked", "refused"),
        ("missing_scope", "connected"),
        ("team_not_found", "connected"),
    ],
)
async def test_a_refused_token_differs_from_a_refused_call(
    slack: SlackStandIn, client: WebApi, code: str, standing: str
) -> None:
    slack.faults.error("auth.test", code)
    with pytest.raises(SlackApiError):
        await client.auth_test()
    assert client.standing == standing


async def test_an_answer_of_a_proxy_is_not_slacks(slack: SlackStandIn) -> None:
    async with aiohttp.ClientSession() as session:
        wrong = WebApi(token="xoxb-any", base_url=slack.api_url + "nowhere/", session=session, retry_handlers=[])
        with pytest.raises((SlackApiError, aiohttp.ClientError)):
            await wrong.auth_test()
    assert wrong.standing == "away"
