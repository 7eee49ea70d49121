"""A server, a nursery, and a stage for each test."""

import pathlib
from collections.abc import AsyncIterator, Iterator

import pytest

from tests import postgres
from tests.replicas import nursery as nurseries
from tests.replicas import stage as stages


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    """Return a server, started once, with an empty database to copy."""
    with postgres.running() as running:
        stages.make_template(running)
        yield running


@pytest.fixture(scope="session")
def nursery() -> Iterator[nurseries.Nursery]:
    """Return a nursery, started once."""
    with nurseries.opened() as opened:
        yield opened


@pytest.fixture
async def stage(
    tmp_path: pathlib.Path, server: postgres.Server, nursery: nurseries.Nursery
) -> AsyncIterator[stages.Stage]:
    """Return a stage with its own database."""
    async with stages.staged(tmp_path, server, nursery) as opened:
        yield opened
