"""The audit, from the command line: its export, its head, and whether its chain is whole; beside whatever serves.

Owns how rows are read in order and the sentences of `flowbot audit`. What a link is, and what breaks one, is the
store's.
"""

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

import sqlalchemy as sa

from bot.store import chain, linker, opening, store
from bot.usecases import errors, ports

BATCH: Final = 500
"""Rows that are read at once: an export of any length takes the memory of so many."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verified:
    """What a verification found: a sentence for a person, and whether all rows fit."""

    fits: bool
    sentence: str


def head(url: str, *, clock: ports.Clock) -> chain.Link:
    """Link what is written, and return the last link. Raises errors.StoreError."""

    async def read() -> chain.Link:
        async with _opened(url, clock) as opened:
            await _link_all(opened)
            return (await opened.database.read(linker.ends))[1]

    return asyncio.run(read())


def export(
    url: str,
    *,
    since: float | None,
    until: float | None,
    shown: Callable[[chain.AuditRow, bool], str],
    write: Callable[[str], object],
    clock: ports.Clock,
) -> int:
    """Write the rows of a time in order, a line for each, and return how many rows are not linked yet.

    `shown` makes a line of a row; it is told whether an export begins there that leaves rows out. Raises
    errors.StoreError.
    """

    async def stream() -> int:
        async with _opened(url, clock) as opened:
            with contextlib.suppress(errors.StoreError):  # a database that cannot be written can still be read
                await _link_all(opened)
            first, last = await opened.database.read(lambda one: linker.bounds(one, since=since, until=until))
            async for row in _rows(opened, after=first - 1, last=last):
                write(shown(row, row["seq"] == first > 1))
            return await opened.database.read(linker.unlinked)

    return asyncio.run(stream())


def verify(url: str, *, saved: chain.Link | None, clock: ports.Clock) -> Verified:
    """Verify the chain in the database, also against a head that was saved. Raises errors.StoreError."""

    async def read() -> Verified:
        async with _opened(url, clock) as opened:
            while (verification := await _verification(opened, saved)) is None:
                pass
            return _verified(verification)

    return asyncio.run(read())


def verify_lines(lines: Iterable[str], *, saved: chain.Link | None) -> Verified:
    """Verify the lines of an export, also against a head that was saved."""
    verification: chain.Verification | None = None
    for text in lines:
        try:
            row, begins = chain.read_line(text)
            verification = verification or chain.Verification(after=None if begins else chain.ROOT, head=saved)
            verification.take(row)
        except (ValueError, RecursionError) as wrong:  # the latter from JSON that is nested too deeply
            verification = verification or chain.Verification(after=chain.ROOT, head=saved)
            verification.reject(f"the line is no row: {wrong}")
    return _verified(verification or chain.Verification(after=chain.ROOT, head=saved))


def _verified(verification: chain.Verification) -> Verified:
    broken, last = verification.finish(), verification.last
    if broken is not None:
        return Verified(fits=False, sentence=f"row {broken.seq} is {broken.what}: {broken.shows}")
    if last is None or not verification.rows:
        return Verified(fits=True, sentence="there are no rows")
    first = last.seq - verification.rows + 1
    return Verified(fits=True, sentence=f"rows {first} to {last.seq} fit; the last has the hash {last.hash}")


async def _verification(opened: store.SqlStore, saved: chain.Link | None) -> chain.Verification | None:
    """Take every linked row; None where retention has deleted some meanwhile, so that it has to be done again."""
    anchor, _ = await opened.database.read(linker.ends)
    verification, seq = chain.Verification(after=anchor, head=saved), anchor.seq

    def read(connection: sa.Connection) -> tuple[list[dict[str, Any]], tuple[chain.Link, chain.Link]]:
        return linker.after(connection, seq, limit=BATCH), linker.ends(connection)

    while True:
        batch, ends = await opened.database.read(read)
        if ends[0] != anchor:
            return None
        if not batch:
            verification.end_at(ends[1])
            return verification
        for row in batch:
            verification.take(row)
        seq = batch[-1]["seq"]


@contextlib.asynccontextmanager
async def _opened(url: str, clock: ports.Clock) -> AsyncIterator[store.SqlStore]:
    opened = await opening.open_store(url, clock=clock, replica=secrets.token_hex(8), exclusive=False)
    try:
        yield opened
    finally:
        await opened.close()


async def _link_all(opened: store.SqlStore) -> None:
    while await opened.link_audit(BATCH):
        pass


async def _rows(opened: store.SqlStore, *, after: int, last: int) -> AsyncIterator[chain.AuditRow]:
    """Read linked rows in order, a batch at a time, up to the one numbered `last`."""

    def read(connection: sa.Connection) -> list[dict[str, Any]]:
        return linker.after(connection, after, limit=BATCH)

    while batch := await opened.database.read(read):
        for row in batch:
            if row["seq"] > last:
                return
            yield row
        after = batch[-1]["seq"]
