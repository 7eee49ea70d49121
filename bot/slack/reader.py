"""The read lane: acknowledged at once, answered later, for the asker alone. Not durable.

It keeps hold of what it has begun, and decides nothing: what may be seen is for `queries`.
"""

import asyncio
import secrets
import weakref
from collections import Counter
from typing import Final

import structlog

from bot.commands import grammar, verbs
from bot.commands.deliveries import Entry, Typed
from bot.commands.verbs import Door
from bot.slack import messages
from bot.slack.messages.message import Message
from bot.slack.notifier import Notifier
from bot.usecases import errors
from bot.usecases.queries import Queries
from bot.usecases.query_results import Usable
from bot.usecases.tasks import TaskSet

AT_ONCE: Final = 8
"""Read commands for one channel, and for the project that they name, that run at the same time."""

MOST_WAITING: Final = 200
"""Read commands that may be running or waiting."""

SHARE: Final = MOST_WAITING // 4
"""How many of them may be one person's, so that nobody who floods keeps others out."""

WHO_WITHIN: Final = 1.0
"""Seconds that help waits for Slack to say who is asking."""

log = structlog.get_logger()


class ReadLane:
    """Runs read commands in the background."""

    def __init__(self, *, queries: Queries, notifier: Notifier) -> None:
        self._queries = queries
        self._notifier = notifier
        self._seats: weakref.WeakValueDictionary[tuple[str | None, str], asyncio.Semaphore] = (
            weakref.WeakValueDictionary()
        )
        self._under_way = TaskSet()
        self._by_person = Counter[str]()

    def begin(
        self, entry: Entry, typed: Typed, command: grammar.ReadCommand, *, page: int = 1, replace: bool = False
    ) -> Message | None:
        """Start a read command and return the acknowledgement; `replace` puts the result in place of the clicked list.

        Nobody reads the acknowledgement of a mention, so it is sent as a message instead.
        """
        person = entry.actor.user
        if len(self._under_way) >= MOST_WAITING or self._by_person[person] >= SHARE:
            return messages.too_many()
        self._by_person[person] += 1
        self._under_way.start(self._answered(entry, typed, command, page=page, replace=replace))
        return messages.looking(command) if typed.door is Door.SLASH else None

    async def help(self, entry: Entry, typed: Typed, verb: verbs.Verb | None) -> Message:
        """Return help for one verb, or for those that the asker may use; for all if Slack does not answer in time."""
        usable = Usable(verbs=frozenset(verbs.VERBS), sure=False)
        try:
            async with asyncio.timeout(WHO_WITHIN):
                usable = await self._queries.usable(entry.actor, typed.channel)
        except TimeoutError:
            log.info("Slack did not say in time who is asking for help", entry=entry.key)
        return messages.help_text(verb, usable=usable, door=typed.door, in_thread=typed.thread_ts is not None)

    async def drain(self) -> None:
        """Wait until all running commands are answered."""
        await self._under_way.drain()

    async def _answered(
        self, entry: Entry, typed: Typed, command: grammar.ReadCommand, *, page: int, replace: bool
    ) -> None:
        try:
            await self._answer(entry, typed, command, page=page, replace=replace)
        finally:
            self._by_person -= Counter([entry.actor.user])

    async def _answer(
        self, entry: Entry, typed: Typed, command: grammar.ReadCommand, *, page: int, replace: bool
    ) -> None:
        try:
            if typed.door is Door.MENTION and not replace:
                await self._say(entry, messages.looking(command))
            async with self._seats.setdefault((command.project, typed.channel), asyncio.Semaphore(AT_ONCE)):
                value = await self._queries.read(entry.actor, typed, command, page=page)
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
