"""What tests of several folders share: the process that forks bots."""

from collections.abc import Iterator

import pytest

from tests import nursery as nurseries


@pytest.fixture(scope="session")
def nursery() -> Iterator[nurseries.Nursery]:
    """Return what forks bots."""
    with nurseries.opened() as opened:
        yield opened
