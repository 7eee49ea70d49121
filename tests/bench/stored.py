"""A database that holds very many finished requests, made from one that flowbot wrote.

It knows the tables as they are in the file, and nothing of how they are used.
"""

import contextlib
import pathlib
import sqlite3
from typing import Final

DAY: Final = 86_400.0

CHANGED: Final = {
    "requests": {"state": "'denied'", "due_at": "NULL", "lease_owner": "NULL", "lease_until": "NULL"},
    "operations": {"holds": "0", "progress": "'cancelled'"},
    "replies": {"ts": "'1.0'"},
    "inbox": {"state": "'done'", "lease_owner": "NULL", "lease_until": "NULL"},
    "audit": {},
}
"""What a finished request has, in each table."""

KEYS: Final = {"requests": "id", "operations": "request_id", "replies": "request_id", "inbox": "key", "audit": "id"}


def fill(path: pathlib.Path, *, template: pathlib.Path, count: int) -> None:
    """Copy the one request of the template so many times, with its operation, replies, entry and audit."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("ATTACH ? AS template", (str(template),))
        numbers = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)"
        for table, changed in CHANGED.items():
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = {**{name: f"old.{name}" for name in columns}, **changed, **_numbered(table)}
            select = ", ".join(values[name] for name in columns)
            order = f"{numbers} INSERT INTO {table} SELECT {select} FROM template.{table} AS old, numbers"  # noqa: S608
            connection.execute(order, (count,))
        connection.commit()
        connection.execute("ANALYZE")
        connection.commit()


def done(path: pathlib.Path | None) -> int:
    """Count the entries that were decided and answered; none where there is no database."""
    if path is None:
        return 0
    with contextlib.closing(sqlite3.connect(path)) as connection:
        count: int = connection.execute("SELECT count(*) FROM inbox WHERE state = 'done'").fetchone()[0]
        return count


def _numbered(table: str) -> dict[str, str]:
    key = "NULL" if table == "audit" else f"old.{KEYS[table]} || n"
    named = {KEYS[table]: key}
    if table == "requests":
        named["created_at"] = f"old.created_at - {DAY} - n"
    return named
