"""Cached answers from Slack, each with its time; simultaneous callers share one call.

It knows how old an answer may be and how long to wait for a rate limit; it must not know what is asked.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import structlog

from bot.slack import failures
from bot.usecases import errors, ports
from bot.usecases.bounded_dict import BoundedDict

PATIENCE: Final = 30.0
"""Seconds to wait for Slack's rate limit before falling back to older answers."""

FALLBACK_AGE: Final = 60.0
"""Maximum age in seconds of such an older answer."""

REMEMBERED: Final = 10_000
"""Answers kept of each kind."""

UNKNOWN_SHAPE: Final = (AttributeError, KeyError, TypeError, ValueError)
"""Exceptions raised when an answer from Slack does not have its documented shape."""

Said = TypeVar("Said")
log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Known(Generic[Said]):
    """An answer, and the time at which it was requested."""

    said: Said
    at: float


class Cache(Generic[Said]):
    """Cached answers of one kind.

    `ask` gets a name and the earliest time that the answer may be from. It raises errors.ChatUnavailable, with
    `retry_after` if Slack gave one, or errors.ChatRefused.
    """

    def __init__(
        self, *, ask: Callable[[str, float], Awaitable[Known[Said]]], clock: ports.Clock, patience: float = PATIENCE
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._patience = patience
        self._known: BoundedDict[str, Known[Said]] = BoundedDict(REMEMBERED)
        self._pending: dict[str, Known[asyncio.Task[Known[Said]]]] = {}

    async def get(self, name: str, *, max_age: float, patient: bool = True) -> Said | None:
        """Return an answer at most `max_age` seconds old, or None; wait for a rate limit if `patient`."""
        since = self._clock.now() - max_age
        try:
            return (await self.since(name, since, patience=self._patience if patient else 0.0)).said
        except errors.ChatUnavailable as failure:
            log.warning("Slack could not be asked", about=name, reason=str(failure))
            limited = failure.retry_after is not None and str(failure) not in failures.OPERATORS
            known = self.known(name, since=self._clock.now() - FALLBACK_AGE) if limited else None
            return None if known is None else known.said
        except errors.ChatRefused as failure:
            log.warning("Slack refused to answer", about=name, code=failure.code)
        except UNKNOWN_SHAPE:
            log.warning("unknown response format from Slack", about=name)
        return None

    async def since(self, name: str, since: float, *, patience: float | None = None) -> Known[Said]:
        """Return an answer requested at `since` or later. Raises what `ask` raises."""
        patience = self._patience if patience is None else patience
        return self.known(name, since=since) or await self._ask_patiently(name, since, patience)

    def known(self, name: str, *, since: float) -> Known[Said] | None:
        """Return the cached answer from `since` or later, without asking Slack."""
        known = self._known.get(name)
        return known if known is not None and since <= known.at <= self._clock.now() else None

    async def _ask_patiently(self, name: str, since: float, patience: float) -> Known[Said]:
        give_up = self._clock.now() + patience
        while True:
            try:
                joined = await self._join(name, since) or await self._join(name, since)  # somebody may have asked again
                return joined or await self._ask_now(name, since)
            except errors.ChatUnavailable as failure:
                wait = failure.retry_after
                if wait is None or self._clock.now() + wait > give_up:
                    raise
                await self._clock.sleep(max(wait, 1.0))

    async def _join(self, name: str, since: float) -> Known[Said] | None:
        """Wait for a call in progress if its answer will be fresh enough; else return None."""
        pending = self._pending.get(name)
        if pending is None or not since <= pending.at <= self._clock.now():
            return None
        known = await asyncio.shield(pending.said)
        return known if known.at >= since else None  # the call may have been served by an older page

    async def _ask_now(self, name: str, since: float) -> Known[Said]:
        task = asyncio.create_task(self._ask_and_keep(name, since))
        self._pending[name] = Known(said=task, at=self._clock.now())
        task.add_done_callback(lambda done: self._asked(name, done))
        return await asyncio.shield(task)

    def _asked(self, name: str, done: asyncio.Task[Known[Said]]) -> None:
        pending = self._pending.get(name)
        if pending is not None and pending.said is done:
            del self._pending[name]
        if not done.cancelled():
            done.exception()  # marks it as retrieved: its waiters have it, and there may be none left

    async def _ask_and_keep(self, name: str, since: float) -> Known[Said]:
        answer = await self._ask(name, since)
        self.keep(name, answer)
        return answer

    def keep(self, name: str, answer: Known[Said]) -> None:
        """Cache an answer, unless a newer one is cached."""
        known = self._known.get(name)
        self._known[name] = known if known is not None and known.at > answer.at else answer
