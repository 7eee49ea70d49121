"""The stand-in as a whole: starting, stopping, waiting, transcripts, and serving a Bolt app."""

import asyncio
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.playground.slack import transcript
from bot.playground.slack.errors import NeverHappened
from bot.playground.slack.server import SlackStandIn
from bot.playground.slack.workspace import Workspace
from tests.playground.slack.slack_world import (
    CARD,
    REASON,
    TurnedClock,
    running_app,
    running_bot,
    running_slack,
    web_client,
)


async def test_it_listens_on_loopback_from_start_to_stop() -> None:
    slack = SlackStandIn()
    await slack.start()
    assert slack.api_url.startswith("http://127.0.0.1:")
    await web_client(slack).auth_test()
    await slack.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await web_client(slack, retry_handlers=[]).auth_test()
    await slack.stop()


async def test_it_comes_back_on_the_same_port_with_all_it_knew() -> None:
    async with running_slack() as slack:
        await web_client(slack).chat_postMessage(channel="C0INCIDENT", text="before")
        await slack.stop()
        await slack.start()
        await web_client(slack).chat_postMessage(channel="C0INCIDENT", text="after")
        assert [one.text for one in slack.workspace.messages("C0INCIDENT")] == ["before", "after"]


@pytest.mark.parametrize("after", [False, True])
async def test_it_stops_also_while_calls_are_held(after: bool) -> None:
    async with running_slack() as slack:
        slack.faults.hold("auth.test", asyncio.Event(), after=after)
        calling = asyncio.create_task(web_client(slack, retry_handlers=[]).auth_test())
        await asyncio.wait((calling,), timeout=0.05)
    await asyncio.wait((calling,))
    assert isinstance(calling.exception(), aiohttp.ClientError) or after


async def test_waiting_ends_with_the_change_that_was_waited_for() -> None:
    async with running_slack() as slack:
        waiting = asyncio.create_task(slack.until(lambda workspace: workspace.messages("C0INCIDENT")))
        await web_client(slack).auth_test()
        assert not waiting.done()
        await web_client(slack).chat_postMessage(channel="C0INCIDENT", text="words")
        assert [one.text for one in await waiting] == ["words"]


async def test_what_is_already_so_is_not_waited_for() -> None:
    async with running_slack() as slack:
        assert await slack.until(lambda workspace: workspace.team_id, timeout=0) == "T0PLAYGROUND"


async def test_waiting_in_vain_tells_what_stands_there() -> None:
    async with running_slack() as slack:
        await web_client(slack).chat_postMessage(channel="C0INCIDENT", text="words")
        with pytest.raises(NeverHappened, match=r"#incidents \(C0INCIDENT\)\n  flowbot: words"):
            await slack.until(lambda workspace: None, timeout=0.01)
        assert slack.workspace.watchers == []


async def test_an_error_in_what_is_waited_for_is_raised_where_it_waits() -> None:
    async with running_slack() as slack:

        def wrong(workspace: Workspace) -> Any:
            return workspace.messages("C0INCIDENT")[0].text == "words" or workspace.messages("C0INCIDENT")[1]

        await web_client(slack).chat_postMessage(channel="C0INCIDENT", text="other")
        with pytest.raises(IndexError):
            await slack.until(wrong)


async def test_the_transcript_reads_like_a_conversation() -> None:
    async with running_slack(clock=TurnedClock()) as slack, running_bot(slack) as bot:
        client = web_client(slack)
        bot.answers(text="Reading it.")
        await slack.people.command("U0ALICE", "C0INCIDENT", "stop x")
        root = (await client.chat_postMessage(channel="C0INCIDENT", text="card", blocks=CARD))["ts"]
        await client.chat_postEphemeral(channel="C0INCIDENT", user="U0BOB", text="not you", thread_ts=root)
        await client.chat_postMessage(channel="C0INCIDENT", text="STANDBY", thread_ts=root, reply_broadcast=True)
        await client.chat_postMessage(channel="U0BOB", text="psst")
        await client.views_open(trigger_id=bot.heard[0]["trigger_id"], view=REASON)
        assert transcript.of(slack.workspace).splitlines() == [
            "#incidents (C0INCIDENT)",
            "  flowbot (only alice sees this): Reading it.",
            "  flowbot: Stop *main-feed*?",
            "    [Approve]",
            "    > flowbot (only bob sees this): not you",
            "    > flowbot: STANDBY",
            "  flowbot: STANDBY",
            "DM with bob (D0BOB)",
            "  flowbot: psst",
            "view before alice: Why not? ['words']",
        ]


