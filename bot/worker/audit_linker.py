"""Link new rows of the audit into its hash chain, shortly after they are written and without delaying writes.

It owns when rows are linked. How they are linked is for the store.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bot.usecases import errors, ports

EVERY: Final = 1.0
"""Seconds between two batches: a row is linked within two seconds after it is written."""

BATCH: Final = 200
"""The maximum number of rows that one short transaction links."""

log = structlog.get_logger()


class AuditLinker:
    """Links rows of the audit in batches; only one replica links at any moment."""

    def __init__(self, *, link: Callable[[int], Awaitable[int]], clock: ports.Clock) -> None:
        """Take a function that links at most `limit` rows and returns their number; it may raise errors.StoreError."""
        self._link = link
        self._clock = clock
        self._is_behind = False

    async def run(self) -> None:
        """Link new rows until cancelled."""
        while True:
            await self.catch_up()
            await self._clock.sleep(EVERY)

    async def catch_up(self) -> None:
        """Link all rows written so far, unless the database is unavailable."""
        try:
            while await self._link(BATCH) == BATCH:
                pass
        except errors.StoreError as failure:
            if not self._is_behind:
                log.warning("audit not linked: database unavailable", reason=str(failure))
            self._is_behind = True
        else:
            self._is_behind = False
