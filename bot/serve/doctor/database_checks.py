"""What a look at the database means. Pure."""

from typing import Final

from bot.serve.doctor import findings
from bot.serve.doctor.findings import Finding
from bot.store import schema
from bot.store.engines.inspection import DatabaseSeen

MEBIBYTE: Final = 1024 * 1024

LOW: Final = 1024 * MEBIBYTE
FULL: Final = 50 * MEBIBYTE
"""Free bytes below which the disk gets a warning, and below which it counts as full."""

DRIFT: Final = 2.0
"""Seconds by which the clock of a database server may differ from ours without a word about it."""


def judge(seen: DatabaseSeen) -> tuple[Finding, ...]:
    """Return all findings about the database."""
    found = (reachable(seen), revision(seen), writable(seen), disk(seen), clock(seen))
    return tuple(each for each in found if each is not None)


def reachable(seen: DatabaseSeen) -> Finding:
    """Check that the database can be read."""
    if seen.failure is not None:
        what = "Check DATABASE_URL, and that the database server runs and lets this host in."
        if seen.file is not None:
            what = "Check DATABASE_URL and the file that it names."
        return findings.fail("database", seen.failure, what)
    if not seen.exists:
        remedy = "Nothing to do: `flowbot serve` creates it. If it should exist, check DATABASE_URL."
        return findings.warn("database", f"{seen.file} does not exist yet", remedy)
    return findings.ok("database", str(seen.file) if seen.file is not None else "the server answers")


def revision(seen: DatabaseSeen) -> Finding | None:
    """Check that the tables are those of this version."""
    if seen.failure is not None or not seen.exists:
        return None
    if seen.revision is None:
        return findings.fail("revision", "the database has no tables yet", "Run `flowbot migrate`.")
    if seen.revision == schema.REVISION:
        return findings.ok("revision", f"{seen.revision}, as this version needs it")
    if seen.revision in schema.REVISIONS:
        found = f"the database is at {seen.revision}, and this version needs {schema.REVISION}"
        return findings.fail("revision", found, "Run `flowbot migrate`.")
    found = f"{seen.revision}, made by a newer version than this one, which may be one release behind"
    return findings.warn("revision", found, "Run the newer version on this host, too.")


def writable(seen: DatabaseSeen) -> Finding | None:
    """Check that the database may be written; nothing is written to find out."""
    if seen.failure is not None:
        return None
    if seen.read_only is None:
        return findings.ok("writable", "nothing forbids writing")
    if seen.file is None:
        return findings.fail("writable", seen.read_only, "Connect to the primary server, as the user that migrated it.")
    remedy = "Let the user that runs flowbot write the file and its directory, on a disk that is not read-only."
    return findings.fail("writable", seen.read_only, remedy)


def disk(seen: DatabaseSeen) -> Finding | None:
    """Check the free space on the disk of an SQLite file."""
    if seen.file is None:
        if seen.failure is not None:
            return None
        return findings.ok("disk", "the disk of the database server cannot be seen from here")
    if seen.free is None:
        return None
    found = f"{seen.free // MEBIBYTE} MiB free in {seen.file.parent}"
    remedy = "Free some space: without it nothing can be recorded, and no command is accepted."
    if seen.free < FULL:
        return findings.fail("disk", found, remedy)
    return findings.warn("disk", found, remedy) if seen.free < LOW else findings.ok("disk", found)


def clock(seen: DatabaseSeen) -> Finding | None:
    """Check our clock against that of a database server; an SQLite file has none."""
    if seen.time is None:
        return None
    ahead = seen.at - seen.time
    if abs(ahead) <= DRIFT:
        return findings.ok("database clock", "agrees with this host's")
    found = f"this host's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the database server's"
    return findings.warn("database clock", found, "Synchronise the clocks of both hosts (NTP).")
