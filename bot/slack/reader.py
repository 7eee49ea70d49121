"""The read lane: acknowledged at once, answered later, for the asker alone. Not durable.

It owns its running tasks and decides nothing: what a person may see is decided by the use case behind `Reading`.
"""

import asyncio
import secrets
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
"""Read commands that run at the same time."""

MOST_WAITING: Final = 200
"""Read commands that may be running or waiting."""

WHO_WITHIN: Final = 1.0
"""Seconds that help waits for Slack to say who is asking."""

log = structlog.get_logger()


class Reading(Protocol):
    """Answers read commands."""

    async def read(
        self, actor: Actor, typed: Typed, command: grammar.ReadCommand, *, page: int = 1
    ) -> Shown | NotShown:
        """Return the result of a command, or why there is none. Raises errors.StoreError."""

    async def usable(self, actor: Actor, channel: str) -> Usable:
        """Return the verbs that somebody may use in a channel."""


class ReadLane:
    """Runs read commands in the background."""

    def __init__(self, *, reading: Reading, notifier: Notifier) -> None:
        self._reading = reading
        self._notifier = notifier
        self._seats = asyncio.Semaphore(AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()

    def begin(
        self, entry: Entry, typed: Typed, command: grammar.ReadCommand, *, page: int = 1, replace: bool = False
    ) -> Message | None:
        """Start a read command and return the acknowledgement; `replace` puts the result in place of the clicked list.

        Nobody reads the acknowledgement of a mention, so it is sent as a message instead.
        """
        if len(self._under_way) >= MOST_WAITING:
            return messages.too_many()
        task = asyncio.create_task(self._answer(entry, typed, command, page=page, replace=replace))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return messages.looking(command) if typed.door is Door.SLASH else None

    async def help(self, entry: Entry, typed: Typed, verb: verbs.Verb | None) -> Message:
        """Return help for one verb, or for those that the asker may use; for all if Slack does not answer in time."""
        usable = Usable(verbs=frozenset(verbs.VERBS), sure=False)
        try:
            async with asyncio.timeout(WHO_WITHIN):
                usable = await self._reading.usable(entry.actor, typed.channel)
        except TimeoutError:
            log.info("Slack did not say in time who is asking for help", entry=entry.key)
        return messages.help_text(verb, usable=usable, door=typed.door, in_thread=typed.thread_ts is not None)

    async def drain(self) -> None:
        """Wait until all running commands are answered."""
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    async def _answer(
        self, entry: Entry, typed: Typed, command: grammar.ReadCommand, *, page: int, replace: bool
    ) -> None:
        if typed.door is Door.MENTION and not replace:
            await self._say(entry, messages.looking(command))
        try:
            async with self._seats:
                value = await self._reading.read(entry.actor, typed, command, page=page)
            await self._notifier.show(entry, value, door=typed.door, replace=replace)
        except errors.ChatError as failure:
            log.warning("answer could not be delivered", entry=entry.key, reason=str(failure))
        except errors.StoreError as failure:
            log.warning("the database could not be read", entry=entry.key, reason=str(failure))
            await self._say(entry, messages.unreadable())
        except Exception as error:  # the asker is told, as with any other failure
            error_id = secrets.token_hex(4)
            log.error("unexpected error in a read command", exc_info=error, error_id=error_id)
            await self._say(entry, messages.unexpected(error_id))

    async def _say(self, entry: Entry, said: Message) -> None:
        try:
            await self._notifier.say_to(entry, said)
        except errors.ChatError as failure:
            log.warning("answer could not be delivered", entry=entry.key, reason=str(failure))
