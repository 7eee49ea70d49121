"""Linking rows of the audit in batches, and logging an unavailable database once."""

import pytest
from structlog.testing import capture_logs

from bot.usecases import errors
from bot.worker import audit_linker
from bot.worker.audit_linker import BATCH, AuditLinker


class Rows:
    """Rows that wait to be linked, in a database that may be unavailable."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        self.is_away = False
        self.batches: list[int] = []

    async def link(self, limit: int) -> int:
        if self.is_away:
            raise errors.StoreError("nobody answers")
        linked = min(limit, self.waiting)
        self.waiting -= linked
        self.batches.append(linked)
        return linked


class Enough(Exception):
    """Raised when the clock has slept often enough."""


class Clock:
    def __init__(self, sleeps: int) -> None:
        self.left = sleeps
        self.slept: list[float] = []

    def now(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == self.left:
            raise Enough


async def test_all_that_waits_is_linked_in_batches() -> None:
    rows = Rows(2 * BATCH + 1)
    await AuditLinker(link=rows.link, clock=Clock(1)).catch_up()
    assert rows.batches == [BATCH, BATCH, 1]


async def test_it_looks_again_every_second() -> None:
    rows, clock = Rows(0), Clock(3)
    with pytest.raises(Enough):
        await AuditLinker(link=rows.link, clock=clock).run()
    assert rows.batches == [0, 0, 0]
    assert clock.slept == [audit_linker.EVERY] * 3
    assert audit_linker.EVERY <= 1.0  # the contract: within two seconds


async def test_a_database_that_is_away_is_told_once_each_time_it_goes() -> None:
    rows = Rows(1)
    linker = AuditLinker(link=rows.link, clock=Clock(1))
    with capture_logs() as logged:
        for is_away in (True, True, False, True):
            rows.is_away = is_away
            await linker.catch_up()
    assert [line["event"] for line in logged] == ["audit not linked: database unavailable"] * 2
    assert rows.waiting == 0
