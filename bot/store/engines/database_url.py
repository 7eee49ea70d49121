"""Parse `DATABASE_URL`. Pure.

Errors never contain a part of the URL, which may hold a password. It must not know connections.
"""

import pathlib

import sqlalchemy as sa
from sqlalchemy import exc

from bot.usecases import errors

_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}

_KNOWN = {
    "application_name",
    "dbname",
    "gsslib",
    "host",
    "krbsrvname",
    "passfile",
    "password",
    "port",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "target_session_attrs",
    "user",
}
"""The parameters of a server's URL that asyncpg understands like libpq."""

_IGNORED = {
    "channel_binding",
    "connect_timeout",
    "connection_limit",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "pgbouncer",
    "pool_timeout",
    "sslcompression",
    "tcp_user_timeout",
}
"""Parameters in the URLs of hosting providers that have no effect here, since flowbot has its own limits and pool."""

_SEVERAL = "DATABASE_URL must name one host: let a proxy or a virtual address choose among several"

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def parse(text: str) -> sa.URL:
    """Return the URL with our driver in it.

    Raises errors.StoreError for anything but `sqlite:///FILE`, and `postgres://…` or `postgresql://…` with one host.
    """
    if "," in text.partition("://")[2].partition("/")[0].rpartition("@")[2]:  # SQLAlchemy may not accept it as a URL
        raise errors.StoreError(_SEVERAL)
    try:
        url = sa.make_url(text)
    except (exc.ArgumentError, ValueError):
        raise errors.StoreError("DATABASE_URL is not a URL: sqlite:///flowbot.db is one") from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise errors.StoreError("DATABASE_URL must begin with sqlite:///, postgres:// or postgresql://")
    if driver == _DRIVERS["sqlite"] and (url.host or not url.database or url.database.startswith((":", "file:"))):
        raise errors.StoreError("DATABASE_URL must name a file: sqlite:///relative.db or sqlite:////absolute.db")
    if driver != _DRIVERS["sqlite"]:
        _check_parameters(url)
    return url.set(drivername=driver)


def _check_parameters(url: sa.URL) -> None:
    if not url.query.keys() <= _KNOWN | _IGNORED:
        raise errors.StoreError(f"DATABASE_URL has a parameter that is not one of: {', '.join(sorted(_KNOWN))}")
    host = url.query.get("host", "")
    if not isinstance(host, str) or "," in host:
        raise errors.StoreError(_SEVERAL)
    if url.query.get("sslmode", "prefer") not in _SSL_MODES:
        raise errors.StoreError(f"the sslmode of DATABASE_URL must be one of: {', '.join(_SSL_MODES)}")


def passwords(text: str) -> tuple[str, ...]:
    """Return the passwords in the setting, even if it is not a valid URL."""
    try:
        url = sa.make_url(text)
    except (exc.ArgumentError, ValueError):
        return (text,)
    found = (url.password, *(url.query.get(name) for name in ("password", "sslpassword")))
    return tuple(str(password) for password in found if password)


def dsn(url: sa.URL) -> str:
    """Return the URL of a server for libpq and asyncpg."""
    query = {name: value for name, value in url.query.items() if name not in _IGNORED}
    query.setdefault("application_name", "flowbot")
    return url.set(drivername="postgresql", query=query).render_as_string(hide_password=False)


def sqlite_file(url: sa.URL) -> pathlib.Path | None:
    """Return the file of an SQLite database; None for a database server."""
    if url.get_backend_name() != "sqlite" or url.database is None:
        return None
    return pathlib.Path(url.database).resolve()
