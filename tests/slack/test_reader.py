"""The read lane: how many run at once, what is said when something fails, and help within a second."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bot.commands.deliveries import Actor, Entry, Typed
from bot.commands.grammar import ReadCommand
from bot.commands.verbs import Door, Verb
from bot.playground import world
from bot.playground.slack.server import SlackStandIn
from bot.slack import reader
from bot.usecases import errors
from tests.fakes import FakeClock, until
from tests.slack.test_app import Dispatching

TYPED = Typed(text="pending", channel="C0INCIDENT")
ENTRY = Entry(key="k1", actor=Actor(team="T0PLAYGROUND", user="U0ALICE"), arrival=TYPED, received_at=1.0)
PENDING = ReadCommand(verb=Verb.PENDING)


@pytest.fixture
async def dispatching() -> AsyncIterator[Dispatching]:
    """Build the app on the sample workspace."""
    async with SlackStandIn(clock=FakeClock()) as slack, aiohttp.ClientSession() as session:
        world.settle(slack)
        yield Dispatching(slack, session)


def heard(dispatching: Dispatching) -> list[str]:
    """Return the ephemeral messages that Alice got."""
    return [one.plain for one in dispatching.slack.workspace.ephemerals("U0ALICE")]


async def test_the_result_of_a_read_command_goes_to_the_asker_alone(dispatching: Dispatching) -> None:
    assert dispatching.reader.begin(ENTRY, TYPED, PENDING) is not None
    await dispatching.reader.drain()

    assert heard(dispatching) == ["No request is open."]


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (errors.StoreError("database unavailable"), "I could not read my database"),
        (RuntimeError("nobody foresaw this"), "Something went wrong on my side"),
    ],
)
async def test_a_failure_is_told(dispatching: Dispatching, trouble: Exception, words: str) -> None:
    dispatching.queries.trouble = trouble

    dispatching.reader.begin(ENTRY, TYPED, PENDING)
    await dispatching.reader.drain()

    assert words in heard(dispatching)[0]


@pytest.mark.parametrize("trouble", [None, errors.StoreError("database unavailable")])
async def test_when_slack_takes_nothing_nothing_is_raised(dispatching: Dispatching, trouble: Exception | None) -> None:
    dispatching.slack.faults.down()
    dispatching.queries.trouble = trouble

    dispatching.reader.begin(ENTRY, TYPED, PENDING)
    await dispatching.reader.drain()

    assert heard(dispatching) == []


async def test_too_many_at_once_are_turned_away(dispatching: Dispatching) -> None:
    dispatching.queries.gate = asyncio.Event()
    for number in range(reader.MOST_WAITING):
        actor = Actor(team="T0PLAYGROUND", user=f"U{number}")
        dispatching.reader.begin(dataclasses.replace(ENTRY, actor=actor), TYPED, PENDING)

    said = dispatching.reader.begin(ENTRY, TYPED, PENDING)

    assert said is not None
    assert "Too many requests at once" in said.text
    dispatching.queries.gate.set()
    await dispatching.reader.drain()
    assert len(dispatching.queries.asked) == reader.MOST_WAITING


async def test_only_so_many_are_carried_out_side_by_side(dispatching: Dispatching) -> None:
    dispatching.queries.gate = asyncio.Event()
    for _ in range(2 * reader.AT_ONCE):
        dispatching.reader.begin(ENTRY, TYPED, PENDING)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert len(dispatching.queries.asked) == reader.AT_ONCE
    dispatching.queries.gate.set()
    await dispatching.reader.drain()


async def test_promise_12_a_project_or_channel_that_hangs_takes_no_seat_of_another(dispatching: Dispatching) -> None:
    dispatching.queries.gate = asyncio.Event()
    sick = ReadCommand(verb=Verb.LIST, project="hk")
    elsewhere = Typed(text="pending", channel="C0EUROPE")
    for _ in range(2 * reader.AT_ONCE):
        dispatching.reader.begin(ENTRY, TYPED, sick)
    dispatching.reader.begin(ENTRY, TYPED, ReadCommand(verb=Verb.LIST, project="eu"))
    dispatching.reader.begin(ENTRY, elsewhere, PENDING)

    await until(lambda: len(dispatching.queries.asked) == reader.AT_ONCE + 2)

    dispatching.queries.gate.set()
    await dispatching.reader.drain()


async def test_promise_12_one_who_floods_leaves_room_for_others(dispatching: Dispatching) -> None:
    dispatching.queries.gate = asyncio.Event()
    said = [dispatching.reader.begin(ENTRY, TYPED, PENDING) for _ in range(reader.MOST_WAITING)]
    turned_away = [one for one in said if one is not None and "Too many requests at once" in one.text]
    assert len(said) - len(turned_away) == reader.SHARE

    bob = dataclasses.replace(ENTRY, actor=Actor(team="T0PLAYGROUND", user="U0BOB"))
    heard_bob = dispatching.reader.begin(bob, TYPED, PENDING)
    assert heard_bob is not None
    assert "Too many requests at once" not in heard_bob.text
    dispatching.queries.gate.set()
    await dispatching.reader.drain()


async def test_a_mention_is_told_that_it_is_read_before_it_is_answered(dispatching: Dispatching) -> None:
    typed = Typed(text="pending", channel="C0INCIDENT", door=Door.MENTION)

    assert dispatching.reader.begin(ENTRY, typed, PENDING) is None
    await dispatching.reader.drain()

    assert heard(dispatching) == ["Reading the open requests…", "No request is open."]


async def test_help_that_slack_holds_up_shows_everything_and_says_so(dispatching: Dispatching) -> None:
    dispatching.queries.gate = asyncio.Event()

    said = await dispatching.reader.help(ENTRY, TYPED, None)

    assert "`/flow start FLOW" in said.text
    assert "did not tell me in time who you are" in said.text
