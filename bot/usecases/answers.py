"""What one person is told for themselves: values, put into words by `slack/messages`.

An answer is stored with the row of the inbox that it answers, so it is plain data.
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
    """Where the card of a request stands; `ts` is None while it is not posted. `flow` is the flow's name.

    `thread` is the `ts` of the root of the thread that the card stands in, if it does.
    """

    request_id: str
    verb: Verb
    flow: str
    channel: str
    ts: str | None
    thread: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What every answer carries: whether it is about a dry run, which is marked on every message."""

    dry_run: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opened(Answer):
    """The card stands in another channel than the one where the command was typed."""

    kind: Literal["opened"] = "opened"
    card: CardLink


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joined(Answer):
    """A request for the same verb and flow is open already: nothing new opened."""

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

    `verb` was asked for, `held_by` is the request's. `requester` is a user id; `approvers` are as rules have them.
    """

    kind: Literal["held_in_private"] = "held_in_private"
    verb: Verb
    held_by: Verb
    flow: str
    requester: str
    approvers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refused(Answer):
    """The policy says no to a command or a click; `people` are the user and group ids behind the sets that could."""

    kind: Literal["refused"] = "refused"
    action: str
    flow: str
    decision: model.Refuse
    people: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReasonMissing(Answer):
    """The rule asks for a reason: nothing opened.

    `entry` is the id under which the command can be completed with one; `typed` is the command as it stands, to be
    typed again at the same `door`.
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
    """The flow is protected, and its name was not typed, or another one (`typed`): nothing opened.

    `entry` is the id under which the command can be completed with it; `reason_too` where a reason is missing as well.
    `flow` is what has to be typed: the flow's name, or its id where it is `nameless`.
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
    """The flow is in the wanted state: nothing opened."""

    kind: Literal["already_so"] = "already_so"
    verb: Verb
    project: str
    flow: records.Flow


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoSuchFlow(Answer):
    """Nothing, or more than one flow, is called that: nothing opened.

    `candidates` are (id, name) pairs, the likeliest first.
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
    """The channel belongs to no project and there are several, or the project named is unknown: nothing opened."""

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
    """People of other organisations see `channel`, so nothing opened; unsure where Slack could not be asked."""

    kind: Literal["shared_channel"] = "shared_channel"
    channel: str
    project: str
    sure: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeverShown(Answer):
    """The request ended before Slack took its card: what it ended as."""

    kind: Literal["never_shown"] = "never_shown"
    card: CardLink
    state: State


@dataclasses.dataclass(frozen=True, kw_only=True)
class TooLate(Answer):
    """The command was taken up more than a minute after it was sent: nothing opened. `waited` is in seconds."""

    kind: Literal["too_late"] = "too_late"
    waited: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class TooMany(Answer):
    """Somebody has sent `most` commands within a minute: nothing opened, and in `wait` seconds they may send more."""

    kind: Literal["too_many"] = "too_many"
    most: int
    wait: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settled(Answer):
    """A click on a request that is past it: what the request is now, and who made it so."""

    kind: Literal["settled"] = "settled"
    button: Button
    card: CardLink
    state: State
    progress: Progress
    by: str | None
    at: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoSuchRequest(Answer):
    """A click or a modal for a request that the store does not have."""

    kind: Literal["no_such_request"] = "no_such_request"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checking(Answer):
    """The rights of whoever clicked are still being looked up; the answer itself follows."""

    kind: Literal["checking"] = "checking"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noted(Answer):
    """What was pressed or submitted is done, and there is nothing more to show; `what` names it for the record."""

    kind: Literal["noted"] = "noted"
    what: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenyReasonAsked(Answer):
    """The denial counts; its denier may still say why, in a modal."""

    kind: Literal["deny_reason_asked"] = "deny_reason_asked"
    request_id: str
    flow: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class TooSoon(Answer):
    """The second press of an emergency does not count yet: in `wait` seconds; None where the first is missing."""

    kind: Literal["too_soon"] = "too_soon"
    flow: str
    wait: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SecondNeeded(Answer):
    """Over the limit of emergencies in 24 hours, the second press is another member's; `people` are the ids behind."""

    kind: Literal["second_needed"] = "second_needed"
    flow: str
    used: int
    limit: int
    who_could: tuple[str, ...]
    people: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewAsked(Answer):
    """Whoever pressed may review the emergency, in a modal."""

    kind: Literal["review_asked"] = "review_asked"
    request_id: str
    verb: Verb
    flow: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unexpected(Answer):
    """An unexpected error kept something from being done or told; `error_id` finds it in the log and the audit."""

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
