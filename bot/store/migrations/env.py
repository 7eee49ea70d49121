"""Alembic's environment: migrates the connection that `migrate` hands over. Only Alembic runs this file."""

from alembic import context

from bot.store import schema

# SQLite can roll DDL back, though Alembic does not believe it: a migration happens whole or not at all.
context.configure(
    connection=context.config.attributes["connection"], target_metadata=schema.metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
