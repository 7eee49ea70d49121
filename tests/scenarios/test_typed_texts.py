"""Whatever a person can type: its card is posted, each button on it works when Slack sends the card back whole, and
the audit and the history have it. Over both doors, on both databases."""

import asyncio
import dataclasses
import pathlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import pytest
from click import testing
from hypothesis import given, settings

from bot.cli import main as command_line
from bot.playground.live.errors import failing, invalid
from bot.playground.slack.acks import Ack
from bot.playground.slack.records import PostedMessage, View
from tests import postgres
from tests.scenarios.conftest import INCIDENT, PATIENCE, Stage
from tests.scenarios.typed import (
    LONGEST,
    PLACES,
    POLICY,
    TYPED,
    Played,
    escaped,
    played,
    read,
    reasons,
    served,
    shown,
    texts,
    visible,
)


@pytest.fixture(scope="module", params=PLACES)
def on(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, database: pathlib.Path
) -> Iterator[Played]:
    """Return a stage for all texts, in each place."""
    server: postgres.Server | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("server")
    with played(request.param, tmp_path_factory.mktemp("typed"), database, server) as opened:
        yield opened


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    """Return a server with an empty database."""
    with served() as running:
        yield running


# What somebody does, each of which must be taken


async def presses(stage: Stage, user: str, card: PostedMessage, button: str, *, stays: bool = False) -> None:
    """Press a button once the card has it, and unless it stays wait until the card has it no longer."""
    await stage.slack.until(lambda _: button in stage.now(card).buttons, timeout=PATIENCE)
    taken(await stage.presses(user, stage.now(card), button))
    await stage.quiet()
    await stage.slack.until(lambda _: stays or button not in stage.now(card).buttons, timeout=PATIENCE)


async def asks_again(stage: Stage, card: PostedMessage) -> PostedMessage:
    """Ask for the same once more, and return the new card."""
    await stage.slack.until(lambda _: "ask_again" in stage.now(card).buttons, timeout=PATIENCE)
    known = len(stage.cards())
    taken(await stage.presses("U0ALICE", stage.now(card), "ask_again"))
    await stage.quiet()
    return await stage.slack.until(lambda _: next(iter(stage.cards()[known:]), None), timeout=PATIENCE)


async def submits(stage: Stage, user: str, **values: str) -> None:
    view: View = await stage.opens_for(user)
    taken(await stage.slack.people.submit(user, view, values))
    await stage.quiet()
    assert stage.view(user) is None


async def asks(on: Played, flow: str, text: str, *, user: str = "U0ALICE", options: str = "") -> PostedMessage:
    """Ask for a stop with a reason, and return the card, which shows it."""
    card = await on.stage.asks(user, f"stop {flow} {options} because {escaped(text)}")
    assert f"Reason: “{shown(visible(text), most=1000)}”" in read(on.stage.now(card).plain)
    return card


async def offered(on: Played, text: str) -> PostedMessage:
    """Ask for what opens nothing yet, and return what only Alice is shown."""
    before = len(on.stage.slack.workspace.ephemerals("U0ALICE"))
    taken(await on.stage.types("U0ALICE", text))
    await on.stage.quiet()
    return next(one for one in on.stage.slack.workspace.ephemerals("U0ALICE")[before:] if one.buttons)


def taken(ack: Ack) -> None:
    assert (ack.status, ack.problems) == (200, ())


# What may happen to a request


async def is_approved(on: Played, flow: str, text: str) -> None:
    card = await asks(on, flow, text)
    await presses(on.stage, "U0DAVE", card, "approve")
    await on.stage.thread_says(card, "STANDBY")


async def is_confirmed(on: Played, flow: str, text: str) -> None:
    card = await asks(on, flow, text, user="U0CAROL")
    await presses(on.stage, "U0CAROL", card, "confirm")
    await on.stage.thread_says(card, "STANDBY")


async def is_withdrawn(on: Played, flow: str, text: str) -> None:
    await presses(on.stage, "U0ALICE", await asks(on, flow, text), "withdraw")


async def is_denied(on: Played, flow: str, text: str) -> None:
    card = await asks(on, flow, text)
    await presses(on.stage, "U0DAVE", card, "deny")
    await submits(on.stage, "U0DAVE", reason=text)
    assert f"Reason: “{shown(visible(text), most=200)}”" in read(on.stage.now(card).plain)
    assert f"Reason: “{shown(visible(text), most=300)}”" in read(on.stage.replies(card)[-1])


