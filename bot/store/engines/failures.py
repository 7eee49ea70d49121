"""Turn failures of the database into sentences for an operator.

It knows the error codes of the databases. Messages never contain statements or values, which users may have typed.
"""

from typing import Final

from sqlalchemy import exc

from bot.store import schema
from bot.usecases import errors

_SQLITE: Final = {
    "SQLITE_BUSY": "another process is writing to the database and does not let go",
    "SQLITE_LOCKED": "another process is writing to the database and does not let go",
    "SQLITE_FULL": "there is no room left on the disk of the database",
    "SQLITE_READONLY": "the database file cannot be written: it is read-only",
    "SQLITE_IOERR": "the disk of the database does not work",
    "SQLITE_CANTOPEN": "the database file cannot be opened; flowbot must be able to write it and its directory",
    "SQLITE_CORRUPT": "the database file is damaged",
    "SQLITE_NOTADB": "the file that DATABASE_URL names is not an SQLite database",
}
"""By the first two words of SQLite's extended error names, https://www.sqlite.org/rescode.html."""


_POSTGRES: Final = {
    "28P01": "the database server does not accept the user or the password of DATABASE_URL",
    "28000": "the database server does not let the user of DATABASE_URL in",
    "3D000": "the server has no database with the name in DATABASE_URL",
    "42501": "the user of DATABASE_URL may not do that in the database",
    "42P01": "the database lacks a table: run `flowbot migrate`",
    "53100": "there is no room left on the disk of the database",
    "53200": "the database server has no memory left",
    "53300": "the database server has no connection left: raise its max_connections, or run fewer replicas",
    "25006": "the database server is read-only: is it a standby?",
    "25P03": "a transaction was left open for too long, and the database server ended it",
    "40001": "another write was in the way",
    "40P01": "another write was in the way",
    "57014": "the database is too slow: the server ended the statement",
    "57P01": "the database server is shutting down",
    "57P02": "the database server is shutting down",
    "57P03": "the database server is not ready yet",
}
"""By SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html."""

_ROLLED_BACK: Final = ("23", "40")
"""SQLSTATE classes of a failed COMMIT that wrote nothing: a constraint, or a rollback."""


def refused(error: exc.SQLAlchemyError | TimeoutError) -> errors.StoreError:
    """Return the exception for a write that failed before its commit: nothing was written."""
    if isinstance(error, exc.IntegrityError):
        # SQLite names the columns of an index, PostgreSQL the index itself.
        words = str(error.orig)
        if schema.FLOW_LOCK in words or "operations.project, operations.flow_id" in words:
            return errors.FlowHeld("another open request holds the flow")
        if "pk_requests" in words or "UNIQUE constraint failed: requests.id" in words:
            return errors.Conflict("the request already exists")
    return errors.NotRecorded(f"nothing was recorded: {_why(error)}")


def uncommitted(error: exc.SQLAlchemyError | TimeoutError) -> errors.StoreError:
    """Return the exception for a failed commit: the write may or may not be on disk."""
    if _sqlite_name(error) == "SQLITE_FULL" or (_state(error) or "").startswith(_ROLLED_BACK):
        # SQLite: the commit frame is the last one to be written, and a page did not fit:
        # https://www.sqlite.org/fileformat2.html#the_write_ahead_log
        return refused(error)
    return errors.Unconfirmed(f"it is not known whether this was recorded: {_why(error)}")


def unread(error: exc.SQLAlchemyError | TimeoutError) -> errors.StoreError:
    """Return the exception for a failed read."""
    return errors.StoreError(f"the database could not be read: {_why(error)}")


def shown(error: exc.SQLAlchemyError | TimeoutError) -> BaseException | None:
    """Return an error that a traceback may show: PostgreSQL's messages quote the row."""
    return error if _sqlite_name(error) is not None or isinstance(error, TimeoutError) else None


def _why(error: exc.SQLAlchemyError | TimeoutError) -> str:
    cause = error.orig if isinstance(error, exc.DBAPIError) else None
    if isinstance(error, exc.TimeoutError):
        return "the database is too slow: other writes are waiting before this one"
    if isinstance(error, TimeoutError) or isinstance(cause, TimeoutError):
        return "the database does not answer"
    name = _sqlite_name(error)
    if name is not None:
        return _SQLITE.get("_".join(name.split("_")[:2]), f"the database refused it ({name})")
    return _why_of_server(error, cause)


def _why_of_server(error: exc.SQLAlchemyError, cause: BaseException | None) -> str:
    state = _state(error)
    kind = type((cause.__cause__ if cause is not None else None) or cause or error).__name__
    if state is not None and (state in _POSTGRES or not state.startswith("08")):
        return _POSTGRES.get(state, f"the database refused it ({kind})")
    if "SSL" in f"{kind} {cause}":
        return "the connection to the database server cannot be encrypted in the way that DATABASE_URL's sslmode asks"
    if kind in ("ClientConfigurationError", "FileNotFoundError", "PermissionError"):
        return f"DATABASE_URL has a wrong value, or names a file or a socket that flowbot cannot use ({kind})"
    if isinstance(cause, OSError):
        return f"the database server cannot be reached ({kind})"
    if state is not None or _is_lost(cause):
        return "the connection to the database server was lost"
    return f"the database refused it ({kind})"


def _is_lost(cause: BaseException | None) -> bool:
    """Return whether asyncpg itself found the connection closed; SQLAlchemy passes on only the message."""
    return any(words in str(cause) for words in ("connection is closed", "connection was closed", "ConnectionDoesNot"))


def _state(error: BaseException) -> str | None:
    cause = error.orig if isinstance(error, exc.DBAPIError) else None
    return getattr(cause, "sqlstate", None)


def _sqlite_name(error: BaseException) -> str | None:
    cause = error.orig if isinstance(error, exc.DBAPIError) else None
    return getattr(cause, "sqlite_errorname", None)
