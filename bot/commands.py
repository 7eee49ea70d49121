"""The grammar: the text of a command in, what it asks for out; usage, and who may use it, stand beside each verb.

Pure, and total: every text is a `Change`, a `Help`, a `NotYet` or a `UsageError`, and only a `Change` may ever lead to
anything. This file must not know at which door the text came in, which flows and projects there are, or in which words
a problem is told to people.
"""

import dataclasses
import difflib
import enum
import re
import unicodedata
from collections.abc import Mapping
from typing import Final

MAX_TEXT: Final = 8000
"""Characters in a whole command; Slack sends no more."""

MAX_REASON: Final = 500
MAX_DETAIL: Final = 80
"""Characters of what was typed that a `UsageError` repeats."""


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


class Option(enum.StrEnum):
    """What may stand before the reason. `--reason` opens it, as `because` does."""

    PROJECT = "--project"
    DRY_RUN = "--dry-run"
    EMERGENCY = "--emergency"
    FOR = "--for"
    REASON = "--reason"


TAKE_VALUE: Final = frozenset({Option.PROJECT, Option.FOR})
NOT_BUILT: Final = frozenset({Option.EMERGENCY, Option.FOR})


class Who(enum.StrEnum):
    """Whom the policy lets use a verb."""

    CHANGES = "changes"
    READS = "reads"
    ANYONE = "anyone"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """What there is to know about a verb. `arguments` follow it in its usage line; `example` is a whole command."""

    does: str
    who: Who
    example: str
    arguments: str = ""
    options: frozenset[Option] = frozenset()
    built: bool = False


_CHANGE: Final = "FLOW [--project NAME] [--dry-run] [because TEXT]"

VERBS: Final[Mapping[Verb, Entry]] = {
    Verb.STOP: Entry(
        arguments=_CHANGE,
        does="asks to stop a live flow",
        who=Who.CHANGES,
        example="/flow stop main-feed because the encoder is looping",
        options=frozenset({Option.PROJECT, Option.DRY_RUN, Option.EMERGENCY, Option.FOR}),
        built=True,
    ),
    Verb.START: Entry(
        arguments=_CHANGE, does="asks to start a flow", who=Who.CHANGES, example="/flow start main-feed --dry-run"
    ),
    Verb.STATUS: Entry(arguments="FLOW", does="shows one flow", who=Who.READS, example="/flow status main-feed"),
    Verb.LIST: Entry(arguments="[TEXT]", does="shows a project's flows", who=Who.READS, example="/flow list feed"),
    Verb.PENDING: Entry(does="shows what waits to be decided", who=Who.READS, example="/flow pending"),
    Verb.HISTORY: Entry(
        arguments="[FLOW]", does="shows what was done and who decided", who=Who.READS, example="/flow history main-feed"
    ),
    Verb.WHOAMI: Entry(does="shows what you may do here", who=Who.ANYONE, example="/flow whoami"),
    Verb.HELP: Entry(
        arguments="[VERB]", does="explains the commands", who=Who.ANYONE, example="/flow help stop", built=True
    ),
}


