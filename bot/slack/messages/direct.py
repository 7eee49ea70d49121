"""Immediate answers, given before anything is recorded: help, usage, and whether a delivery was recorded.

Owns these words. Must not know the grammar itself: verbs, usages and examples come from the table in `commands`.
"""

from collections.abc import Iterable, Mapping
from typing import Final, assert_never

from bot.commands import grammar
from bot.commands import verbs as verb_table
from bot.commands.grammar import UsageProblem
from bot.commands.verbs import VERBS, Door, Option, Verb
from bot.slack.messages import emergencies
from bot.slack.messages.message import Message, tell
from bot.slack.messages.text import code
from bot.usecases import query_results
from bot.usecases.ports import Recording

MOST_USAGE: Final = 150

EVERY_VERB: Final = query_results.Usable(verbs=frozenset(VERBS))

CHECKING: Final = "I am still checking your rights…"

_OPTIONS: Final = {
    Option.PROJECT: "`--project NAME` names the project if the channel does not belong to one.",
    Option.DRY_RUN: "`--dry-run` goes through every check and approval but changes nothing.",
    Option.EMERGENCY: (
        "`--emergency` skips the approvals if a rule lets you: everybody is told, and it is reviewed afterwards."
    ),
}
_LOOKING: Final = {
    Verb.LIST: "the list of flows",
    Verb.PENDING: "the open requests",
    Verb.HISTORY: "the history",
    Verb.WHOAMI: "what you may do here",
}
_REASON: Final = "`because TEXT` comes last: the rest of the line is the reason."


_PROBLEMS: Final[Mapping[UsageProblem, str]] = {
    UsageProblem.NO_VERB: "The command has no verb.",
    UsageProblem.UNKNOWN_VERB: "I do not know the verb {typed}.",
    UsageProblem.NO_FLOW: "Please say which flow, by its id or its exact name.",
    UsageProblem.BAD_FLOW: "{typed} cannot be a flow: an id or a name has 1 to 64 letters, digits, `-` and `_`.",
    UsageProblem.BAD_ADDRESS: "{typed} does not name exactly one flow; please type the flow's id or its exact name.",
    UsageProblem.SEVERAL_FLOWS: "I can take only one flow at a time, but you gave several: {typed}.",
    UsageProblem.STRAY_WORDS: "I do not know what to do with {typed}.",
    UsageProblem.UNKNOWN_OPTION: "I do not know the option {typed} here.",
    UsageProblem.REPEATED_OPTION: "The option {typed} is given more than once.",
    UsageProblem.OPTION_WITHOUT_VALUE: "The option {typed} needs a value after it.",
    UsageProblem.OPTION_WITH_VALUE: "The option {typed} takes no value.",
    UsageProblem.BAD_PROJECT: "{typed} cannot be a project: a name has 1 to 64 letters, digits, `-` and `_`.",
    UsageProblem.EMPTY_REASON: "The reason is empty.",
    UsageProblem.OPTION_IN_REASON: "The option {typed} is inside the reason; put options before the reason.",
    UsageProblem.REASON_TOO_LONG: f"The reason is longer than {grammar.MAX_REASON} characters.",
    UsageProblem.TOO_LONG: f"The command is longer than {grammar.MAX_TEXT:,} characters.",
}


def help_text(
    verb: Verb | None, *, usable: query_results.Usable = EVERY_VERB, door: Door = Door.SLASH, in_thread: bool = False
) -> Message:
    """Return how to use one verb, or every verb that the reader may use where they ask."""
    unsure = () if usable.sure else ("Slack did not tell me in time who you are: some of this may not be open to you.",)
    lines = _all_verbs(usable, door) if verb is None else _one_verb(verb, usable, door)
    return tell(*lines, *unsure, *_about_the_door(door, in_thread=in_thread))


def usage(error: grammar.UsageError, *, door: Door = Door.SLASH, in_thread: bool = False) -> Message:
    """Return what was wrong, and the usage of the nearest verb."""
    said = f"{problem(error.problem, error.detail)} Nothing was done."
    here = _about_the_door(door, in_thread=in_thread)
    if error.verb is None:
        return tell(said, _usages(VERBS, door), *here)
    example = code(verb_table.example(error.verb, door), most=MOST_USAGE)
    if error.problem is UsageProblem.STRAY_WORDS and VERBS[error.verb].who is verb_table.Audience.CHANGES:
        said = f"{problem(error.problem, error.detail)} A reason starts with `because`. Nothing was done."
    return tell(said, f"Usage: {_usage(error.verb, door)}\nExample: {example}", *here)


def not_yet(value: grammar.NotYet) -> Message:
    """Return that this version does not have the option yet."""
    return tell(f"This version of flowbot does not have {code(value.what)} yet. Nothing was done.")


