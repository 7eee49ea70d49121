"""Where requests, the inbox and the audit live: SQLAlchemy Core on SQLite or PostgreSQL."""
