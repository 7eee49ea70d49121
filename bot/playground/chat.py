"""A channel as a chat in the terminal: prints what is new or has changed since the last time.

Knows how to display Slack's notation, and nothing about the bot.
"""

import html
import re
import textwrap
from collections.abc import Callable
from typing import Final

import click

from bot.playground.slack.records import PostedMessage
from bot.playground.slack.workspace import Workspace

WIDTH: Final = 96

NAME: Final = 10
"""Columns for the speaker's name."""

_DATE: Final = re.compile(r"<!date\^[^|>]*\|([^>]*)>")
_GROUP: Final = re.compile(r"<!subteam\^([A-Z0-9]+)>")
_USER: Final = re.compile(r"<@([A-Z0-9]+)>")
_CHANNEL: Final = re.compile(r"<#([A-Z0-9]+)(?:\|[^>]*)?>")
_LINK: Final = re.compile(r"<(https?://[^|>]*)\|([^>]*)>")


class Printer:
    """Prints one channel, with its threads and the messages that only one person sees."""

    def __init__(self, workspace: Workspace, *, place: str, echo: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._place = place
        self._echo = echo
        self._printed: dict[tuple[str, str | None], str] = {}

    def title(self, words: str) -> None:
        """Print the title of a scene."""
        self._echo("\n" + click.style(f"── {words} ", bold=True) + "─" * max(0, WIDTH - len(words) - 4))

    def act(self, user: str, words: str) -> None:
        """Print an action of a person."""
        self._echo("")
        self._line(self._name(user), words, "")

    def output(self, words: str) -> None:
        """Print what a command printed."""
        self._line("", words, "")

    def show(self) -> None:
        """Print every message that is new or has changed."""
        everybody = [one for user in self._workspace.persons for one in self._workspace.ephemerals(user, self._place)]
        roots = self._workspace.messages(self._place)
        replies = [reply for root in roots for reply in self._workspace.thread(root)]
        for message in sorted({one.ts: one for one in (*roots, *replies, *everybody)}.values(), key=lambda one: one.ts):
            self._show(message)

    def _show(self, message: PostedMessage) -> None:
        key, now = (message.ts, message.only_for), self._readable(message.plain)
        before = self._printed.get(key)
        if before == now:
            return
        self._printed[key] = now
        indent = "      ↳ " if message.thread_ts and message.thread_ts != message.ts else ""
        name = self._name(message.user)
        if message.only_for:
            name += f" → only {self._name(message.only_for)} sees this"
        elif before is not None:
            name += " edits the card"
            now = "\n".join(now.splitlines()[:2])
        self._line(name, now, indent)

    def _line(self, name: str, words: str, indent: str) -> None:
        room = WIDTH - NAME - len(indent)
        lines = [part for line in words.splitlines() for part in textwrap.wrap(line, room) or [""]]
        margin = " " * (NAME + len(indent))
        head = indent + click.style(name, bold=True)
        if len(name) < NAME:
            self._echo(head + " " * (NAME - len(name)) + lines.pop(0))
        else:
            self._echo(head)
        for line in lines:
            self._echo(margin + line)

    def _readable(self, text: str) -> str:
        text = _DATE.sub(r"\1", text)
        text = _GROUP.sub(lambda found: f"@{self._workspace.groups[found[1]].handle}", text)
        text = _USER.sub(lambda found: f"@{self._name(found[1])}", text)
        text = _CHANNEL.sub(lambda found: f"#{self._workspace.channels[found[1]].name}", text)
        return html.unescape(_LINK.sub(r"\2", text))

    def _name(self, user: str) -> str:
        return self._workspace.persons[user].name
