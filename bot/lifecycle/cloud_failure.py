"""A failed call to the cloud, as a value that an operation keeps.

Pure. The cloud's adapter decides which fault a reply is.
"""

import dataclasses
import enum


class Fault(enum.StrEnum):
    """The kind of a failure; it decides what may be done next."""

    NOT_FOUND = "not_found"  # no such flow
    DENIED = "denied"  # authenticated but not permitted: 403, or 401 with a permission code
    CREDENTIALS = "credentials"  # 401: the key or the signature; never retried with the same key
    THROTTLED = "throttled"  # 429, or the concurrency limit that comes as a 500
    REJECTED = "rejected"  # any other definite refusal, mostly 400
    NEVER_SENT = "never_sent"  # no connection
    UNCERTAIN = "uncertain"  # 5xx, timeout, lost or unreadable reply: it may have been carried out


@dataclasses.dataclass(frozen=True, kw_only=True)
class CloudFailure:
    """A failed call to the cloud.

    `http_status` is None if no reply came. `code`, `message` and `request_id` are the cloud's own, without our secrets.
    `retry_after` is in seconds; `must_wait` means that it comes from the cloud's Retry-After header.
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
    """Why a call is not retried: a pause (with its reason), the policy, or too few valid votes.

    `rule` is the policy rule that forbids it, if any; `who_could` names who could do it instead, as rules name people.
    """

    paused: str | None = None
    rule: str | None = None
    who_could: tuple[str, ...] = ()
    short: bool = False
