"""What is acknowledged over a socket and how, and the whole bot in Socket Mode: start, readiness, shutdown."""

import asyncio
import pathlib
import signal
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import pytest
import structlog
from starlette.responses import JSONResponse, PlainTextResponse, Response

from bot.playground import world
from bot.policy.file.problems import SettingsInvalid
from bot.serve import build
from tests.fakes import FakeClock, database_in, in_order, until
from tests.slack import test_socket_mode as test_socket
from tests.slack.test_socket_mode import Opened
from tests.test_crash import Child

opened, ready = test_socket.opened, test_socket.ready

COMMAND: Final[dict[str, Any]] = {
    "command": "/flow",
    "text": "help",
    "team_id": "T0PLAYGROUND",
    "user_id": "U0ALICE",
    "channel_id": "C0INCIDENT",
}


async def test_the_answer_of_the_app_is_the_payload_of_a_commands_acknowledgement(ready: Opened) -> None:
    ready.answer = lambda: JSONResponse({"response_type": "ephemeral", "text": "Reading it."})
    assert (await ready.slack.people.command("U0ALICE", "C0INCIDENT", "stop x")).json == {
        "response_type": "ephemeral",
        "text": "Reading it.",
    }
    ready.answer = lambda: PlainTextResponse("in words")
    assert (await ready.slack.people.command("U0ALICE", "C0INCIDENT", "stop x")).json == {"text": "in words"}
    ready.answer = Response
    assert (await ready.slack.people.command("U0ALICE", "C0INCIDENT", "stop x")).body == ""
    assert ready.taken[0]["text"] == "stop x"


async def test_where_no_payload_is_taken_none_is_sent(ready: Opened) -> None:
    ready.answer = lambda: JSONResponse({"text": "for nobody"})
    ack = await ready.line.deliver("interactive", {**COMMAND})

    assert (ack.ok, ack.problems, ack.body) == (True, (), "")


STRANGE: Final = {
    "another workspace": {**COMMAND, "team_id": "T0OTHER"},
    "no workspace": {key: value for key, value in COMMAND.items() if key != "team_id"},
    "no channel": {key: value for key, value in COMMAND.items() if key != "channel_id"},
}


@pytest.mark.parametrize("payload", [*STRANGE.values(), ["no", "object"], None], ids=[*STRANGE, "a list", "nothing"])
async def test_what_the_guard_would_reject_has_no_effect(ready: Opened, payload: Any) -> None:
    with structlog.testing.capture_logs() as lines:
        command = await ready.line.deliver("slash_commands", payload, accepts=True)
        event = await ready.line.deliver("events_api", payload)
        click = asyncio.create_task(ready.line.deliver("interactive", payload))
        await until(lambda: [line["event"] for line in lines].count("delivery rejected") == 3)

    assert "asking again is safe" in command.json["text"]
    assert command.json["response_type"] == "ephemeral"
    assert (event.ok, event.body) == (True, "")
    assert not click.done()  # so Slack shows it as failed
    assert ready.taken == []
    click.cancel()
    assert "T0OTHER" not in str(lines)


async def test_an_answer_that_is_no_200_is_a_sentence_for_a_command_and_nothing_for_a_click(ready: Opened) -> None:
    ready.answer = lambda: PlainTextResponse("flowbot does not take this", status_code=404)
    told = await ready.slack.people.command("U0ALICE", "C0INCIDENT", "stop x")
    assert told.shown
    assert "asking again is safe" in told.shown.plain

    click = asyncio.create_task(ready.line.deliver("interactive", {**COMMAND}))
    await until(lambda: len(ready.taken) == 2)
    assert (await ready.line.deliver("events_api", {**COMMAND})).ok
    assert not click.done()
    click.cancel()


# The whole bot


@pytest.fixture
async def built(tmp_path: pathlib.Path) -> AsyncIterator[world.World]:
    database_in(tmp_path)
    async with world.build(tmp_path, clock=FakeClock(), socket=True) as opened:
        yield opened


