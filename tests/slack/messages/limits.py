"""What every message must satisfy: Slack's limits, and no pings or links but those that the bot wrote."""

import json
import re
from collections.abc import Iterator
from typing import Final

from bot.playground.slack import blocks as block_kit
from bot.slack.messages import Message

MOST_TEXT: Final = 4_000
"""Maximum length of `text` that `chat.update` accepts."""

NOTATION: Final = re.compile(r"<[^<>]*>?|>")
OURS: Final = re.compile(
    r"<(@[UW]\w+|#C\w+|!subteam\^S\w+|!date\^\d+\^(\{date_short_pretty\} at )?\{time\}\|[\d:UTC -]+"
    r"|https://acme\.slack\.com/(archives/C\w+/p\d+(\?thread_ts=[\d.]+&amp;cid=C\w+)?\|its card"
    r"|team/[UW]\w+\|[UW]\w+))>"
)


def problems(message: Message) -> list[str]:
    """Return what Slack would reject in the message."""
    plain = json.loads(json.dumps(message.blocks))
    found = block_kit.problems(plain)
    if not 0 < len(message.text) <= MOST_TEXT:
        found.append(f"text has {len(message.text)} characters")
    message.text.encode()
    return found


def texts(value: object) -> Iterator[str]:
    """Yield every text of a message or a view that Slack shows."""
    if isinstance(value, Message):
        yield value.text
        yield from texts(value.blocks)
    elif isinstance(value, dict):
        if value.get("type") in ("mrkdwn", "plain_text"):
            yield str(value["text"])
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts(inner)


def foreign(value: object) -> list[str]:
    """Return the notations in a message or view that the bot does not write itself."""
    return [found for text in texts(value) for found in NOTATION.findall(text) if not OURS.fullmatch(found)]


def pings(message: Message) -> set[str]:
    """Return whom the message pings."""
    return {found for text in texts(message) for found in re.findall(r"<([@!][^>|]*)", text) if "date" not in found}


def read(message: Message) -> str:
    """Return the message as a person reads it, one line per text."""
    return "\n".join(texts(message.blocks))
