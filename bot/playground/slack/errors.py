"""The two kinds of refusal: Slack's to the bot, and the client's to a person."""

from collections.abc import Mapping, Sequence


class SlackError(Exception):
    """Slack answers `{"ok": false, "error": code}`, possibly with messages that explain it, and `more`."""

    def __init__(self, code: str, *, messages: Sequence[str] = (), more: Mapping[str, str] | None = None) -> None:
        super().__init__(code, *messages)
        self.code = code
        self.messages = tuple(messages)
        self.more = dict(more or {})


class NotPossible(AssertionError):
    """No Slack client would let this person do that: the test, or the bot before it, is wrong."""


class NeverHappened(AssertionError):
    """What a test waited for did not happen; the message contains the workspace as text."""
