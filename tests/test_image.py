"""The image: what the Dockerfile says against the code, the pins and the settings. No engine is needed."""

import fnmatch
import http.server
import json
import pathlib
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Final

import pytest

from bot.cli import main as command_line
from bot.settings import variables

ROOT: Final = pathlib.Path(__file__).parents[1]
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS: Final = [
    line.partition(" ")[::2]
    for line in DOCKERFILE.replace("\\\n", "").splitlines()
    if line.strip() and not line.startswith("#")
]
FINAL: Final = INSTRUCTIONS[max(at for at, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM") :]


def given(word: str) -> list[str]:
    """Return what follows an instruction in the final stage, each time it stands there."""
    return [rest for found, rest in FINAL if found == word]


def environment() -> dict[str, str]:
    """Return the variables that the final stage sets."""
    return dict(pair.split("=", 1) for rest in given("ENV") for pair in shlex.split(rest))


def test_every_stage_begins_with_the_same_image_and_no_other_can_take_its_place() -> None:
    images = [rest.partition(" AS ")[0] for word, rest in INSTRUCTIONS if word == "FROM"]
    assert len(images) == 2
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.13\.\d+-slim-\w+@sha256:[0-9a-f]{64}", images[0])


def test_what_only_builds_stays_in_the_first_stage() -> None:
    removed = set(shlex.split(DOCKERFILE.split("pip uninstall -y ")[1].splitlines()[0]))
    assert removed == {"pip", *only_for_the_build()}
    assert any("pip uninstall -y" in rest and rest.split("&&")[0].split()[-1] == "pip" for rest in given("RUN"))
    assert not any(" install " in rest and "install -d" not in rest for rest in given("RUN"))


def only_for_the_build() -> set[str]:
    """Return the pins that nothing needs but the group `build`."""
    pins = re.split(r"\n(?=\w)", (ROOT / "requirements.txt").read_text(encoding="utf-8"))
    needed_by = {
        pin.partition("==")[0]: set(re.findall(r"^ +#(?: via)? +([\w-]+(?: \([\w.:]+\))?)$", pin, re.MULTILINE))
        for pin in pins
        if "==" in pin
    }
    unneeded = {"flowbot (pyproject.toml:build)"}
    while found := {name for name, users in needed_by.items() if users <= unneeded and name not in unneeded}:
        unneeded |= found
    return unneeded - {"flowbot (pyproject.toml:build)"}


def test_it_runs_the_bot_without_root_and_without_a_shell() -> None:
    name, verb = json.loads(given("CMD")[0])
    assert (name, verb in command_line.main.commands) == ("flowbot", True)
    assert given("USER") == ["flowbot"]
    assert FINAL.index(("USER", "flowbot")) > max(at for at, (word, _) in enumerate(FINAL) if word in ("RUN", "COPY"))


def test_its_variables_are_settings_and_its_port_is_theirs() -> None:
    assert environment().keys() - {"PATH"} <= variables.DEFAULTS.keys()
    assert environment()["PORT"] == variables.DEFAULTS["PORT"] == given("EXPOSE")[0]


def test_the_policy_is_not_where_the_bot_can_write() -> None:
    (writable,) = re.findall(r"-o flowbot (\S+)", DOCKERFILE)
    config = pathlib.PurePosixPath(environment()["FLOWBOT_CONFIG"])
    assert given("WORKDIR") == [writable]
    assert config.is_absolute()
    assert not config.is_relative_to(writable)


class Health(http.server.BaseHTTPRequestHandler):
    """Answers as the bot does on /healthz alone."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Return a port on which somebody is alive."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_address[1]
        server.shutdown()


def test_its_health_is_asked_where_the_bot_tells_it(port: int) -> None:
    _, _, command = given("HEALTHCHECK")[0].partition("CMD ")
    python, *arguments = json.loads(command)
    assert python == "python"
    codes = [
        subprocess.run(  # noqa: S603 - our own words
            [sys.executable, *arguments], env={"PORT": str(asked)}, check=False, stderr=subprocess.DEVNULL
        ).returncode
        for asked in (port, 1)
    ]
    assert codes == [0, 1]


def test_only_what_is_copied_is_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert next(line for line in lines if line and not line.startswith(("#", "!"))) == "*"
    copied = {
        source
        for word, rest in INSTRUCTIONS
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert allowed == copied
    assert all((ROOT / source).exists() for source in copied)
    assert not any(fnmatch.fnmatch(name, source) for source in allowed for name in (".env", "flowbot.db", ".git"))
