"""Entries: each is decided, answered and done; an unexpected error is reported and is not retried for ever."""

import pathlib
from collections.abc import AsyncIterator

import pytest

from bot.commands.deliveries import Entry
from bot.usecases import answers, errors
from bot.worker import entries
from tests.fakes import ALICE, CAROL, Desk, open_desk, until


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk."""
    async with open_desk(tmp_path) as opened:
        yield opened


async def arrives(desk: Desk, entry: Entry) -> None:
    """Record an entry and process it."""
    await desk.store.record([entry])
    desk.worker.wake_entry(entry)
    await until(lambda: not desk.worker._tasks)


def kinds(desk: Desk) -> list[str]:
    """Return the kinds of the answers."""
    return [answer.kind for answer in desk.chat.answered]


def is_done(desk: Desk, entry: Entry) -> bool:
    """Return whether an entry is done."""
    return desk.select("SELECT state FROM inbox WHERE key = ?", entry.key) == [("done",)]


def audited(desk: Desk) -> list[str]:
    """Return the names of the audit events, in order."""
    return [what for (what,) in desk.select("SELECT what FROM audit ORDER BY id")]


async def test_an_unexpected_error_while_deciding_is_told_with_an_id_and_ends(desk: Desk) -> None:
    desk.cloud.will("flow", RuntimeError("nobody foresaw this"))
    entry = desk.entry(desk.typed("stop flow-1").arrival, ALICE, key="ab12cd34ef567890")
    await arrives(desk, entry)

    assert desk.chat.answered == [answers.Unexpected(error_id="ab12cd34")]
    assert audited(desk) == ["unexpected error"]
    assert is_done(desk, entry)


async def test_words_that_cannot_be_made_are_replaced_by_those_of_an_unexpected_error(desk: Desk) -> None:
    desk.chat.troubles["answer"].append(ValueError("year 10000 is out of range"))
    entry = desk.click("approve", CAROL, "no such")
    await arrives(desk, entry)

    assert kinds(desk) == ["unexpected"]
    assert audited(desk) == ["answered", "unexpected error"]
    assert is_done(desk, entry)


async def test_what_cannot_be_told_at_all_is_given_up_with_a_line_in_the_audit(desk: Desk) -> None:
    desk.chat.troubles["answer"] += [ValueError("no words")] * 2
    entry = desk.click("approve", CAROL, "no such")
    await arrives(desk, entry)

    assert kinds(desk) == []
    assert audited(desk)[-1] == "given up after an unexpected error"
    assert is_done(desk, entry)


async def test_what_was_decided_before_the_error_stands(desk: Desk) -> None:
    opened = await desk.opened()
    desk.store.after["commit"].append(RuntimeError("nobody foresaw this"))
    await arrives(desk, desk.click("deny", CAROL, opened.id))

    assert "denied" in audited(desk)
    assert "unexpected" not in kinds(desk)


async def test_an_error_that_cannot_be_recorded_is_told_once_and_taken_up_no_more(desk: Desk) -> None:
    desk.store.before["commit"] += [RuntimeError("nobody foresaw this")] * 10
    entry = desk.click("approve", CAROL, "no such")
    await arrives(desk, entry)
    desk.worker.wake_entry(entry)
    await until(lambda: not desk.worker._tasks)

    assert kinds(desk) == ["unexpected"]
    assert len(desk.store.before["commit"]) == 8


async def test_an_error_that_can_neither_be_recorded_nor_told_is_logged(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "GIVEN_UP", 1)
    async with open_desk(tmp_path) as desk:
        for _ in range(2):
            desk.store.before["commit"] += [RuntimeError("nobody foresaw this")] * 2
            desk.chat.troubles["answer"].append(ValueError("no words"))
            await arrives(desk, desk.click("approve", CAROL, "no such"))

        assert kinds(desk) == []
        assert len(desk.worker._entries._given_up) == 1


async def test_an_error_while_the_database_goes_away_waits_for_it(desk: Desk) -> None:
    desk.store.before["commit"] += [RuntimeError("nobody foresaw this"), errors.StoreError("away")]
    entry = desk.click("approve", CAROL, "no such")
    await arrives(desk, entry)
    assert set(desk.worker._entries.stranded) == {entry.key}
    await desk.worker.settle()

    assert kinds(desk) == ["no_such_request"]


async def test_a_policy_that_cannot_be_asked_for_a_project_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.service, "project_of", lambda entry: 1 / 0)
    await arrives(desk, desk.click("approve", CAROL, "no such"))

    assert kinds(desk) == ["no_such_request"]
