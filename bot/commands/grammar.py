"""The grammar: parse the text of a command into what it asks for.

Pure and total: every text is a `ChangeCommand`, a `ReadCommand`, a `HelpCommand`, a `NotYet` or a `UsageError`, and
only a `ChangeCommand` can change anything. A text means the same at every door. This module must not know which flows
and projects exist, nor the wording of any message.
"""

import dataclasses
import difflib
import enum
import re
from collections.abc import Mapping
from typing import Final

from bot.commands import slack_text
from bot.commands.verbs import CHANGES, NOT_BUILT, TAKE_VALUE, VERBS, Option, Verb

FLOW: Final = slack_text.FLOW
"""The id or the name of a flow."""

MAX_TEXT: Final = 8000
"""The maximum length of a command in characters; Slack sends no more."""

MAX_REASON: Final = 500
MAX_DETAIL: Final = 80
"""The maximum length of `UsageError.detail` in characters."""


class UsageProblem(enum.StrEnum):
    """Why a text is not a command. The comments say what `UsageError.detail` holds."""

    NO_VERB = "no_verb"  # nothing; there are only options or a reason
    UNKNOWN_VERB = "unknown_verb"  # the word
    NO_FLOW = "no_flow"  # nothing
    BAD_FLOW = "bad_flow"  # the word, which cannot be the id or name of a flow
    BAD_ADDRESS = "bad_address"  # the URL, which names no flow or several
    SEVERAL_FLOWS = "several_flows"  # all the flows
    STRAY_WORDS = "stray_words"  # the words, most likely a reason without `because`
    UNKNOWN_OPTION = "unknown_option"  # the option as typed
    REPEATED_OPTION = "repeated_option"  # the option
    OPTION_WITHOUT_VALUE = "option_without_value"  # the option
    OPTION_WITH_VALUE = "option_with_value"  # the option, which takes none
    BAD_PROJECT = "bad_project"  # the value, which cannot be the name of a project
    EMPTY_REASON = "empty_reason"  # nothing
    OPTION_IN_REASON = "option_in_reason"  # the option
    REASON_TOO_LONG = "reason_too_long"  # nothing; see MAX_REASON
    TOO_LONG = "too_long"  # nothing; see MAX_TEXT


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChangeCommand:
    """A changing verb for one flow. `flow` is an id or a name, as typed: it matches `FLOW`."""

    verb: Verb
    flow: str
    project: str | None = None
    reason: str | None = None
    dry_run: bool = False
    emergency: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadCommand:
    """A verb that only reads. `about` is a flow as typed; for `list` it is the text to search for."""

    verb: Verb
    about: str | None = None
    project: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class HelpCommand:
    """A question how to use a verb, or all of them."""

    verb: Verb | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class UsageError:
    """A text that was not understood; nothing happens. `verb` is the typed verb, or the closest match if any."""

    verb: Verb | None
    problem: UsageProblem
    detail: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NotYet:
    """A command with the verb or option `what`, which this version does not support yet; nothing happens."""

    what: str


Parsed = ChangeCommand | ReadCommand | HelpCommand | UsageError | NotYet

_VERB_OF: Final[Mapping[str, Verb]] = {verb.value: verb for verb in Verb}
_OPTION_OF: Final[Mapping[str, Option]] = {option.value: option for option in Option}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Given:
    """An option as typed; `option` is None if it is unknown."""

    typed: str
    option: Option | None
    value: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Sorted:
    """The words, options and reason of a text, not yet validated. `reason` is None if there is no `because`."""

    words: tuple[slack_text.Word, ...]
    options: tuple[_Given, ...]
    reason: str | None

    @property
    def project(self) -> str | None:
        """The value of `--project`."""
        return next((given.value for given in self.options if given.option is Option.PROJECT), None)

    def has(self, option: Option) -> bool:
        """Return whether an option is given."""
        return any(given.option is option for given in self.options)


def parse(text: str) -> Parsed:
    """Parse a command as Slack delivers it: with Slack's escapes, and without `/flow` or the mention.

    Never raises. If any part of the text is not understood, nothing is asked for.
    """
    if len(text) > MAX_TEXT:
        return _error(None, UsageProblem.TOO_LONG)
    found = _sort(text)
    if not found.words:
        return _error(None, UsageProblem.NO_VERB) if found.options or found.reason is not None else HelpCommand()
    word = found.words[0].text
    verb = _VERB_OF.get(word.lower())
    if verb is None:
        return _error(_nearest(word), UsageProblem.UNKNOWN_VERB, word)
    if not VERBS[verb].built:
        return NotYet(what=verb)
    return _judge_options(verb, found) or _ask(verb, found)


