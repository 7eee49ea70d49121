"""Every word that a user reads, made by pure functions: values in, messages and views out.

Nothing here reads, writes, asks a clock or knows a setting.
"""

from bot.slack.messages.answers import answer
from bot.slack.messages.card import card
from bot.slack.messages.direct import (
    checking,
    help_text,
    modal_not_opened,
    not_yet,
    reading,
    recording,
    starting_up,
    unexpected,
    usage,
)
from bot.slack.messages.message import Message
from bot.slack.messages.replies import broadcast, reply

__all__ = [
    "Message",
    "answer",
    "broadcast",
    "card",
    "checking",
    "help_text",
    "modal_not_opened",
    "not_yet",
    "reading",
    "recording",
    "reply",
    "starting_up",
    "unexpected",
    "usage",
]
