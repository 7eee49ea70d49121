"""A call to the cloud that did not succeed, as a value that an operation keeps.

Pure. What each reply of the cloud means is decided by the cloud's adapter.
"""

import dataclasses
import enum


class Fault(enum.StrEnum):
    """What a failed call to the cloud means for what may be done next."""

    NOT_FOUND = "not_found"  # no such flow
    DENIED = "denied"  # authenticated but not permitted: 403, or 401 with a permission code
    CREDENTIALS = "credentials"  # 401: the key or the signature; never repeated with a key
    THROTTLED = "throttled"  # 429, or the concurrency limit that comes as a 500
    REJECTED = "rejected"  # any other definite refusal, 400 for the most part
    NEVER_SENT = "never_sent"  # never sent: no connection
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
