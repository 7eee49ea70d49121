"""What a machine lacks is said at the end of a test run, with the command that brings it."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def test_a_run_without_a_browser_says_how_to_install_one(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/settings/test_variables.py"]
    done = subprocess.run(  # noqa: S603 - our own words
        command, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Tests that need chromium are left out. To run them: apt-get install chromium" in done.stdout
