"""What the documents say against what the code does: README, docs, manifest, Procfile, requirements, examples."""

import ast
import dataclasses
import datetime
import itertools
import json
import pathlib
import re
import runpy
import shutil
import sys
import tomllib
from typing import Final

import pytest
import yaml
from click.testing import CliRunner
from packaging.requirements import Requirement
from pytest_mock import MockerFixture

from bot.cli import exits
from bot.cli import main as command_line
from bot.cloud import budget, client
from bot.commands import grammar, verbs
from bot.commands.verbs import CHANGES
from bot.lifecycle import call_outcome, schedule
from bot.lifecycle.states import PROGRESS, TRANSITIONS, Progress, State
from bot.policy import explain, freezing
from bot.policy.file import loader as policy_file
from bot.policy.model import Policy, Refuse
from bot.serve import http_server
from bot.serve import operations as host
from bot.serve.doctor import database_checks, delivery, examination
from bot.serve.doctor.findings import Finding
from bot.settings import variables
from bot.slack import app as slack_app
from bot.slack import guard
from bot.slack.messages import outcomes
from bot.store import statements
from bot.store.engines import database, postgres
from bot.usecases import open_request, rate_limit
from bot.worker import entries, inbox, requests, unexpected
from tests.slack.messages import examples

ROOT: Final = pathlib.Path(__file__).parents[1]
FILES: Final = (
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "tests/README.md"),
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")),
)
TEXTS: Final = {name: (ROOT / name).read_text(encoding="utf-8") for name in FILES}
README: Final = TEXTS["README.md"]
README_LINES: Final = 330
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SERVE: Final = ast.parse((ROOT / "bot" / "serve" / "web.py").read_text(encoding="utf-8"))

WHO: Final = {
    verbs.Audience.CHANGES: "whom a rule allows",
    verbs.Audience.READS: "full members",
    verbs.Audience.ANYONE: "anyone",
}


def _rows(first: str) -> list[list[str]]:
    """Return the cells of the one table of the documents whose first heading is this."""
    (text,) = [text for text in TEXTS.values() if f"\n| {first} |" in text]
    _, *others = text.split(f"\n| {first} |")
    assert len(others) == 1, first
    lines = others[0].splitlines()[2:]
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


