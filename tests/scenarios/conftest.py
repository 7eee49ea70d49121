"""The stage of the scenarios: the real bot between the stand-ins, and a clock that only tests advance.

Slack reaches the bot by signed HTTP; the files in BOTH_DOORS run each scenario over Socket Mode too.
"""

import asyncio
import contextlib
import json
import pathlib
import re
import shutil
import socket
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

import pytest
import uvicorn

from bot.playground import world
from bot.playground.live.errors import Refusal, Trouble
from bot.playground.slack import transcript
from bot.playground.slack.acks import FORM, Ack
from bot.playground.slack.records import PostedMessage, View
from bot.serve import build, http_server
from bot.store import migrate
from tests.fakes import FakeClock

INCIDENT = "C0INCIDENT"
RANDOM = "C0RANDOM"
MAIN = "ec897482-d24b-4d64-aa39-407980901b2d"

BOTH_DOORS = (
    *("test_stop", "test_typed_texts", "test_approvals", "test_deny_and_withdraw", "test_direct", "test_races"),
    *("test_mentions", "test_emergency", "test_slack_away_at_start", "test_samples"),
)

ACKNOWLEDGED = re.compile(r"(Dry run: )?(EMERGENCY: )?Reading ")

PATIENCE = 120.0
"""Real seconds for the bot to become idle; only a failing test waits so long."""

STEP = 0.1
"""Real seconds after which the clock advances although the bot is busy: it may be waiting for the clock."""

TURN = 5.0
"""The longest step of the clock, in its seconds."""


