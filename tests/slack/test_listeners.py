"""The three lanes: what is answered at once, what is recorded, and what is said if recording failed."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bot.commands.deliveries import Clicked, Submitted, Typed, Verdict
from bot.commands.grammar import MAX_REASON, ReadCommand
from bot.commands.verbs import Door, Verb
from bot.playground import world
from bot.playground.slack.records import PostedMessage
from bot.playground.slack.server import SlackStandIn
from bot.slack.listeners import REMEMBERED
from bot.slack.messages import modals
from bot.usecases.ports import Recording
from tests.fakes import FakeClock
from tests.slack.test_app import CLICK, COMMAND, MENTION, VIEW, Dispatching


@pytest.fixture
async def dispatching() -> AsyncIterator[Dispatching]:
    """Build the app on the sample workspace."""
    async with SlackStandIn(clock=FakeClock()) as slack, aiohttp.ClientSession() as session:
        world.settle(slack)
        yield Dispatching(slack, session)


async def command(dispatching: Dispatching, text: str | None) -> str:
    """Type a command and return what the acknowledgement says."""
    answered = await dispatching.send({**COMMAND, "text": text})
    assert answered.status_code == 200
    return bytes(answered.body).decode()


def click(dispatching: Dispatching, button: str, **more: Any) -> dict[str, Any]:
    """Return a pressed button."""
    return {**CLICK, "actions": [{"type": "button", "action_id": button, "block_id": "b", "value": "r1"}], **more}


def submission(reason: str | None, callback: str = "deny_reason", *, name: str | None = None) -> dict[str, Any]:
    """Return a submitted modal."""
    values = {
        modals.REASON_BLOCK: {modals.REASON_ACTION: {"value": reason}},
        modals.NAME_BLOCK: {modals.NAME_ACTION: {"value": name}},
    }
    return {**VIEW, "view": {**VIEW["view"], "callback_id": callback, "state": {"values": values}}}


@pytest.mark.parametrize("text", ["", None, "help", "help stop", "help status"])
async def test_help_is_answered_on_the_spot(dispatching: Dispatching, text: str | None) -> None:
    assert '"ephemeral"' in await command(dispatching, text)
    assert dispatching.entries == []


@pytest.mark.parametrize("text", ["stopp main", "stop", "stop main --nope", "stop main because", "stop main --for 1m"])
async def test_usage_errors_and_unavailable_commands_are_not_recorded(dispatching: Dispatching, text: str) -> None:
    assert "Nothing was done" in await command(dispatching, text)
    assert dispatching.entries == []


async def test_a_stop_is_recorded_as_typed_and_never_answered_by_an_empty_200(dispatching: Dispatching) -> None:
    assert "Reading" in await command(dispatching, "STOP `main`")
    assert dispatching.entries[0].arrival == Typed(text="STOP `main`", channel="C0INCIDENT")


def mention(text: str, **event: Any) -> dict[str, Any]:
    """Return the delivery of a message that begins with a mention of the bot."""
    return {**MENTION, "event": {**MENTION["event"], "text": f"<@U0FLOWBOT> {text}", **event}}


async def told(dispatching: Dispatching, words: str, user: str = "U0ALICE") -> PostedMessage:
    """Wait until somebody was sent an ephemeral message with these words."""
    return await dispatching.slack.until(
        lambda workspace: next((one for one in workspace.ephemerals(user) if words in one.plain), None)
    )


async def test_a_mention_is_recorded_with_its_place_and_answered_beside_an_empty_200(dispatching: Dispatching) -> None:
    root = dispatching.slack.workspace.post("C0INCIDENT", "U0BOB", "the picture is frozen")

    answered = await dispatching.send(mention("STOP main", thread_ts=root.ts))

    assert (answered.status_code, bytes(answered.body)) == (200, b"")
    assert dispatching.entries[0].arrival == Typed(
        text="STOP main", channel="C0INCIDENT", door=Door.MENTION, ts=MENTION["event"]["ts"], thread_ts=root.ts
    )
    assert (await told(dispatching, "Reading `main`…")).thread_ts == root.ts


async def test_a_mention_that_slack_cannot_be_told_of_is_recorded_all_the_same(dispatching: Dispatching) -> None:
    await dispatching.installation.learn()
    dispatching.slack.faults.down()

    assert (await dispatching.send(mention("stop main"))).status_code == 200
    await dispatching.listeners.drain()

    assert len(dispatching.entries) == 1


@pytest.mark.parametrize("recording", [Recording.FULL, Recording.NOT_RECORDED, Recording.UNCONFIRMED])
async def test_a_mention_that_was_not_recorded_for_sure_is_told_and_not_delivered_again(
    dispatching: Dispatching, recording: Recording
) -> None:
    dispatching.recording = recording

    assert (await dispatching.send(mention("stop main"))).status_code == 200

    one = await told(dispatching, NOT_RECORDED[recording])
    assert "/flow" not in one.plain


@pytest.mark.parametrize("text", ["stop main", "stop", "help", "list"])
async def test_a_mention_that_is_delivered_again_is_answered_once(dispatching: Dispatching, text: str) -> None:
    for _ in range(3):
        await dispatching.send(mention(text))
    await dispatching.listeners.drain()

    heard = dispatching.slack.workspace.ephemerals("U0ALICE")
    assert len(heard) == (2 if text == "list" else 1)
    assert len(dispatching.entries) == (1 if text == "stop main" else 0)


async def test_the_number_of_remembered_mentions_is_limited(dispatching: Dispatching) -> None:
    for number in range(REMEMBERED + 5):
        await dispatching.send(mention("stop main", ts=f"1700000000.{number:06}"))
    await dispatching.listeners.drain()

    assert len(dispatching.listeners._taken) == REMEMBERED


async def test_a_read_is_acknowledged_at_once_and_answered_after(dispatching: Dispatching) -> None:
    dispatching.queries.gate = asyncio.Event()

    assert "Reading the open requests" in await command(dispatching, "pending")
    assert dispatching.slack.workspace.ephemerals("U0ALICE") == []
    dispatching.queries.gate.set()
    await told(dispatching, "No request is open.")

    assert dispatching.entries == []


async def test_a_page_of_the_list_takes_the_place_of_the_one_that_was_clicked(dispatching: Dispatching) -> None:
    action = {"type": "button", "action_id": "list_later", "block_id": "b", "value": "2 slash list feed --project hk"}

    await dispatching.send({**CLICK, "actions": [action]})
    await dispatching.listeners.drain()

    ((typed, asked, page),) = dispatching.queries.asked
    assert (typed.channel, page) == ("C0INCIDENT", 2)
    assert asked == ReadCommand(verb=Verb.LIST, about="feed", project="hk")
    assert dispatching.entries == []


@pytest.mark.parametrize("value", ["", "2 slash stop main", "x"])
async def test_a_button_of_the_list_that_carries_something_else_does_nothing(
    dispatching: Dispatching, value: str
) -> None:
    action = {"type": "button", "action_id": "list_later", "block_id": "b", "value": value}

    assert (await dispatching.send({**CLICK, "actions": [action]})).status_code == 200
    await dispatching.listeners.drain()

    assert dispatching.queries.asked == []
    assert dispatching.entries == []


async def test_a_dry_run_is_marked_from_the_first_word_on(dispatching: Dispatching) -> None:
    assert "Dry run: " in await command(dispatching, "stop main --dry-run")


async def test_a_repeated_command_gets_an_empty_200(dispatching: Dispatching) -> None:
    dispatching.recording = Recording.REPEATED

    assert await command(dispatching, "stop main") == ""


NOT_RECORDED = {
    Recording.FULL: "nothing was recorded",
    Recording.NOT_RECORDED: "Nothing was recorded",
    Recording.UNCONFIRMED: "could not confirm",
}


@pytest.mark.parametrize("recording", NOT_RECORDED)
async def test_a_command_that_was_not_recorded_for_sure_says_so(dispatching: Dispatching, recording: Recording) -> None:
    dispatching.recording = recording

    assert NOT_RECORDED[recording] in await command(dispatching, "stop main")


async def test_a_click_is_recorded(dispatching: Dispatching) -> None:
    await dispatching.send(click(dispatching, "deny"))

    arrival = dispatching.entries[0].arrival
    assert isinstance(arrival, Clicked)
    assert (arrival.button, arrival.request_id) == ("deny", "r1")


@pytest.mark.parametrize("recording", NOT_RECORDED)
async def test_a_click_that_was_not_recorded_for_sure_is_told_to_whoever_clicked(
    dispatching: Dispatching, recording: Recording
) -> None:
    dispatching.recording = recording

    assert (await dispatching.send(click(dispatching, "approve"))).status_code == 200

    told = await dispatching.slack.until(lambda workspace: workspace.ephemerals("U0CAROL", "C0INCIDENT"))
    assert NOT_RECORDED[recording] in told[0].plain


@pytest.mark.parametrize("button", ["a_link", "looking", ""])
async def test_a_button_that_is_not_ours_yet_is_acknowledged_and_does_nothing(
    dispatching: Dispatching, button: str
) -> None:
    assert (await dispatching.send(click(dispatching, button))).status_code == 200
    assert dispatching.entries == []


async def test_add_reason_opens_its_modal_and_records_nothing(dispatching: Dispatching) -> None:
    trigger = dispatching.slack.people._triggers.issue("U0CAROL")

    await dispatching.send(click(dispatching, "add_reason", trigger_id=trigger))
    await dispatching.listeners.drain()

    view = dispatching.slack.workspace.top_view("U0CAROL")
    assert view is not None
    assert view.content["private_metadata"] == "r1"
    assert dispatching.entries == []


async def test_add_reason_says_so_when_its_modal_does_not_open(dispatching: Dispatching) -> None:
    await dispatching.send(click(dispatching, "add_reason"))
    await dispatching.listeners.drain()

    told = dispatching.slack.workspace.ephemerals("U0CAROL", "C0INCIDENT")
    assert "did not open" in told[0].plain


@pytest.mark.parametrize(("block_id", "asked"), [("b", ["name"]), (modals.BOTH_MISSING, ["name", "reason"])])
async def test_type_name_opens_one_modal_for_all_that_is_missing_and_records_nothing(
    dispatching: Dispatching, block_id: str, asked: list[str]
) -> None:
    trigger = dispatching.slack.people._triggers.issue("U0CAROL")
    pressed = click(dispatching, "type_name", trigger_id=trigger)
    pressed["actions"][0]["block_id"] = block_id

    await dispatching.send(pressed)
    await dispatching.listeners.drain()

    view = dispatching.slack.workspace.top_view("U0CAROL")
    assert view is not None
    assert view.content["private_metadata"] == "r1"
    assert [block["block_id"] for block in view.content["blocks"] if block["type"] == "input"] == asked
    assert dispatching.entries == []


@pytest.mark.parametrize("name", [None, "   "])
@pytest.mark.parametrize(("reason", "wrong"), [("why", {"name"}), ("why --dry-run", {"name", "reason"})])
async def test_a_missing_name_is_told_in_the_modal_and_not_recorded(
    dispatching: Dispatching, name: str | None, reason: str, wrong: set[str]
) -> None:
    answered = await dispatching.send(submission(reason, "type_name", name=name))

    said = json.loads(bytes(answered.body))
    assert (said["response_action"], set(said["errors"])) == ("errors", wrong)
    assert dispatching.entries == []


async def test_a_name_is_recorded_as_typed_whatever_flow_is_meant(dispatching: Dispatching) -> None:
    assert bytes((await dispatching.send(submission(None, "type_name", name="premium-1"))).body) == b""

    arrival = dispatching.entries[0].arrival
    assert isinstance(arrival, Submitted)
    assert (arrival.name, arrival.reason) == ("premium-1", None)


def review(verdict: str | None, comment: str | None = None) -> dict[str, Any]:
    """Return a submitted review."""
    body = submission(comment, "review")
    option = None if verdict is None else {"value": verdict}
    field = {modals.VERDICT_ACTION: {"type": "radio_buttons", "selected_option": option}}
    body["view"]["state"]["values"][modals.VERDICT_BLOCK] = field
    return body


@pytest.mark.parametrize("comment", [None, "why not --dry-run"])
async def test_a_review_is_recorded_with_its_verdict_and_with_a_comment_or_none(
    dispatching: Dispatching, comment: str | None
) -> None:
    answered = await dispatching.send(review("not_justified", comment))

    assert (answered.status_code, bytes(answered.body)) == (200, b"")
    arrival = dispatching.entries[0].arrival
    assert isinstance(arrival, Submitted)
    assert (arrival.verdict, arrival.reason) == (Verdict.NOT_JUSTIFIED, comment)


@pytest.mark.parametrize("verdict", [None, "splendid"])
async def test_a_review_without_a_verdict_is_an_error_in_the_view_and_recorded_nowhere(
    dispatching: Dispatching, verdict: str | None
) -> None:
    answered = await dispatching.send(review(verdict, "x" * (MAX_REASON + 1)))

    said = json.loads(bytes(answered.body))
    assert (said["response_action"], set(said["errors"])) == (
        "errors",
        {modals.VERDICT_BLOCK, modals.REASON_BLOCK},
    )
    assert dispatching.entries == []


async def test_a_submission_is_recorded_and_closes_the_modal(dispatching: Dispatching) -> None:
    answered = await dispatching.send(submission("main audience"))

    assert (answered.status_code, bytes(answered.body)) == (200, b"")
    arrival = dispatching.entries[0].arrival
    assert isinstance(arrival, Submitted)
    assert arrival.reason == "main audience"


@pytest.mark.parametrize(
    ("reason", "callback"),
    [
        (None, "add_reason"),
        ("   ", "add_reason"),
        ("x" * (MAX_REASON + 1), "add_reason"),
        ("x" * (MAX_REASON + 1), "deny_reason"),
        ("why --dry-run", "add_reason"),
    ],
)
async def test_a_wrong_reason_is_told_in_the_modal_and_not_recorded(
    dispatching: Dispatching, reason: str | None, callback: str
) -> None:
    answered = await dispatching.send(submission(reason, callback))

    said = json.loads(bytes(answered.body))
    assert (said["response_action"], set(said["errors"])) == ("errors", {modals.REASON_BLOCK})
    assert dispatching.entries == []


async def test_a_denial_needs_no_reason(dispatching: Dispatching) -> None:
    assert bytes((await dispatching.send(submission(None))).body) == b""
    assert len(dispatching.entries) == 1


@pytest.mark.parametrize("recording", NOT_RECORDED)
async def test_a_submission_that_was_not_recorded_for_sure_is_told_in_the_modal(
    dispatching: Dispatching, recording: Recording
) -> None:
    dispatching.recording = recording

    said = json.loads(bytes((await dispatching.send(submission("why"))).body))

    word = "confirm" if recording is Recording.UNCONFIRMED else "Nothing was recorded"
    assert word in said["errors"][modals.REASON_BLOCK]


async def test_a_repeated_submission_closes_the_modal(dispatching: Dispatching) -> None:
    dispatching.recording = Recording.REPEATED

    assert bytes((await dispatching.send(submission("why"))).body) == b""