def reading(flow: str, *, dry_run: bool = False, emergency: bool = False) -> Message:
    """Return that the flow is being read; `flow` is as typed. No blocks: this is made before every acknowledgement."""
    return Message(text=f"{emergencies.mark(dry_run=dry_run, emergency=emergency)}Reading {code(flow)}…", blocks=())


def looking(command: grammar.ReadCommand) -> Message:
    """Return that the result is being read; no blocks, as above."""
    if command.verb in (Verb.STATUS, Verb.HISTORY) and command.about is not None:
        return reading(command.about)
    return Message(text=f"Reading {_LOOKING[command.verb]}…", blocks=())


def recording(value: Recording, *, door: Door = Door.SLASH) -> Message | None:
    """Return what happened to a delivery that may not have been recorded; None for one that was recorded."""
    match value:
        case Recording.NEW | Recording.REPEATED:
            return None
        case Recording.FULL:
            return tell("Too many requests at once: nothing was recorded. Please try again in a minute.")
        case Recording.NOT_RECORDED:
            return tell("Nothing was recorded: my database did not accept it. Please try again in a minute.")
        case Recording.UNCONFIRMED:
            pending = code(verb_table.example(Verb.PENDING, door))
            return tell(f"I could not confirm it; look at {pending}; asking again is safe.")
        case _:
            assert_never(value)


def too_many() -> Message:
    """Return that too many people use the read commands at once."""
    return tell("Too many requests at once. Please try again in a minute.")


def unreadable() -> Message:
    """Return that the database could not be read."""
    return tell("I could not read my database. Nothing was changed; please try again in a minute.")


def checking() -> Message:
    """Return that asking Slack about people takes a while."""
    return tell(CHECKING)


def modal_not_opened() -> Message:
    """Return that Slack did not open the modal for a reason."""
    return tell("Slack did not open the reason window. Please type the command again with `because` and your reason.")


def starting_up() -> Message:
    """Return that the bot is not ready yet."""
    return tell("I am still starting, so nothing was recorded. Please try again in a few seconds.")


def unexpected(error_id: str) -> Message:
    """Return that an unexpected error occurred; `error_id` finds it in the log."""
    return tell("Something went wrong on my side; asking again is safe.", error_is_logged(error_id))


def error_is_logged(error_id: str) -> str:
    """Return the sentence with the id of an unexpected error."""
    return f"Whoever runs flowbot can find it in the log as {code(error_id)}."


def problem(wrong: UsageProblem, detail: str) -> str:
    """Return one sentence on what was wrong with the command."""
    return _PROBLEMS[wrong].format(typed=code(detail))


def _all_verbs(usable: query_results.Usable, door: Door) -> tuple[str, ...]:
    mine = [verb for verb in VERBS if verb in usable.verbs]
    about = code(verb_table.example(Verb.HELP, door))
    kept = ", ".join(code(verb) for verb in VERBS if verb not in usable.verbs)
    closed = (f"No rule lets you use {kept} here.",) if kept else ()
    return "These are my commands:", _usages(mine, door), f"{about} explains one of them.", *closed


def _one_verb(verb: Verb, usable: query_results.Usable, door: Door) -> tuple[str, ...]:
    if verb not in usable.verbs:
        whoami = code(verb_table.example(Verb.WHOAMI, door))
        return (f"No rule lets you use {code(verb)} here; {whoami} shows what you may do.",)
    return f"{_usage(verb, door)} {VERBS[verb].does}.", *_details(verb, door)


def _usages(verbs: Iterable[Verb], door: Door) -> str:
    return "\n".join(f"• {_usage(verb, door)} {VERBS[verb].does}." for verb in verbs)


def _usage(verb: Verb, door: Door) -> str:
    return code(verb_table.usage(verb, door), most=MOST_USAGE)


def _about_the_door(door: Door, *, in_thread: bool) -> tuple[str, ...]:
    if door is Door.MENTION and in_thread:
        return ("Slack allows no slash commands in threads: here, mention me as the first word of a message.",)
    return ()


def _details(verb: Verb, door: Door) -> tuple[str, ...]:
    entry = VERBS[verb]
    options = [words for option, words in _OPTIONS.items() if option in entry.options]
    takes_reason = entry.who is verb_table.Audience.CHANGES
    about = (
        *(
            ("`FLOW` is an id, an exact name, or the address of the flow's page in the console.",)
            if "FLOW" in entry.arguments
            else ()
        ),
        *options,
        *((_REASON,) if takes_reason else ()),
    )
    example = f"Example: {code(verb_table.example(verb, door), most=MOST_USAGE)}"
    return ("\n".join(about), example) if about else (example,)
