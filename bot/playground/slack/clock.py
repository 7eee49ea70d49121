"""The stand-in's clock, which tests can replace by one that they advance.

Knows nothing about Slack.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """A wall clock that can be waited on; with a test's clock, `sleep` returns once it has been advanced far enough."""

    def now(self) -> float:
        """Return the seconds since the epoch, UTC."""

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds on this clock."""


class SystemClock:
    """The system clock."""

    def now(self) -> float:
        """Return the seconds since the epoch, UTC."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait in real time."""
        await asyncio.sleep(seconds)