async def is_asked_again_once_expired_and_once_failed(on: Played, flow: str, text: str) -> None:
    stage = on.stage
    card = await asks(on, flow, text)
    await stage.passes(1801)
    again = await asks_again(stage, card)
    stage.put_fails(invalid(text), times=1)
    await presses(stage, "U0DAVE", again, "approve")
    await presses(stage, "U0DAVE", await asks_again(stage, again), "approve")


async def is_checked_while_unknown(on: Played, flow: str, text: str) -> None:
    stage = on.stage
    card = await asks(on, flow, text)
    let_go = asyncio.Event()
    stage.put_fails(drop=True, effect=True, hold=let_go, times=1)
    called = stage.stops()
    taken(await stage.presses("U0DAVE", card, "approve"))
    await stage.live.until(lambda _: stage.stops() > called, timeout=20)
    stage.reads_fail(failing(503, "html"))
    let_go.set()
    await stage.shows(card, "Unknown")
    stage.live.faults.clear()
    await presses(stage, "U0DAVE", card, "check_now")


async def is_an_emergency_and_reviewed(on: Played, flow: str, text: str) -> None:
    stage = on.stage
    card = await asks(on, flow, text, options="--emergency")
    await presses(stage, "U0ALICE", card, "emergency_first")
    await stage.passes(3)
    await presses(stage, "U0ALICE", card, "emergency_confirm")
    await presses(stage, "U0CAROL", card, "review", stays=True)
    await submits(stage, "U0CAROL", verdict="not_justified", reason=text)
    assert f"Comment: “{shown(visible(text), most=1000)}”" in read(stage.now(card).plain)
    assert f"Comment: “{shown(visible(text), most=600)}”" in read("\n".join(stage.replies(card)))
    await stage.passes(3600)  # within a day only so many emergencies are let through


async def is_an_emergency_and_denied(on: Played, flow: str, text: str) -> None:
    card = await asks(on, flow, text, options="--emergency")
    await presses(on.stage, "U0ALICE", card, "emergency_first")
    await presses(on.stage, "U0DAVE", card, "deny")
    await submits(on.stage, "U0DAVE", reason=text)


async def is_mentioned(on: Played, flow: str, text: str) -> None:
    people, workspace = on.stage.slack.people, on.stage.slack.workspace
    root = workspace.post(INCIDENT, "U0BOB", "the picture is frozen")
    taken(await people.mention("U0ALICE", INCIDENT, f"stop {flow} because {escaped(text)}", thread=root))
    await on.stage.quiet()
    (card,) = (one for one in workspace.thread(root) if one.buttons)
    await presses(on.stage, "U0DAVE", card, "approve")


async def is_given_its_reason_later(on: Played, flow: str, text: str) -> None:
    offer = await offered(on, f"stop {flow}")
    taken(await on.stage.slack.people.click("U0ALICE", offer, "add_reason"))
    await submits(on.stage, "U0ALICE", reason=text)
    await presses(on.stage, "U0DAVE", on.stage.cards()[-1], "approve")


async def is_for_a_flow_whose_name_is_typed(on: Played, flow: str, text: str) -> None:
    offer = await offered(on, f"stop {flow} because {escaped(text)}")
    taken(await on.stage.slack.people.click("U0ALICE", offer, "type_name"))
    await submits(on.stage, "U0ALICE", name=f"not {text[:60]}")
    taken(await on.stage.slack.people.click("U0ALICE", on.stage.slack.workspace.ephemerals("U0ALICE")[-1], "type_name"))
    await submits(on.stage, "U0ALICE", name=f"feed {flow}")
    await presses(on.stage, "U0DAVE", on.stage.cards()[-1], "approve")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Story:
    """What happens to a request for which kind of flow, how that ends, and which lines of the audit hold the text."""

    plays: Callable[[Played, str, str], Awaitable[None]]
    flow: str = "typed"
    ends: str = "approved"
    audited: tuple[tuple[str, str], ...] = (("asked", "reason"),)


DENIED: Final = (("asked", "reason"), ("explained a denial", "reason"))

STORIES: Final = (
    Story(plays=is_confirmed),
    Story(plays=is_withdrawn, ends="withdrawn"),
    Story(plays=is_denied, ends="denied", audited=DENIED),
    Story(plays=is_asked_again_once_expired_and_once_failed),
    Story(plays=is_checked_while_unknown),
    Story(plays=is_an_emergency_and_reviewed, audited=(("asked", "reason"), ("reviewed", "comment"))),
    Story(plays=is_an_emergency_and_denied, ends="denied", audited=DENIED),
    Story(plays=is_mentioned),
    Story(plays=is_given_its_reason_later, flow="why"),
    Story(plays=is_for_a_flow_whose_name_is_typed, flow="guarded"),
)


