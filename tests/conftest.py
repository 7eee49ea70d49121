"""What tests of several folders share: a plain log, the examples of laws, and the process that forks bots."""

import pathlib
import shutil
from collections.abc import Iterator
from typing import Final

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests import bolt_js
from tests import nursery as nurseries

PLAIN: Final = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)

# As the bot's own log: a pretty traceback, with all local variables, costs seconds.
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], PLAIN])

# Every day the same examples, whatever was found before and however busy the machine is: one verdict for one commit.
settings.register_profile(
    "everyday",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# For `poe laws`: many more, and others each time; what fails is told with the line that plays it again.
settings.register_profile("laws", parent=settings.get_profile("everyday"), derandomize=False, max_examples=2000)
settings.load_profile("everyday")


@pytest.fixture(scope="session")
def nursery() -> Iterator[nurseries.Nursery]:
    """Return what forks bots."""
    with nurseries.opened() as opened:
        yield opened


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what a machine leaves out of the tests, and the command that changes it."""
    servers = pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")
    there = {"chromium": shutil.which("chromium") is not None, "postgresql": any(servers)}
    for package in (package for package, found in there.items() if not found):
        terminalreporter.write_line(f"Tests that need {package} are left out. To run them: apt-get install {package}")
    if not bolt_js.is_installed():
        terminalreporter.write_line(f"Tests of Bolt for JavaScript are left out. To run them: {bolt_js.INSTALL}")
