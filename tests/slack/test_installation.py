"""Who we are in Slack: asked until Slack answers once, and never guessed."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.slack.server import SlackStandIn
from bot.playground.slack.web_api import api
from bot.slack.installation import Identity, Installation
from bot.usecases import errors


@pytest.fixture
async def slack() -> AsyncIterator[SlackStandIn]:
    """Run a stand-in for a workspace in an organisation."""
    async with SlackStandIn(enterprise_id="E0GRID") as opened:
        yield opened


@pytest.fixture
async def installation(slack: SlackStandIn) -> AsyncIterator[Installation]:
    """Return an installation that does not know its identity yet."""
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])
        yield Installation(client=client)


async def test_it_knows_nothing_before_it_has_asked(installation: Installation) -> None:
    assert installation.identity is None
    assert installation.teams() == frozenset()


async def test_it_learns_workspace_and_organisation(installation: Installation) -> None:
    learned = await installation.learn()

    assert learned == Identity(
        team="T0PLAYGROUND",
        enterprise="E0GRID",
        bot_user="U0FLOWBOT",
        bot="B0FLOWBOT",
        url="https://playground.slack.com/",
    )
    assert installation.teams() == {"T0PLAYGROUND", "E0GRID"}


async def test_a_workspace_without_an_organisation_has_one_id() -> None:
    async with SlackStandIn() as slack, aiohttp.ClientSession() as session:
        client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])
        installation = Installation(client=client)
        await installation.learn()

    assert installation.teams() == {"T0PLAYGROUND"}


async def test_all_who_want_to_know_at_once_ask_once(slack: SlackStandIn, installation: Installation) -> None:
    await asyncio.gather(*(installation.learn() for _ in range(10)))

    assert len(slack.workspace.called("auth.test")) == 1


async def test_it_asks_again_while_slack_does_not_answer(slack: SlackStandIn, installation: Installation) -> None:
    for trouble in (slack.faults.server_error, slack.faults.drop_before, slack.faults.ratelimit):
        trouble("auth.test")
        with pytest.raises(errors.ChatUnavailable):
            await installation.learn()

    assert (await installation.learn()).team == "T0PLAYGROUND"


@pytest.mark.parametrize("said", [{"team_id": "E0GRID"}, {"team_id": None}])
async def test_an_organisations_own_installation_may_be_in_no_workspace(
    slack: SlackStandIn, installation: Installation, monkeypatch: pytest.MonkeyPatch, said: dict[str, object]
) -> None:
    answer = {"enterprise_id": "E0GRID", "is_enterprise_install": True, "user_id": "W0BOT", **said}
    monkeypatch.setitem(api.METHODS, "auth.test", lambda workspace, args: answer)

    assert (await installation.learn()).team == "E0GRID"
    assert installation.teams() == {"E0GRID"}


async def test_an_identity_without_team_and_organisation_is_unknown(
    slack: SlackStandIn, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(api.METHODS, "auth.test", lambda workspace, args: {"user_id": "U0BOT", "team_id": None})

    with pytest.raises(errors.ChatUnavailable):
        await installation.learn()
    assert installation.teams() == frozenset()


@pytest.mark.parametrize("code", ["invalid_auth", "account_inactive", "token_revoked"])
async def test_a_token_that_is_no_good_is_refused(slack: SlackStandIn, installation: Installation, code: str) -> None:
    slack.faults.error("auth.test", code)

    with pytest.raises(errors.ChatRefused, match=code):
        await installation.learn()
