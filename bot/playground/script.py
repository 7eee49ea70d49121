"""`flowbot playground --script`: plays conversations with the real bot and prints them like a chat.

Every line was sent over a socket: what a person typed or pressed, or what the bot answered.
"""

import asyncio
import pathlib
import tempfile
from collections.abc import Callable, Mapping
from typing import Final

import click

from bot.commands import grammar
from bot.commands.deliveries import Actor, Button, Typed
from bot.commands.verbs import Door, Verb
from bot.lifecycle.records import APART
from bot.playground import chat, world
from bot.playground.slack import transcript
from bot.playground.slack.records import PostedMessage, View
from bot.serve import operations
from bot.settings import log
from bot.store import migrate

PLACE: Final = "C0INCIDENT"

PATIENCE: Final = 15.0
"""Seconds to wait for a line before giving up."""

POLICY: Final = """\
[projects.hk]
project_id = "0123456789abcdef0123456789abcdef"
region     = "ap-southeast-3"
endpoint   = "{endpoint}"
channels   = ["C0INCIDENT"]

[people]
media-oncall = ["U0ALICE", "U0BOB"]
media-leads  = ["U0CAROL", "U0DAVE"]

[[rules]]
name      = "on-call stops, two leads approve"
verbs     = ["stop"]
who       = ["media-oncall"]
approvals = 2
approvers = ["media-leads"]
emergency = ["media-oncall"]

[operators]
alice = "U0ALICE"
carol = "U0CAROL"
dave  = "U0DAVE"
"""

OPERATORS: Final = {"alice": "U0ALICE", "carol": "U0CAROL", "dave": "U0DAVE"}


def run() -> int:
    """Play the conversations and return the exit code."""
    log.configure(fmt="console", level="error", secrets=())
    asyncio.run(_play())
    return 0


async def _play() -> None:
    with tempfile.TemporaryDirectory(prefix="flowbot-") as directory:
        async with world.build(pathlib.Path(directory), policy=POLICY) as built:
            built.live.add_flow(world.PROJECT_ID, "5f3c1b20-4d7e-4f7a-9a6b-3e8c2d1f0a97", "sports-1")
            migrate.migrate(built.environ["DATABASE_URL"])
            async with built.bot():
                play = Play(built)
                for scene in (two_approvals, the_wrong_people, a_denial, break_glass, on_the_host):
                    await scene(play)
                play.close()


class Play:
    """Lets people act, waits for the bot's answers, and prints both."""

    def __init__(self, built: world.World) -> None:
        self._url = built.environ["DATABASE_URL"]
        self._slack = built.slack
        self._live = built.live
        self._clock = built.clock
        self._printer = chat.Printer(built.slack.workspace, place=PLACE, echo=click.echo)

    def scene(self, title: str) -> None:
        """Begin a scene."""
        self._printer.title(title)

    async def types(self, user: str, text: str, *, until: str) -> None:
        """Type a command as `user`, and wait until the bot has said `until`."""
        self._printer.act(user, f"/flow {text}")
        await self._slack.people.command(user, PLACE, text)
        await self.hear(until)

    async def presses(self, user: str, button: str, *, until: str) -> None:
        """Press a button of the card as `user`, and wait until the bot has said `until`."""
        card = await self._card(button)
        label = card.buttons[button]["text"]["text"]
        self._printer.act(user, f"presses [{label}]")
        await self._slack.people.click(user, card, button)
        await self.hear(until)

    async def fills_in(self, user: str, values: Mapping[str, str], *, until: str) -> None:
        """Submit the modal open for `user` with values by `block_id`, and wait until the bot has said `until`."""
        view: View = await self._slack.until(lambda workspace: workspace.top_view(user), timeout=PATIENCE)
        self._printer.act(user, f"submits “{view.title}”: {'; '.join(values.values())}")
        await self._slack.people.submit(user, view, values)
        await self.hear(until)

    async def asks_on_host(self, user: str, flow: str, reason: str) -> str:
        """Ask as `flowbot operations stop` does, and return the id of the request."""
        command = grammar.ChangeCommand(verb=Verb.STOP, flow=flow, reason=reason)
        typed = Typed(text=grammar.render(command), channel="", door=Door.HOST)
        self._printer.act(user, f'$ flowbot operations stop {flow} --reason "{reason}"')
        return await self._on_host(
            user, lambda actor: operations.ask(self._url, typed, actor=actor, wait=PATIENCE, clock=self._clock)
        )

    async def approves_on_host(self, user: str, request_id: str) -> None:
        """Approve as `flowbot operations approve` does."""
        self._printer.act(user, "$ flowbot operations approve ID")
        await self._on_host(
            user,
            lambda actor: operations.press(
                self._url, request_id, Button.APPROVE, actor=actor, wait=PATIENCE, clock=self._clock
            ),
        )

    async def _on_host(self, user: str, work: Callable[[Actor], operations.Told]) -> str:
        """Run a command of the host, print what it prints, and return the id of its request."""
        login = {actor: login for login, actor in OPERATORS.items()}[user]
        told = await asyncio.to_thread(work, Actor(team="", user=user, login=login))
        if told.request is None:
            raise RuntimeError(told.text)
        self._printer.output(operations.readable(told.text, OPERATORS).replace(told.request.id, "ID"))
        return told.request.id

    def slack_goes_away(self) -> None:
        """Close every connection to Slack."""
        self._slack.faults.down()

    async def slack_is_back(self, *, until: str) -> None:
        """Answer again, and wait until the bot has said `until`."""
        self._slack.faults.up()
        await self.hear(until)

    async def waits(self, seconds: float) -> None:
        """Let time pass."""
        await self._clock.sleep(seconds)

    async def hear(self, words: str) -> None:
        """Wait until the bot has said this, wherever it is visible, and print everything new."""
        await self._slack.until(lambda workspace: words in transcript.of(workspace), timeout=PATIENCE)
        self._printer.show()

    async def _card(self, button: str) -> PostedMessage:
        return await self._slack.until(
            lambda workspace: next((one for one in workspace.messages(PLACE) if button in one.buttons), None),
            timeout=PATIENCE,
        )

    def close(self) -> None:
        """Print the calls that changed something in the cloud."""
        self._printer.title("Calls to Huawei Cloud Live")
        for call in self._live.calls:
            if call.method == "PUT":
                click.echo(f"  {call.method} …{call.path[-11:]}  →  {call.status}")


