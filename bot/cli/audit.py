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
    """A time such as 2026-11-24T03:00:00Z, or an age such as 2h, in seconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the time, or fail with an example of a valid one."""
        import durationpy

        with contextlib.suppress(durationpy.DurationError):
            ago = float(durationpy.from_str(value).total_seconds())
            if ago >= 0:
                return time.time() - ago
        try:
            found = datetime.datetime.fromisoformat(value)
        except ValueError:
            self.fail(f'"{value}" is not a time; write 2026-11-24T03:00:00Z, or 2h for two hours ago', param, ctx)
        return found.replace(tzinfo=found.tzinfo or datetime.UTC).timestamp()


class SavedHead(click.ParamType["chain.Link"]):
    """A head as printed by `flowbot audit head`, with a colon or a space between number and hash."""

    name = "head"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "chain.Link":
        """Return the link, or fail with the format of a valid one."""
        from bot.store import chain

        found = HEAD.fullmatch(str(value).strip())
        if found is None:
            self.fail(f'"{value}" is not a head; write SEQ:HASH, as printed by `flowbot audit head`', param, ctx)
        return chain.Link(seq=int(found[1]), hash=found[2])


@click.group()
def audit() -> None:
    """Export the audit, and verify that nothing in it was changed."""


@audit.command()
@click.option("--since", type=Moment(), metavar="TIME", help="Start, such as 2026-11-24T03:00:00Z, or 2h (ago).")
@click.option("--until", type=Moment(), metavar="TIME", help="End, not included.")
@click.option("--format", "shape", type=click.Choice(["jsonl", "ocsf"]), default="jsonl", show_default=True)
def export(since: float | None, until: float | None, shape: str) -> None:
    """Print the audit in order, one JSON line for each row, with its place in the hash chain."""
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
        click.echo(f"{left} rows are left out: a running flowbot has not added them to the chain yet", err=True)


@audit.command()
def head() -> None:
    """Print the number and the hash of the last row. Keep them elsewhere, to verify against them later."""
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
    help="Verify an export (jsonl) instead of the database.",
)
@click.option("--head", "saved", type=SavedHead(), metavar="SEQ:HASH", help="A head that was saved earlier.")
def verify(file: pathlib.Path | None, saved: "chain.Link | None") -> None:
    """Verify the hash chain. Exit 1 and name the first row that does not fit, and what is wrong with it."""
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
