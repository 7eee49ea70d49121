"""One WebSocket: hello, pings, acknowledgements, close, over a real socket to the stand-in."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import structlog
from pytest_mock import MockerFixture

from bot.playground.slack.acks import Ack
from bot.playground.slack.server import SlackStandIn
from bot.playground.slack.sockets import Line
from bot.slack import connection as connections
from bot.slack.connection import PING_EVERY, UNANSWERED, Connection
from tests.fakes import FakeClock, in_order, until


class Counting(FakeClock):
    """A clock that counts the sleeps begun."""

    def __init__(self) -> None:
        super().__init__()
        self.slept = 0

    async def sleep(self, seconds: float) -> None:
        self.slept += 1
        await super().sleep(seconds)

    async def turned(self, seconds: float, connection: Connection) -> None:
        """Advance the clock, and wait until the watch has checked the connection."""
        before = self.slept
        self.turn(seconds)
        await until(lambda: self.slept > before or connection.over.is_set())


class Wired:
    """A connection to the stand-in, and what came over it; while `gate` is closed, nothing is acknowledged."""

    def __init__(self, slack: SlackStandIn, session: aiohttp.ClientSession) -> None:
        self.clock = Counting()
        self.slack = slack
        self.taken: list[dict[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._session = session

    async def open(self) -> Connection:
        """Open a connection."""
        await self.slack.sockets.start()
        socket = await self._session.ws_connect(
            self.slack.sockets.ticket(), autoping=False, timeout=aiohttp.ClientWSTimeout(ws_close=0.2)
        )
        return Connection(socket, take=self._take, clock=self.clock)

    async def _take(self, envelope: dict[str, Any]) -> dict[str, Any] | None:
        self.taken.append(envelope)
        if envelope["payload"].get("waits"):
            await self.gate.wait()
        return {"envelope_id": envelope["envelope_id"]} if envelope["payload"].get("answered", True) else None

    async def delivers(self, **payload: Any) -> Ack:
        """Deliver an envelope."""
        return await self.slack.sockets.deliver("interactive", payload)

    @property
    def line(self) -> Line:
        """The newest connection, from Slack's side."""
        return self.slack.sockets.lines[-1]


@pytest.fixture
async def wired() -> AsyncIterator[Wired]:
    async with SlackStandIn(clock=FakeClock()) as slack, aiohttp.ClientSession() as session:
        yield Wired(slack, session)


@pytest.fixture
async def connection(wired: Wired) -> AsyncIterator[Connection]:
    opened = await wired.open()
    assert await opened.greeted()
    yield opened
    await opened.finish()


async def test_it_is_live_from_the_hello_to_the_end(wired: Wired) -> None:
    connection = await wired.open()

    assert await connection.greeted()
    assert connection.is_live
    await connection.finish()
    assert not connection.is_live


async def test_an_end_before_the_hello_is_no_greeting(wired: Wired) -> None:
    wired.slack.sockets.mute = True
    connection = await wired.open()
    wired.slack.sockets.mute = False
    await wired.slack.sockets.stop()

    assert not await connection.greeted()
    assert connection.over.is_set()
    await connection.finish()


async def test_slacks_pings_are_answered(wired: Wired, connection: Connection) -> None:
    await in_order(wired.slack.until(lambda _: wired.line.pongs))


async def test_an_envelope_is_acknowledged_once_it_was_taken(wired: Wired, connection: Connection) -> None:
    wired.gate.clear()
    first = asyncio.create_task(wired.delivers(waits=True))
    await until(lambda: wired.taken)
    second = await wired.delivers()

    assert second.ok
    assert not first.done()
    wired.gate.set()
    assert (await first).ok


async def test_without_an_acknowledgement_none_is_sent(wired: Wired, connection: Connection) -> None:
    refused = asyncio.create_task(wired.delivers(answered=False))
    await until(lambda: wired.taken)
    assert (await wired.delivers()).ok

    assert wired.line.waiting
    wired.line.over()
    assert not (await refused).ok


