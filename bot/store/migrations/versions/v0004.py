"""The one id of a requester who has several, and how often that person used an emergency lately."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column, which is empty for every request that is there, and the index that counts by it."""
    op.add_column("requests", sa.Column("requester_person", sa.Text(), nullable=True))
    used = sa.text("emergency IS NOT NULL")
    op.create_index(
        "emergencies_of_person",
        "requests",
        ["requester_person", "decided_at"],
        unique=False,
        sqlite_where=used,
        postgresql_where=used,
    )
