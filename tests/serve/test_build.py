"""The composition root: endpoints, what prevents the start, and the order of the shutdown."""

import asyncio
import contextlib
import dataclasses
import pathlib
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from pytest_mock import MockerFixture
from slack_sdk.web.async_client import AsyncWebClient

from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.lifecycle.states import Progress, State
from bot.playground import world
from bot.policy.file.problems import SettingsInvalid
from bot.serve import build, http_server, run
from bot.serve.clock import SystemClock
from bot.slack.directory import people
from bot.usecases import errors
from tests.fakes import CAROL, Desk, FakeClock, database_in, in_order, open_desk, until
from tests.worker.test_requests import arrives, card


@pytest.fixture
async def built(tmp_path: pathlib.Path) -> AsyncIterator[world.World]:
    """Open the sample world, with a database and no bot."""
    database_in(tmp_path)
    async with world.build(tmp_path, clock=FakeClock()) as opened:
        yield opened


@contextlib.asynccontextmanager
async def running(built: world.World) -> AsyncIterator[tuple[build.Bot, str]]:
    """Run the bot, and return it with its address."""
    async with built.bot() as bot:
        yield bot, built.slack.people.request_url.removesuffix("/slack/events")


async def get(url: str) -> tuple[int, str]:
    """Fetch a URL."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_it_is_alive_and_ready_and_counts(built: world.World) -> None:
    async with running(built) as (_, url):
        await built.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed")

        assert await get(f"{url}/healthz") == (200, "alive")
        assert await get(f"{url}/readyz") == (200, '{"database":"answers","slack":"connected"}')
        status, metrics = await get(f"{url}/metrics")
        assert status == 200
        assert 'flowbot_recordings_total{result="new"} 1.0' in metrics


async def test_metrics_stand_where_prometheus_looks_without_a_redirect(built: world.World) -> None:
    async with running(built) as (_, url), aiohttp.ClientSession() as session:
        answer = await session.get(f"{url}/metrics", allow_redirects=False)
        assert answer.status == 200


async def test_it_is_not_ready_while_the_database_does_not_answer(built: world.World) -> None:
    async with running(built) as (bot, url):
        await bot.store.close()

        assert (await get(f"{url}/readyz"))[0] == 503
        assert (await get(f"{url}/healthz"))[0] == 200


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/slack/events", 405), ("POST", "/other", 404)])
async def test_there_is_nothing_else(built: world.World, method: str, path: str, status: int) -> None:
    async with running(built) as (_, url), aiohttp.ClientSession() as session:
        assert (await session.request(method, url + path)).status == status


async def test_only_exactly_spelled_paths_are_served(built: world.World) -> None:
    ours = [("GET", "/metrics"), ("GET", "/healthz"), ("GET", "/readyz"), ("POST", "/slack/events")]
    bent = [
        (method, target)
        for method, path in ours
        for target in (
            f"/%{ord(path[1]):02x}{path[2:]}",
            f"http://elsewhere{path}",
            f"{path}/",
            f"/{path}",
            f"/.{path}",
        )
    ]
    async with running(built) as (_, url):
        statuses = [await raw_status(url, method, target) for method, target in bent]
        assert {target: status for (_, target), status in zip(bent, statuses, strict=True) if status != 404} == {}
        assert [await raw_status(url, method, path) for method, path in ours] == [200, 200, 200, 401]


async def raw_status(url: str, method: str, target: str) -> int:
    """Send a request with exactly this target; return the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    status = (await reader.read()).split(b" ")[1]
    writer.close()
    return int(status)


async def test_readyz_reports_slacks_last_status_without_depending_on_it(built: world.World) -> None:
    built.slack.faults.down()
    async with running(built) as (_, url):
        assert await get(f"{url}/readyz") == (200, '{"database":"answers","slack":"away"}')
        built.slack.faults.up()
        await built.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed")
        assert await get(f"{url}/readyz") == (200, '{"database":"answers","slack":"connected"}')


async def test_slack_being_away_at_the_start_is_logged_and_retried(built: world.World) -> None:
    built.slack.faults.down()
    async with running(built):
        told = await built.slack.people.command("U0ALICE", "C0INCIDENT", "status main-feed")
        assert "still starting" in told.body
        built.slack.faults.up()
        told = await built.slack.people.command("U0ALICE", "C0INCIDENT", "status main-feed")
        assert "still starting" not in told.body


async def test_a_token_that_slack_does_not_know_names_its_variable(built: world.World) -> None:
    built.slack.faults.error("auth.test", "invalid_auth")

    with pytest.raises(SettingsInvalid, match="SLACK_BOT_TOKEN"):
        async with build.build(built.settings(), clock=built.clock):
            pass


