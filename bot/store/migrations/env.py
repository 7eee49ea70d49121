"""Alembic's environment: migrates the connection that `migrate` hands over. Only Alembic runs this file.

It begins and commits nothing: `migrate` does, so that a migration happens whole or not at all.
"""

from alembic import context

from bot.store import schema

context.configure(connection=context.config.attributes["connection"], target_metadata=schema.metadata)
context.run_migrations()
