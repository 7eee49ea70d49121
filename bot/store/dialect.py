"""All that differs between databases in the statements of `store`: a cautious INSERT, and whose clock counts."""

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import ports


def insert(table: sa.Table) -> sqlite.Insert:
    """Return an INSERT that knows ON CONFLICT. PostgreSQL's own has the same methods."""
    return sqlite.insert(table)


async def now(connection: AsyncConnection, clock: ports.Clock) -> float:
    """Return the time by which leases are measured: our clock, since one process alone has the file.

    Replicas on a server will have to ask the server, inside the transaction.
    """
    del connection
    return clock.now()
