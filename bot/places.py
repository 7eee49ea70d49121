"""The lines of each key and table in a TOML text: tomllib tells only the values.

Pure. It knows nothing of what the keys mean.
"""

import tomllib
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""


class Places:
    """The places in a text that is TOML for sure.

    A statement is the fewest lines that are TOML by themselves, so no string and no comment can be taken for one.
    """

    def __init__(self, text: str) -> None:
        self.rows = text.split("\n")
        self.spans: dict[Path, tuple[int, int]] = {}
        self.counts: dict[Path, int] = {}
        table: Path = ()
        start = 1
        for end, _ in enumerate(self.rows, 1):
            try:
                found = tomllib.loads("\n".join(self.rows[start - 1 : end]))
            except tomllib.TOMLDecodeError:
                continue
            if self.rows[start - 1].lstrip().startswith("["):
                table = self.header(found)
                self.mark(table, None, (start, end))
            elif found:
                self.mark(table, found, (start, end))
            start = end + 1

    def line(self, path: Path) -> int:
        """Return the line of what stands at the path, or of the nearest table around it."""
        while path and path not in self.spans:
            path = path[:-1]
        return self.spans.get(path, (1, 1))[0]

    def text(self, path: Path) -> str:
        """Return the lines of a rule as they stand."""
        start, end = self.spans[path]
        return "\n".join(self.rows[start - 1 : end])

    def header(self, found: Any) -> Path:
        path: Path = ()
        while found and isinstance(found, dict):
            key, found = next(iter(found.items()))
            path = (*self.newest(path), key)
        if found:
            self.counts[path] = self.counts.get(path, 0) + 1
        return self.newest(path)

    def newest(self, path: Path) -> Path:
        return (*path, self.counts[path] - 1) if path in self.counts else path

    def mark(self, path: Path, value: object, span: tuple[int, int]) -> None:
        for length in range(1, len(path) + 1):
            start, _ = self.spans.get(path[:length], span)
            self.spans[path[:length]] = (start, span[1])
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in inside:
            self.mark((*path, key), child, span)
