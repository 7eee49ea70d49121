"""The stand-in for Slack against an app in Bolt for JavaScript, `tests/bolt_js`, over both doors.

It runs where that app's packages are installed: `npm ci --prefix tests/bolt_js`.
"""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator

import pytest

from bot.playground.slack.server import SlackStandIn
from tests.bolt_js import APP, INSTALL, is_installed

pytestmark = pytest.mark.skipif(not is_installed(), reason=f"Bolt for JavaScript is not installed: {INSTALL}")

STUDIO = "C0STUDIO"
PATIENCE = 30.0
"""Real seconds for a process to start or to answer, on a machine that others use too."""


@pytest.fixture
async def slack() -> AsyncIterator[SlackStandIn]:
    """Run a Slack with one person in one channel."""
    async with SlackStandIn() as standin:
        standin.workspace.add_person("U0PAT", "pat")
        standin.workspace.add_channel(STUDIO, "studio", ["U0PAT", standin.workspace.bot_user_id])
        yield standin


@contextlib.asynccontextmanager
async def running(slack: SlackStandIn, *, by_socket: bool) -> AsyncIterator[list[str]]:
    """Run the app; the list has what it printed, once it has ended."""
    door = {"SLACK_APP_TOKEN": slack.app_token} if by_socket else {"SLACK_SIGNING_SECRET": slack.signing_secret}
    about = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_API_URL": slack.api_url, "PATH": os.environ["PATH"]}
    node = await asyncio.create_subprocess_exec(
        str(shutil.which("node")),
        str(APP),
        env=about | door,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed: list[str] = []
    try:
        assert node.stdout is not None
        async with asyncio.timeout(PATIENCE):
            port = (await node.stdout.readline()).decode().strip()
        if by_socket:
            slack.connect_socket()
            await slack.until(lambda _: slack.sockets.lines, timeout=PATIENCE)
        else:
            slack.connect(f"http://127.0.0.1:{port}/slack/events")
        yield printed
    finally:
        node.kill()
        rest, _ = await node.communicate()
        printed += rest.decode().splitlines()


@pytest.mark.parametrize("by_socket", [False, True], ids=["http", "socket"])
async def test_an_app_in_bolt_js_talks_to_the_stand_in(slack: SlackStandIn, by_socket: bool) -> None:
    async with running(slack, by_socket=by_socket) as printed:
        ack = await slack.people.command("U0PAT", STUDIO, "green", command="/tea")
        assert (ack.status, ack.problems) == (200, ())
        view = await slack.until(lambda workspace: workspace.top_view("U0PAT"), timeout=PATIENCE)
        card = await slack.until(
            lambda workspace: next(iter(workspace.with_button(STUDIO, "drink")), None), timeout=PATIENCE
        )

        wrong = await slack.people.submit("U0PAT", view, {"kind": "coffee"})
        open_still = slack.workspace.top_view("U0PAT")
        assert open_still is not None
        right = await slack.people.submit("U0PAT", open_still, {"kind": "oolong"})
        pressed = await slack.people.click("U0PAT", card, "drink")
        written = await slack.people.mention("U0PAT", STUDIO, "are you there")
        assert [(each.status, each.problems) for each in (wrong, right, pressed, written)] == [(200, ())] * 4
        assert slack.workspace.top_view("U0PAT") is None

        await slack.until(lambda workspace: len(workspace.ephemerals("U0PAT")) == 3, timeout=PATIENCE)
        question = next(each for each in slack.workspace.messages(STUDIO) if each.user == "U0PAT")
        (reply,) = await slack.until(lambda workspace: workspace.thread(question), timeout=PATIENCE)

    assert reply.plain == "yes?"
    assert {each.plain for each in slack.workspace.ephemerals("U0PAT")} == {
        "brewing green",
        "ordered oolong",
        "cheers",
    }
    current = slack.workspace.message(STUDIO, card.ts)
    assert current is not None
    assert current.plain == "<@U0PAT> drank it"
    assert [call.method for call in slack.workspace.calls if not call.ok] == []
    assert slack.sockets.strays == []
    assert printed == []
