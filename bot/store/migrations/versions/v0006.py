"""The login of whoever acts on the host instead of in Slack."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_COLUMNS: Final = {"requests": "requester_login", "replies": "actor_login", "inbox": "actor_login"}


def upgrade() -> None:
    """Add the columns, which are empty for all that is there: it came from Slack."""
    for table, column in _COLUMNS.items():
        op.add_column(table, sa.Column(column, sa.Text(), nullable=True))
