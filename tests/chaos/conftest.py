"""A server that can be restarted, and a nursery."""

from collections.abc import Iterator

import pytest

from tests import postgres
from tests.replicas import nursery as nurseries
from tests.replicas import stage as stages


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    """Return a server of our own, with an empty database to copy."""
    with postgres.running() as running:
        stages.make_template(running)
        yield running


@pytest.fixture(scope="session")
def nursery() -> Iterator[nurseries.Nursery]:
    """Return a nursery, started once."""
    with nurseries.opened() as opened:
        yield opened
