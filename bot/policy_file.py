"""`flowbot.toml`: its text becomes a `policy.Policy`, or every problem in it at once, each with its line.

It owns the file's key names and what may stand in them. It reads no file, and must not know what the rules decide.
"""

import dataclasses
import datetime
import difflib
import hashlib
import re
import tomllib
import urllib.parse
import zoneinfo
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import durationpy
import pydantic
import pydantic_core

from bot import places, policy
from bot.errors import Problem
from bot.places import Path

NOT_YET: Final = frozenset({"protected", "cases", "operators", "emergency_limit"})
SHORTEST, LONGEST = 5.0, 24 * 3600.0
USER: Final = re.compile(r"[UW][A-Z0-9]+")
GROUP: Final = re.compile(r"S[A-Z0-9]+")
CHANNEL: Final = re.compile(r"[CG][A-Z0-9]+")
LOOPBACK: Final = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1")
ID: Final = re.compile(r"[UWSCGDTE][A-Z0-9]+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loaded:
    """What came of a file.

    `policy` is None where there are `problems`: nothing may start then. `projects` are all names of the file. `defects`
    fail `flowbot check`, while a bot runs with them and refuses what they ask; `warnings` are for reading only.
    """

    policy: policy.Policy | None
    projects: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    defects: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def load(data: bytes, *, name: str) -> Loaded:
    """Read the bytes of the file called `name`."""
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
    return _Reading(name, text, raw).result(hashlib.sha256(data).hexdigest())


def url_fault(url: str, *, path_allowed: bool) -> str | None:
    """Say what is wrong with the base URL of a service, or None. Plain http is for loopback."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x20\\]", url):
        return "must be a URL like https://host"
    if parts.username is not None or parts.password is not None:
        return "must hold no user and no password"
    if "?" in url or "#" in url or (parts.path.strip("/") and not path_allowed):
        return "must hold no query and no fragment" if path_allowed else "must hold nothing after the host"
    if parts.scheme == "http" and not LOOPBACK.fullmatch(host):
        return "must be https: plain http is for loopback only"
    return None


def _wrong(what: str) -> pydantic_core.PydanticCustomError:
    return pydantic_core.PydanticCustomError("flowbot", "{what}", {"what": what})


def _near(word: str, words: list[str]) -> str:
    close = difflib.get_close_matches(word, words, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def _shaped(pattern: str, what: str) -> pydantic.AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise _wrong(f'"{text}" {what}')
        return text

    return pydantic.AfterValidator(check)


def _who(entry: str, info: pydantic.ValidationInfo) -> str:
    return entry if entry == policy.EVERYBODY else _entry(entry, info)


def _entry(entry: str, info: pydantic.ValidationInfo) -> str:
    sets = (info.context or {})["people"]
    if entry in sets or USER.fullmatch(entry) or GROUP.fullmatch(entry):
        return entry
    if entry == policy.EVERYBODY or ID.fullmatch(entry):
        raise _wrong(f'"{entry}" cannot stand here: sets, users (U… or W…) and user groups (S…) can')
    raise _wrong(f'"{entry}" is no set of [people]{_near(entry, sets)}')


def _endpoint(url: str) -> str:
    if fault := url_fault(url, path_allowed=False):
        raise _wrong(fault)
    return url.rstrip("/")


def _seconds(text: object) -> float:
    try:
        seconds = durationpy.from_str(str(text)).total_seconds()
    except durationpy.DurationError:
        raise _wrong('must be a duration in quotes, like "30m" or "1h30m"') from None
    if not SHORTEST <= seconds <= LONGEST:
        raise _wrong("must be between 5s and 24h")
    return float(seconds)


def _moment(value: object) -> object:
    """Read a time: TOML's own, or the same in quotes."""
    try:
        return datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise _wrong("must be a time, like 2026-12-24T18:00:00") from None


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise _wrong(f'"{name}" is no time zone, like "Europe/Berlin"') from None
    return name


def _filled(entries: tuple[str, ...]) -> tuple[str, ...]:
    if not entries:
        raise _wrong("must not be empty")
    return entries


def _project_name(name: str, info: pydantic.ValidationInfo) -> str:
    names = (info.context or {})["projects"]
    if name not in names:
        raise _wrong(f'"{name}" is no project of this file{_near(name, names)}')
    return name


Lax = pydantic.Field(strict=False)  # for the tuple, which a list of the file becomes, not for what is in it
Filled = pydantic.AfterValidator(_filled)
Text = Annotated[str, pydantic.StringConstraints(min_length=1)]
Channel = Annotated[str, _shaped(CHANNEL.pattern, "is not the id of a channel (C… or G…)")]
Who = tuple[Annotated[str, pydantic.AfterValidator(_who)], ...]
Approvers = Annotated[tuple[Annotated[str, pydantic.AfterValidator(_entry)], ...], Lax]
Member = Annotated[
    str, _shaped(f"{USER.pattern}|{GROUP.pattern}", "is not the id of a user (U… or W…) or a group (S…)")
]


class _Table(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="forbid", frozen=True, validate_default=True)


class _Project(_Table):
    project_id: Annotated[str, _shaped(r"[A-Za-z0-9-]{1,64}", "is not 1 to 64 letters, digits and hyphens")]
    region: Annotated[str, _shaped(r"[a-z0-9]+(-[a-z0-9]+)*", 'is no region, like "ap-southeast-1"')]
    endpoint: Annotated[str, pydantic.AfterValidator(_endpoint)] | None = None
    channels: Annotated[tuple[Channel, ...], Lax, Filled]
    allow_shared: bool = False


class _Freeze(_Table):
    since: Annotated[datetime.datetime, pydantic.BeforeValidator(_moment)] = pydantic.Field(alias="from")
    until: Annotated[datetime.datetime, pydantic.BeforeValidator(_moment)] = pydantic.Field(alias="to")
    zone: Annotated[str, pydantic.AfterValidator(_zone)] | None = None
    approvals: int | None = pydantic.Field(default=None, gt=0)
    deny: bool = False

    @pydantic.model_validator(mode="after")
    def _is_whole(self) -> "_Freeze":
        if self.zone is None and (self.since.tzinfo is None or self.until.tzinfo is None):
            raise _wrong('needs a zone, like zone = "Europe/Berlin"')
        if self.deny == (self.approvals is not None):
            raise _wrong("needs either approvals = NUMBER or deny = true")
        if self.at(self.since) >= self.at(self.until):
            raise _wrong("ends before it begins: to must be later than from")
        return self

    def at(self, moment: datetime.datetime) -> float:
        """Return the moment in seconds since the epoch; without an offset of its own it is one of the zone."""
        zone = None if self.zone is None else zoneinfo.ZoneInfo(self.zone)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).timestamp()


