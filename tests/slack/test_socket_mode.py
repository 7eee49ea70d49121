"""Socket Mode: keeping connections open, over real WebSockets and with a clock that the test advances."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import aiohttp
import prometheus_client
import pytest
import structlog
from pytest_mock import MockerFixture
from slack_sdk.web.async_client import AsyncWebClient
from starlette.responses import Response

from bot.playground import world
from bot.playground.slack.faults import HANDSHAKE
from bot.playground.slack.server import SlackStandIn
from bot.playground.slack.sockets import Line
from bot.slack import connection as connections
from bot.slack import socket_mode
from bot.slack.connection import LINGER, PING_EVERY, UNANSWERED
from bot.slack.installation import Installation
from bot.slack.socket_mode import LONGEST, SETTLED, SHORTEST, SOCKETS, Sockets
from bot.usecases import errors
from tests.fakes import FakeClock, in_order, until


class Sleepy(FakeClock):
    """A clock that records its sleeps, except those between pings."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.pings = 0

    async def sleep(self, seconds: float) -> None:
        self.pings += seconds == PING_EVERY
        if seconds not in (PING_EVERY, LINGER):
            self.waits.append(seconds)
        await super().sleep(seconds)


class Opened:
    """Sockets on the stand-in; `answer` is the app's response to each payload."""

    def __init__(self, slack: SlackStandIn, session: aiohttp.ClientSession) -> None:
        self.slack = slack
        self.line = slack.sockets
        self.clock = Sleepy()
        self.registry = prometheus_client.CollectorRegistry()
        self.taken: list[dict[str, Any]] = []
        self.answer: Callable[[], Response] = Response
        self.gate = asyncio.Event()
        self.gate.set()
        client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])
        self.installation = Installation(client=client)
        self.sockets = Sockets(
            client=client,
            app_token=slack.app_token,
            installation=self.installation,
            dispatch=self._dispatch,
            clock=self.clock,
            chance=lambda: 1.0,
            registry=self.registry,
        )

    async def _dispatch(self, payload: dict[str, Any]) -> Response:
        self.taken.append(payload)
        await self.gate.wait()
        return self.answer()

    async def connected(self, number: int = SOCKETS) -> None:
        """Wait until this many connections are open on both sides."""
        await until(lambda: (len(self.line.lines), self.sockets.live) == (number, number))

    async def waited(self, *waits: float) -> None:
        """Wait until these sleeps were begun, in this order."""
        await until(lambda: self.clock.waits == [*waits])

    async def slept(self, times: int) -> None:
        """Wait until this many sleeps were begun."""
        await until(lambda: len(self.clock.waits) >= times)

    async def knocked(self, times: int) -> None:
        """Wait until this many handshakes were begun."""
        await until(lambda: len(self.line.knocks) == times)

    async def turned(self, alive: Line) -> None:
        """Advance the clock to the next ping, and wait until every connection was checked and `alive` answered."""
        pings, pongs, knocks = self.clock.pings, alive.pongs, len(self.line.knocks)
        self.clock.turn(PING_EVERY)
        await until(lambda: self.clock.pings >= pings + SOCKETS or len(self.line.knocks) > knocks)
        await alive.socket.ping()
        await until(lambda: alive.pongs > pongs)

    def counted(self, name: str) -> float | None:
        """Return the value of a metric."""
        return self.registry.get_sample_value(name)


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    async with SlackStandIn(clock=FakeClock()) as slack, aiohttp.ClientSession() as session:
        world.settle(slack)
        slack.connect_socket()
        one = Opened(slack, session)
        yield one
        one.gate.set()
        await one.sockets.stop()


@pytest.fixture
async def ready(opened: Opened) -> Opened:
    await opened.installation.learn()
    await opened.sockets.preflight()
    opened.sockets.start()
    await opened.connected()
    return opened


# Connecting


async def test_two_connections_are_open_each_with_its_own_ticket(ready: Opened) -> None:
    assert ready.counted("flowbot_socket_connections") == SOCKETS
    assert ready.counted("flowbot_socket_reconnects_total") == 0
    assert sorted(ready.line.knocks) == ["ticket-1", "ticket-2"]  # the preflight's ticket is used


@pytest.mark.parametrize(
    "code",
    ["invalid_auth", "not_allowed_token_type", "missing_scope", "token_revoked", "not_authed", "access_denied"],
)
async def test_a_refused_app_token_is_known_before_the_start(opened: Opened, code: str) -> None:
    opened.slack.faults.error("apps.connections.open", code)

    with pytest.raises(errors.ChatRefused, match=code):
        await opened.sockets.preflight()