def _ask(verb: Verb, found: _Sorted) -> ChangeCommand | ReadCommand | HelpCommand | UsageError:
    if verb in CHANGES:
        return _change(verb, found)
    return _help(found) if verb is Verb.HELP else _read(verb, found)


def render(command: ChangeCommand | ReadCommand | HelpCommand) -> str:
    """Write a command in its canonical form, escaped as Slack delivers it; `parse` is the inverse."""
    if isinstance(command, HelpCommand):
        return Verb.HELP if command.verb is None else f"{Verb.HELP} {command.verb}"
    about = command.flow if isinstance(command, ChangeCommand) else command.about
    parts = [command.verb.value, *(_protect(_escape(word)) for word in (about or "").split())]
    if command.project is not None:
        parts += [Option.PROJECT, _protect(command.project)]
    if isinstance(command, ChangeCommand):
        parts += [Option.DRY_RUN] * command.dry_run + [Option.EMERGENCY] * command.emergency
        parts += [] if command.reason is None else ["because", _escape(command.reason)]
    return " ".join(parts)


def judge_reason(reason: str) -> UsageProblem | None:
    """Return what is wrong with a reason typed in a modal, or None if it is valid."""
    found = _find_fault(slack_text.reason(reason))
    return None if found is None else found[0]


def _nearest(word: str) -> Verb | None:
    """Return the verb that was most likely meant, if any."""
    near = difflib.get_close_matches(word[:MAX_DETAIL].lower(), list(Verb), n=1)
    return Verb(near[0]) if near else None


def _sort(text: str) -> _Sorted:
    read = slack_text.read(text)
    words: list[slack_text.Word] = []
    options: list[_Given] = []
    awaits_value = False
    for piece in read.pieces:
        given = _given(piece) if isinstance(piece, slack_text.Dashed) else None
        word = slack_text.Word(text=piece.typed) if isinstance(piece, slack_text.Dashed) else piece
        if given is not None:
            options.append(given)
        elif awaits_value and not word.is_dash:
            options[-1] = dataclasses.replace(options[-1], value=word.text)
        else:
            words.append(word)
        awaits_value = given is not None and given.option in TAKE_VALUE and given.value is None
    return _Sorted(words=tuple(words), options=tuple(options), reason=read.reason)


def _given(piece: slack_text.Dashed) -> _Given | None:
    """Parse a piece as an option; None for an unknown one with a single dash, which may be an id."""
    option = _OPTION_OF.get(piece.name)
    if option is None and piece.single:
        return None
    return _Given(typed=piece.typed, option=option, value=piece.value)


def _judge_options(verb: Verb, found: _Sorted) -> UsageError | NotYet | None:
    for given in found.options:
        if given.option is None or given.option not in VERBS[verb].options:
            return _error(verb, UsageProblem.UNKNOWN_OPTION, given.typed)
    names = [given.option for given in found.options if given.option is not None]
    for name in names:
        if name in NOT_BUILT:
            return NotYet(what=name)
        if names.count(name) > 1:
            return _error(verb, UsageProblem.REPEATED_OPTION, name)
    for name, given in zip(names, found.options, strict=True):
        if name in TAKE_VALUE and not given.value:
            return _error(verb, UsageProblem.OPTION_WITHOUT_VALUE, name)
        if name not in TAKE_VALUE and given.value is not None:
            return _error(verb, UsageProblem.OPTION_WITH_VALUE, name)
    return None


def _help(found: _Sorted) -> HelpCommand | UsageError:
    topics = found.words[1:]
    if len(topics) > 1 or found.reason is not None:
        return _error(Verb.HELP, UsageProblem.STRAY_WORDS, _joined(topics[1:]) or "because")
    if not topics:
        return HelpCommand()
    verb = _VERB_OF.get(topics[0].text.lower())
    return (
        HelpCommand(verb=verb) if verb else _error(_nearest(topics[0].text), UsageProblem.UNKNOWN_VERB, topics[0].text)
    )


