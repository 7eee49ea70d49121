"""`flowbot doctor --deliver`: the last stage that a delivery reached, over real HTTP and the stand-in's socket."""

import asyncio
import contextlib
import pathlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from bot.playground import world
from bot.playground.slack.server import SlackStandIn
from bot.serve.doctor import delivery
from bot.serve.doctor.findings import Finding, Severity
from bot.settings import loader
from tests.fakes import FakeClock, database_in, in_order, until
from tests.serve.doctor.conftest import examined

HERE = "C0INCIDENT"


@pytest.fixture
async def by_socket(tmp_path: pathlib.Path, clock: FakeClock) -> AsyncIterator[world.World]:
    """Open the sample world in Socket Mode."""
    database_in(tmp_path)
    async with world.build(tmp_path, clock=clock, socket=True) as opened:
        opened.slack.connect_socket()
        yield opened


class Waiting:
    """The doctor, waiting for a delivery at `address`, which is empty in Socket Mode."""

    def __init__(self, task: asyncio.Task[Finding], address: str) -> None:
        self._task = task
        self.address = address

    async def found(self) -> Finding:
        """Return what it found, within a bounded time."""
        async with asyncio.timeout(60):
            return await self._task

    @property
    def has_ended(self) -> bool:
        """Whether it waits no more."""
        return self._task.done()


def settings_of(built: world.World, **environ: str) -> loader.Settings:
    """Return the settings with these variables changed, and any free port."""
    return loader.load({**built.environ, "PORT": "0", **environ}, directory=built.directory)


