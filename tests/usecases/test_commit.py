"""Settling an entry: its answer, the change and the audit event are written together or not at all."""

import json
import pathlib
from collections.abc import AsyncIterator

import pytest

from bot.commands.deliveries import Button
from bot.lifecycle import transitions
from bot.lifecycle.records import ReplyKind
from bot.lifecycle.states import State
from bot.policy import model
from bot.usecases import answers, commit, errors, ports
from tests.fakes import ALICE, BOB, BURNS, CAROL, EMERGENCY, Desk, open_desk, policy_of


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk whose policy lets people on call skip the leads."""
    async with open_desk(tmp_path) as opened:
        opened.policy = policy_of(EMERGENCY)
        yield opened


@pytest.fixture
def settle(desk: Desk) -> commit.EntryCommits:
    """Return the committer of the desk."""
    return commit.EntryCommits(store=desk.store, gate=desk.gate, clock=desk.clock)


def last(desk: Desk) -> tuple[str, dict[str, object]]:
    """Return the name and the facts of the last audit event."""
    what, facts = desk.select("SELECT what, facts FROM audit ORDER BY id DESC LIMIT 1")[0]
    return str(what), json.loads(facts)


async def test_a_refusal_is_the_answer_and_in_the_audit(desk: Desk, settle: commit.EntryCommits) -> None:
    opened = await desk.opened()
    click = desk.click("approve", BOB, opened.id)
    await desk.store.record([click])
    no = model.Refuse(why=model.Why.NOT_APPROVER, rule="r", who_could=("media-leads",))

    taken = await settle.refuse(click, opened, Button.APPROVE, no)

    assert isinstance(taken.answer, answers.Refused)
    assert (taken.answer.flow, taken.answer.people) == ("main-feed", ("U0CAROL", "U0DAVE"))
    assert last(desk) == ("refused", {"action": "approve", "why": "not_approver", "rule": "r"})
    assert desk.select("SELECT state FROM inbox WHERE key = ?", click.key) == [("decided",)]


async def test_what_changes_nothing_is_answered_and_in_the_audit(desk: Desk, settle: commit.EntryCommits) -> None:
    opened = await desk.opened()
    click = desk.click("approve", BOB, opened.id)
    await desk.store.record([click])

    taken = await settle.tell(click, answers.Noted(what="nothing"))

    assert (taken.request_id, taken.answer) == (None, answers.Noted(what="nothing"))
    assert last(desk) == ("answered", {"answer": "noted", "button": "approve"})
    assert await desk.now(opened.id) == opened


async def test_a_change_that_somebody_was_before_leaves_the_entry_as_it_is(
    desk: Desk, settle: commit.EntryCommits
) -> None:
    opened = await desk.opened()
    click = desk.click("deny", CAROL, opened.id)
    await desk.store.record([click])
    ended = commit.denied_by_policy(opened, model.Refuse(why=model.Why.NO_RULE), at=1.0)
    await settle.save(click, ended, "denied by policy")
    again = desk.click("deny", CAROL, opened.id)
    await desk.store.record([again])

    with pytest.raises(errors.Conflict):
        await settle.save(again, ended, "denied by policy")

    assert desk.select("SELECT state FROM inbox WHERE key = ?", again.key) == [("received",)]


async def test_a_no_of_the_policy_ends_a_request_with_the_rule_behind_it(desk: Desk) -> None:
    opened = await desk.opened()
    no = model.Refuse(why=model.Why.DENY_RULE, rule="frozen", who_could=("media-leads",))

    ended = commit.denied_by_policy(opened, no, at=5.0)

    assert (ended.state, ended.unsent[-1].said) == (State.DENIED, ReplyKind.DENIED)
    assert ended.ending is not None
    assert (ended.ending.actor, ended.ending.rule, ended.ending.who_could) == (None, "frozen", ("media-leads",))


async def test_an_emergency_is_marked_in_every_line_about_it(desk: Desk, settle: commit.EntryCommits) -> None:
    opened = await desk.opened(BURNS)
    click, other = (desk.click("emergency_first", ALICE, opened.id) for _ in range(2))
    await desk.store.record([click, other])

    await settle.save(click, transitions.press_first(opened, at=1.0), "pressed first", facts={"more": 1})
    assert last(desk) == ("pressed first", {"more": 1, "emergency": True})
    await settle.refuse(other, opened, Button.DENY, model.Refuse(why=model.Why.OWN_REQUEST))
    assert last(desk)[1]["emergency"] is True


async def test_a_line_says_how_the_request_stands_unless_there_is_more_to_say(desk: Desk) -> None:
    commits = commit.Commits(store=desk.store, clock=desk.clock)
    opened = await desk.opened()

    await commits.write(ports.Change(), "looked at", about=opened)
    assert last(desk) == ("looked at", {"state": "pending", "progress": "waiting", "version": 1})
    await commits.write(ports.Change(), "looked at", facts={"code": "x"}, about=opened.id)
    assert last(desk) == ("looked at", {"code": "x"})
    assert desk.select("SELECT request_id FROM audit WHERE what = 'looked at'") == [(opened.id,)] * 2


async def test_every_line_about_an_emergency_is_marked(desk: Desk) -> None:
    commits = commit.Commits(store=desk.store, clock=desk.clock)
    opened = await desk.opened(BURNS)

    await commits.write(ports.Change(), "looked at", facts={"code": "x"}, about=opened)

    assert last(desk) == ("looked at", {"code": "x", "emergency": True})


async def test_a_line_is_from_now_and_by_nobody_unless_told_otherwise(desk: Desk) -> None:
    commits = commit.Commits(store=desk.store, clock=desk.clock)

    await commits.write(ports.Change(), "first")
    await commits.write(ports.Change(), "second", at=5.0, actor=BOB)

    assert desk.select("SELECT at, actor_user, facts FROM audit ORDER BY id") == [
        (desk.clock.now(), None, "{}"),
        (5.0, BOB.user, "{}"),
    ]
