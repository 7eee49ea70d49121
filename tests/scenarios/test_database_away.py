"""The database is locked or full: answers stay truthful and come within two seconds, and work resumes by itself."""

import asyncio
import contextlib
import pathlib
import sqlite3
import time
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from bot.playground.slack.acks import Ack
from bot.playground.slack.records import PostedMessage
from tests.fakes import FakeClock, until
from tests.scenarios.conftest import PATIENCE, Stage

WITHIN: float = 2.5
"""Seconds for an answer: the promise is two, plus a margin for slow machines."""

NOTHING, UNSURE = "Nothing was recorded", "look at `/flow pending`"


@contextlib.asynccontextmanager
async def _locked(stage: Stage) -> AsyncIterator[None]:
    """Hold a write transaction, as another process that does not end would."""
    other = await asyncio.to_thread(_lock, stage.world.directory / "flowbot.db")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def _lock(file: pathlib.Path) -> sqlite3.Connection:
    other = sqlite3.connect(file, isolation_level=None, timeout=20, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


@contextlib.asynccontextmanager
async def _full(stage: Stage) -> AsyncIterator[None]:
    """Allow the database no more pages than it has, as on a full disk."""
    assert stage.bot is not None
    writer = stage.bot.store.database.writer  # type: ignore[attr-defined]  # an SqlStore

    def limit(connection: sa.Connection) -> None:
        used = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {used}")

    await writer.run(limit)
    try:
        yield
    finally:
        await writer.run(lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {2**30}").close())


async def _card(stage: Stage) -> PostedMessage:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.quiet()
    return card


async def _types(stage: Stage, text: str, user: str = "U0ALICE") -> tuple[Ack, float]:
    """Type a command; return the acknowledgement and how many seconds it took."""
    started = time.monotonic()
    ack = await stage.types(user, text)
    return ack, time.monotonic() - started


async def _resumes(stage: Stage) -> None:
    """Let the worker poll again until it has caught up."""
    for _ in range(8):
        await stage.passes(5)


def _said(ack: Ack) -> str:
    return ack.shown.plain if ack.shown is not None else ""


async def test_a_command_is_answered_truthfully_in_time_while_another_process_writes(stage: Stage) -> None:
    await stage.quiet()
    async with _locked(stage):
        for _ in range(3):
            ack, took = await _types(stage, "stop main-feed")
            assert ack.status == 200
            assert took < WITHIN
            assert NOTHING in _said(ack) or UNSURE in _said(ack)

    await _resumes(stage)

    unsure = len(stage.cards())
    assert unsure <= 1
    assert stage.recorded() <= 3
    assert stage.stops() == 0


async def test_what_is_said_not_to_be_recorded_is_not(stage: Stage) -> None:
    await stage.quiet()
    async with _locked(stage):
        acks = await asyncio.gather(*(_types(stage, "stop main-feed") for _ in range(8)))
    await _resumes(stage)

    sure = [ack for ack, _ in acks if NOTHING in _said(ack)]
    unsure = [ack for ack, _ in acks if UNSURE in _said(ack)]
    assert len(sure) + len(unsure) == len(acks)
    assert stage.recorded() <= len(unsure)
    assert all(took < WITHIN for _, took in acks)


async def test_a_click_is_answered_truthfully_in_time_and_counts_once_if_at_all(stage: Stage) -> None:
    card = await _card(stage)
    async with _locked(stage):
        started = time.monotonic()
        await stage.presses("U0DAVE", card, "approve")
        assert time.monotonic() - started < WITHIN
        assert stage.stops() == 0
    await _resumes(stage)
    if "STANDBY" not in stage.reads(card):
        assert any(NOTHING in answer or UNSURE in answer for answer in stage.heard("U0DAVE"))
        await stage.presses("U0DAVE", stage.now(card), "approve")

    await stage.thread_says(card, "is now STANDBY")

    assert stage.stops() == 1


@pytest.mark.parametrize("seconds", [2.0, 4.0])
async def test_promise_5_what_was_acknowledged_is_carried_on_by_itself(
    stage: Stage, clock: FakeClock, seconds: float
) -> None:
    card = await _card(stage)
    # The click is on disk and acknowledged; the lock comes while its presser's rights are being looked up.
    stage.slack.faults.hold("users.info", rights := asyncio.Event(), times=None)
    clock.turn(10)
    await stage.presses("U0DAVE", card, "approve")
    async with _locked(stage):
        rights.set()
        await asyncio.to_thread(time.sleep, seconds)  # by the machine's clock, as SQLite waits
        assert stage.stops() == 0
    stage.slack.faults.clear()
    await _resumes(stage)

    assert "STANDBY" in stage.reads(card)
    assert len(stage.replies(card)) == 3
    assert stage.stops() == 1


async def test_promise_10_an_approval_that_waited_minutes_for_the_database_does_not_fire(
    stage: Stage, clock: FakeClock
) -> None:
    card = await _card(stage)
    stage.slack.faults.hold("users.info", rights := asyncio.Event(), times=None)
    clock.turn(10)
    await stage.presses("U0DAVE", card, "approve")
    async with _locked(stage):
        rights.set()
        await asyncio.to_thread(time.sleep, 2)
        clock.turn(300)
    stage.slack.faults.clear()
    await _resumes(stage)

    assert stage.stops() == 0
    assert "Expired: approved, but not begun within two minutes" in stage.reads(card)


async def test_promise_5_an_outcome_that_only_this_process_knows_waits_for_the_database(
    stage: Stage, clock: FakeClock
) -> None:
    card = await _card(stage)
    let_go = asyncio.Event()
    stage.put_fails(hold=let_go, effect=True)
    await stage.presses("U0DAVE", card, "approve")
    await stage.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=PATIENCE)
    async with _locked(stage):
        let_go.set()
        await stage.live.until(lambda live: live.calls_of("PUT", "/flows/stop")[0].status == 200, timeout=PATIENCE)
        await asyncio.to_thread(time.sleep, 2)
        clock.turn(60)
        assert stage.select("SELECT progress FROM operations") == [("running",)]
        assert "STANDBY" not in stage.reads(card)
    await _resumes(stage)

    assert "Stopped `main-feed` (…1b2d) in hk: STANDBY" in stage.reads(card)
    assert stage.stops() == 1


async def test_a_full_disk_is_told_and_work_resumes_once_there_is_room(stage: Stage) -> None:
    await stage.quiet()
    async with _full(stage):
        acks = [await _types(stage, "stop main-feed because " + "x" * 200) for _ in range(60)]
    refused = [ack for ack, _ in acks if NOTHING in _said(ack)]
    assert refused
    assert all(took < WITHIN for _, took in acks)
    await _resumes(stage)

    assert stage.recorded() == len(acks) - len(refused)
    if not stage.cards():
        await stage.types("U0ALICE", "stop main-feed")
        await _resumes(stage)
    (card,) = stage.cards()
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "is now STANDBY")
    assert stage.stops() == 1


async def test_ready_says_away_while_reads_fail_and_answers_while_only_writes_wait(stage: Stage) -> None:
    async with _locked(stage):
        assert stage.bot is not None
        assert await stage.bot.store.next_due_at() is None
    await until(lambda: not stage.waiting())
