"""Databases to test on: real files, opened by as many replicas as a test asks for."""

import dataclasses
import pathlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import sqlalchemy as sa

from bot.store import migrate, store

DATABASES = ("sqlite",)

BUSY = 0.02
"""Seconds that a test waits for a lock."""


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def now(self) -> float:
        """Return the time that was set."""
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
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


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, migrated: pathlib.Path, tmp_path: pathlib.Path) -> str:
    """Return the URL of an empty database of each kind."""
    assert request.param == "sqlite"
    return f"sqlite:///{shutil.copy(migrated, tmp_path / 'flowbot.db')}"


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
async def replicas(url: str, clock: Clock) -> AsyncIterator[Replicas]:
    """Open replicas by name; they are closed at the end."""
    opened: list[store.SqlStore] = []

    async def open_one(name: str) -> store.SqlStore:
        opened.append(await store.open_store(url, clock=clock, replica=name, exclusive=False, busy_timeout=BUSY))
        return opened[-1]

    yield Replicas(url=url, open=open_one)
    for one in opened:
        await one.close()


@pytest.fixture
async def mine(replicas: Replicas) -> store.SqlStore:
    """Return the store of the replica that a test is about."""
    return await replicas.open("mine")


@pytest.fixture
async def other(replicas: Replicas) -> store.SqlStore:
    """Return the store of another replica on the same database."""
    return await replicas.open("other")


Rows = list[dict[str, object]]


async def rows_of(opened: store.SqlStore, table: str) -> Rows:
    """Return all rows of a table, as they stand."""
    async with opened.database.readers.connect() as connection:
        found = await connection.execute(sa.select(sa.text("*")).select_from(sa.table(table)))
        return [dict(row) for row in found.mappings()]
