"""The database of requests, inbox and audit: SQLAlchemy Core on SQLite or PostgreSQL.

The only room that knows SQL. It must not decide anything about requests.
"""
