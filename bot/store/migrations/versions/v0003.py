"""What makes a request an emergency, and how often somebody used one lately."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column, which is empty for every request that is there, and the index that counts by person."""
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