async def test_slack_being_away_is_no_refusal(opened: Opened) -> None:
    opened.slack.faults.server_error("apps.connections.open")

    with pytest.raises(errors.ChatUnavailable):
        await opened.sockets.preflight()


async def test_an_answer_without_an_address_is_no_refusal(opened: Opened) -> None:
    opened.slack.faults.lacks("apps.connections.open", "url")

    with pytest.raises(errors.ChatUnavailable, match="without an address"):
        await opened.sockets.preflight()


GROWING: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST, LONGEST)


async def test_while_slack_is_away_it_tries_at_growing_distances(opened: Opened) -> None:
    opened.slack.faults.down()
    opened.sockets.start()
    for tries in range(1, len(GROWING) + 1):
        await opened.waited(*(wait for wait in GROWING[:tries] for _ in range(SOCKETS)))
        assert opened.sockets.live == 0
        opened.clock.turn(LONGEST)

    opened.slack.faults.up()
    opened.clock.turn(LONGEST)
    await opened.connected()


async def test_chance_spreads_the_tries(opened: Opened) -> None:
    opened.sockets._chance = lambda: 0.0
    opened.slack.faults.down()
    opened.sockets.start()

    await until(lambda: opened.clock.waits == [SHORTEST / 2] * SOCKETS)


async def test_it_waits_as_long_as_slack_asks_for(opened: Opened) -> None:
    opened.slack.faults.ratelimit("apps.connections.open", retry_after=17)
    opened.sockets.start()

    await opened.waited(17.0)


async def test_a_token_that_is_revoked_while_it_runs_is_tried_again_at_leisure(ready: Opened) -> None:
    ready.slack.faults.error("apps.connections.open", "token_revoked")
    ready.line.lines[0].drop()

    await ready.waited(LONGEST)
    assert ready.sockets.live == SOCKETS - 1
    ready.clock.turn(LONGEST)
    await ready.connected()


@pytest.mark.parametrize("status", [400, 404, 408, 500])
async def test_a_handshake_that_fails_is_tried_again_with_another_ticket(opened: Opened, status: int) -> None:
    opened.slack.faults.error(HANDSHAKE, str(status), times=3)
    with structlog.testing.capture_logs() as lines:
        opened.sockets.start()
        for failed in (1, 2, 3):
            await opened.slept(failed)
            opened.clock.turn(LONGEST)
        await opened.connected()

    assert len(opened.line.knocks) == len(set(opened.line.knocks)) == SOCKETS + 3
    assert f"the handshake ended with {status}" in {line.get("reason") for line in lines}
    assert "ticket" not in str(lines)


async def test_a_handshake_that_gets_no_answer_is_not_repeated_with_its_ticket(opened: Opened) -> None:
    opened.slack.faults.error(HANDSHAKE, "404", times=SOCKETS)
    opened.slack.faults.drop_before(HANDSHAKE, times=SOCKETS)
    opened.sockets.start()
    for failed in range(1, 2 * SOCKETS + 1):
        await opened.slept(failed)
        opened.clock.turn(LONGEST)
    await opened.connected()

    assert len(opened.line.knocks) == len(set(opened.line.knocks)) == 3 * SOCKETS


async def test_a_ticket_that_has_grown_old_is_followed_by_another(opened: Opened) -> None:
    await opened.sockets.preflight()
    assert isinstance(opened.slack.clock, FakeClock)
    opened.slack.clock.turn(3_600.0)
    opened.sockets.start()
    await opened.waited(SHORTEST)
    opened.clock.turn(SHORTEST)

    await opened.connected()
    assert len(opened.line.knocks) == len(set(opened.line.knocks)) == SOCKETS + 1


async def test_no_hello_is_no_connection(opened: Opened, mocker: MockerFixture) -> None:
    mocker.patch.object(socket_mode, "OPEN_WITHIN", 0.05)
    opened.line.mute = True
    opened.sockets.start()

    await until(lambda: len(opened.clock.waits) == SOCKETS)
    assert opened.sockets.live == 0
    opened.line.mute = False
    opened.clock.turn(SHORTEST)
    await opened.connected()


# Being replaced


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_the_new_connection_stands_before_the_old_one_is_let_go(ready: Opened, reason: str) -> None:
    old = ready.line.lines[0]
    await old.disconnect(reason)
    await ready.connected(SOCKETS + 1)

    assert old in ready.line.lines
    for _ in ready.line.lines:
        assert (await ready.slack.people.command("U0ALICE", "C0INCIDENT")).ok  # the lines take turns
    await old.close()
    await ready.connected(SOCKETS)
    assert ready.counted("flowbot_socket_reconnects_total") == 1


