"""How one answer about all takes the place of single ones, so that Slack is never asked more often than it allows.

The arithmetic of 200 clicks a minute. The click that decides needs to know its presser and the requester as they were
within 5 s: a person costs at most 60 / 5 = 12 questions a minute, however many clicks are about them. So seven people
stay below the 100 a minute of `users.info`, and more of them share one page of `users.list`, which is asked for at most
12 times a minute of 20. A user group costs 12 of the 20 a minute of `usergroups.users.list`; from the second on they
share `usergroups.list`, at most 12 times of 20.

Who stands on no page waits for a single question as for a rate limit of Slack's. Where Slack gives no page, single
questions go on, and Slack's own 429 is the limit.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Generic

import structlog

from bot.slack.directory.cache import UNKNOWN_SHAPE, Cache, Known, Said
from bot.slack.directory.tiers import Tier
from bot.usecases import errors, ports

NO_PAGE_FOR: Final = 60.0
"""Seconds for which no page is asked for after one that did not come."""

EVERYBODY: Final = "everybody"

log = structlog.get_logger()


class Snapshots(Generic[Said]):
    """Answers of one kind: `ask` asks about one name, `ask_page` about all; `tier` counts the single questions."""

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
        """Return an answer from that time or later, to a single question as long as they last.

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
        """Return the answers about all from that time or later; None where Slack gives none."""
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
