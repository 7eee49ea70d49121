"""The hash chain of the audit: each row holds the hash of the row before it, so that later changes are found.

Pure. It owns the canonical form of a row, its hash, and the verification. Rows come from `linker`, or from the lines of
an export.
"""

import dataclasses
import enum
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

AuditRow = Mapping[str, Any]
"""A linked row with the keys of `FIELDS` and its `hash`; `facts` is an object, `at` is in seconds since the epoch."""

FIELDS: Final = ("seq", "prev", "at", "what", "actor_team", "actor_user", "request_id", "facts")
"""The fields that the hash of a row covers. `prev` is the hash of the row before it."""

BEGINS: Final = "begins"
"""A key of the first line of an export that does not start with row 1; no hash covers it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Link:
    """A link of the chain: the number of a row, and its hash in 64 hexadecimal digits."""

    seq: int
    hash: str


ROOT: Final = Link(seq=0, hash="0" * 64)
"""The link before the first row."""


class Tampering(enum.StrEnum):
    """How a row was tampered with."""

    EDITED = "edited"
    MISSING = "missing"
    INSERTED = "inserted"
    REORDERED = "reordered"
    CUT_OFF = "cut off"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BrokenLink:
    """The first row that does not fit, what was done to it, and the evidence."""

    seq: int
    what: Tampering
    shows: str


def canonical(row: AuditRow) -> bytes:
    """Return the bytes that the hash of a row covers.

    JSON of the `FIELDS` in UTF-8, with sorted keys, without spaces, and with numbers as Python writes them (the
    shortest form that reads back the same).
    """
    covered = {field: row[field] for field in FIELDS}
    return _dump(covered).encode("utf-8", "surrogatepass")


def hash_of(row: AuditRow) -> str:
    """Return the SHA-256 of the canonical form in hexadecimal digits."""
    return hashlib.sha256(canonical(row)).hexdigest()


def linked(rows: Sequence[Mapping[str, Any]], *, after: Link) -> Iterator[dict[str, Any]]:
    """Number the rows in order and link them, starting after the link `after`."""
    for row in rows:
        numbered = {**row, "seq": after.seq + 1, "prev": after.hash}
        after = Link(seq=after.seq + 1, hash=hash_of(numbered))
        yield {**numbered, "hash": after.hash}


def facts_of(text: str) -> object:
    """Parse the stored facts of a row; facts that are not in canonical form are returned as text."""
    try:
        facts: object = json.loads(text)
    except ValueError:
        return text
    return facts if _dump(facts) == text else text


def line(row: AuditRow, *, begins: bool = False) -> str:
    """Return a row as a line of an export; `begins` marks the first line if it is not row 1."""
    shown = {field: row[field] for field in (*FIELDS, "hash")}
    return json.dumps({BEGINS: True, **shown} if begins else shown, ensure_ascii=False, separators=(",", ":"))


def read_line(text: str) -> tuple[dict[str, Any], bool]:
    """Parse a line of an export, and whether it is marked as the beginning. Raises ValueError for anything else."""
    found = json.loads(text, object_pairs_hook=_without_repeats)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    begins = found.pop(BEGINS, False) is True
    if set(found) != {*FIELDS, "hash"}:
        raise ValueError("not the keys of a row")
    return found, begins


class Verification:
    """Verifies rows one by one, in constant memory.

    `after` is the link before the first row; None takes it from the first row. `head` is a link that was saved
    elsewhere and that the rows must contain.
    """

    def __init__(self, *, after: Link | None, head: Link | None = None) -> None:
        self._start = self._last = after
        self._head = head
        self._broken: BrokenLink | None = None
        self.rows = 0

    @property
    def last(self) -> Link | None:
        """Return the last link that fits."""
        return self._last

    def take(self, row: AuditRow) -> None:
        """Verify the next row."""
        seq, own_hash = row["seq"], row["hash"]
        if not isinstance(seq, int) or isinstance(seq, bool) or not isinstance(own_hash, str):
            self._broken = self._broken or _broken(self._next_seq(), Tampering.INSERTED, "a row without a number")
            return
        if self._broken is not None:
            self._broken = _explained(self._broken, seq)
            return
        if self._last is None:
            self._start = self._last = Link(seq=seq - 1, hash=str(row["prev"]))
        self._broken = self._judge(row, seq, self._last)
        if self._broken is None:
            self._last = Link(seq=seq, hash=own_hash)
            self.rows += 1

    def reject(self, why: str) -> None:
        """Count a line that is not a row."""
        self._broken = self._broken or _broken(self._next_seq(), Tampering.EDITED, why)

    def end_at(self, end: Link) -> None:
        """Compare the end of the rows with the end recorded in the database, after the last row."""
        last = self._last or ROOT
        if self._broken is not None or end == last:
            return
        if end.seq > last.seq:
            self._broken = _broken(last.seq + 1, Tampering.CUT_OFF, f"the rows end with {last.seq} of {end.seq}")
        elif end.seq < last.seq:
            self._broken = _broken(end.seq + 1, Tampering.INSERTED, f"the chain ends with {end.seq}")
        else:
            self._broken = _broken(end.seq, Tampering.EDITED, "its hash is not that of the chain's end")

    def finish(self) -> BrokenLink | None:
        """Return the first row that does not fit, after the last row; None if all fit."""
        head, start, last = self._head, self._start or ROOT, self._last or ROOT
        if self._broken is not None or head is None:
            return self._broken
        if head.seq > last.seq:
            return _broken(last.seq + 1, Tampering.CUT_OFF, f"the rows end with {last.seq}, the head is {head.seq}")
        if head.seq < start.seq:
            return _broken(start.seq, Tampering.CUT_OFF, f"the rows begin after {start.seq}, the head is {head.seq}")
        if head.seq == start.seq and head.hash != start.hash:
            return _broken(start.seq + 1, Tampering.EDITED, "its prev is not the head")
        return None

    def _judge(self, row: AuditRow, seq: int, last: Link) -> BrokenLink | None:
        expected = last.seq + 1
        if seq > expected:
            return _broken(expected, Tampering.MISSING, f"row {seq} comes after row {last.seq}")
        if seq < expected:
            return _broken(seq, Tampering.INSERTED, f"row {seq} comes after row {last.seq}")
        if hash_of(row) != row["hash"]:
            return _broken(seq, Tampering.EDITED, "its hash is not that of its contents")
        if row["prev"] != last.hash:
            return _broken(seq, Tampering.EDITED, f"its prev is not the hash of row {last.seq}")
        if self._head is not None and self._head.seq == seq and self._head.hash != row["hash"]:
            return _broken(seq, Tampering.EDITED, "its hash is not that of the head")
        return None

    def _next_seq(self) -> int:
        return 1 if self._last is None else self._last.seq + 1


def _explained(broken: BrokenLink, seq: int) -> BrokenLink:
    """Refine what was done with the help of a later row that has the number of the one that does not fit."""
    if seq != broken.seq:
        return broken
    if broken.what is Tampering.MISSING:
        return dataclasses.replace(broken, what=Tampering.REORDERED, shows=f"row {seq} comes too late")
    if broken.what is Tampering.EDITED:
        return dataclasses.replace(broken, what=Tampering.INSERTED, shows=f"row {seq} is there twice")
    return broken


def _broken(seq: int, what: Tampering, shows: str) -> BrokenLink:
    return BrokenLink(seq=seq, what=what, shows=shows)


def _dump(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