class _Rule(_Table):
    name: Text
    effect: Literal["allow", "deny"] = "allow"
    verbs: Annotated[tuple[Literal["stop", "start", "read"], ...], Lax, Filled]
    who: Annotated[Who, Lax, Filled]
    excluded: Annotated[Who, Lax] = pydantic.Field(default=(), alias="except")
    projects: Annotated[tuple[Annotated[str, pydantic.AfterValidator(_project_name)], ...], Lax, Filled] | None = None
    flows: Annotated[tuple[Text, ...], Lax, Filled] | None = None
    channels: Annotated[tuple[Channel, ...], Lax, Filled] | None = None
    approvals: int = pydantic.Field(default=0, ge=0)
    freeze: Annotated[tuple[_Freeze, ...], Lax] = ()
    approvers: Approvers = ()
    notify: Approvers = ()
    reason: Literal["required", "optional"] = "optional"
    expires: Annotated[float, pydantic.BeforeValidator(_seconds)] = pydantic.Field(1800.0, validate_default=False)
    emergency: Approvers = ()

    @pydantic.field_validator("approvals", "approvers", "notify", "reason", "expires", "emergency", "freeze")
    @classmethod
    def _is_of_an_allow(cls, value: object, info: pydantic.ValidationInfo) -> object:
        default = cls.model_fields[info.field_name or ""].default
        if info.data.get("effect") == "deny" and value != default:
            raise _wrong("has no meaning in a deny rule")
        return value

    @pydantic.field_validator("approvers")
    @classmethod
    def _go_with_approvals(cls, approvers: tuple[str, ...], info: pydantic.ValidationInfo) -> tuple[str, ...]:
        approvals, freezes = info.data.get("approvals"), info.data.get("freeze", ())
        asks_in_a_freeze = any(freeze.approvals for freeze in freezes)
        if approvals == 0 and approvers and not asks_in_a_freeze:
            raise _wrong("would approve nothing: approvals is 0")
        if (approvals or asks_in_a_freeze) and not approvers:
            raise _wrong("is missing: approvals is more than 0")
        return approvers


