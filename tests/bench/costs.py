"""CPU of flowbot's process for a command and for a click, on both databases, as a ratio to a bare Bolt app's ack.

Each request is asked for and approved by people of its own, so that all are decided and the limit of requests refuses
none. CPU and not time: other processes on the machine change it little. It must not know how a process is run.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

from bot.store import migrate
from tests import postgres
from tests.bench import processes, table
from tests.bench.measures import MANY, Bench
from tests.bench.processes import Serving

WARM: Final = 2
"""Requests before those that are measured."""

GOALS: Final = {"command": "≤ 36×", "click": "≤ 45×"}
WHAT: Final = {
    "command": "CPU of a whole `/flow stop` until its card and first reply stand",
    "click": "CPU of a click until its outcome is told",
}

Open = Callable[[str], contextlib.AbstractContextManager[Serving]]


def costs(bench: Bench) -> list[table.Row]:
    """Measure in turns: the bare app's ack, then commands and clicks on SQLite and on PostgreSQL."""
    acks: list[float] = []
    seen: dict[tuple[str, str], list[float]] = {}
    with postgres.running() as server:

        @contextlib.contextmanager
        def on_server(name: str) -> Iterator[Serving]:
            server.execute(f"CREATE DATABASE {name}")
            migrate.migrate(server.url(name))
            with processes.flowbot(bench.outside.environ, server.url(name)) as bot:
                yield bot

        databases: dict[str, Open] = {"SQLite": bench.flowbot, "PostgreSQL": on_server}
        for turn in range(bench.size.rounds):
            acks.append(_ack(bench))
            for database, opened in databases.items():
                with opened(f"costs_{turn}") as bot:
                    for step, cost in _request(bench, bot).items():
                        seen.setdefault((step, database), []).append(cost)
    against = "a bare Bolt app's ack"
    rows = [
        table.ratio(f"{WHAT[step]}, {database}", cost, acks, goal=GOALS[step], against=against, unit="ms", digits=2)
        for (step, database), cost in seen.items()
    ]
    both = (seen["command", "PostgreSQL"], seen["command", "SQLite"])
    what = "PostgreSQL: CPU of a whole `/flow stop`"
    return [*rows, table.ratio(what, *both, goal="≤ 2×", against="SQLite", unit="ms", digits=1)]


def _ack(bench: Bench) -> float:
    """Return the milliseconds of CPU that the bare app takes for an ack."""
    with processes.bare("plain", bench.outside.environ) as app:
        bench.sent(app, MANY)
        before = app.cpu()
        bench.sent(app, bench.size.acks)
        return (app.cpu() - before) / bench.size.acks * 1000


def _request(bench: Bench, bot: Serving) -> dict[str, float]:
    """Return the milliseconds of CPU that flowbot takes for a command, and for a click."""
    count = bench.size.requests
    first = bench.outside.take(WARM + count)
    taken = {}
    for step, order in (("command", "ask"), ("click", "approve")):
        bench.outside.order(order, url=bot.url, first=first, count=WARM)
        before = bot.cpu()
        bench.outside.order(order, url=bot.url, first=first + WARM, count=count)
        taken[step] = (bot.cpu() - before) / count * 1000
    return taken
