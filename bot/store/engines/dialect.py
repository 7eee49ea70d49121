"""The differences between the two databases in statements: INSERT with ON CONFLICT, the clock, and subqueries."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from bot.usecases import ports

SERVER_NOW: Final[sa.ColumnElement[float]] = sa.cast(
    sa.extract("epoch", sa.func.statement_timestamp(type_=sa.DateTime(timezone=True))), sa.Double
)
"""The server's clock at the start of the statement. `clock_timestamp()` may change between rows, so that comparing with
it cannot use an index."""

Time = float | sa.ColumnElement[float]
"""Seconds since the epoch (UTC), or the SQL expression for them."""

Insert = sqlite.Insert | postgresql.Insert


def on_server(connection: sa.Connection) -> bool:
    """Return whether other replicas may use the same database."""
    return connection.dialect.name == "postgresql"


def insert(table: sa.Table, *, server: bool) -> Insert:
    """Return an INSERT that supports ON CONFLICT."""
    return postgresql.insert(table) if server else sqlite.insert(table)


def now(connection: sa.Connection, clock: ports.Clock) -> Time:
    """Return the current time for leases: that of the server's clock, or for a file that of the given clock."""
    return SERVER_NOW if on_server(connection) else clock.now()


def read_now(connection: sa.Connection, now: Time) -> float:
    """Return the current time as a number; a server is asked for its time."""
    return now if isinstance(now, float) else float(connection.execute(sa.select(now)).scalar_one())


def plain(**values: Time) -> dict[str, Any]:
    """Return the values that are not SQL expressions."""
    return {name: value for name, value in values.items() if not isinstance(value, sa.ColumnElement)}


def among(column: sa.ColumnElement[str], query: sa.Select[Any], *, server: bool) -> sa.ColumnElement[bool]:
    """Return the condition for rows that a query with FOR UPDATE and LIMIT selects.

    PostgreSQL may run a subquery of IN several times, with different rows each time; a subquery for an array runs once.
    """
    if server:
        return column == sa.any_(sa.func.array(query.scalar_subquery(), type_=postgresql.ARRAY(sa.Text)))
    return column.in_(query)