_WORDS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "string_type": "must be text in quotes",
    "tuple_type": "must be a list in brackets",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "model_type": "must be a table",
    "string_too_short": "must not be empty",
    "greater_than_equal": "must not be negative",
}

_TABLES: Final[Mapping[str, pydantic.TypeAdapter[Any]]] = {
    "projects": pydantic.TypeAdapter(_Project),
    "people": pydantic.TypeAdapter(Annotated[tuple[Member, ...], Lax]),
    "rules": pydantic.TypeAdapter(_Rule),
}


class _Reading:
    """One reading of one file: what was found so far, and where it stands."""

    def __init__(self, name: str, text: str, raw: dict[str, Any]) -> None:
        self.name, self.raw, self.places = name, raw, places.Places(text)
        self.problems: list[tuple[int, Problem]] = []
        self.names = {key: list(raw[key]) if isinstance(raw.get(key), dict) else [] for key in ("projects", "people")}

    def result(self, digest: str) -> Loaded:
        for key in self.raw.keys() - _TABLES.keys():
            self.wrong((key,), _unknown(key, list(_TABLES)))
        projects = {str(path[1]): found for path, found in self.each("projects")}
        people = {str(path[1]): found for path, found in self.each("people")}
        rules = dict(self.each("rules"))
        self.check_names()
        self.check_twice(projects)
        if self.problems:
            problems = tuple(problem for _, problem in sorted(self.problems, key=lambda found: found[0]))
            return Loaded(policy=None, projects=tuple(self.names["projects"]), problems=problems)
        whole = policy.Policy(
            projects={name: _project(name, found) for name, found in projects.items()},
            people=people,
            rules=tuple(_rule(found, self.places.text(path)) for path, found in rules.items()),
            digest=digest,
        )
        flaws = {(*path, "approvals"): _flaw(whole, rule) for path, rule in zip(rules, whole.rules, strict=True)}
        idle = [(*path, "emergency") for path, rule in rules.items() if rule.emergency]
        return Loaded(
            policy=whole,
            projects=tuple(projects),
            defects=tuple(self.problem(path, flaw) for path, flaw in flaws.items() if flaw),
            warnings=tuple(self.problem(path, "gives no rights: this version has no --emergency") for path in idle),
        )

    def problem(self, path: Path, what: str) -> Problem:
        keys = [key for key in path if isinstance(key, str)]
        number = [f"rule {key + 1}" for key in path[1:2] if isinstance(key, int)]
        label = ", ".join([*number, *keys[1:]]) if number else ".".join(keys)
        return Problem(where=f"{self.name}:{self.places.line(path)}: {label}", what=what)

    def wrong(self, path: Path, what: str) -> None:
        self.problems.append((self.places.line(path), self.problem(path, what)))

    def each(self, key: str) -> Iterator[tuple[Path, Any]]:
        """Give each entry of a top-level table that is right, with its path; note what is wrong with the others."""
        kind: type[Any] = list if key == "rules" else dict
        table = self.raw.get(key, kind())
        if not isinstance(table, kind):
            self.wrong((key,), f"must be written as {'[[rules]]' if kind is list else f'[{key}]'}")
            return
        for name, raw in enumerate(table) if kind is list else table.items():
            try:
                found = _TABLES[key].validate_python(raw, context=self.names)
            except pydantic.ValidationError as error:
                for one in error.errors(include_url=False, include_input=False):
                    self.wrong((key, name, *one["loc"]), _told(key, one))
            else:
                yield (key, name), found

    def check_names(self) -> None:
        if self.raw.get("projects", {}) == {}:
            self.wrong(("projects",), "at least one is needed, as [projects.NAME]")
        alike: dict[str, str] = {}
        for name in self.names["projects"]:
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
                self.wrong(("projects", name), "a project's name is 1 to 64 letters, digits, hyphens and underscores")
            if alike.setdefault(plain(name), name) != name:
                self.wrong(("projects", name), f'is too like "{alike[plain(name)]}": their variables have one name')
        for name in self.names["people"]:
            if not name or name == policy.EVERYBODY or ID.fullmatch(name):
                self.wrong(("people", name), f'"{name}" cannot name a set: it looks like an id; use small letters')

    def check_twice(self, projects: Mapping[str, _Project]) -> None:
        owners: dict[str, str] = {}
        for project, found in projects.items():
            for n, channel in enumerate(found.channels):
                if owners.setdefault(channel, project) != project:
                    self.wrong(("projects", project, "channels", n), f'"{channel}" is in "{owners[channel]}" already')
        rules = self.raw.get("rules")
        first: dict[str, int] = {}
        for n, raw in enumerate(rules if isinstance(rules, list) else []):
            name = raw.get("name") if isinstance(raw, dict) else None
            if isinstance(name, str) and first.setdefault(name, n) != n:
                self.wrong(("rules", n, "name"), f"is the name of rule {first[name] + 1} already")


