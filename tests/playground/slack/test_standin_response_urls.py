"""Answering through a response URL: five posts, thirty minutes, and what each does."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.playground.slack.records import PostedMessage
from bot.playground.slack.server import SlackStandIn
from tests.playground.slack.slack_world import CARD, Bot, TurnedClock, running_bot, running_slack, web_client


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
async def slack(clock: TurnedClock) -> AsyncIterator[SlackStandIn]:
    async with running_slack(clock=clock) as running:
        yield running


@pytest.fixture
async def bot(slack: SlackStandIn) -> AsyncIterator[Bot]:
    async with running_bot(slack) as running:
        yield running


async def typed(slack: SlackStandIn, bot: Bot, channel: str = "C0INCIDENT") -> str:
    """Return the response URL of a command of Alice's."""
    await slack.people.command("U0ALICE", channel, "stop x")
    return str(bot.heard[-1]["response_url"])


async def clicked(slack: SlackStandIn, bot: Bot) -> tuple[str, PostedMessage]:
    """Return the response URL of a click of Alice's, and the card."""
    await web_client(slack).chat_postMessage(channel="C0INCIDENT", text="card", blocks=CARD)
    [message] = slack.workspace.messages("C0INCIDENT")
    await slack.people.click("U0ALICE", message, "approve")
    return str(bot.heard[-1]["response_url"]), message


async def post(url: str, body: Any) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        return answer.status, await answer.text()


async def test_the_vendors_client_is_answered_with_a_plain_ok(slack: SlackStandIn, bot: Bot) -> None:
    answer = await AsyncWebhookClient(await typed(slack, bot)).send(text="words")
    assert (answer.status_code, answer.body) == (200, "ok")


async def test_an_answer_is_for_the_asker_alone_unless_it_says_otherwise(slack: SlackStandIn, bot: Bot) -> None:
    url = await typed(slack, bot, "C0SECRET")
    await post(url, {"text": "quiet"})
    await post(url, {"text": "loud", "response_type": "in_channel"})
    assert [one.text for one in slack.workspace.ephemerals("U0ALICE")] == ["quiet"]
    assert [one.text for one in slack.workspace.messages("C0SECRET")] == ["loud"]


async def test_an_answer_in_the_channel_may_go_into_a_thread(slack: SlackStandIn, bot: Bot) -> None:
    url, root = await clicked(slack, bot)
    reply = {"text": "loud", "response_type": "in_channel", "replace_original": False, "thread_ts": root.ts}
    await post(url, reply)
    assert [one.text for one in slack.workspace.thread(root)] == ["loud"]


async def test_the_fifth_post_is_the_last(slack: SlackStandIn, bot: Bot) -> None:
    url = await typed(slack, bot)
    for _ in range(5):
        assert await post(url, {"text": "words"}) == (200, "ok")
    assert await post(url, {"text": "words"}) == (404, '{"ok":false,"error":"used_url"}')
    assert len(slack.workspace.ephemerals("U0ALICE")) == 5


async def test_after_thirty_minutes_it_is_over(slack: SlackStandIn, bot: Bot, clock: TurnedClock) -> None:
    url = await typed(slack, bot)
    clock.turn(30 * 60)
    assert (await post(url, {"text": "words"}))[0] == 200
    clock.turn(1)
    assert await post(url, {"text": "words"}) == (404, '{"ok":false,"error":"expired_url"}')


async def test_an_invented_url_is_nobodys(slack: SlackStandIn) -> None:
    assert (await post(f"{slack.base_url}response/invented", {"text": "words"}))[0] == 404


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"text": "w", "blocks": [{"type": "sektion"}]}, "invalid_blocks"),
        ({}, "no_text"),
        ("text", "invalid_payload"),
        ({"delete_original": True}, "no_original"),
    ],
)
async def test_what_cannot_be_shown_is_refused(slack: SlackStandIn, bot: Bot, body: Any, error: str) -> None:
    status, answer = await post(await typed(slack, bot), body)
    assert (status, error in answer) == (404, True)
    assert slack.workspace.ephemerals("U0ALICE") == []


async def test_a_url_takes_posts_only(slack: SlackStandIn, bot: Bot) -> None:
    async with aiohttp.ClientSession() as session, session.get(await typed(slack, bot)) as answer:
        assert answer.status == 405


@pytest.mark.parametrize("asked", [{"replace_original": True}, {"replace_original": "true"}, {}])
async def test_the_clicked_message_is_replaced(slack: SlackStandIn, bot: Bot, asked: Any) -> None:
    url, message = await clicked(slack, bot)
    await post(url, {"text": "done", **asked})
    [edited] = slack.workspace.messages("C0INCIDENT")
    assert (edited.ts, edited.plain) == (message.ts, "done")


async def test_the_clicked_message_stays_when_asked_to(slack: SlackStandIn, bot: Bot) -> None:
    url, message = await clicked(slack, bot)
    await post(url, {"text": "not you", "replace_original": False})
    assert slack.workspace.messages("C0INCIDENT") == [message]
    assert [one.text for one in slack.workspace.ephemerals("U0ALICE")] == ["not you"]


async def test_the_clicked_message_can_be_removed_also_where_it_is_an_ephemeral(slack: SlackStandIn, bot: Bot) -> None:
    bot.answers(text="pick", blocks=CARD)
    ack = await slack.people.command("U0ALICE", "C0INCIDENT", "stop x")
    assert ack.shown
    bot.answer = None
    await slack.people.click("U0ALICE", ack.shown, "approve")
    url = bot.heard[-1]["response_url"]
    await post(url, {"text": "picked", "replace_original": True})
    assert [one.plain for one in slack.workspace.ephemerals("U0ALICE")] == ["picked"]
    await post(url, {"delete_original": True})
    assert slack.workspace.ephemerals("U0ALICE") == []


async def test_posts_to_it_are_in_the_journal_without_the_secret(slack: SlackStandIn, bot: Bot) -> None:
    url = await typed(slack, bot)
    await post(url, {"text": "words"})
    [call] = slack.workspace.called("response_url")
    assert (call.ok, call.args) == (True, {"text": "words"})
    assert url.rpartition("/")[2] not in repr(call)
