"""What `DATABASE_URL` means: pure functions from the setting to the address of a database.

It knows nothing of connections, and puts no part of a URL into an error: there may be a password in it.
"""

import pathlib

import sqlalchemy as sa
from sqlalchemy import exc

from bot import errors

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}


def parse(text: str) -> sa.URL:
    """Return the URL with the asynchronous driver in it.

    Raises errors.StoreError for anything but `sqlite:///FILE`, `postgres://…` and `postgresql://…`.
    """
    try:
        url = sa.make_url(text)
    except (exc.ArgumentError, ValueError):
        raise errors.StoreError("DATABASE_URL is not a URL: sqlite:///flowbot.db is one") from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise errors.StoreError("DATABASE_URL must begin with sqlite:///, postgres:// or postgresql://")
    if driver == _DRIVERS["sqlite"] and (url.host or not url.database or url.database.startswith((":", "file:"))):
        raise errors.StoreError("DATABASE_URL must name a file: sqlite:///relative.db or sqlite:////absolute.db")
    return url.set(drivername=driver)


def sqlite_file(url: sa.URL) -> pathlib.Path | None:
    """Return the file of an SQLite database; None for a database server."""
    if url.get_backend_name() != "sqlite" or url.database is None:
        return None
    return pathlib.Path(url.database).resolve()
