"""The revision of a database, read without Alembic: `serve` checks it at every start."""

import sqlalchemy as sa

from bot.store import schema
from bot.usecases import errors

_ALEMBIC = sa.table("alembic_version", sa.column("version_num", sa.Text))


def stored(connection: sa.Connection) -> str | None:
    """Return the revision of the database; None if `flowbot migrate` never ran."""
    if not sa.inspect(connection).has_table(_ALEMBIC.name):
        return None
    return connection.execute(sa.select(_ALEMBIC.c.version_num)).scalar()


def require(found: str | None) -> None:
    """Raise errors.RevisionMismatch if the database is older than the code.

    An unknown revision was made by newer code, which keeps the tables readable for one release.
    """
    if found is None:
        raise errors.RevisionMismatch("the database has no tables yet: run `flowbot migrate`")
    if found in schema.REVISIONS and found != schema.REVISION:
        raise errors.RevisionMismatch(f"the database is at {found}, older than this code: run `flowbot migrate`")