def test_the_workspace_minds_who_is_who() -> None:
    workspace = Workspace(now=lambda: 0.0)
    with pytest.raises(ValueError, match="team_id"):
        workspace.add_person("U0STRANGE", "strange", is_stranger=True)
    with pytest.raises(ValueError, match="U0NOBODY"):
        workspace.add_channel("C0", "c", ("U0NOBODY",))


def test_people_and_the_bot_come_and_go() -> None:
    workspace = Workspace(now=lambda: 0.0)
    workspace.add_person("U0ALICE", "alice")
    workspace.add_channel("C0", "c", (), bot=False)
    workspace.join("C0", "U0ALICE")
    workspace.join("C0", workspace.bot_user_id)
    assert workspace.is_in("U0ALICE", "C0")
    workspace.leave("C0", "U0ALICE")
    assert not workspace.is_in("U0ALICE", "C0")
    assert not workspace.is_in("U0ALICE", "C0NOWHERE")
    assert workspace.change_person("U0ALICE", deleted=True).deleted


def bolt_app(slack: SlackStandIn) -> Starlette:
    """Return a small other app: a command that posts a card, a button that opens a modal, a mention."""
    client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
    app = AsyncApp(client=client, signing_secret=slack.signing_secret)

    @app.command("/flow")
    async def flow(ack: AsyncAck, command: dict[str, Any], client: AsyncWebClient) -> None:
        await ack(f"Reading {command['text']}")
        await client.chat_postMessage(channel=command["channel_id"], text="card", blocks=CARD)

    @app.action("approve")
    async def approve(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient, respond: AsyncRespond) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=REASON)
        await respond("Why?", replace_original=False)

    @app.view("deny_reason")
    async def reason(ack: AsyncAck, view: dict[str, Any]) -> None:
        words = view["state"]["values"]["reason"]["words"]["value"]
        await (ack(response_action="errors", errors={"reason": "More."}) if words == "no" else ack())

    @app.event("app_mention")
    async def mentioned(event: dict[str, Any], client: AsyncWebClient) -> None:
        await client.chat_postMessage(channel=event["channel"], text="Yes?", thread_ts=event["ts"])

    handler = AsyncSlackRequestHandler(app)

    async def endpoint(request: Request) -> Response:
        return await handler.handle(request)

    return Starlette(routes=[Route("/slack/events", endpoint, methods=["POST"])])


async def test_a_bolt_app_can_be_driven_from_command_to_modal() -> None:
    async with running_slack() as slack, running_app(bolt_app(slack)) as url:
        slack.connect(f"{url}/slack/events")
        ack = await slack.people.command("U0ALICE", "C0INCIDENT", "stop x")
        assert ack.shown
        assert ack.shown.text == "Reading stop x"
        [card] = await slack.until(lambda workspace: workspace.messages("C0INCIDENT"))
        assert (await slack.people.click("U0ALICE", card, "approve")).ok
        view = await slack.until(lambda workspace: workspace.top_view("U0ALICE"))
        await slack.until(lambda workspace: [one for one in workspace.ephemerals("U0ALICE") if one.text == "Why?"])
        await slack.people.submit("U0ALICE", view, {"reason": "no"})
        assert slack.workspace.views("U0ALICE")[0].errors == {"reason": "More."}
        await slack.people.submit("U0ALICE", view, {"reason": "still needed"})
        assert slack.workspace.views("U0ALICE") == ()


async def test_a_bolt_app_hears_mentions_and_refuses_wrong_signatures() -> None:
    async with running_slack() as slack, running_app(bolt_app(slack)) as url:
        slack.connect(f"{url}/slack/events")
        assert (await slack.people.mention("U0ALICE", "C0INCIDENT", "hello")).ok
        [root] = slack.workspace.messages("C0INCIDENT")
        [reply] = await slack.until(lambda workspace: workspace.thread(root))
        assert reply.text == "Yes?"
        body = b"command=%2Fflow"
        headers = {"Content-Type": "application/x-www-form-urlencoded", **slack.people.sign(body)}
        assert (await slack.people.raw(body + b"x", headers)).status == 401
        old = {**headers, **slack.people.sign(body, int(slack.clock.now()) - 301)}
        assert (await slack.people.raw(body, old)).status == 401
