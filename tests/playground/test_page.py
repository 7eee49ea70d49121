"""The playground's page without a browser: access, content, switches, start and end."""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import aiohttp
import pytest

from bot.playground import rehearsal
from bot.playground.page import control, launch, server
from bot.policy.file.problems import SettingsInvalid
from bot.serve import http_server
from tests.nursery import Nursery

PATIENCE: Final = 120.0

FLOWBOT: Final = (sys.executable, "-m", "bot", "playground")

POLICY: Final = """
[projects.eu-west]
project_id = "fedcba9876543210fedcba9876543210"
region = "eu-west-101"
channels = ["C024BE7LR", "C0OPS"]

[people]
desk = ["U024BE7LH", "S0614TZR7"]
"heads of desk" = ["W012A3CDE", "U0PAT"]

[[rules]]
name = "the desk stops \\"news\\", a head approves"
verbs = ["stop"]
who = ["desk"]
flows = ["news-*"]
approvals = 1
approvers = ["heads of desk"]
reason = "required"
expires = "10m"
"""


class Window:
    """A page that nobody sees: the server's events, and the posts of its buttons."""

    def __init__(self, session: aiohttp.ClientSession, url: str, user: str) -> None:
        self.seen: dict[str, Any] = {}
        self._session = session
        self._url = url
        self._user = user

    async def until(self, happened: Callable[[dict[str, Any]], object]) -> None:
        """Follow the stream until the condition holds."""
        async with asyncio.timeout(PATIENCE), self._session.get(f"{self._url}events?as={self._user}") as stream:
            self.seen = {}
            async for line in stream.content:
                if line.startswith(b"data: "):
                    news = json.loads(line.removeprefix(b"data: "))
                    self.seen = {key: value for key, value in self.seen.items() if key not in news["gone"]} | news[
                        "set"
                    ]
                if self.seen and happened(self.seen):
                    return
        pytest.fail(f"the stream ended; seen: {self.seen}")

    async def post(self, door: str, action: str, /, **given: Any) -> dict[str, Any]:
        """Post what a button posts."""
        headers = {"origin": self._url.rstrip("/")}
        async with self._session.post(f"{self._url}{door}/{action}", json=given, headers=headers) as response:
            told: dict[str, Any] = await response.json()
            return told

    async def says(self, text: str, **more: Any) -> dict[str, Any]:
        """Send a line from the composer."""
        return await self.post("do", "say", **({"as": self._user, "channel": "C0INCIDENT", "text": text} | more))

    def messages(self) -> list[dict[str, Any]]:
        """Return the visible messages, oldest first."""
        return sorted((one for key, one in self.seen.items() if key.startswith("m:")), key=lambda one: str(one["ts"]))


def words(seen: Mapping[str, Any]) -> str:
    """Return all text of the visible messages."""
    return json.dumps([value for key, value in seen.items() if key.startswith("m:")], ensure_ascii=False)


@contextlib.asynccontextmanager
async def opened(scene: rehearsal.Scene, directory: pathlib.Path, nursery: Nursery) -> AsyncIterator[launch.Playground]:
    with http_server.listen("127.0.0.1", 0) as listener:
        async with launch.playground(scene, directory, listener, launch=nursery.launch) as running:
            yield running


@pytest.fixture
async def playground(tmp_path: pathlib.Path, nursery: Nursery) -> AsyncIterator[launch.Playground]:
    async with opened(rehearsal.sample(), tmp_path, nursery) as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened_session:
        yield opened_session


@pytest.fixture
def alice(session: aiohttp.ClientSession, playground: launch.Playground) -> Window:
    return Window(session, playground.url, "U0ALICE")


async def test_the_page_and_its_files_come_with_a_strict_policy(
    session: aiohttp.ClientSession, playground: launch.Playground
) -> None:
    for path in ("", "static/main.js", "static/style.css", "static/flowbot.svg", "static/none", "none"):
        async with session.get(playground.url + path) as response:
            assert response.status == (404 if path.endswith("none") else 200)
            policy = response.headers["content-security-policy"]
            assert policy.startswith("default-src 'self';")
            assert "unsafe" not in policy
            assert response.headers["x-content-type-options"] == "nosniff"


async def test_the_page_begins_with_somebody_who_is_there(
    session: aiohttp.ClientSession, playground: launch.Playground
) -> None:
    for address in (playground.url, f"{playground.url}?as=U0NOBODY"):
        async with session.get(address) as response:
            assert str(response.url) == f"{playground.url}?as=U0ALICE"


