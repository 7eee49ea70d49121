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

    On Enterprise Grid one person may act with several user ids. `person` is the id that Slack gives for all of them,
    once it was asked; None where it gives none. People are compared by `id`, and mentioned by `user`. `login` is their
    login on the host where they act there; None where they act in Slack.
    """

    team: str
    user: str
    person: str | None = None
    login: str | None = None

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

    `ts` is that of the message that holds it, which a slash command has none of; `thread_ts` that of the root of the
    thread in which it stands. On the host, `channel` is empty, and `name` is what was typed as a protected flow's name.
    """

    kind: Literal["typed"] = "typed"
    text: str
    channel: str
    door: Door = Door.SLASH
    ts: str | None = None
    thread_ts: str | None = None
    name: str | None = None


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
    (UTC), as every time in flowbot. `for_teams` holds the workspaces that the delivery says it is for, where that could
    not be compared with ours when it came: nothing is decided before it has been. `take_up_by` is until when an entry
    of the host may be taken up: whoever typed it waits no longer, and nothing fires later.
    """

    key: str
    actor: Actor
    arrival: Arrival
    received_at: float
    for_teams: tuple[str, ...] = ()
    take_up_by: float | None = None
