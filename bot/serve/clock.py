"""The system clock."""

import asyncio
import time


class SystemClock:
    """ports.Clock on system time."""

    def now(self) -> float:
        """Return the seconds since the epoch (UTC)."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Sleep for this many seconds."""
        await asyncio.sleep(seconds)
