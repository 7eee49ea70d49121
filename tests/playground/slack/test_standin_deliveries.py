"""What people do in their client is delivered signed and in Slack's shapes, and what they see of the answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.signature import Clock as SignatureClock
from slack_sdk.signature import SignatureVerifier
from starlette.requests import Request
from starlette.responses import Response

from bot.playground.slack.errors import NotPossible
from bot.playground.slack.records import PostedMessage
from bot.playground.slack.server import SlackStandIn
from tests.playground.slack.slack_world import CARD, START, Bot, TurnedClock, running_bot, running_slack, web_client


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


async def card(slack: SlackStandIn, channel: str = "C0INCIDENT", **more: Any) -> PostedMessage:
    """Let the bot post a card."""
    await web_client(slack).chat_postMessage(channel=channel, text="card", blocks=CARD, **more)
    return slack.workspace.seen_by("U0ALICE", channel)[-1]


async def whisper(slack: SlackStandIn) -> PostedMessage:
    """Let the bot post a card that only Alice sees."""
    await web_client(slack).chat_postEphemeral(channel="C0INCIDENT", user="U0ALICE", text="card", blocks=CARD)
    return slack.workspace.ephemerals("U0ALICE")[-1]


async def test_a_command_arrives_with_slacks_fields(slack: SlackStandIn, bot: Bot) -> None:
    ack = await slack.people.command("U0ALICE", "C0INCIDENT", "stop a&b <x> payload=1")
    assert ack.ok
    assert ack.shown is None
    [heard] = bot.heard
    urls = (heard.pop("response_url"), heard.pop("trigger_id"))
    assert urls[0].startswith(f"{slack.base_url}response/")
    assert heard == {
        "token": "playground-verification-token",
        "team_id": "T0PLAYGROUND",
        "team_domain": "playground",
        "channel_id": "C0INCIDENT",
        "channel_name": "incidents",
        "user_id": "U0ALICE",
        "user_name": "alice",
        "command": "/flow",
        "text": "stop a&b <x> payload=1",
        "api_app_id": "A0FLOWBOT",
        "is_enterprise_install": "false",
    }


async def test_private_places_hide_their_names_in_a_command(slack: SlackStandIn, bot: Bot) -> None:
    slack.workspace.add_channel("D0ALICEBOB", "alice and bob", ("U0ALICE", "U0BOB"), bot=False)
    for channel in ("C0PRIVATE", "D0ALICEBOB", slack.workspace.open_dm("U0ALICE").id):
        await slack.people.command("U0ALICE", channel)
    assert [heard["channel_name"] for heard in bot.heard] == ["privategroup", "directmessage", "directmessage"]


async def test_every_delivery_is_signed_at_the_clocks_time(slack: SlackStandIn, bot: Bot, clock: TurnedClock) -> None:
    class Turned(SignatureClock):
        def now(self) -> float:
            return clock.now()

    clock.turn(1_000)
    message = await card(slack)
    acks = [
        await slack.people.command("U0ALICE", "C0INCIDENT", "stop x"),
        await slack.people.click("U0ALICE", message, "approve"),
        await slack.people.event({"type": "app_home_opened"}),
    ]
    for ack in acks:
        assert ack.sent
        verifier = SignatureVerifier(slack.signing_secret, Turned())
        assert verifier.is_valid_request(ack.sent.body, ack.sent.headers)
        assert not verifier.is_valid_request(ack.sent.body + b" ", ack.sent.headers)
        assert ack.sent.headers["X-Slack-Request-Timestamp"] == str(int(START) + 1_000)


async def test_the_ack_of_a_command_is_shown_to_its_person(slack: SlackStandIn, bot: Bot) -> None:
    bot.answers(text="Reading it.", blocks=CARD)
    ack = await slack.people.command("U0ALICE", "C0INCIDENT", "stop x")
    assert [ack.shown] == slack.workspace.ephemerals("U0ALICE", "C0INCIDENT")
    assert ack.shown
    assert ack.shown.buttons.keys() == {"approve"}
    assert slack.workspace.messages("C0INCIDENT") == []


async def test_a_plain_text_ack_is_shown_too(slack: SlackStandIn, bot: Bot) -> None:
    async def plain(request: Request, heard: Any) -> Response:
        return Response("Reading it.", media_type="text/plain")

    bot.answer = plain
    ack = await slack.people.command("U0ALICE", "C0SECRET", "stop x")
    assert ack.shown
    assert (ack.shown.text, ack.shown.only_for) == ("Reading it.", "U0ALICE")


async def test_an_ack_in_the_channel_shows_the_typed_command_to_all(slack: SlackStandIn, bot: Bot) -> None:
    bot.answers(response_type="in_channel", text="Reading it.")
    await slack.people.command("U0ALICE", "C0INCIDENT", "stop x")
    assert [(one.user, one.text) for one in slack.workspace.messages("C0INCIDENT")] == [
        ("U0ALICE", "/flow stop x"),
        ("U0FLOWBOT", "Reading it."),
    ]
    bot.answers(response_type="in_channel")
    assert (await slack.people.command("U0ALICE", "C0INCIDENT", "stop x")).shown is None
    assert len(slack.workspace.messages("C0INCIDENT")) == 3


@pytest.mark.parametrize("answer", [{"blocks": [{"type": "sektion"}]}, {"text": ["list"]}])
async def test_an_ack_that_cannot_be_shown_is_slacks_error(slack: SlackStandIn, bot: Bot, answer: Any) -> None:
    bot.answers(**answer)
    ack = await slack.people.command("U0ALICE", "C0INCIDENT", "stop x")
    assert ack.problems
    assert [one.user for one in slack.workspace.ephemerals("U0ALICE")] == ["USLACKBOT"]


async def test_an_ack_that_says_json_must_be_an_object(slack: SlackStandIn, bot: Bot) -> None:
    async def words(request: Request, heard: Any) -> Response:
        return Response("[]", media_type="application/json")

    bot.answer = words
    assert (await slack.people.command("U0ALICE", "C0INCIDENT", "stop x")).problems == ("not a JSON object",)


async def test_a_command_that_fails_is_shown_as_slacks_error(slack: SlackStandIn, bot: Bot) -> None:
    bot.answers(status=500)
    ack = await slack.people.command("U0ALICE", "C0INCIDENT", "stop x")
    assert (ack.ok, ack.status, ack.timed_out) == (False, 500, False)
    assert ack.shown
    assert "dispatch_failed" in ack.shown.text


async def test_no_answer_within_three_seconds_is_a_timeout(slack: SlackStandIn, bot: Bot, clock: TurnedClock) -> None:
    late = asyncio.Event()

    async def never(request: Request, heard: Any) -> Response:
        await late.wait()
        return Response("late")

    bot.answer = never
    typing = asyncio.create_task(slack.people.command("U0ALICE", "C0INCIDENT", "stop x"))
    await clock.until_asleep(3)
    clock.turn(3)
    ack = await typing
    late.set()
    assert (ack.ok, ack.status, ack.timed_out) == (False, None, True)
    assert ack.shown
    assert "operation_timeout" in ack.shown.text


async def test_a_bot_that_is_not_there_is_an_error_and_no_timeout(slack: SlackStandIn) -> None:
    slack.connect("http://127.0.0.1:9/slack/events")
    ack = await slack.people.command("U0ALICE", "C0INCIDENT", "stop x")
    assert (ack.ok, ack.timed_out, bool(ack.error)) == (False, False, True)


async def test_nothing_is_delivered_before_a_bot_is_connected(slack: SlackStandIn) -> None:
    with pytest.raises(NotPossible, match="connect"):
        await slack.people.command("U0ALICE", "C0INCIDENT", "stop x")


@pytest.mark.parametrize(
    ("user", "channel"),
    [
        ("U0CAROL", "C0INCIDENT"),
        ("U0STRANGE", "C0SHARED"),
        ("U0GONE", "C0INCIDENT"),
        ("U0WORKFLOW", "C0INCIDENT"),
        ("U0ALICE", "C0OLD"),
    ],
)
async def test_who_has_no_such_client_types_no_command_unless_forged(
    slack: SlackStandIn, bot: Bot, user: str, channel: str
) -> None:
    with pytest.raises(NotPossible):
        await slack.people.command(user, channel, "stop x")
    assert (await slack.people.command(user, channel, "stop x", forged=True)).ok
    assert len(bot.heard) == 1


async def test_unknown_people_and_places_cannot_even_be_forged(slack: SlackStandIn, bot: Bot) -> None:
    for user, channel in (("U0NOBODY", "C0INCIDENT"), ("U0ALICE", "C0NOWHERE")):
        with pytest.raises(NotPossible):
            await slack.people.command(user, channel, forged=True)


async def test_a_click_arrives_with_slacks_fields(slack: SlackStandIn, bot: Bot) -> None:
    root = await card(slack)
    message = await card(slack, thread_ts=root.ts)
    await slack.people.click("U0ALICE", message, "approve")
    [heard] = bot.heard
    assert heard["type"] == "block_actions"
    assert heard["user"] == {"id": "U0ALICE", "username": "alice", "name": "alice", "team_id": "T0PLAYGROUND"}
    assert heard["team"] == {"id": "T0PLAYGROUND", "domain": "playground"}
    assert (heard["enterprise"], heard["is_enterprise_install"], heard["api_app_id"]) == (None, False, "A0FLOWBOT")
    assert heard["container"] == {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": "C0INCIDENT",
        "is_ephemeral": False,
        "thread_ts": root.ts,
    }
    assert heard["channel"] == {"id": "C0INCIDENT", "name": "incidents"}
    assert (heard["message"]["ts"], heard["message"]["thread_ts"]) == (message.ts, root.ts)
    assert heard["state"] == {"values": {}}
    [action] = heard["actions"]
    assert (action["action_id"], action["value"], action["type"]) == ("approve", "r1", "button")
    assert action["block_id"] == message.block_ids[1]
    assert float(action["action_ts"]) == START
    assert heard["response_url"].startswith(slack.base_url)
    assert heard["trigger_id"]


async def test_on_an_org_install_the_team_is_null() -> None:
    async with running_slack(enterprise_id="E0GRID", org_install=True) as slack, running_bot(slack) as bot:
        message = await card(slack)
        await slack.people.click("U0ALICE", message, "approve")
        await slack.people.command("U0ALICE", "C0INCIDENT")
        click, typed = bot.heard
        assert (click["team"], click["enterprise"]["id"], click["is_enterprise_install"]) == (None, "E0GRID", True)
        assert (typed["enterprise_id"], typed["is_enterprise_install"]) == ("E0GRID", "true")


async def test_a_root_with_replies_carries_its_own_thread_in_the_payload(slack: SlackStandIn, bot: Bot) -> None:
    root = await card(slack)
    await card(slack, thread_ts=root.ts)
    await slack.people.click("U0ALICE", root, "approve")
    assert bot.heard[0]["message"]["thread_ts"] == root.ts
    assert "thread_ts" not in bot.heard[0]["container"]


async def test_a_click_on_an_ephemeral_carries_no_message(slack: SlackStandIn, bot: Bot) -> None:
    message = await whisper(slack)
    await slack.people.click("U0ALICE", message, "approve")
    assert "message" not in bot.heard[0]
    assert bot.heard[0]["container"]["is_ephemeral"] is True
    with pytest.raises(NotPossible, match="only U0ALICE can see"):
        await slack.people.click("U0BOB", message, "approve")


async def test_only_what_stands_there_now_can_be_pressed(slack: SlackStandIn, bot: Bot) -> None:
    message = await card(slack)
    with pytest.raises(NotPossible, match=r"no 'deny' to press, only \['approve'\]"):
        await slack.people.click("U0ALICE", message, "deny")
    await web_client(slack).chat_update(channel="C0INCIDENT", ts=message.ts, text="settled")
    with pytest.raises(NotPossible):
        await slack.people.click("U0ALICE", message, "approve")
    await web_client(slack).chat_delete(channel="C0INCIDENT", ts=message.ts)
    with pytest.raises(NotPossible):
        await slack.people.click("U0ALICE", message, "approve")
    assert bot.heard == []


async def test_a_stale_client_presses_what_stood_there_before(slack: SlackStandIn, bot: Bot) -> None:
    message = await card(slack)
    await web_client(slack).chat_update(channel="C0INCIDENT", ts=message.ts, text="settled")
    await slack.people.click("U0ALICE", message, "approve", stale=slack.workspace.versions(message)[0].blocks)
    assert bot.heard[0]["actions"][0]["block_id"] == message.block_ids[1]


@pytest.mark.parametrize("user", ["U0CAROL", "U0GONE", "U0WORKFLOW"])
async def test_who_does_not_see_the_card_presses_nothing_unless_forged(
    slack: SlackStandIn, bot: Bot, user: str
) -> None:
    message = await card(slack)
    with pytest.raises(NotPossible):
        await slack.people.click(user, message, "approve")
    await slack.people.click(user, message, "approve", forged=True)
    assert bot.heard[0]["user"]["id"] == user


async def test_strangers_and_guests_can_press_buttons(slack: SlackStandIn, bot: Bot) -> None:
    await slack.people.click("U0GUEST", await card(slack), "approve")
    await slack.people.click("U0STRANGE", await card(slack, "C0SHARED"), "approve")
    assert [heard["user"]["team_id"] for heard in bot.heard] == ["T0PLAYGROUND", "T0OTHER"]
    assert bot.heard[1]["team"]["id"] == "T0PLAYGROUND"


async def test_backing_out_of_the_dialog_delivers_nothing(slack: SlackStandIn, bot: Bot) -> None:
    words = {"type": "plain_text", "text": "Sure?"}
    asking = {**CARD[1]["elements"][0], "confirm": {"title": words, "text": words, "confirm": words, "deny": words}}
    blocks = [{"type": "actions", "elements": [asking]}]
    await web_client(slack).chat_postMessage(channel="C0INCIDENT", text="card", blocks=blocks)
    [message] = slack.workspace.messages("C0INCIDENT")
    ack = await slack.people.click("U0ALICE", message, "approve", confirm=False)
    assert (ack.sent, bot.heard) == (None, [])
    with pytest.raises(NotPossible, match="no delivery to send again"):
        await slack.people.replay(ack)
    assert (await slack.people.click("U0ALICE", message, "approve")).ok


async def test_a_button_can_carry_a_forged_value(slack: SlackStandIn, bot: Bot) -> None:
    await slack.people.click("U0ALICE", await card(slack), "approve", value="r2")
    assert bot.heard[0]["actions"][0]["value"] == "r2"


async def test_a_choice_in_a_menu_arrives_as_selected_option(slack: SlackStandIn, bot: Bot) -> None:
    option = {"text": {"type": "plain_text", "text": "One"}, "value": "1"}
    menu = {"type": "static_select", "action_id": "menu", "options": [option]}
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "Pick"}, "accessory": menu}
    await web_client(slack).chat_postMessage(channel="C0INCIDENT", text="menu", blocks=[section])
    await slack.people.click("U0ALICE", slack.workspace.messages("C0INCIDENT")[0], "menu", value="1")
    assert bot.heard[0]["actions"][0]["selected_option"] == option


async def test_the_body_of_an_answer_to_a_click_is_ignored(slack: SlackStandIn, bot: Bot) -> None:
    message = await card(slack)
    bot.answers(text="ignored", replace_original=True)
    await slack.people.click("U0ALICE", message, "approve")
    assert slack.workspace.seen_by("U0ALICE", "C0INCIDENT") == [message]


async def test_a_failed_click_is_shown_to_who_pressed_and_not_repeated(slack: SlackStandIn, bot: Bot) -> None:
    bot.answers(status=500)
    ack = await slack.people.click("U0ALICE", await card(slack), "approve")
    assert [ack.shown] == slack.workspace.ephemerals("U0ALICE")
    assert len(bot.heard) == 1


async def test_a_replay_sends_the_very_same_bytes_and_signature(slack: SlackStandIn, bot: Bot) -> None:
    first = await slack.people.command("U0ALICE", "C0INCIDENT", "stop x")
    again = await slack.people.replay(first)
    assert again.sent == first.sent
    assert bot.heard[0] == bot.heard[1]
    named = await slack.people.replay(first, retry=2)
    assert named.sent
    assert named.sent.headers["X-Slack-Retry-Num"] == "2"


async def test_raw_bytes_go_out_as_they_are(slack: SlackStandIn, bot: Bot) -> None:
    body = b"x=%22"
    headers = {"Content-Type": "application/x-www-form-urlencoded", **slack.people.sign(body, 12)}
    ack = await slack.people.raw(body, headers)
    assert ack.sent
    assert (ack.sent.body, ack.sent.headers["X-Slack-Request-Timestamp"]) == (body, "12")
    assert bot.heard == [{"x": '"'}]


async def test_many_people_can_act_at_once(slack: SlackStandIn, bot: Bot) -> None:
    message = await card(slack)
    acks = await asyncio.gather(*(slack.people.click("U0ALICE", message, "approve") for _ in range(50)))
    assert all(ack.ok for ack in acks)
    assert len({json.dumps(heard["trigger_id"]) for heard in bot.heard}) == 50
