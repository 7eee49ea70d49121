"""The `flowbot` command as a process: exit codes, error messages without tracebacks, and the shutdown."""

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from importlib import metadata

import pytest
from click import testing

from bot.cli import main as command_line
from bot.playground import world
from bot.playground.slack.records import PostedMessage
from bot.store import migrate, schema
from bot.store.engines import file_lock
from tests.fakes import database_in
from tests.test_crash import HERE, Child, open_child

TOKEN = "xoxb-known-to-nobody"


@pytest.fixture
def environ(tmp_path: pathlib.Path) -> dict[str, str]:
    """Return valid settings."""
    (tmp_path / "flowbot.toml").write_text(world.POLICY.replace("{endpoint}", "http://127.0.0.1:9"))
    return {
        "PATH": os.environ["PATH"],
        "SLACK_BOT_TOKEN": TOKEN,
        "SLACK_SIGNING_SECRET": "shhh-signing",
        "SLACK_API_URL": "http://127.0.0.1:9/api/",
        "HUAWEICLOUD_SDK_AK": "AKEXAMPLE",
        "HUAWEICLOUD_SDK_SK": "sk-known-to-nobody",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'flowbot.db'}",
        "PORT": "0",
    }


def flowbot(directory: pathlib.Path, environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command and wait for it."""
    command = [sys.executable, "-m", "bot", *arguments]
    done = subprocess.run(  # noqa: S603 - our own words
        command, cwd=directory, env=dict(environ), capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert not any(secret in done.stdout + done.stderr for secret in (TOKEN, "shhh-signing", "sk-known-to-nobody"))
    return done


def test_version_is_that_of_the_package(tmp_path: pathlib.Path) -> None:
    done = flowbot(tmp_path, {}, "--version")

    assert (done.returncode, done.stdout.split()[-1]) == (0, metadata.version("flowbot"))


def test_version_imports_nothing_that_takes_long(tmp_path: pathlib.Path) -> None:
    traced = (
        "import sys; from bot.cli import main; main.main(['--version'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", traced], cwd=tmp_path, capture_output=True, text=True, check=True)  # noqa: S603
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded & {"pydantic", "pydantic_settings", "dotenv", "asyncio", "sqlalchemy", "httpx", "slack_sdk"} == set()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--user", "U0ALICE", "--channel", "C0INCIDENT", "stop", "main-feed"), 0, "yes, with 1 approval"),
        (("--user", "U0ALICE", "--channel", "C0RANDOM", "stop", "main-feed", "--project", "hk"), 0, "yes, with 1"),
        (("--user", "U0NOBODY", "--channel", "C0INCIDENT", "stop", "main-feed"), 1, "no: no rule allows it"),
        (("--user", "U0ALICE", "--channel", "C0INCIDENT", "stop", "x", "--emergency"), 1, "no rule lets them use"),
        (("--user", "U0NOBODY", "--channel", "C0INCIDENT", "list"), 0, "yes, without approval: by rule"),
        (("--user", "U0ALICE", "--channel", "C0INCIDENT", "halt", "main-feed"), 2, "is not a command"),
        (("--user", "U0ALICE", "--channel", "C0INCIDENT", "stop", "a", "--project", "x"), 2, "one of: hk"),
        (("--channel", "C0INCIDENT", "stop", "main-feed"), 2, "--user"),
        (("--user", "U0ALICE", "stop", "main-feed"), 2, "Missing option '--channel'"),
        (("--user", "U0ALICE", "--door", "host", "--channel", "C0INCIDENT", "stop", "a"), 2, "--channel is for Slack"),
        (("--user", "U0ALICE", "--door", "host", "stop", "main-feed"), 0, "count from the host only"),
        (("--user", "U0BOB", "--door", "host", "stop", "main-feed"), 1, "no: no login of [operators] is theirs"),
        (("--user", "U0ALICE", "--door", "host", "list"), 2, "whoever may run flowbot there reads everything"),
        (("--user", "alice", "--channel", "C0INCIDENT", "stop", "a"), 2, '"alice" is not the id of a user (U… or W…)'),
        (("--user", "U0ALICE", "--channel", "#incident", "stop", "a"), 2, '"#incident" is not the id of a channel'),
        (
            ("--user", "U0ALICE", "--channel", "C0INCIDENT", "--member-of", "media", "stop", "a"),
            2,
            '"media" is not the id of a user group (S…)',
        ),
    ],
)
def test_explain_says_which_rule_decides_and_exits_by_the_answer(
    tmp_path: pathlib.Path, environ: dict[str, str], arguments: tuple[str, ...], code: int, says: str
) -> None:
    policy = (tmp_path / "flowbot.toml").read_text().replace("approvals = 1", 'approvals = 1\ndoor = "host"')
    (tmp_path / "flowbot.toml").write_text(f'{policy}\n[operators]\nalice = "U0ALICE"\n')

    done = flowbot(tmp_path, environ, "explain", *arguments)

    assert done.returncode == code, done.stderr
    assert says in done.stdout + done.stderr


def test_check_says_what_it_found(tmp_path: pathlib.Path, environ: dict[str, str]) -> None:
    done = flowbot(tmp_path, environ, "check")

    assert done.returncode == 0
    assert "project hk" in done.stdout
    assert not (tmp_path / "flowbot.db").exists()


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_policy_that_breaks_its_own_case_is_not_started_with(
    tmp_path: pathlib.Path, environ: dict[str, str], command: str
) -> None:
    case = '\n[[cases]]\nuser = "U0BOB"\nchannel = "C0INCIDENT"\ncommand = "stop a"\nexpect = "deny"\n'
    text = (tmp_path / "flowbot.toml").read_text() + case
    (tmp_path / "flowbot.toml").write_text(text)

    done = flowbot(tmp_path, environ, command)

    place = f"flowbot.toml:{text.count(chr(10))}: case 1, expect"
    decided = 'yes, with 1 approval of media-leads: by rule "on-call stops, a lead approves"'
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f'{place}: expects "deny"; the decision is {decided}')


@pytest.mark.parametrize("command", ["check", "serve", "migrate"])
def test_every_problem_of_the_settings_is_told_at_once(
    tmp_path: pathlib.Path, environ: dict[str, str], command: str
) -> None:
    (tmp_path / "flowbot.toml").write_text('[[rules]]\nname = "x"\neffect = "maybe"\n')
    wrong = {**environ, "PORT": "many", "SLACK_API_URL": "http://example.com/"}
    del wrong["SLACK_BOT_TOKEN"]

    done = flowbot(tmp_path, wrong, command)

    assert (done.returncode, done.stdout) == (2, "")
    assert all(name in done.stderr for name in ("SLACK_BOT_TOKEN", "PORT", "SLACK_API_URL", "flowbot.toml"))


def test_check_tells_of_a_rule_that_nobody_can_meet(tmp_path: pathlib.Path, environ: dict[str, str]) -> None:
    policy = (tmp_path / "flowbot.toml").read_text().replace("approvals = 1", "approvals = 5")
    (tmp_path / "flowbot.toml").write_text(policy)

    done = flowbot(tmp_path, environ, "check")

    assert done.returncode == 2
    assert "nobody can satisfy this rule" in done.stderr


@pytest.mark.parametrize("arguments", [("nonsense",), ("check", "--nope"), ("playground", "--nope")])
def test_wrong_usage_is_a_2(tmp_path: pathlib.Path, arguments: tuple[str, ...]) -> None:
    assert flowbot(tmp_path, {"PATH": os.environ["PATH"]}, *arguments).returncode == 2


def test_migrate_makes_the_database_and_may_be_repeated(tmp_path: pathlib.Path, environ: dict[str, str]) -> None:
    for _ in range(2):
        done = flowbot(tmp_path, environ, "migrate")
        assert (done.returncode, done.stdout) == (0, f"the database is at revision {schema.REVISION}\n")


@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_a_directory_that_cannot_be_written_is_a_sentence(
    tmp_path: pathlib.Path, environ: dict[str, str], command: str
) -> None:
    done = flowbot(tmp_path, {**environ, "DATABASE_URL": "sqlite:////proc/nothing/flowbot.db"}, command)

    assert done.returncode == 2
    assert "database" in done.stderr


def test_a_database_that_another_flowbot_uses_is_a_sentence(tmp_path: pathlib.Path, environ: dict[str, str]) -> None:
    database_in(tmp_path)
    held = file_lock.hold_file(tmp_path / "flowbot.db")
    try:
        done = flowbot(tmp_path, environ, "serve")
    finally:
        held.release()

    assert done.returncode == 2
    assert "another flowbot is using" in done.stderr


def test_a_file_that_is_no_database_is_a_sentence(tmp_path: pathlib.Path, environ: dict[str, str]) -> None:
    (tmp_path / "flowbot.db").write_text("this is not a database at all, but text of some length")

    done = flowbot(tmp_path, environ, "serve")

    assert done.returncode == 2
    assert "is not an SQLite database" in done.stderr


@pytest.fixture
async def child(tmp_path: pathlib.Path) -> AsyncIterator[Child]:
    """Return a bot process that has not started yet, and whose database does not exist yet."""
    async with open_child(tmp_path) as opened:
        yield opened


async def test_serve_migrates_its_file_and_sigterm_ends_it_well(child: Child) -> None:
    await child.start()
    assert (await child.world.slack.people.command("U0ALICE", HERE, "stop main-feed")).ok
    await child.world.slack.until(lambda workspace: workspace.messages(HERE), timeout=120)

    assert await child.end(signal.SIGTERM) == 0
    assert "Traceback" not in child.errors.read_text()


async def test_pause_and_resume_work_beside_a_bot_that_serves(child: Child, tmp_path: pathlib.Path) -> None:
    await child.start()
    people = child.world.slack.people

    for arguments, says in ((("pause", "--reason", "a rehearsal"), "paused"), (("resume",), "resumed")):
        done = await asyncio.to_thread(flowbot, tmp_path, child.environ, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(says)
        await people.command("U0ALICE", HERE, "stop main-feed")
        if says == "paused":
            await child.world.slack.until(
                lambda found: _told_of_the_pause(found.ephemerals("U0ALICE", HERE)), timeout=120
            )
    await child.world.slack.until(lambda found: found.messages(HERE), timeout=120)


def test_log_lines_are_not_mixed_with_what_a_command_prints(environ: dict[str, str], tmp_path: pathlib.Path) -> None:
    assert flowbot(tmp_path, environ, "migrate").returncode == 0
    assert flowbot(tmp_path, environ, "pause", "--reason", "a rehearsal").returncode == 0
    (tmp_path / "flowbot.db").chmod(0o644)

    done = flowbot(tmp_path, environ, "audit", "export")

    assert [json.loads(line)["what"] for line in done.stdout.splitlines()] == ["paused"]
    assert "others could read the database" in done.stderr


def _told_of_the_pause(heard: list[PostedMessage]) -> bool:
    return any("flowbot is paused" in one.plain and "“a rehearsal”" in one.plain for one in heard)


async def test_sigint_ends_it_well_too(child: Child) -> None:
    await child.start()

    assert await child.end(signal.SIGINT) == 0


async def test_sigterm_lets_a_call_in_flight_end(child: Child) -> None:
    await child.start()
    slack = child.world.slack
    gate = slack.faults
    await slack.people.command("U0CAROL", HERE, "stop main-feed")
    card = await slack.until(lambda found: next((m for m in found.messages(HERE) if m.buttons), None), timeout=120)
    gate.delay("chat.postMessage", 0.5)
    await slack.people.click("U0CAROL", card, "confirm")
    await child.world.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=120)

    assert await child.end(signal.SIGTERM) == 0
    assert child.select("SELECT progress FROM operations") == [("succeeded",)]


@pytest.mark.parametrize("code", ["invalid_auth", "account_inactive"])
async def test_a_token_that_slack_does_not_know_is_a_2(child: Child, code: str) -> None:
    child.world.slack.faults.error("auth.test", code, times=None)

    with pytest.raises(AssertionError, match="SLACK_BOT_TOKEN"):
        await child.start()
    assert await child.end(signal.SIGKILL) == 2


async def test_slack_being_away_keeps_nobody_from_starting(child: Child) -> None:
    child.world.slack.faults.down()
    await child.start()
    told = await child.world.slack.people.command("U0ALICE", HERE, "status main-feed")
    assert "still starting" in told.body

    child.world.slack.faults.up()
    assert "Reading" in (await child.world.slack.people.command("U0ALICE", HERE, "stop main-feed")).body


@pytest.mark.parametrize(
    ("command", "changed", "code"),
    [
        ("check", {}, 0),
        ("check", {"SLACK_BOT_TOKEN": ""}, 2),
        ("check", {"policy": "approvals = 5"}, 2),
        ("serve", {"SLACK_BOT_TOKEN": ""}, 2),
        ("migrate", {}, 0),
        ("migrate", {"DATABASE_URL": "sqlite:////proc/nothing/flowbot.db"}, 2),
    ],
)
def test_exit_codes_are_the_same_within_a_process(
    tmp_path: pathlib.Path,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    changed: dict[str, str],
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "policy" in changed:
        policy = (tmp_path / "flowbot.toml").read_text().replace("approvals = 1", changed["policy"])
        (tmp_path / "flowbot.toml").write_text(policy)

    done = testing.CliRunner().invoke(command_line.main, [command], env={**environ, **changed})

    assert done.exit_code == code


@pytest.mark.parametrize(
    ("reason", "code", "kept"), [("\udcff a\u202e rehearsal\n\udcff", 0, "a rehearsal"), (" \udcff\u200b", 2, None)]
)
def test_the_reason_of_a_pause_is_kept_without_what_cannot_be_stored_or_seen(
    tmp_path: pathlib.Path, environ: dict[str, str], reason: str, code: int, kept: str | None
) -> None:
    file = tmp_path / "flowbot.db"
    environ["FLOWBOT_CONFIG"] = str(tmp_path / "flowbot.toml")
    migrate.migrate(f"sqlite:///{file}")

    done = testing.CliRunner().invoke(command_line.main, ["pause", "--reason", reason], env=environ)

    assert done.exit_code == code
    with contextlib.closing(sqlite3.connect(file)) as database:
        reasons = [reason for (reason,) in database.execute("SELECT reason FROM pause")]
    assert reasons == ([] if kept is None else [kept])
