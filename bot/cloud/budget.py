"""The budget of calls per minute: reads for people may use only part of it, so that stops never wait.

Pure. Owns the numbers; whether a call is for looking around is its caller's word. Must not know of flows or of HTTP.

Source: the vendor's Live documentation, "Constraints": 80 calls a minute for each user and each API of flows.
"""

from typing import Final

from bot.usecases.ports import Purpose
from bot.usecases.rate_limit import SlidingWindow

WINDOW: Final = 60.0
"""Seconds for which a call counts."""

CALLS: Final = 80
"""Calls per window that the cloud allows."""

READS: Final = 40
"""How many of them reads for people may use."""


class Budget:
    """The calls made with one account; times are seconds since the epoch (UTC)."""

    def __init__(self) -> None:
        self._calls = SlidingWindow(WINDOW)
        self._reads = SlidingWindow(WINDOW)

    def spend(self, purpose: Purpose, *, now: float) -> None:
        """Count a call."""
        self._calls.add(now)
        if purpose == "read":
            self._reads.add(now)

    def reads_left(self, now: float) -> int:
        """Return how many reads may be made now; calls for any purpose use up the cloud's limit."""
        return max(0, min(READS - self._reads.count(now), CALLS - self._calls.count(now)))

    def wait(self, now: float) -> float:
        """Return the seconds until one read may be made, if no other call is made before."""
        return max(self._reads.wait(READS, now=now), self._calls.wait(CALLS, now=now))
