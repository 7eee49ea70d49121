"""Old settled records are deleted in small steps; those that people may still act on are kept."""

import dataclasses

import pytest

from bot.lifecycle import records, schedule, transitions
from bot.store import store
from bot.usecases import errors, ports

from . import examples
from .conftest import Clock, changed, rows_of
from .examples import add, change

DAY = 86_400.0


async def settle(opened: store.SqlStore, *found: records.Request) -> None:
    """Store denied requests with nothing due."""
    for one in found:
        await add(opened, one)
        await opened.commit(change(examples.denied(one)))
        assert await opened.release(examples.denied(one), due_at=None)


async def clean(opened: store.SqlStore, *, before: float, limit: int = 100) -> int:
    """Clean up until nothing is left, and return the number of deleted records."""
    gone = 0
    while deleted := await opened.clean_up(keep_for=opened._clock.now() - before, limit=limit):
        assert deleted <= limit
        gone += deleted
    return gone


class TestCleaningUp:
    async def test_what_is_settled_and_old_goes_with_all_of_its_own(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        await settle(mine, examples.asked("r1"))
        clock.time += DAY
        await settle(mine, examples.request("r2"))
        assert await other.clean_up(keep_for=0.0, limit=9) == 1
        for table, ids in (("requests", "id"), ("operations", "request_id"), ("replies", "request_id")):
            assert {row[ids] for row in await rows_of(mine, table)} == {"r2"}

    async def test_at_most_so_many_go_at_once_the_oldest_first(self, mine: store.SqlStore, clock: Clock) -> None:
        for number in range(5):
            await settle(mine, examples.request(f"r{number}"))
            clock.time += 1
        assert await mine.clean_up(keep_for=0.0, limit=2) == 2
        assert {row["id"] for row in await rows_of(mine, "requests")} == {"r2", "r3", "r4"}

    async def test_what_somebody_may_still_act_on_stays(self, mine: store.SqlStore, clock: Clock) -> None:
        pending, due = examples.request("r1"), examples.request("r2", flow="due")
        unknown, held = examples.request("r4", flow="unknown"), examples.request("r5", flow="held")
        await add(mine, pending, due, unknown)
        await settle(mine, held)
        await mine.commit(change(examples.denied(due)))
        lost = transitions.finish(
            transitions.begin(examples.approved(unknown), at=1.0), records.Outcome(how=records.OutcomeKind.LOST), at=2.0
        )
        for version in (examples.approved(unknown), transitions.begin(examples.approved(unknown), at=1.0), lost):
            await mine.commit(change(version))
        for last in (pending, lost):
            await mine.release(last, due_at=None)
        clock.time += DAY
        await mine.claim("r5")
        await clean(mine, before=clock.time)
        assert {row["id"] for row in await rows_of(mine, "requests")} == {"r1", "r2", "r4", "r5"}

    async def test_an_emergency_that_nobody_has_reviewed_stays(self, mine: store.SqlStore, clock: Clock) -> None:
        running = transitions.begin(examples.let_run(examples.emergency()), at=1.0)
        done = transitions.finish(running, records.Outcome(how=records.OutcomeKind.DONE), at=clock.time)
        for version in (examples.emergency(), examples.let_run(examples.emergency()), running, done):
            await mine.commit(change(version))
        told = dataclasses.replace(done, card=records.Card(channel="C2", ts="1.2", shown=done.version), unsent=())
        await mine.release(done, due_at=schedule.at(told))
        clock.time += 500 * DAY
        await clean(mine, before=clock.time)
        assert [row["id"] for row in await rows_of(mine, "requests")] == ["r1"]

    async def test_a_delivery_repeated_within_a_day_is_still_known(self, mine: store.SqlStore, clock: Clock) -> None:
        old, young = examples.entry("old", received_at=clock.time), examples.entry("young", received_at=clock.time + 1)
        waits = examples.entry("waits", received_at=clock.time - DAY)
        await mine.record([old, young, waits])
        for one in (old, young):
            await mine.finish_entry(one.key)
        clock.time += DAY
        assert await clean(mine, before=0.0) == 1
        assert {row["key"] for row in await rows_of(mine, "inbox")} == {"young", "waits"}
        assert await mine.record([dataclasses.replace(young, received_at=clock.time)]) == frozenset()

    async def test_the_old_audit_goes_from_its_beginning_and_the_rest_stays_as_it_was_written(
        self, mine: store.SqlStore
    ) -> None:
        for at in (1.0, 1.5, 3.0, 1.75):
            await mine.commit(ports.Change(audit=(ports.AuditEvent(at=at, what="changed"),)))
        assert await clean(mine, before=2.0) == 0  # nothing is deleted before it is linked
        await mine.link_audit(9)
        assert await clean(mine, before=2.0) == 2
        left = [(row["at"], row["what"]) for row in await rows_of(mine, "audit")]
        assert left == [(3.0, "changed"), (1.75, "changed"), (mine._clock.now(), "audit cut")]
        with pytest.raises(errors.NotRecorded, match="nothing was recorded"):
            await changed(mine, "DELETE FROM audit")
        assert len(await rows_of(mine, "audit")) == 3