class Problem(enum.StrEnum):
    """Why a text is no command. Each says what `UsageError.detail` holds."""

    NO_VERB = "no_verb"  # options or a reason, and no word: nothing
    UNKNOWN_VERB = "unknown_verb"  # the word
    NO_FLOW = "no_flow"  # nothing
    BAD_FLOW = "bad_flow"  # the word, which no flow can be called
    SEVERAL_FLOWS = "several_flows"  # all of them
    STRAY_WORDS = "stray_words"  # the words, most likely a reason without `because`
    UNKNOWN_OPTION = "unknown_option"  # the option as typed
    REPEATED_OPTION = "repeated_option"  # the option
    OPTION_WITHOUT_VALUE = "option_without_value"  # the option
    OPTION_WITH_VALUE = "option_with_value"  # the option, which takes none
    BAD_PROJECT = "bad_project"  # the value, which no project can be called
    EMPTY_REASON = "empty_reason"  # nothing
    OPTION_IN_REASON = "option_in_reason"  # the option
    REASON_TOO_LONG = "reason_too_long"  # nothing; see MAX_REASON
    TOO_LONG = "too_long"  # nothing; see MAX_TEXT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """Ask for a changing verb on one flow. `flow` is an id or a name, as typed: it matches `FLOW`."""

    verb: Verb
    flow: str
    project: str | None = None
    reason: str | None = None
    dry_run: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Help:
    """Ask how to use a verb, or what there is."""

    verb: Verb | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class UsageError:
    """Not understood, so nothing happens. `verb` is the one that was typed, or the nearest to it if any is near."""

    verb: Verb | None
    problem: Problem
    detail: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NotYet:
    """Understood, but this version does not have the verb or the option `what`: nothing happens."""

    what: str


Parsed = Change | Help | UsageError | NotYet

FLOW: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What an id and an exact name of a flow have in common, and the name of a project (a bare key in TOML) has too."""

_VERB_OF: Final[Mapping[str, Verb]] = {verb.value: verb for verb in Verb}
_OPTION_OF: Final[Mapping[str, Option]] = {option.value: option for option in Option}
_TYPOGRAPHIC: Final = "–—―"
_DASHES: Final = f"-‐‑‒{_TYPOGRAPHIC}−﹘﹣－"
_DASHED: Final = re.compile(rf"(?P<dashes>[{_DASHES}]+)(?P<name>[^=]*)(?P<value>=.*)?", re.DOTALL)
_DASH: Final = re.compile(f"[{_DASHES}]")
_QUOTES: Final = "`´'\"‘’‚‛“”„‟«»‹›′″"
_GUILLEMETS: Final = re.compile(r"([«‹])\s*([^\s«»‹›]+)\s*([»›])")  # French keyboards put spaces inside
_WRAP: Final = re.compile(r"<(?P<url>[A-Za-z][A-Za-z0-9+.-]*:[^<>|\s]*)(?:\|(?P<label>[^<>]*))?>")
_ENTITY: Final = re.compile(r"&(amp|lt|gt);")

# The repeats are bounded where they could otherwise be tried from every dash of a long run of dashes.
_REASON_OPENS: Final = re.compile(
    rf"""(?: (?<!\S)(?:[{_DASHES}]+\s*)?because  |  [{_TYPOGRAPHIC}]{{1,3}}\s{{0,8}}because ) (?=\s|$)
      |  (?<!\S)[{_DASHES}]+reason(?:=|(?=\s|$))""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Word:
    """A word before the reason. Quoted, it stands for itself: it is no option, and no dash."""

    text: str
    quoted: bool = False

    @property
    def is_dash(self) -> bool:
        return not self.quoted and _DASH.sub("", self.text) == ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Given:
    """An option as it was typed; `option` is None for one that nobody knows."""

    typed: str
    option: Option | None
    value: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Sorted:
    """What stands in a text, sorted but not judged. `reason` is None where none was begun."""

    words: tuple[_Word, ...]
    options: tuple[_Given, ...]
    reason: str | None


def parse(text: str) -> Parsed:
    """Say what a text asks for, as Slack delivers it: with its escapes, and without `/flow` or the mention.

    Never raises. A text with anything in it that is not understood asks for nothing.
    """
    if len(text) > MAX_TEXT:
        return _error(None, Problem.TOO_LONG)
    found = _sort(text)
    if not found.words:
        return _error(None, Problem.NO_VERB) if found.options or found.reason is not None else Help()
    word = found.words[0].text
    verb = _VERB_OF.get(word.lower())
    if verb is None:
        return _error(_nearest(word), Problem.UNKNOWN_VERB, word)
    if not VERBS[verb].built:
        return NotYet(what=verb)
    return _judge_options(verb, found.options) or (_help(found) if verb is Verb.HELP else _change(verb, found))


