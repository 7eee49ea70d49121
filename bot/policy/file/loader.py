"""Parse `flowbot.toml` into a `model.Policy`, or into all its problems, each with its line.

It owns the checks across tables. It does not open files, and must not know what the rules decide.
"""

import dataclasses
import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import pydantic
import pydantic_core

from bot.commands.verbs import Door
from bot.policy import model
from bot.policy.file import case_checks, lint, toml_lines
from bot.policy.file import keys as file_keys
from bot.policy.file.problems import Problem
from bot.policy.file.toml_lines import Path

NOT_YET: Final = frozenset({"oncall", "max_duration"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loaded:
    """The result of loading a file.

    `policy` is None if there are `problems`; then nothing may start. `projects` are all project names in the file.
    `defects` make `flowbot check` fail, but the bot runs and refuses what these rules ask; `warnings` are only shown.
    `cases` counts the passing cases of the file; a failing one is a problem.
    """

    policy: model.Policy | None
    cases: int = 0
    projects: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    defects: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def load(data: bytes, *, name: str) -> Loaded:
    """Load the bytes of the file called `name`."""
    try:
        return _load(data, name)
    except RecursionError:  # from tomllib, at a few hundred nested brackets
        return Loaded(policy=None, problems=(Problem(where=name, what="is nested too deeply"),))


def _load(data: bytes, name: str) -> Loaded:
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        raw = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Loaded(policy=None, problems=(Problem(where=f"{name}:{line}", what="is not UTF-8 text"),))
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+)", str(error))
        line = int(found[1]) if found else text.rstrip("\n").count("\n") + 1
        return Loaded(policy=None, problems=(Problem(where=f"{name}:{line}", what=f"is not TOML: {error}"),))
    except ValueError:  # Python's limit on the digits of an integer
        return Loaded(policy=None, problems=(Problem(where=name, what="contains a number with too many digits"),))
    return _PolicyFile(name, text, raw).result(hashlib.sha256(data).hexdigest())


_WORDS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "string_type": "must be text in quotes",
    "tuple_type": "must be a list in brackets",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "model_type": "must be a table",
    "string_too_short": "must not be empty",
    "greater_than_equal": "must not be negative",
    "less_than_equal": f"must be at most {file_keys.MOST_APPROVALS}",
}

_TABLES: Final[Mapping[str, pydantic.TypeAdapter[Any]]] = {
    "projects": pydantic.TypeAdapter(file_keys.ProjectTable),
    "people": pydantic.TypeAdapter(Annotated[tuple[file_keys.Member, ...], file_keys.Lax]),
    "operators": pydantic.TypeAdapter(file_keys.Operator),
    "rules": pydantic.TypeAdapter(file_keys.RuleTable),
    "cases": pydantic.TypeAdapter(file_keys.Case),
}

_LISTS: Final = {"rules": "rule", "cases": "case"}
"""The tables that are lists, and the word for one entry."""
_LIMIT: Final[pydantic.TypeAdapter[int]] = pydantic.TypeAdapter(file_keys.Limit)


