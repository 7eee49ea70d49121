"""The Bolt app: all its listener parameters are known to Bolt, and no input causes a 5xx."""

import asyncio
import contextlib
import inspect
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.kwargs_injection.async_args import AsyncArgs
from slack_sdk.web.async_client import AsyncWebClient
from starlette.responses import Response

from bot.commands.deliveries import Actor, Entry, Typed
from bot.commands.grammar import ReadCommand
from bot.commands.verbs import VERBS
from bot.playground import world
from bot.playground.slack.server import SlackStandIn
from bot.slack import app, messages, payloads
from bot.slack.installation import Installation
from bot.slack.listeners import Listeners
from bot.slack.notifier import Notifier
from bot.slack.pacing import Pacer
from bot.slack.reader import ReadLane
from bot.slack.reply_handles import ReplyHandles
from bot.usecases import query_results
from bot.usecases.ports import Recording
from bot.usecases.queries import Queries
from tests.fakes import FakeClock

COMMAND: dict[str, Any] = {
    "command": "/flow",
    "text": "stop main",
    "team_id": "T0PLAYGROUND",
    "user_id": "U0ALICE",
    "channel_id": "C0INCIDENT",
    "trigger_id": "1.1.x",
}
CLICK: dict[str, Any] = {
    "type": "block_actions",
    "team": {"id": "T0PLAYGROUND"},
    "user": {"id": "U0CAROL", "team_id": "T0PLAYGROUND"},
    "channel": {"id": "C0INCIDENT"},
    "container": {"type": "message", "channel_id": "C0INCIDENT", "message_ts": "1.0"},
    "trigger_id": "1.2.x",
    "actions": [{"type": "button", "action_id": "approve", "block_id": "b", "value": "r1"}],
}
VIEW: dict[str, Any] = {
    "type": "view_submission",
    "team": {"id": "T0PLAYGROUND"},
    "user": {"id": "U0CAROL", "team_id": "T0PLAYGROUND"},
    "trigger_id": "1.3.x",
    "view": {"type": "modal", "callback_id": "deny_reason", "private_metadata": "r1", "state": {"values": {}}},
}


MENTION: dict[str, Any] = {
    "type": "event_callback",
    "team_id": "T0PLAYGROUND",
    "event_id": "Ev1",
    "event": {
        "type": "app_mention",
        "user": "U0ALICE",
        "text": "<@U0FLOWBOT> stop main",
        "ts": "1700000000.900100",
        "channel": "C0INCIDENT",
        "team": "T0PLAYGROUND",
    },
}


class NothingToRead(Queries):
    """Queries that show nothing, but for what everybody may use."""

    def __init__(self) -> None:
        self.asked: list[tuple[Typed, ReadCommand, int]] = []
        self.trouble: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def read(self, actor: Actor, typed: Typed, command: ReadCommand, *, page: int = 1) -> query_results.Pending:
        """Return an empty list of pending requests."""
        self.asked.append((typed, command, page))
        if self.gate is not None:
            await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        return query_results.Pending(deciding=(), others=())

    async def usable(self, actor: Actor, channel: str) -> query_results.Usable:
        """Return every verb."""
        if self.gate is not None:
            await self.gate.wait()
        return query_results.Usable(verbs=frozenset(VERBS))


class Dispatching:
    """The app with an inbox whose answer the test sets."""

    def __init__(self, slack: SlackStandIn, session: aiohttp.ClientSession) -> None:
        clock = FakeClock()
        client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])
        self.slack = slack
        self.entries: list[Entry] = []
        self.recording: Recording | Exception = Recording.NEW
        self.installation = Installation(client=client)
        reply_handles = ReplyHandles(clock=clock)
        pacer = Pacer(clock=clock)
        self.notifier = Notifier(
            client=client, session=session, installation=self.installation, reply_handles=reply_handles, pacer=pacer
        )
        self.queries = NothingToRead()
        self.reader = ReadLane(queries=self.queries, notifier=self.notifier)
        self.listeners = Listeners(
            record=self._record,
            reply_handles=reply_handles,
            notifier=self.notifier,
            reader=self.reader,
            installation=self.installation,
            clock=clock,
            api_url=slack.api_url,
        )
        self.app: AsyncApp = app.build(client=client, installation=self.installation, listeners=self.listeners)

    async def _record(self, entry: Entry) -> Recording:
        self.entries.append(entry)
        if isinstance(self.recording, Exception):
            raise self.recording
        return self.recording

    async def send(self, payload: dict[str, Any]) -> Response:
        """Dispatch a payload."""
        return await app.dispatch(self.app, payload)


@pytest.fixture
async def dispatching() -> AsyncIterator[Dispatching]:
    """Build the app on the sample workspace."""
    async with SlackStandIn(clock=FakeClock()) as slack, aiohttp.ClientSession() as session:
        world.settle(slack)
        opened = Dispatching(slack, session)
        await opened.installation.learn()
        yield opened


@pytest.mark.parametrize("name", ["command", "mention", "action", "view"])
def test_every_parameter_of_a_listener_is_known_to_bolt(name: str) -> None:
    known = set(AsyncArgs.__annotations__)

    assert set(inspect.signature(getattr(Listeners, name)).parameters) - {"self"} <= known


@pytest.mark.parametrize("payload", [COMMAND, MENTION, CLICK, VIEW])
async def test_our_deliveries_reach_their_listeners(dispatching: Dispatching, payload: dict[str, Any]) -> None:
    answered = await dispatching.send(payload)

    assert answered.status_code == 200
    assert len(dispatching.entries) == 1


