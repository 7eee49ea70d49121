"""Socket Mode in the stand-in: tickets, envelopes, acknowledgements, failures. The vendor's client is tried too."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.slack.acks import Ack
from bot.playground.slack.errors import NotPossible
from bot.playground.slack.faults import HANDSHAKE
from bot.playground.slack.server import SlackStandIn
from bot.playground.slack.sockets import MOST, TICKET_SECONDS
from tests.playground.slack.slack_world import CARD, REASON, TurnedClock, running_slack, web_client

Json = dict[str, Any]
Send = Callable[[Json], Awaitable[None]]


class App:
    """A minimal app: it keeps what it receives, and acknowledges unless `answer` says otherwise."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[Json] = []
        self.answer: Callable[[Json], Json | None] = lambda envelope: {"envelope_id": envelope["envelope_id"]}
        self.news = asyncio.Condition()
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for frame in self.socket:
            message = frame.json()
            self.heard.append(message)
            if "envelope_id" in message and (answer := self.answer(message)):
                await self.socket.send_json(answer)
            async with self.news:
                self.news.notify_all()

    async def hears(self, number: int) -> list[Json]:
        """Wait until this many messages arrived, including the hello."""
        async with asyncio.timeout(60), self.news:
            await self.news.wait_for(lambda: len(self.heard) >= number)
        return self.heard


class Apps:
    """Connections to the stand-in."""

    def __init__(self, slack: SlackStandIn, session: aiohttp.ClientSession) -> None:
        self.slack = slack
        self.session = session

    async def address(self) -> str:
        """Ask for a URL."""
        return str((await web_client(self.slack).apps_connections_open(app_token=self.slack.app_token))["url"])

    async def open(self) -> App:
        """Open a connection and wait for the hello."""
        app = App(await self.session.ws_connect(await self.address()))
        await app.hears(1)
        return app


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
async def apps(clock: TurnedClock) -> AsyncIterator[Apps]:
    async with running_slack(clock=clock) as slack, aiohttp.ClientSession() as session:
        slack.connect_socket()
        yield Apps(slack, session)


async def types(apps: Apps, text: str = "stop x") -> Ack:
    """Let Alice type a command."""
    return await apps.slack.people.command("U0ALICE", "C0INCIDENT", text)


# Tickets


@pytest.mark.parametrize(
    ("token", "code"),
    [("xoxb-playground", "not_allowed_token_type"), ("xapp-other", "invalid_auth"), ("", "not_authed")],
)
async def test_a_ticket_is_for_the_app_token_alone(apps: Apps, token: str, code: str) -> None:
    with pytest.raises(SlackApiError) as refused:
        await AsyncWebClient(base_url=apps.slack.api_url).apps_connections_open(app_token=token)
    assert refused.value.response["error"] == code


async def test_the_app_token_is_for_tickets_alone_and_stands_in_the_header(apps: Apps) -> None:
    with pytest.raises(SlackApiError, match="not_allowed_token_type"):
        await web_client(apps.slack, token=apps.slack.app_token).auth_test()
    url = f"{apps.slack.api_url}apps.connections.open"
    async with apps.session.post(url, data={"token": apps.slack.app_token}) as answer:
        assert (await answer.json())["error"] == "not_authed"


async def test_a_ticket_is_good_for_one_connection_and_not_for_long(apps: Apps, clock: TurnedClock) -> None:
    url, late = await apps.address(), await apps.address()
    await apps.session.ws_connect(url)
    clock.turn(TICKET_SECONDS + 1)
    for dead in (url, late, url.replace("ticket-", "ticket-x")):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await apps.session.ws_connect(dead)
    assert apps.slack.sockets.knocks[:2] == ["ticket-1", "ticket-1"]


async def test_there_are_ten_connections_at_most(apps: Apps) -> None:
    hello = [(await apps.open()).heard[0] for _ in range(MOST)]
    assert [one["num_connections"] for one in hello] == list(range(1, MOST + 1))
    assert hello[0]["type"] == "hello"
    assert hello[0]["connection_info"] == {"app_id": "A0FLOWBOT"}

    one_more = await apps.open()
    await one_more.task
    assert one_more.heard[0]["reason"] == "too_many_websockets"
    assert len(apps.slack.sockets.lines) == MOST


