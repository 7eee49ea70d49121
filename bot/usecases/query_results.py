"""Results of the read commands: values that `slack/messages` puts into words.

They are not stored, and they leave out whatever the reader may not see.
"""

import dataclasses
from typing import Literal

from bot.commands.grammar import ReadCommand
from bot.commands.verbs import Verb
from bot.lifecycle.cloud_failure import CloudFailure
from bot.lifecycle.records import Flow, Request
from bot.policy import model, rights
from bot.usecases import answers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A request as its reader may see it; `hidden` leaves out reasons and link, which belong to another channel."""

    request: Request
    hidden: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Status:
    """One flow's current state in the cloud, the request that holds it, and its other recent requests."""

    kind: Literal["status"] = "status"
    project: str
    flow: Flow
    holder: Row | None
    last: tuple[Row, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListedFlow:
    """A row in the list of flows."""

    flow_id: str
    name: str
    status: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flows:
    """A page of a project's flows; `total` of them match the search. `age` of the list is in seconds.

    `tally` counts the matches by status; `asked` is the command that leads to the other pages.
    """

    kind: Literal["flows"] = "flows"
    project: str
    asked: ReadCommand
    rows: tuple[ListedFlow, ...]
    total: int
    tally: tuple[tuple[str, int], ...]
    page: int
    pages: int
    age: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowsUnread:
    """The cloud did not show the list of a project's flows."""

    kind: Literal["flows_unread"] = "flows_unread"
    project: str
    failure: CloudFailure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pending:
    """The open requests: those that the reader may decide, and the others; `more` are not shown."""

    kind: Literal["pending"] = "pending"
    deciding: tuple[Row, ...]
    others: tuple[Row, ...]
    more: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class History:
    """The newest requests of some projects, or for one flow, whose name or id `about` is."""

    kind: Literal["history"] = "history"
    projects: tuple[str, ...]
    about: str | None
    rows: tuple[Row, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProjectRights:
    """What the rules allow a person in one project; `emergencies` are the rules that let them use `--emergency`.

    In `emergencies`, `approvals` and `approvers` are those that break-glass skips.
    """

    project: str
    emergencies: tuple[rights.Right, ...] = ()
    rights: tuple[rights.Right, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whoami:
    """The person's identity, and what they may do in this channel."""

    kind: Literal["whoami"] = "whoami"
    person: model.Person
    belonging: rights.Belonging
    standings: tuple[ProjectRights, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Usable:
    """The verbs available to a person in this channel; not `sure` if Slack did not identify them in time."""

    verbs: frozenset[Verb]
    sure: bool = True


Shown = Status | Flows | FlowsUnread | Pending | History | Whoami

NotShown = answers.Refused | answers.NoSuchFlow | answers.Unreadable | answers.WhichProject
