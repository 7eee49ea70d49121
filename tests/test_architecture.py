"""The shape of the code: layers, sizes, listeners that Bolt can call, a core without a clock, no unused dependency."""

import ast
import importlib.metadata
import inspect
import pathlib
import re
import statistics
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest
from slack_bolt.kwargs_injection.async_args import AsyncArgs

from bot.commands.verbs import CHANGES
from bot.slack import app as slack_app
from bot.slack.listeners import Listeners

ROOT: Final = pathlib.Path(__file__).parents[1]
BOT: Final = sorted((ROOT / "bot").rglob("*.py"))
TESTS: Final = sorted((ROOT / "tests").rglob("*.py"))

MODULE_LINES, FUNCTION_LINES, MEDIAN, NINTH_DECILE, MOCKS_A_HUNDRED = 400, 50, 8, 30, 5
ROOM_MODULES = 15
"""How many modules a folder may have, its `__init__` apart."""

CORE: Final = (
    *("policy/*", "lifecycle/*", "commands/*", "usecases/answers", "usecases/query_results", "usecases/errors"),
    *("slack/messages/*", "slack/payloads"),
)
"""The modules that decide and word things: their times, ids and chance come in as arguments."""

CHANCE_OR_CLOCK: Final = {
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "os.urandom", "asyncio.get_running_loop"),
}
CLOCK_MODULES: Final = {"time", "random", "secrets", "uuid"}

TESTED_ELSEWHERE: Final = {
    "policy/file/keys": "tests/policy/test_loader.py",  # a value is wrong in a file, with its place
    "policy/file/toml_lines": "tests/policy/test_loader.py",  # the lines that its problems name
    "store/leases": "tests/store/test_contract.py",  # until when a claim holds
    "store/retention": "tests/store/test_contract.py",
    "policy/file/problems": "tests/settings/test_loader.py",  # each problem with its place
    "policy/evaluation": "tests/policy/test_model.py",  # rules in, decisions out
    "lifecycle/cloud_failure": "tests/cloud/test_bodies.py",  # values alone
    "lifecycle/states": "tests/lifecycle/test_records.py",  # the tables, entry by entry
    "serve/clock": "tests/serve/test_build.py",
    "serve/run": "tests/cli/test_main.py",  # a process of its own, with signals
    "store/opening": "tests/store/test_database.py",
    "serve/pause": "tests/scenarios/test_pause.py",
    "cli/audit": "tests/store/test_audit_commands.py",  # on both databases
    "serve/audit": "tests/store/test_audit_commands.py",
    "serve/operations": "tests/scenarios/test_doors.py",  # beside a bot that runs
    "store/host_entries": "tests/store/test_contract.py",
    "cli/exits": "tests/cli/test_main.py",
    "__main__": "tests/test_documents.py",  # three lines; the Procfile runs them
    "commands/deliveries": "tests/store/test_contract.py",  # values alone; they are kept and read back
    "usecases/answers": "tests/slack/messages/test_answers.py",  # values alone; each has its words
    "usecases/ports": "tests/store/test_contract.py",  # protocols and values; held to by the contract suites
    "usecases/errors": "tests/slack/messages/test_replies.py",  # the tree and its values; nothing to call
    "usecases/query_results": "tests/slack/messages/test_reads.py",  # values alone; each has its words
    "serve/web": "tests/serve/test_build.py",
    "serve/doctor/examination": "tests/serve/doctor/test_slack_checks.py",  # with cloud and database beside it
    "serve/doctor/delivery_checks": "tests/serve/doctor/test_delivery.py",  # each stage over a real connection
    "slack/directory/survey": "tests/serve/doctor/test_slack_checks.py",  # each answer of Slack as a finding
    "store/engines/inspection": "tests/serve/doctor/test_database_checks.py",
    "usecases/queries": "tests/scenarios/test_reads.py",
    "slack/messages/message": "tests/slack/messages/test_card.py",
    "slack/messages/flows": "tests/slack/messages/test_reads.py",
    "slack/messages/rights": "tests/slack/messages/test_reads.py",
    "slack/messages/outcomes": "tests/slack/messages/test_replies.py",
    "slack/messages/refusals": "tests/slack/messages/test_answers.py",
    "slack/messages/state": "tests/slack/messages/test_card.py",
    "store/audit": "tests/store/test_contract.py",
    "store/engines/dialect": "tests/store/test_database.py",
    "store/engines/failures": "tests/store/test_database.py",
    "store/revision": "tests/store/test_migrate.py",
    "store/rows": "tests/store/test_contract.py",
    "store/schema": "tests/store/test_migrate.py",
    "store/engines/sqlite": "tests/store/test_database.py",
    "store/polls": "tests/store/test_contract.py",
    "store/statements": "tests/store/test_contract.py",
    "store/store": "tests/store/test_contract.py",
}
"""Modules without a test module of their own, and where they are tested."""

