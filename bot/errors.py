"""Every failure a user can be told of, as one tree.

Expected refusals are values (`CloudFailure` and `Halt` here, `policy.Refuse`, `answers`); the exceptions are for what a
caller cannot go on with.

    FlowbotError
    ├── SettingsInvalid      settings or policy are wrong: every problem at once
    ├── IllegalTransition    a step that the tables of `request` do not have
    ├── StoreError
    │   ├── NotRecorded      the write was never begun, or the database refused it whole
    │   ├── Unconfirmed      the write may be on disk or not
    │   ├── Conflict         somebody else changed the record first
    │   ├── DecidedBefore    an entry of the inbox was decided already
    │   ├── FlowHeld         another open request holds the flow
    │   ├── LeaseLost        another replica may have taken the request over
    │   └── RevisionMismatch the database is older than the code
    └── ChatError
        ├── ChatRefused      Slack said a definite no
        └── ChatUnavailable  Slack did not answer, or asked to wait
"""

import dataclasses
import enum


class FlowbotError(Exception):
    """Anything flowbot raises on purpose."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with the settings or the policy; `where` names a variable, or a file with key and line."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class SettingsInvalid(FlowbotError):
    """The settings or the policy cannot be used."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class IllegalTransition(FlowbotError):
    """A request or an operation cannot take this step from where it is."""


class StoreError(FlowbotError):
    """The database did not do what was asked."""


class NotRecorded(StoreError):
    """The write was never begun, or was refused whole: nothing is on disk."""


class Unconfirmed(StoreError):
    """The write may be on disk or not."""


class Conflict(StoreError):
    """The record changed between the read and the write: nothing was written."""


class DecidedBefore(StoreError):
    """The entry of the inbox was decided already, here or by another replica: nothing was written."""


class FlowHeld(StoreError):
    """Another open request holds the flow: nothing was written."""


class TeamUnknown(FlowbotError):
    """Slack has not said yet which workspace is ours, and an entry could not be compared with it before."""


class LeaseLost(StoreError):
    """This replica's lease does not hold for long enough: whoever claims the request goes on."""


class RevisionMismatch(StoreError):
    """The database's revision is older than this code."""


class ChatError(FlowbotError):
    """Slack did not take a message."""


class ChatRefused(ChatError):
    """Slack refused for good; `code` is Slack's error code, for example `not_in_channel`."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Slack refused: {code}")
        self.code = code


class ChatUnavailable(ChatError):
    """Slack could not be reached, failed, or asked to wait `retry_after` seconds; trying again is right."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Fault(enum.StrEnum):
    """What a failed call to the cloud means for what may be done next."""

    NOT_FOUND = "not_found"  # no such flow
    DENIED = "denied"  # the cloud knows us and says no: 403, or 401 with a permission code
    CREDENTIALS = "credentials"  # 401: the key or the signature; never repeated with a key
    THROTTLED = "throttled"  # 429, or the concurrency limit that comes as a 500
    REJECTED = "rejected"  # any other definite refusal, 400 for the most part
    NEVER_SENT = "never_sent"  # provably did not leave: no connection
    UNCERTAIN = "uncertain"  # 5xx, timeout, lost or unreadable reply: it may have been carried out


@dataclasses.dataclass(frozen=True, kw_only=True)
class CloudFailure:
    """A call to the cloud that did not succeed, as the cloud told it.

    `http_status` is None when no reply came. `code`, `message` and `request_id` are the cloud's own words, with our
    secrets cut out; `retry_after` is in seconds; `must_wait` says that it is the cloud's own Retry-After.
    """

    fault: Fault
    http_status: int | None = None
    code: str | None = None
    message: str = ""
    request_id: str | None = None
    retry_after: float | None = None
    must_wait: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Halt:
    """Why a call that was tried is not tried again: a pause (its reason), the policy, or too few votes that count.

    `rule` is the one behind it, if one is; `who_could` do it instead, as rules name people.
    """

    paused: str | None = None
    rule: str | None = None
    who_could: tuple[str, ...] = ()
    short: bool = False
