"""stub"""
import dataclasses, enum
class Verb(enum.StrEnum):
    STOP = "stop"
    START = "start"
    STATUS = "status"
    LIST = "list"
    PENDING = "pending"
    HISTORY = "history"
    WHOAMI = "whoami"
    HELP = "help"
@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """Ask for a changing verb on one flow. `flow` is an id or a name, as typed."""
    verb: Verb
    flow: str
    project: str | None = None
    reason: str | None = None
    dry_run: bool = False
@dataclasses.dataclass(frozen=True, kw_only=True)
class Help:
    verb: Verb | None = None
@dataclasses.dataclass(frozen=True, kw_only=True)
class UsageError:
    verb: Verb | None
    problem: str
@dataclasses.dataclass(frozen=True, kw_only=True)
class NotYet:
    what: str
Parsed = Change | Help | UsageError | NotYet
def parse(text: str) -> Parsed:
    return UsageError(verb=None, problem="stub")
def render(command: Change | Help) -> str:
    return ""
