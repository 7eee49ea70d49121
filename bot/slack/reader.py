"""The read lane: acknowledged at once, answered after, for the asker alone. Nothing of it is durable.

It keeps hold of what it has begun, and decides nothing: what may be seen is for `queries`.
"""

import asyncio
import secrets
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
"""Readings that are carried out side by side."""

MOST_WAITING: Final = 200
"""Readings that may be under way or waiting."""

WHO_WITHIN: Final = 1.0
"""Seconds that help waits for Slack to say who asks."""

log = structlog.get_logger()


class ReadLane:
    """Carries out the verbs that read."""

    def __init__(self, *, queries: Queries, notifier: Notifier) -> None:
        self._queries = queries
        self._notifier = notifier
        self._seats = asyncio.Semaphore(AT_ONCE)
        self._under_way = TaskSet()

    def begin(
        self, entry: Entry, typed: Typed, command: grammar.ReadCommand, *, page: int = 1, replace: bool = False
    ) -> Message | None:
        """Begin to read, and return what is acknowledged until then; `replace` puts the answer in a list's place.

        A mention has no acknowledgement that anybody reads: there it is told before the answer.
        """
        if len(self._under_way) >= MOST_WAITING:
            return messages.too_many()
        self._under_way.start(self._answer(entry, typed, command, page=page, replace=replace))
        return messages.looking(command) if typed.door is Door.SLASH else None

    async def help(self, entry: Entry, typed: Typed, verb: verbs.Verb | None) -> Message:
        """Return how to use a verb, or which verbs the asker may use; all of them where Slack does not say in time."""
        usable = Usable(verbs=frozenset(verbs.VERBS), sure=False)
        try:
            async with asyncio.timeout(WHO_WITHIN):
                usable = await self._queries.usable(entry.actor, typed.channel)
        except TimeoutError:
            log.info("Slack did not say in time who asks for help", entry=entry.key)
        return messages.help_text(verb, usable=usable, door=typed.door, in_thread=typed.thread_ts is not None)

    async def drain(self) -> None:
        """Wait for what is under way."""
        await self._under_way.drain()

    async def _answer(
        self, entry: Entry, typed: Typed, command: grammar.ReadCommand, *, page: int, replace: bool
    ) -> None:
        if typed.door is Door.MENTION and not replace:
            await self._say(entry, messages.looking(command))
        try:
            async with self._seats:
                value = await self._queries.read(entry.actor, typed, command, page=page)
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
