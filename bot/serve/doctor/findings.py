"""A finding: what one check found and what to do about it, and how it is printed. Pure."""

import dataclasses
import enum
import json
from collections.abc import Callable, Iterable


class Severity(enum.StrEnum):
    """How serious a finding is. Only `fail` makes the command fail."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check. `remedy` is empty exactly where there is nothing to do."""

    name: str
    status: Severity
    found: str
    remedy: str = ""


def ok(name: str, found: str) -> Finding:
    """Return a finding that needs no remedy."""
    return Finding(name=name, status=Severity.OK, found=found)


def warn(name: str, found: str, remedy: str) -> Finding:
    """Return a finding that may be on purpose, or that nobody can decide."""
    return Finding(name=name, status=Severity.WARN, found=found, remedy=remedy)


def fail(name: str, found: str, remedy: str) -> Finding:
    """Return a finding because of which something will not work."""
    return Finding(name=name, status=Severity.FAIL, found=found, remedy=remedy)


def line(finding: Finding) -> str:
    """Return a finding as one line for people."""
    remedy = f" → {finding.remedy}" if finding.remedy else ""
    return f"{finding.status:<4}  {finding.name}: {finding.found}{remedy}"


def json_line(finding: Finding) -> str:
    """Return a finding as one object of JSON, whose four keys are always there."""
    return json.dumps(dataclasses.asdict(finding), ensure_ascii=False)


def redacted(found: Iterable[Finding], cut: Callable[[str], str]) -> tuple[Finding, ...]:
    """Return the findings with secrets cut out of their texts, which quote Slack, the cloud and the database."""
    return tuple(
        dataclasses.replace(each, name=cut(each.name), found=cut(each.found), remedy=cut(each.remedy)) for each in found
    )


def has_failed(found: Iterable[Finding]) -> bool:
    """Tell whether any check failed."""
    return any(each.status is Severity.FAIL for each in found)
