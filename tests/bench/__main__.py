"""`poe bench`: measures flowbot against bare Bolt apps in the same run, and prints a table.

`--short` proves within seconds that everything can be measured; its figures mean nothing. `--million` adds the database
with a million requests. Names of measurements choose some of them.
"""

import argparse
import dataclasses
import os
import pathlib
import platform
import sys
import tempfile
from collections.abc import Sequence

from tests.bench import costs, measures, processes, replicas, table


def run(size: measures.Size, names: Sequence[str] = ()) -> str:
    """Measure, and return what is to be read."""
    rows: list[table.Row] = []
    with tempfile.TemporaryDirectory() as directory, processes.outside(pathlib.Path(directory)) as outside:
        bench = measures.Bench(outside=outside, directory=pathlib.Path(directory), size=size)
        for measure in (*measures.ALL, costs.costs, replicas.replicas):
            if not names or measure.__name__ in names:
                rows += measure(bench)
                print(measure.__name__, "measured", file=sys.stderr, flush=True)  # noqa: T201 - progress
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, load {load}"
    return f"{machine}; medians of {size.rounds} rounds.\n\n{table.markdown(rows)}"


def main() -> None:
    """Read the arguments, measure and print."""
    parser = argparse.ArgumentParser(prog="poe bench")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    size = measures.SHORT if asked.short else measures.FULL
    if asked.million:
        size = dataclasses.replace(size, stored=(*size.stored, 1_000_000))
    if asked.rounds:
        size = dataclasses.replace(size, rounds=asked.rounds)
    print(run(size, asked.names))  # noqa: T201


if __name__ == "__main__":
    main()
