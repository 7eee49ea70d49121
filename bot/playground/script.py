"""`flowbot playground --script`: one conversation, played by the real bot between the stand-ins, and printed like a
chat.

Every line was sent over a socket: what a person typed or pressed, or what the bot answered.
"""

import asyncio
import pathlib
import tempfile
from typing import Final

import click

from bot import log
from bot.playground import chat, world
from bot.playground.slack.records import Message, View
from bot.store import migrate

PLACE: Final = "C0INCIDENT"

PATIENCE: Final = 8.0
"""Seconds after which a line that does not come ends the play."""


def run() -> int:
    """Play the conversation and return the exit code."""
    log.configure(fmt="console", level="error", secrets=())
    asyncio.run(_play())
    return 0


async def _play() -> None:
    with tempfile.TemporaryDirectory(prefix="flowbot-") as directory:
        async with world.build(pathlib.Path(directory)) as built:
            migrate.migrate(built.environ["DATABASE_URL"])
            async with built.bot():
                play = Play(built)
                for scene in (a_stop_that_a_lead_approves, a_flow_that_is_stopped_already, a_denial, the_wrong_people):
                    await scene(play)
                play.close()


class Play:
    """The stage: lets people act, waits for what the bot says, and prints both."""

    def __init__(self, built: world.World) -> None:
        self._slack = built.slack
        self._live = built.live
        self._printer = chat.Printer(built.slack.workspace, place=PLACE, echo=click.echo)

    def scene(self, title: str) -> None:
        """Begin a scene."""
        self._printer.title(title)

    async def types(self, user: str, text: str, *, until: str) -> None:
        """Let somebody type a command, and wait until the bot has said this."""
        self._printer.act(user, f"/flow {text}")
        await self._slack.people.command(user, PLACE, text)
        await self.hear(until)

    async def presses(self, user: str, card: Message, button: str, *, until: str) -> None:
        """Let somebody press a button of the card, and wait until the bot has said this."""
        label = card.buttons[button]["text"]["text"]
        self._printer.act(user, f"presses [{label}]")
        await self._slack.people.click(user, card, button)
        await self.hear(until)

    async def explains(self, user: str, reason: str, *, until: str) -> None:
        """Let somebody fill in the modal that the bot has opened for them."""
        view = await self._slack.until(lambda workspace: workspace.top_view(user), timeout=PATIENCE)
        self._printer.act(user, f"answers “{view.title}” with: {reason}")
        await self._slack.people.submit(user, view, _fill(view, reason))
        await self.hear(until)

    async def hear(self, words: str) -> None:
        """Wait until the bot has said this in the channel, in a thread or to one person, and print all that is new."""
        await self._slack.until(lambda workspace: words in workspace.transcript(), timeout=PATIENCE)
        self._printer.show()

    async def card(self) -> Message:
        """Return the card that still has buttons."""
        return await self._slack.until(
            lambda workspace: next((one for one in workspace.messages(PLACE) if one.buttons), None), timeout=PATIENCE
        )

    def close(self) -> None:
        """Print what the cloud was asked."""
        self._printer.title("What Huawei Cloud Live was asked for")
        for call in self._live.calls:
            if call.method == "PUT":
                click.echo(f"  {call.method} …{call.path[-11:]}  →  {call.status}")


async def a_stop_that_a_lead_approves(play: Play) -> None:
    """The main job: asked, refused to oneself, approved by a lead, stopped."""
    play.scene("1. A stop that a lead approves")
    await play.types("U0ALICE", "stop main-feed because the encoder loops", until="asks to stop `main-feed`")
    card = await play.card()
    await play.presses("U0ALICE", card, "approve", until="you may not approve it")
    await play.presses("U0CAROL", card, "approve", until="`main-feed` is now STANDBY")


async def a_flow_that_is_stopped_already(play: Play) -> None:
    """Nothing opens for a flow that is in standby."""
    play.scene("2. A flow that is stopped already")
    await play.types("U0ALICE", "stop studio-b", until="STANDBY already")


async def a_denial(play: Play) -> None:
    """One deny ends a request, with a reason if the denier gives one."""
    play.scene("3. A request that is denied")
    await play.types("U0BOB", "stop backup-feed because it looks idle", until="asks to stop `backup-feed`")
    await play.presses("U0DAVE", await play.card(), "deny", until="<@U0DAVE> denied the request")
    await play.explains("U0DAVE", "it carries the main audience now", until="<@U0DAVE> says why")


async def the_wrong_people(play: Play) -> None:
    """A colleague without the right learns who has it; a guest gets a bare no; the requester takes it back."""
    play.scene("4. The wrong people")
    await play.types("U0BOB", "stop backup-feed because the audience has moved", until="the audience has moved")
    card = await play.card()
    await play.presses("U0ALICE", card, "approve", until="you may not approve the request for `backup-feed`")
    await play.presses("U0GUEST", card, "approve", until="You may not do this here")
    await play.presses("U0BOB", card, "withdraw", until="<@U0BOB> withdrew the request")


def _fill(view: View, reason: str) -> dict[str, str]:
    return dict.fromkeys(view.buttons, reason)
