"""`flowbot operations` as a process of its own, beside a real bot and without one."""

import asyncio
import contextlib
import json
import os
import pathlib
import pwd
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from bot.playground.slack import transcript
from bot.store import migrate
from tests.test_crash import HERE, Child, open_child

OWN: Final = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
"""The login of whoever runs these tests, who is carol in the policy."""

OPERATORS: Final = f'\n[operators]\n{OWN} = "U0CAROL"\nalice = "U0ALICE"\n'
NEVER: Final = "no running flowbot took it up, so it was withdrawn: nothing was done, and nothing will be done later\n"


class Host:
    """The command, with the bot's settings."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self.directory = child.world.directory

    async def __call__(self, *arguments: str) -> tuple[int, str]:
        """Run a command, and return its exit code and all that it printed."""
        process = await self.start(*arguments)
        async with asyncio.timeout(120):
            out, _ = await process.communicate()
        assert b"Traceback" not in out
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def json(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run a command with `--json`, which prints one object."""
        code, out = await self(*arguments, "--json")
        return code, json.loads(out)

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start a command."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "operations", *arguments),
            env=self._child.environ,
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


@pytest.fixture
async def child(tmp_path: pathlib.Path) -> AsyncIterator[Child]:
    """Return a bot that has not started, with an empty database and operators."""
    async with open_child(tmp_path) as opened:
        policy = tmp_path / "flowbot.toml"
        policy.write_text(policy.read_text() + OPERATORS)
        migrate.migrate(opened.environ["DATABASE_URL"])
        yield opened


@pytest.fixture
def host(child: Child) -> Host:
    """Return the command."""
    return Host(child)


async def test_a_stop_is_asked_for_confirmed_and_shown(child: Child, host: Host) -> None:
    await child.start()
    assert await host("list") == (0, "no open requests\n")

    code, asked = await host.json("stop", "main-feed", "--reason", "it loops")
    assert (code, asked["done"], asked["answer"]) == (0, True, None)
    request = asked["request"]
    assert request["requester"] == {"user": "U0CAROL", "door": "host", "login": OWN}
    assert (request["state"], request["reason"], request["card"]["channel"]) == ("pending", "it loops", HERE)
    code, listed = await host("list")
    assert (code, request["id"] in listed, f"@{OWN}, on the host" in listed) == (0, True, True)
    assert "U0CAROL" not in listed

    code, again = await host("stop", "main-feed")
    assert (code, "is already open" in again) == (1, True)
    assert (await host("approve", request["id"]))[0] == 1
    code, confirmed = await host("confirm", request["id"])
    assert (code, request["id"] in confirmed) == (0, True)
    await child.world.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=120)
    assert (await host("withdraw", request["id"]))[0] == 1
    code, shown = await host.json("show", request["id"])
    assert (code, shown["id"], shown["state"]) == (0, request["id"], "approved")
    assert (await host("list", "--all"))[1].startswith(request["id"])


async def test_what_was_asked_in_slack_is_approved_or_denied_here(child: Child, host: Host) -> None:
    await child.start()
    for flow, command in (("main-feed", ("approve",)), ("backup-feed", ("deny", "--reason", "not now"))):
        await child.world.slack.people.command("U0ALICE", HERE, f"stop {flow}")
        await _hears(child, f"asks to stop `{flow}`")
        _, listed = await host("list")
        ident = next(line for line in listed.splitlines() if flow in line).partition(" ")[0]
        assert (await host(command[0], ident, *command[1:]))[0] == 0
    for decided in ("approved the stop of `main-feed`", "denied the request to stop `backup-feed`"):
        await _hears(child, f"<@U0CAROL>, on the host, {decided}")


async def _hears(child: Child, words: str) -> None:
    """Wait until Slack has these words."""
    await child.world.slack.until(lambda found: words in transcript.of(found), timeout=120)


@pytest.mark.parametrize("command", [("approve",), ("deny", "--reason", "no"), ("deny",), ("withdraw",), ("check",)])
async def test_a_request_that_is_not_there_is_a_no(child: Child, host: Host, command: tuple[str, ...]) -> None:
    await child.start()
    code, said = await host(command[0], "nothing", *command[1:])
    assert code == 1
    assert said


