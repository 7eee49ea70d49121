"""The two ways in which things are refused here: by Slack to the bot, and by the client to a person."""

from collections.abc import Sequence


class SlackError(Exception):
    """Slack answers `{"ok": false, "error": code}`, perhaps with messages that explain."""

    def __init__(self, code: str, *, messages: Sequence[str] = ()) -> None:
        super().__init__(code, *messages)
        self.code = code
        self.messages = tuple(messages)


class NotPossible(AssertionError):
    """No Slack client would let this person do that: the test, or the bot before it, has gone wrong."""


class NeverHappened(AssertionError):
    """What a test waited for did not come; carries the workspace as text."""
