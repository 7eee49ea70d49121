"""The bell that rings when something on the page is different now.

Knows nothing of what has changed.
"""

import asyncio
from typing import Final

from bot.playground.live.server import LiveStandIn

LONG: Final = 24 * 3600.0


class Changes:
    """Counts the changes, and lets others wait for the next one."""

    def __init__(self) -> None:
        self.count = 0
        self.closed = False
        self._rung = asyncio.Event()

    def tell(self) -> None:
        """Ring."""
        self.count += 1
        self._rung.set()
        self._rung = asyncio.Event()

    def close(self) -> None:
        """Ring for the last time: everybody who waits goes home."""
        self.closed = True
        self.tell()

    async def after(self, count: int) -> int:
        """Return the count once it is higher than that, or at the end."""
        while self.count == count and not self.closed:
            await self._rung.wait()
        return self.count

    async def follow(self, live: LiveStandIn) -> None:
        """Ring at each change of the cloud, until cancelled."""
        while True:
            await live.until(_SecondLook(), timeout=LONG)
            self.tell()


class _SecondLook:
    """Says yes when it is asked again: the first look is before a change, the second after it."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self, _: LiveStandIn) -> bool:
        asked, self._asked = self._asked, True
        return asked