def plain(name: str) -> str:
    """Give a project's name as its variables have it, in small letters."""
    return name.lower().replace("-", "_")


def _unknown(key: str, known: list[str]) -> str:
    return "is not in this version yet" if key in NOT_YET else f"is not a key that belongs here{_near(key, known)}"


def _told(table: str, error: pydantic_core.ErrorDetails) -> str:
    match error["type"]:
        case "extra_forbidden":
            inside = _Freeze if "freeze" in error["loc"] else _Rule
            fields = (_Project if table == "projects" else inside).model_fields
            return _unknown(str(error["loc"][-1]), [field.alias or name for name, field in fields.items()])
        case "literal_error":
            return f"must be {error['ctx']['expected']}"
        case known:
            return _WORDS.get(known, error["msg"])


def _project(name: str, found: _Project) -> policy.Project:
    endpoint = found.endpoint or f"https://live.{found.region}.myhuaweicloud.com"
    kept = found.model_dump(include={"project_id", "region", "channels", "allow_shared"})
    return policy.Project(name=name, endpoint=endpoint, **kept)


def _rule(found: _Rule, text: str) -> policy.Rule:
    kept = found.model_dump(exclude={"effect", "reason", "emergency", "freeze"}, exclude_none=True)
    freezes = tuple(
        policy.Freeze(
            since=freeze.at(freeze.since),
            until=freeze.at(freeze.until),
            approvals=freeze.approvals or 0,
            deny=freeze.deny,
        )
        for freeze in found.freeze
    )
    kept |= {
        "freezes": freezes,
        "effect": policy.Effect(found.effect),
        "reason_required": found.reason == "required",
        "text": text,
    }
    return policy.Rule(**kept)


def _flaw(whole: policy.Policy, rule: policy.Rule) -> str | None:
    """Say that nobody can get the approvals that the rule asks for, as far as named users tell."""
    approvers = set(policy.expand(whole, rule.approvers))
    askers = set(policy.expand(whole, rule.who)) - set(policy.expand(whole, rule.excluded))
    named = not any(asker == policy.EVERYBODY or policy.is_group(asker) for asker in askers)
    most = max((len(approvers - {asker}) for asker in askers), default=rule.approvals) if named else len(approvers)
    if most >= rule.approvals or any(map(policy.is_group, approvers)):
        return None
    return f"asks for {rule.approvals}, and there are {most} besides whoever asks: nobody can satisfy this rule"
