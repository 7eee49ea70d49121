"""The emergency of a request, and the index for the limit of emergencies."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column, empty for existing requests, and the index for counting by person."""
    op.add_column("requests", sa.Column("emergency", sa.Text(), nullable=True))
    used = sa.text("emergency IS NOT NULL")
    op.create_index(
        "emergencies_of_user",
        "requests",
        ["requester_user", "decided_at"],
        unique=False,
        sqlite_where=used,
        postgresql_where=used,
    )
