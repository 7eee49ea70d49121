"""What a failure of the database means, in a sentence that an operator understands.

It knows the drivers' error codes. It puts neither statements nor values into a message: they may be what a user typed.
"""

from typing import Final

from sqlalchemy import exc

from bot import errors
from bot.store import schema

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


def refused(error: exc.SQLAlchemyError) -> errors.StoreError:
    """Name a write that failed before its commit: nothing of it is on disk."""
    if isinstance(error, exc.IntegrityError):
        # SQLite names the columns of an index, PostgreSQL the index itself.
        words = str(error.orig)
        if schema.FLOW_LOCK in words or "operations.project, operations.flow_id" in words:
            return errors.FlowHeld("another open request holds the flow")
        if "pk_requests" in words or "UNIQUE constraint failed: requests.id" in words:
            return errors.Conflict("the request is there already")
    return errors.NotRecorded(f"nothing was recorded: {_why(error)}")


def uncommitted(error: exc.SQLAlchemyError) -> errors.StoreError:
    """Name a commit that failed: what it wrote may be on disk or not."""
    if _sqlite_name(error) == "SQLITE_FULL":
        # The frame that makes a transaction count is the last one that is written, and a page did not fit:
        # https://www.sqlite.org/fileformat2.html#the_write_ahead_log
        return refused(error)
    return errors.Unconfirmed(f"it is not known whether this was recorded: {_why(error)}")


def unread(error: exc.SQLAlchemyError) -> errors.StoreError:
    """Name a read that failed."""
    return errors.StoreError(f"the database could not be read: {_why(error)}")


def _why(error: exc.SQLAlchemyError) -> str:
    if isinstance(error, exc.TimeoutError):
        return "the database is too slow: other writes are waiting before this one"
    name = _sqlite_name(error)
    if name is not None:
        return _SQLITE.get("_".join(name.split("_")[:2]), f"the database refused it ({name})")
    cause = error.orig if isinstance(error, exc.DBAPIError) else None
    return f"the database refused it ({type(cause or error).__name__})"


def _sqlite_name(error: exc.SQLAlchemyError) -> str | None:
    cause = error.orig if isinstance(error, exc.DBAPIError) else None
    return getattr(cause, "sqlite_errorname", None)
