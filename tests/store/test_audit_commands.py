"""`flowbot audit` on both databases: the export, the head, and a verification that names the first wrong row."""

import asyncio
import functools
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from bot.cli.main import main
from bot.playground import world
from bot.serve import audit
from bot.store import chain, store
from bot.usecases import ports

from .conftest import Replicas, changed
from .test_linker import note, without_triggers
from .test_ocsf import SCHEMA

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "audit.md"
DAY = 86_400.0
START = 1_700_000_000.0

Command = Callable[..., Result]


@pytest.fixture
async def opened(replicas: Replicas) -> store.SqlStore:
    """Return the store of a bot that has written three rows, one a day, and not linked them."""
    found = await replicas.open("bot")
    for number, what in enumerate(("asked", "approved", "outcome")):
        await note(found, what, at=START + number * DAY)
    return found


@pytest.fixture
def flowbot(opened: store.SqlStore, url: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a function that runs the command beside the bot."""
    (tmp_path / "flowbot.toml").write_text(world.POLICY.replace("{endpoint}", "http://127.0.0.1:9"))
    monkeypatch.chdir(tmp_path)
    environ = {
        "SLACK_BOT_TOKEN": "xoxb-known-to-nobody",
        "SLACK_SIGNING_SECRET": "shhh-signing",
        "SLACK_API_URL": "http://127.0.0.1:9/api/",
        "HUAWEICLOUD_SDK_AK": "AKEXAMPLE",
        "HUAWEICLOUD_SDK_SK": "sk-known-to-nobody",
        "DATABASE_URL": url,
    }
    return lambda *arguments: CliRunner(env=environ).invoke(main, ["audit", *arguments])


async def run(flowbot: Command, *arguments: str) -> tuple[int, str]:
    """Run `flowbot audit …` and return its exit code and what it printed."""
    done = await asyncio.to_thread(flowbot, *arguments)
    return done.exit_code, done.output.rstrip("\n")


def rows(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


async def test_the_export_is_in_order_and_each_line_is_linked_to_the_one_before(flowbot: Command) -> None:
    code, printed = await run(flowbot, "export")
    found = rows(printed)
    assert code == 0
    assert [(row["seq"], row["what"]) for row in found] == [(1, "asked"), (2, "approved"), (3, "outcome")]
    assert [row["prev"] for row in found] == [chain.ROOT.hash, found[0]["hash"], found[1]["hash"]]


async def test_the_head_is_the_last_row_of_the_export(flowbot: Command) -> None:
    code, printed = await run(flowbot, "head")
    last = rows((await run(flowbot, "export"))[1])[-1]
    assert (code, printed) == (0, f"3 {last['hash']}")


@pytest.mark.parametrize(
    ("options", "seqs"),
    [
        (("--since", "2023-11-15T22:13:20Z"), [2, 3]),
        (("--since", "2023-11-15T23:13:20+01:00"), [2, 3]),
        (("--since", "2023-11-15T22:13:21"), [3]),
        (("--until", "2023-11-15T22:13:20Z"), [1]),
        (("--since", "2023-11-15T00:00:00Z", "--until", "2023-11-16T00:00:00Z"), [2]),
        (("--since", "1h"), []),
        (("--until", "1h"), [1, 2, 3]),
    ],
)
async def test_the_export_of_a_time_verifies_by_itself(
    flowbot: Command, tmp_path: pathlib.Path, options: tuple[str, ...], seqs: list[int]
) -> None:
    code, printed = await run(flowbot, "export", *options)
    assert (code, [row["seq"] for row in rows(printed)]) == (0, seqs)
    (tmp_path / "export").write_text(printed)
    assert (await run(flowbot, "verify", "--file", "export"))[0] == 0


@pytest.mark.parametrize("time", ["yesterday", "2023-13-01", "-2h", ""])
async def test_an_invalid_time_is_wrong_usage(flowbot: Command, time: str) -> None:
    code, printed = await run(flowbot, "export", f"--since={time}")
    assert code == 2
    assert "is not a time; write 2026-11-24T03:00:00Z" in printed


async def test_an_export_for_security_tools_follows_their_schema(flowbot: Command) -> None:
    code, printed = await run(flowbot, "export", "--format", "ocsf")
    assert code == 0
    for found in rows(printed):
        jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert [found["unmapped"]["seq"] for found in rows(printed)] == [1, 2, 3]


async def test_what_was_not_touched_verifies(flowbot: Command, tmp_path: pathlib.Path) -> None:
    seq, own_hash = (await run(flowbot, "head"))[1].split()
    (tmp_path / "export").write_text((await run(flowbot, "export"))[1])
    for options in ((), ("--file", "export")):
        for head in ((), ("--head", f"{seq}:{own_hash}"), ("--head", f"{seq} {own_hash}")):
            said = f"rows 1 to 3 fit; the last has the hash {own_hash}"
            assert await run(flowbot, "verify", *options, *head) == (0, said)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE audit SET what = 'denied' WHERE seq = 2", "row 2 is edited: its hash is not that of its contents"),
        ("DELETE FROM audit WHERE seq = 2", "row 2 is missing: row 3 comes after row 1"),
        ("DELETE FROM audit WHERE seq = 3", "row 3 is cut off: the rows end with 2 of 3"),
        (
            "INSERT INTO audit (at, what, facts, seq, prev, hash) VALUES (1.0, 'forged', '{}', 4, 'x', 'x')",
            "row 4 is edited: its hash is not that of its contents",
        ),
    ],
)
async def test_a_database_that_was_tampered_with_is_found(
    flowbot: Command, opened: store.SqlStore, statement: str, said: str
) -> None:
    await run(flowbot, "head")
    await changed(opened, *without_triggers(opened, statement))
    assert await run(flowbot, "verify") == (1, said)


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (lambda lines: lines[1:], "row 1 is missing: row 2 comes after row 0"),
        (lambda lines: [lines[0], lines[2]], "row 2 is missing: row 3 comes after row 1"),
        (lambda lines: [lines[1], lines[0], lines[2]], "row 1 is reordered: row 1 comes too late"),
        (lambda lines: [*lines[:2], lines[1], lines[2]], "row 2 is inserted: row 2 comes after row 2"),
        (lambda lines: [lines[0].replace("asked", "denied"), *lines[1:]], "row 1 is edited: its hash is not"),
        (lambda lines: [*lines[:2], "{}", lines[2]], "row 3 is inserted: row 3 is there twice"),
        (lambda lines: lines[:2], "row 3 is cut off: the rows end with 2, the head is 3"),
    ],
)
async def test_an_export_that_was_tampered_with_is_found(
    flowbot: Command, tmp_path: pathlib.Path, tamper: Callable[[list[str]], list[str]], said: str
) -> None:
    head = (await run(flowbot, "head"))[1].replace(" ", ":")
    lines = (await run(flowbot, "export"))[1].splitlines()
    (tmp_path / "export").write_text("\n".join(tamper(lines)))
    code, printed = await run(flowbot, "verify", "--file", "export", "--head", head)
    assert (code, printed[: len(said)]) == (1, said)


async def test_an_export_of_a_time_whose_first_line_was_deleted_is_found(
    flowbot: Command, tmp_path: pathlib.Path
) -> None:
    lines = (await run(flowbot, "export", "--since", "2023-11-15T22:13:20Z"))[1].splitlines()
    (tmp_path / "export").write_text(lines[1])
    assert await run(flowbot, "verify", "--file", "export") == (1, "row 1 is missing: row 3 comes after row 0")


@pytest.mark.parametrize(
    ("options", "tamper", "said"),
    [
        ((), lambda text: text, "3 "),
        (("--since", "2023-11-15T22:13:20Z"), lambda text: text, "3 "),
        ((), lambda text: text.replace("approved", "denied"), "row 2: edited"),
        ((), lambda text: text.partition("\n")[2], "row 1: missing, inserted or out of order"),
    ],
)
async def test_the_program_of_the_documents_verifies_an_export_without_flowbot(
    flowbot: Command, tmp_path: pathlib.Path, options: tuple[str, ...], tamper: Callable[[str], str], said: str
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(program.splitlines()) <= 20
    exported, head = (await run(flowbot, "export", *options))[1], (await run(flowbot, "head"))[1]
    (tmp_path / "export").write_text(tamper(exported), encoding="utf-8")
    command = [sys.executable, "-I", "-c", program, "export"]
    verifying = functools.partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True, check=False)
    done = await asyncio.to_thread(verifying, command)
    assert (done.stdout or done.stderr).strip().startswith(said)
    assert (done.returncode, done.stdout.strip()) == ((0, head) if said == "3 " else (1, ""))


@pytest.mark.parametrize("head", ["3", "3:abc", f"x:{'0' * 64}", f"3-{'0' * 64}"])
async def test_an_invalid_head_is_wrong_usage(flowbot: Command, head: str) -> None:
    code, printed = await run(flowbot, "verify", "--head", head)
    assert code == 2
    assert "is not a head; write SEQ:HASH" in printed


async def test_a_long_audit_is_read_a_batch_at_a_time(
    flowbot: Command, opened: store.SqlStore, tmp_path: pathlib.Path
) -> None:
    events = tuple(ports.AuditEvent(at=START, what="asked") for _ in range(2 * audit.BATCH))
    await opened.commit(ports.Change(audit=events))
    code, printed = await run(flowbot, "export")
    assert (code, len(printed.splitlines())) == (0, 2 * audit.BATCH + 3)
    (tmp_path / "export").write_text(printed)
    assert (await run(flowbot, "verify", "--file", "export"))[0] == (await run(flowbot, "verify"))[0] == 0


async def test_rows_that_are_not_linked_yet_are_reported(
    flowbot: Command, opened: store.SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def links_nothing(self: store.SqlStore, limit: int) -> int:
        return 0

    monkeypatch.setattr(store.SqlStore, "link_audit", links_nothing)
    assert await run(flowbot, "export") == (
        0,
        "3 rows are left out: a running flowbot has not added them to the chain yet",
    )
    assert await run(flowbot, "verify") == (0, "there are no rows")