def _read(verb: Verb, found: _Sorted) -> ReadCommand | UsageError:
    words = found.words[1:]
    if found.reason is not None:
        return _error(verb, UsageProblem.STRAY_WORDS, "because")
    if verb in (Verb.PENDING, Verb.WHOAMI) and words:
        return _error(verb, UsageProblem.STRAY_WORDS, _joined(words))
    wrong = _judge_project(verb, found)
    if wrong is not None:
        return wrong
    if verb is Verb.LIST or not words:
        none = _error(verb, UsageProblem.NO_FLOW)
        return (
            none if verb is Verb.STATUS else ReadCommand(verb=verb, about=_joined(words) or None, project=found.project)
        )
    flow = _judge_flows(verb, words, has_reason=False)
    return flow if isinstance(flow, UsageError) else ReadCommand(verb=verb, about=flow, project=found.project)


def _change(verb: Verb, found: _Sorted) -> ChangeCommand | UsageError:
    flow = _judge_flows(verb, found.words[1:], has_reason=found.reason is not None)
    if isinstance(flow, UsageError):
        return flow
    wrong = _judge_reason(verb, found.reason) or _judge_project(verb, found)
    if wrong is not None:
        return wrong
    return ChangeCommand(
        verb=verb,
        flow=flow,
        project=found.project,
        reason=found.reason,
        dry_run=found.has(Option.DRY_RUN),
        emergency=found.has(Option.EMERGENCY),
    )


def _judge_project(verb: Verb, found: _Sorted) -> UsageError | None:
    project = found.project
    return None if project is None or FLOW.fullmatch(project) else _error(verb, UsageProblem.BAD_PROJECT, project)


def _judge_flows(verb: Verb, flows: tuple[slack_text.Word, ...], *, has_reason: bool) -> str | UsageError:
    """Return the one flow that was typed, by id or name; the URL of its page in the console counts as its id."""
    if not flows:
        return _error(verb, UsageProblem.NO_FLOW)
    more = flows[1:]
    if more and (has_reason or all(_looks_like_flow(word) for word in more)):
        return _error(verb, UsageProblem.SEVERAL_FLOWS, _joined(flows))
    if more:
        return _error(verb, UsageProblem.STRAY_WORDS, _joined(more))
    word = flows[0].text
    if slack_text.is_address(word):
        return slack_text.flow_in(word) or _error(verb, UsageProblem.BAD_ADDRESS, word)
    return word if FLOW.fullmatch(word) and not flows[0].is_dash else _error(verb, UsageProblem.BAD_FLOW, word)


def _looks_like_flow(word: slack_text.Word) -> bool:
    """Guess whether a word is a flow rather than prose; this only chooses between two usage errors."""
    return word.quoted or (not word.is_dash and re.search(r"[0-9_-]", word.text) is not None)


def _judge_reason(verb: Verb, reason: str | None) -> UsageError | None:
    found = None if reason is None else _find_fault(reason)
    return None if found is None else _error(verb, *found)


def _find_fault(reason: str) -> tuple[UsageProblem, str] | None:
    """Return what is wrong with a reason, and the option that it contains, if any."""
    if not reason:
        return UsageProblem.EMPTY_REASON, ""
    if len(reason) > MAX_REASON:
        return UsageProblem.REASON_TOO_LONG, ""
    for piece in map(slack_text.dashed, reason.split()):
        option = None if piece is None else _OPTION_OF.get(piece.name)
        if option is not None:
            return UsageProblem.OPTION_IN_REASON, option
    return None


def _error(verb: Verb | None, problem: UsageProblem, detail: str = "") -> UsageError:
    shown = detail if len(detail) <= MAX_DETAIL else detail[: MAX_DETAIL - 1] + "…"
    return UsageError(verb=verb, problem=problem, detail=shown)


def _joined(words: tuple[slack_text.Word, ...]) -> str:
    return " ".join(word.text for word in words)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _protect(word: str) -> str:
    """Quote an escaped word that would otherwise not be parsed as a word."""
    plain = slack_text.Word(text=word.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    stands_for_itself = slack_text.read(word) == slack_text.Text(pieces=(plain,), reason=None) and not plain.is_dash
    return word if stands_for_itself else f"`{word}`"
