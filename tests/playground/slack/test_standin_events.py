"""Mentions and events: their shapes, and the retries that only events get."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from bot.playground.slack.server import SlackStandIn
from tests.playground.slack.slack_world import Bot, TurnedClock, running_bot, running_slack


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


async def test_a_mention_arrives_as_an_event(slack: SlackStandIn, bot: Bot) -> None:
    root = slack.workspace.post("C0INCIDENT", "U0FLOWBOT", "card")
    await slack.people.mention("U0ALICE", "C0INCIDENT", "stop x", thread=root)
    [reply] = slack.workspace.thread(root)
    [heard] = bot.heard
    assert (heard["type"], heard["team_id"], heard["api_app_id"]) == ("event_callback", "T0PLAYGROUND", "A0FLOWBOT")
    assert heard["event"] == {
        "type": "app_mention",
        "user": "U0ALICE",
        "text": "<@U0FLOWBOT> stop x",
        "ts": reply.ts,
        "channel": "C0INCIDENT",
        "team": "T0PLAYGROUND",
        "event_ts": reply.ts,
        "thread_ts": root.ts,
    }
    assert heard["authorizations"][0]["user_id"] == "U0FLOWBOT"
    assert "x-slack-retry-num" not in bot.requests[0].headers


async def test_mentions_of_bots_and_strangers_say_so(slack: SlackStandIn, bot: Bot) -> None:
    await slack.people.mention("U0WORKFLOW", "C0INCIDENT", "stop x")
    await slack.people.mention("U0STRANGE", "C0SHARED", "stop x")
    assert bot.heard[0]["event"]["bot_id"] == "B0WORKFLOW"
    assert (bot.heard[1]["event"]["user_team"], bot.heard[1]["is_ext_shared_channel"]) == ("T0OTHER", True)


async def test_a_mention_where_the_bot_is_not_reaches_nobody(slack: SlackStandIn, bot: Bot) -> None:
    assert (await slack.people.mention("U0ALICE", "C0OPEN", "stop x")).sent is None
    assert bot.heard == []
    assert [one.text for one in slack.workspace.messages("C0OPEN")] == ["<@U0FLOWBOT> stop x"]


async def test_a_failed_event_is_delivered_again_with_its_number(
    slack: SlackStandIn, bot: Bot, clock: TurnedClock
) -> None:
    bot.answers(status=500)
    telling = asyncio.create_task(slack.people.event({"type": "app_mention"}, retries=3))
    for wait in (60, 300):
        await clock.until_asleep(wait)
        clock.turn(wait)
    ack = await telling
    assert (ack.status, ack.attempts) == (500, 4)
    sent = [(one.headers.get("x-slack-retry-num"), one.headers.get("x-slack-retry-reason")) for one in bot.requests]
    assert sent == [(None, None), ("1", "http_error"), ("2", "http_error"), ("3", "http_error")]
    assert len({heard["event_id"] for heard in bot.heard}) == 1


async def test_an_event_that_arrived_or_declines_is_not_delivered_again(slack: SlackStandIn, bot: Bot) -> None:
    await slack.people.event({"type": "app_mention"}, retries=3)

    async def declining(request: Request, heard: Any) -> Response:
        return Response(status_code=500, headers={"X-Slack-No-Retry": "1"})

    bot.answer = declining
    await slack.people.event({"type": "app_mention"}, retries=3)
    assert len(bot.heard) == 2
