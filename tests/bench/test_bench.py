"""The bench can be run: every line of its table is there. What it measures in so short a time means nothing."""

import subprocess
import sys

from tests.bench import processes, table


def test_a_short_bench_measures_every_line() -> None:
    command = [sys.executable, "-m", "tests.bench", "--short"]
    run = subprocess.run(command, cwd=processes.ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert run.returncode == 0, run.stderr
    lines = [line for line in run.stdout.splitlines() if line.startswith("| ")]
    assert len(lines) == 22
    assert all(line.count("|") == len(table.HEADINGS) + 1 for line in lines)


def test_a_ratio_is_that_of_the_rounds_and_not_of_the_medians() -> None:
    row = table.ratio("x", [10, 20, 90], [10, 10, 100], goal="≥ 1×", against="y", unit="ms")
    assert (row.ours, row.baseline, row.result, row.spread) == ("20 ms", "y: 10 ms", "1.00×", "0.90–2.00×")
