"""The commands with a database server: who creates the tables, who refuses, and a pause beside a running bot."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from bot.playground import world
from bot.store import opening, schema
from bot.usecases import ports
from tests import postgres

from .conftest import Clock


@pytest.fixture
def environ(tmp_path: pathlib.Path) -> dict[str, str]:
    """Return valid settings, except for the database."""
    (tmp_path / "flowbot.toml").write_text(world.POLICY.replace("{endpoint}", "http://127.0.0.1:9"))
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(pathlib.Path.cwd()),
        "SLACK_BOT_TOKEN": "xoxb-known-to-nobody",
        "SLACK_SIGNING_SECRET": "shhh-signing",
        "SLACK_API_URL": "http://127.0.0.1:9/api/",
        "HUAWEICLOUD_SDK_AK": "AKEXAMPLE",
        "HUAWEICLOUD_SDK_SK": "sk-known-to-nobody",
        "PORT": "0",
    }


def flowbot(directory: pathlib.Path, environ: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Run the command, and return its exit code and its last line of output."""
    command = [sys.executable, "-m", "bot", *arguments]
    done = subprocess.run(  # noqa: S603 - our own words
        command, cwd=directory, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert "hunter2" not in said
    return done.returncode, said.strip().splitlines()[-1]


def test_serve_makes_no_tables_on_a_server_and_says_who_does(
    server: postgres.Server, new_database: Callable[..., str], environ: dict[str, str], tmp_path: pathlib.Path
) -> None:
    environ["DATABASE_URL"] = server.url(new_database()).replace("postgres@", "postgres:hunter2@")
    assert flowbot(tmp_path, environ, "serve") == (2, "the database has no tables yet: run `flowbot migrate`")
    assert flowbot(tmp_path, environ, "migrate") == (0, f"the database is at revision {schema.REVISION}")


def test_a_server_that_is_not_there_ends_the_start_with_a_sentence(
    environ: dict[str, str], tmp_path: pathlib.Path
) -> None:
    environ["DATABASE_URL"] = "postgres://postgres:hunter2@127.0.0.1:1/flowbot"
    for command in ("serve", "migrate"):
        code, said = flowbot(tmp_path, environ, command)
        assert code == 2
        assert said.endswith("the database server cannot be reached (ConnectionRefusedError)")


async def test_a_pause_is_written_beside_whoever_serves(
    url: str, clock: Clock, environ: dict[str, str], tmp_path: pathlib.Path
) -> None:
    serving = await opening.open_store(url, clock=clock, replica="serving")
    environ["DATABASE_URL"] = url
    program = f"""
import asyncio, time
from bot.store import opening
from bot.usecases import ports

class Clock:
    now = staticmethod(time.time)

async def pause():
    opened = await opening.open_store({url!r}, clock=Clock(), replica="other", exclusive=False)
    await opened.pause(ports.Pause(at=5.0, reason="a release", by="root"))
    await opened.close()

asyncio.run(pause())
"""
    subprocess.run([sys.executable, "-c", program], env=environ, check=True)  # noqa: ASYNC221, S603 - ours, and short
    assert await serving.paused() == ports.Pause(at=5.0, reason="a release", by="root")
    await serving.close()