async def get(url: str) -> tuple[int, str]:
    """Fetch a URL."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_it_is_ready_when_a_socket_has_said_hello(built: world.World) -> None:
    built.slack.sockets.mute = True
    async with build.build(built.settings(), clock=built.clock) as bot, world._listening(bot) as url:
        await until(lambda: len(built.slack.sockets.knocks) == 2)
        assert await get(f"{url}/readyz") == (503, '{"database":"answers","slack":"away"}')
        assert (await get(f"{url}/healthz"))[0] == 200
    built.slack.sockets.mute = False
    async with build.build(built.settings(), clock=built.clock) as bot, world._listening(bot) as url:
        await built.connect(url)
        await until(lambda: bot.sockets is not None and bot.sockets.live == 2)
        assert await get(f"{url}/readyz") == (200, '{"database":"answers","slack":"connected"}')
        assert "flowbot_socket_connections 2.0" in (await get(f"{url}/metrics"))[1]
        assert (await get(f"{url}/slack/events"))[0] == 404


async def test_it_starts_while_slack_is_away(built: world.World) -> None:
    built.slack.faults.down()
    with structlog.testing.capture_logs() as lines:
        async with build.build(built.settings(), clock=built.clock) as bot:
            await until(lambda: [line["event"] for line in lines].count("no connection to Slack") == 2)
            assert bot.sockets is not None
            assert bot.sockets.live == 0
            built.slack.faults.up()
            assert isinstance(built.clock, FakeClock)
            built.clock.turn(1.0)
            await built.connect("")


@pytest.mark.parametrize("code", ["invalid_auth", "not_allowed_token_type", "missing_scope"])
async def test_an_app_token_that_slack_refuses_names_its_variable(built: world.World, code: str) -> None:
    built.slack.faults.error("apps.connections.open", code)

    with pytest.raises(SettingsInvalid, match=rf"^SLACK_APP_TOKEN: .*{code}.*connections:write"):
        async with build.build(built.settings(), clock=built.clock):
            pass


async def test_an_envelope_that_comes_twice_acts_once(built: world.World) -> None:
    async with built.bot():
        built.slack.sockets.duplicates = 1
        first = await built.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed")
        again = await built.slack.people.replay(first)
        await built.slack.until(lambda found: any(one.buttons for one in found.messages("C0INCIDENT")), timeout=60)

        assert (first.ok, again.ok, again.body) == (True, True, "")
        assert len(built.slack.workspace.messages("C0INCIDENT")) == 1


async def test_nothing_is_acknowledged_before_it_is_on_disk(built: world.World) -> None:
    async with built.bot() as bot:
        gate, record = asyncio.Event(), bot.store.record
        writing = asyncio.Event()

        async def held(entries: Any) -> Any:
            writing.set()
            await gate.wait()
            return await record(entries)

        bot.store.record = held  # type: ignore[method-assign]
        stop = asyncio.create_task(built.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed"))
        await in_order(writing.wait())
        assert (await built.slack.people.command("U0ALICE", "C0INCIDENT", "help")).ok
        assert not stop.done()
        gate.set()
        assert (await stop).ok


async def test_sigterm_drains_and_exits_0_and_all_that_was_acknowledged_is_recorded(tmp_path: pathlib.Path) -> None:
    database_in(tmp_path)
    async with world.build(tmp_path, socket=True) as built:
        child = Child(built)
        await child.start()
        built.slack.connect_socket()
        people = built.slack.people
        asked = [asyncio.create_task(people.command("U0ALICE", "C0INCIDENT", f"stop flow-{n}")) for n in range(40)]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)

        assert await child.end(signal.SIGTERM) == 0
        acks = await asyncio.gather(*asked)
        acknowledged = sum("Reading" in ack.body for ack in acks)
        assert 0 < acknowledged <= child.select("SELECT count(*) FROM inbox")[0][0]
        assert "ticket" not in child.errors.read_text()
        assert built.slack.app_token not in child.errors.read_text()


async def test_a_refused_app_token_ends_the_start_with_2_and_a_sentence(tmp_path: pathlib.Path) -> None:
    database_in(tmp_path)
    async with world.build(tmp_path, socket=True, SLACK_APP_TOKEN="xapp-another") as built:
        child = Child(built)
        with pytest.raises(AssertionError):
            await child.start()

        assert await child.end(signal.SIGTERM) == 2
        (said,) = [line for line in child.errors.read_text().splitlines() if "SLACK_APP_TOKEN" in line]
        assert "invalid_auth" in said
        assert "Traceback" not in child.errors.read_text()
        assert "xapp-another" not in child.errors.read_text()
