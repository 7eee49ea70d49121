"""A message in Slack's format, and the few blocks that flowbot's messages are made of.

Owns the choice of blocks. Must not know what the words mean.
"""

import dataclasses

from slack_sdk.models import blocks
from slack_sdk.models.blocks import basic_components


@dataclasses.dataclass(frozen=True, kw_only=True)
class Message:
    """A message: `text` is for notifications and screen readers, `blocks` are Block Kit as JSON values."""

    text: str
    blocks: tuple[dict[str, object], ...]


def mrkdwn(text: str) -> basic_components.MarkdownTextObject:
    """Return mrkdwn text that contains only our own notation: Slack does not turn links or names in it into links."""
    return basic_components.MarkdownTextObject(text=text, verbatim=True)


def plain(text: str) -> basic_components.PlainTextObject:
    """Return a text without any notation."""
    return basic_components.PlainTextObject(text=text, emoji=False)


def section(text: str, *, block_id: str | None = None) -> blocks.Block:
    """Return a paragraph."""
    return blocks.SectionBlock(text=mrkdwn(text), block_id=block_id)


def context(*texts: str, block_id: str | None = None) -> blocks.Block:
    """Return a small paragraph of one or more texts."""
    return blocks.ContextBlock(elements=[mrkdwn(text) for text in texts], block_id=block_id)


def actions(*buttons: blocks.ButtonElement, block_id: str | None = None) -> blocks.Block:
    """Return a row of buttons."""
    return blocks.ActionsBlock(elements=list(buttons), block_id=block_id)


def message(text: str, *parts: blocks.Block) -> Message:
    """Return the finished message."""
    return Message(text=text, blocks=tuple(part.to_dict() for part in parts))


def tell(*lines: str) -> Message:
    """Return a message of a paragraph and, below it, small ones; its `text` is all of them."""
    first, *small = lines
    return message("\n".join(lines), section(first), *(context(line) for line in small))
