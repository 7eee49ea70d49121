"""An unexpected error in any function that makes words, at one call or at each: whoever asked hears of it, another's
stop is carried out, and nothing is tried for ever.

The functions are found in `messages`, so that a new one is covered by itself.
"""

import inspect
from collections.abc import Awaitable
from typing import Any, Final

import pytest

from bot.playground import world
from bot.playground.slack.acks import Ack
from bot.playground.slack.records import PostedMessage
from bot.slack import messages
from bot.slack.messages import modals
from bot.usecases import answers
from tests.scenarios.conftest import INCIDENT, Stage, running

WORDS: Final = {name for name in messages.__all__ if inspect.isfunction(getattr(messages, name))}
VIEWS: Final = {
    name
    for name, one in vars(modals).items()
    if inspect.isfunction(one)
    and not name.startswith("_")
    and inspect.signature(one).return_annotation == dict[str, object]
}
"""The modals; what is wrong with an input is told by functions that the response waits for."""

UNUSUAL: Final = {
    *("checking", "copy", "modal_not_opened", "starting_up", "too_many", "unexpected", "unreadable"),
    *("add_reason", "review", "type_name"),
    "outline",  # of the host
}
"""What takes another story to be said; a new function has a part in this one, or stands here."""

OFTEN: Final = 60
"""How often a function is called in a day at most, although it fails each time."""


class Broken:
    """Makes a function fail that words come from: at the calls about anything but the other flow, all of them or one.

    The last resort stays, unless it is what fails: the words for an error itself.
    """

    def __init__(self, mocker: Any, module: Any, name: str, *, only: int | None) -> None:
        self.calls = 0
        self._good, self._only = getattr(module, name), only
        mocker.patch.object(module, name, self._call)

    def _call(self, *given: Any, **more: Any) -> Any:
        if "backup-feed" not in repr((given, more)) and not isinstance(next(iter(given), None), answers.Unexpected):
            self.calls += 1
            if self._only in (None, self.calls - 1):
                raise RuntimeError("nobody foresaw this")
        return self._good(*given, **more)


async def heard(stage: Stage, user: str, doing: Awaitable[Ack]) -> None:
    """Let somebody do something, and see that they are told anything: by a command's answer, or after it."""
    assert stage.bot is not None
    await stage.bot._listeners.drain()
    before = _seen(stage, user)
    ack = await doing
    if not (ack.body and ack.shown):
        await stage.ticks(lambda: _seen(stage, user) != before)


def _seen(stage: Stage, user: str) -> tuple[object, ...]:
    """Return what somebody sees of the bot, and the requester with them, who is told what the thread cannot be."""
    cards = [(stage.reads(card), *stage.replies(card)) for card in stage.cards()]
    return stage.heard(user), stage.heard("U0ALICE"), cards, stage.view(user)


async def press(stage: Stage, user: str, button: str, *, known: int) -> None:
    """Press a button of the newest card for the flow, where one stands: else its requester is told why not.

    `known` is how many messages the requester had when they asked.
    """

    def standing() -> list[PostedMessage]:
        return [card for card in stage.cards() if button in card.buttons and "main-feed" in card.plain]

    def excused() -> bool:
        return any("Something went wrong" in told for told in stage.heard("U0ALICE")[known:])

    await stage.ticks(lambda: standing() or excused())
    if cards := standing():
        await heard(stage, user, stage.presses(user, cards[-1], button))
        if (view := stage.view(user)) is not None:
            await stage.slack.people.submit(user, view, {"reason": "it is needed"})


async def story(stage: Stage) -> None:
    """Let people ask for help, read, mistype, ask, join, deny, ask again and approve."""
    mention = stage.slack.people.mention
    for text in ("help", "list", "stop", "status main-feed", "stop main-feed --for 5m"):
        await heard(stage, "U0ALICE", stage.types("U0ALICE", text))
    for text in ("list", "stop", "help"):
        await heard(stage, "U0ALICE", mention("U0ALICE", INCIDENT, text))
    for last in ("deny", "approve"):
        known = len(stage.heard("U0ALICE"))
        await heard(stage, "U0ALICE", stage.types("U0ALICE", "stop main-feed"))
        await stage.passes(1.0)
        await heard(stage, "U0BOB", stage.types("U0BOB", "stop main-feed"))
        await heard(stage, "U0BOB", mention("U0BOB", INCIDENT, "stop main-feed"))
        await press(stage, "U0DAVE", last, known=known)
        await stage.passes(5.0)
    for _ in range(12):
        await stage.passes(7_200.0)


async def others(stage: Stage) -> None:
    """See that another's stop is carried out as if nothing had happened."""
    await stage.types("U0BOB", "stop backup-feed")
    await stage.ticks(lambda: any("backup-feed" in card.plain and card.buttons for card in stage.cards()))
    card = next(card for card in stage.cards() if "backup-feed" in card.plain and card.buttons)
    before = stage.stops()
    await stage.presses("U0CAROL", card, "approve")
    await stage.ticks(lambda: stage.stops() > before)


@pytest.mark.parametrize("only", [None, 0], ids=["each time", "at first"])
@pytest.mark.parametrize("name", sorted(WORDS | VIEWS))
async def test_an_error_in_words_is_told_holds_up_nobody_and_ends(
    built: world.World, mocker: Any, name: str, only: int | None
) -> None:
    async with running(built) as stage:
        await stage.quiet()
        broken = Broken(mocker, messages if name in WORDS else modals, name, only=only)
        await story(stage)
        await others(stage)

        await stage.ticks(lambda: not stage.select("SELECT 1 FROM inbox WHERE state <> 'done'"))
        assert broken.calls <= OFTEN
        assert broken.calls > 0 or name in UNUSUAL
