"""Faults and limits that tests set, as the vendor's client experiences them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.slack.server import SlackStandIn
from tests.playground.slack.slack_world import TurnedClock, running_bot, running_slack, web_client


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
async def slack(clock: TurnedClock) -> AsyncIterator[SlackStandIn]:
    async with running_slack(clock=clock) as running:
        yield running


@pytest.fixture
def client(slack: SlackStandIn) -> AsyncWebClient:
    return web_client(slack, retry_handlers=[])


async def post(client: AsyncWebClient, text: str = "words") -> Any:
    return await client.chat_postMessage(channel="C0INCIDENT", text=text)


def said(slack: SlackStandIn) -> list[str]:
    return [one.text for one in slack.workspace.messages("C0INCIDENT")]


async def test_an_answer_lacks_what_a_test_leaves_out(slack: SlackStandIn, client: AsyncWebClient) -> None:
    slack.faults.lacks("chat.postMessage", "ts", "channel")
    slack.faults.lacks("users.list", "name", of="U0ALICE")

    posted = await post(client)
    listed = {one["id"]: "name" in one for one in (await client.users_list())["members"]}

    assert (posted.get("ts"), posted.get("channel"), said(slack)) == (None, None, ["words"])
    assert [user for user, named in listed.items() if not named] == ["U0ALICE"]


async def test_a_rate_limit_says_when_to_come_back(slack: SlackStandIn, client: AsyncWebClient) -> None:
    slack.faults.ratelimit("chat.postMessage", times=2, retry_after=7)
    for _ in range(2):
        with pytest.raises(SlackApiError) as caught:
            await post(client)
        assert caught.value.response.status_code == 429
        assert caught.value.response["error"] == "ratelimited"
        assert caught.value.response.headers["Retry-After"] == "7"
    await post(client)
    assert said(slack) == ["words"]
    assert [call.status for call in slack.workspace.calls] == [429, 429, 200]


async def test_a_server_error_has_no_effect(slack: SlackStandIn, client: AsyncWebClient) -> None:
    slack.faults.server_error("chat.postMessage")
    with pytest.raises(SlackApiError) as caught:
        await post(client)
    assert (caught.value.response.status_code, said(slack)) == (500, [])


async def test_an_error_code_of_choice_stays_until_cleared(slack: SlackStandIn, client: AsyncWebClient) -> None:
    slack.faults.error("chat.postMessage", "fatal_error", times=None)
    for _ in range(3):
        with pytest.raises(SlackApiError, match="fatal_error"):
            await post(client)
    await client.auth_test()
    slack.faults.clear("chat.postMessage")
    await post(client)
    assert said(slack) == ["words"]


async def test_a_connection_dropped_before_has_no_effect(slack: SlackStandIn, client: AsyncWebClient) -> None:
    slack.faults.drop_before("chat.postMessage")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await post(client)
    assert said(slack) == []
    assert slack.workspace.calls[0].response is None


async def test_a_connection_dropped_after_has_had_its_effect(slack: SlackStandIn, client: AsyncWebClient) -> None:
    slack.faults.drop_after("chat.postMessage")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await post(client)
    assert said(slack) == ["words"]


async def test_the_vendors_own_retry_posts_twice_after_a_lost_answer(slack: SlackStandIn) -> None:
    slack.faults.drop_after("chat.postMessage")
    await post(web_client(slack))
    assert said(slack) == ["words", "words"]


async def test_a_delay_goes_by_the_clock(slack: SlackStandIn, client: AsyncWebClient, clock: TurnedClock) -> None:
    slack.faults.delay("chat.postMessage", 10)
    posting = asyncio.create_task(post(client))
    await clock.until_asleep(10)
    assert said(slack) == []
    clock.turn(10)
    await posting
    assert said(slack) == ["words"]


async def test_a_call_can_be_held_before_its_effect(slack: SlackStandIn, client: AsyncWebClient) -> None:
    gate = asyncio.Event()
    slack.faults.hold("chat.postMessage", gate)
    posting = asyncio.create_task(post(client, "held"))
    await client.auth_test()
    assert said(slack) == []
    gate.set()
    await posting
    assert said(slack) == ["held"]


async def test_an_answer_can_be_held_after_the_effect(slack: SlackStandIn, client: AsyncWebClient) -> None:
    gate = asyncio.Event()
    slack.faults.hold("chat.postMessage", gate, after=True)
    posting = asyncio.create_task(post(client, "held"))
    await slack.until(lambda workspace: workspace.messages("C0INCIDENT"))
    assert not posting.done()
    gate.set()
    await posting


async def test_down_is_down_for_everything_until_up(slack: SlackStandIn, client: AsyncWebClient) -> None:
    async with running_bot(slack) as bot:
        await slack.people.command("U0ALICE", "C0INCIDENT")
        slack.faults.down()
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.auth_test()
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await session.post(bot.heard[0]["response_url"], json={"text": "w"})
        slack.faults.up()
        await client.auth_test()
        assert (await slack.people.command("U0ALICE", "C0INCIDENT")).ok


async def test_a_response_url_fails_by_its_own_name(slack: SlackStandIn) -> None:
    async with running_bot(slack) as bot, aiohttp.ClientSession() as session:
        await slack.people.command("U0ALICE", "C0INCIDENT")
        slack.faults.server_error("response_url")
        async with session.post(bot.heard[0]["response_url"], json={"text": "w"}) as answer:
            assert answer.status == 500
        async with session.post(bot.heard[0]["response_url"], json={"text": "w"}) as answer:
            assert answer.status == 200


async def test_faults_come_in_the_order_in_which_they_were_set(slack: SlackStandIn, client: AsyncWebClient) -> None:
    slack.faults.error("auth.test", "internal_error")
    slack.faults.error("auth.test", "fatal_error")
    slack.faults.server_error()
    for expected in ("internal_error", "fatal_error", "500"):
        with pytest.raises(SlackApiError, match=expected):
            await client.auth_test()
    await client.auth_test()


async def test_clearing_all_ends_everything(slack: SlackStandIn, client: AsyncWebClient) -> None:
    slack.faults.down()
    slack.faults.server_error(times=None)
    slack.faults.clear()
    await client.auth_test()


async def test_limits_are_off_unless_asked_for(slack: SlackStandIn, client: AsyncWebClient) -> None:
    for _ in range(25):
        await client.usergroups_list()
        await post(client)


async def test_one_message_a_second_and_channel(
    slack: SlackStandIn, client: AsyncWebClient, clock: TurnedClock
) -> None:
    slack.faults.enforce_rate_limits = True
    await post(client)
    with pytest.raises(SlackApiError, match="ratelimited"):
        await post(client)
    await client.chat_postMessage(channel="C0PRIVATE", text="elsewhere")
    clock.turn(1)
    await post(client)


@pytest.mark.parametrize(
    ("method", "args", "most"),
    [
        ("usergroups.users.list", {"usergroup": "S0LEADS"}, 20),
        ("conversations.info", {"channel": "C0INCIDENT"}, 50),
        ("users.info", {"user": "U0ALICE"}, 100),
    ],
)
async def test_a_tier_has_its_number_of_calls_a_minute(
    slack: SlackStandIn, client: AsyncWebClient, clock: TurnedClock, method: str, args: Any, most: int
) -> None:
    slack.faults.enforce_rate_limits = True
    for _ in range(most):
        await client.api_call(method, json=args)
    with pytest.raises(SlackApiError) as caught:
        await client.api_call(method, json=args)
    assert caught.value.response.headers["Retry-After"] == "60"
    clock.turn(60)
    await client.api_call(method, json=args)
