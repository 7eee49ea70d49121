"""Slack's rate limit tiers: counts the calls of one method.

A tier applies to a method, a workspace and an app (docs.slack.dev, "Rate limits"); calls of other replicas are not
counted here. The caller decides what to do once a tier is used up.
"""

from typing import Final

from bot.usecases import ports
from bot.usecases.rate_limit import SlidingWindow

WINDOW: Final = 60.0
"""Seconds over which Slack counts."""

SPARE: Final = 0.9
"""Share of a tier that is used: calls sent over more than a minute may arrive within one."""


class Tier:
    """The calls of one method in the last minute; `per_minute` is Slack's limit."""

    def __init__(self, *, per_minute: int, clock: ports.Clock) -> None:
        self._most = int(per_minute * SPARE)
        self._clock = clock
        self._calls = SlidingWindow(WINDOW)

    def wait(self) -> float:
        """Return the seconds until the next call may be sent; 0 if now."""
        return self._calls.wait(self._most, now=self._clock.now())

    def count(self) -> None:
        """Count a call sent now."""
        self._calls.add(self._clock.now())
