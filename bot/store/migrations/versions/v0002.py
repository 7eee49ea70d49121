"""The pause of all changing verbs, and what the clean-up needs.

PostgreSQL gets the triggers that make the audit append-only.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add everything; existing requests count as changed when they ended."""
    _pause()
    _retention()
    op.add_column("requests", sa.Column("changed_at", sa.Double(), nullable=True))
    op.execute("UPDATE requests SET changed_at = coalesce(ended_at, decided_at, created_at)")
    _index("settled_requests", "requests", ["changed_at"], where="due_at IS NULL")
    _index("done_entries", "inbox", ["received_at"], where="state = 'done'")
    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


def _pause() -> None:
    op.create_table(
        "pause",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pause")),
    )


def _retention() -> None:
    op.create_table(
        "retention",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("audit_before", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention")),
    )
    op.execute("INSERT INTO retention (id) VALUES (1)")


def _index(name: str, table: str, columns: list[str], *, where: str) -> None:
    op.create_index(name, table, columns, unique=False, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


_TRIGGERS: Final = {
    "sqlite": (
        "DROP TRIGGER audit_keeps_rows",
        """
        CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit
        WHEN NOT EXISTS (SELECT 1 FROM retention WHERE OLD.at < audit_before)
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END
        """,
    ),
    "postgresql": (
        """
        CREATE FUNCTION audit_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' AND EXISTS (SELECT 1 FROM retention WHERE OLD.at < audit_before) THEN
                RETURN OLD;
            END IF;
            RAISE EXCEPTION 'the audit is append-only' USING ERRCODE = 'restrict_violation';
        END $$
        """,
        """
        CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_keeps()
        """,
        """
        CREATE TRIGGER audit_keeps_all BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_keeps()
        """,
        """
        CREATE TRIGGER audit_keeps_facts
        BEFORE UPDATE OF id, at, what, actor_team, actor_user, request_id, facts ON audit
        FOR EACH ROW EXECUTE FUNCTION audit_keeps()
        """,
        """
        CREATE TRIGGER audit_keeps_chain BEFORE UPDATE OF seq, prev, hash ON audit
        FOR EACH ROW WHEN (OLD.hash IS NOT NULL) EXECUTE FUNCTION audit_keeps()
        """,
    ),
}
