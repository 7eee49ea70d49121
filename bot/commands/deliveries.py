"""Deliveries from Slack as values: a typed command, a clicked button, a submitted modal.

They are what the inbox keeps. They hold ids only: no `response_url`, no trigger id, no token, no names of people.
"""

import dataclasses
import enum
from typing import Literal

from bot.commands.verbs import Door


class Button(enum.StrEnum):
    """The `action_id` of each button; its `value` is a request id and nothing else."""

    CONFIRM = "confirm"
    APPROVE = "approve"
    DENY = "deny"
    WITHDRAW = "withdraw"
    ADD_REASON = "add_reason"
    TYPE_NAME = "type_name"
    CHECK_NOW = "check_now"
    ASK_AGAIN = "ask_again"
    EMERGENCY_FIRST = "emergency_first"
    EMERGENCY_CONFIRM = "emergency_confirm"
    REVIEW = "review"


class Modal(enum.StrEnum):
    """The `callback_id` of each modal; its `private_metadata` is a request id."""

    DENY_REASON = "deny_reason"
    ADD_REASON = "add_reason"
    TYPE_NAME = "type_name"
    REVIEW = "review"


class Verdict(enum.StrEnum):
    """A reviewer's verdict on an emergency."""

    JUSTIFIED = "justified"
    NOT_JUSTIFIED = "not_justified"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts: a user id, and the id of their workspace, or of the organisation if Slack sends that.

    On Enterprise Grid one person may have several user ids. `person` is the one id that Slack gives for all of them;
    None before Slack is asked, or if it gives none. Compare people by `id`; mention them by `user`.
    """

    team: str
    user: str
    person: str | None = None

    @property
    def id(self) -> str:
        """Return the id of the person, the same for all of their user ids."""
        return self.person or self.user

    @property
    def has_one_id(self) -> bool:
        """Return whether they can have no other user id; ids with a W belong to an organisation."""
        return self.person is None and not self.user.startswith("W")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Typed:
    """A command typed in `channel`, without `/flow` or the mention.

    `ts` is the timestamp of its message; None for a slash command, which has no message. `thread_ts` is the timestamp
    of the root message of its thread.
    """

    kind: Literal["typed"] = "typed"
    text: str
    channel: str
    door: Door = Door.SLASH
    ts: str | None = None
    thread_ts: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clicked:
    """A pressed button of the message `message_ts` in `channel`; `thread_ts` is set if the message is in a thread."""

    kind: Literal["clicked"] = "clicked"
    button: Button
    request_id: str
    channel: str
    message_ts: str | None
    thread_ts: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Submitted:
    """A submitted modal: the typed reason, the typed name of the flow, or a verdict."""

    kind: Literal["submitted"] = "submitted"
    modal: Modal
    request_id: str
    reason: str | None
    name: str | None = None
    verdict: Verdict | None = None


Arrival = Typed | Clicked | Submitted


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the inbox.

    `key` is unique for 24 hours: a repeated delivery has the same one. `received_at` is in seconds since the epoch
    (UTC), like every time in flowbot. `for_teams` holds the workspaces that the delivery is for, if our own workspace
    was not known when it arrived. They are compared before anything is decided.
    """

    key: str
    actor: Actor
    arrival: Arrival
    received_at: float
    for_teams: tuple[str, ...] = ()
