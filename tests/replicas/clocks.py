"""One clock for a server, its replicas and the stand-ins: a file says how far it was set forward.

A lease expires when a test says so, for everybody at the same time. It knows nothing about replicas.
"""

import asyncio
import dataclasses
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Final

GLANCE: Final = 0.02
"""Real seconds between a sleeper's checks of the file."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SharedClock:
    """ports.Clock of every process that reads the same file.

    It runs `rate` times as fast as real time from `epoch` on; sleeps are `slept` times as fast, if given. `skew` is a
    file that only one replica reads, with the error of its own wall clock.
    """

    file: str
    epoch: float
    rate: float = 1.0
    slept: float | None = None
    skew: str | None = None

    def now(self) -> float:
        """Return the seconds since the epoch (UTC) by this clock."""
        return self._true() + (_said(self.skew) if self.skew is not None else 0.0)

    def monotonic(self) -> float:
        """Return a time without the error of `skew`."""
        return self._true()

    async def sleep(self, seconds: float) -> None:
        """Sleep for this many seconds of this clock."""
        ends = self._true() + seconds * self.rate / (self.slept or self.rate)
        while (left := ends - self._true()) > 0:  # noqa: ASYNC110 - another process advances it
            await asyncio.sleep(min(left / self.rate, GLANCE))

    def step(self, seconds: float) -> None:
        """Advance the clock for everybody."""
        write(self.file, _said(self.file) + seconds)

    def _true(self) -> float:
        return self.epoch + (time.time() - self.epoch) * self.rate + _said(self.file)


def write(file: str | pathlib.Path, seconds: float) -> None:
    """Write how far a clock was set forward, atomically for its readers."""
    new = pathlib.Path(f"{file}.new")
    new.write_text(repr(seconds))
    new.replace(file)


def statements(clock: SharedClock) -> Iterator[str]:
    """Yield statements that make this the database's clock, if `fake` is first in the search path."""
    yield "CREATE SCHEMA fake"
    since = f"(extract(epoch FROM pg_catalog.statement_timestamp())::float8 - {clock.epoch!r})"
    now = f"{clock.epoch!r} + {since} * {clock.rate!r} + pg_read_file('{clock.file}')::float8"
    declared = "CREATE FUNCTION fake.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE"
    yield f"{declared} AS $$ SELECT to_timestamp({now}) $$"  # a test's own text, on its own server


def _said(file: str) -> float:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return float(os.read(descriptor, 64))
    finally:
        os.close(descriptor)
