"""Plays seeds, several at once, and prints a line of JSON for each: `python -m tests.crash.runner SEED …`.

Owns the process in which plays take place; it forks the nursery before anything else runs.
"""

import asyncio
import contextlib
import dataclasses
import json
import pathlib
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from typing import Final

from bot.playground import world
from bot.playground.slack import transcript
from bot.store import migrate
from tests.crash.child import QuickClock
from tests.crash.conversation import Plan, Play, plan
from tests.crash.journal import Journal
from tests.crash.judge import judge
from tests.crash.nursery import Lives, Nursery

AT_ONCE: Final = 8
"""Plays at the same time: each mostly waits."""

SHARED_MEMORY: Final = pathlib.Path("/dev/shm")  # noqa: S108 - kill -9 loses nothing that the kernel has


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one seed; `wrong` is empty if every promise was kept."""

    seed: int
    seconds: float
    wrong: tuple[str, ...]
    deaths: tuple[str, ...]
    points: int = 0


async def play(planned: Plan, nursery: Nursery, database: bytes, *, verbose: bool = False) -> Result:
    """Play one seed in its own directory, and judge it."""
    started = time.perf_counter()
    epoch = time.time()
    with _directory() as directory:
        (directory / "flowbot.db").write_bytes(database)
        clock = QuickClock(epoch=epoch, slept=1.0)
        async with world.build(directory, clock=clock, policy=planned.policy, FLOWBOT_LOG_LEVEL="debug") as built:
            journal = Journal(built)
            lives = Lives(built, nursery, list(planned.kills), epoch=epoch)
            lives.died = journal.died
            journal.deaths = lives.deaths
            wrong: list[str] = []
            async with lives.lived():
                try:
                    await Play(planned, lives, journal).takes_place()
                except Exception:  # noqa: BLE001 - a play that cannot continue is a finding
                    wrong.append(f"promise 5: it does not settle: {traceback.format_exc(limit=-3)}")
            wrong += judge(built, journal)
            if verbose or wrong:
                _tell(planned, journal, directory)
    return Result(
        seed=planned.seed, seconds=time.perf_counter() - started, wrong=tuple(wrong), deaths=tuple(lives.deaths)
    )


def _tell(planned: Plan, journal: Journal, directory: pathlib.Path) -> None:
    """Print what happened to stderr."""
    log = (directory / "stderr.log").read_text() if (directory / "stderr.log").exists() else ""
    calls = [f"{call.at:.2f} {call.method} {call.path} {call.status}" for call in journal.world.live.calls]
    lines = [
        *(f"— seed {planned.seed} —", str(planned), "deaths: " + "; ".join(journal.deaths)),
        *(f"{one.user} {one.what}: {one.ack.status} {one.ack.error}" for one in journal.deliveries),
        *(transcript.of(journal.world.slack.workspace), *calls),
        *(str(row) for row in journal.select("SELECT at, what, actor_user, request_id, facts FROM audit ORDER BY id")),
        *(str(row) for row in journal.select("SELECT * FROM inbox WHERE state <> 'done'")),
        *(str(row) for row in journal.select("SELECT * FROM requests JOIN operations ON request_id = id")),
        *(line for line in log.splitlines() if '"level": "debug"' not in line),
    ]
    sys.stderr.write("\n".join(lines) + "\n")


@contextlib.contextmanager
def _directory() -> Iterator[pathlib.Path]:
    where = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="flowbot-crash-", dir=where) as directory:
        yield pathlib.Path(directory)


async def _play_all(seeds: list[int], nursery: Nursery, database: bytes) -> None:
    seats = asyncio.Semaphore(AT_ONCE)

    async def one(seed: int) -> None:
        async with seats:
            result = await play(plan(seed), nursery, database, verbose=len(seeds) == 1)
        sys.stdout.write(json.dumps(dataclasses.asdict(result)) + "\n")
        sys.stdout.flush()

    async with asyncio.TaskGroup() as together:
        for seed in seeds:
            together.create_task(one(seed))


def main() -> None:
    """Play the seeds given on the command line."""
    nursery = Nursery()
    with _directory() as directory:
        migrate.migrate(f"sqlite:///{directory / 'flowbot.db'}")
        database = (directory / "flowbot.db").read_bytes()
    asyncio.run(_play_all([int(seed) for seed in sys.argv[1:]], nursery, database))


if __name__ == "__main__":
    main()
