"""A dict that never grows beyond a number of entries: the oldest give way."""

from collections import UserDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedDict(UserDict[K, V]):
    """At most `most` entries, in the order in which they were written last; each write beyond drops the oldest."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def __setitem__(self, key: K, value: V) -> None:
        """Write an entry as the newest one."""
        self.data.pop(key, None)
        self.data[key] = value
        if len(self.data) > self.most:
            del self.data[next(iter(self.data))]
