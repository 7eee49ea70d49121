"""`flowbot doctor`: what is wrong with a deployment, and what to do about it."""

import asyncio
import pathlib
import sys
from typing import TYPE_CHECKING

import click

from bot.cli import exits
from bot.policy.file.problems import SettingsInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.serve.doctor.findings import Finding
    from bot.settings.loader import Settings


@click.command()
@click.option(
    "--json", "as_json", is_flag=True, help="Print an object of JSON for each check: name, status, found, remedy."
)
@click.option(
    "--deliver", is_flag=True, help="Then wait up to 60 s for /flow whoami to be typed in Slack; no bot may run."
)
def doctor(as_json: bool, deliver: bool) -> None:
    """Check everything that the bot depends on; exit 1 if anything fails, 2 for settings and policy.

    Nothing is changed anywhere, and nothing is shown in Slack.
    """
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
    found = asyncio.run(_examine(settings))
    show(found)
    if deliver:
        arrived = asyncio.run(_deliver(settings))
        show((arrived,))
        found = (*found, arrived)
    sys.exit(exits.WRONG if settings.defects else exits.NO if findings.has_failed(found) else 0)


async def _examine(settings: "Settings") -> "tuple[Finding, ...]":
    from bot.serve.clock import SystemClock
    from bot.serve.doctor import examination
    from bot.settings import log
    from bot.store.engines import database_url

    hidden = (*settings.secrets(), *database_url.passwords(settings.database_url))
    log.configure(fmt="console", level="critical", secrets=hidden)  # what goes wrong is a finding already
    return await examination.examine(settings, clock=SystemClock())


async def _deliver(settings: "Settings") -> "Finding":
    from bot.serve.clock import SystemClock
    from bot.serve.doctor import delivery

    def ready(address: str) -> None:
        where = f" Listening at {address}." if address else ""
        click.echo(f"Type /flow whoami in Slack, within {delivery.WITHIN:.0f} s.{where}", err=True)

    return await delivery.wait(settings, clock=SystemClock(), ready=ready)
