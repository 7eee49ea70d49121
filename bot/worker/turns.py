"""Fair turns: who is served next, so that one party that hangs or floods holds up no other.

Work waits in lanes, each with seats of its own; within a lane people take turns, and nobody takes more than a share of
its seats. It knows nothing of what the work is, and runs none of it.
"""

from collections import Counter, deque
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Lane(Generic[Item]):
    """The work of one lane: `seats` are served side by side, `share` of them for one person at most."""

    def __init__(self, *, seats: int, share: int) -> None:
        self._seats = seats
        self._share = share
        self._waiting: dict[str, deque[Item]] = {}  # by person; whoever was served last stands last
        self._served: Counter[str] = Counter()

    def add(self, work: Item, *, person: str) -> None:
        """Let work wait for its turn."""
        self._waiting.setdefault(person, deque()).append(work)

    def take(self) -> tuple[str, Item] | None:
        """Take a seat for whoever's turn it is, and return the person with their oldest work; None while none is free.

        `leave` gives the seat back.
        """
        if self._served.total() >= self._seats:
            return None
        person = next((each for each in self._waiting if self._served[each] < self._share), None)
        if person is None:
            return None
        theirs = self._waiting.pop(person)
        work = theirs.popleft()
        if theirs:
            self._waiting[person] = theirs
        self._served[person] += 1
        return person, work

    def leave(self, person: str) -> None:
        """Give back a seat that somebody was served on."""
        self._served -= Counter((person,))

    def clear(self) -> Iterator[Item]:
        """Give up the work that still waits, and return it."""
        waiting, self._waiting = self._waiting, {}
        for theirs in waiting.values():
            yield from theirs

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nobody is served."""
        return not self._waiting and not self._served


class Turns(Generic[Item]):
    """Lanes by name, each there only while it has work."""

    def __init__(self, *, seats: int, share: int) -> None:
        self._seats = seats
        self._share = share
        self._lanes: dict[Hashable, Lane[Item]] = {}

    def add(self, work: Item, *, lane: Hashable, person: str) -> None:
        """Let work wait for its turn in a lane."""
        if lane not in self._lanes:
            self._lanes[lane] = Lane(seats=self._seats, share=self._share)
        self._lanes[lane].add(work, person=person)

    def take(self, lane: Hashable) -> tuple[str, Item] | None:
        """Take a seat in a lane, as `Lane.take` does."""
        return None if lane not in self._lanes else self._lanes[lane].take()

    def leave(self, lane: Hashable, person: str) -> None:
        """Give back a seat in a lane."""
        self._lanes[lane].leave(person)
        if self._lanes[lane].is_idle:
            del self._lanes[lane]

    def clear(self) -> list[Item]:
        """Give up the work that still waits in any lane, and return it."""
        return [work for lane in self._lanes.values() for work in lane.clear()]