def render(command: Change | Help) -> str:
    """Write a command the canonical way, escaped as Slack delivers it: parsing gives the same command again."""
    if isinstance(command, Help):
        return Verb.HELP if command.verb is None else f"{Verb.HELP} {command.verb}"
    parts = [command.verb, _protect(command.flow)]
    if command.project is not None:
        parts += [Option.PROJECT, _protect(command.project)]
    if command.dry_run:
        parts.append(Option.DRY_RUN)
    if command.reason is not None:
        escaped = command.reason.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        parts += ["because", escaped]
    return " ".join(parts)


def usage(verb: Verb) -> str:
    """Write the usage line of a verb."""
    return f"/flow {verb} {VERBS[verb].arguments}".rstrip()


def _nearest(word: str) -> Verb | None:
    """Return the verb that was most likely meant."""
    near = difflib.get_close_matches(word[:MAX_DETAIL].lower(), list(Verb), n=1)
    return Verb(near[0]) if near else None


def judge_reason(reason: str) -> Problem | None:
    """Say what is wrong with a reason that was typed on its own, in a modal; None where it may complete a `Change`."""
    wrong = _judge_reason(Verb.STOP, _plain(_visible(reason)))
    return None if wrong is None else wrong.problem


def _sort(text: str) -> _Sorted:
    seen = _visible(text)
    opening = _REASON_OPENS.search(seen)
    head = seen if opening is None else seen[: opening.start()]
    reason = None if opening is None else _plain(_unescape(_WRAP.sub(_link_in_reason, seen[opening.end() :])))
    words: list[_Word] = []
    options: list[_Given] = []
    awaits_value = False
    head = _unescape(_WRAP.sub(lambda wrap: wrap["label"] or wrap["url"], head))
    for piece in _GUILLEMETS.sub(r"\1\2\3", head).split():
        given, word = _option(piece), _word(piece)
        if given is not None:
            options.append(given)
        elif awaits_value and not word.is_dash:
            options[-1] = dataclasses.replace(options[-1], value=word.text)
        else:
            words.append(word)
        awaits_value = given is not None and given.option in TAKE_VALUE and given.value is None
    return _Sorted(words=tuple(words), options=tuple(options), reason=reason)


def _visible(text: str) -> str:
    """Drop zero-width and control characters, bidi marks, and halves of characters; what is a space stays."""
    return "".join(each for each in text if each.isspace() or unicodedata.category(each) not in ("Cc", "Cf", "Cs"))


def _plain(text: str) -> str:
    """Write the text on one line: a line break in a reason could pass for a line of the card."""
    return re.sub(r"\s", " ", text).strip()


def _unescape(text: str) -> str:
    return _ENTITY.sub(lambda entity: {"amp": "&", "lt": "<", "gt": ">"}[entity[1]], text)


def _link_in_reason(wrap: re.Match[str]) -> str:
    """Show what was typed: the label where Slack made the link, both parts where a person did."""
    label, url = wrap["label"] or wrap["url"], wrap["url"]
    made_by_slack = label in (url, url.partition(":")[2].lstrip("/"))
    return label if made_by_slack else f"{label} ({url})"


def _word(piece: str) -> _Word:
    inner = piece.strip(_QUOTES)
    quoted = inner != "" and piece[0] in _QUOTES and piece[-1] in _QUOTES
    return _Word(text=inner if quoted else piece, quoted=quoted)


def _option(piece: str) -> _Given | None:
    """Read a piece as an option; None for a word, which a run of dashes is, and `-x` too: an id may begin like that."""
    dashed = _DASHED.fullmatch(piece)
    if dashed is None or piece == dashed["dashes"]:
        return None
    option = _OPTION_OF.get("--" + _DASH.sub("-", dashed["name"]).lower())
    if option is None and dashed["dashes"] == "-":
        return None
    value = None if dashed["value"] is None else dashed["value"][1:].strip(_QUOTES)
    return _Given(typed=piece, option=option, value=value)


