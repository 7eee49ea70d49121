"""Fair turns: whose work comes next, so that nobody who hangs or floods delays others.

Work waits in lanes, each with its own seats. Within a lane, people take turns, and nobody gets more than a share of the
seats. It must not know what the work is, and does not run it.
"""

from collections import Counter, deque
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Lane(Generic[Item]):
    """The work of one lane: `seats` run concurrently, at most `share` of them for one person."""

    def __init__(self, *, seats: int, share: int) -> None:
        self._seats = seats
        self._share = share
        self._waiting: dict[str, deque[Item]] = {}  # by person; the one served last comes last
        self._served: Counter[str] = Counter()

    def add(self, work: Item, *, person: str) -> None:
        """Let work wait for its turn."""
        self._waiting.setdefault(person, deque()).append(work)

    def take(self) -> tuple[str, Item] | None:
        """Take a seat for the next person, and return them with their oldest work; None if no seat is free.

        `leave` frees the seat.
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
        """Free a seat of a person."""
        self._served -= Counter((person,))

    def clear(self) -> Iterator[Item]:
        """Remove the waiting work, and return it."""
        waiting, self._waiting = self._waiting, {}
        for theirs in waiting.values():
            yield from theirs

    @property
    def is_idle(self) -> bool:
        """Return whether nothing waits and no seat is taken."""
        return not self._waiting and not self._served


class Turns(Generic[Item]):
    """Lanes by name; a lane exists only while it has work."""

    def __init__(self, *, seats: int, share: int) -> None:
        self._seats = seats
        self._share = share
        self._lanes: dict[Hashable, Lane[Item]] = {}

    def add(self, work: Item, *, lane: Hashable, person: str) -> None:
        """Queue work in a lane."""
        if lane not in self._lanes:
            self._lanes[lane] = Lane(seats=self._seats, share=self._share)
        self._lanes[lane].add(work, person=person)

    def take(self, lane: Hashable) -> tuple[str, Item] | None:
        """Take a seat in a lane, like `Lane.take`."""
        return None if lane not in self._lanes else self._lanes[lane].take()

    def leave(self, lane: Hashable, person: str) -> None:
        """Free a seat in a lane."""
        self._lanes[lane].leave(person)
        if self._lanes[lane].is_idle:
            del self._lanes[lane]

    def clear(self) -> list[Item]:
        """Remove the waiting work of all lanes, and return it."""
        return [work for lane in self._lanes.values() for work in lane.clear()]