def test_the_scripts_make_no_markup_and_are_short() -> None:
    scripts = sorted(server.STATIC.glob("*.js"))
    assert len(scripts) > 10
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            script
        )
        assert len(text.splitlines()) <= 400, script
    page = (server.STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|style=|\son\w+=|<script(?! type=\"module\" src=)", page)


async def test_only_this_page_on_this_machine_is_let_in(
    session: aiohttp.ClientSession, playground: launch.Playground
) -> None:
    own = playground.url.rstrip("/")
    refused = (
        ("GET", "", {"host": "evil.example"}),
        ("GET", "events?as=U0ALICE", {"host": "evil.example:80"}),
        ("POST", "do/say", {"content-type": "application/json"}),
        ("POST", "do/say", {"content-type": "application/json", "origin": "https://evil.example"}),
        ("POST", "do/say", {"content-type": "text/plain", "origin": own}),
    )
    for method, path, headers in refused:
        async with session.request(method, playground.url + path, headers=headers, data=b"{}") as response:
            assert response.status == 403, (method, path, headers)


async def test_it_listens_on_loopback_alone(playground: launch.Playground) -> None:
    port = int(playground.url.rstrip("/").rpartition(":")[2])
    for family, address in ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.2")):
        with socket.socket(family) as other:
            other.settimeout(1)
            with pytest.raises(OSError, match="refused"):
                other.connect((address, port))


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("do/fly", b"{}", 400),
        ("do/say", b"[1]", 400),
        ("do/say", b"not JSON", 400),
        ("do/click", b'{"as": "U0ALICE"}', 400),
        ("set/switch", b'{"name": "gravity", "on": true}', 400),
        ("set/bot", b'{"do": "dance"}', 400),
        ("tell/say", b"{}", 404),
        ("do/say", b" " * (server.MOST_BYTES + 1), 413),
    ],
)
async def test_invalid_requests_get_a_4xx(
    session: aiohttp.ClientSession, playground: launch.Playground, path: str, body: bytes, status: int
) -> None:
    headers = {"origin": playground.url.rstrip("/"), "content-type": "application/json"}
    async with session.post(playground.url + path, data=body, headers=headers) as response:
        assert response.status == status


async def test_the_page_shows_no_view_of_an_unknown_person(
    session: aiohttp.ClientSession, playground: launch.Playground
) -> None:
    for user in ("", "U0NOBODY", "U0FLOWBOT"):
        async with session.get(f"{playground.url}events?as={user}") as response:
            assert response.status == 404


async def test_a_command_becomes_a_card_and_the_stream_tells_it(alice: Window) -> None:
    told = await alice.says("/flow stop main-feed because <b> & more")
    await alice.until(lambda seen: "Approve Stop" in words(seen) and seen["requests"])

    assert told["ok"]
    assert "&lt;b&gt; &amp; more" in words(alice.seen)
    assert alice.seen["requests"][0]["state"] == "pending"
    assert alice.seen["audit"]
    assert [call["status"] for key, call in alice.seen.items() if key.startswith("c:")] == [404, 200, 200]


def _has_card_and_came_by_socket(seen: dict[str, Any]) -> bool:
    calls = {one["method"] for key, one in seen.items() if key.startswith("s:")}
    return "Approve Stop" in words(seen) and "apps.connections.open" in calls


