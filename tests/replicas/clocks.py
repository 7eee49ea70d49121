"""One clock for a server, the replicas on it and the stand-ins: a file says by how much it was set forward.

So a lease lapses when a test says so, for everybody at the same time. It knows nothing of replicas.
"""

import asyncio
import dataclasses
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Final

GLANCE: Final = 0.02
"""Real seconds between two looks of a sleeper at the file, which wakes nobody."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SharedClock:
    """ports.Clock of every process that reads the same file.

    It runs `rate` times as fast as the machine's from `epoch` on, but sleeps are `slept` times as fast, where that is
    given. `skew` names a file that only one replica reads: by how much its own wall clock is wrong.
    """

    file: str
    epoch: float
    rate: float = 1.0
    slept: float | None = None
    skew: str | None = None

    def now(self) -> float:
        """Return the seconds since the epoch (UTC), as whoever holds this clock has them."""
        return self._true() + (_said(self.skew) if self.skew is not None else 0.0)

    def monotonic(self) -> float:
        """Return a time that no wrong clock touches."""
        return self._true()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        ends = self._true() + seconds * self.rate / (self.slept or self.rate)
        while (left := ends - self._true()) > 0:  # noqa: ASYNC110 - another process turns it
            await asyncio.sleep(min(left / self.rate, GLANCE))

    def step(self, seconds: float) -> None:
        """Set it forward, for everybody."""
        write(self.file, _said(self.file) + seconds)

    def _true(self) -> float:
        return self.epoch + (time.time() - self.epoch) * self.rate + _said(self.file)


def write(file: str | pathlib.Path, seconds: float) -> None:
    """Say in a file by how much a clock was set forward; whoever reads it meanwhile reads the old or the new."""
    new = pathlib.Path(f"{file}.new")
    new.write_text(repr(seconds))
    new.replace(file)


def statements(clock: SharedClock) -> Iterator[str]:
    """Give the statements that make the clock that of a database, where `fake` comes first in the search path."""
    yield "CREATE SCHEMA fake"
    since = f"(extract(epoch FROM pg_catalog.statement_timestamp())::float8 - {clock.epoch!r})"
    now = f"{clock.epoch!r} + {since} * {clock.rate!r} + pg_read_file('{clock.file}')::float8"
    declared = "CREATE FUNCTION fake.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE"
    yield f"{declared} AS $$ SELECT to_timestamp({now}) $$"  # the text of a test, on a server of its own


def _said(file: str) -> float:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return float(os.read(descriptor, 64))
    finally:
        os.close(descriptor)
