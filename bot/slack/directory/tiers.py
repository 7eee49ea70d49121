"""Slack's rate limit tiers: counts the calls of one method.

A tier applies to a method, a workspace and an app (docs.slack.dev, "Rate limits"); calls of other replicas are not
counted here. The caller decides what to do once a tier is used up.
"""

from collections import deque
from typing import Final

from bot.usecases import ports

WINDOW: Final = 60.0
"""Seconds over which Slack counts."""

SPARE: Final = 0.9
"""Share of a tier that is used: calls sent over more than a minute may arrive within one."""


class Tier:
    """The calls of one method in the last minute; `per_minute` is Slack's limit."""

    def __init__(self, *, per_minute: int, clock: ports.Clock) -> None:
        self._most = int(per_minute * SPARE)
        self._clock = clock
        self._calls: deque[float] = deque(maxlen=self._most)

    def wait(self) -> float:
        """Return the seconds until the next call may be sent; 0 if now."""
        if len(self._calls) < self._most:
            return 0.0
        return min(WINDOW, max(0.0, self._calls[0] + WINDOW - self._clock.now()))  # a clock may be set back

    def count(self) -> None:
        """Count a call sent now."""
        self._calls.append(self._clock.now())
