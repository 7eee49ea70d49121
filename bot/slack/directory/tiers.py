"""How often Slack may be asked: the calls of one method, counted against its tier.

The tiers of docs.slack.dev, "Rate limits", hold for a method, a workspace and an app; another replica's calls are not
counted here. It only counts: what to do once a tier is used up is for whoever asks.
"""

from collections import deque
from typing import Final

from bot.usecases import ports

WINDOW: Final = 60.0
"""Seconds over which Slack counts."""

SPARE: Final = 0.9
"""How much of a tier is used: what leaves over more than a minute may arrive within one."""


class Tier:
    """The calls of one method in the last minute; `per_minute` is what Slack allows."""

    def __init__(self, *, per_minute: int, clock: ports.Clock) -> None:
        self._most = int(per_minute * SPARE)
        self._clock = clock
        self._calls: deque[float] = deque(maxlen=self._most)

    def wait(self) -> float:
        """Return the seconds until the next call may leave; 0 where it may leave now."""
        if len(self._calls) < self._most:
            return 0.0
        return min(WINDOW, max(0.0, self._calls[0] + WINDOW - self._clock.now()))  # a clock may be set back

    def count(self) -> None:
        """Count a call that leaves now."""
        self._calls.append(self._clock.now())