async def test_a_database_without_tables_is_refused(built: world.World) -> None:
    (built.directory / "flowbot.db").unlink()

    with pytest.raises(errors.RevisionMismatch, match="flowbot migrate"):
        async with build.build(built.settings(), clock=built.clock):
            pass


async def test_one_file_is_served_by_one_bot(built: world.World) -> None:
    async with running(built):
        with pytest.raises(errors.StoreError, match="another flowbot"):
            async with build.build(built.settings(), clock=built.clock):
                pass


async def test_a_port_that_is_taken_is_a_problem_of_the_settings(built: world.World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environ = {**built.environ, "PORT": str(taken.getsockname()[1])}
        loaded = dataclasses.replace(built, environ=environ).settings()
        with pytest.raises(SettingsInvalid, match="PORT"):
            await asyncio.to_thread(run.run, loaded)


async def test_what_was_acknowledged_before_the_end_is_there_after_it(built: world.World) -> None:
    async with running(built):
        await built.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed")
    async with running(built):
        await built.slack.until(lambda found: any(one.buttons for one in found.messages("C0INCIDENT")), timeout=60)

    assert len(built.slack.workspace.messages("C0INCIDENT")) == 1


async def test_the_end_waits_for_what_is_in_flight_but_not_for_ever(built: world.World, mocker: MockerFixture) -> None:
    mocker.patch.object(build, "DRAIN_WITHIN", 0.05)
    gate = asyncio.Event()
    built.slack.faults.hold("users.info", gate, times=None)
    async with running(built):
        await built.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed")
        await until(lambda: any(task for task in asyncio.all_tasks() if "Entries._" in repr(task)))
        gone = asyncio.get_running_loop().time()
    gate.set()

    assert asyncio.get_running_loop().time() - gone < people.LEARN_WITHIN


async def test_the_systems_clock_moves_by_itself() -> None:
    clock = SystemClock()
    before = clock.now()
    await in_order(clock.sleep(0.001))

    assert clock.now() > before


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk."""
    async with open_desk(tmp_path) as opened:
        yield opened


async def test_a_drain_waits_for_the_call_and_takes_nothing_new(desk: Desk) -> None:
    request_id, gate = await card(desk), asyncio.Event()
    desk.cloud.will("stop", gate)
    await arrives(desk, desk.click("approve", CAROL, request_id))
    await until(desk.cloud.stops)
    drain = asyncio.create_task(desk.worker.drain())
    await asyncio.sleep(0.01)
    late = desk.typed("stop flow-1 --dry-run")
    await arrives(desk, late)
    desk.worker.wake("somebody else's")
    await asyncio.sleep(0.01)
    assert not drain.done()
    gate.set()
    await in_order(drain)

    assert (await desk.now(request_id)).operation.progress is Progress.SUCCEEDED
    assert desk.select("SELECT state FROM inbox WHERE key = ?", late.key) == [("received",)]


async def test_a_drain_begins_no_call(desk: Desk) -> None:
    request_id, gate = await card(desk), asyncio.Event()
    desk.chat.troubles["edit_card"].append(gate)
    desk.cloud.will("flow", CloudFailure(fault=Fault.UNCERTAIN))
    await arrives(desk, desk.click("approve", CAROL, request_id))
    await until(lambda: "edit_card" in desk.chat.journal)
    drain = asyncio.create_task(desk.worker.drain())
    await asyncio.sleep(0)
    desk.clock.turn(5)
    desk.worker.wake(request_id)
    gate.set()
    await in_order(drain)

    assert desk.cloud.stops() == 0
    assert (await desk.now(request_id)).state is State.APPROVED


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_it_listens_where_host_says_in_either_family(host: str) -> None:
    with (
        http_server.listen(host, 0) as listener,
        socket.create_connection(listener.getsockname()[:2], timeout=5) as caller,
    ):
        assert caller.getpeername()[:2] == listener.getsockname()[:2]


async def test_promise_12_calls_to_slack_that_hang_keep_no_other_from_a_connection(built: world.World) -> None:
    gate, edits = asyncio.Event(), 150  # aiohttp's own limit is 100
    built.slack.faults.hold("chat.update", gate, times=None)
    async with build.open_session() as session:
        client = AsyncWebClient(
            token=built.slack.bot_token, base_url=built.slack.api_url, session=session, retry_handlers=[]
        )
        hanging = [
            asyncio.create_task(client.chat_update(channel="C0INCIDENT", ts="1.1", text="x")) for _ in range(edits)
        ]
        await until(lambda: len(session.connector._acquired) >= 100)  # type: ignore[union-attr]

        asked = asyncio.create_task(client.users_info(user="U0ALICE"))
        await until(asked.done)
        assert (await asked)["user"]["id"] == "U0ALICE"
        assert not any(call.done() for call in hanging)

        gate.set()
        await asyncio.gather(*hanging, return_exceptions=True)
