"""The budget of calls per minute: reads for people may use only part of it, so that stops never wait.

Pure. Owns the numbers and the window; the caller says what a call is for. Must not know flows or HTTP.

Source: the vendor's Live documentation, "Constraints": 80 calls a minute for each user and each API of flows.
"""

from typing import Final, NamedTuple

from bot.usecases.ports import Purpose

WINDOW: Final = 60.0
"""Seconds for which a call counts."""

CALLS: Final = 80
"""Calls per window that the cloud allows."""

READS: Final = 40
"""How many of them reads for people may use."""


class _Call(NamedTuple):
    at: float
    purpose: Purpose


class Budget:
    """The calls made with one account; times are seconds since the epoch (UTC)."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def spend(self, purpose: Purpose, *, now: float) -> None:
        """Count a call."""
        self._calls = [*self._within(now), _Call(now, purpose)]

    def reads_left(self, now: float) -> int:
        """Return how many reads may be made now; calls for any purpose use up the cloud's limit."""
        calls = self._within(now)
        reads = sum(call.purpose == "read" for call in calls)
        return max(0, min(READS - reads, CALLS - len(calls)))

    def wait(self, now: float) -> float:
        """Return the seconds until one read may be made, if no other call is made before."""
        calls = self._within(now)
        reads = [call.at for call in calls if call.purpose == "read"]
        holding = [times[-limit] for times, limit in ((reads, READS), (_times(calls), CALLS)) if len(times) >= limit]
        return max((at + WINDOW - now for at in holding), default=0.0)

    def _within(self, now: float) -> list[_Call]:
        # A call that seems to be in the future was counted before the clock was set back, and would count for too long.
        return [call for call in self._calls if now - WINDOW < call.at <= now]


def _times(calls: list[_Call]) -> list[float]:
    return [call.at for call in calls]
