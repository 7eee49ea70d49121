"""What is answered on the spot, before or without anything being recorded: help, usage, and how a delivery went.

Owns these words. Must not know the grammar itself: verbs, usages and examples come from the table in `commands`.
"""

from collections.abc import Mapping
from typing import Final, assert_never

from bot import commands
from bot.commands import VERBS, Option, Problem, Verb
from bot.ports import Recording
from bot.slack.messages.message import Message, tell
from bot.slack.messages.text import code

MOST_USAGE: Final = 150

CHECKING: Final = "I am still checking your rights…"

_OPTIONS: Final = {
    Option.PROJECT: "`--project NAME` says which project, where the channel does not.",
    Option.DRY_RUN: "`--dry-run` goes through every check and approval, and changes nothing.",
}
_REASON: Final = "`because TEXT` takes the rest of the line as the reason, so it comes last."


_PROBLEMS: Final[Mapping[Problem, str]] = {
    Problem.NO_VERB: "The command has no verb.",
    Problem.UNKNOWN_VERB: "I do not know the verb {typed}.",
    Problem.NO_FLOW: "Please say which flow, by its id or its exact name.",
    Problem.BAD_FLOW: "{typed} cannot be a flow: an id or a name has 1 to 64 letters, digits, `-` and `_`.",
    Problem.SEVERAL_FLOWS: "I take one flow at a time, and there are several: {typed}.",
    Problem.STRAY_WORDS: "I do not know what to do with {typed}.",
    Problem.UNKNOWN_OPTION: "I do not know the option {typed} here.",
    Problem.REPEATED_OPTION: "The option {typed} is there more than once.",
    Problem.OPTION_WITHOUT_VALUE: "The option {typed} needs a value after it.",
    Problem.OPTION_WITH_VALUE: "The option {typed} takes no value.",
    Problem.BAD_PROJECT: "{typed} cannot be a project: a name has 1 to 64 letters, digits, `-` and `_`.",
    Problem.EMPTY_REASON: "The reason is empty.",
    Problem.OPTION_IN_REASON: "The option {typed} is inside the reason; options come before it.",
    Problem.REASON_TOO_LONG: f"The reason is longer than {commands.MAX_REASON} characters.",
    Problem.TOO_LONG: f"The command is longer than {commands.MAX_TEXT:,} characters.",
}


def help_text(verb: Verb | None) -> Message:
    """Return how to use one verb, or every verb that this version has."""
    if verb is None:
        return tell("These are my commands:", _all_usages(), "`/flow help stop` explains one of them.")
    if not VERBS[verb].built:
        return not_yet(commands.NotYet(what=verb))
    return tell(f"{_usage(verb)} {VERBS[verb].does}.", *_details(verb))


def usage(error: commands.UsageError) -> Message:
    """Return what could not be understood, and the usage of the nearest verb."""
    if error.verb is None or not VERBS[error.verb].built:
        return tell(f"{problem(error.problem, error.detail)} Nothing was done.", _all_usages())
    example = code(VERBS[error.verb].example, most=MOST_USAGE)
    said = problem(error.problem, error.detail)
    if error.problem is Problem.STRAY_WORDS and VERBS[error.verb].who is commands.Who.CHANGES:
        said += " A reason starts with `because`."
    return tell(f"{said} Nothing was done.", f"Usage: {_usage(error.verb)}\nExample: {example}")


def not_yet(value: commands.NotYet) -> Message:
    """Return that this version does not have what was asked for."""
    return tell(f"This version of flowbot does not have {code(value.what)} yet. Nothing was done.")


def reading(flow: str, *, dry_run: bool = False) -> Message:
    """Return that the flow is being read; `flow` is as typed. No blocks: this is made before every acknowledgement."""
    return Message(text=f"{'Dry run: ' if dry_run else ''}Reading {code(flow)}…", blocks=())


def recording(value: Recording) -> Message | None:
    """Return what became of a delivery that was not recorded for sure; None for one that was, which needs no words."""
    match value:
        case Recording.NEW | Recording.REPEATED:
            return None
        case Recording.FULL:
            return tell("There are too many at once, nothing was recorded. Please try again in a minute.")
        case Recording.NOT_RECORDED:
            return tell("Nothing was recorded, because my database did not take it. Please try again in a minute.")
        case Recording.UNCONFIRMED:
            return tell("I could not confirm it; look at `/flow pending`; asking again is safe.")
        case _:
            assert_never(value)


def checking() -> Message:
    """Return that Slack is being asked about people, which takes a while."""
    return tell(CHECKING)


def modal_not_opened() -> Message:
    """Return that Slack did not open the modal for a reason."""
    return tell("Slack did not open the window for the reason. Please type the command again, with `because` and why.")


def starting_up() -> Message:
    """Return that nothing can be taken yet."""
    return tell("I am still starting, so nothing was recorded. Please try again in a few seconds.")


def unexpected(error_id: str) -> Message:
    """Return that something failed that nobody foresaw; `error_id` finds it in the log."""
    return tell(
        "Something went wrong on my side; asking again is safe.",
        f"Whoever runs flowbot finds it in the log as {code(error_id)}.",
    )


def problem(wrong: Problem, detail: str) -> str:
    """Return one sentence on what could not be understood."""
    return _PROBLEMS[wrong].format(typed=code(detail))


def _all_usages() -> str:
    return "\n".join(f"• {_usage(verb)} {entry.does}." for verb, entry in VERBS.items() if entry.built)


def _usage(verb: Verb) -> str:
    return code(commands.usage(verb), most=MOST_USAGE)


def _details(verb: Verb) -> tuple[str, ...]:
    entry = VERBS[verb]
    options = [words for option, words in _OPTIONS.items() if option in entry.options]
    takes_reason = entry.who is commands.Who.CHANGES
    about = (
        *(("`FLOW` is an id or an exact name.",) if takes_reason else ()),
        *options,
        *((_REASON,) if takes_reason else ()),
    )
    example = f"Example: {code(entry.example, most=MOST_USAGE)}"
    return ("\n".join(about), example) if about else (example,)
