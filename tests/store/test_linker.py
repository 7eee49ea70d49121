"""The audit's chain in a database: one chain whichever replica links, and deletion only from its beginning."""

import asyncio

import sqlalchemy as sa

from bot.store import chain, linker, store
from bot.store.chain import Link, Tampering
from bot.usecases import ports

from .conftest import Clock, Replicas, changed, rows_of

MANY = 1_000


async def note(opened: store.SqlStore, *whats: str, at: float = 1.0) -> None:
    """Write rows of the audit, each in a transaction of its own."""
    for what in whats:
        await opened.commit(ports.Change(audit=(ports.AuditEvent(at=at, what=what, facts={"reason": "ü"}),)))


async def ends(opened: store.SqlStore) -> tuple[Link, Link]:
    return await opened.database.read(linker.ends)


async def broken(opened: store.SqlStore) -> chain.BrokenLink | None:
    """Verify the whole chain."""
    anchor, end = await ends(opened)
    verification = chain.Verification(after=anchor)
    for row in await opened.database.read(lambda connection: linker.after(connection, anchor.seq, limit=MANY)):
        verification.take(row)
    verification.end_at(end)
    return verification.finish()


async def test_rows_are_linked_in_their_order_a_batch_at_a_time(mine: store.SqlStore) -> None:
    await note(mine, "one", "two", "three")
    assert [await mine.link_audit(2) for _ in range(3)] == [2, 1, 0]
    rows = await rows_of(mine, "audit")
    assert [(row["what"], row["seq"]) for row in rows] == [("one", 1), ("two", 2), ("three", 3)]
    assert await ends(mine) == (chain.ROOT, Link(seq=3, hash=str(rows[-1]["hash"])))
    assert await broken(mine) is None


async def test_a_chain_goes_on_where_another_replica_left_it(mine: store.SqlStore, other: store.SqlStore) -> None:
    await note(mine, "one")
    await mine.link_audit(MANY)
    await note(other, "two")
    await other.link_audit(MANY)
    assert await broken(mine) is None
    assert [row["seq"] for row in await rows_of(mine, "audit")] == [1, 2]


async def test_twenty_commits_at_once_on_two_replicas_leave_one_chain(
    mine: store.SqlStore, other: store.SqlStore
) -> None:
    writing = [note(opened, f"{number}") for number in range(10) for opened in (mine, other)]
    linking = [opened.link_audit(3) for _ in range(5) for opened in (mine, other)]
    await asyncio.gather(*(step for pair in zip(writing[:10], linking, strict=True) for step in pair), *writing[10:])
    while await mine.link_audit(MANY):
        pass
    assert await broken(mine) is None
    assert sorted(int(str(row["seq"])) for row in await rows_of(other, "audit")) == list(range(1, 21))


async def test_a_row_that_is_committed_late_is_linked_after_those_before_it(replicas: Replicas) -> None:
    mine = await replicas.open("mine")
    await note(mine, "late", "early")
    hidden = "UPDATE audit SET seq = 0, prev = '', hash = 'hidden' WHERE what = 'late'"
    await changed(mine, hidden)
    await mine.link_audit(MANY)
    await note(mine, "last")
    await changed(mine, *without_triggers(mine, "UPDATE audit SET seq = NULL, prev = NULL, hash = NULL WHERE seq = 0"))
    await mine.link_audit(MANY)
    seqs = {str(row["what"]): row["seq"] for row in await rows_of(mine, "audit")}
    assert seqs == {"early": 1, "late": 2, "last": 3}
    assert await broken(mine) is None


async def test_a_batch_that_does_not_commit_leaves_the_chain_as_it_was(mine: store.SqlStore) -> None:
    await note(mine, "one", "two")
    await mine.link_audit(1)
    before = await ends(mine)

    def dies(connection: sa.Connection) -> None:
        assert linker.link(connection, limit=MANY) == 1
        connection.rollback()

    await mine.database.write(dies)
    assert await ends(mine) == before
    assert await mine.link_audit(MANY) == 1
    assert await broken(mine) is None


async def test_retention_leaves_an_anchor_and_what_remains_verifies(mine: store.SqlStore, clock: Clock) -> None:
    await note(mine, "old", "older", at=clock.time - 10)
    await note(mine, "new", at=clock.time)
    await mine.link_audit(MANY)
    old = await rows_of(mine, "audit")
    assert await mine.clean_up(keep_for=5.0, limit=9) == 2
    await mine.link_audit(MANY)
    anchor, head = await ends(mine)
    assert anchor == Link(seq=2, hash=str(old[1]["hash"]))
    rows = await rows_of(mine, "audit")
    assert [(row["what"], row["seq"]) for row in rows] == [("new", 3), ("audit cut", 4)]
    assert rows[1]["facts"] == f'{{"hash":"{anchor.hash}","rows":2,"through":2}}'
    assert head.seq == 4
    assert await broken(mine) is None


async def test_what_older_code_wants_to_delete_before_the_anchor_has_moved_stays(mine: store.SqlStore) -> None:
    await note(mine, "one", "two")
    await mine.link_audit(1)
    await changed(
        mine,
        "UPDATE retention SET audit_before = 5.0",
        "DELETE FROM audit",
        "UPDATE retention SET audit_before = NULL",
    )
    assert len(await rows_of(mine, "audit")) == 2


async def test_a_changed_row_is_found(mine: store.SqlStore) -> None:
    await note(mine, "one", "two", "three")
    await mine.link_audit(MANY)
    await changed(mine, *without_triggers(mine, "UPDATE audit SET what = 'forged' WHERE seq = 2"))
    found = await broken(mine)
    assert found is not None
    assert (found.seq, found.what) == (2, Tampering.EDITED)


async def test_facts_that_say_the_same_in_other_bytes_are_found(mine: store.SqlStore) -> None:
    await note(mine, "one")
    await mine.link_audit(MANY)
    await changed(mine, *without_triggers(mine, "UPDATE audit SET facts = facts || ' '"))
    found = await broken(mine)
    assert found is not None
    assert (found.seq, found.what) == (1, Tampering.EDITED)


async def test_the_last_row_cut_off_is_found_against_the_head(mine: store.SqlStore) -> None:
    await note(mine, "one", "two")
    await mine.link_audit(MANY)
    await changed(mine, *without_triggers(mine, "DELETE FROM audit WHERE seq = 2"))
    found = await broken(mine)
    assert found is not None
    assert (found.seq, found.what) == (2, Tampering.CUT_OFF)


def without_triggers(opened: store.SqlStore, statement: str) -> tuple[str, ...]:
    """Return the statements of somebody with all rights on the database."""
    if "sqlite" in str(type(opened.database.writer)).lower():
        return (
            "DROP TRIGGER audit_keeps_rows",
            "DROP TRIGGER audit_keeps_facts",
            "DROP TRIGGER audit_keeps_chain",
            "DROP TRIGGER IF EXISTS audit_keeps_order",
            statement,
        )
    return ("ALTER TABLE audit DISABLE TRIGGER ALL", statement, "ALTER TABLE audit ENABLE TRIGGER ALL")
