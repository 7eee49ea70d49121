"""What the verbs that read show to one person: values, put into words by `slack/messages`.

None of it is kept. What its reader may not see is not in it.
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
    """A request as its reader may see it; `hidden` means without reasons and link, which are another channel's."""

    request: Request
    hidden: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Status:
    """One flow as the cloud describes it now, the request that holds it, and its newest other requests."""

    kind: Literal["status"] = "status"
    project: str
    flow: Flow
    holder: Row | None
    last: tuple[Row, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListedFlow:
    """A row of the list of flows."""

    flow_id: str
    name: str
    status: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flows:
    """A page of a project's flows; of `total` fit the text that was looked for. `age` of the list is in seconds.

    `tally` counts those that fit by their status; `asked` leads to the other pages.
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
    """What the rules say to somebody about one project; in `emergencies`, what they may do by `--emergency`.

    There `approvals` and `approvers` are what it passes over.
    """

    project: str
    emergencies: tuple[rights.Right, ...] = ()
    rights: tuple[rights.Right, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whoami:
    """Who the bot takes somebody for, and what they may do where they ask."""

    kind: Literal["whoami"] = "whoami"
    person: model.Person
    belonging: rights.Belonging
    standings: tuple[ProjectRights, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Usable:
    """The verbs that somebody may use where they ask; unsure where Slack did not say in time who they are."""

    verbs: frozenset[Verb]
    sure: bool = True


Shown = Status | Flows | FlowsUnread | Pending | History | Whoami

NotShown = answers.Refused | answers.NoSuchFlow | answers.Unreadable | answers.WhichProject
