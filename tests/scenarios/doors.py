"""People who act over Slack and on the host, for scenarios over both doors."""

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any, Final

from bot.commands import grammar
from bot.commands.deliveries import Actor, Button, Submitted, Typed
from bot.commands.verbs import Door
from bot.playground.slack.records import PostedMessage
from bot.serve import operations
from bot.serve.operations import Told
from bot.slack.plain_text import plain
from tests.scenarios.conftest import PATIENCE, Stage

LOGINS: Final = {"U0ALICE": "alice", "U1ALICE": "alice2", "U0BOB": "bob", "U0CAROL": "carol", "U0DAVE": "dave"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heard:
    """What somebody heard: whether it was done, and the sentence."""

    is_done: bool
    sentence: str


class Slack:
    """People who act in Slack."""

    name = "slack"

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def asks(self, user: str, text: str, *, reason: str | None = None, name: str | None = None) -> Heard:
        """Ask, and complete what is missing in the modal for it."""
        return await self._hears(user, self.stage.types(user, text if reason is None else f"{text} because {reason}"))

    async def presses(self, user: str, card: PostedMessage, button: str) -> Heard:
        """Press a button, also one that the card does not show any more."""
        return await self._hears(user, self.stage.forges(user, card, button, value=the_request(self.stage)))

    async def _hears(self, user: str, acting: object) -> Heard:
        before = len(self.stage.heard(user))
        await acting  # type: ignore[misc]
        await self.stage.quiet()
        heard = self.stage.heard(user)[before:]
        return Heard(is_done=not heard, sentence=" ".join(heard))


class Host:
    """People who act on the host."""

    name = "host"

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def asks(self, user: str, text: str, *, reason: str | None = None, name: str | None = None) -> Heard:
        """Ask as `flowbot operations stop` does."""
        command = grammar.parse(text if reason is None else f"{text} because {reason}")
        assert isinstance(command, grammar.ChangeCommand)
        typed = Typed(text=grammar.render(command), channel="", door=Door.HOST, name=name)
        return await self.hands_over(user, lambda actor: operations.ask(self._url, typed, actor=actor, **self._waits))

    async def presses(self, user: str, card: PostedMessage | None, button: str) -> Heard:
        """Press as `flowbot operations approve` and its like do."""
        pressed = Button.CONFIRM if button.startswith("emergency") else Button(button)
        ident = the_request(self.stage)
        return await self.hands_over(
            user, lambda actor: operations.press(self._url, ident, pressed, actor=actor, **self._waits)
        )

    async def submits(self, user: str, submitted: Submitted) -> Heard:
        """Submit what a modal asks for in Slack."""
        return await self.hands_over(
            user, lambda actor: operations.ask(self._url, submitted, actor=actor, **self._waits)
        )

    async def hands_over(self, user: str, work: Callable[[Actor], Told], *, login: str | None = None) -> Heard:
        """Run a command of the host while the bot runs."""
        actor = Actor(team="", user=user, login=login or LOGINS[user])
        done = asyncio.create_task(asyncio.to_thread(work, actor))
        while not done.done():
            await asyncio.wait({done}, timeout=0.02)
            await self.stage.quiet()
        told = await done
        return Heard(is_done=told.is_done, sentence=plain(told.text))

    @property
    def _url(self) -> str:
        return self.stage.world.settings().database_url

    @property
    def _waits(self) -> dict[str, Any]:
        return {"wait": PATIENCE, "clock": self.stage.world.clock}


DOORS: Final = ("slack", "host")
AnyDoor = Slack | Host


def the_request(stage: Stage) -> str:
    """Return the id of the newest request."""
    found = stage.select("SELECT id FROM requests ORDER BY created_at DESC, id DESC LIMIT 1")
    return str(found[0][0]) if found else "nothing"


def states(stage: Stage) -> list[str]:
    return [state for (state,) in stage.select("SELECT state FROM requests ORDER BY created_at")]
