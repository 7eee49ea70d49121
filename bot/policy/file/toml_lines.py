"""Line numbers of the keys and tables in a TOML text; tomllib returns only values.

Pure. It does not know what the keys mean.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""

_TOKEN: Final = re.compile(
    r"""
    (?P<opaque> \"{3} (?:\\.|[^\\])*? \"{3,5}   # a multi-line string may end in two quotes of its own
              | \'{3} .*? \'{3,5}
              | \" (?:\\.|[^"\\\n])* \"
              | \' [^'\n]* \'
              | \# [^\n]* )
  | (?P<open> [\[{] )
  | (?P<close> [\]}] )
  | (?P<end> \n )
    """,
    re.DOTALL | re.VERBOSE,
)


class Places:
    """The lines of the keys and tables in a valid TOML text, found in linear time."""

    def __init__(self, text: str) -> None:
        self.rows = text.split("\n")
        self.spans: dict[Path, tuple[int, int]] = {}
        self.counts: dict[Path, int] = {}
        table: Path = ()
        for start, end in statements(text):
            found = tomllib.loads(self._rows(start, end))
            if self.rows[start - 1].lstrip().startswith("["):
                table = self.header(found)
                self.mark(table, None, (start, end))
            elif found:
                self.mark(table, found, (start, end))

    def line(self, path: Path) -> int:
        """Return the line of the value at the path, or of the nearest enclosing table."""
        while path and path not in self.spans:
            path = path[:-1]
        return self.spans.get(path, (1, 1))[0]

    def text(self, path: Path) -> str:
        """Return the text of a rule, unchanged."""
        return self._rows(*self.spans[path])

    def _rows(self, start: int, end: int) -> str:
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


def statements(text: str) -> Iterator[tuple[int, int]]:
    """Yield the first and the last line of each statement, which ends at a line end outside strings and brackets."""
    start = line = 1
    depth = 0
    for token in _TOKEN.finditer(text):
        match token.lastgroup:
            case "open":
                depth += 1
            case "close":
                depth -= 1
            case "opaque":
                line += token[0].count("\n")
            case _:
                if depth == 0:
                    yield start, line
                    start = line + 1
                line += 1
    yield start, line
