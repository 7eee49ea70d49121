"""What wants a server: two replicas on one PostgreSQL against one, and the end of a replica in the middle of a call.

Owns a PostgreSQL of its own for as long as it measures. It must not know how a process is run or how a table looks.
"""

import concurrent.futures
import contextlib
import os
import signal
import statistics
import time
from collections.abc import Iterator
from typing import Final

from bot.store import migrate
from tests import postgres
from tests.bench import processes, table
from tests.bench.measures import MANY, Bench
from tests.bench.processes import Sent, Serving

LEASE: Final = 30.0
"""Seconds for which a claim holds."""


def replicas(bench: Bench) -> list[table.Row]:
    """Compare two replicas with one, let two take the same clicks, and take over from one that is dead."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    with postgres.running() as server:
        for turn in range(bench.size.rounds):
            for count, rounds in rates.items():
                with _running(bench, server, f"rate_{turn}_{count}", count) as bots:
                    _sent_to(bench, bots, MANY)
                    rounds.append(_rate(_sent_to(bench, bots, bench.size.acks)))
        with _running(bench, server, "pressed", 2) as bots:
            puts = _press_both(bench, bots)
        took = [_taken_over(bench, server, f"dead_{turn}") for turn in range(bench.size.takeovers)]
    return [_rates(rates, puts), _takeover(took)]


def _rates(rates: dict[int, list[float]], puts: list[int]) -> table.Row:
    if set(puts) != {1}:
        raise RuntimeError(f"calls for each of {len(puts)} flows approved at two replicas at once: {puts}")
    what = f"durable acks/s, {MANY} senders, two replicas on PostgreSQL, same cores"
    once = f"one replica on it (and {len(puts)} flows pressed at both at once: one PUT each)"
    return table.ratio(what, rates[2], rates[1], goal="≥ 0.9×, no double effect", against=once, unit="/s")


def _takeover(took: list[float]) -> table.Row:
    what, goal = "takeover of a dead replica's running call", f"≤ lease ({LEASE:g} s) + 5 s"
    if not took:
        return table.skipped(what, goal=goal, why="it takes a lease, too long for the short form")
    return table.Row(
        what=what,
        ours=f"the state is read back after {statistics.median(took):.1f} s",
        baseline=f"a lease: {LEASE:g} s",
        result=f"{statistics.median(took) - LEASE:+.1f} s",
        goal=goal,
        spread=f"{min(took):.1f}–{max(took):.1f} s",
    )


@contextlib.contextmanager
def _running(bench: Bench, server: postgres.Server, name: str, count: int) -> Iterator[list[Serving]]:
    server.execute(f"CREATE DATABASE {name}")
    url = server.url(name)
    migrate.migrate(url)
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(processes.flowbot(bench.outside.environ, url)) for _ in range(count)]


def _sent_to(bench: Bench, bots: list[Serving], count: int) -> list[Sent]:
    """Let each replica take its share of the senders, at the same time."""
    share, senders = count // len(bots), MANY // len(bots)
    deliveries = [bench.outside.deliveries(share) for _ in bots]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        loads = [
            pool.submit(processes.load, bot, each, senders=senders) for bot, each in zip(bots, deliveries, strict=True)
        ]
        sent = [load.result() for load in loads]
    if any(each.statuses != {"200": share} for each in sent):
        raise RuntimeError(f"not all were acknowledged: {[each.statuses for each in sent]}")
    return sent


def _rate(sent: list[Sent]) -> float:
    return sum(len(each.took) for each in sent) / max(each.seconds for each in sent)


def _press_both(bench: Bench, bots: list[Serving]) -> list[int]:
    """Press each button at both replicas, and return the calls for each flow."""
    first = bench.outside.take(bench.size.clicks)
    bench.outside.order("ask", url=bots[0].url, first=first, count=bench.size.clicks)
    urls = [bot.url for bot in bots]
    puts: list[int] = bench.outside.order("press_both", urls=urls, first=first, count=bench.size.clicks)
    return puts


def _taken_over(bench: Bench, server: postgres.Server, name: str) -> float:
    """Kill a replica while its call is on the wire; return the seconds until another one reads what came of it."""
    number = bench.outside.take(1)
    with _running(bench, server, name, 2) as (dying, heir):
        bench.outside.order("ask", url=dying.url, first=number, count=1)
        bench.outside.order("hang", url=dying.url, number=number)
        os.kill(dying.pid, signal.SIGKILL)
        killed = time.time()
        assert heir.pid != dying.pid
        read: float = bench.outside.order("read_back", number=number, since=killed)
        return read - killed
