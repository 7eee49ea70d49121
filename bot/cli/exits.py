"""Exit codes, and failures as one sentence instead of a traceback."""

import pathlib
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import click

from bot.policy.file.problems import SettingsInvalid
from bot.usecases import errors

if TYPE_CHECKING:
    from bot.settings.loader import Settings

WorkResult = TypeVar("WorkResult")

NO: Final = 1
"""The exit code if the answer is no."""

WRONG: Final = 2
"""The exit code for wrong usage, settings, policy or database revision."""


def settings() -> "Settings":
    """Load the settings, or list every problem and exit 2."""
    from bot.settings import loader

    try:
        return loader.load(directory=pathlib.Path.cwd())
    except SettingsInvalid as invalid:
        wrong(loader.check_report(invalid))


def wrong(lines: Iterable[str]) -> NoReturn:
    """Print the lines as errors and exit 2."""
    click.echo("\n".join(lines), err=True)
    sys.exit(WRONG)


def or_wrong(work: Callable[[], WorkResult]) -> WorkResult:
    """Return the result of the work; on an error of flowbot's own, print it as one sentence and exit 2."""
    _log_to_stderr()
    try:
        return work()
    except (errors.FlowbotError, SettingsInvalid) as failure:
        wrong([str(failure)])


def _log_to_stderr() -> None:
    """Keep log lines out of what a command prints, unless the log is configured already."""
    import structlog

    if not structlog.is_configured():
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