@contextlib.asynccontextmanager
async def waiting(built: world.World, **environ: str) -> AsyncIterator[Waiting]:
    """Let the doctor wait, until it can be reached; Slack delivers to it."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waits = delivery.wait(settings_of(built, **environ), clock=built.clock, ready=ready.set_result)
    task = asyncio.create_task(waits)
    async with asyncio.timeout(60):
        await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
        assert ready.done(), task.result()
    if ready.result():
        built.slack.connect(f"http://{ready.result()}/slack/events")
    try:
        yield Waiting(task, ready.result())
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ended(built: world.World, **environ: str) -> Finding:
    """Return what the doctor finds before it waits at all."""
    async with asyncio.timeout(60):
        return await delivery.wait(
            settings_of(built, **environ), clock=built.clock, ready=lambda _: pytest.fail("it waits")
        )


async def test_whoami_arrives_and_nothing_is_shown(built: world.World) -> None:
    async with waiting(built) as doctor:
        ack = await built.slack.people.command("U0ALICE", HERE, " WhoAmI ")

        assert (await doctor.found()).status is Severity.OK
    assert (ack.status, ack.body) == (200, "")
    assert built.slack.workspace.messages(HERE) == []


async def test_a_wrong_url_where_nothing_arrives(built: world.World, clock: FakeClock) -> None:
    async with waiting(built) as doctor:
        clock.turn(delivery.WITHIN)
        found = await doctor.found()

    assert (found.status, found.found) == (Severity.FAIL, f"nothing arrived at {doctor.address} within 60 s")
    assert "https://your.host/slack/events" in found.remedy
    assert f"passes POST /slack/events on to {doctor.address}" in found.remedy


async def test_a_wrong_url_that_ends_at_another_path(built: world.World) -> None:
    async with waiting(built) as doctor:
        built.slack.connect(f"http://{doctor.address}/events")
        await built.slack.people.command("U0ALICE", HERE, "whoami")
        found = await doctor.found()

    assert (found.status, found.found) == (
        Severity.FAIL,
        "a delivery from Slack arrived at /events instead of /slack/events",
    )


async def test_a_wrong_secret(built: world.World) -> None:
    async with waiting(built, SLACK_SIGNING_SECRET="of-another-app") as doctor:
        await built.slack.people.command("U0ALICE", HERE, "whoami")
        found = await doctor.found()

    assert found.found == "a delivery arrived and was rejected: the signature does not fit"
    assert "SLACK_SIGNING_SECRET" in found.remedy


async def test_another_workspace(built: world.World) -> None:
    async with waiting(built) as doctor, SlackStandIn(clock=built.clock, team_id="T0ELSEWHERE") as other:
        world.settle(other)
        other.connect(f"http://{doctor.address}/slack/events")
        await other.people.command("U0ALICE", HERE, "whoami")
        found = await doctor.found()

    assert found.found == "a delivery arrived and was rejected: another workspace"
    assert "SLACK_BOT_TOKEN is of another workspace" in found.remedy


async def test_a_clock_that_is_off(built: world.World) -> None:
    async with waiting(built) as doctor:
        body = b"command=%2Fflow&text=whoami"
        await built.slack.people.raw(body, built.slack.people.sign(body, int(built.clock.now()) - 3600))
        found = await doctor.found()

    assert "the timestamp is too old" in found.found
    assert found.remedy == "Set the clock of this host (NTP)."


async def test_strangers_who_knock_do_not_end_the_wait(built: world.World, clock: FakeClock) -> None:
    async with waiting(built) as doctor:
        ack = await built.slack.people.raw(b"command=%2Fflow&text=whoami", {})
        assert ack.status == 401
        clock.turn(delivery.WITHIN)
        assert (await doctor.found()).found == "a delivery arrived and was rejected: not signed"

    async with waiting(built) as doctor:
        await built.slack.people.raw(b"command=%2Fflow&text=whoami", {})
        await built.slack.people.command("U0ALICE", HERE, "whoami")
        assert (await doctor.found()).status is Severity.OK


async def test_another_command_is_not_swallowed(built: world.World, clock: FakeClock) -> None:
    async with waiting(built) as doctor:
        ack = await built.slack.people.command("U0ALICE", HERE, "stop main-feed")
        assert ack.status == 503
        assert not doctor.has_ended
        assert (await built.slack.people.raw(b"", {})).status == 401
        assert 'failed with the error "dispatch_failed"' in built.slack.workspace.seen_by("U0ALICE", HERE)[-1].text
        clock.turn(delivery.WITHIN)
        found = await doctor.found()

    assert (found.status, "but not `/flow whoami`" in found.found) == (Severity.OK, True)


async def test_slack_being_away_keeps_nobody_from_delivering(built: world.World) -> None:
    built.slack.faults.down()
    async with waiting(built) as doctor:
        await built.slack.people.command("U0ALICE", HERE, "whoami")
        assert (await doctor.found()).status is Severity.OK


async def test_a_running_flowbot_keeps_its_port(built: world.World) -> None:
    async with built.bot():
        port = built.slack.people.request_url.rpartition(":")[2].partition("/")[0]

        found = await ended(built, PORT=port)

    assert (found.status, found.found) == (Severity.FAIL, f"a running flowbot has 127.0.0.1:{port}")
    assert found.remedy.startswith("Stop it for this test.")


async def test_a_port_that_another_program_has(built: world.World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        serving = await asyncio.start_server(lambda _, writer: writer.close(), sock=other)
        found = await ended(built, PORT=str(port))
        serving.close()

    assert found.found == f"127.0.0.1:{port} cannot be opened: Address already in use"


# Socket Mode


async def test_whoami_arrives_by_socket(by_socket: world.World) -> None:
    async with waiting(by_socket) as doctor:
        ack = await by_socket.slack.people.command("U0ALICE", HERE, "whoami")
        found = await doctor.found()

    assert (found.status, "by Socket Mode" in found.found) == (Severity.OK, True)
    assert (ack.status, ack.body) == (200, "")
    assert by_socket.slack.sockets.lines == []


async def test_a_wrong_app_token(by_socket: world.World) -> None:
    found = await ended(by_socket, SLACK_APP_TOKEN="xapp-of-another-app")

    assert found.found == "Slack opens no connection with SLACK_APP_TOKEN (invalid_auth)"
    assert "connections:write" in found.remedy


async def test_nothing_arrives_by_socket(by_socket: world.World, clock: FakeClock) -> None:
    async with waiting(by_socket) as doctor:
        clock.turn(delivery.WITHIN)
        found = await doctor.found()

    assert (found.status, found.found) == (Severity.FAIL, "connected to Slack, but nothing arrived within 60 s")


async def test_another_workspace_by_socket(by_socket: world.World, clock: FakeClock) -> None:
    async with waiting(by_socket) as doctor:
        by_socket.slack.workspace.team_id = "T0ELSEWHERE"
        typed = asyncio.create_task(by_socket.slack.people.command("U0ALICE", HERE, "whoami"))
        found = await doctor.found()
        await in_order(typed)

    assert found.found == "a delivery arrived and was rejected: another workspace"


async def test_another_command_by_socket_is_not_acknowledged(by_socket: world.World, clock: FakeClock) -> None:
    async with waiting(by_socket) as doctor:
        typed = asyncio.create_task(by_socket.slack.people.command("U0ALICE", HERE, "stop main-feed"))
        await until(lambda: by_socket.slack.sockets.lines[0].waiting)
        ack = await by_socket.slack.people.command("U0BOB", HERE, "whoami")
        assert ack.ok
        assert (await doctor.found()).status is Severity.OK
        assert not (await typed).ok


async def test_an_envelope_without_a_payload_is_nothing(by_socket: world.World, clock: FakeClock) -> None:
    async with waiting(by_socket) as doctor:
        (line,) = by_socket.slack.sockets.lines
        await line.send({"envelope_id": "e", "type": "slash_commands"})
        assert (await by_socket.slack.people.command("U0ALICE", HERE, "whoami")).ok
        assert (await doctor.found()).status is Severity.OK


async def refused_handshake(built: world.World) -> None:
    """Refuse the WebSocket."""
    built.slack.faults.error("handshake", "403")


async def cut_handshake(built: world.World) -> None:
    """Cut the connection of the WebSocket."""
    built.slack.faults.drop_before("handshake", times=None)


@pytest.mark.parametrize(
    ("breaks", "words"),
    [(refused_handshake, "the handshake ended with 403"), (cut_handshake, "ServerDisconnectedError")],
)
async def test_no_web_socket(
    by_socket: world.World, breaks: Callable[[world.World], Awaitable[None]], words: str
) -> None:
    await breaks(by_socket)

    found = await ended(by_socket)

    assert found.found == f"Slack did not greet on the connection ({words})"
    assert "wss://" in found.remedy


async def test_socket_mode_that_is_switched_off(by_socket: world.World) -> None:
    by_socket.slack.sockets.mute = True
    doctor = asyncio.create_task(ended(by_socket))
    await until(lambda: by_socket.slack.sockets._all)
    (line,) = by_socket.slack.sockets._all
    await line.disconnect("link_disabled")
    await line.close()

    found = await doctor

    assert found.found == "Slack did not greet on the connection (link_disabled)"
    assert "Switch Socket Mode on" in found.remedy


async def test_a_bot_that_runs_elsewhere_keeps_its_deliveries(by_socket: world.World) -> None:
    async with by_socket.bot():
        found = await ended(by_socket)
        assert (await by_socket.slack.people.command("U0ALICE", HERE, "whoami")).ok

    assert found.found == "the app has 2 other open connections: a flowbot is running elsewhere"


async def test_the_examination_opens_no_connection(by_socket: world.World) -> None:
    assert (await examined(by_socket))["app token"].status is Severity.OK
    assert by_socket.slack.sockets.knocks == []
