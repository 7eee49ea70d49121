"""The stage on which scenarios play: the real bot over signed HTTP, between the stand-ins, with a clock that only the test turns."""

import pathlib
from collections.abc import AsyncIterator

import pytest

from bot.playground import world
from bot.playground.slack.acks import Ack
from bot.playground.slack.records import Message
from bot.store import migrate
from tests.fakes import FakeClock

INCIDENT = "C0INCIDENT"


class Stage:
    """What people do in the workspace, and what they see there."""

    def __init__(self, built: world.World) -> None:
        self.world = built
        self.slack = built.slack
        self.live = built.live

    async def types(self, user: str, text: str, *, channel: str = INCIDENT) -> Ack:
        """Type `/flow …` in a channel."""
        return await self.slack.people.command(user, channel, text)

    async def asks(self, user: str, text: str, *, channel: str = INCIDENT, seen_in: str = INCIDENT) -> Message:
        """Type a command that opens a request, and return its card."""
        known = {card.ts for card in self.cards(seen_in)}
        await self.types(user, text, channel=channel)
        return await self.slack.until(
            lambda _: next((card for card in self.cards(seen_in) if card.ts not in known and card.buttons), None)
        )

    async def presses(self, user: str, card: Message, button: str) -> Ack:
        """Press a button of a card."""
        return await self.slack.people.click(user, card, button)

    def cards(self, channel: str = INCIDENT) -> list[Message]:
        """Return the cards in a channel, as they stand now."""
        bot = self.slack.workspace.bot_user_id
        return [message for message in self.slack.workspace.messages(channel) if message.user == bot and not message.thread_ts]

    def now(self, card: Message) -> Message:
        """Return the card as it stands now."""
        current = self.slack.workspace.message(card.channel, card.ts)
        assert current is not None
        return current

    async def shows(self, card: Message, words: str) -> Message:
        """Wait until the card reads so, and return it."""
        return await self.slack.until(lambda _: self.now(card) if words in self.now(card).plain else None)

    async def settles(self, card: Message) -> Message:
        """Wait until the card has no buttons any more, and return it."""
        return await self.slack.until(lambda _: None if self.now(card).buttons else self.now(card))

    async def thread_says(self, card: Message, words: str) -> Message:
        """Wait until a reply under the card contains the words, and return it."""
        return await self.slack.until(
            lambda workspace: next((reply for reply in workspace.thread(card) if words in reply.plain), None)
        )

    async def told(self, user: str, words: str, *, channel: str = INCIDENT) -> Message:
        """Wait until somebody, and nobody else, is told something with these words, and return it."""
        return await self.slack.until(
            lambda workspace: next((one for one in workspace.ephemerals(user, channel) if words in one.plain), None)
        )

    def stops(self) -> int:
        """Count the calls of the stop API."""
        return len(self.live.calls_of("PUT", "/flows/stop"))


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that only the test turns."""
    return FakeClock()


@pytest.fixture
async def built(tmp_path: pathlib.Path, clock: FakeClock) -> AsyncIterator[world.World]:
    """Open the sample world, with a database and no bot yet."""
    async with world.build(tmp_path, clock=clock) as opened:
        migrate.migrate(opened.environ["DATABASE_URL"])
        yield opened


@pytest.fixture
async def stage(built: world.World) -> AsyncIterator[Stage]:
    """Run the bot in the sample world."""
    async with built.bot():
        yield Stage(built)
