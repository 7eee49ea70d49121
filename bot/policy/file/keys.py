"""The keys of `flowbot.toml`: the schema of each table, and the messages for wrong values.

Pure. Files, lines and checks across tables are for `loader`.
"""

import datetime
import difflib
import re
import urllib.parse
import zoneinfo
from typing import Annotated, Final, Literal

import durationpy
import pydantic
import pydantic_core

from bot.commands.verbs import RIGHTS
from bot.policy import model

SHORTEST, LONGEST = 5.0, 24 * 3600.0
MOST_APPROVALS: Final = 100
"""A higher number is a typing mistake. Cases and `explain` invent as many approvers as a rule asks for."""

FIRST: Final = 0.0
LAST: Final = datetime.datetime.max.replace(tzinfo=datetime.UTC, microsecond=0).timestamp()
"""The first and the last time that a freeze may name, in seconds since the epoch: those that can be shown as a date."""

USER: Final = re.compile(r"[UW][A-Z0-9]+")
GROUP: Final = re.compile(r"S[A-Z0-9]+")
CHANNEL: Final = re.compile(r"[CG][A-Z0-9]+")
LOOPBACK: Final = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1")
ID: Final = re.compile(r"[UWSCGDTE][A-Z0-9]+")


def url_fault(url: str, *, path_allowed: bool) -> str | None:
    """Return what is wrong with the base URL of a service, or None. Plain http is for loopback only."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x20\\]", url):
        return "must be a URL like https://host"
    if parts.username is not None or parts.password is not None:
        return "must not contain a user or a password"
    if "?" in url or "#" in url or (parts.path.strip("/") and not path_allowed):
        return "must not contain a query or a fragment" if path_allowed else "must end after the host"
    if parts.scheme == "http" and not LOOPBACK.fullmatch(host):
        return "must be https: plain http is for loopback only"
    return None


def wrong(what: str) -> pydantic_core.PydanticCustomError:
    """Return the validation error with this message."""
    return pydantic_core.PydanticCustomError("flowbot", "{what}", {"what": what})


def near(word: str, words: list[str]) -> str:
    """Return a "did you mean" suffix for a message, or an empty string if no word is close."""
    close = difflib.get_close_matches(word, words, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def _shaped(pattern: str, what: str) -> pydantic.AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise wrong(f'"{text}" {what}')
        return text

    return pydantic.AfterValidator(check)


def _right(word: str) -> str:
    if word not in RIGHTS:
        *others, last = map(repr, RIGHTS)
        raise wrong(f"must be {', '.join(others)} or {last}")
    return word


def _who(entry: str, info: pydantic.ValidationInfo) -> str:
    return entry if entry == model.EVERYBODY else _entry(entry, info)


def _entry(entry: str, info: pydantic.ValidationInfo) -> str:
    sets = (info.context or {})["people"]
    if entry in sets or USER.fullmatch(entry) or GROUP.fullmatch(entry):
        return entry
    if entry == model.EVERYBODY or ID.fullmatch(entry):
        raise wrong(f'"{entry}" is not allowed here: use sets, users (U… or W…) and user groups (S…)')
    raise wrong(f'"{entry}" is not a set of [people]{near(entry, sets)}')


def _endpoint(url: str) -> str:
    if fault := url_fault(url, path_allowed=False):
        raise wrong(fault)
    return url.rstrip("/")


def _seconds(text: object) -> float:
    try:
        seconds = durationpy.from_str(str(text)).total_seconds()
    except durationpy.DurationError:
        raise wrong('must be a duration in quotes, like "30m" or "1h30m"') from None
    if not SHORTEST <= seconds <= LONGEST:
        raise wrong("must be between 5s and 24h")
    return float(seconds)


def _limit(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100:
        return value
    raise wrong("must be a whole number from 1 to 100")


def _moment(value: object) -> object:
    """Parse a time in quotes; pass on a TOML time."""
    try:
        return datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise wrong("must be a time, like 2026-12-24T18:00:00") from None


def _instants(moment: datetime.datetime, zone: str | None) -> tuple[float, float]:
    """Return the earliest and the latest instant of a local time, which differ if the clock is changed around then."""
    if moment.tzinfo is not None or zone is None:
        return moment.timestamp(), moment.timestamp()
    meant = [moment.replace(tzinfo=zoneinfo.ZoneInfo(zone), fold=fold).timestamp() for fold in (0, 1)]
    return min(meant), max(meant)


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise wrong(f'"{name}" is not a time zone, like "Europe/Berlin"') from None
    return name


def _filled(entries: tuple[str, ...]) -> tuple[str, ...]:
    if not entries:
        raise wrong("must not be empty")
    return entries


def _project_name(name: str, info: pydantic.ValidationInfo) -> str:
    names = (info.context or {})["projects"]
    if name not in names:
        raise wrong(f'"{name}" is not a project of this file{near(name, names)}')
    return name


Lax = pydantic.Field(strict=False)  # lists become tuples; their items stay strict
Filled = pydantic.AfterValidator(_filled)
SomeText = Annotated[str, pydantic.StringConstraints(min_length=1)]
Channel = Annotated[str, _shaped(CHANNEL.pattern, "is not the id of a channel (C… or G…)")]
Who = tuple[Annotated[str, pydantic.AfterValidator(_who)], ...]
Limit = Annotated[int, pydantic.BeforeValidator(_limit)]
Approvers = Annotated[tuple[Annotated[str, pydantic.AfterValidator(_entry)], ...], Lax]
Member = Annotated[
    str, _shaped(f"{USER.pattern}|{GROUP.pattern}", "is not the id of a user (U… or W…) or a group (S…)")
]


class Table(pydantic.BaseModel):
    """A table of the file; unknown keys are errors."""

    model_config = pydantic.ConfigDict(strict=True, extra="forbid", frozen=True, validate_default=True)


class ProjectTable(Table):
    """An entry of `[projects]`."""

    project_id: Annotated[str, _shaped(r"[A-Za-z0-9-]{1,64}", "is not 1 to 64 letters, digits and hyphens")]
    region: Annotated[str, _shaped(r"[a-z0-9]+(-[a-z0-9]+)*", 'is not a region, like "ap-southeast-3"')]
    endpoint: Annotated[str, pydantic.AfterValidator(_endpoint)] | None = None
    channels: Annotated[tuple[Channel, ...], Lax, Filled]
    allow_shared: bool = False


Operator = Annotated[str, _shaped(USER.pattern, "is not the id of a user (U… or W…)")]
"""What stands for a login in [operators]."""


class FreezeTable(Table):
    """An entry of `freeze` in a rule."""

    zone: Annotated[str, pydantic.AfterValidator(_zone)] | None = None  # first, because the times depend on it
    since: Annotated[datetime.datetime, pydantic.BeforeValidator(_moment)] = pydantic.Field(alias="from")
    until: Annotated[datetime.datetime, pydantic.BeforeValidator(_moment)] = pydantic.Field(alias="to")
    approvals: int | None = pydantic.Field(default=None, gt=0, le=MOST_APPROVALS)
    deny: bool = False

    @pydantic.field_validator("since", "until")
    @classmethod
    def _is_a_date(cls, moment: datetime.datetime, info: pydantic.ValidationInfo) -> datetime.datetime:
        if moment.tzinfo is None and info.data.get("zone") is None:
            return moment  # the missing zone is reported below
        earliest, latest = _instants(moment, info.data.get("zone"))
        if earliest < FIRST or latest > LAST:
            raise wrong("must be between the years 1970 and 9999, in UTC")
        return moment

    @pydantic.model_validator(mode="after")
    def _is_whole(self) -> "FreezeTable":
        if self.zone is None and (self.since.tzinfo is None or self.until.tzinfo is None):
            raise wrong('needs a zone, like zone = "Europe/Berlin"')
        if self.deny == (self.approvals is not None):
            raise wrong("needs either approvals = NUMBER or deny = true")
        if self.begins_at >= self.ends_at:
            raise wrong("ends before it begins: to must be later than from")
        return self

    @property
    def begins_at(self) -> float:
        """Return the earliest instant of `from`, in seconds since the epoch."""
        return _instants(self.since, self.zone)[0]

    @property
    def ends_at(self) -> float:
        """Return the latest instant of `to`, in seconds since the epoch."""
        return _instants(self.until, self.zone)[1]


class RuleTable(Table):
    """An entry of `[[rules]]`."""

    name: SomeText
    effect: Literal["allow", "deny"] = "allow"
    verbs: Annotated[tuple[Annotated[str, pydantic.AfterValidator(_right)], ...], Lax, Filled]
    who: Annotated[Who, Lax, Filled]
    excluded: Annotated[Who, Lax] = pydantic.Field(default=(), alias="except")
    projects: Annotated[tuple[Annotated[str, pydantic.AfterValidator(_project_name)], ...], Lax, Filled] | None = None
    flows: Annotated[tuple[SomeText, ...], Lax, Filled] | None = None
    channels: Annotated[tuple[Channel, ...], Lax, Filled] | None = None
    approvals: int = pydantic.Field(default=0, ge=0, le=MOST_APPROVALS)
    freeze: Annotated[tuple[FreezeTable, ...], Lax] = ()
    approvers: Approvers = ()
    notify: Approvers = ()
    protected: Annotated[tuple[SomeText, ...], Lax, Filled] | None = None
    reason: Literal["required", "optional"] = "optional"
    expires: Annotated[float, pydantic.BeforeValidator(_seconds)] = pydantic.Field(1800.0, validate_default=False)
    emergency: Approvers = ()
    emergency_limit: Limit | None = None
    door: Literal["host"] | None = None

    @pydantic.field_validator(
        *("approvals", "approvers", "notify", "protected", "reason", "expires"),
        *("emergency", "emergency_limit", "freeze", "door"),
    )
    @classmethod
    def _is_of_an_allow(cls, value: object, info: pydantic.ValidationInfo) -> object:
        default = cls.model_fields[info.field_name or ""].default
        if info.data.get("effect") == "deny" and value != default:
            raise wrong("has no meaning in a deny rule")
        return value

    @pydantic.field_validator("approvers")
    @classmethod
    def _go_with_approvals(cls, approvers: tuple[str, ...], info: pydantic.ValidationInfo) -> tuple[str, ...]:
        approvals, freezes = info.data.get("approvals"), info.data.get("freeze", ())
        asks_in_a_freeze = any(freeze.approvals for freeze in freezes)
        if approvals == 0 and approvers and not asks_in_a_freeze:
            raise wrong("has no effect: approvals is 0")
        if (approvals or asks_in_a_freeze) and not approvers:
            raise wrong("is missing: approvals is more than 0")
        return approvers


class Case(Table):
    """An entry of `[[cases]]`: a command and the decision that its author expects."""

    user: Annotated[str, _shaped(USER.pattern, "is not the id of a user (U… or W…)")]
    channel: Channel
    command: SomeText
    member_of: Annotated[
        tuple[Annotated[str, _shaped(GROUP.pattern, "is not the id of a user group (S…)")], ...], Lax
    ] = ()
    expect: Literal["allow", "deny"]
    approvals: int | None = pydantic.Field(default=None, ge=0)
    rule: SomeText | None = None

    @pydantic.field_validator("approvals")
    @classmethod
    def _is_of_an_allow(cls, approvals: int | None, info: pydantic.ValidationInfo) -> int | None:
        if approvals is not None and info.data.get("expect") == "deny":
            raise wrong("has no meaning if a deny is expected")
        return approvals