async def test_an_envelope_is_acknowledged_on_the_connection_that_brought_it(wired: Wired) -> None:
    first = await wired.open()
    await first.greeted()
    wired.gate.clear()
    delivery = asyncio.create_task(wired.delivers(waits=True))
    await until(lambda: wired.taken)
    await wired.line.disconnect("warning")
    second = await wired.open()
    await second.greeted()
    await first.leaving.wait()
    wired.gate.set()

    assert (await delivery).ok
    assert wired.slack.sockets.strays == []
    await asyncio.gather(first.finish(), second.finish())


@pytest.mark.parametrize("text", ["no json", "[]", '{"envelope_id": 5}', '{"type": "\\ud800"}', "[" * 100_000])
async def test_unknown_messages_are_ignored(wired: Wired, connection: Connection, text: str) -> None:
    await wired.line.socket.send_str(text)
    await wired.line.socket.send_bytes(b"binary")

    assert (await wired.delivers()).ok
    assert len(wired.taken) == 1


@pytest.mark.parametrize("reason", ["warning", "refresh_requested", "link_disabled", "something new"])
async def test_a_disconnect_says_that_it_will_go_and_is_not_yet_the_end(
    wired: Wired, connection: Connection, reason: str
) -> None:
    await wired.line.disconnect(reason)
    await in_order(connection.leaving.wait())

    assert connection.reason == reason
    assert connection.is_live
    assert (await wired.delivers()).ok


async def test_a_clean_close_and_a_cut_both_end_the_connection(wired: Wired) -> None:
    for cut in (False, True):
        connection = await wired.open()
        await connection.greeted()
        if cut:
            wired.line.drop()
        else:
            await wired.line.close()
        await in_order(connection.over.wait())
        assert connection.leaving.is_set()
        await connection.finish()


async def test_a_silent_connection_is_over(wired: Wired, connection: Connection) -> None:
    wired.line.silent = True
    for _ in range(UNANSWERED + 1):
        assert not connection.over.is_set()
        await wired.clock.turned(PING_EVERY, connection)

    assert connection.reason == "silent"
    assert not connection.is_live


async def test_a_connection_that_answers_lives_on_also_after_a_long_sleep_of_the_machine(
    wired: Wired, connection: Connection
) -> None:
    for seconds in (PING_EVERY, PING_EVERY, 8 * 3600.0, PING_EVERY, PING_EVERY):
        assert (await wired.delivers()).ok  # by then, the answer to the ping has arrived too
        await wired.clock.turned(seconds, connection)

    assert connection.is_live


async def test_the_end_waits_for_what_was_taken(wired: Wired, connection: Connection) -> None:
    wired.gate.clear()
    delivery = asyncio.create_task(wired.delivers(waits=True))
    await until(lambda: wired.taken)
    finishing = asyncio.create_task(connection.finish())
    unread = asyncio.create_task(wired.delivers())
    await until(lambda: len(wired.line.waiting) > 1)
    wired.gate.set()
    await in_order(finishing)

    assert (await delivery).ok
    assert not (await unread).ok
    assert len(wired.taken) == 1


async def test_the_end_does_not_wait_for_ever(wired: Wired, connection: Connection, mocker: MockerFixture) -> None:
    mocker.patch.object(connections, "FINISH_WITHIN", 0.02)
    wired.gate.clear()
    delivery = asyncio.create_task(wired.delivers(waits=True))
    await until(lambda: wired.taken)

    await in_order(connection.finish())
    assert not (await delivery).ok
    with structlog.testing.capture_logs() as lines:
        wired.gate.set()
        await until(lambda: lines)
    assert lines[0]["event"] == "connection closed before the acknowledgement"


async def test_a_connection_lingers_until_slack_closes_it(wired: Wired, connection: Connection) -> None:
    lingering = asyncio.create_task(connection.linger())

    assert (await wired.delivers()).ok
    assert not lingering.done()
    await wired.line.close()
    await in_order(lingering)


async def test_a_connection_that_slack_leaves_open_is_closed_in_the_end(wired: Wired, connection: Connection) -> None:
    lingering = asyncio.create_task(connection.linger())

    assert (await wired.delivers()).ok
    wired.clock.turn(connections.LINGER)
    await in_order(lingering)
    await wired.slack.until(lambda _: not wired.slack.sockets.lines)
