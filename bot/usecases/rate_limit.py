"""How many commands that change something one person may send within a minute.

Kept in memory, by the process, for as long as a minute lasts. It must not know what the commands ask for, nor what
somebody is told who sends too many.
"""

from collections import deque
from typing import Final

from bot.commands.deliveries import Entry
from bot.usecases import ports

COMMANDS: Final = 60
"""As many as Slack takes messages in a channel within a minute: each may become a card."""

WINDOW: Final = 60.0

PEOPLE: Final = 10_000
"""Of so many at most, the latest, it is known what they sent."""


class CommandLimit:
    """Counts the commands of each person in a window that slides; what was refused is not counted."""

    def __init__(self, *, clock: ports.Clock) -> None:
        self._clock = clock
        self._sent: dict[str, deque[tuple[float, str]]] = {}  # whoever sent something last stands last

    def wait(self, entry: Entry) -> float:
        """Count an entry and return 0, or return the seconds until its sender may send more; it counts once only.

        The sender is the person (Actor.id), or the user as long as Slack has not said who that is.
        """
        now = self._clock.now()
        sent = self._sent.pop(entry.actor.id, None) or deque[tuple[float, str]]()
        self._forget(now)
        while sent and not _is_recent(sent[0][0], now):
            sent.popleft()
        known = any(key == entry.key for _, key in sent)
        full = not known and len(sent) >= COMMANDS
        if not known and not full:
            sent.append((now, entry.key))
        self._sent[entry.actor.id] = sent
        return sent[0][0] + WINDOW - now if full else 0.0

    def __len__(self) -> int:
        """Count the people of whom something is known."""
        return len(self._sent)

    def _forget(self, now: float) -> None:
        while self._sent:
            user, sent = next(iter(self._sent.items()))
            if _is_recent(sent[-1][0], now) and len(self._sent) < PEOPLE:
                return
            del self._sent[user]


def _is_recent(at: float, now: float) -> bool:
    """Tell whether a time is within the window; one that lies ahead is from before the clock was set back."""
    return 0 <= now - at < WINDOW
