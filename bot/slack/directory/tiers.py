"""How often Slack may be asked: the calls of one method, counted against its tier.

The tiers of docs.slack.dev, "Rate limits", hold for a method, a workspace and an app; another replica's calls are not
counted here. It only counts: what to do once a tier is used up is for whoever asks.
"""

from typing import Final

from bot.usecases import ports
from bot.usecases.rate_limit import SlidingWindow

WINDOW: Final = 60.0
"""Seconds over which Slack counts."""

SPARE: Final = 0.9
"""How much of a tier is used: what leaves over more than a minute may arrive within one."""


class Tier:
    """The calls of one method in the last minute; `per_minute` is what Slack allows."""

    def __init__(self, *, per_minute: int, clock: ports.Clock) -> None:
        self._most = int(per_minute * SPARE)
        self._clock = clock
        self._calls = SlidingWindow(WINDOW)

    def wait(self) -> float:
        """Return the seconds until the next call may leave; 0 where it may leave now."""
        return self._calls.wait(self._most, now=self._clock.now())

    def count(self) -> None:
        """Count a call that leaves now."""
        self._calls.add(self._clock.now())
