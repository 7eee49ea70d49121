"""What is measured: each function runs flowbot and what it is compared with, in turns, and returns lines of the table.

Owns the rounds and the sizes. It must not know how a process is run or how a table looks.
"""

import contextlib
import dataclasses
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from bot.store import migrate
from tests.bench import processes, stored, table
from tests.bench.processes import Outside, Sent, Serving

MANY: Final = 64
"""Senders at once."""

REMEMBERED: Final = 5.5
"""Seconds after which flowbot asks Slack again who somebody is, for a click that decides."""


APART: Final = 0.5
"""Seconds between two clicks, so that none is measured while the one before is still told of."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int
    acks: int
    alone: int
    storm: int
    clicks: int
    stored: tuple[int, ...]
    burst: int
    burst_seconds: float
    starts: int
    takeovers: int
    requests: int


FULL: Final = Size(
    rounds=5,
    acks=4000,
    alone=150,
    storm=1000,
    clicks=30,
    stored=(10_000, 100_000),
    burst=100,
    burst_seconds=30.0,
    starts=5,
    takeovers=3,
    requests=20,
)
SHORT: Final = Size(
    rounds=1,
    acks=100,
    alone=5,
    storm=50,
    clicks=2,
    stored=(200,),
    burst=3,
    burst_seconds=0.3,
    starts=1,
    takeovers=0,
    requests=1,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """What every measurement needs: the stand-ins, a directory for databases, and the sizes."""

    outside: Outside
    directory: pathlib.Path
    size: Size

    def database(self, name: str) -> pathlib.Path:
        """Return a new database, migrated and empty."""
        path = self.directory / f"{name}-{time.monotonic_ns()}.db"
        migrate.migrate(f"sqlite:///{path}")
        return path

    @contextlib.contextmanager
    def flowbot(self, name: str) -> Iterator[Serving]:
        """Run flowbot on a new database."""
        with processes.flowbot(self.outside.environ, self.database(name)) as bot:
            yield bot

    def sent(self, target: Serving, count: int, *, senders: int = MANY) -> Sent:
        """Send commands, and make sure that each was acknowledged."""
        result = processes.load(target, self.outside.deliveries(count), senders=senders)
        if result.statuses != {"200": count}:
            raise RuntimeError(f"not all of {count} were acknowledged: {result.statuses}")
        return result


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Loaded:
    """One app in one round."""

    many: Sent
    alone: Sent
    idle: float
    cold: float
    drained: float


def acks(bench: Bench) -> list[table.Row]:
    """Measure acknowledgements: many senders, one sender; and the memory and the start beside them."""
    seen: dict[str, list[_Loaded]] = {"plain": [], "direct": [], "flowbot": []}
    for _ in range(bench.size.rounds):
        for kind, rounds in seen.items():
            app = bench.flowbot("acks") if kind == "flowbot" else processes.bare(kind, bench.outside.environ)
            with app as target:
                rounds.append(_loaded(bench, target))
    ours, plain, direct = seen["flowbot"], seen["plain"], seen["direct"]
    rate: Callable[[list[_Loaded]], list[float]] = lambda rounds: [each.many.rate for each in rounds]  # noqa: E731
    p99 = [[each.many.part(0.99) * 1000 for each in rounds] for rounds in (ours, plain)]
    p50 = [[each.alone.part(0.5) * 1000 for each in rounds] for rounds in (ours, plain)]
    idle = [[each.idle for each in rounds] for rounds in (ours, plain)]
    cold = [[each.cold for each in rounds] for rounds in (ours, plain)]
    drained = [each.drained for each in ours]
    as_written, at_once = "a bare Bolt app", "the same with `process_before_response`"
    what = f"durable acks/s, {MANY} senders"
    return [
        table.ratio(what, rate(ours), rate(plain), goal="≥ 0.85×", against=as_written, unit="/s"),
        table.ratio(what, rate(ours), rate(direct), goal="≥ 0.65×", against=at_once, unit="/s"),
        table.ratio("p50 ack, one sender", *p50, goal="≤ 0.4×", against=as_written, unit="ms", digits=1),
        table.ratio(f"p99 ack, {MANY} senders", *p99, goal="≤ 1.2×", against=as_written, unit="ms", digits=1),
        table.Row(
            what="commands decided and answered a second meanwhile",
            ours=f"{statistics.median(drained):,.0f} /s",
            baseline="—",
            result="the worker drains while the acks are measured",
            goal="—",
            spread=f"{min(drained):,.0f}–{max(drained):,.0f} /s",
        ),
        table.ratio("resident memory, idle", *idle, goal="≤ 2.2× and ≤ 110 MB", against=as_written, unit="MB"),
        table.difference("cold start to the first answer", *cold, goal="—", against=as_written, unit="s", digits=2),
    ]


def _loaded(bench: Bench, target: Serving) -> _Loaded:
    bench.sent(target, max(MANY, bench.size.acks // 20))  # warm
    idle = target.resident()
    alone = bench.sent(target, bench.size.alone, senders=1)
    before = stored.done(target.database)
    many = bench.sent(target, bench.size.acks)
    drained = (stored.done(target.database) - before) / many.seconds
    return _Loaded(many=many, alone=alone, idle=idle, cold=target.cold, drained=drained)


def storm(bench: Bench) -> list[table.Row]:
    """Send very many commands at once, each on a connection of its own."""
    count, slowest = bench.size.storm, list[float]()
    for _ in range(bench.size.rounds):
        with bench.flowbot("storm") as bot:
            bench.sent(bot, MANY)
            slowest.append(bench.sent(bot, count, senders=count).took[-1] * 1000)
    return [
        table.Row(
            what=f"storm: {count:,} commands at once",
            ours=f"the slowest ack after {statistics.median(slowest):,.0f} ms",
            baseline="Slack's limit: 3,000 ms",
            result="all acknowledged",
            goal="all within 1 s",
            spread=f"{min(slowest):,.0f}–{max(slowest):,.0f} ms",
        )
    ]


def full_database(bench: Bench) -> list[table.Row]:
    """Compare the rate on a database that holds very many requests with that on an empty one."""
    lines = []
    with bench.flowbot("template") as bot:
        bench.outside.order("ask", url=bot.url, first=bench.outside.take(1), count=1)
        made = bot.database
        assert made is not None
    for count in bench.size.stored:
        path = bench.database("full")
        stored.fill(path, template=made, count=count)
        rates: dict[str, list[float]] = {"full": [], "empty": []}
        for _ in range(bench.size.rounds):
            for name, rounds in rates.items():
                database = path if name == "full" else bench.database("empty")
                with processes.flowbot(bench.outside.environ, database) as target:
                    bench.sent(target, max(MANY, bench.size.acks // 20))
                    rounds.append(1 / bench.sent(target, bench.size.acks).rate * 1e6)
        what = f"time of an ack, {MANY} senders, with {count:,} requests stored"
        lines.append(
            table.ratio(what, rates["full"], rates["empty"], goal="≤ 1.2×", against="an empty database", unit="µs")
        )
    return lines


def clicks(bench: Bench) -> list[table.Row]:
    """Measure from a click to the PUT on the wire, in turns with a bare listener that makes the same reads."""
    first = bench.outside.take(2 * bench.size.clicks)
    ours, theirs = [], []
    with bench.flowbot("clicks") as bot, processes.bare("stop", bench.outside.environ) as listener:
        bench.outside.order("ask", url=bot.url, first=first, count=bench.size.clicks)
        time.sleep(REMEMBERED)
        for number in range(first, first + bench.size.clicks):
            time.sleep(APART)
            ours.append(1000 * bench.outside.order("click", url=bot.url, number=number))
            twin = number + bench.size.clicks
            theirs.append(1000 * bench.outside.order("click_bare", url=listener.url, number=twin))
    against = "a bare listener with the same reads, then the PUT"
    row = table.difference(
        f"click → PUT on the wire, p50, {APART:g} s apart", ours, theirs, goal="≤ +10 ms", against=against, unit="ms"
    )
    return [row]


def burst(bench: Bench) -> list[table.Row]:
    """Let very many people press within a short time, and see how long the slowest PUT takes."""
    count, seconds = bench.size.burst, bench.size.burst_seconds
    first = bench.outside.take(count)
    with bench.flowbot("burst") as bot:
        bench.outside.order("ask", url=bot.url, first=first, count=count)
        took = sorted(bench.outside.order("burst", url=bot.url, first=first, count=count, seconds=seconds))
    return [
        table.Row(
            what=f"burst: {count / seconds * 60:,.0f} clicks a minute",
            ours=f"p50 {took[len(took) // 2] * 1000:,.0f} ms to the PUT",
            baseline="—",
            result=f"slowest {took[-1] * 1000:,.0f} ms, all called",
            goal="—",
        )
    ]


def commands(bench: Bench) -> list[table.Row]:
    """Compare the command line with Python's own start."""
    environ = {**bench.outside.environ, "DATABASE_URL": f"sqlite:///{bench.directory / 'none.db'}"}
    lines = []
    for name in ("--version", "check"):
        ours, theirs = [], []
        for _ in range(bench.size.starts):
            ours.append(_timed("-m", "bot", name, environ=environ))
            theirs.append(_timed("-c", "pass", environ=environ))
        what = f"`flowbot {name}`"
        goal = "< 0.3 s more"
        lines.append(table.difference(what, ours, theirs, goal=goal, against="`python -c pass`", unit="s", digits=2))
    return lines


def _timed(*command: str, environ: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=processes.ROOT, env=environ, check=True, capture_output=True)  # noqa: S603
    return time.perf_counter() - began


ALL: Final = (acks, storm, full_database, clicks, burst, commands)
