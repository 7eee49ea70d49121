"""Unexpected errors: what one means for a request in each state; every request comes to an end."""

import dataclasses
from typing import Any

import pytest

from bot.commands.deliveries import Actor
from bot.commands.verbs import Verb
from bot.lifecycle import records, schedule, transitions
from bot.lifecycle.records import Awaiting, Outcome, OutcomeKind, ReplyKind, Request
from bot.lifecycle.states import Progress, State
from bot.worker import unexpected
from tests.fakes import MAIN

NOW = 1_700_000_000.0

PENDING = Request(
    id="ab12cd34ef567890",
    verb=Verb.STOP,
    project="hk",
    flow=MAIN,
    requester=Actor(team="T1", user="U0ALICE"),
    reason=None,
    dry_run=False,
    asked_in="C1",
    asked_at=NOW - 60,
    expires_at=NOW + 1740,
    terms=records.Terms(rule="r", rule_text="…", policy_hash="h", approvals=1),
    card=records.Card(channel="C1", ts="1.2"),
)
APPROVED = transitions.approve(PENDING, records.Vote(actor=Actor(team="T1", user="U0BOB"), at=NOW), needed=1)
CALLED = transitions.begin(APPROVED, at=NOW + 1)
DONE = transitions.finish(CALLED, Outcome(how=OutcomeKind.DONE, status="STANDBY"), at=NOW + 2, look_again_at=NOW + 12)
LOST = transitions.finish(CALLED, Outcome(how=OutcomeKind.LOST), at=NOW + 2, look_again_at=NOW + 7)
STAGES = {
    "pending": PENDING,
    "approved": APPROVED,
    "called": CALLED,
    "read back": transitions.wait(CALLED, Awaiting.READING, until=NOW + 2),
    "tried again": transitions.wait(CALLED, Awaiting.TRY, until=NOW + 2),
    "done": DONE,
    "unknown": LOST,
    "unknown for good": transitions.give_up(LOST, at=NOW + 3602),
}
every_stage = pytest.mark.parametrize("stage", STAGES)


@every_stage
def test_its_requester_is_told_once_with_the_id_and_each_error_makes_a_version(stage: str) -> None:
    first = unexpected.after(STAGES[stage], at=NOW + 3)
    second = unexpected.after(first, at=NOW + 4)

    assert [first.version, second.version] == [STAGES[stage].version + 1, STAGES[stage].version + 2]
    told = [reply for reply in second.unsent if reply.said is ReplyKind.UNEXPECTED]
    assert [(reply.reason, reply.actor) for reply in told] == [("ab12cd34", PENDING.requester)]


@every_stage
def test_an_error_each_time_ends_in_a_request_that_holds_its_flow_no_more(stage: str) -> None:
    seen, at, errors_met = STAGES[stage], NOW + 3, 0
    while not unexpected.is_given_up(seen) and schedule.at(seen) is not None and errors_met < 100:
        seen = unexpected.after(dataclasses.replace(seen, unsent=()), at=at)
        at, errors_met = max(schedule.at(seen) or 0.0, unexpected.again_at(seen, at=at)), errors_met + 1

    assert errors_met <= unexpected.MOST
    assert not records.holds_flow(seen)


@pytest.mark.parametrize(
    ("stage", "after", "expected"),
    [
        ("pending", 3.0, {"state": State.PENDING}),
        ("pending", 1740.0, {"state": State.EXPIRED, "progress": Progress.CANCELLED}),
        ("approved", 3.0, {"state": State.APPROVED, "progress": Progress.WAITING, "not_before": NOW + 8}),
        ("approved", 120.0, {"state": State.EXPIRED, "progress": Progress.CANCELLED}),
        ("called", 3.0, {"progress": Progress.RUNNING, "awaiting": Awaiting.READING, "not_before": NOW + 8}),
        ("read back", 3.0, {"progress": Progress.UNKNOWN, "awaiting": Awaiting.READING}),
        ("tried again", 3.0, {"progress": Progress.RUNNING, "awaiting": Awaiting.READING, "not_before": NOW + 8}),
        ("done", 13.0, {"progress": Progress.SUCCEEDED, "awaiting": Awaiting.NOTHING}),
        ("unknown", 8.0, {"progress": Progress.UNKNOWN, "awaiting": Awaiting.READING, "reads": 1}),
    ],
)
def test_what_was_begun_is_found_out_and_what_was_not_is_put_off(
    stage: str, after: float, expected: dict[str, Any]
) -> None:
    seen = unexpected.after(STAGES[stage], at=NOW + after)
    found = {"state": seen.state} | dataclasses.asdict(seen.operation)

    assert {name: found[name] for name in expected} == expected


def test_the_wait_grows_up_to_a_minute() -> None:
    def met(times: int) -> Request:
        return dataclasses.replace(PENDING, operation=records.Operation(unexpected=times))

    waits = [unexpected.again_at(met(times), at=NOW) - NOW for times in (1, 2, 3, 4, 5, 8)]
    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_an_error_is_counted_by_what_was_being_done() -> None:
    counted: list[str] = []
    unexpected.Errors(count=counted.append).note(ValueError("x"), doing="telling", error_id="ab12cd34")

    assert counted == ["telling"]