def _judge_options(verb: Verb, options: tuple[_Given, ...]) -> UsageError | NotYet | None:
    for given in options:
        if given.option is None or given.option not in VERBS[verb].options:
            return _error(verb, Problem.UNKNOWN_OPTION, given.typed)
    names = [given.option for given in options if given.option is not None]
    for name in names:
        if name in NOT_BUILT:
            return NotYet(what=name)
        if names.count(name) > 1:
            return _error(verb, Problem.REPEATED_OPTION, name)
    for name, given in zip(names, options, strict=True):
        if name in TAKE_VALUE and not given.value:
            return _error(verb, Problem.OPTION_WITHOUT_VALUE, name)
        if name not in TAKE_VALUE and given.value is not None:
            return _error(verb, Problem.OPTION_WITH_VALUE, name)
    return None


def _help(found: _Sorted) -> Help | UsageError:
    topics = found.words[1:]
    if len(topics) > 1 or found.reason is not None:
        return _error(Verb.HELP, Problem.STRAY_WORDS, " ".join(word.text for word in topics[1:]) or "because")
    if not topics:
        return Help()
    verb = _VERB_OF.get(topics[0].text.lower())
    return Help(verb=verb) if verb else _error(_nearest(topics[0].text), Problem.UNKNOWN_VERB, topics[0].text)


def _change(verb: Verb, found: _Sorted) -> Change | UsageError:
    flows = found.words[1:]
    wrong = _judge_flows(verb, flows, has_reason=found.reason is not None) or _judge_reason(verb, found.reason)
    if wrong is not None:
        return wrong
    values = {given.option: given.value for given in found.options}
    project = values.get(Option.PROJECT)
    if project is not None and not FLOW.fullmatch(project):
        return _error(verb, Problem.BAD_PROJECT, project)
    dry_run = Option.DRY_RUN in values
    return Change(verb=verb, flow=flows[0].text, project=project, reason=found.reason, dry_run=dry_run)


def _judge_flows(verb: Verb, flows: tuple[_Word, ...], *, has_reason: bool) -> UsageError | None:
    if not flows:
        return _error(verb, Problem.NO_FLOW)
    more = flows[1:]
    if more and (has_reason or all(_looks_like_flow(word) for word in more)):
        return _error(verb, Problem.SEVERAL_FLOWS, " ".join(word.text for word in flows))
    if more:
        return _error(verb, Problem.STRAY_WORDS, " ".join(word.text for word in more))
    if flows[0].is_dash or not FLOW.fullmatch(flows[0].text):
        return _error(verb, Problem.BAD_FLOW, flows[0].text)
    return None


def _looks_like_flow(word: _Word) -> bool:
    """Guess whether a word is a flow rather than prose: it only decides which of two problems is told."""
    return word.quoted or (not word.is_dash and re.search(r"[0-9_-]", word.text) is not None)


def _judge_reason(verb: Verb, reason: str | None) -> UsageError | None:
    if reason is None:
        return None
    if not reason:
        return _error(verb, Problem.EMPTY_REASON)
    if len(reason) > MAX_REASON:
        return _error(verb, Problem.REASON_TOO_LONG)
    for piece in reason.split():
        given = _option(piece)
        if given is not None and given.option is not None:
            return _error(verb, Problem.OPTION_IN_REASON, given.option)
    return None


def _error(verb: Verb | None, problem: Problem, detail: str = "") -> UsageError:
    shown = detail if len(detail) <= MAX_DETAIL else detail[: MAX_DETAIL - 1] + "…"
    return UsageError(verb=verb, problem=problem, detail=shown)


def _protect(word: str) -> str:
    """Quote a word that would otherwise not be read as a word."""
    return f"`{word}`" if word.startswith("-") or word.lower() == "because" else word
