"""The states of a request and of its operation, and which step may follow which."""

import enum
from collections.abc import Mapping
from typing import Final


class State(enum.StrEnum):
    """The state of a request."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"


class Event(enum.StrEnum):
    """The events of a request."""

    APPROVE = "approve"  # the last approval that was needed, or the confirmation
    FALL_SHORT = "fall_short"  # rights or policy changed before the call: approvals are missing again
    DENY = "deny"
    EXPIRE = "expire"
    WITHDRAW = "withdraw"
    SUPERSEDE = "supersede"


class Progress(enum.StrEnum):
    """The state of an operation."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


class Step(enum.StrEnum):
    """The steps of an operation."""

    BEGIN = "begin"
    SUCCEED = "succeed"
    FAIL = "fail"
    LOSE = "lose"  # the outcome of the call is unknown
    CANCEL = "cancel"


TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = {
    (State.PENDING, Event.APPROVE): State.APPROVED,
    (State.PENDING, Event.DENY): State.DENIED,
    (State.PENDING, Event.EXPIRE): State.EXPIRED,
    (State.PENDING, Event.WITHDRAW): State.WITHDRAWN,
    (State.PENDING, Event.SUPERSEDE): State.SUPERSEDED,
    (State.APPROVED, Event.FALL_SHORT): State.PENDING,
    (State.APPROVED, Event.DENY): State.DENIED,
    (State.APPROVED, Event.EXPIRE): State.EXPIRED,
    (State.APPROVED, Event.WITHDRAW): State.WITHDRAWN,
    (State.APPROVED, Event.SUPERSEDE): State.SUPERSEDED,
}

PROGRESS: Final[Mapping[tuple[Progress, Step], Progress]] = {
    (Progress.WAITING, Step.BEGIN): Progress.RUNNING,
    (Progress.WAITING, Step.CANCEL): Progress.CANCELLED,
    (Progress.RUNNING, Step.SUCCEED): Progress.SUCCEEDED,
    (Progress.RUNNING, Step.FAIL): Progress.FAILED,
    (Progress.RUNNING, Step.LOSE): Progress.UNKNOWN,
    (Progress.UNKNOWN, Step.SUCCEED): Progress.SUCCEEDED,
    (Progress.UNKNOWN, Step.FAIL): Progress.FAILED,
}
