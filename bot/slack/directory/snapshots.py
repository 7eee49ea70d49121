"""Replace single calls by one about everybody before Slack's rate limit is reached.

The arithmetic of 200 clicks a minute: the click that decides needs its presser and the requester as they were within 5
s, so one person costs at most 60 / 5 = 12 calls a minute, however many clicks are about them. Seven people stay below
the 100 a minute of `users.info`; more share one page of `users.list`, called at most 12 times a minute of 20. A user
group costs 12 of the 20 a minute of `usergroups.users.list`; two or more share `usergroups.list`, called at most 12
times of 20.

A person who is not on the page waits for a single call, as for a rate limit of Slack's. If Slack gives no page, single
calls go on, and Slack's own 429 is the limit.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Generic

import structlog

from bot.slack.directory.cache import UNKNOWN_SHAPE, Cache, Known, Said
from bot.slack.directory.tiers import Tier
from bot.usecases import errors, ports

NO_PAGE_FOR: Final = 60.0
"""Seconds without another attempt after a page could not be fetched."""

EVERYBODY: Final = "everybody"

log = structlog.get_logger()


class Snapshots(Generic[Said]):
    """Answers of one kind: `ask` fetches one name, `ask_page` all; `tier` counts the single calls."""

    def __init__(
        self,
        *,
        ask: Callable[[str], Awaitable[Said]],
        ask_page: Callable[[], Awaitable[Mapping[str, Said]]],
        tier: Tier,
        clock: ports.Clock,
    ) -> None:
        self._ask = ask
        self._ask_page = ask_page
        self._tier = tier
        self._clock = clock
        self._pages = Cache(ask=self._page, clock=clock, patience=0.0)
        self._no_page_until = 0.0

    async def answer(self, name: str, since: float) -> Known[Said]:
        """Return an answer from `since` or later, by a single call while the tier allows it.

        Raises errors.ChatUnavailable and errors.ChatRefused.
        """
        wait = self._tier.wait()
        page = await self.page(since) if wait > 0 else None
        if page is None:
            self._tier.count()
            asked_at = self._clock.now()
            return Known(said=await self._ask(name), at=asked_at)
        if name not in page.said:
            raise errors.ChatUnavailable("asked as often as Slack allows", retry_after=wait)
        return Known(said=page.said[name], at=page.at)

    async def page(self, since: float) -> Known[Mapping[str, Said]] | None:
        """Return the page of all answers, from `since` or later; None if Slack gives none."""
        if self._clock.now() < self._no_page_until:
            return None
        try:
            return await self._pages.since(EVERYBODY, since)
        except (errors.ChatError, *UNKNOWN_SHAPE) as failure:
            log.warning("Slack gave no page", reason=str(failure))
            self._no_page_until = self._clock.now() + NO_PAGE_FOR
            return None

    async def _page(self, name: str, since: float) -> Known[Mapping[str, Said]]:
        asked_at = self._clock.now()
        return Known(said=await self._ask_page(), at=asked_at)