def stands(on: Played, flow: str, text: str, story: Story) -> None:
    """Hold record, audit and history to what was typed."""
    _, state, reason = on.request(flow)
    assert (state, reason) == (story.ends, visible(text))
    assert [on.audited(flow, what)[key] for what, key in story.audited] == [visible(text)] * len(story.audited)
    on.run(reads_history(on.stage, flow, text))
    assert on.select("SELECT key FROM inbox WHERE state <> 'done'") == []


async def reads_history(stage: Stage, flow: str, text: str) -> None:
    before = len(stage.heard("U0ALICE"))
    taken(await stage.types("U0ALICE", f"history {flow}"))
    await stage.slack.until(lambda _: len(stage.heard("U0ALICE")) > before)
    assert f"Reason: “{shown(visible(text), most=300)}”" in read(stage.heard("U0ALICE")[-1])
    assert not any("Something went wrong" in told for told in stage.heard("U0ALICE")[-5:])


@pytest.mark.parametrize("story", STORIES, ids=[story.plays.__name__ for story in STORIES])
@settings(TYPED)
@given(text=reasons)
def test_whatever_was_typed_as_a_reason_its_card_and_buttons_work(on: Played, story: Story, text: str) -> None:
    on.run(on.stage.passes(60))
    flow = on.new_flow(story.flow)

    on.run(story.plays(on, flow, text))

    stands(on, flow, text, story)


def test_a_reason_may_be_as_long_as_can_be(on: Played) -> None:
    on.run(on.stage.passes(60))
    flow = on.new_flow()

    on.run(is_denied(on, flow, LONGEST))

    stands(on, flow, LONGEST, Story(plays=is_denied, ends="denied", audited=DENIED))


@settings(TYPED)
@given(name=texts)
def test_a_flow_may_be_called_anything(on: Played, name: str) -> None:
    on.run(on.stage.passes(60))
    flow = on.new_flow(name=name)

    async def plays() -> None:
        await is_approved(on, flow, "the encoder burns")
        for command in (f"status {flow}", "list feed", f"history {flow}", f"status {escaped(name)}", "pending"):
            await hears(on.stage, command, on.stage.types("U0ALICE", command))

    on.run(plays())
    stands(on, flow, "the encoder burns", Story(plays=is_approved))


@settings(TYPED)
@given(text=texts)
def test_whatever_is_typed_is_answered(on: Played, text: str) -> None:
    on.run(on.stage.passes(60))

    async def plays() -> None:
        for command in COMMANDS:
            await hears(on.stage, command, on.stage.types("U0ALICE", command.format(text)))
            mentioned = on.stage.slack.people.mention("U0ALICE", INCIDENT, command.format(escaped(text)))
            await hears(on.stage, command, mentioned)

    on.run(plays())
    assert on.select("SELECT key FROM inbox WHERE state <> 'done'") == []


COMMANDS: Final = (
    "{}",
    "stop {}",
    "stop studio-b --project {}",
    "status {}",
    "list {}",
    "history --project {}",
    "help {}",
)


async def hears(stage: Stage, command: str, typing: Awaitable[Ack]) -> None:
    """Hold the bot to an answer to what Alice types."""
    known = len(stage.heard("U0ALICE"))
    ack = await typing
    taken(ack)
    await stage.quiet()
    if ack.shown is None or ack.shown.plain.startswith("Reading "):
        await stage.slack.until(lambda _: len(stage.heard("U0ALICE")) > known)
    assert not any("Something went wrong" in told for told in stage.heard("U0ALICE")[known:]), command


@settings(max_examples=TYPED.max_examples * 15)
@given(text=texts)
def test_whatever_is_typed_is_explained_or_refused(explained: Callable[..., int], text: str) -> None:
    typed = text.replace("\0", "")  # no argument of a command can have one

    assert explained("stop", "main-feed", "because", typed or "x") in (0, 2)
    assert explained("stop", typed) in (0, 2)
    assert explained("stop", "main-feed", "--project", typed) in (0, 2)


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., int]:
    """Return what gives the exit code of `flowbot explain`, of which all else than exiting is an error."""
    file = tmp_path_factory.mktemp("explained") / "flowbot.toml"
    file.write_text(POLICY.replace("{endpoint}", "http://127.0.0.1:9"))
    environ = {
        **dict.fromkeys(("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET"), "x"),
        **dict.fromkeys(("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"), "x"),
        "FLOWBOT_CONFIG": str(file),
    }

    def explain(*command: str) -> int:
        words = ["explain", "--user", "U0ALICE", "--channel", INCIDENT, *command]
        done = testing.CliRunner().invoke(command_line.main, words, env=environ)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        return done.exit_code

    return explain
