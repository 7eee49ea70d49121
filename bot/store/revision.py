"""Which revision a database is at, without Alembic: `serve` asks this at every start."""

import sqlalchemy as sa

from bot.store import schema
from bot.usecases import errors

_ALEMBIC = sa.table("alembic_version", sa.column("version_num", sa.Text))


def stored(connection: sa.Connection) -> str | None:
    """Return the revision in the database; None where `flowbot migrate` never ran."""
    if not sa.inspect(connection).has_table(_ALEMBIC.name):
        return None
    return connection.execute(sa.select(_ALEMBIC.c.version_num)).scalar()


def require(found: str | None) -> None:
    """Raise errors.RevisionMismatch for a database that is older than the code.

    A revision that this code does not know was made by newer code, which keeps the tables readable for the release
    before it.
    """
    if found is None:
        raise errors.RevisionMismatch("the database has no tables yet: run `flowbot migrate`")
    if found in schema.REVISIONS and found != schema.REVISION:
        raise errors.RevisionMismatch(f"the database is at {found}, older than this code: run `flowbot migrate`")
