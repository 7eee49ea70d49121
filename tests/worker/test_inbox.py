"""The inbox: group commits, patience, and writes with an unknown result."""

import asyncio
import dataclasses
import pathlib
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from bot.commands.deliveries import Entry
from bot.usecases import errors
from bot.usecases.ports import Recording
from bot.worker.inbox import BATCH, Inbox
from tests.fakes import ALICE, BOB, Desk, in_order, open_desk, until

SHORT = 0.02
"""Patience in seconds, in tests in which it ends."""


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk."""
    async with open_desk(tmp_path) as opened:
        yield opened


class Running:
    """A running inbox, and the entries that it passes on."""

    def __init__(self, desk: Desk, *, capacity: int = 100, share: int = 10_000) -> None:
        self.desk = desk
        self.handed: list[Entry] = []
        self.inbox = Inbox(desk.store, recorded=self.handed.append, capacity=capacity, share=share)
        self.task = asyncio.create_task(self.inbox.run())

    async def record(self, entries: Sequence[Entry]) -> list[Recording]:
        """Record entries concurrently."""
        return list(await asyncio.gather(*(self.inbox.record(entry) for entry in entries)))

    def writes(self) -> int:
        """Return the number of transactions."""
        return self.desk.store.journal.count("record")

    def on_disk(self) -> set[str]:
        """Return the keys on disk."""
        return {str(key) for (key,) in self.desk.select("SELECT key FROM inbox")}


@pytest.fixture
async def running(desk: Desk) -> AsyncIterator[Running]:
    """Run an inbox."""
    run = Running(desk)
    yield run
    run.inbox.close()
    await in_order(run.task)


async def test_entries_that_arrive_together_share_one_transaction(desk: Desk, running: Running) -> None:
    entries = [desk.typed() for _ in range(20)]

    assert await running.record(entries) == [Recording.NEW] * 20
    assert running.writes() == 1
    assert running.on_disk() == {entry.key for entry in entries}


async def test_entries_that_arrive_during_a_write_share_the_next(desk: Desk, running: Running) -> None:
    gate = asyncio.Event()
    desk.store.before["record"].append(gate)
    first = asyncio.create_task(running.inbox.record(desk.typed()))
    await until(running.writes)
    later = [asyncio.create_task(running.inbox.record(desk.typed())) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()

    assert await asyncio.gather(first, *later) == [Recording.NEW] * 6
    assert running.writes() == 2


async def test_a_transaction_holds_a_bounded_number_of_entries(desk: Desk) -> None:
    run = Running(desk, capacity=2 * BATCH)

    await run.record([desk.typed() for _ in range(BATCH + 1)])

    assert run.writes() == 2
    run.inbox.close()
    await in_order(run.task)


async def test_a_repeat_in_the_same_batch_is_handed_on_once(desk: Desk, running: Running) -> None:
    entry = desk.typed()
    twin = dataclasses.replace(entry, received_at=entry.received_at + 1)

    assert await running.record([entry, twin]) == [Recording.NEW, Recording.REPEATED]
    assert running.handed == [entry]


async def test_a_repeat_in_a_later_batch_is_not_handed_on(desk: Desk, running: Running) -> None:
    entry = desk.typed()

    assert await running.record([entry]) == [Recording.NEW]
    assert await running.record([entry]) == [Recording.REPEATED]
    assert running.handed == [entry]


async def test_every_new_entry_is_handed_on_only_once_it_is_on_disk(desk: Desk) -> None:
    seen: list[bool] = []
    run = Running(desk)

    def recorded(entry: Entry) -> None:
        seen.append(entry.key in run.on_disk())

    inbox = Inbox(desk.store, recorded=recorded)
    task = asyncio.create_task(inbox.run())
    await asyncio.gather(*(inbox.record(desk.typed()) for _ in range(3)))

    assert seen == [True] * 3
    for one in (inbox, run.inbox):
        one.close()
    await in_order(asyncio.gather(task, run.task))


async def test_more_than_there_is_room_for_is_turned_away_and_not_written(desk: Desk) -> None:
    run = Running(desk, capacity=3)
    entries = [desk.typed() for _ in range(5)]

    recordings = await run.record(entries)

    assert recordings == [Recording.NEW] * 3 + [Recording.FULL] * 2
    assert run.on_disk() == {entry.key for entry in entries[:3]} == {entry.key for entry in run.handed}
    run.inbox.close()
    await in_order(run.task)


async def test_one_who_floods_leaves_room_for_others(desk: Desk) -> None:
    run = Running(desk, capacity=10, share=3)
    flood, other = [desk.typed(actor=ALICE) for _ in range(20)], desk.typed(actor=BOB)

    *flooded, one = await run.record([*flood, other])

    assert flooded == [Recording.NEW] * 3 + [Recording.FULL] * 17
    assert one is Recording.NEW
    assert await run.record([desk.typed(actor=ALICE) for _ in range(3)]) == [Recording.NEW] * 3
    run.inbox.close()
    await in_order(run.task)


async def test_an_entry_that_cannot_be_handed_on_ends_nothing(desk: Desk) -> None:
    inbox = Inbox(desk.store, recorded=lambda entry: 1 / 0)
    task = asyncio.create_task(inbox.run())

    assert [await inbox.record(desk.typed()) for _ in range(2)] == [Recording.NEW] * 2
    inbox.close()
    await in_order(task)


async def test_room_is_free_again_once_the_queue_is_written(desk: Desk) -> None:
    run = Running(desk, capacity=1)

    assert [await run.inbox.record(desk.typed()) for _ in range(3)] == [Recording.NEW] * 3
    run.inbox.close()
    await in_order(run.task)


async def test_what_is_queued_when_patience_ends_is_never_written(desk: Desk, running: Running) -> None:
    gate = asyncio.Event()
    desk.store.before["record"].append(gate)
    begun = asyncio.create_task(running.inbox.record(desk.typed()))
    await until(running.writes)
    queued = desk.typed()

    assert await running.inbox.record(queued, patience=SHORT) is Recording.NOT_RECORDED
    gate.set()
    assert await begun is Recording.NEW
    assert await running.inbox.record(desk.typed()) is Recording.NEW
    assert queued.key not in running.on_disk()
    assert queued not in running.handed


async def test_a_write_that_has_begun_is_unconfirmed_and_goes_on(desk: Desk, running: Running) -> None:
    gate = asyncio.Event()
    desk.store.before["record"].append(gate)
    entry = desk.typed()

    assert await running.inbox.record(entry, patience=SHORT) is Recording.UNCONFIRMED
    assert running.handed == []
    gate.set()
    await until(lambda: running.handed == [entry])
    assert running.on_disk() == {entry.key}


@pytest.mark.parametrize(
    ("failure", "recording"),
    [
        (errors.NotRecorded("full"), Recording.NOT_RECORDED),
        (errors.StoreError("away"), Recording.NOT_RECORDED),
        (errors.Unconfirmed("lost"), Recording.UNCONFIRMED),
    ],
)
async def test_a_failed_write_is_told_as_what_is_known_of_it(
    desk: Desk, running: Running, failure: errors.StoreError, recording: Recording
) -> None:
    desk.store.before["record"].append(failure)

    assert await running.record([desk.typed(), desk.typed()]) == [recording] * 2
    assert running.handed == []
    assert await running.record([desk.typed()]) == [Recording.NEW]


async def test_a_failure_after_patience_has_ended_disturbs_nobody(desk: Desk, running: Running) -> None:
    gate = asyncio.Event()
    desk.store.before["record"].append(gate)
    desk.store.after["record"].append(errors.Unconfirmed("lost"))

    assert await running.inbox.record(desk.typed(), patience=SHORT) is Recording.UNCONFIRMED
    gate.set()
    assert await running.record([desk.typed()]) == [Recording.NEW]


async def test_the_answer_comes_within_two_seconds_while_the_database_hangs(desk: Desk, running: Running) -> None:
    gate = asyncio.Event()
    desk.store.before["record"].append(gate)
    began = time.monotonic()

    first = asyncio.create_task(running.inbox.record(desk.typed()))
    await until(running.writes)
    second = await running.inbox.record(desk.typed())

    assert (await first, second) == (Recording.UNCONFIRMED, Recording.NOT_RECORDED)
    assert time.monotonic() - began < 2.0
    gate.set()


async def test_closing_writes_what_is_queued_and_takes_nothing_more(desk: Desk) -> None:
    run = Running(desk)
    queued = [asyncio.create_task(run.inbox.record(desk.typed())) for _ in range(3)]
    await asyncio.sleep(0)

    run.inbox.close()

    assert await run.inbox.record(desk.typed()) is Recording.NOT_RECORDED
    await in_order(run.task)
    assert [await one for one in queued] == [Recording.NEW] * 3
    assert len(run.on_disk()) == 3


async def test_a_cancelled_caller_does_not_stop_the_write(desk: Desk, running: Running) -> None:
    gate = asyncio.Event()
    desk.store.before["record"].append(gate)
    entry = desk.typed()
    caller = asyncio.create_task(running.inbox.record(entry))
    await until(running.writes)

    caller.cancel()
    gate.set()

    await until(lambda: running.handed == [entry])


async def test_an_entry_that_the_database_cannot_hold_stops_nobody_else(desk: Desk, running: Running) -> None:
    broken = desk.typed("stop main-feed because \ud800")

    assert await running.inbox.record(broken) is Recording.UNCONFIRMED
    assert await running.inbox.record(desk.typed(), patience=0.5) is Recording.NEW
