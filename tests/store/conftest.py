"""Real databases, in files and on a server, opened by as many replicas as a test needs."""

import dataclasses
import itertools
import pathlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import sqlalchemy as sa

from bot.store import migrate, opening, store
from tests import postgres

DATABASES = ("sqlite", "postgresql")

BUSY = 0.5
"""Seconds that a test waits for a lock."""


class Clock:
    """A clock that a test sets: that of the system, the replica's monotonic one, and that of the server, if any."""

    def __init__(self) -> None:
        self._file: pathlib.Path | None = None
        self._time = 1_700_000_000.0

    @property
    def time(self) -> float:
        """Return the time that was set."""
        return self._time

    @time.setter
    def time(self, time: float) -> None:
        self._time = time
        if self._file is not None:
            self._file.write_text(repr(time))

    def show_in(self, file: pathlib.Path) -> None:
        """Write the time to a file too, from which the server reads it."""
        self._file = file
        self.time = self._time

    def now(self) -> float:
        """Return the time that was set."""
        return self._time

    async def sleep(self, seconds: float) -> None:
        """Let the seconds pass at once."""
        self.time += seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replicas:
    """Several replicas of one database."""

    url: str
    open: Callable[[str], Awaitable[store.SqlStore]]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return an empty database, made once."""
    file = tmp_path_factory.mktemp("migrated") / "empty.db"
    migrate.migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    """Return a server, started once; no power is cut here, so that nothing waits for a disk."""
    with postgres.running() as server:
        server.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield server


@pytest.fixture(scope="session")
def template(server: postgres.Server) -> str:
    """Return the name of an empty database, made once, whose clock is read from a file."""
    server.execute("CREATE DATABASE template_of_tests")
    migrate.migrate(server.url("template_of_tests"))
    server.follow_clock("template_of_tests")
    return "template_of_tests"


@pytest.fixture
def new_database(server: postgres.Server) -> Iterator[Callable[..., str]]:
    """Return a function that creates databases on the server, which are dropped after the test."""
    made: list[str] = []

    def make(*, template: str = "template1") -> str:
        made.append(f"of_test_{next(_numbers)}")
        server.execute(f"CREATE DATABASE {made[-1]} TEMPLATE {template}")
        return made[-1]

    yield make
    server.execute(*[f"DROP DATABASE {name} WITH (FORCE)" for name in made])


_numbers = itertools.count(1)


@pytest.fixture
def server_url(server: postgres.Server, template: str, new_database: Callable[..., str], clock: Clock) -> str:
    """Return the URL of an empty database on the server."""
    name = new_database(template=template)
    clock.show_in(server.clock_of(name))
    return server.url(name)


@pytest.fixture
def file_url(migrated: pathlib.Path, tmp_path: pathlib.Path) -> str:
    """Return the URL of an empty file."""
    return f"sqlite:///{shutil.copy(migrated, tmp_path / 'flowbot.db')}"


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty database of each kind."""
    found: str = request.getfixturevalue("file_url" if request.param == "sqlite" else "server_url")
    return found


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
async def replicas(url: str, clock: Clock) -> AsyncIterator[Replicas]:
    """Open replicas by name; they are closed at the end."""
    opened: list[store.SqlStore] = []

    async def open_one(name: str) -> store.SqlStore:
        opened.append(
            await opening.open_store(
                url, clock=clock, replica=name, exclusive=False, busy_timeout=BUSY, monotonic=clock.now
            )
        )
        return opened[-1]

    yield Replicas(url=url, open=open_one)
    for one in opened:
        await one.close()


@pytest.fixture
async def mine(replicas: Replicas) -> store.SqlStore:
    """Return the store of the replica under test."""
    return await replicas.open("mine")


@pytest.fixture
async def other(replicas: Replicas) -> store.SqlStore:
    """Return the store of another replica on the same database."""
    return await replicas.open("other")


Rows = list[dict[str, object]]


async def rows_of(opened: store.SqlStore, table: str) -> Rows:
    """Return all rows of a table."""

    def work(connection: sa.Connection) -> Rows:
        found = connection.execute(sa.select(sa.text("*")).select_from(sa.table(table)))
        return [dict(row) for row in found.mappings()]

    return await opened.database.read(work)


async def changed(opened: store.SqlStore, *statements: str) -> None:
    """Execute statements on the database, bypassing the store."""

    def work(connection: sa.Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    await opened.database.write(work)
