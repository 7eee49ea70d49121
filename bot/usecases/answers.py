"""Answers to one person: values that `slack/messages` puts into words.

An answer is stored with the inbox row that it answers, so it is plain data.
"""

import dataclasses
from typing import Annotated, Literal

import pydantic

from bot.commands.deliveries import Button
from bot.commands.verbs import Door, Verb
from bot.lifecycle import records
from bot.lifecycle.cloud_failure import CloudFailure
from bot.lifecycle.states import Progress, State
from bot.policy import model


@dataclasses.dataclass(frozen=True, kw_only=True)
class CardLink:
    """Where the card of a request is; `ts` is None until it is posted. `flow` is the name of the flow.

    `thread` is the `ts` of the root message if the card is in a thread.
    """

    request_id: str
    verb: Verb
    flow: str
    channel: str
    ts: str | None
    thread: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """The base of all answers: whether it is about a dry run, which every message shows."""

    dry_run: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opened(Answer):
    """The card is in another channel than the command."""

    kind: Literal["opened"] = "opened"
    card: CardLink


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joined(Answer):
    """A request for the same verb and flow is already open: no new one opened."""

    kind: Literal["joined"] = "joined"
    card: CardLink


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocked(Answer):
    """A request for another verb holds the flow: nothing opened."""

    kind: Literal["blocked"] = "blocked"
    verb: Verb
    card: CardLink


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldInPrivate(Answer):
    """A request whose card the asker may not see holds the flow: nothing opened.

    `verb` was asked for; `held_by` is the verb of the request. `requester` is a user id; `approvers` are entries as in
    the rules.
    """

    kind: Literal["held_in_private"] = "held_in_private"
    verb: Verb
    held_by: Verb
    flow: str
    requester: str
    approvers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refused(Answer):
    """The policy refuses a command or a click; `people` are the ids of the users and groups who could do it."""

    kind: Literal["refused"] = "refused"
    action: str
    flow: str
    decision: model.Refuse
    people: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReasonMissing(Answer):
    """The rule requires a reason: nothing opened.

    `entry` is the id with which a modal can complete the command; `typed` is the command, to be typed again at the same
    `door`.
    """

    kind: Literal["reason_missing"] = "reason_missing"
    entry: str
    verb: Verb
    flow: str
    rule: str
    typed: str
    door: Door = Door.SLASH


@dataclasses.dataclass(frozen=True, kw_only=True)
class NameMissing(Answer):
    """The flow is protected, and its name was not typed, or was typed wrongly (`typed`): nothing opened.

    `entry` is the id with which a modal can complete the command; `reason_too` is true if a reason is missing as well.
    `flow` is what must be typed: the name of the flow, or its id if it is `nameless`.
    """

    kind: Literal["name_missing"] = "name_missing"
    entry: str
    verb: Verb
    flow: str
    rule: str
    typed: str | None = None
    nameless: bool = False
    reason_too: bool = False
    door: Door = Door.SLASH


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlreadySo(Answer):
    """The flow already has the wanted status: nothing opened."""

    kind: Literal["already_so"] = "already_so"
    verb: Verb
    project: str
    flow: records.Flow


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoSuchFlow(Answer):
    """No flow has this id or name, or several have: nothing opened.

    `candidates` are (id, name) pairs, the most likely first.
    """

    kind: Literal["no_such_flow"] = "no_such_flow"
    typed: str
    project: str
    candidates: tuple[tuple[str, str], ...] = ()
    ambiguous: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unreadable(Answer):
    """The cloud could not be read: nothing opened."""

    kind: Literal["unreadable"] = "unreadable"
    typed: str
    project: str
    failure: CloudFailure


@dataclasses.dataclass(frozen=True, kw_only=True)
class WhichProject(Answer):
    """The project is unknown, or none was named and the channel belongs to none of several: nothing opened."""

    kind: Literal["which_project"] = "which_project"
    typed: str | None
    projects: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CannotPost(Answer):
    """The card could not be posted in `channel`, so nothing opened; `code` is Slack's error code."""

    kind: Literal["cannot_post"] = "cannot_post"
    channel: str
    code: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class SharedChannel(Answer):
    """People of other organisations can see `channel`: nothing opened. Not `sure` if Slack could not be asked."""

    kind: Literal["shared_channel"] = "shared_channel"
    channel: str
    project: str
    sure: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeverShown(Answer):
    """The request ended before its card could be posted."""

    kind: Literal["never_shown"] = "never_shown"
    card: CardLink
    state: State


@dataclasses.dataclass(frozen=True, kw_only=True)
class TooLate(Answer):
    """The command waited for more than a minute: nothing opened. `waited` is in seconds."""

    kind: Literal["too_late"] = "too_late"
    waited: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class TooMany(Answer):
    """The person sent `most` commands within a minute: nothing opened. They may send more in `wait` seconds."""

    kind: Literal["too_many"] = "too_many"
    most: int
    wait: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settled(Answer):
    """A click that came too late: what the request is now, and who decided that."""

    kind: Literal["settled"] = "settled"
    button: Button
    card: CardLink
    state: State
    progress: Progress
    by: str | None
    at: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoSuchRequest(Answer):
    """A click or a modal for a request that is not in the store."""

    kind: Literal["no_such_request"] = "no_such_request"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checking(Answer):
    """The rights of the person who clicked are still being checked; the answer follows."""

    kind: Literal["checking"] = "checking"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noted(Answer):
    """A click or a modal is done, and nothing is shown; `what` names it for the audit."""

    kind: Literal["noted"] = "noted"
    what: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenyReasonAsked(Answer):
    """The denial counts; the denier may still give a reason in a modal."""

    kind: Literal["deny_reason_asked"] = "deny_reason_asked"
    request_id: str
    flow: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class TooSoon(Answer):
    """The second press of an emergency comes `wait` seconds too soon; None if the first press is missing."""

    kind: Literal["too_soon"] = "too_soon"
    flow: str
    wait: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SecondNeeded(Answer):
    """Over the limit of emergencies in 24 hours: another member must press second. `people` are their ids."""

    kind: Literal["second_needed"] = "second_needed"
    flow: str
    used: int
    limit: int
    who_could: tuple[str, ...]
    people: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewAsked(Answer):
    """The person who clicked may review the emergency in a modal."""

    kind: Literal["review_asked"] = "review_asked"
    request_id: str
    verb: Verb
    flow: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unexpected(Answer):
    """An unexpected error stopped the work on an entry; `error_id` finds it in the log and the audit."""

    kind: Literal["unexpected"] = "unexpected"
    error_id: str


AnyAnswer = Annotated[
    Opened
    | Joined
    | Blocked
    | HeldInPrivate
    | Refused
    | ReasonMissing
    | NameMissing
    | AlreadySo
    | NoSuchFlow
    | Unreadable
    | WhichProject
    | CannotPost
    | SharedChannel
    | NeverShown
    | TooLate
    | TooMany
    | Settled
    | NoSuchRequest
    | Checking
    | Noted
    | DenyReasonAsked
    | TooSoon
    | SecondNeeded
    | ReviewAsked
    | Unexpected,
    pydantic.Field(discriminator="kind"),
]