class Stage:
    """What people do in the workspace, and what they see."""

    def __init__(self, built: world.World) -> None:
        self.world = built
        self.slack = built.slack
        self.live = built.live
        self.bot: build.Bot | None = None
        self._settling: asyncio.Task[None] | None = None

    # Actions

    async def types(self, user: str, text: str, *, channel: str = INCIDENT, forged: bool = False) -> Ack:
        """Type `/flow …` in a channel."""
        return await self.slack.people.command(user, channel, text, forged=forged)

    async def asks(
        self, user: str, text: str, *, channel: str = INCIDENT, seen_in: str = INCIDENT, others_wait: bool = False
    ) -> PostedMessage:
        """Type a command that opens a request, and return its card once the bot has stored where it is.

        `others_wait` says that the bot cannot become idle, because another request waits for the clock or for the test.
        """
        known = {card.ts for card in self.cards(seen_in)}
        await self.types(user, text, channel=channel)
        card = await self.slack.until(
            lambda _: next((card for card in self.cards(seen_in) if card.ts not in known and card.buttons), None),
            timeout=PATIENCE,
        )
        await (self._noted(card) if others_wait else self.quiet())
        return card

    async def presses(self, user: str, card: PostedMessage, button: str) -> Ack:
        """Press a button of a card."""
        return await self.slack.people.click(user, card, button)

    async def presses_late(self, user: str, card: PostedMessage, button: str) -> Ack:
        """Press a button as an earlier version of the card showed it."""
        return await self.slack.people.click(user, card, button, stale=card.blocks, forged=True)

    async def forges(self, user: str, card: PostedMessage, button: str, *, value: str | None = None) -> Ack:
        """Press a button that the card does not have; it carries the card's request id unless told otherwise."""
        carried = value if value is not None else request_of(card)
        label = {"type": "plain_text", "text": button}
        element = {"type": "button", "action_id": button, "value": carried, "text": label}
        row = {"type": "actions", "block_id": "forged", "elements": [element]}
        return await self.slack.people.click(user, card, button, stale=[row], forged=True)

    async def delivers(self, fields: Mapping[str, str], **headers: str) -> Ack:
        """Send a signed form, or a command's envelope, with any content."""
        if self.slack.people.by_socket:
            return await self.slack.sockets.deliver("slash_commands", dict(fields), accepts=True)
        body = urlencode(fields).encode()
        signed = {"Content-Type": FORM, **self.slack.people.sign(body), **headers}
        return await self.slack.people.raw(body, signed)

    async def delivers_payload(self, payload: Any) -> Ack:
        """Send an interaction with any content."""
        if self.slack.people.by_socket:
            return await self.slack.sockets.deliver("interactive", payload, accepts=True)
        return await self.delivers({"payload": json.dumps(payload)})

    async def delivers_event(self, payload: Any) -> Ack:
        """Send an event with any content, in an envelope of any shape."""
        if self.slack.people.by_socket:
            return await self.slack.sockets.deliver("events_api", payload)
        body = json.dumps(payload).encode()
        return await self.slack.people.raw(body, {"Content-Type": "application/json", **self.slack.people.sign(body)})

    # What is visible

    def cards(self, channel: str = INCIDENT) -> list[PostedMessage]:
        """Return the cards in a channel in their current version."""
        bot = self.slack.workspace.bot_user_id
        return [
            message
            for message in self.slack.workspace.messages(channel)
            if message.user == bot and not message.thread_ts
        ]

    def now(self, card: PostedMessage) -> PostedMessage:
        """Return the current version of the card."""
        current = self.slack.workspace.message(card.channel, card.ts)
        assert current is not None
        return current

    def reads(self, card: PostedMessage) -> str:
        """Return the current text of the card, without its bold type."""
        return self.now(card).plain.replace("*", "")

    def replies(self, card: PostedMessage) -> list[str]:
        """Return the text of each reply in the card's thread."""
        return [reply.plain for reply in self.slack.workspace.thread(card)]

    def heard(self, user: str) -> list[str]:
        """Return what only this person was sent, in channels and DMs, in order and without acknowledgements."""
        workspace = self.slack.workspace
        mine = [*workspace.ephemerals(user), *workspace.messages(f"D{user[1:]}")]
        mine.sort(key=lambda one: one.ts)
        own = [one.plain for one in mine if one.user == workspace.bot_user_id]
        return [words for words in own if not ACKNOWLEDGED.match(words)]

    def view(self, user: str) -> View | None:
        """Return the modal that somebody has open."""
        return self.slack.workspace.top_view(user)

    def stops(self) -> int:
        """Return the number of calls of the stop API."""
        return len(self.live.calls_of("PUT", "/flows/stop"))

    # Waiting

    async def shows(self, card: PostedMessage, words: str) -> PostedMessage:
        """Wait until the card contains the words, and return it."""
        return await self.slack.until(lambda _: self.now(card) if words in self.reads(card) else None, timeout=PATIENCE)

    async def settles(self, card: PostedMessage) -> PostedMessage:
        """Wait until the card has no buttons, and return it."""
        return await self.slack.until(lambda _: None if self.now(card).buttons else self.now(card), timeout=PATIENCE)

    async def thread_says(self, card: PostedMessage, words: str) -> PostedMessage:
        """Wait until a reply in the card's thread contains the words, and return it."""
        return await self.slack.until(
            lambda workspace: next((reply for reply in workspace.thread(card) if words in reply.plain), None),
            timeout=PATIENCE,
        )

    async def told(self, user: str, words: str, *, channel: str = INCIDENT) -> PostedMessage:
        """Wait until only this person is sent a message with these words, and return it."""
        return await self.slack.until(
            lambda workspace: next((one for one in workspace.ephemerals(user, channel) if words in one.plain), None),
            timeout=PATIENCE,
        )

    async def opens_for(self, user: str) -> View:
        """Wait until a modal is open for somebody, and return it."""
        return await self.slack.until(lambda workspace: workspace.top_view(user), timeout=PATIENCE)

    async def quiet(self, *, patience: float = PATIENCE) -> None:
        """Wait until the bot has nothing left to do before its clock advances."""
        async with asyncio.timeout(patience):
            if self._settling is not None:  # an earlier one: what it saw may be out of date
                await asyncio.shield(self._settling)
            await asyncio.shield(self._settle())

    async def passes(self, seconds: float) -> None:
        """Advance the clock, and wait until everything that became due is done."""
        clock = self.world.clock
        assert isinstance(clock, FakeClock)
        clock.turn(seconds)
        await self.quiet()

    async def ticks(self, happened: Callable[[], object], *, most: float = 300.0) -> float:
        """Advance the clock, from sleeper to sleeper, until it has happened; return how long that took by the clock."""
        clock = self.world.clock
        assert isinstance(clock, FakeClock)
        started = clock.now()
        while not happened():
            if clock.now() - started >= most:  # no more time; what is due by now may still be on its way
                await asyncio.wait({self._settle()}, timeout=PATIENCE)
                assert happened(), transcript.of(self.slack.workspace)
                break
            # Something that sleeps by the clock, or that a test holds, keeps the bot busy: advance the clock.
            await asyncio.wait({self._settle()}, timeout=STEP)
            if not happened():
                clock.turn(min(clock.next_wake() or STEP, TURN))
        return clock.now() - started

    async def answers_all(self, *, patience: float = PATIENCE) -> None:
        """Wait until everybody has an answer; messages of a channel may still be waiting for the rate limit."""
        async with asyncio.timeout(patience):
            while self.select("SELECT 1 FROM inbox WHERE state <> 'done' LIMIT 1"):
                await asyncio.wait({self._settle()}, timeout=STEP)

    async def _noted(self, card: PostedMessage) -> None:
        """Wait until the bot has stored where a card is, which is later than Slack shows it."""
        async with asyncio.timeout(PATIENCE):
            while not self.select("SELECT 1 FROM requests WHERE card_ts = ?", card.ts):
                await asyncio.wait({self._settle()}, timeout=STEP)

    async def leaves(self) -> None:
        """Stop waiting for the bot; call this before it stops."""
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)

    def _settle(self) -> asyncio.Task[None]:
        """Let the bot do all that is due; one at a time, and never cancelled, since it claims what it finds."""
        assert self.bot is not None
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self.bot.settle())
        return self._settling

    # The database

    def select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Query the database."""
        path = self.world.directory / "flowbot.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()

    def recorded(self) -> int:
        """Return the number of rows in the inbox."""
        count: int = self.select("SELECT count(*) FROM inbox")[0][0]
        return count

    def waiting(self) -> int:
        """Return the number of unanswered entries and of requests with undelivered messages."""
        entries, untold = (
            "SELECT count(*) FROM inbox WHERE state <> 'done'",
            "SELECT count(DISTINCT request_id) FROM replies WHERE ts IS NULL",
        )
        return sum(int(self.select(query)[0][0]) for query in (entries, untold))

    # Failures of the cloud

    def put_fails(self, reply: Refusal | None = None, *, times: int | None = None, **trouble: Any) -> None:
        """Let every stop, or the next ones, fail with this trouble."""
        self.live.faults.add(Trouble(reply=reply, **trouble), method="PUT", path="/flows/stop", times=times)

    def reads_fail(self, reply: Refusal) -> None:
        """Let every read of a flow fail with this error."""
        self.live.faults.add(Trouble(reply=reply), method="GET", path="/flows/detail", times=None)


def request_of(card: PostedMessage) -> str:
    """Return the id of the request of a card with buttons."""
    return str(next(iter(card.buttons.values()))["value"])


async def takes_two(stage: Stage, card: PostedMessage) -> None:
    """Let both leads approve, and check that one of them is not enough."""
    await stage.presses("U0CAROL", card, "approve")
    await stage.quiet()
    assert stage.stops() == 0
    assert "1 of 2" in stage.reads(card)

    await stage.presses("U0DAVE", card, "approve")
    await stage.quiet()
    assert stage.stops() == 1


class OpenStage(Protocol):
    """Opens a world with this policy and runs the bot in it."""

    def __call__(self, policy: str = world.POLICY) -> Awaitable[Stage]:
        """Return the stage."""


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that only the test advances."""
    return FakeClock()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return a migrated, empty database, to be copied."""
    path = tmp_path_factory.mktemp("database") / "flowbot.db"
    migrate.migrate(f"sqlite:///{path}")
    return path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a scenario over each door that its file lists."""
    if "door" in metafunc.fixturenames:
        both = metafunc.module.__name__.rpartition(".")[2] in BOTH_DOORS
        both = both and metafunc.definition.get_closest_marker("http_door") is None
        metafunc.parametrize("door", ("http", "socket") if both else ("http",))


