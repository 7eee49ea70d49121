"""What people type, freed from what a Slack client makes of it: wrapped links, escapes, typographic marks, characters
that nobody sees.

Pure, and total. It knows words, dashes, quotes and where a reason begins, and no verb and no option: those are for
`commands`.
"""

import dataclasses
import re
import unicodedata
import urllib.parse
from typing import Final

_TYPOGRAPHIC: Final = "–—―"
_DASHES: Final = f"-‐‑‒{_TYPOGRAPHIC}−﹘﹣－"
_DASHED: Final = re.compile(rf"(?P<dashes>[{_DASHES}]+)(?P<name>[^=]*)(?P<value>=.*)?", re.DOTALL)
_DASH: Final = re.compile(f"[{_DASHES}]")
_QUOTES: Final = "`´'\"‘’‚‛“”„‟«»‹›′″"
_GUILLEMETS: Final = re.compile(r"([«‹])\s*([^\s«»‹›]+)\s*([»›])")  # French keyboards put spaces inside
_WRAP: Final = re.compile(r"<(?P<url>[A-Za-z][A-Za-z0-9+.-]*:[^<>|\s]*)(?:\|(?P<label>[^<>]*))?>")
_ENTITY: Final = re.compile(r"&(amp|lt|gt);")
_MENTION: Final = re.compile(r"\s*<@(?P<user>[A-Z0-9]+)(?:\|[^<>]*)?>(?:\s*[:,])?(?P<rest>.*)", re.DOTALL)

# The repeats are bounded where they could otherwise be tried from every dash of a long run of dashes.
_REASON_OPENS: Final = re.compile(
    rf"""(?: (?<!\S)(?:[{_DASHES}]+\s*)?because  |  [{_TYPOGRAPHIC}]{{1,3}}\s{{0,8}}because ) (?=\s|$)
      |  (?<!\S)[{_DASHES}]+reason(?:=|(?=\s|$))""",
    re.IGNORECASE | re.VERBOSE,
)

FLOW: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What an id and an exact name of a flow have in common, and the name of a project (a bare key in TOML) has too."""

_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_FLOW_KEYS: Final = frozenset({"flow_id", "flowid", "flow-id"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Word:
    """A word before the reason. Quoted, it stands for itself: it is no option, and no dash."""

    text: str
    quoted: bool = False

    @property
    def is_dash(self) -> bool:
        """Whether it consists only of dashes."""
        return not self.quoted and _DASH.sub("", self.text) == ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dashed:
    """A word that begins with dashes: its name with two plain ones, in small letters, and what stands behind `=`."""

    typed: str
    name: str
    value: str | None
    single: bool


Piece = Word | Dashed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text:
    """A text in its pieces. `reason` is None where none was begun."""

    pieces: tuple[Piece, ...]
    reason: str | None


def read(text: str) -> Text:
    """Parse a text as Slack delivers it."""
    seen = _visible(text)
    opening = _REASON_OPENS.search(seen)
    head = seen if opening is None else seen[: opening.start()]
    reason = None if opening is None else _on_one_line(_unescape(_WRAP.sub(_link_in_reason, seen[opening.end() :])))
    head = _GUILLEMETS.sub(r"\1\2\3", _unescape(_WRAP.sub(_link, head)))
    return Text(pieces=tuple(dashed(piece) or _word(piece) for piece in head.split()), reason=reason)


def reason(text: str) -> str:
    """Read a reason that was typed on its own, where Slack escapes and wraps nothing."""
    return _on_one_line(_visible(text))


def dashed(piece: str) -> Dashed | None:
    """Read a piece as one that begins with dashes; None for any other, which a run of dashes is too."""
    match = _DASHED.fullmatch(piece)
    if match is None or piece == match["dashes"]:
        return None
    value = None if match["value"] is None else match["value"][1:].strip(_QUOTES)
    name = "--" + _DASH.sub("-", match["name"]).lower()
    return Dashed(typed=piece, name=name, value=value, single=match["dashes"] == "-")


def after_mention(text: str, user: str) -> str | None:
    """Return what follows a mention of this user at the beginning of a message; None where it does not begin so."""
    match = _MENTION.fullmatch(_visible(text))
    return match["rest"].strip() if match is not None and match["user"] == user else None


def is_address(word: str) -> bool:
    """Return whether a word is a URL."""
    return _ADDRESS.fullmatch(word) is not None


def flow_in(address: str) -> str | None:
    """Return the id of the flow that the address of a page of the console names; None where it names none or several.

    The id stands behind `flow_id`, before or behind the `#`; else it is the only UUID among the parts of the path.
    """
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError:
        return None
    places = [(parts.path, parts.query), (parts.fragment.partition("?")[0], parts.fragment.partition("?")[2])]
    pairs = [pair for _, query in places for pair in urllib.parse.parse_qsl(query)]
    named = {value.strip() for key, value in pairs if key.lower() in _FLOW_KEYS}
    in_path = {part for path, _ in places for part in path.split("/") if _UUID.fullmatch(part)}
    found = named or in_path
    flow = next(iter(found)) if len(found) == 1 else ""
    return flow if FLOW.fullmatch(flow) else None


def _visible(text: str) -> str:
    """Drop zero-width and control characters, bidi marks, and halves of characters; what is a space stays."""
    return "".join(each for each in text if each.isspace() or unicodedata.category(each) not in ("Cc", "Cf", "Cs"))


def _on_one_line(text: str) -> str:
    """Write the text on one line: a line break in a reason could pass for a line of the card."""
    return re.sub(r"\s", " ", text).strip()


def _unescape(text: str) -> str:
    return _ENTITY.sub(lambda entity: {"amp": "&", "lt": "<", "gt": ">"}[entity[1]], text)


def _link(wrap: re.Match[str]) -> str:
    """Show what was typed before the reason.

    The title of a page is no flow, so its address counts; but where a label could itself be a flow, both are shown, and
    nobody guesses.
    """
    url, label = wrap["url"], wrap["label"] or wrap["url"]
    if not is_address(url) or flow_in(_unescape(url)) is None or label == url:
        return label
    return f"{label}={url}" if FLOW.fullmatch(label) else url


def _link_in_reason(wrap: re.Match[str]) -> str:
    """Show what was typed: the label where Slack made the link, both parts where a person did."""
    label, url = wrap["label"] or wrap["url"], wrap["url"]
    made_by_slack = label in (url, url.partition(":")[2].lstrip("/"))
    return label if made_by_slack else f"{label} ({url})"


def _word(piece: str) -> Word:
    inner = piece.strip(_QUOTES)
    quoted = inner != "" and piece[0] in _QUOTES and piece[-1] in _QUOTES
    return Word(text=inner if quoted else piece, quoted=quoted)
