"""`flowbot audit`: export the audit, print the head of its chain, and verify it."""

import contextlib
import datetime
import pathlib
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from bot.cli import exits

if TYPE_CHECKING:
    from bot.store import chain

HEAD: Final = re.compile(r"(\d{1,18})[: ]([0-9a-f]{64})")


class Moment(click.ParamType[float]):
    """A time such as 2026-11-24T03:00:00Z, or how long ago, such as 2h; in seconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the time, or fail with what a time looks like."""
        import durationpy

        with contextlib.suppress(durationpy.DurationError):
            ago = float(durationpy.from_str(value).total_seconds())
            if ago >= 0:
                return time.time() - ago
        try:
            found = datetime.datetime.fromisoformat(value)
        except ValueError:
            self.fail(f'"{value}" is no time: write 2026-11-24T03:00:00Z, or how long ago, such as 2h', param, ctx)
        return found.replace(tzinfo=found.tzinfo or datetime.UTC).timestamp()


class SavedHead(click.ParamType["chain.Link"]):
    """A head as `flowbot audit head` prints it, with a colon or a space between its number and its hash."""

    name = "head"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "chain.Link":
        """Return the link, or fail with what a head looks like."""
        from bot.store import chain

        found = HEAD.fullmatch(str(value).strip())
        if found is None:
            self.fail(f'"{value}" is no head: write SEQ:HASH, as `flowbot audit head` prints them', param, ctx)
        return chain.Link(seq=int(found[1]), hash=found[2])


@click.group()
def audit() -> None:
    """Export the audit, and show that nothing in it was changed."""


@audit.command()
@click.option("--since", type=Moment(), metavar="TIME", help="From then on: 2026-11-24T03:00:00Z (UTC), or 2h ago.")
@click.option("--until", type=Moment(), metavar="TIME", help="Up to then, not included.")
@click.option("--format", "shape", type=click.Choice(["jsonl", "ocsf"]), default="jsonl", show_default=True)
def export(since: float | None, until: float | None, shape: str) -> None:
    """Print the audit in order, a line of JSON for each row, with its place in the hash chain."""
    settings = exits.settings()
    from bot.serve import audit as audits
    from bot.serve.clock import SystemClock
    from bot.store import chain, ocsf

    def plain(row: chain.AuditRow, begins: bool) -> str:
        return chain.line(row, begins=begins)

    def event(row: chain.AuditRow, begins: bool) -> str:
        return ocsf.line(row)

    shown = plain if shape == "jsonl" else event
    left = exits.or_wrong(
        lambda: audits.export(
            settings.database_url, since=since, until=until, shown=shown, write=_print, clock=SystemClock()
        )
    )
    sys.stdout.flush()
    if left:
        click.echo(f"{left} rows are not in the chain yet, and left out: a running flowbot links them", err=True)


@audit.command()
def head() -> None:
    """Print the number and the hash of the last row: keep them elsewhere, and verify against them later."""
    settings = exits.settings()
    from bot.serve import audit as audits
    from bot.serve.clock import SystemClock

    link = exits.or_wrong(lambda: audits.head(settings.database_url, clock=SystemClock()))
    click.echo(f"{link.seq} {link.hash}")


@audit.command()
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    metavar="EXPORT",
    help="Verify the lines of an export (jsonl) instead of the database.",
)
@click.option("--head", "saved", type=SavedHead(), metavar="SEQ:HASH", help="A head that was saved before.")
def verify(file: pathlib.Path | None, saved: "chain.Link | None") -> None:
    """Verify the hash chain; exit 1 and name the first row that does not fit, and what is wrong with it."""
    from bot.serve import audit as audits
    from bot.serve.clock import SystemClock

    if file is None:
        settings = exits.settings()
        found = exits.or_wrong(lambda: audits.verify(settings.database_url, saved=saved, clock=SystemClock()))
    else:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            found = audits.verify_lines(lines, saved=saved)
    click.echo(found.sentence, err=not found.fits)
    sys.exit(0 if found.fits else exits.NO)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
