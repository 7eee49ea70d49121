"""`flowbot playground --script`: the whole conversation, as a separate process."""

import os
import re
import subprocess
import sys
import time
from typing import Final

MOST_SECONDS: Final = 45.0
"""It takes a few seconds on an idle machine, three of them between the two presses."""

SCENES: Final = {
    "A stop with two approvals": (
        "/flow stop main-feed because the encoder loops",
        "0 of 2 — waiting for `media-leads`",
        "presses [Approve Stop]",
        "1 of 2 — waiting for `media-leads`",
        "2 of 2, complete",
        "`main-feed` is now STANDBY",
    ),
    "Refusals": (
        "already STANDBY, so nothing was opened",
        "No rule lets you stop `backup-feed` here",
        "You may not do this here",
        "is your own, so you may not approve it",
    ),
    "A denied request": (
        "presses [Deny]",
        "@dave denied the request to stop `backup-feed`",
        "it carries the main audience now",
    ),
    "Break-glass and its review": (
        "uses `--emergency` to stop `backup-feed`",
        "presses [Emergency Stop]",
        "presses [Confirm Emergency Stop]",
        "`backup-feed` is now STANDBY",
        "please review the emergency stop",
        "presses [Review]",
        "@carol reviewed the emergency stop of `backup-feed`: it was justified",
        "there was no time to ask",
    ),
    "Slack is away: the host": (
        '$ flowbot operations stop sports-1 --reason "the picture is frozen"',
        "Requested by @alice, on the host",
        "$ flowbot operations approve ID",
        "@carol",
        "Stopped `sports-1`",
        "on the host",
        "@carol, on the host, approved the stop of `sports-1`",
        "@dave, on the host, approved the stop of `sports-1`",
        "`sports-1` is now STANDBY",
    ),
}


def test_the_script_plays_to_its_end_and_tells_each_scene_in_order() -> None:
    command = [sys.executable, "-m", "bot", "playground", "--script"]
    began = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own command
        command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=120, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < MOST_SECONDS
    _, *scenes = re.split(r"\n── (?:\d+\. )?([^─]+) ─+\n", done.stdout)
    told = {title: _joined(words) for title, words in zip(scenes[::2], scenes[1::2], strict=True)}
    for title, lines in SCENES.items():
        rest = told[title]
        for words in lines:
            _, found, rest = rest.partition(words)
            assert found, (title, words, told[title])
    assert done.stdout.count("PUT") == 3


def _joined(words: str) -> str:
    """Return a scene on one line, since the chat wraps long lines."""
    return " ".join(words.split())
