"""The verbs, options and doors of the grammar. Each verb is one row of `VERBS`, with everything specific to it.

Pure. Parsing is for `grammar`.
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Final


class Verb(enum.StrEnum):
    """The first word of a command."""

    STOP = "stop"
    START = "start"
    STATUS = "status"
    LIST = "list"
    PENDING = "pending"
    HISTORY = "history"
    WHOAMI = "whoami"
    HELP = "help"


class Door(enum.StrEnum):
    """Where a command is typed."""

    SLASH = "slash"
    MENTION = "mention"
    HOST = "host"


PREFIX: Final[Mapping[Door, str]] = {
    Door.SLASH: "/flow",
    Door.MENTION: "@flowbot",
    Door.HOST: "flowbot operations",
}
"""The prefix of a command at each door."""


class Option(enum.StrEnum):
    """The options of a command. `--reason` starts the reason, like `because`."""

    PROJECT = "--project"
    DRY_RUN = "--dry-run"
    EMERGENCY = "--emergency"
    FOR = "--for"
    REASON = "--reason"


TAKE_VALUE: Final = frozenset({Option.PROJECT, Option.FOR})
NOT_BUILT: Final = frozenset({Option.FOR})


class Audience(enum.StrEnum):
    """Who may use a verb."""

    CHANGES = "changes"
    READS = "reads"
    ANYONE = "anyone"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowChange:
    """What a changing verb does to a flow.

    `wanted` is the cloud's status word after it, `opposite` the verb that reverses it, `past` its past participle.
    `call` is the last part of the API's path, `action` the IAM action that the key needs. `interrupts` is true if
    viewers lose the stream.
    """

    wanted: str
    opposite: Verb
    past: str
    call: str
    action: str
    interrupts: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerbUsage:
    """One row of the verb table. `arguments` follow the verb in its usage line; `example` is a whole command.

    `change` is None for a verb that changes nothing.
    """

    does: str
    who: Audience
    example: str
    arguments: str = ""
    options: frozenset[Option] = frozenset()
    built: bool = True
    change: FlowChange | None = None


_CHANGE: Final = "FLOW [--project NAME] [--dry-run] [--emergency] [because TEXT]"
_CHANGE_OPTIONS: Final = frozenset({Option.PROJECT, Option.DRY_RUN, Option.EMERGENCY, Option.FOR})
_ONE_PROJECT: Final = frozenset({Option.PROJECT})

VERBS: Final[Mapping[Verb, VerbUsage]] = {
    Verb.STOP: VerbUsage(
        arguments=_CHANGE,
        does="asks to stop a live flow",
        who=Audience.CHANGES,
        example="stop main-feed because the encoder is looping",
        options=_CHANGE_OPTIONS,
        change=FlowChange(
            wanted="STANDBY",
            opposite=Verb.START,
            past="stopped",
            call="stop",
            action="live:ott:updateFlowStatusStop",
            interrupts=True,
        ),
    ),
    Verb.START: VerbUsage(
        arguments=_CHANGE,
        does="asks to start a flow",
        who=Audience.CHANGES,
        example="start main-feed --dry-run",
        options=_CHANGE_OPTIONS,
        change=FlowChange(
            wanted="ACTIVE",
            opposite=Verb.STOP,
            past="started",
            call="start",
            action="live:ott:updateFlowStatusStart",
            interrupts=False,
        ),
    ),
    Verb.STATUS: VerbUsage(
        arguments="FLOW [--project NAME]",
        does="shows one flow",
        who=Audience.READS,
        example="status main-feed",
        options=_ONE_PROJECT,
    ),
    Verb.LIST: VerbUsage(
        arguments="[TEXT] [--project NAME]",
        does="shows a project's flows",
        who=Audience.READS,
        example="list feed",
        options=_ONE_PROJECT,
    ),
    Verb.PENDING: VerbUsage(does="shows the open requests", who=Audience.READS, example="pending"),
    Verb.HISTORY: VerbUsage(
        arguments="[FLOW] [--project NAME]",
        does="shows the last requests, who decided and the outcome",
        who=Audience.READS,
        example="history main-feed",
        options=_ONE_PROJECT,
    ),
    Verb.WHOAMI: VerbUsage(does="shows what you may do here", who=Audience.ANYONE, example="whoami"),
    Verb.HELP: VerbUsage(arguments="[VERB]", does="explains the commands", who=Audience.ANYONE, example="help stop"),
}

CHANGES: Final[Mapping[Verb, FlowChange]] = {
    verb: entry.change for verb, entry in VERBS.items() if entry.change is not None
}
"""The changing verbs only, and what each does."""

READ: Final = "read"

RIGHTS: Final = (*(verb.value for verb in CHANGES), READ)
"""The values that `verbs` of a rule may hold: each changing verb, and "read" for all others."""


def right_of(verb: Verb) -> str:
    """Return the value of a rule's `verbs` that covers a verb."""
    return verb.value if verb in CHANGES else READ


def usage(verb: Verb, door: Door = Door.SLASH) -> str:
    """Return the usage line of a verb at a door."""
    return f"{PREFIX[door]} {verb} {VERBS[verb].arguments}".rstrip()


def example(verb: Verb, door: Door = Door.SLASH) -> str:
    """Return an example command of the verb at a door."""
    return f"{PREFIX[door]} {VERBS[verb].example}"