# Envelopes


async def test_a_command_is_an_envelope_and_its_payload_is_shown(apps: Apps) -> None:
    app = await apps.open()
    app.answer = lambda envelope: {"envelope_id": envelope["envelope_id"], "payload": {"text": "Reading it."}}
    ack = await types(apps)

    assert (ack.ok, ack.status, ack.json) == (True, 200, {"text": "Reading it."})
    assert ack.shown
    assert (ack.shown.text, ack.shown.only_for) == ("Reading it.", "U0ALICE")
    envelope = app.heard[1]
    assert (envelope["type"], envelope["accepts_response_payload"]) == ("slash_commands", True)
    assert envelope["payload"]["text"] == "stop x"
    assert "retry_attempt" not in envelope


async def test_a_click_takes_no_payload_and_a_modal_does(apps: Apps) -> None:
    app = await apps.open()
    app.answer = lambda envelope: {"envelope_id": envelope["envelope_id"], "payload": {"response_action": "clear"}}
    await web_client(apps.slack).chat_postMessage(channel="C0INCIDENT", text="card", blocks=CARD)
    click = await apps.slack.people.click("U0ALICE", apps.slack.workspace.messages("C0INCIDENT")[-1], "approve")
    assert (click.ok, click.body) == (True, "")
    assert click.problems == ("a payload where none is accepted",)
    trigger = app.heard[1]["payload"]["trigger_id"]
    await web_client(apps.slack).views_open(trigger_id=trigger, view=REASON)
    view = apps.slack.workspace.top_view("U0ALICE")
    assert view
    assert (await apps.slack.people.submit("U0ALICE", view, {"reason": "why"})).problems == ()
    assert apps.slack.workspace.top_view("U0ALICE") is None


async def test_each_envelope_goes_to_one_connection(apps: Apps) -> None:
    both = [await apps.open(), await apps.open()]
    for _ in range(4):
        assert (await types(apps)).ok
    assert [len(app.heard) for app in both] == [3, 3]


async def test_without_a_connection_a_command_fails(apps: Apps) -> None:
    ack = await types(apps)
    assert (ack.ok, ack.status) == (False, None)
    assert ack.shown
    assert "dispatch_failed" in ack.shown.text


async def test_without_an_acknowledgement_in_three_seconds_it_timed_out(apps: Apps, clock: TurnedClock) -> None:
    app = await apps.open()
    app.answer = lambda envelope: None
    typing = asyncio.create_task(types(apps))
    await app.hears(2)
    await clock.until_asleep(3)
    clock.turn(3)
    ack = await typing
    assert ack.timed_out
    assert ack.shown
    assert "operation_timeout" in ack.shown.text


async def test_an_acknowledgement_on_another_connection_counts_for_nothing(apps: Apps, clock: TurnedClock) -> None:
    first = await apps.open()
    usual, first.answer = first.answer, lambda envelope: None
    typing = asyncio.create_task(types(apps))
    await first.hears(2)
    first.answer = usual
    second = await apps.open()
    await second.socket.send_json({"envelope_id": first.heard[1]["envelope_id"]})
    for _ in range(2):
        assert (await types(apps)).ok  # over either connection, so that the stray is read
    assert len(apps.slack.sockets.strays) == 1
    assert not typing.done()
    await clock.until_asleep(3)
    clock.turn(3)
    assert (await typing).timed_out


