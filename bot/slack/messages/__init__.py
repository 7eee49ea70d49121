"""Every word that a user reads. Pure functions: values in, messages and views out.

Nothing here does I/O, reads a clock or knows a setting.
"""

from bot.slack.messages.answers import answer
from bot.slack.messages.card import card, copy, outline
from bot.slack.messages.direct import (
    checking,
    help_text,
    looking,
    modal_not_opened,
    not_yet,
    reading,
    recording,
    starting_up,
    too_many,
    unexpected,
    unreadable,
    usage,
)
from bot.slack.messages.message import Message
from bot.slack.messages.reads import show
from bot.slack.messages.replies import broadcast, reply

__all__ = [
    "Message",
    "answer",
    "broadcast",
    "card",
    "checking",
    "copy",
    "help_text",
    "looking",
    "modal_not_opened",
    "not_yet",
    "outline",
    "reading",
    "recording",
    "reply",
    "show",
    "starting_up",
    "too_many",
    "unexpected",
    "unreadable",
    "usage",
]