@pytest.fixture
async def built(
    tmp_path: pathlib.Path, clock: FakeClock, database: pathlib.Path, door: str
) -> AsyncIterator[world.World]:
    """Open the sample world, with a database and no bot."""
    async with world.build(tmp_path, clock=clock, socket=door == "socket") as opened:
        shutil.copy(database, tmp_path / "flowbot.db")
        yield opened


@pytest.fixture
async def stage(built: world.World) -> AsyncIterator[Stage]:
    """Run the bot in the sample world."""
    async with running(built) as opened:
        yield opened


@pytest.fixture
async def open_stage(
    tmp_path: pathlib.Path, clock: FakeClock, database: pathlib.Path, door: str
) -> AsyncIterator[OpenStage]:
    """Run the bot in a world with another policy."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(policy: str = world.POLICY) -> Stage:
            built = await stack.enter_async_context(
                world.build(tmp_path, clock=clock, policy=policy, socket=door == "socket")
            )
            shutil.copy(database, tmp_path / "flowbot.db")
            return await stack.enter_async_context(running(built))

        yield opened


@contextlib.asynccontextmanager
async def running(built: world.World) -> AsyncIterator[Stage]:
    """Run the bot as `World.bot` does, without the tenths of a second that uvicorn's own loop sleeps at the end."""
    stage = Stage(built)
    async with build.build(built.settings(), clock=built.clock) as bot, _listening(bot) as url:
        await built.connect(url)
        stage.bot = bot
        try:
            yield stage
        finally:
            await stage.leaves()


@contextlib.asynccontextmanager
async def _listening(bot: build.Bot) -> AsyncIterator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = http_server.config(bot.app)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for listening in server.servers:
            listening.close()
        if answering := set(server.server_state.tasks):
            await asyncio.wait(answering)
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        for listening in server.servers:
            await listening.wait_closed()