def _blocks(language: str) -> list[str]:
    """Return what stands in the code blocks of all documents for users."""
    return [
        block
        for text in TEXTS.values()
        for block in re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def _code(text: str) -> str:
    return f"`{text}`"


def _carried() -> set[str]:
    """Return the number of every promise that a test has in its name."""
    return {
        found[1]
        for path in (ROOT / "tests").rglob("test_*.py")
        for found in re.finditer(
            r"^ *(?:async )?def test_promise_(\d+)_", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    }


def _routes() -> dict[str, str]:
    """Return the path of each route that serve mounts, and what answers there."""
    return {
        str(node.args[0].value): ast.unparse(node.args[1])
        for node in ast.walk(SERVE)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("Route", "Mount")
        and isinstance(node.args[0], ast.Constant)
    }


def test_the_table_of_settings_is_that_of_the_code() -> None:
    expected = [
        [_code(each.name), each.meaning, _code(each.default) if each.default else ""] for each in variables.VARIABLES
    ]
    assert _rows("variable") == expected


def test_the_table_of_commands_is_that_of_the_code() -> None:
    expected = [
        [_code(verbs.usage(verb)), entry.does, WHO[entry.who], "yes" if entry.built else "no"]
        for verb, entry in verbs.VERBS.items()
    ]
    assert _rows("command") == expected


def test_the_table_of_options_is_that_of_the_code() -> None:
    told = {name: built for name, _, built in _rows("option")}
    assert told == {_code(option): "no" if option in verbs.NOT_BUILT else "yes" for option in verbs.Option}


@pytest.mark.parametrize(
    ("first", "model"), [("key of a project", "projects"), ("key of a rule", "rules"), ("key of a case", "cases")]
)
def test_the_tables_of_the_policy_are_those_of_the_code(first: str, model: str) -> None:
    schema = policy_file._TABLES[model].json_schema(mode="validation")
    assert [row[0] for row in _rows(first)] == [_code(key) for key in schema["properties"]]
    required = {_code(key) for key in schema["required"]}
    assert {row[0] for row in _rows(first) if row[2] == "required"} == required


def test_the_policies_of_the_documents_are_in_order() -> None:
    examples = [block.encode() for block in _blocks("toml")] + [(ROOT / "flowbot.toml").read_bytes()]
    for example in examples:
        loaded = policy_file.load(example, name="example")
        assert loaded.policy is not None
        assert (loaded.problems, loaded.defects, loaded.warnings) == ((), (), ())
        assert loaded.cases


def test_the_cookbook_has_eight_recipes_and_each_tries_a_yes_and_a_no() -> None:
    cookbook = TEXTS["docs/policy.md"].split("\n## Cookbook\n")[1].split("\n## ")[0]
    recipes = re.split(r"^### (?=\d+\. )", cookbook, flags=re.MULTILINE)[1:]
    assert [recipe.partition(".")[0] for recipe in recipes] == [str(number) for number in range(1, 9)]
    for recipe in recipes:
        (block,) = re.findall(r"^```toml\n(.*?)^```$", recipe, re.DOTALL | re.MULTILINE)
        assert {case["expect"] for case in tomllib.loads(block)["cases"]} == {"allow", "deny"}, recipe


def test_the_freezes_of_the_cookbook_ask_for_more_while_they_last() -> None:
    (block,) = [block for block in _blocks("toml") if "freeze = [" in block]
    loaded = policy_file.load(block.encode(), name="example")
    assert loaded.policy is not None
    for day, approvals, starts in ((23, 0, True), (25, 2, True), (26, 2, False), (28, 0, True)):
        frozen = freezing.at(loaded.policy, datetime.datetime(2026, 12, day, 20, 0, tzinfo=datetime.UTC).timestamp())
        stop, start = (_decided(frozen, user, command) for user, command in (("U0ALICE", "stop"), ("U0CAROL", "start")))
        assert getattr(stop, "approvals", 0) == approvals
        assert isinstance(start, Refuse) is not starts


def _decided(rules: Policy, user: str, verb: str) -> object:
    found = explain.of_command(rules, f"{verb} main-feed", user=user, channel="C0INCIDENT", member_of=())
    assert isinstance(found, explain.Explanation)
    return found.decision


def test_the_rights_asked_for_in_the_cloud_are_those_of_the_calls() -> None:
    (statement,) = json.loads(_blocks("json")[0])["Statement"]
    assert statement["Action"] == [*(change.action for change in CHANGES.values()), *outcomes.READ_ACTIONS]


def test_the_diagrams_are_the_transition_tables() -> None:
    told = [set(re.findall(r"^ +(\w+|\[\*\]) --> (\w+|\[\*\])(?:: (\w+))?$", b, re.M)) for b in _blocks("mermaid")]
    states = {(str(at), str(to), str(by)) for (at, by), to in TRANSITIONS.items()}
    steps = {(str(at), str(to), str(by)) for (at, by), to in PROGRESS.items()}
    assert told == [
        states | _ends(states) | {("[*]", State.PENDING.value, "")},
        steps | _ends(steps) | {("[*]", Progress.WAITING.value, "")},
    ]


def _ends(arrows: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    return {(end, "[*]", "") for end in {to for _, to, _ in arrows} - {at for at, _, _ in arrows}}


def test_the_help_of_the_command_line_is_what_it_prints() -> None:
    printed = [block for block in _blocks("text") if block.startswith("$ ")]
    assert printed
    for block in printed:
        command, _, shown = block.removeprefix("$ ").partition("\n")
        name, *arguments = command.split()
        assert name == "flowbot"
        result = CliRunner().invoke(
            command_line.main, arguments, prog_name="flowbot", terminal_width=78
        )  # on 80 columns
        assert (result.exit_code, result.output) == (0, shown)


def test_the_exit_codes_are_those_of_the_table(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [row[0] for row in _rows("code")] == ["0", "1", "2"]
    monkeypatch.chdir(tmp_path)
    runner = CliRunner(env=dict.fromkeys(variables.DEFAULTS, ""))
    assert runner.invoke(command_line.main, ["--version"]).exit_code == 0
    for wrong in (["no-such-command"], ["check"], ["migrate"], ["serve"]):
        assert runner.invoke(command_line.main, wrong).exit_code == exits.WRONG == 2, wrong


def test_the_example_files_filled_in_pass_the_check(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "flowbot.toml", tmp_path)
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert example == variables.env_example()
    for name in ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"):
        example = example.replace(f"#{name}=\n", f"{name}=filled-in\n")
    (tmp_path / ".env").write_text(example, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    result = CliRunner(env=dict.fromkeys(variables.DEFAULTS, "")).invoke(command_line.main, ["check"])
    assert (result.exit_code, result.stderr) == (0, "")


def test_the_addresses_told_are_those_that_serve_mounts() -> None:
    told = {row[0].strip("`") for row in _rows("address")}
    assert told | {"/slack/events"} == _routes().keys()


def test_the_limits_of_the_port_are_those_of_the_code() -> None:
    limits, told = http_server.Limits(), TEXTS["docs/operations.md"]
    assert f"{limits.head_bytes // 1024} KiB of headers within {limits.head_within:g} s" in told
    assert f"{guard.MAX_BODY // 2**20} MiB of body, {limits.connections:,} connections" in told
    assert f"An idle connection is closed after {limits.idle:g} s" in told


def test_the_numbers_of_the_doctor_are_those_of_the_code() -> None:
    told = TEXTS["docs/operations.md"].partition("\n## The doctor\n")[2].partition("\n## ")[0]
    assert f"end within {examination.WITHIN:g} s" in told
    assert f"less than {database_checks.FULL // database_checks.MEBIBYTE} MiB are free" in told
    assert f"differ by more than {database_checks.DRIFT:g} s" in told
    assert all(f"`{field.name}`" in told for field in dataclasses.fields(Finding))
    assert delivery.WITHIN == 60


def test_the_fields_of_a_request_in_json_are_those_of_the_code() -> None:
    assert [row[0] for row in _rows("field of a request")] == [_code(key) for key in host.as_json(examples.PENDING)]


def test_the_table_of_limits_is_that_of_the_code() -> None:
    read_back, kept = call_outcome.GIVE_UP_AFTER / 3600, requests.KEEP_FOR / 86_400
    assert [value for _, value in _rows("limit")] == [
        f"{client.TIMEOUT:g} s",
        f"{schedule.BEGIN_WITHIN / 60:g} minutes",
        f"{call_outcome.REPEAT_WITHIN:g} s from the first try",
        f"{read_back:g} hour",
        f"{open_request.TAKE_UP_WITHIN:g} s",
        f"{grammar.MAX_REASON} characters",
        f"{rate_limit.COMMANDS}",
        f"{entries.AT_ONCE}, at most {entries.AT_ONCE // 2} of one person",
        f"{entries.CLICKS_AT_ONCE}, at most {entries.CLICKS_AT_ONCE // 2} of one person",
        f"{budget.READS} of {budget.CALLS}",
        f"{inbox.CAPACITY:,}",
        f"{inbox.PATIENCE:g} s",
        f"{statements.LEASE:g} s",
        f"{unexpected.MOST}",
        f"{postgres.WRITERS + database.READERS}: {postgres.WRITERS} that write, {database.READERS} that read",
    ]
    operations = TEXTS["docs/operations.md"]
    assert f"audit are kept for {kept:g} days" in operations
    assert f"Deliveries are kept for {statements.REPEAT_WITHIN / 3600:g} hours" in operations
    assert f"at most {requests.CLEAN_AT_ONCE} at a time" in operations
    assert f"looks for that every {requests.POLL_INTERVAL:g} s" in operations


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    made = {
        (f"{node.args[0].value!s}{'_total' if kind == 'Counter' else ''}", kind.lower())
        for path in (ROOT / "bot").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and (kind := ast.unparse(node.func).rpartition(".")[2]) in ("Counter", "Gauge", "Histogram", "Summary")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert {(row[0].strip("`"), row[1]) for row in _rows("metric")} == made


def test_the_tasks_of_a_contributor_are_those_of_the_project() -> None:
    tasks = {name for name in PROJECT["tool"]["poe"]["tasks"] if not name.startswith("_")}
    assert {row[0] for row in _rows("task")} == {_code(f"poe {name}") for name in tasks}


def test_every_promise_has_tests_and_every_test_of_a_promise_its_line() -> None:
    (table,) = re.findall(r"^\| promise \| \|\n\|---\|---\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    told = re.findall(r"^\| (\d+) \|", table, re.MULTILINE)
    assert told == sorted(_carried(), key=int)
    assert [row[0] for row in _rows("promise | relies on")] == told


def test_every_file_that_a_document_names_is_there() -> None:
    named = re.compile(r"`((?:bot|docs|tests)/[\w./]*|[A-Z]+\.md)`")
    missing = {path for text in TEXTS.values() for path in named.findall(text) if not (ROOT / path).exists()}
    assert sorted(missing) == []


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_of_a_document_leads_somewhere(name: str) -> None:
    for file, anchor in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", TEXTS[name]):
        target = (ROOT / name).parent / file if file else ROOT / name
        assert target.exists(), file
        assert not anchor or anchor in _anchors(target.read_text(encoding="utf-8")), anchor


def _anchors(text: str) -> set[str]:
    """Return the names that GitHub gives the headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_is_a_front_door() -> None:
    assert len(README.splitlines()) <= README_LINES
    for name in TEXTS.keys() - {"README.md"}:
        assert f"]({name})" in README, name


def test_the_layers_told_are_those_of_the_contract() -> None:
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    assert _code(" > ".join(layers)) in TEXTS["docs/architecture.md"]


def test_each_line_to_paste_stands_alone_and_once() -> None:
    lines = [line for block in _blocks("sh") for line in block.splitlines() if line.startswith("python3 -m venv ")]
    assert [line.rpartition("/")[2] for line in lines] == ["flowbot playground --script", "poe check"]
    assert [line for line in lines if README.count(line) != 1] == []


def test_the_manifest_has_the_command_and_the_address_of_the_code() -> None:
    manifest = yaml.safe_load((ROOT / "manifest.yml").read_text(encoding="utf-8"))
    (command,) = manifest["features"]["slash_commands"]
    assert command["command"] == slack_app.COMMAND
    assert command["should_escape"] is True
    (route,) = [path for path, answers in _routes().items() if answers == "at_the_door.receive"]
    settings = manifest["settings"]
    urls = [command["url"], *(settings[name]["request_url"] for name in ("interactivity", "event_subscriptions"))]
    assert urls == [f"https://flowbot.example.com{route}"] * 3
    assert not manifest["settings"]["socket_mode_enabled"]


def test_the_commands_of_the_procfile_exist() -> None:
    for line in (ROOT / "Procfile").read_text(encoding="utf-8").splitlines():
        _, _, command = line.partition(": ")
        words = [word for word in command.split() if not re.match(r"[A-Z]+=", word)]
        assert words[:4] == ["exec", "python", "-m", "bot"]  # exec: a shell in between would keep SIGTERM for itself
        assert len(words) == 5
        assert words[4] in command_line.main.commands


def test_the_module_is_the_command(mocker: MockerFixture, capsys: pytest.CaptureFixture[str]) -> None:
    mocker.patch.object(sys, "argv", ["bot", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("bot", run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"flowbot, version {PROJECT['project']['version']}\n"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_pin_has_its_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"https?:|file:|index|find-links|^/|^-e", text, re.MULTILINE)
    pins = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    assert [
        pin.splitlines()[0] for pin in pins if not re.match(r"[\w.-]+(\[\w+\])?==\S+( ;.*)? \\\n +--hash=sha256:", pin)
    ] == []


def test_the_pins_are_within_the_ranges_of_the_project() -> None:
    groups = PROJECT["dependency-groups"]
    run = [*PROJECT["project"]["dependencies"], *groups["build"]]
    for name, wanted in (("requirements.txt", run), ("requirements-dev.txt", [*run, *groups["dev"]])):
        pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
        for requirement in map(Requirement, wanted):
            assert requirement.specifier.contains(pinned[requirement.name]), requirement
