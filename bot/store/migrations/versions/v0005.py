"""The audit's hash chain: its two ends, and triggers that let retention delete only from its beginning.

The bot links existing rows in batches. Older code still writes rows without a link; it cannot delete rows before the
anchor has moved.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table and its row, the indexes and the triggers."""
    chain = op.create_table(
        "chain",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("anchor_seq", sa.BigInteger(), nullable=False),
        sa.Column("anchor_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain")),
    )
    root = {"seq": 0, "hash": _ROOT, "anchor_seq": 0, "anchor_hash": _ROOT}
    op.bulk_insert(chain, [{"id": 1, **root}])
    _index("audit_in_order", "seq", unique=True, where="seq IS NOT NULL")
    _index("audit_to_link", "id", unique=False, where="hash IS NULL")
    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


def _index(name: str, column: str, *, unique: bool, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "audit", [column], unique=unique, sqlite_where=condition, postgresql_where=condition)


_ROOT: Final = "0" * 64

_TRIGGERS: Final = {
    "sqlite": (
        """
        CREATE TRIGGER audit_keeps_order BEFORE DELETE ON audit
        WHEN NOT EXISTS (SELECT 1 FROM chain WHERE OLD.seq <= anchor_seq)
            AND EXISTS (SELECT 1 FROM retention WHERE OLD.at < audit_before)
        BEGIN SELECT RAISE(IGNORE); END
        """,
    ),
    "postgresql": (
        """
        CREATE OR REPLACE FUNCTION audit_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' AND EXISTS (SELECT 1 FROM retention WHERE OLD.at < audit_before) THEN
                IF EXISTS (SELECT 1 FROM chain WHERE OLD.seq <= anchor_seq) THEN
                    RETURN OLD;
                END IF;
                RETURN NULL;
            END IF;
            RAISE EXCEPTION 'the audit is append-only' USING ERRCODE = 'restrict_violation';
        END $$
        """,
    ),
}
