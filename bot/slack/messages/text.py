"""Text from people and the cloud made safe for Slack's mrkdwn; Slack's notation for people, channels, times and links.

Owns escaping and shortening: text from outside leaves here on one line, bounded, and unable to ping, link or open a
code span. Must not know requests, states or sentences.
"""

import datetime
import itertools
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from bot.commands.deliveries import Actor
from bot.usecases.answers import CardLink

ELLIPSIS: Final = "…"

_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "ˋ"}
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters by category, but invisible
_MOST_MARKS: Final = 3  # accents on one letter; more would cover the lines above and below
_PLACE: Final = re.compile(r"[CDG][A-Za-z0-9]{1,63}")
_GROUP: Final = re.compile(r"S[A-Za-z0-9]{1,63}")
_PERSON: Final = re.compile(r"[UW][A-Za-z0-9]{1,63}")
_SITE: Final = re.compile(r"https?://[A-Za-z0-9.:-]+/?")
_TS: Final = re.compile(r"[0-9]+\.[0-9]+")


def clean(text: str) -> str:
    """Return the text on one line, without characters that are invisible or change the direction of writing."""
    kept: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category.startswith("M") else 0
        if character.isspace() or category == "Cc":
            kept.append(" ")
        elif category not in ("Cf", "Cs") and character not in _BLANK_LETTERS and marks <= _MOST_MARKS:
            kept.append(character)
    return " ".join("".join(kept).split())


def escape(text: str, *, most: int = 150) -> str:
    """Return the text ready for mrkdwn, at most `most` characters as Slack counts them, shortened with an ellipsis."""
    pieces = [_ENTITIES.get(character, character) for character in clean(text)]
    if sum(map(len, pieces)) <= most:
        return "".join(pieces)
    lengths = itertools.accumulate(map(len, pieces))
    kept = (piece for piece, length in zip(pieces, lengths, strict=True) if length + len(ELLIPSIS) <= most)
    return "".join(kept).rstrip() + ELLIPSIS


def code(value: str, *, most: int = 80) -> str:
    """Return the value as a code span; its content has at most `most` characters."""
    escaped = escape(value, most=most)
    return f"`{escaped}`" if escaped else "(empty)"


def quote(value: str, *, most: int = 300) -> str:
    """Return what a person wrote, in quotation marks."""
    return f"“{escape(value, most=most)}”"


def user(user_id: str) -> str:
    """Return Slack's notation for a person. In a new message that everybody sees, it pings."""
    return f"<@{user_id}>" if _PERSON.fullmatch(user_id) else code(user_id)


def acting(actor: Actor, *, acts: bool = False) -> str:
    """Return who did something, and that they did it on the host; with `acts`, as the subject of a sentence."""
    if actor.login is None:
        return user(actor.user)
    return f"{user(actor.user)}, on the host{',' if acts else ''}"


def mention(some_id: str) -> str:
    """Return Slack's notation for a person or a user group; anything else becomes code and pings nobody."""
    if _GROUP.fullmatch(some_id):
        return f"<!subteam^{some_id}>"
    return f"<@{some_id}>" if _PERSON.fullmatch(some_id) else code(some_id)


def quiet(user_id: str, *, workspace_url: str) -> str:
    """Return a person as a link to their profile: it can be opened, and pings nobody."""
    if _PERSON.fullmatch(user_id) and _SITE.fullmatch(workspace_url):
        return f"<{workspace_url.rstrip('/')}/team/{user_id}|{user_id}>"
    return code(user_id)


def channel(channel_id: str) -> str:
    """Return Slack's notation for a channel."""
    return f"<#{channel_id}>" if _PLACE.fullmatch(channel_id) else code(channel_id)


def date(at: float) -> str:
    """Return a time that each reader sees in their own time zone; where Slack cannot, in UTC."""
    return _date(at, "{time}")


def day(at: float) -> str:
    """Return a time with its day, as each reader sees it in their own time zone; where Slack cannot, in UTC."""
    return _date(at, "{date_short_pretty} at {time}")


def _date(at: float, notation: str) -> str:
    """Return a time in Slack's notation. Never raises: a bad date must not break a message."""
    try:
        fallback = datetime.datetime.fromtimestamp(at, tz=datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return "(a date out of range)"
    return f"<!date^{int(at)}^{notation}|{fallback}>"


def link(card: CardLink, *, workspace_url: str) -> str:
    """Return a link to the card with its channel; only the channel if the card's address is not known yet."""
    place = channel(card.channel)
    if not (card.ts and _TS.fullmatch(card.ts) and _PLACE.fullmatch(card.channel) and _SITE.fullmatch(workspace_url)):
        return f"its card in {place}"
    address = f"{workspace_url.rstrip('/')}/archives/{card.channel}/p{card.ts.replace('.', '')}"
    if card.thread and _TS.fullmatch(card.thread):
        address = f"{address}?thread_ts={card.thread}&amp;cid={card.channel}"
    return f"<{address}|its card> in {place}"


def listed(words: tuple[str, ...], *, most: int = 10, last: str = "and") -> str:
    """Return words as a list, at most `most` of them."""
    shown = words if len(words) <= most else (*words[:most], f"{len(words) - most} more")
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} {last} {shown[-1]}"


def fit(lines: Iterable[str], *, most: int) -> str:
    """Join as many whole lines as fit; a notation that is cut would show its raw characters."""
    kept: list[str] = []
    room = most - len(ELLIPSIS)
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            kept.append(ELLIPSIS)
            break
        kept.append(line)
    return "\n".join(kept)


def short_id(flow_id: str) -> str:
    """Return the last four characters of a flow id."""
    return escape(flow_id[-4:])
