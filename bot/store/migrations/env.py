"""Alembic's environment: migrates the connection that `migrate` passes. Only Alembic runs this file.

`migrate` begins and commits the transaction, so that a migration is atomic.
"""

from alembic import context

from bot.store import schema

context.configure(connection=context.config.attributes["connection"], target_metadata=schema.metadata)
context.run_migrations()
