"""Figures of several rounds, and the table that tells them. Pure."""

import dataclasses
import statistics
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line: what was measured, against what, and what must be reached."""

    what: str
    ours: str
    baseline: str
    result: str
    goal: str
    spread: str = ""


HEADINGS = ("what", "flowbot", "baseline in the same run", "result", "must reach", "spread over the rounds")


def ratio(
    what: str, ours: Sequence[float], theirs: Sequence[float], *, goal: str, against: str, unit: str, digits: int = 0
) -> Row:
    """Compare round by round: the result is the median of the rounds' ratios."""
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    return Row(
        what=what,
        ours=f"{statistics.median(ours):,.{digits}f} {unit}",
        baseline=f"{against}: {statistics.median(theirs):,.{digits}f} {unit}",
        result=f"{statistics.median(ratios):.2f}×",
        goal=goal,
        spread=f"{min(ratios):.2f}–{max(ratios):.2f}×",
    )


def difference(
    what: str, ours: Sequence[float], theirs: Sequence[float], *, goal: str, against: str, unit: str, digits: int = 1
) -> Row:
    """Compare round by round: the result is the median of the rounds' differences."""
    more = [our - their for our, their in zip(ours, theirs, strict=True)]
    return Row(
        what=what,
        ours=f"{statistics.median(ours):,.{digits}f} {unit}",
        baseline=f"{against}: {statistics.median(theirs):,.{digits}f} {unit}",
        result=f"{statistics.median(more):+.{digits}f} {unit}",
        goal=goal,
        spread=f"{min(more):+.{digits}f} to {max(more):+.{digits}f} {unit}",
    )


def skipped(what: str, *, goal: str, why: str) -> Row:
    """Say why something was not measured."""
    return Row(what=what, ours="—", baseline="—", result=f"skipped: {why}", goal=goal)


def markdown(rows: Sequence[Row]) -> str:
    """Return the table."""
    cells = [(row.what, row.ours, row.baseline, row.result, row.goal, row.spread) for row in rows]
    lines = [HEADINGS, ("---",) * len(HEADINGS), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
