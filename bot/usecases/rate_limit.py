"""Rate limits: a sliding window, and the limit on changing commands per person.

Kept in the memory of the process. It must not know what the commands ask for, nor the wording of any message.
"""

from collections import deque
from typing import Final

from bot.commands.deliveries import Entry
from bot.usecases import ports
from bot.usecases.bounded_dict import BoundedDict

COMMANDS: Final = 60
"""Commands per person and minute: as many messages as Slack accepts in a channel, since each may become a card."""

WINDOW: Final = 60.0
"""Seconds for which a command counts."""

PEOPLE: Final = 10_000
"""The maximum number of people whose commands are counted; the latest are kept."""


class SlidingWindow:
    """Counts the events of the last `seconds`. Times are arguments, in seconds on one clock.

    Events later than `now` come from before the clock was set back; they are dropped, or they would count for too long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._events: deque[tuple[float, str]] = deque()

    def add(self, now: float, *, key: str = "") -> None:
        """Add an event that happens now; `has` finds it by its key."""
        self._forget(now)
        self._events.append((now, key))

    def count(self, now: float) -> int:
        """Return the number of events."""
        self._forget(now)
        return len(self._events)

    def has(self, key: str, *, now: float) -> bool:
        """Return whether an event with this key is in the window."""
        self._forget(now)
        return any(key == known for _, known in self._events)

    def wait(self, most: int, *, now: float) -> float:
        """Return the seconds until one more event fits into a limit of `most`; 0 if it fits now."""
        self._forget(now)
        return self._events[-most][0] + self._seconds - now if len(self._events) >= most else 0.0

    def _forget(self, now: float) -> None:
        self._events = deque(event for event in self._events if 0 <= now - event[0] < self._seconds)


class CommandLimit:
    """Counts the commands of each person, except those refused by the limit."""

    def __init__(self, *, clock: ports.Clock) -> None:
        self._clock = clock
        self._sent: BoundedDict[str, SlidingWindow] = BoundedDict(PEOPLE)

    def wait(self, entry: Entry) -> float:
        """Count an entry, once only, and return 0, or return the seconds until its sender may send more.

        The sender is the person (Actor.id), or the user while Slack has not said who that is.
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
        """Return the number of people whose commands are counted."""
        return len(self._sent)

    def _forget_quiet(self, now: float) -> None:
        while self._sent and not next(iter(self._sent.values())).count(now):
            del self._sent[next(iter(self._sent))]
