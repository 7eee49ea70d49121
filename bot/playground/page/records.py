"""The bot's records, read from its database over a read-only connection.

Knows the names of the tables, but not what may be written to them.
"""

import contextlib
import dataclasses
import json
import pathlib
import sqlite3
from typing import Any, Final

Json = dict[str, Any]

_REQUESTS: Final = """
SELECT r.id, r.verb, r.state, r.dry_run, r.requester_user AS user, r.version, r.votes, r.expires_at AS expires,
       o.flow_name AS flow, o.progress, o.project, r.card_channel AS channel, r.card_ts AS card
FROM requests AS r JOIN operations AS o ON o.request_id = r.id ORDER BY r.created_at DESC LIMIT 12
"""
_AUDIT: Final = "SELECT id, at, what, actor_user AS user, request_id AS request FROM audit ORDER BY id DESC LIMIT 40"
_INBOX: Final = "SELECT state, count(*) AS number FROM inbox GROUP BY state"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Records:
    """Requests and audit, the newest first; the inbox as counts by state."""

    requests: tuple[Json, ...] = ()
    audit: tuple[Json, ...] = ()
    inbox: Json = dataclasses.field(default_factory=dict)


def read(database: pathlib.Path) -> Records | None:
    """Read the database; None if it does not exist yet or cannot be read now."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=0.2)) as connection:
            connection.row_factory = sqlite3.Row
            requests = tuple(_request(row) for row in connection.execute(_REQUESTS))
            audit = tuple(dict(row) for row in connection.execute(_AUDIT))
            inbox = {row["state"]: row["number"] for row in connection.execute(_INBOX)}
    except sqlite3.Error:
        return None
    return Records(requests=requests, audit=audit, inbox=inbox)


def _request(row: sqlite3.Row) -> Json:
    found = dict(row)
    return {**found, "votes": len(json.loads(found["votes"]))}