class _PolicyFile:
    """The state of loading one file: the problems so far, and their lines."""

    def __init__(self, name: str, text: str, raw: dict[str, Any]) -> None:
        self.name, self.raw, self.places = name, raw, toml_lines.Places(text)
        self.problems: list[tuple[int, Problem]] = []
        self.names = {key: list(raw[key]) if isinstance(raw.get(key), dict) else [] for key in ("projects", "people")}

    def result(self, digest: str) -> Loaded:
        known = [*_TABLES, "emergency_limit"]
        for key in self.raw.keys() - set(known):
            self.wrong((key,), _unknown(key, known))
        limit = self.limit()
        projects = {str(path[1]): found for path, found in self.each("projects")}
        people = {str(path[1]): found for path, found in self.each("people")}
        operators = {str(path[1]): found for path, found in self.each("operators")}
        rules = dict(self.each("rules"))
        tests = dict(self.each("cases"))
        self.check_names()
        self.check_twice(projects)
        if self.problems:
            return self.failed()
        whole = model.Policy(
            projects={name: _project(name, found) for name, found in projects.items()},
            people=people,
            rules=tuple(_rule(found, self.places.text(path), limit=limit) for path, found in rules.items()),
            digest=digest,
            operators=operators,
        )
        self.check_cases(whole, tests)
        if self.problems:
            return self.failed()
        paths = list(rules)
        flaws = {(*path, "approvals"): _flaw(whole, rule) for path, rule in zip(rules, whole.rules, strict=True)}
        return Loaded(
            policy=whole,
            cases=len(tests),
            projects=tuple(projects),
            defects=tuple(self.problem(path, flaw) for path, flaw in flaws.items() if flaw),
            warnings=(
                *(self.problem(("projects", name, "project_id"), what) for name, what in lint.shared_projects(whole)),
                *(self.problem((*paths[number], key), what) for number, key, what in lint.lint(whole)),
            ),
        )

    def failed(self) -> Loaded:
        problems = tuple(problem for _, problem in sorted(self.problems, key=lambda found: found[0]))
        return Loaded(policy=None, projects=tuple(self.names["projects"]), problems=problems)

    def problem(self, path: Path, what: str) -> Problem:
        keys = [key for key in path if isinstance(key, str)]
        number = [f"{_LISTS[keys[0]]} {key + 1}" for key in path[1:2] if isinstance(key, int)]
        label = ", ".join([*number, *keys[1:]]) if number else ".".join(keys)
        return Problem(where=f"{self.name}:{self.places.line(path)}: {label}", what=what)

    def wrong(self, path: Path, what: str) -> None:
        self.problems.append((self.places.line(path), self.problem(path, what)))

    def limit(self) -> int:
        """Return the file's `emergency_limit`, the default for its rules."""
        try:
            return _LIMIT.validate_python(self.raw.get("emergency_limit", model.EMERGENCIES))
        except pydantic.ValidationError as error:
            self.wrong(("emergency_limit",), error.errors()[0]["msg"])
            return model.EMERGENCIES

    def each(self, key: str) -> Iterator[tuple[Path, Any]]:
        """Yield each valid entry of a top-level table with its path; record the problems of the others."""
        kind: type[Any] = list if key in _LISTS else dict
        table = self.raw.get(key, kind())
        if not isinstance(table, kind):
            self.wrong((key,), f"must be written as {f'[[{key}]]' if kind is list else f'[{key}]'}")
            return
        for name, raw in enumerate(table) if kind is list else table.items():
            try:
                found = _TABLES[key].validate_python(raw, context=self.names)
            except pydantic.ValidationError as error:
                for one in error.errors(include_url=False, include_input=False):
                    self.wrong((key, name, *one["loc"]), _told(key, one))
            else:
                yield (key, name), found

    def check_cases(self, whole: model.Policy, tests: Mapping[Path, file_keys.Case]) -> None:
        for path, case in tests.items():
            for key, what in case_checks.judge(whole, case):
                self.wrong((*path, key), what)

    def check_names(self) -> None:
        if self.raw.get("projects", {}) == {}:
            self.wrong(("projects",), "needs at least one project, as [projects.NAME]")
        alike: dict[str, str] = {}
        for name in self.names["projects"]:
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
                self.wrong(("projects", name), "a project's name has 1 to 64 letters, digits, hyphens and underscores")
            if alike.setdefault(plain(name), name) != name:
                self.wrong(
                    ("projects", name),
                    f'is too similar to "{alike[plain(name)]}": their variables would have the same name',
                )
        for name in self.names["people"]:
            if not name or name == model.EVERYBODY or file_keys.ID.fullmatch(name):
                self.wrong(("people", name), f'"{name}" cannot name a set: it looks like an id; use lower case')

    def check_twice(self, projects: Mapping[str, file_keys.ProjectTable]) -> None:
        owners: dict[str, str] = {}
        for project, found in projects.items():
            for n, channel in enumerate(found.channels):
                if owners.setdefault(channel, project) != project:
                    self.wrong(("projects", project, "channels", n), f'"{channel}" is already in "{owners[channel]}"')
        rules = self.raw.get("rules")
        first: dict[str, int] = {}
        for n, raw in enumerate(rules if isinstance(rules, list) else []):
            name = raw.get("name") if isinstance(raw, dict) else None
            if isinstance(name, str) and first.setdefault(name, n) != n:
                self.wrong(("rules", n, "name"), f"is already the name of rule {first[name] + 1}")


def plain(name: str) -> str:
    """Return a project's name as in the names of its variables, in lower case."""
    return name.lower().replace("-", "_")


def _unknown(key: str, known: list[str]) -> str:
    return "is not in this version yet" if key in NOT_YET else f"is not a known key here{file_keys.near(key, known)}"


def _told(table: str, error: pydantic_core.ErrorDetails) -> str:
    match error["type"]:
        case "extra_forbidden":
            models: dict[str, type[file_keys.Table]] = {
                "projects": file_keys.ProjectTable,
                "rules": file_keys.FreezeTable if "freeze" in error["loc"] else file_keys.RuleTable,
                "cases": file_keys.Case,
            }
            fields = models[table].model_fields
            return _unknown(str(error["loc"][-1]), [field.alias or name for name, field in fields.items()])
        case "literal_error":
            return f"must be {error['ctx']['expected']}"
        case known:
            return _WORDS.get(known, error["msg"])


def _project(name: str, found: file_keys.ProjectTable) -> model.Project:
    endpoint = found.endpoint or f"https://live.{found.region}.myhuaweicloud.com"
    kept = found.model_dump(include={"project_id", "region", "channels", "allow_shared"})
    return model.Project(name=name, endpoint=endpoint, **kept)


def _rule(found: file_keys.RuleTable, text: str, *, limit: int) -> model.Rule:
    kept = {"emergency_limit": limit, **found.model_dump(exclude={"effect", "reason", "freeze"}, exclude_none=True)}
    freezes = tuple(
        model.Freeze(
            since=freeze.begins_at,
            until=freeze.ends_at,
            approvals=freeze.approvals or 0,
            deny=freeze.deny,
        )
        for freeze in found.freeze
    )
    kept |= {
        "door": None if found.door is None else Door(found.door),
        "freezes": freezes,
        "effect": model.Effect(found.effect),
        "reason_required": found.reason == "required",
        "text": text,
    }
    return model.Rule(**kept)


def _flaw(whole: model.Policy, rule: model.Rule) -> str | None:
    """Return the defect that a rule can never get its approvals, judged by the users it names, or None."""
    approvers = set(model.expand(whole, rule.approvers))
    askers = set(model.expand(whole, rule.who)) - set(model.expand(whole, rule.excluded))
    named = not any(asker == model.EVERYBODY or model.is_group(asker) for asker in askers)
    most = max((len(approvers - {asker}) for asker in askers), default=rule.approvals) if named else len(approvers)
    if most >= rule.approvals or any(map(model.is_group, approvers)):
        return None
    return f"needs {rule.approvals}, but there are only {most} besides the requester: nobody can satisfy this rule"
