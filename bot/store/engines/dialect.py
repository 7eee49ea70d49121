"""All that differs between databases in the statements of `store`: a cautious INSERT, whose clock counts, how rows are
chosen.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bot.usecases import ports

SERVER_NOW: Final[sa.ColumnElement[float]] = sa.cast(
    sa.extract("epoch", sa.func.statement_timestamp(type_=sa.DateTime(timezone=True))), sa.Double
)
"""The server's clock when the statement reached it. `clock_timestamp()` may change from row to row: no index helps to
find what is before it."""

Time = float | sa.ColumnElement[float]
"""Seconds since the epoch (UTC), or the SQL that says them."""

Insert = sqlite.Insert | postgresql.Insert


def on_server(connection: sa.Connection) -> bool:
    """Tell whether other replicas may be at work on the same database."""
    return connection.dialect.name == "postgresql"


def insert(table: sa.Table, *, server: bool) -> Insert:
    """Return an INSERT that knows ON CONFLICT."""
    return postgresql.insert(table) if server else sqlite.insert(table)


def now(connection: sa.Connection, clock: ports.Clock) -> Time:
    """Return the time by which leases are measured.

    Replicas on a server agree on its clock; one process alone has a file, and its own clock.
    """
    return SERVER_NOW if on_server(connection) else clock.now()


def read_now(connection: sa.Connection, now: Time) -> float:
    """Return the time as a number; a server is asked for its own."""
    return now if isinstance(now, float) else float(connection.execute(sa.select(now)).scalar_one())


def plain(**values: Time) -> dict[str, Any]:
    """Return those of the values that are no SQL."""
    return {name: value for name, value in values.items() if not isinstance(value, sa.ColumnElement)}


def among(connection: sa.Connection, column: sa.ColumnElement[str], query: sa.Select[Any]) -> sa.ColumnElement[bool]:
    """Tell rows that a query with FOR UPDATE and LIMIT chooses.

    PostgreSQL may run a subquery of IN several times, and choose others each time; one that makes an array runs once.
    """
    if on_server(connection):
        return column == sa.any_(sa.func.array(query.scalar_subquery(), type_=postgresql.ARRAY(sa.Text)))
    return column.in_(query)