NOT_IMPORTED: Final = {
    "greenlet": "SQLAlchemy's asyncio needs it",
    "sniffio": "httpcore imports it on each call",
    "hatchling": "builds the package",
    "editables": "builds the package",
    "pytest-cov": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "ruff": "a command",
    "mypy": "a command",
    "mutmut": "a command",
    "import-linter": "a command, which a test runs as well",
    "poethepoet": "a command",
}
COMES_WITH: Final = {"pydantic_core": "pydantic"}  # which pins it to the one version that fits


def _tree(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _name(path: pathlib.Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _functions(path: pathlib.Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _dotted(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""


def _calls(path: pathlib.Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call):
            yield _dotted(node.func)


def _imported(paths: list[pathlib.Path]) -> set[str]:
    """Return the top-level names of all that is imported, wherever in the files."""
    found: set[str] = set()
    for node in (node for path in paths for node in ast.walk(_tree(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_the_import_contracts_hold() -> None:
    # In a process of its own: import-linter sets up logging for all of this one, and disables the loggers of others.
    lint = "import importlinter.cli, sys; sys.exit(importlinter.cli.lint_imports(no_cache=True, no_logo=True))"
    command = [sys.executable, "-c", lint]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert run.returncode == 0, run.stdout + run.stderr


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    lines = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in BOT}
    assert {name: count for name, count in lines.items() if count > MODULE_LINES} == {}


def test_no_room_has_more_modules_than_one_look_takes_in() -> None:
    modules = Counter(path.parent.relative_to(ROOT).as_posix() for path in BOT if path.name != "__init__.py")
    assert {room: count for room, count in modules.items() if count > ROOM_MODULES} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    long = [f"{_name(path)}:{each.name}" for path in BOT for each in _functions(path) if _lines(each) > FUNCTION_LINES]
    assert long == []


def test_most_functions_are_short() -> None:
    lengths = sorted(_lines(function) for path in BOT for function in _functions(path))
    assert statistics.median(lengths) <= MEDIAN
    assert lengths[len(lengths) * 9 // 10] <= NINTH_DECILE


def test_every_module_has_its_tests() -> None:
    modules = [path for path in BOT if path.name != "__init__.py"]
    names = [path.relative_to(ROOT / "bot").with_suffix("").as_posix() for path in modules]
    ours = [name for name in names if not name.startswith(("playground/", "store/migrations/"))]
    parted = [(name, *name.rpartition("/")) for name in ours]
    untested = {name for name, folder, _, stem in parted if not _tests_of(folder, stem)}
    assert untested <= TESTED_ELSEWHERE.keys()
    assert TESTED_ELSEWHERE.keys() <= set(ours)
    assert [place for place in TESTED_ELSEWHERE.values() if not (ROOT / place).exists()] == []


def _tests_of(folder: str, stem: str) -> bool:
    """Tell whether a module has its tests beside those of its room; a room's own folders need none of their own."""
    tests = ROOT / "tests"
    return any((place / f"test_{stem}.py").exists() for place in (tests / folder, tests / folder.partition("/")[0]))


def test_fakes_stand_in_where_others_mock() -> None:
    tests = [each for path in TESTS for each in _functions(path) if each.name.startswith("test_")]
    mock = re.compile(
        r"(.*\.)?((Async|Magic|NonCallable|Property)?Mock|patch(\..*)?|create_autospec|setattr)|mocker\..*"
    )
    mocks = [call for path in TESTS for call in _calls(path) if mock.fullmatch(call)]
    assert len(mocks) * 100 <= MOCKS_A_HUNDRED * len(tests), mocks


def test_bolt_knows_every_parameter_of_every_listener() -> None:
    known = set(inspect.signature(AsyncArgs).parameters)
    registered = [
        _dotted(node.args[0])
        for node in ast.walk(_tree(pathlib.Path(slack_app.__file__)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Call) and _dotted(node.func.func).startswith("app.")
    ]
    assert len(registered) == 4
    for listener in registered:
        assert listener.startswith("listeners."), listener
        function = getattr(Listeners, listener.removeprefix("listeners."))
        assert set(inspect.signature(function).parameters) - {"self"} <= known, listener


def test_what_a_changing_verb_means_stands_in_its_row_alone() -> None:
    names = {f"Verb.{verb.name}" for verb in CHANGES}
    words = {word for row in CHANGES.values() for word in (row.wanted, row.past, row.action)}
    outside = [
        path for path in BOT if path != ROOT / "bot" / "commands" / "verbs.py" and "playground" not in path.parts
    ]
    found = [
        f"{_name(path)}:{node.lineno} {ast.unparse(node)}"
        for path in outside
        for node in ast.walk(_tree(path))
        if (isinstance(node, ast.Attribute) and _dotted(node) in names)
        or (isinstance(node, ast.Constant) and node.value in words)
    ]
    assert found == []


def test_every_change_is_written_with_its_line_in_the_audit_in_one_place() -> None:
    writers = {_name(path) for path in BOT for call in _calls(path) if call.endswith("store.commit")}
    assert writers == {"bot/usecases/commit.py"}


def test_no_type_name_stands_in_two_places() -> None:
    places: dict[str, set[str]] = {}
    for path in BOT:
        for name in _types(path):
            places.setdefault(name.lstrip("_"), set()).add(_name(path))
    assert {name: sorted(found) for name, found in places.items() if len(found) > 1} == {}


def _types(path: pathlib.Path) -> Iterator[str]:
    """Return the names of classes, type aliases and type variables; what a type variable calls itself agrees."""
    for node in ast.walk(_tree(path)):
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Name(id="TypeAlias")):
                yield name
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(
                    func=ast.Name(id="TypeVar" | "ParamSpec" | "NewType"), args=[ast.Constant(value=own), *_]
                ),
            ):
                assert own == name
                yield name
            case _:
                pass


@pytest.mark.parametrize("module", CORE)
def test_the_core_has_no_clock_and_no_chance(module: str) -> None:
    paths = list((ROOT / "bot").glob(f"{module}.py"))
    assert paths
    assert _imported(paths) & CLOCK_MODULES == set()
    calls = [call for path in paths for call in _calls(path)]
    assert [call for call in calls for banned in CHANCE_OR_CLOCK if f".{call}".endswith(f".{banned}")] == []
    assert [each.name for path in paths for each in _functions(path) if isinstance(each, ast.AsyncFunctionDef)] == []


def test_what_is_installed_is_used_and_what_is_used_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    runtime = {_distribution(text) for text in project["project"]["dependencies"]}
    development = {_distribution(text) for text in (*groups["dev"], *groups["build"])}
    in_bot = _distributions(_imported(BOT))
    assert in_bot == runtime - NOT_IMPORTED.keys()
    assert _distributions(_imported(TESTS)) - runtime == development - NOT_IMPORTED.keys()


def _distribution(requirement: str) -> str:
    return re.split(r"[\[<>=! ]", requirement, maxsplit=1)[0].lower()


def _distributions(modules: set[str]) -> set[str]:
    owners = importlib.metadata.packages_distributions()
    others = modules - sys.stdlib_module_names - {"bot", "tests"}
    named = {COMES_WITH.get(module, owners.get(module, [module])[0]) for module in others}
    return {name.lower().replace("_", "-") for name in named}
