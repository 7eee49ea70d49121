"""The sample world for the doctor, with a database and no bot, and a disk that a test fills."""

import dataclasses
import pathlib
from collections.abc import AsyncIterator

import pytest

from bot.playground import world
from bot.serve.doctor import examination
from bot.serve.doctor.findings import Finding
from bot.store.engines.inspection import MachineDisk
from tests.fakes import FakeClock, database_in


@dataclasses.dataclass
class FakeDisk:
    """A disk with so much room, on which some paths may not be written."""

    room: int = 2**40
    barred: frozenset[pathlib.Path] = frozenset()

    def may_write(self, path: pathlib.Path) -> bool:
        """Tell whether this process may write there."""
        return path not in self.barred

    def free(self, directory: pathlib.Path) -> int:
        """Return the free bytes."""
        return self.room


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that only the test turns."""
    return FakeClock()


@pytest.fixture
async def built(tmp_path: pathlib.Path, clock: FakeClock) -> AsyncIterator[world.World]:
    """Open the sample world, with a database and no bot."""
    database_in(tmp_path)
    async with world.build(tmp_path, clock=clock) as opened:
        yield opened


async def examined(
    built: world.World, *, within: float = 60.0, disk: FakeDisk | MachineDisk | None = None, **environ: str
) -> dict[str, Finding]:
    """Examine the world with these variables changed, and return the findings by name."""
    changed = dataclasses.replace(built, environ={**built.environ, **environ})
    found = await examination.examine(changed.settings(), clock=built.clock, within=within, disk=disk)
    return {each.name: each for each in found}


def policy(built: world.World, old: str, new: str) -> None:
    """Change a text of the policy, which must be in it."""
    file = built.directory / "flowbot.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
