"""A channel as a chat in the terminal."""

import click
import pytest

from bot.playground import chat, world
from bot.playground.slack.server import SlackStandIn
from bot.playground.slack.workspace import Workspace
from tests.fakes import FakeClock

HERE = "C0INCIDENT"


class Screen:
    """A printer and its output."""

    def __init__(self) -> None:
        slack = SlackStandIn(clock=FakeClock())
        world.settle(slack)
        self.lines: list[str] = []
        self.workspace: Workspace = slack.workspace
        self.printer = chat.Printer(
            slack.workspace, place=HERE, echo=lambda line: self.lines.append(click.unstyle(line))
        )

    def shown(self) -> str:
        """Print what is new, and return it."""
        self.lines.clear()
        self.printer.show()
        return "\n".join(self.lines)


@pytest.fixture
async def screen() -> Screen:
    """Return an empty screen."""
    return Screen()


def test_what_is_new_is_printed_once(screen: Screen) -> None:
    screen.workspace.post(HERE, "U0ALICE", "hello")

    assert "alice" in screen.shown()
    assert screen.shown() == ""


def test_slacks_notations_read_like_a_chat(screen: Screen) -> None:
    words = "<@U0CAROL> and <!subteam^S0MEDIAGRP> in <#C0RANDOM> &lt;b&gt; <https://x.example/1|the card> "
    screen.workspace.post(HERE, "U0ALICE", words + "until <!date^1^{time}|12:00 UTC>")

    assert "@carol and @media-oncall in #random <b> the card until 12:00 UTC" in screen.shown()


def test_a_reply_is_indented_and_an_ephemeral_names_its_reader(screen: Screen) -> None:
    root = screen.workspace.post(HERE, "U0FLOWBOT", "a card")
    screen.workspace.post(HERE, "U0FLOWBOT", "a reply", thread_ts=root.ts)
    screen.workspace.post(HERE, "U0FLOWBOT", "psst", only_for="U0ALICE")

    shown = screen.shown()
    assert "↳ flowbot" in shown
    assert "only alice sees this" in shown


def test_an_edit_is_printed_as_one(screen: Screen) -> None:
    card = screen.workspace.post(HERE, "U0FLOWBOT", "first")
    screen.shown()
    screen.workspace.edit(card, text="second\nline\nthird")

    shown = screen.shown()
    assert "edits the card" in shown
    assert "second" in shown
    assert "third" not in shown


def test_scenes_and_acts_stand_out(screen: Screen) -> None:
    screen.printer.title("One")
    screen.printer.act("U0ALICE", "presses [Approve]")

    assert "── One ──" in screen.lines[0]
    assert "alice" in screen.lines[-1]


def test_long_words_are_wrapped(screen: Screen) -> None:
    screen.workspace.post(HERE, "U0ALICE", "word " * 60)

    assert all(len(line) <= chat.WIDTH + chat.NAME for line in screen.shown().splitlines())
