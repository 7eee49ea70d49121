"""`flowbot playground --script`: the whole conversation, as a process of its own."""

import os
import subprocess
import sys


def test_the_script_plays_to_its_end_and_prints_what_was_said() -> None:
    command = [sys.executable, "-m", "bot", "playground", "--script"]
    done = subprocess.run(  # noqa: S603 - our own words
        command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    for words in ("/flow stop main-feed", "STANDBY", "presses [Approve", "may not approve", "PUT"):
        assert words in done.stdout
    assert done.stdout.count("PUT") == 1
