"""The one id of people with several user ids, and the index for counting their emergencies."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns, empty for existing rows, and the index for counting by one of them."""
    op.add_column("requests", sa.Column("requester_person", sa.Text(), nullable=True))
    op.add_column("replies", sa.Column("actor_person", sa.Text(), nullable=True))
    op.add_column("inbox", sa.Column("actor_person", sa.Text(), nullable=True))
    used = sa.text("emergency IS NOT NULL")
    op.create_index(
        "emergencies_of_person",
        "requests",
        ["requester_person", "decided_at"],
        unique=False,
        sqlite_where=used,
        postgresql_where=used,
    )
