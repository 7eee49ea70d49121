"""The clock of the machine."""

import asyncio
import time


class SystemClock:
    """ports.Clock on the machine's time."""

    def now(self) -> float:
        """Return the seconds since the epoch (UTC)."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)
