"""kill -9 at any instant (promises 1 to 5 and 8 to 10): many seeds, each a conversation whose bot dies.

FLOWBOT_CRASH_SEEDS=5000 pytest tests/crash    number of seeds
FLOWBOT_CRASH_SEED=17 pytest tests/crash       one of them, with everything that was said and called
"""

import asyncio
import dataclasses
import json
import os
import pathlib
import sys
from typing import Any, Final

from tests.crash import conversation

ROOT: Final = pathlib.Path(__file__).parents[2]

PLAYERS: Final = max(2, os.cpu_count() or 2)

A_SEED_WITHIN: Final = 300.0
"""Real seconds for a seed, however busy the machine is; a play that cannot go on ends by itself."""


def seeds() -> list[int]:
    """Return the seeds given by the environment."""
    if one := os.environ.get("FLOWBOT_CRASH_SEED"):
        return [int(one)]
    first = int(os.environ.get("FLOWBOT_CRASH_FIRST", "1"))
    return list(range(first, first + int(os.environ.get("FLOWBOT_CRASH_SEEDS", "200"))))


@dataclasses.dataclass(kw_only=True)
class Player:
    """The output of one process about its seeds."""

    results: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    errors: str = ""


async def play(mine: list[int]) -> Player:
    """Play some seeds in a separate process, which never outlives this one."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.crash.runner", *map(str, mine)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(A_SEED_WITHIN + A_SEED_WITHIN / 50 * len(mine)):
            said, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Player(results=[json.loads(line) for line in said.splitlines()], errors=errors.decode())


async def test_promises_hold_when_the_bot_is_killed_at_any_instant() -> None:
    wanted = seeds()
    players = await asyncio.gather(*(play(mine) for at in range(PLAYERS) if (mine := wanted[at::PLAYERS])))
    results = [result for player in players for result in player.results]
    story = "\n".join(player.errors for player in players)
    broken = [
        f"seed {result['seed']}, which died {result['deaths']}: {wrong}\n"
        f"    again: FLOWBOT_CRASH_SEED={result['seed']} pytest tests/crash"
        for result in results
        for wrong in result["wrong"]
    ]
    missing = set(wanted) - {result["seed"] for result in results}
    assert not broken, "\n".join((story[-60_000:], *broken))
    assert not missing, f"never played: {sorted(missing)}\n{story[-60_000:]}"
    if len(wanted) > 1:
        died = sum(bool(result["deaths"]) for result in results)
        assert died > len(wanted) / 2, f"only {died} of {len(wanted)} bots died: the plans miss the conversations"


def test_a_failing_seed_is_played_again_as_it_was() -> None:
    assert [conversation.plan(seed) for seed in range(50)] == [conversation.plan(seed) for seed in range(50)]