async def test_nobody_there_to_take_it_up_withdraws_it_and_nothing_fires_later(child: Child, host: Host) -> None:
    assert await host("stop", "main-feed", "--wait", "0.3") == (1, NEVER)
    assert await host.json("stop", "main-feed", "--wait", "0.3") == (
        1,
        {"done": False, "answer": None, "said": NEVER.strip(), "request": None},
    )
    assert child.select("SELECT count(*) FROM inbox") == [(0,)]
    await child.start()
    assert await host("list", "--all") == (0, "no requests\n")
    assert child.world.live.calls_of("PUT", "/flows/stop") == ()


async def test_ctrl_c_withdraws_it_and_says_so(child: Child, host: Host) -> None:
    process = await host.start("stop", "main-feed", "--wait", "600")
    async with asyncio.timeout(120):
        while child.select("SELECT count(*) FROM inbox") == [(0,)]:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, _ = await process.communicate()
    assert (process.returncode, out.decode()) == (1, NEVER)
    assert child.select("SELECT count(*) FROM inbox") == [(0,)]


async def test_who_is_no_operator_may_look_only(child: Child, host: Host) -> None:
    policy = host.directory / "flowbot.toml"
    policy.write_text(policy.read_text().replace(f'{OWN} = "U0CAROL"', 'mallory = "U0CAROL"'))
    for command in (("stop", "main-feed"), ("approve", "r1"), ("deny", "r1", "--reason", "no")):
        code, said = await host(*command)
        assert code == 1
        assert said == f"{OWN} is not in [operators] of {policy}: nothing was done\n"
    assert child.select("SELECT count(*) FROM inbox") == [(0,)]
    assert await host("list") == (0, "no open requests\n")
    assert await host("show", "r1") == (1, "no such request\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("stop",),
        ("stop", "main-feed", "backup-feed"),
        ("stop", "main-feed", "--wait", "0"),
        ("stop", "main-feed", "--for", "10m"),
        ("stop", ""),
        ("stop", "main-feed", "--project", "hk because"),
        ("start",),
        ("approve",),
        ("review", "r1"),
        ("review", "r1", "--verdict", "perhaps"),
        ("nonsense",),
        ("approve", "r\udcff"),
        ("show", "r\udcff"),
        ("stop", "main-\udcff"),
        ("stop", "main-feed", "--reason", "\udcff\u200b"),
        ("stop", "main-feed", "--reason", "x" * 501),
        ("stop", "main-feed", "--name", "\udcff"),
        ("deny", "r1", "--reason", "x" * 501),
        ("review", "r1", "--verdict", "justified", "--reason", ""),
    ],
)
async def test_wrong_usage_is_a_2(child: Child, host: Host, arguments: tuple[str, ...]) -> None:
    code, said = await host(*arguments)
    assert code == 2
    assert "Usage:" in said
    assert child.select("SELECT count(*) FROM inbox") == [(0,)]


async def test_wrong_settings_and_an_older_database_are_a_2(child: Child, host: Host) -> None:
    with contextlib.closing(sqlite3.connect(host.directory / "flowbot.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    code, said = await host("list")
    assert (code, "flowbot migrate" in said) == (2, True)
    (host.directory / "flowbot.toml").write_text("nonsense")
    code, said = await host("stop", "main-feed")
    assert (code, "flowbot.toml:1" in said) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("stop", "main-feed", "--reason", "it\u202e\nloops\udcff"),
        ("stop", "main-feed", "--name", "main-feed\udcff"),
        ("deny", "r1", "--reason", "not\n now\udcff"),
        ("review", "r1", "--verdict", "justified", "--reason", "fine\udcff"),
    ],
)
async def test_what_nobody_can_see_in_a_text_is_dropped(host: Host, arguments: tuple[str, ...]) -> None:
    assert await host(*arguments, "--wait", "0.2") == (1, NEVER)
