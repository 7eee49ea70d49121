"""Other clients against the stand-in: slack_sdk's synchronous one, as a script would use it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient

from bot.playground.slack.server import SlackStandIn
from tests.playground.slack.slack_world import CARD, REASON, TurnedClock, running_bot, running_slack


@pytest.fixture
async def slack() -> AsyncIterator[SlackStandIn]:
    async with running_slack(clock=TurnedClock()) as running:
        yield running


async def ask(slack: SlackStandIn, call: Callable[[WebClient], Any]) -> Any:
    """Call with the synchronous client, in a separate thread."""
    client = WebClient(token=slack.bot_token, base_url=slack.api_url)
    return await asyncio.to_thread(call, client)


async def test_the_synchronous_client_asks_without_a_body(slack: SlackStandIn) -> None:
    said = await ask(slack, lambda client: client.auth_test())
    assert (said["ok"], said["user_id"]) == (True, slack.workspace.bot_user_id)
    assert (await ask(slack, lambda client: client.api_test()))["ok"]


async def test_the_synchronous_client_posts_edits_and_reads(slack: SlackStandIn) -> None:
    posted = await ask(slack, lambda client: client.chat_postMessage(channel="C0INCIDENT", text="Stop?", blocks=CARD))
    edited = await ask(
        slack, lambda client: client.chat_update(channel=posted["channel"], ts=posted["ts"], text="Done", blocks=[])
    )
    assert edited["ok"]
    (message,) = slack.workspace.messages("C0INCIDENT")
    assert (message.ts, message.text, message.blocks) == (posted["ts"], "Done", ())
    assert (await ask(slack, lambda client: client.users_info(user="U0ALICE")))["user"]["id"] == "U0ALICE"
    with pytest.raises(SlackApiError, match="channel_not_found"):
        await ask(slack, lambda client: client.chat_postMessage(channel="C0NOWHERE", text="w"))


async def test_the_synchronous_client_opens_a_view_and_answers_by_response_url(slack: SlackStandIn) -> None:
    async with running_bot(slack) as bot:
        await slack.people.command("U0ALICE", "C0INCIDENT", "stop x")
        heard = bot.heard[-1]
        opened = await ask(slack, lambda client: client.views_open(trigger_id=heard["trigger_id"], view=REASON))
        told = await asyncio.to_thread(lambda: WebhookClient(heard["response_url"]).send(text="Seen."))
    top = slack.workspace.top_view("U0ALICE")
    assert top
    assert (top.id, told.status_code) == (opened["view"]["id"], 200)
    assert [one.plain for one in slack.workspace.ephemerals("U0ALICE")][-1] == "Seen."
