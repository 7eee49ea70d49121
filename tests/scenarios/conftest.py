"""The stage of the scenarios: the real bot between the stand-ins, and a clock that only tests turn.

Slack reaches the bot by signed HTTP; in the files of BOTH_DOORS each scenario is played over Socket Mode as well.
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
from bot.serve import build, run
from bot.store import migrate
from tests.fakes import FakeClock

INCIDENT = "C0INCIDENT"
RANDOM = "C0RANDOM"
MAIN = "ec897482-d24b-4d64-aa39-407980901b2d"

BOTH_DOORS = (
    *("test_stop", "test_typed_texts", "test_approvals", "test_deny_and_withdraw", "test_direct", "test_races"),
    *("test_mentions", "test_emergency", "test_samples"),
)

ACKNOWLEDGED = re.compile(r"(Dry run: )?(EMERGENCY: )?Reading ")

PATIENCE = 20.0
"""Real seconds for the bot to become quiet, on a machine that others use too."""

STEP = 0.1
"""Real seconds after which the clock is turned although the bot is busy: perhaps it waits for the clock."""

TURN = 5.0
"""The longest turn of the clock, in its seconds."""


class Stage:
    """What people do in the workspace, and what they see there."""

    def __init__(self, built: world.World) -> None:
        self.world = built
        self.slack = built.slack
        self.live = built.live
        self.bot: build.Bot | None = None
        self._settling: asyncio.Task[None] | None = None

    # What people do

    async def types(self, user: str, text: str, *, channel: str = INCIDENT, forged: bool = False) -> Ack:
        """Type `/flow …` in a channel."""
        return await self.slack.people.command(user, channel, text, forged=forged)

    async def asks(
        self, user: str, text: str, *, channel: str = INCIDENT, seen_in: str = INCIDENT, others_wait: bool = False
    ) -> PostedMessage:
        """Type a command that opens a request, and return its card once the bot knows where it stands.

        `others_wait` says that the bot cannot become quiet: it waits for the clock, or for the test, with another
        request.
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
        """Press a button as the card showed it once, whatever it shows by now."""
        return await self.slack.people.click(user, card, button, stale=card.blocks, forged=True)

    async def forges(self, user: str, card: PostedMessage, button: str, *, value: str | None = None) -> Ack:
        """Press a button that the card does not have; it carries the card's request unless told otherwise."""
        carried = value if value is not None else request_of(card)
        label = {"type": "plain_text", "text": button}
        element = {"type": "button", "action_id": button, "value": carried, "text": label}
        row = {"type": "actions", "block_id": "forged", "elements": [element]}
        return await self.slack.people.click(user, card, button, stale=[row], forged=True)

    async def delivers(self, fields: Mapping[str, str], **headers: str) -> Ack:
        """Send a signed form, or the envelope of a command, of any content."""
        if self.slack.people.by_socket:
            return await self.slack.sockets.deliver("slash_commands", dict(fields), accepts=True)
        body = urlencode(fields).encode()
        signed = {"Content-Type": FORM, **self.slack.people.sign(body), **headers}
        return await self.slack.people.raw(body, signed)

    async def delivers_payload(self, payload: Any) -> Ack:
        """Send an interaction of any content."""
        if self.slack.people.by_socket:
            return await self.slack.sockets.deliver("interactive", payload, accepts=True)
        return await self.delivers({"payload": json.dumps(payload)})

    async def delivers_event(self, payload: Any) -> Ack:
        """Send an event with any content, in an envelope of any shape."""
        if self.slack.people.by_socket:
            return await self.slack.sockets.deliver("events_api", payload)
        body = json.dumps(payload).encode()
        return await self.slack.people.raw(body, {"Content-Type": "application/json", **self.slack.people.sign(body)})

    # What stands there

    def cards(self, channel: str = INCIDENT) -> list[PostedMessage]:
        """Return the cards in a channel, as they stand now."""
        bot = self.slack.workspace.bot_user_id
        return [
            message
            for message in self.slack.workspace.messages(channel)
            if message.user == bot and not message.thread_ts
        ]

    def now(self, card: PostedMessage) -> PostedMessage:
        """Return the card as it stands now."""
        current = self.slack.workspace.message(card.channel, card.ts)
        assert current is not None
        return current

    def reads(self, card: PostedMessage) -> str:
        """Return what the card says now, without its bold type."""
        return self.now(card).plain.replace("*", "")

    def replies(self, card: PostedMessage) -> list[str]:
        """Return what the thread under the card says, reply by reply."""
        return [reply.plain for reply in self.slack.workspace.thread(card)]

    def heard(self, user: str) -> list[str]:
        """Return what somebody alone was told, in channels and in a DM, in order and without the acknowledgements."""
        workspace = self.slack.workspace
        mine = [*workspace.ephemerals(user), *workspace.messages(f"D{user[1:]}")]
        mine.sort(key=lambda one: one.ts)
        own = [one.plain for one in mine if one.user == workspace.bot_user_id]
        return [words for words in own if not ACKNOWLEDGED.match(words)]

    def view(self, user: str) -> View | None:
        """Return the modal that somebody looks at."""
        return self.slack.workspace.top_view(user)

    def stops(self) -> int:
        """Count the calls of the stop API."""
        return len(self.live.calls_of("PUT", "/flows/stop"))

    # Waiting

    async def shows(self, card: PostedMessage, words: str) -> PostedMessage:
        """Wait until the card reads so, and return it."""
        return await self.slack.until(lambda _: self.now(card) if words in self.reads(card) else None, timeout=PATIENCE)

    async def settles(self, card: PostedMessage) -> PostedMessage:
        """Wait until the card has no buttons any more, and return it."""
        return await self.slack.until(lambda _: None if self.now(card).buttons else self.now(card), timeout=PATIENCE)

    async def thread_says(self, card: PostedMessage, words: str) -> PostedMessage:
        """Wait until a reply under the card contains the words, and return it."""
        return await self.slack.until(
            lambda workspace: next((reply for reply in workspace.thread(card) if words in reply.plain), None),
            timeout=PATIENCE,
        )

    async def told(self, user: str, words: str, *, channel: str = INCIDENT) -> PostedMessage:
        """Wait until somebody, and nobody else, is told something with these words, and return it."""
        return await self.slack.until(
            lambda workspace: next((one for one in workspace.ephemerals(user, channel) if words in one.plain), None),
            timeout=PATIENCE,
        )

    async def opens_for(self, user: str) -> View:
        """Wait until a modal is open before somebody, and return it."""
        return await self.slack.until(lambda workspace: workspace.top_view(user), timeout=PATIENCE)

    async def quiet(self, *, patience: float = PATIENCE) -> None:
        """Wait until nothing is left that the bot could do before its clock is turned."""
        async with asyncio.timeout(patience):
            if self._settling is not None:  # one that began before: what it saw may be old by now
                await asyncio.shield(self._settling)
            await asyncio.shield(self._settle())

    async def passes(self, seconds: float) -> None:
        """Let time pass by the clock, and wait until all that became due is done."""
        clock = self.world.clock
        assert isinstance(clock, FakeClock)
        clock.turn(seconds)
        await self.quiet()

    async def ticks(self, happened: Callable[[], object], *, most: float = 300.0) -> float:
        """Let time pass, from sleeper to sleeper, until it has happened; return how long that took by the clock."""
        clock = self.world.clock
        assert isinstance(clock, FakeClock)
        started = clock.now()
        while not happened():
            if clock.now() - started >= most:  # no more time; what is due by now may still be on its way
                await asyncio.wait({self._settle()}, timeout=PATIENCE)
                assert happened(), transcript.of(self.slack.workspace)
                break
            # Something that sleeps by the clock, or that a test holds, keeps the bot from settling: then time goes on.
            await asyncio.wait({self._settle()}, timeout=STEP)
            if not happened():
                clock.turn(min(clock.next_wake() or STEP, TURN))
        return clock.now() - started

    async def answers_all(self, *, patience: float = PATIENCE) -> None:
        """Wait until nobody waits for an answer, while messages of a channel may stand in line by the clock."""
        async with asyncio.timeout(patience):
            while self.select("SELECT 1 FROM inbox WHERE state <> 'done' LIMIT 1"):
                await asyncio.wait({self._settle()}, timeout=STEP)

    async def _noted(self, card: PostedMessage) -> None:
        """Wait until the bot has on record where a card stands: Slack shows it before that."""
        async with asyncio.timeout(PATIENCE):
            while not self.select("SELECT 1 FROM requests WHERE card_ts = ?", card.ts):
                await asyncio.wait({self._settle()}, timeout=STEP)

    async def leaves(self) -> None:
        """Stop waiting for the bot; to be called before it stops."""
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)

    def _settle(self) -> asyncio.Task[None]:
        """Let the bot carry out all that is due; one at a time, and never cut short: it claims what it looks at."""
        assert self.bot is not None
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self.bot.settle())
        return self._settling

    # What is on record

    def select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Look into the database."""
        path = self.world.directory / "flowbot.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()

    def recorded(self) -> int:
        """Count the rows of the inbox."""
        count: int = self.select("SELECT count(*) FROM inbox")[0][0]
        return count

    def waiting(self) -> int:
        """Count the entries that are not answered yet, and the requests of which not all is told."""
        entries, untold = (
            "SELECT count(*) FROM inbox WHERE state <> 'done'",
            "SELECT count(DISTINCT request_id) FROM replies WHERE ts IS NULL",
        )
        return sum(int(self.select(query)[0][0]) for query in (entries, untold))

    # What goes wrong at the cloud

    def put_fails(self, reply: Refusal | None = None, *, times: int | None = None, **trouble: Any) -> None:
        """Let every stop, or the next ones, meet this trouble."""
        self.live.faults.add(Trouble(reply=reply, **trouble), method="PUT", path="/flows/stop", times=times)

    def reads_fail(self, reply: Refusal) -> None:
        """Let every reading of a flow meet this error."""
        self.live.faults.add(Trouble(reply=reply), method="GET", path="/flows/detail", times=None)


def request_of(card: PostedMessage) -> str:
    """Return the id of the request that a card with buttons is about."""
    return str(next(iter(card.buttons.values()))["value"])


async def takes_two(stage: Stage, card: PostedMessage) -> None:
    """Let both leads approve, and hold the bot to it that one of them is not enough."""
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
    """Return a clock that only the test turns."""
    return FakeClock()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return a database that is migrated and empty, to be copied."""
    path = tmp_path_factory.mktemp("database") / "flowbot.db"
    migrate.migrate(f"sqlite:///{path}")
    return path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Play a scenario over each door that its file is for."""
    if "door" in metafunc.fixturenames:
        both = metafunc.module.__name__.rpartition(".")[2] in BOTH_DOORS
        both = both and metafunc.definition.get_closest_marker("http_door") is None
        metafunc.parametrize("door", ("http", "socket") if both else ("http",))


@pytest.fixture
async def built(
    tmp_path: pathlib.Path, clock: FakeClock, database: pathlib.Path, door: str
) -> AsyncIterator[world.World]:
    """Open the sample world, with a database and no bot yet."""
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
    """Run the bot as `World.bot` does, without the tenths of a second that uvicorn's own loop sleeps at its end."""
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
    config = run.server_config(bot.app)
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
