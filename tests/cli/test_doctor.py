"""`flowbot doctor` as a process of its own: its lines, its exit codes, and a delivery that it waits for."""

import asyncio
import contextlib
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from bot.playground import world
from bot.store import schema
from tests.cli.test_main import flowbot
from tests.fakes import database_in

SECONDS = 30


@pytest.fixture
async def built(tmp_path: pathlib.Path) -> AsyncIterator[world.World]:
    """Open the sample world by the machine's clock, with a database and no bot."""
    database_in(tmp_path)
    async with world.build(tmp_path) as opened:
        yield opened


def environ_of(built: world.World, **changed: str) -> dict[str, str]:
    """Return the environment of a process in this world."""
    return {"PATH": os.environ["PATH"], **built.environ, "PORT": "0", **changed}


async def doctor(built: world.World, *options: str, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, beside the stand-ins."""
    return await asyncio.to_thread(flowbot, built.directory, environ_of(built, **changed), "doctor", *options)


async def test_a_deployment_in_order_exits_with_0_and_leaves_no_file(built: world.World) -> None:
    before = sorted(path.name for path in built.directory.iterdir())

    done = await doctor(built)

    assert (done.returncode, done.stderr) == (0, "")
    assert {line[:6] for line in done.stdout.splitlines()} == {"ok    ", "warn  "}
    assert "ok    channel C0INCIDENT: the bot can post in #incident\n" in done.stdout
    assert sorted(path.name for path in built.directory.iterdir()) == before


async def test_json_is_an_object_a_line_with_four_keys(built: world.World) -> None:
    built.slack.workspace.leave("C0INCIDENT", "U0FLOWBOT")

    done = await doctor(built, "--json")

    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert {tuple(each) for each in found} == {("name", "status", "found", "remedy")}
    assert [each["remedy"] for each in found if each["status"] == "fail"] == ["Type /invite @flowbot in #incident."]


async def test_an_older_database_exits_with_1(built: world.World) -> None:
    with contextlib.closing(sqlite3.connect(built.directory / "flowbot.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (schema.REVISIONS[0],))
        connection.commit()

    assert (await doctor(built)).returncode == 1


@pytest.mark.parametrize(
    ("variable", "value", "policy"),
    [("HUAWEICLOUD_SDK_SK", "", None), ("FLOWBOT_CONFIG", "nothing.toml", None), ("PORT", "0", "approvals = 5")],
)
async def test_wrong_settings_and_policy_exit_with_2(
    built: world.World, variable: str, value: str, policy: str | None
) -> None:
    if policy is not None:
        file = built.directory / "flowbot.toml"
        file.write_text(file.read_text().replace("approvals = 1", policy))

    done = await doctor(built, "--json", **{variable: value})

    first = json.loads(done.stdout.splitlines()[0])
    assert (done.returncode, first["name"], first["status"]) == (2, "settings", "fail")


async def test_it_waits_for_a_delivery(built: world.World) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "doctor", "--json", "--deliver"),
        cwd=built.directory,
        env=environ_of(built),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(SECONDS):
        invitation = (await process.stderr.readline()).decode()
        assert invitation.startswith("Type /flow whoami in Slack, within a minute. Listening at 127.0.0.1:")
        built.slack.connect(f"http://{invitation.split()[-1].removesuffix('.')}/slack/events")
        assert (await built.slack.people.command("U0ALICE", "C0INCIDENT", "whoami")).ok
        said, _ = await process.communicate()

    last = json.loads(said.decode().splitlines()[-1])
    assert (process.returncode, last["name"], last["status"]) == (0, "deliver", "ok")


SILENT = """
import socket, threading
known, never = socket.getaddrinfo, threading.Event()
socket.getaddrinfo = lambda host, *rest, **more: never.wait() or known(host, *rest, **more)
from bot.cli import main
main.main(["doctor"], prog_name="flowbot")
"""
"""A process whose name server never answers."""


def test_a_name_server_that_never_answers_does_not_hold_the_process(tmp_path: pathlib.Path) -> None:
    url = database_in(tmp_path)
    (tmp_path / "flowbot.toml").write_text(world.POLICY.replace("{endpoint}", "https://live.invalid"))
    environ = {
        "PATH": os.environ["PATH"],
        "SLACK_BOT_TOKEN": "xoxb-x",
        "SLACK_SIGNING_SECRET": "x",
        "SLACK_API_URL": "https://slack.invalid/api/",
        "HUAWEICLOUD_SDK_AK": "x",
        "HUAWEICLOUD_SDK_SK": "x",
        "DATABASE_URL": url,
    }

    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", SILENT],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (1, "")
    assert "fail  bot token: Slack could not be asked (TimeoutError)" in done.stdout
    assert "fail  project hk: " in done.stdout
