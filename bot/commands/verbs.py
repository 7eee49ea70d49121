"""The words of the grammar: verbs, options and doors. A row for each verb holds all that differs from verb to verb.

Pure. It knows no flow and no person, and reads no text: that is for `commands`.
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
"""What stands before a command at each door."""


class Option(enum.StrEnum):
    """What may stand before the reason. `--reason` opens it, as `because` does."""

    PROJECT = "--project"
    DRY_RUN = "--dry-run"
    EMERGENCY = "--emergency"
    FOR = "--for"
    REASON = "--reason"


TAKE_VALUE: Final = frozenset({Option.PROJECT, Option.FOR})
NOT_BUILT: Final = frozenset({Option.FOR})


class Audience(enum.StrEnum):
    """Whom the policy lets use a verb."""

    CHANGES = "changes"
    READS = "reads"
    ANYONE = "anyone"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowChange:
    """What a changing verb does to a flow.

    `wanted` is the status that it leads to, in the cloud's words; `opposite` leads away from it; `past` is the verb as
    done to a flow. `call` is the last word of the path that is called, `action` the right that a key needs for it.
    `interrupts` tells whether viewers lose the stream.
    """

    wanted: str
    opposite: Verb
    past: str
    call: str
    action: str
    interrupts: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerbUsage:
    """What there is to know about a verb. `arguments` follow it in its usage line; `example` is a whole command.

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
"""What each changing verb does; no other verb is in it."""

READ: Final = "read"

RIGHTS: Final = (*(verb.value for verb in CHANGES), READ)
"""What a rule may have among its `verbs`: each changing verb, and the word for all the others."""


def right_of(verb: Verb) -> str:
    """Return the word that a rule has among its `verbs` for a verb: its own where it changes something, else "read"."""
    return verb.value if verb in CHANGES else READ


def usage(verb: Verb, door: Door = Door.SLASH) -> str:
    """Write the usage line of a verb, as it is typed at a door."""
    return f"{PREFIX[door]} {verb} {VERBS[verb].arguments}".rstrip()


def example(verb: Verb, door: Door = Door.SLASH) -> str:
    """Write a whole command of the verb, as it is typed at a door."""
    return f"{PREFIX[door]} {VERBS[verb].example}"
