"""A counter of changes that others can wait for.

Knows nothing about what has changed.
"""

import asyncio
from typing import Final

from bot.playground.live.server import LiveStandIn

LONG: Final = 24 * 3600.0


class Changes:
    """Counts changes, and lets others wait for the next one."""

    def __init__(self) -> None:
        self.count = 0
        self.closed = False
        self._rung = asyncio.Event()

    def tell(self) -> None:
        """Count a change."""
        self.count += 1
        self._rung.set()
        self._rung = asyncio.Event()

    def close(self) -> None:
        """Count a last change, and end every wait from now on."""
        self.closed = True
        self.tell()

    async def after(self, count: int) -> int:
        """Wait until the count is greater than `count`, or until closed; return it."""
        while self.count == count and not self.closed:
            await self._rung.wait()
        return self.count

    async def follow(self, live: LiveStandIn) -> None:
        """Count each change of the cloud, until cancelled."""
        while True:
            await live.until(_SecondLook(), timeout=LONG)
            self.tell()


class _SecondLook:
    """A predicate that holds when called again: the first call is before a change, the second after it."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self, _: LiveStandIn) -> bool:
        asked, self._asked = self._asked, True
        return asked