async def two_approvals(play: Play) -> None:
    """The usual case: request, first approval, second approval, stopped."""
    play.scene("1. A stop with two approvals")
    await play.types("U0ALICE", "stop main-feed because the encoder loops", until="asks to stop `main-feed`")
    await play.presses("U0CAROL", "approve", until="approved by <@U0CAROL>")
    await play.presses("U0DAVE", "approve", until="`main-feed` is now STANDBY")


async def the_wrong_people(play: Play) -> None:
    """A stopped flow needs no request, people without the right learn who has it, and a guest learns nothing."""
    play.scene("2. Refusals")
    await play.types("U0BOB", "stop main-feed because it still loops", until="already STANDBY")
    await play.types("U0CAROL", "stop backup-feed", until="No rule lets you stop `backup-feed`")
    await play.types("U0GUEST", "stop backup-feed", until="You may not do this here")
    await play.types("U0BOB", "stop backup-feed because it looks idle", until="asks to stop `backup-feed`")
    await play.presses("U0BOB", "approve", until="is your own")


async def a_denial(play: Play) -> None:
    """One denial ends a request; the denier may give a reason."""
    play.scene("3. A denied request")
    await play.presses("U0DAVE", "deny", until="<@U0DAVE> denied the request")
    await play.fills_in("U0DAVE", {"reason": "it carries the main audience now"}, until="<@U0DAVE> says why")


async def break_glass(play: Play) -> None:
    """Nobody is there to approve: two presses, a few seconds apart, and a lead's review afterwards."""
    play.scene("4. Break-glass and its review")
    await play.types(
        "U0ALICE", "stop backup-feed --emergency because it shows a wrong country's feed", until="uses `--emergency`"
    )
    await play.presses("U0ALICE", "emergency_first", until="pressed “Emergency Stop”")
    await play.waits(APART)
    await play.presses("U0ALICE", "emergency_confirm", until="please review the emergency stop")
    await play.presses("U0CAROL", "review", until="Review: open")
    verdict = {"verdict": "justified", "reason": "there was no time to ask"}
    await play.fills_in("U0CAROL", verdict, until="reviewed the emergency stop")


async def on_the_host(play: Play) -> None:
    """Slack is away: a stop is asked for and approved on the host, and told in Slack afterwards."""
    play.scene("5. Slack is away: the host")
    play.slack_goes_away()
    asked = await play.asks_on_host("U0ALICE", "sports-1", "the picture is frozen")
    await play.approves_on_host("U0CAROL", asked)
    await play.approves_on_host("U0DAVE", asked)
    await play.slack_is_back(until="`sports-1` is now STANDBY")
