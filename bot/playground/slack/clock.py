"""What the stand-in asks of time: a reading and a wait, so that tests can turn the hands.

Knows nothing of Slack.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """A wall clock that can be waited on; a turned clock lets `sleep` return when its hands get there."""

    def now(self) -> float:
        """Return the seconds since the epoch, UTC."""

    async def sleep(self, seconds: float) -> None:
        """Return when that many seconds have passed on this clock."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Return the seconds since the epoch, UTC."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait in real time."""
        await asyncio.sleep(seconds)
