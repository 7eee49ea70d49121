"""Keeps the audit's hash chain up to date: a little behind what is written, and never in its way.

Owns when rows are linked. It must not know what a link is: that is the store's.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bot.usecases import errors, ports

EVERY: Final = 1.0
"""Seconds between two batches: a row is linked within two of being written."""

BATCH: Final = 200
"""Rows that one short transaction links at most."""

log = structlog.get_logger()


class AuditLinker:
    """Links the audit's rows, a batch at a time; of several replicas one links at any moment."""

    def __init__(self, *, link: Callable[[int], Awaitable[int]], clock: ports.Clock) -> None:
        """Take what links at most so many rows and returns how many those were. It raises errors.StoreError."""
        self._link = link
        self._clock = clock
        self._is_behind = False

    async def run(self) -> None:
        """Link what is written, until cancelled."""
        while True:
            await self.catch_up()
            await self._clock.sleep(EVERY)

    async def catch_up(self) -> None:
        """Link all that is written by now, if the database lets us."""
        try:
            while await self._link(BATCH) == BATCH:
                pass
        except errors.StoreError as failure:
            if not self._is_behind:
                log.warning("the audit is not linked: database unavailable", reason=str(failure))
            self._is_behind = True
        else:
            self._is_behind = False
