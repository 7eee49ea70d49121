"""The read lane: acknowledged at once, answered after, for the asker alone. Nothing of it is durable.

It keeps hold of what it has begun, and decides nothing: what may be seen is for `reading`.
"""

import asyncio
import secrets
import weakref
from typing import Final, Protocol

import structlog

from bot.commands import grammar, verbs
from bot.commands.deliveries import Actor, Entry, Typed
from bot.commands.verbs import Door
from bot.slack import messages
from bot.slack.messages.message import Message
from bot.slack.notifier import Notifier
from bot.usecases import errors
from bot.usecases.query_results import NotShown, Shown, Usable

AT_ONCE: Final = 8
"""Readings for one channel, and for the project that they name, that are carried out side by side."""

MOST_WAITING: Final = 200
"""Readings that may be under way or waiting."""

SHARE: Final = MOST_WAITING // 4
"""How many of them may be one person's, so that nobody who floods keeps others out."""

WHO_WITHIN: Final = 1.0
"""Seconds that help waits for Slack to say who asks."""

log = structlog.get_logger()


class Reading(Protocol):
    """What answers the verbs that read."""

    async def read(
        self, actor: Actor, typed: Typed, command: grammar.ReadCommand, *, page: int = 1
    ) -> Shown | NotShown:
        """Return what the command shows, or why it shows nothing. Raises errors.StoreError."""

    async def usable(self, actor: Actor, channel: str) -> Usable:
        """Name the verbs that somebody may use in a channel."""


class ReadLane:
    """Carries out the verbs that read."""

    def __init__(self, *, reading: Reading, notifier: Notifier) -> None:
        self._reading = reading
        self._notifier = notifier
        self._seats: weakref.WeakValueDictionary[tuple[str | None, str], asyncio.Semaphore] = (
            weakref.WeakValueDictionary()
        )
        self._under_way: dict[asyncio.Task[None], str] = {}

    def begin(
        self, entry: Entry, typed: Typed, command: grammar.ReadCommand, *, page: int = 1, replace: bool = False
    ) -> Message | None:
        """Begin to read, and return what is acknowledged until then; `replace` puts the answer in a list's place.

        A mention has no acknowledgement that anybody reads: there it is told before the answer.
        """
        person = entry.actor.user
        if len(self._under_way) >= MOST_WAITING or list(self._under_way.values()).count(person) >= SHARE:
            return messages.too_many()
        task = asyncio.create_task(self._answer(entry, typed, command, page=page, replace=replace))
        self._under_way[task] = person
        task.add_done_callback(self._under_way.pop)
        return messages.looking(command) if typed.door is Door.SLASH else None

    async def help(self, entry: Entry, typed: Typed, verb: verbs.Verb | None) -> Message:
        """Return how to use a verb, or which verbs the asker may use; all of them where Slack does not say in time."""
        usable = Usable(verbs=frozenset(verbs.VERBS), sure=False)
        try:
            async with asyncio.timeout(WHO_WITHIN):
                usable = await self._reading.usable(entry.actor, typed.channel)
        except TimeoutError:
            log.info("Slack did not say in time who asks for help", entry=entry.key)
        return messages.help_text(verb, usable=usable, door=typed.door, in_thread=typed.thread_ts is not None)

    async def drain(self) -> None:
        """Wait for what is under way."""
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    async def _answer(
        self, entry: Entry, typed: Typed, command: grammar.ReadCommand, *, page: int, replace: bool
    ) -> None:
        try:
            if typed.door is Door.MENTION and not replace:
                await self._say(entry, messages.looking(command))
            async with self._seats.setdefault((command.project, typed.channel), asyncio.Semaphore(AT_ONCE)):
                value = await self._reading.read(entry.actor, typed, command, page=page)
            await self._notifier.show(entry, value, door=typed.door, replace=replace)
        except errors.ChatError as failure:
            log.warning("answer could not be delivered", entry=entry.key, reason=str(failure))
        except errors.StoreError as failure:
            log.warning("the database could not be read", entry=entry.key, reason=str(failure))
            await self._say(entry, messages.unreadable())
        except Exception as surprise:  # whoever asked is told, as of every other failure
            error_id = secrets.token_hex(4)
            log.error("unexpected error in a read command", exc_info=surprise, error_id=error_id)
            await self._say(entry, messages.unexpected(error_id))

    async def _say(self, entry: Entry, said: Message) -> None:
        try:
            await self._notifier.say_to(entry, said)
        except errors.ChatError as failure:
            log.warning("answer could not be delivered", entry=entry.key, reason=str(failure))
