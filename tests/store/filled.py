"""A database with very many finished requests, made beside the store, with fresh statistics.

It knows the tables, and nothing of how they are used. A fifth of the requests are for one flow, and none of them was
denied lately: whoever looks for a denial there and for nothing else would have to walk through all of them.
"""

import sqlalchemy as sa

from bot.store import schema

BEFORE = 1_690_000_000.0
"""A time before all that a test does: the last of the finished requests is older."""

SHARE = 5
"""One request of so many is for the flow that the tests ask about."""

_NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})",
    "postgresql": "WITH numbers AS (SELECT n FROM generate_series(1, {count}) AS n)",
}

_TIME = f"{BEFORE} - n"
_FLOW = f"CASE WHEN n % {SHARE} = 0 THEN 'flow-1' ELSE 'flow ' || n % 1000 END"

_VALUES = {
    "requests": {
        "id": "'old' || n",
        "project": "'live'",
        "flow_id": _FLOW,
        "verb": "'stop'",
        "state": "CASE WHEN n % 2 = 0 THEN 'expired' ELSE 'approved' END",
        "requester_user": "'U' || n % 500",
        "requester_person": "'U' || n % 500",
        "created_at": _TIME,
        "decided_at": _TIME,
        "ended_at": _TIME,
        "changed_at": _TIME,
    },
    "operations": {
        "request_id": "'old' || n",
        "flow_id": _FLOW,
        "project": "'live'",
        "verb": "'stop'",
        "progress": "CASE WHEN n % 2 = 0 THEN 'cancelled' ELSE 'succeeded' END",
        "holds": "false",
    },
    "replies": {"request_id": "'old' || n", "seq": "1", "said": "'asked'", "at": _TIME, "ts": "'1.0'"},
    "inbox": {"key": "'old' || n", "received_at": _TIME, "due_at": _TIME, "state": "'done'"},
    "audit": {
        "at": _TIME,
        "what": "'asked'",
        "request_id": "'old' || n",
        "facts": "'{}'",
        "seq": "n",
        "prev": "''",
        "hash": "'' || n",
    },
}
"""What a row of each table holds where it is no default of its type."""

GROWING = tuple(_VALUES)
"""The tables that grow with each request."""


def fill(connection: sa.Connection, *, count: int) -> None:
    """Add so many finished requests, with an operation, a reply, an entry and a line of audit for each of them."""
    kind = connection.dialect.name
    for name, values in _VALUES.items():
        columns = {
            column.name: values.get(column.name, _default(column))
            for column in schema.metadata.tables[name].columns
            if column.name in values or not (column.nullable or _is_numbered(column))
        }
        numbers = _NUMBERS[kind].format(count=count)
        insert = f"INSERT INTO {name} ({', '.join(columns)})"
        connection.exec_driver_sql(f"{insert} {numbers} SELECT {', '.join(columns.values())} FROM numbers")  # noqa: S608
    connection.exec_driver_sql(f"UPDATE chain SET seq = {count}")  # noqa: S608
    connection.exec_driver_sql("ANALYZE")


def _is_numbered(column: "sa.Column[object]") -> bool:
    """Tell a key that the database numbers by itself."""
    return column.table.autoincrement_column is column


def _default(column: "sa.Column[object]") -> str:
    if isinstance(column.type, sa.Boolean):
        return "false"
    return "0" if isinstance(column.type, (sa.Integer, sa.Double)) else "'x'"
