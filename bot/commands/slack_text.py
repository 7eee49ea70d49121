"""Undo what Slack clients do to typed text: wrapped links, escapes, typographic marks and invisible characters.

Pure and total. It finds words, dashes, quotes and the start of the reason. Verbs and options are for `grammar`.
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

# Bounded repeats: otherwise a long run of dashes takes quadratic time.
_REASON_OPENS: Final = re.compile(
    rf"""(?: (?<!\S)(?:[{_DASHES}]+\s*)?because  |  [{_TYPOGRAPHIC}]{{1,3}}\s{{0,8}}because ) (?=\s|$)
      |  (?<!\S)[{_DASHES}]+reason(?:=|(?=\s|$))""",
    re.IGNORECASE | re.VERBOSE,
)

FLOW: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""The shape of a flow's id, of a flow's name, and of a project's name (a bare key in TOML)."""

_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_FLOW_KEYS: Final = frozenset({"flow_id", "flowid", "flow-id"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Word:
    """A word before the reason. A quoted word is always a word, never an option or a dash."""

    text: str
    quoted: bool = False

    @property
    def is_dash(self) -> bool:
        """Return whether the word consists only of dashes."""
        return not self.quoted and _DASH.sub("", self.text) == ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dashed:
    """A word that begins with dashes: `name` in lower case with two plain dashes, and the `value` after `=`."""

    typed: str
    name: str
    value: str | None
    single: bool


Piece = Word | Dashed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text:
    """A text split into pieces. `reason` is None if there is no `because`."""

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
    """Clean up a reason typed in a modal, where Slack neither escapes nor wraps anything."""
    return _on_one_line(_visible(text))


def dashed(piece: str) -> Dashed | None:
    """Parse a word that begins with dashes; None for other words and for dashes alone."""
    match = _DASHED.fullmatch(piece)
    if match is None or piece == match["dashes"]:
        return None
    value = None if match["value"] is None else match["value"][1:].strip(_QUOTES)
    name = "--" + _DASH.sub("-", match["name"]).lower()
    return Dashed(typed=piece, name=name, value=value, single=match["dashes"] == "-")


def after_mention(text: str, user: str) -> str | None:
    """Return the text after a mention of this user at the start of a message; None if there is no such mention."""
    match = _MENTION.fullmatch(_visible(text))
    return match["rest"].strip() if match is not None and match["user"] == user else None


def is_address(word: str) -> bool:
    """Return whether a word is a URL."""
    return _ADDRESS.fullmatch(word) is not None


def flow_in(address: str) -> str | None:
    """Return the flow id in the URL of a console page; None if there is none or there are several.

    The id is the value of `flow_id`, before or after the `#`; otherwise it is the only UUID in the path.
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
    """Drop zero-width and control characters, bidi marks and lone surrogates; keep white space."""
    return "".join(each for each in text if each.isspace() or unicodedata.category(each) not in ("Cc", "Cf", "Cs"))


def _on_one_line(text: str) -> str:
    """Join the text into one line: a line break in a reason could fake a line of the card."""
    return re.sub(r"\s", " ", text).strip()


def _unescape(text: str) -> str:
    return _ENTITY.sub(lambda entity: {"amp": "&", "lt": "<", "gt": ">"}[entity[1]], text)


def _link(wrap: re.Match[str]) -> str:
    """Return what was typed for a link before the reason.

    The title of a page is not a flow, so the URL counts. If the label could be a flow too, keep both instead of
    guessing.
    """
    url, label = wrap["url"], wrap["label"] or wrap["url"]
    if not is_address(url) or flow_in(_unescape(url)) is None or label == url:
        return label
    return f"{label}={url}" if FLOW.fullmatch(label) else url


def _link_in_reason(wrap: re.Match[str]) -> str:
    """Return what was typed for a link in the reason: the label if Slack made the link, both parts if a person did."""
    label, url = wrap["label"] or wrap["url"], wrap["url"]
    made_by_slack = label in (url, url.partition(":")[2].lstrip("/"))
    return label if made_by_slack else f"{label} ({url})"


def _word(piece: str) -> Word:
    inner = piece.strip(_QUOTES)
    quoted = inner != "" and piece[0] in _QUOTES and piece[-1] in _QUOTES
    return Word(text=inner if quoted else piece, quoted=quoted)
