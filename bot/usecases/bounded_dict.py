"""A dict with a maximum number of entries; the oldest are evicted."""

from collections import UserDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedDict(UserDict[K, V]):
    """A dict of at most `most` entries in order of last write; a further write evicts the oldest."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def __setitem__(self, key: K, value: V) -> None:
        """Write an entry as the newest one."""
        self.data.pop(key, None)
        self.data[key] = value
        if len(self.data) > self.most:
            del self.data[next(iter(self.data))]
