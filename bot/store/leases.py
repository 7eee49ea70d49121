"""How long the leases of this replica still hold, by its own clock, which goes on while the machine is suspended.

The database decides who has a lease; this is what a replica may believe of its own without asking, so that one that was
stopped for longer than a lease knows so when it goes on. It believes in no lease for longer than the database does: the
time is taken before the statement leaves. It knows nothing of the database.
"""

import functools
import time
from collections.abc import Callable
from typing import Final

_BOOTTIME: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


def elapsing(boottime: int | None = _BOOTTIME) -> Callable[[], float]:
    """Return a clock that nobody sets, and that goes on while the machine is suspended where there is such a one.

    CLOCK_MONOTONIC stands still then on Linux: https://man7.org/linux/man-pages/man2/clock_gettime.2.html.
    """
    return time.monotonic if boottime is None else functools.partial(time.clock_gettime, boottime)


class Leases:
    """The leases on requests that this replica was given."""

    def __init__(self, *, seconds: float, monotonic: Callable[[], float]) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._until: dict[str, float] = {}

    def now(self) -> float:
        """Return the time by which the leases are told."""
        return self._monotonic()

    def left(self, request_id: str) -> float:
        """Return the seconds until the lease ends; 0 where there is none any more."""
        until = self._until.get(request_id)
        return 0.0 if until is None else max(0.0, until - self._monotonic())

    def given(self, request_id: str, *, asked_at: float) -> None:
        """Remember a lease that was asked for at that time."""
        self._until[request_id] = asked_at + self._seconds

    def renewed(self, request_id: str, *, asked_at: float) -> None:
        """Remember that a lease was renewed, if it held until now: else another replica may have had it."""
        if self.left(request_id) > 0:
            self.given(request_id, asked_at=asked_at)

    def gone(self, request_id: str) -> None:
        """Forget a lease."""
        self._until.pop(request_id, None)

    def forget_lapsed(self) -> None:
        """Forget every lease that has ended."""
        now = self._monotonic()
        self._until = {request_id: until for request_id, until in self._until.items() if now < until}
