"""The exceptions of the use cases and their ports.

Expected refusals are values: `lifecycle.CloudFailure`, `lifecycle.Halt`, `policy.Refuse` and `answers`.

    FlowbotError
    ├── StoreError
    │   ├── NotRecorded      the write never started or was rejected
    │   ├── Unconfirmed      the write may or may not be saved
    │   ├── Conflict         the record changed first
    │   ├── DecidedBefore    the inbox entry was already decided
    │   ├── FlowHeld         another open request holds the flow
    │   ├── LeaseLost        another replica may have taken over the request
    │   └── RevisionMismatch the database is older than the code
    ├── TeamUnknown          Slack has not said which workspace is ours
    └── ChatError
        ├── ChatRefused      a definite no from Slack
        └── ChatUnavailable  Slack did not answer, or asked to wait
"""


class FlowbotError(Exception):
    """The base of flowbot's own exceptions."""


class StoreError(FlowbotError):
    """The database failed or rejected an operation."""


class NotRecorded(StoreError):
    """The write never started or was rejected; nothing was saved."""


class Unconfirmed(StoreError):
    """It is unknown whether the write was saved."""


class Conflict(StoreError):
    """The record changed between the read and the write; nothing was written."""


class DecidedBefore(StoreError):
    """The inbox entry was already decided, here or by another replica; nothing was written."""


class FlowHeld(StoreError):
    """Another open request holds the flow; nothing was written."""


class TeamUnknown(FlowbotError):
    """Slack has not said yet which workspace is ours, so the entry cannot be decided."""


class LeaseLost(StoreError):
    """This replica's lease expires too soon; the next replica to claim the request continues."""


class RevisionMismatch(StoreError):
    """The database's revision is older than this code."""


class ChatError(FlowbotError):
    """Slack did not accept a message."""


class ChatRefused(ChatError):
    """Slack refused for good; `code` is Slack's error code, for example `not_in_channel`."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Slack refused: {code}")
        self.code = code


class ChatUnavailable(ChatError):
    """Slack could not be reached, failed, or asked to wait `retry_after` seconds; retry later."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