@pytest.mark.parametrize(
    "payload",
    [
        {**COMMAND, "command": "/other"},
        {**CLICK, "type": "shortcut", "callback_id": "x"},
        {**CLICK, "type": "message_action", "callback_id": "x"},
        {**CLICK, "type": "block_suggestion", "action_id": "x", "value": ""},
        {**VIEW, "type": "view_closed"},
        {"type": "nothing that anybody knows", "team_id": "T0PLAYGROUND"},
        {"team_id": "T0PLAYGROUND"},
    ],
)
async def test_other_deliveries_get_a_404_and_do_nothing(dispatching: Dispatching, payload: dict[str, Any]) -> None:
    assert (await dispatching.send(payload)).status_code == 404
    assert dispatching.entries == []


async def test_an_event_that_nobody_handles_is_acknowledged(dispatching: Dispatching) -> None:
    answered = await dispatching.send({**MENTION, "event": {**MENTION["event"], "type": "message"}})

    assert (answered.status_code, answered.body) == (200, b"")
    assert dispatching.entries == []


DIALOG: dict[str, Any] = {
    "type": "dialog_submission",
    "team": {"id": "T0PLAYGROUND"},
    "user": {"id": "U0CAROL", "name": "carol"},
    "channel": {"id": "C0INCIDENT", "name": "incident"},
    "submission": {"reason": "x"},
    "callback_id": "deny_reason",
    "state": "r1",
}


@pytest.mark.parametrize(
    "payload",
    [
        {**VIEW, "view": {**VIEW["view"], "callback_id": "of_a_later_version"}},
        {**VIEW, "view": {**VIEW["view"], "callback_id": "of_a_later_version", "state": None}},
        {**CLICK, "actions": [{"type": "button", "action_id": "of_a_later_version", "block_id": "b"}]},
        DIALOG,
        {**DIALOG, "type": "dialog_cancellation"},
        {
            **{name: value for name, value in CLICK.items() if name != "container"},
            "type": "interactive_message",
            "callback_id": "approve",
            "attachment_id": "1",
            "message_ts": "1.0",
            "actions": [{"name": "approve", "type": "button", "value": "r1"}],
        },
        {**DIALOG, "type": "workflow_step_edit", "workflow_step": {"step_id": "s"}},
    ],
)
async def test_foreign_buttons_and_modals_are_acknowledged_silently(
    dispatching: Dispatching, payload: dict[str, Any]
) -> None:
    with structlog.testing.capture_logs() as lines:
        answered = await dispatching.send(payload)

    assert (answered.status_code, bytes(answered.body)) == (200, b"")
    assert (dispatching.entries, lines) == ([], [])


def broken() -> list[dict[str, Any]]:
    """Return our payloads with each part removed in turn, and with each part replaced by another type."""
    found: list[dict[str, Any]] = []
    for payload in (COMMAND, MENTION, CLICK, VIEW):
        found += spoilt(payload)
    return found + [{**MENTION, "event": event} for event in spoilt(MENTION["event"])]


def spoilt(payload: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a value with each part removed in turn, and with each part replaced by another type."""
    found: list[dict[str, Any]] = []
    for name in payload:
        found += [{**payload, name: wrong} for wrong in (None, 7, "x", [], {}, [None], {"id": None})]
        found.append({key: value for key, value in payload.items() if key != name})
    return found


def let_in() -> list[dict[str, Any]]:
    """Return those payloads that both the guard and Socket Mode accept."""
    found = []
    for payload in (*broken(), *spoilt(DIALOG), *({**VIEW, "view": view} for view in spoilt(VIEW["view"]))):
        with contextlib.suppress(ValueError):
            payloads.check(payload)
            found.append(payload)
    return found


async def test_no_accepted_shape_raises_an_unexpected_error(dispatching: Dispatching) -> None:
    with structlog.testing.capture_logs() as lines:
        for payload in let_in():
            await dispatching.send(payload)

    assert [line for line in lines if line["log_level"] == "error"] == []


async def test_no_shape_makes_a_5xx_or_an_exception(dispatching: Dispatching) -> None:
    statuses = {(await dispatching.send(payload)).status_code for payload in broken()}

    assert statuses <= {200, 400, 404}


@pytest.mark.parametrize("payload", [COMMAND, MENTION, CLICK, VIEW])
async def test_a_listener_that_raises_answers_with_an_id_that_stands_in_the_log(
    dispatching: Dispatching, payload: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    dispatching.recording = RuntimeError("nobody foresaw this")
    caplog.set_level(logging.DEBUG)

    with structlog.testing.capture_logs() as lines:
        answered = await dispatching.send(payload)

    assert answered.status_code == 200
    await dispatching.listeners.drain()
    error_id = str(lines[0]["error_id"])
    # Nobody reads the response to a mention or a click.
    beside = [one.plain for user in ("U0ALICE", "U0CAROL") for one in dispatching.slack.workspace.ephemerals(user)]
    said = beside if payload in (MENTION, CLICK) else [bytes(answered.body).decode()]
    assert [error_id in words for words in said] == [True]
    assert json.dumps(payload) not in caplog.text


async def test_bolt_itself_logs_no_body(dispatching: Dispatching, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    await dispatching.send({**COMMAND, "command": "/other", "text": "tell-nobody"})
    await dispatching.send({**COMMAND, "text": "stop tell-nobody"})

    assert "tell-nobody" not in caplog.text


async def test_bolt_asks_slack_nothing_by_itself(dispatching: Dispatching) -> None:
    before = len(dispatching.slack.workspace.calls)

    await dispatching.send(COMMAND)
    await dispatching.send(CLICK)

    assert len(dispatching.slack.workspace.calls) == before


def test_an_error_is_told_with_its_id() -> None:
    assert "ab12" in messages.unexpected("ab12").text or "ab12" in json.dumps(messages.unexpected("ab12").blocks)