async def test_what_is_in_flight_on_the_old_connection_is_acknowledged_there(ready: Opened) -> None:
    ready.gate.clear()
    deliveries = [asyncio.create_task(ready.slack.people.command("U0ALICE", "C0INCIDENT")) for _ in range(SOCKETS)]
    await until(lambda: len(ready.taken) == SOCKETS)
    for line in list(ready.line.lines):
        await line.disconnect("warning")
    await ready.connected(2 * SOCKETS)
    ready.gate.set()

    assert all(ack.ok for ack in await asyncio.gather(*deliveries))
    assert ready.line.strays == []


async def test_a_connection_that_is_cut_is_followed_at_once(ready: Opened) -> None:
    ready.line.lines[0].drop()
    await ready.knocked(SOCKETS + 1)
    await ready.connected()

    assert ready.clock.waits == []


async def test_connections_that_do_not_last_are_not_followed_at_once_for_ever(ready: Opened) -> None:
    short: tuple[tuple[float, ...], ...] = ((), (2.0,), (2.0, 4.0))
    for number, waits in enumerate(short):
        ready.line.lines[-1].drop()
        await ready.waited(*waits)
        ready.clock.turn(LONGEST - 1 if waits else 0.0)
        await ready.knocked(SOCKETS + 1 + number)
        await ready.connected()
    ready.clock.turn(SETTLED)
    ready.line.lines[-1].drop()
    await ready.knocked(SOCKETS + 4)

    assert ready.clock.waits == [2.0, 4.0]


async def test_a_silent_connection_is_replaced(ready: Opened) -> None:
    silent, alive = ready.line.lines
    silent.silent = True
    for _ in range(UNANSWERED + 1):
        assert len(ready.line.knocks) == SOCKETS
        await ready.turned(alive)
    await ready.knocked(SOCKETS + 1)

    await until(lambda: ready.sockets.live == SOCKETS)
    assert ready.line.knocks[-1] == "ticket-3"
    assert alive in ready.line.lines


@pytest.mark.parametrize("reason", ["link_disabled", "too_many_websockets"])
async def test_problems_for_an_operator_are_logged_as_errors(ready: Opened, reason: str) -> None:
    with structlog.testing.capture_logs() as lines:
        await ready.line.lines[0].disconnect(reason)
        await ready.line.lines[0].close()
        await ready.waited(LONGEST)

    (told,) = [line for line in lines if line["log_level"] == "error"]
    assert told["reason"] == reason
    assert len(ready.line.knocks) == SOCKETS
    ready.clock.turn(LONGEST)
    await ready.connected()


# The end


async def test_the_end_acknowledges_what_was_taken_and_reads_no_more(ready: Opened) -> None:
    ready.gate.clear()
    deliveries = [asyncio.create_task(ready.slack.people.command("U0ALICE", "C0INCIDENT")) for _ in range(SOCKETS)]
    await until(lambda: len(ready.taken) == SOCKETS)
    stopping = asyncio.create_task(ready.sockets.stop())
    late = [asyncio.create_task(ready.slack.people.command("U0ALICE", "C0INCIDENT")) for _ in range(SOCKETS)]
    await until(lambda: sum(len(line.waiting) for line in ready.line.lines) == 2 * SOCKETS)
    ready.gate.set()
    await in_order(stopping)

    assert all(ack.ok for ack in await asyncio.gather(*deliveries))
    assert not any(ack.ok for ack in await asyncio.gather(*late))
    assert len(ready.taken) == SOCKETS
    assert ready.sockets.live == 0
    await until(lambda: not ready.line.lines)


async def test_the_end_waits_for_nobody_for_ever(ready: Opened, mocker: MockerFixture) -> None:
    mocker.patch.object(connections, "FINISH_WITHIN", 0.02)
    ready.gate.clear()
    delivery = asyncio.create_task(ready.slack.people.command("U0ALICE", "C0INCIDENT"))
    await until(lambda: ready.taken)

    await in_order(ready.sockets.stop())
    assert not (await delivery).ok
    ready.gate.set()


async def test_the_end_comes_in_the_midst_of_connecting_and_lingering_too(ready: Opened) -> None:
    await ready.line.lines[0].disconnect("warning")
    await ready.connected(SOCKETS + 1)
    ready.line.mute = True
    await ready.line.lines[1].disconnect("warning")
    await ready.knocked(SOCKETS + 2)

    await in_order(ready.sockets.stop())
    await until(lambda: not ready.line._all)