async def test_an_event_is_sent_again_with_the_number_of_the_try(apps: Apps) -> None:
    app = await apps.open()
    app.answer = lambda envelope: None
    asking = asyncio.create_task(apps.slack.people.mention("U0ALICE", "C0INCIDENT", "stop x"))
    await app.hears(2)
    second = await apps.open()
    apps.slack.sockets.lines[0].drop()
    ack = await asking

    assert (ack.ok, ack.attempts) == (True, 2)
    envelopes = [app.heard[1], second.heard[1]]
    assert [(one["retry_attempt"], one["retry_reason"]) for one in envelopes] == [(0, ""), (1, "connection_failed")]
    assert envelopes[0]["payload"]["event_id"] == envelopes[1]["payload"]["event_id"]
    assert envelopes[0]["accepts_response_payload"] is False


async def test_an_envelope_can_come_twice(apps: Apps) -> None:
    both = [await apps.open(), await apps.open()]
    apps.slack.sockets.duplicates = 1
    ack = await types(apps)
    assert ack.ok
    again = await apps.slack.people.replay(ack)
    assert again.ok
    for app in both:
        await app.hears(2)
    assert len({one["envelope_id"] for app in both for one in app.heard[1:]}) == 1
    with pytest.raises(NotPossible):
        await apps.slack.sockets.deliver_again(Ack())


# Failures


@pytest.mark.parametrize("reason", ["warning", "refresh_requested", "link_disabled"])
async def test_a_disconnect_is_announced_and_the_connection_still_works(apps: Apps, reason: str) -> None:
    app = await apps.open()
    await apps.slack.sockets.lines[0].disconnect(reason)
    assert (await app.hears(2))[1]["reason"] == reason
    assert (await types(apps)).ok
    await apps.slack.sockets.lines[0].close()
    await app.task
    assert not (await types(apps)).ok


async def test_a_silent_connection_lets_nothing_through(apps: Apps, clock: TurnedClock) -> None:
    app = await apps.open()
    apps.slack.sockets.lines[0].silent = True
    await app.socket.ping()
    typing = asyncio.create_task(types(apps))
    await clock.until_asleep(3)
    clock.turn(3)
    assert (await typing).timed_out
    assert len(app.heard) == 1


@pytest.mark.parametrize(("plan", "status"), [("server_error", 500), ("ratelimit", 429)])
async def test_a_handshake_can_fail(apps: Apps, plan: str, status: int) -> None:
    getattr(apps.slack.faults, plan)(HANDSHAKE)
    with pytest.raises(aiohttp.WSServerHandshakeError, match=str(status)):
        await apps.session.ws_connect(await apps.address())
    apps.slack.faults.error(HANDSHAKE, "408")
    with pytest.raises(aiohttp.WSServerHandshakeError, match="408"):
        await apps.session.ws_connect(await apps.address())
    apps.slack.faults.drop_before(HANDSHAKE, times=2)  # aiohttp retries by itself, with the same URL
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await apps.session.ws_connect(await apps.address())
    assert len(apps.slack.sockets.knocks) == len(set(apps.slack.sockets.knocks)) + 1


@asynccontextmanager
async def vendors(slack: SlackStandIn) -> AsyncIterator[SocketModeClient]:
    """Run the vendor's client, which acknowledges everything."""

    async def acknowledge(client: Any, request: Any) -> None:
        await client.send_socket_mode_response(SocketModeResponse(request.envelope_id, {"text": "Reading it."}))

    client = SocketModeClient(slack.app_token, web_client=web_client(slack))
    client.socket_mode_request_listeners.append(acknowledge)
    await client.connect()  # type: ignore[no-untyped-call]
    yield client
    await client.close()  # type: ignore[no-untyped-call]


async def test_the_vendors_client_gets_along_with_it(apps: Apps) -> None:
    async with vendors(apps.slack):
        await apps.slack.until(lambda _: apps.slack.sockets.lines)
        assert (await types(apps)).json == {"text": "Reading it."}
        await apps.slack.until(lambda _: apps.slack.sockets.lines[0].pongs)


async def test_http_and_sockets_exclude_each_other(apps: Apps) -> None:
    apps.slack.connect("http://127.0.0.1:9/slack/events")
    assert (await types(apps)).error.startswith("ClientConnectorError")
    apps.slack.connect_socket()
    with pytest.raises(NotPossible):
        await apps.slack.people.raw(b"", {})
