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


class FlowbotError(Exception):
    """Anything flowbot raises on purpose."""


class StoreError(FlowbotError):
    """The database failed or rejected an operation."""


class NotRecorded(StoreError):
    """The write never started or was rejected: nothing was saved."""


class Unconfirmed(StoreError):
    """It is unknown whether the write was saved."""


class Conflict(StoreError):
    """The record changed between the read and the write: nothing was written."""


class DecidedBefore(StoreError):
    """The entry of the inbox was decided already, here or by another replica: nothing was written."""


class FlowHeld(StoreError):
    """Another open request holds the flow; nothing was written."""


class TeamUnknown(FlowbotError):
    """Slack has not said yet which workspace is ours, and an entry could not be compared with it before."""


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
