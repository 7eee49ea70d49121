"""What tests of several folders share: a plain log, and the process that forks bots."""

from collections.abc import Iterator
from typing import Final

import pytest
import structlog

from tests import nursery as nurseries

PLAIN: Final = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)

# As the bot's own log: a pretty traceback, with all local variables, costs seconds.
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], PLAIN])


@pytest.fixture(scope="session")
def nursery() -> Iterator[nurseries.Nursery]:
    """Return what forks bots."""
    with nurseries.opened() as opened:
        yield opened
