"""`flowbot doctor`: what is wrong with a deployment, and what to do about it."""

import os
import pathlib
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import click

from bot.cli import exits
from bot.policy.file.problems import SettingsInvalid

if TYPE_CHECKING:
    from bot.serve.doctor.findings import Finding
    from bot.settings.loader import Settings

Show: TypeAlias = "Callable[[Iterable[Finding]], None]"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print an object of JSON for each check, one a line.")
@click.option("--deliver", is_flag=True, help="Then wait up to 60 s for /flow whoami in Slack; no bot may run.")
def doctor(as_json: bool, deliver: bool) -> None:
    """Check all that the bot depends on, without changing anything.

    One line for each check: ok, warn or fail, what was found, and what to do. Exit 1 if a check fails, 2 for settings
    and policy. Nothing shows in Slack.
    """
    import asyncio

    from bot.serve.doctor import findings, settings_checks
    from bot.settings import loader

    def show(found: "Iterable[Finding]") -> None:
        for each in found:
            click.echo(findings.json_line(each) if as_json else findings.line(each))
        sys.stdout.flush()

    try:
        settings = loader.load(directory=pathlib.Path.cwd())
    except SettingsInvalid as invalid:
        show(settings_checks.invalid(invalid))
        sys.exit(exits.WRONG)
    failed = asyncio.Runner().run(_examine(settings, show, deliver=deliver))
    _leave(exits.WRONG if settings.defects else exits.NO if failed else 0)


def _leave(code: int) -> NoReturn:
    """Exit without waiting for threads: a name server that does not answer holds those that ask it for a minute.

    For the same reason the runner above is not closed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _examine(settings: "Settings", show: Show, *, deliver: bool) -> bool:
    """Show the findings as soon as they are known, and tell whether a check failed."""
    from bot.serve.clock import SystemClock
    from bot.serve.doctor import delivery, examination, findings
    from bot.settings import log
    from bot.store.engines import database_url

    hidden = (*settings.secrets(), *database_url.passwords(settings.database_url))
    log.configure(fmt="console", level="critical", secrets=hidden)  # what goes wrong is a finding already
    found = await examination.examine(settings, clock=SystemClock())
    show(found)
    if deliver:
        arrived = await delivery.wait(settings, clock=SystemClock(), ready=_invite)
        show((arrived,))
        found = (*found, arrived)
    return findings.has_failed(found)


def _invite(address: str) -> None:
    where = f" Listening at {address}." if address else ""
    click.echo(f"Type /flow whoami in Slack, within a minute.{where}", err=True)
