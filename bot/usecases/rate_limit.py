"""Rate limits: how often something happened of late, and how many commands that change something one person may send.

Kept in memory, by the process. It must not know what the commands ask for, nor what somebody is told who sends too
many.
"""

from collections import deque
from typing import Final

from bot.commands.deliveries import Entry
from bot.usecases import ports
from bot.usecases.bounded_dict import BoundedDict

COMMANDS: Final = 60
"""As many as Slack takes messages in a channel within a minute: each may become a card."""

WINDOW: Final = 60.0
"""Seconds for which a command counts."""

PEOPLE: Final = 10_000
"""Of so many at most, the latest, it is known what they sent."""


class SlidingWindow:
    """What happened in the last `seconds`. Times come in, in seconds on one clock.

    What lies ahead of `now` is from before the clock was set back, and is forgotten: it would count for too long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._events: deque[tuple[float, str]] = deque()

    def add(self, now: float, *, key: str = "") -> None:
        """Count something that happens now; its key finds it again."""
        self._forget(now)
        self._events.append((now, key))

    def count(self, now: float) -> int:
        """Return how often it happened."""
        self._forget(now)
        return len(self._events)

    def has(self, key: str, *, now: float) -> bool:
        """Tell whether what has this key happened within the window."""
        self._forget(now)
        return any(key == known for _, known in self._events)

    def wait(self, most: int, *, now: float) -> float:
        """Return the seconds until it may happen once more, if at most so often in a window; 0 where it may now."""
        self._forget(now)
        return self._events[-most][0] + self._seconds - now if len(self._events) >= most else 0.0

    def _forget(self, now: float) -> None:
        self._events = deque(event for event in self._events if 0 <= now - event[0] < self._seconds)


class CommandLimit:
    """Counts the commands of each person; what was refused is not counted."""

    def __init__(self, *, clock: ports.Clock) -> None:
        self._clock = clock
        self._sent: BoundedDict[str, SlidingWindow] = BoundedDict(PEOPLE)

    def wait(self, entry: Entry) -> float:
        """Count an entry and return 0, or return the seconds until its sender may send more; it counts once only.

        The sender is the person (Actor.id), or the user as long as Slack has not said who that is.
        """
        now = self._clock.now()
        sent = self._sent.pop(entry.actor.id, None) or SlidingWindow(WINDOW)
        self._forget_quiet(now)
        self._sent[entry.actor.id] = sent
        if sent.has(entry.key, now=now):
            return 0.0
        wait = sent.wait(COMMANDS, now=now)
        if not wait:
            sent.add(now, key=entry.key)
        return wait

    def __len__(self) -> int:
        """Count the people of whom something is known."""
        return len(self._sent)

    def _forget_quiet(self, now: float) -> None:
        while self._sent and not next(iter(self._sent.values())).count(now):
            del self._sent[next(iter(self._sent))]
