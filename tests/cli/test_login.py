"""Who types a command on the host: the process's user, and nothing that a variable claims."""

import os
import pwd
import subprocess
import sys

import pytest

CODE = "from bot.cli import login; print(login.of_user())"
OWN = pwd.getpwuid(os.getuid()).pw_name
IS_ROOT = os.getuid() == 0


def login(**environ: str) -> str:
    """Return the login that a process with these variables has."""
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", CODE],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_UID", "FLOWBOT_LOGIN"])
def test_variables_never_count(name: str) -> None:
    assert login(**{name: "mallory"}) == OWN


def test_only_root_is_whoever_used_sudo() -> None:
    assert login(SUDO_USER="alice") == ("alice" if IS_ROOT else OWN)


def test_an_empty_sudo_user_is_nobody() -> None:
    assert login(SUDO_USER="") == OWN
