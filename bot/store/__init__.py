"""Where requests, the inbox and the audit live: SQLAlchemy Core on SQLite or PostgreSQL.

The only room that knows SQL. It must not decide anything about requests.
"""
