"""How long the leases of this replica still hold, by a local clock that keeps running while the machine is suspended.

The database decides who holds a lease. This is what a replica can know without asking, so that after being stopped for
longer than a lease it notices. It never counts a lease for longer than the database does, since the time is taken
before the statement is sent. It must not know the database.
"""

import functools
import time
from collections.abc import Callable
from typing import Final

_BOOTTIME: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


def elapsing(boottime: int | None = _BOOTTIME) -> Callable[[], float]:
    """Return a monotonic clock that keeps running while the machine is suspended, if the system has one.

    CLOCK_MONOTONIC stops then on Linux: https://man7.org/linux/man-pages/man2/clock_gettime.2.html.
    """
    return time.monotonic if boottime is None else functools.partial(time.clock_gettime, boottime)


class Leases:
    """The leases of this replica on requests."""

    def __init__(self, *, seconds: float, monotonic: Callable[[], float]) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._until: dict[str, float] = {}

    def now(self) -> float:
        """Return the current time of the leases' clock."""
        return self._monotonic()

    def left(self, request_id: str) -> float:
        """Return the seconds until the lease ends; 0 if there is none."""
        until = self._until.get(request_id)
        return 0.0 if until is None else max(0.0, until - self._monotonic())

    def given(self, request_id: str, *, asked_at: float) -> None:
        """Record a lease that was requested at this time."""
        self._until[request_id] = asked_at + self._seconds

    def renewed(self, request_id: str, *, asked_at: float) -> None:
        """Record that a lease was renewed, if it still holds; otherwise, another replica may have had it meanwhile."""
        if self.left(request_id) > 0:
            self.given(request_id, asked_at=asked_at)

    def gone(self, request_id: str) -> None:
        """Remove a lease."""
        self._until.pop(request_id, None)

    def forget_lapsed(self) -> None:
        """Remove all leases that have expired."""
        now = self._monotonic()
        self._until = {request_id: until for request_id, until in self._until.items() if now < until}