async def test_with_socket_a_command_becomes_a_card_also_after_a_crash(
    session: aiohttp.ClientSession, tmp_path: pathlib.Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *FLOWBOT, "--socket", "--port", "0", "--no-open", cwd=tmp_path, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        said = re.search(r"http://\S+", (await process.stdout.readline()).decode())
        assert said is not None
        alice = Window(session, said[0], "U0ALICE")
        await alice.says("/flow stop main-feed")
        await alice.until(_has_card_and_came_by_socket)

        await alice.post("set", "bot", do="kill")
        await alice.says("/flow help")
        await alice.until(lambda seen: "dispatch_failed" in words(seen))
        await alice.post("set", "bot", do="start")
        await alice.says("/flow help")
        await alice.until(lambda seen: "asks to stop" in words(seen))
    finally:
        process.terminate()
        assert await process.wait() == 0


async def test_an_ephemeral_is_for_one_person_alone(
    alice: Window, session: aiohttp.ClientSession, playground: launch.Playground
) -> None:
    bob = Window(session, playground.url, "U0BOB")

    await alice.says("/flow help")
    await alice.until(lambda seen: "asks to stop" in words(seen))
    await bob.until(lambda seen: "me" in seen)

    assert alice.messages()[-1]["private"]
    assert "asks to stop" not in words(bob.seen)


async def test_plain_words_mentions_and_other_commands(alice: Window, playground: launch.Playground) -> None:
    await alice.says("hello @bob <script>")
    await alice.says("/weather")
    root = playground.world.slack.workspace.messages("C0INCIDENT")[0]
    await alice.says("@flowbot stop main-feed", thread=root.ts)
    await alice.says("/flow stop main-feed", thread=root.ts)
    await alice.until(lambda seen: "slash commands in threads" in words(seen))

    said = words(alice.seen)
    assert "hello <@U0BOB> &lt;script&gt;" in said
    assert "`/weather` is not a command here" in said
    assert "<@U0FLOWBOT> stop main-feed" in said


async def test_actions_that_no_client_allows_are_explained(
    session: aiohttp.ClientSession, playground: launch.Playground
) -> None:
    gone = Window(session, playground.url, "U0GONE")

    told = await gone.says("/flow stop main-feed")

    assert not told["ok"]
    assert "deactivated" in told["problems"][0]


async def test_an_old_version_of_a_card_can_still_be_pressed(alice: Window, playground: launch.Playground) -> None:
    await alice.says("/flow stop main-feed")
    await alice.until(lambda seen: "Approve Stop" in words(seen))
    card = next(one for one in alice.messages() if one["blocks"] and not one["private"])
    press = {"channel": card["channel"], "ts": card["ts"], "version": card["version"], "action": "approve"}
    await alice.post("do", "click", **press, **{"as": "U0CAROL"})
    await alice.until(lambda seen: "in hk: STANDBY" in words(seen))

    told = await alice.post("do", "click", **press, **{"as": "U0DAVE"})

    assert told["ok"]
    assert len(playground.world.live.calls_of("PUT", "/flows/stop")) == 1


def _only(*names: str) -> Callable[[dict[str, Any]], bool]:
    return lambda seen: bool(seen["switches"] == list(names))


async def test_each_switch_goes_on_and_off(alice: Window) -> None:
    for name in control.SWITCHES:
        await alice.post("set", "switch", name=name, on=True)
        await alice.until(_only(name))
        await alice.post("set", "switch", name=name, on=False)
        await alice.until(_only())

    await alice.says("/flow stop main-feed")
    await alice.until(lambda seen: "Approve Stop" in words(seen))


async def test_the_bot_can_be_killed_and_started_again(alice: Window, playground: launch.Playground) -> None:
    first = playground.bot.pid

    await alice.post("set", "bot", do="kill")
    await alice.until(lambda seen: seen["bot"]["state"] == "killed")
    await alice.says("/flow help")
    await alice.until(lambda seen: "dispatch_failed" in words(seen))
    await alice.post("set", "bot", do="start")
    await alice.until(lambda seen: seen["bot"] == {"state": "ready", "pid": playground.bot.pid, "starts": 2})
    await alice.says("/flow help")

    await alice.until(lambda seen: "asks to stop" in words(seen))
    assert playground.bot.pid != first


async def test_rights_are_taken_away_and_given_back(alice: Window, playground: launch.Playground) -> None:
    workspace = playground.world.slack.workspace

    await alice.post("set", "person", user="U0BOB", kind="guest")
    await alice.post("set", "person", user="U0CAROL", kind="deactivated")
    await alice.post("set", "group", group="S0MEDIAGRP", user="U0ERIN", **{"in": False})

    assert workspace.persons["U0BOB"].is_restricted
    assert workspace.persons["U0CAROL"].deleted
    assert workspace.groups["S0MEDIAGRP"].members == ()
    await alice.post("set", "person", user="U0BOB", kind="member")
    assert not workspace.persons["U0BOB"].is_restricted


async def test_a_policy_is_rehearsed_with_people_made_for_it(
    session: aiohttp.ClientSession, tmp_path: pathlib.Path, nursery: Nursery
) -> None:
    scene = rehearsal.of_file(POLICY.encode(), name="flowbot.toml")
    async with opened(scene, tmp_path, nursery) as playground:
        window = Window(session, playground.url, "U024BE7LH")
        await window.until(lambda seen: "me" in seen)

        people = {one["id"]: one for one in window.seen["people"]}
        assert [people[id]["name"] for id in ("U024BE7LH", "W012A3CDE", "U0PAT")] == [
            "desk-1",
            "heads of desk-1",
            "pat",
        ]
        assert people["U0614TZR71"]["sets"] == ["desk"]
        assert {"guest", "single-channel guest", "other organisation", "deactivated"} <= {
            one["kind"] for one in people.values()
        }
        assert [one["name"] for one in window.seen["channels"]] == ["eu-west", "ops"]
        assert {one["name"] for one in window.seen["flows"]} == {"news-sample", "main-feed", "backup-feed", "studio-b"}

        await window.says("/flow stop news-sample because of a loop", channel="C024BE7LR")
        await window.until(lambda seen: "Approve Stop" in words(seen))
        await window.says("/flow stop main-feed because of a loop", channel="C024BE7LR")
        await window.until(lambda seen: "No rule lets you stop" in words(seen))


def test_a_policy_keeps_its_rules_when_it_is_written_anew() -> None:
    scene = rehearsal.of_file(POLICY.encode(), name="flowbot.toml")

    again = rehearsal.of_file(scene.text.replace("{endpoint}", "http://127.0.0.1:1").encode(), name="again").policy

    assert again.people == scene.policy.people
    assert [rule.name for rule in again.rules] == ['the desk stops "news", a head approves']
    assert (again.rules[0].flows, again.rules[0].reason_required, again.rules[0].expires) == (("news-*",), True, 600.0)


def test_freezes_and_protected_flows_of_a_policy_are_rehearsed_too() -> None:
    times = 'from = 2026-12-24T18:00:00, to = 2026-12-27T06:00:00Z, zone = "Europe/Berlin"'
    more = f'protected = ["premium-*"]\nfreeze = [{{ {times}, deny = true }}]\n'
    scene = rehearsal.of_file((POLICY + more).encode(), name="flowbot.toml")

    again = rehearsal.of_file(scene.text.replace("{endpoint}", "http://127.0.0.1:1").encode(), name="again").policy

    (before,), (after,) = scene.policy.rules, again.rules
    assert (after.protected, after.freezes) == (before.protected, before.freezes)
    assert len(after.freezes) == 1
    assert "premium-sample" in rehearsal._flow_names(again, next(iter(again.projects)))


def test_a_policy_keeps_who_may_use_emergencies_and_how_often() -> None:
    text = f'emergency_limit = 7\n{POLICY}emergency = ["U0ZOE"]\n'
    scene = rehearsal.of_file(text.encode(), name="flowbot.toml")

    again = rehearsal.of_file(scene.text.replace("{endpoint}", "http://127.0.0.1:1").encode(), name="again").policy

    assert (again.rules[0].emergency, again.rules[0].emergency_limit) == (("U0ZOE",), 7)
    assert "U0ZOE" in rehearsal._entries(again)


def test_a_wrong_policy_is_refused_with_its_places() -> None:
    with pytest.raises(SettingsInvalid, match=r"mine\.toml:1: is not TOML"):
        rehearsal.of_file(b"rules = [", name="mine.toml")


def _fails(*arguments: str, directory: pathlib.Path) -> str:
    """Run the command, which must exit with 2, and return its output."""
    ended = subprocess.run(  # noqa: S603 - our own command
        [*FLOWBOT, *arguments], cwd=directory, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ended.returncode == 2, ended
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_a_taken_port_is_one_sentence(tmp_path: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = _fails("--port", port, directory=tmp_path)
    assert said == f"--port: cannot listen on port {port}: Address already in use\n"


def test_a_missing_and_a_wrong_config_are_a_sentence_each(tmp_path: pathlib.Path) -> None:
    assert _fails("--config", "none.toml", directory=tmp_path) == (
        "--config: none.toml cannot be read: No such file or directory\n"
    )
    (tmp_path / "mine.toml").write_text(POLICY.replace('verbs = ["stop"]', 'verbs = ["halt"]'))
    assert "mine.toml:13: rule 1, verbs" in _fails("--config", "mine.toml", directory=tmp_path)


def test_a_directory_in_use_is_not_taken_over(tmp_path: pathlib.Path) -> None:
    (tmp_path / "flowbot.db").write_text("")
    assert _fails("--keep", ".", directory=tmp_path) == "--keep: . is not empty; name a new directory\n"


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_leaves_nothing_behind(tmp_path: pathlib.Path, by: signal.Signals) -> None:
    environ = {"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin", "SLACK_APP_TOKEN": "not-for-the-playground"}
    with subprocess.Popen(  # noqa: S603 - our own command
        [*FLOWBOT, "--port", "0", "--no-open"], cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "The playground is at http://127.0.0.1:" in process.stdout.readline()
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(by)
        assert process.wait(timeout=PATIENCE) == 0
    assert list(tmp_path.iterdir()) == []
    assert [child for child in children if pathlib.Path(f"/proc/{child}").exists()] == []


def test_kept_files_stay(tmp_path: pathlib.Path) -> None:
    with subprocess.Popen(  # noqa: S603 - our own command
        [*FLOWBOT, "--port", "0", "--no-open", "--keep", "kept"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE) == 0
    assert {"flowbot.db", "flowbot.toml"} <= {path.name for path in (tmp_path / "kept").iterdir()}


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
def test_the_bot_ends_even_where_the_playground_is_killed(tmp_path: pathlib.Path) -> None:
    with subprocess.Popen(  # noqa: S603 - our own command
        [*FLOWBOT, "--port", "0", "--no-open", "--keep", "kept"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (child,) = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        ended = os.pidfd_open(int(child))
        process.kill()
    readable, _, _ = select.select([ended], [], [], PATIENCE)
    os.close(ended)
    assert readable
