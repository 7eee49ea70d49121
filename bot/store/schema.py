"""The tables, and their revision that this code needs.

It owns names, types, keys and indexes. It must not know records (see `rows`), statements or Alembic. `migrations/`
creates these tables, and a test compares the two. Times are seconds since the epoch (UTC).
"""

import enum
from typing import Final

import sqlalchemy as sa

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006")
"""Every revision that this code knows, oldest first. Other revisions were made by newer code."""

REVISION: Final = REVISIONS[-1]
"""The revision that this code needs."""

FLOW_LOCK: Final = "one_open_request_per_flow"
"""The partial unique index that allows only one open request for each flow."""


class EntryState(enum.StrEnum):
    """The state of an inbox row."""

    RECEIVED = "received"
    DECIDED = "decided"  # the answer is stored but not delivered yet
    DONE = "done"


metadata: Final = sa.MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s"},
)

requests: Final = sa.Table(
    "requests",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("flow_id", sa.Text, nullable=False),
    sa.Column("verb", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("dry_run", sa.Boolean, nullable=False),
    sa.Column("requester_team", sa.Text, nullable=False),
    sa.Column("requester_user", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("asked_in", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("decided_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("ended_by", sa.Text),
    sa.Column("reminded", sa.Boolean, nullable=False),
    sa.Column("next_seq", sa.Integer, nullable=False),
    sa.Column("flow", sa.Text, nullable=False),
    sa.Column("terms", sa.Text, nullable=False),
    sa.Column("votes", sa.Text, nullable=False),
    sa.Column("ending", sa.Text),
    sa.Column("recently_denied_by", sa.Text),
    sa.Column("emergency", sa.Text),
    sa.Column("requester_person", sa.Text),
    sa.Column("requester_login", sa.Text),
    sa.Column("card_channel", sa.Text, nullable=False),
    sa.Column("card_ts", sa.Text),
    sa.Column("card_shown", sa.Integer, nullable=False),
    sa.Column("card_thread", sa.Text),
    sa.Column("tell_failures", sa.Integer, nullable=False),
    sa.Column("tell_at", sa.Double, nullable=False),
    sa.Column("due_at", sa.Double),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_until", sa.Double),
    sa.Column("changed_at", sa.Double),
    sa.Index(
        "due_requests",
        "due_at",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    ),
    sa.Index(
        "settled_requests",
        "changed_at",
        sqlite_where=sa.text("due_at IS NULL"),
        postgresql_where=sa.text("due_at IS NULL"),
    ),
    sa.Index(
        "emergencies_of_user",
        "requester_user",
        "decided_at",
        sqlite_where=sa.text("emergency IS NOT NULL"),
        postgresql_where=sa.text("emergency IS NOT NULL"),
    ),
    sa.Index(
        "emergencies_of_person",
        "requester_person",
        "decided_at",
        sqlite_where=sa.text("emergency IS NOT NULL"),
        postgresql_where=sa.text("emergency IS NOT NULL"),
    ),
    sa.Index("history_of_flow", "project", "flow_id", "created_at"),
    sa.Index("history_of_project", "project", "created_at"),
)

operations: Final = sa.Table(
    "operations",
    metadata,
    sa.Column("request_id", sa.Text, sa.ForeignKey(requests.c.id), primary_key=True),
    sa.Column("flow_id", sa.Text, primary_key=True),
    sa.Column("flow_name", sa.Text, nullable=False),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("verb", sa.Text, nullable=False),
    sa.Column("progress", sa.Text, nullable=False),
    sa.Column("begun_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("record", sa.Text, nullable=False),
    sa.Column("holds", sa.Boolean, nullable=False),
    sa.Index(
        FLOW_LOCK, "project", "flow_id", unique=True, sqlite_where=sa.text("holds"), postgresql_where=sa.text("holds")
    ),
)

replies: Final = sa.Table(
    "replies",
    metadata,
    sa.Column("request_id", sa.Text, sa.ForeignKey(requests.c.id), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("said", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("actor_team", sa.Text),
    sa.Column("actor_user", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("needed", sa.Integer, nullable=False),
    sa.Column("ts", sa.Text),
    sa.Column("actor_person", sa.Text),
    sa.Column("actor_login", sa.Text),
)

inbox: Final = sa.Table(
    "inbox",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("actor_team", sa.Text, nullable=False),
    sa.Column("actor_user", sa.Text, nullable=False),
    sa.Column("arrival", sa.Text, nullable=False),
    sa.Column("received_at", sa.Double, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("answer", sa.Text),
    sa.Column("due_at", sa.Double, nullable=False),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_until", sa.Double),
    sa.Column("actor_person", sa.Text),
    sa.Column("actor_login", sa.Text),
    sa.Index(
        "unfinished_entries",
        "received_at",
        sqlite_where=sa.text("state <> 'done'"),
        postgresql_where=sa.text("state <> 'done'"),
    ),
    sa.Index(
        "done_entries",
        "received_at",
        sqlite_where=sa.text("state = 'done'"),
        postgresql_where=sa.text("state = 'done'"),
    ),
)

audit: Final = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("actor_team", sa.Text),
    sa.Column("actor_user", sa.Text),
    sa.Column("request_id", sa.Text),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger),
    sa.Column("prev", sa.Text),
    sa.Column("hash", sa.Text),
    sa.Index("audit_of_request", "request_id"),
    sa.Index(
        "audit_in_order",
        "seq",
        unique=True,
        sqlite_where=sa.text("seq IS NOT NULL"),
        postgresql_where=sa.text("seq IS NOT NULL"),
    ),
    sa.Index(
        "audit_to_link",
        "id",
        sqlite_where=sa.text("hash IS NULL"),
        postgresql_where=sa.text("hash IS NULL"),
    ),
    sqlite_autoincrement=True,
)

chain: Final = sa.Table(
    "chain",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("anchor_seq", sa.BigInteger, nullable=False),
    sa.Column("anchor_hash", sa.Text, nullable=False),
)
"""One row: the last link of the audit's chain, and the anchor: the last link that retention deleted."""

keys: Final = sa.Table(
    "keys",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("bad_tries", sa.Integer, nullable=False),
    sa.Column("locked_until", sa.Double, nullable=False),
)
"""The state of access keys; a key is identified by a hash."""

pause: Final = sa.Table(
    "pause",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
)
"""One row while changing verbs are paused, otherwise none."""

retention: Final = sa.Table(
    "retention",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("audit_before", sa.Double),
)
"""One row: which rows of the audit may be deleted; none, except within a clean-up transaction."""
