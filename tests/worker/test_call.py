"""The call: the checks before it, the meaning of each reply, and what is on disk at each point."""

import asyncio
import dataclasses
import functools
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from bot.commands.deliveries import Actor
from bot.lifecycle import call_outcome, records, schedule, transitions
from bot.lifecycle.call_outcome import Accepted
from bot.lifecycle.cloud_failure import CloudFailure, Fault, Halt
from bot.lifecycle.records import Awaiting, OutcomeKind, ReplyKind, Request
from bot.lifecycle.states import Progress, State
from bot.policy import model
from bot.policy.model import Kind
from bot.usecases import errors, ports
from bot.worker import call as calling
from tests.fakes import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    EMERGENCY,
    MAIN,
    POLICY,
    STANDING,
    Desk,
    in_order,
    open_desk,
    policy_of,
    until,
)

TWO = POLICY.replace("approvals = 1", "approvals = 2")
LAXER = POLICY.replace('approvals = 1\napprovers = ["media-leads"]', "approvals = 0")
STRICTER = POLICY.replace("approvals = 0", 'approvals = 1\napprovers = ["U0CAROL", "U0DAVE", "U0BOB"]')
NOBODY = POLICY.partition("[[rules]]")[0] + '[[rules]]\nname = "others"\nverbs = ["stop"]\nwho = ["U0ZED"]\n'
PASSING = [Fault.THROTTLED, Fault.NEVER_SENT, Fault.UNCERTAIN]
STANDBY_400 = CloudFailure(fault=Fault.REJECTED, http_status=400, message="flow task is in Standby status")


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk."""
    async with open_desk(tmp_path) as opened:
        yield opened


async def called(desk: Desk, approved: Request | None = None) -> Request:
    """Make the call of an approved request and return the record afterwards."""
    approved = approved or await desk.approved()
    await in_order(desk.calling.call(approved))
    return await desk.now(approved.id)


def how(seen: Request) -> OutcomeKind | None:
    """Return the outcome of the operation."""
    return seen.operation.outcome.how if seen.operation.outcome else None


async def test_a_stop_is_on_record_before_it_leaves_and_its_outcome_after(desk: Desk) -> None:
    approved, gate = await desk.approved(), asyncio.Event()
    desk.cloud.will("stop", gate)
    call = asyncio.create_task(desk.calling.call(approved))
    await until(desk.cloud.stops)

    assert (await desk.now(approved.id)).operation.progress is Progress.RUNNING
    gate.set()
    await in_order(call)

    seen = await desk.now(approved.id)
    assert (how(seen), seen.operation.progress) == (OutcomeKind.DONE, Progress.SUCCEEDED)
    assert seen.unsent[-1].said is ReplyKind.OUTCOME
    assert desk.store.journal[-2:] == ["call begins", "call ended"]


async def test_whoever_stood_still_for_longer_than_its_lease_calls_nothing(desk: Desk) -> None:
    approved = await desk.approved()
    desk.store.stops_after.append("call begins")

    with pytest.raises(errors.LeaseLost):
        await desk.calling.call(approved)

    assert desk.cloud.stops() == 0
    assert (await desk.now(approved.id)).operation.awaiting is Awaiting.REPLY


@pytest.mark.parametrize("failure", [errors.NotRecorded("full"), errors.Conflict("moved"), errors.Unconfirmed("?")])
async def test_nothing_is_called_that_is_not_on_record(desk: Desk, failure: errors.StoreError) -> None:
    approved = await desk.approved()
    desk.store.before["commit"].append(failure)

    with pytest.raises(type(failure)):
        await desk.calling.call(approved)

    assert desk.cloud.stops() == 0


DEFINITE = [
    Accepted(status="STANDBY"),
    CloudFailure(fault=Fault.REJECTED, code="LIVE.100011001", message="limit"),
    CloudFailure(fault=Fault.NOT_FOUND, http_status=404),
    CloudFailure(fault=Fault.DENIED, http_status=403),
    CloudFailure(fault=Fault.CREDENTIALS, http_status=401),
]


@pytest.mark.parametrize("reply", DEFINITE)
async def test_a_definite_reply_is_the_outcome_and_is_asked_for_once(
    desk: Desk, reply: Accepted | CloudFailure
) -> None:
    approved = await desk.approved()
    desk.cloud.will("stop", reply)

    seen = await called(desk, approved)

    assert how(seen) is (OutcomeKind.DONE if isinstance(reply, Accepted) else OutcomeKind.REFUSED)
    assert desk.cloud.stops() == 1
    assert seen.operation.outcome is not None
    assert seen.operation.outcome.failure == (reply if isinstance(reply, CloudFailure) else None)
    assert schedule.act(seen, desk.clock.now()) is None


@pytest.mark.parametrize(
    ("reply", "awaiting", "after"),
    [
        (CloudFailure(fault=Fault.THROTTLED, http_status=429, retry_after=9.0), Awaiting.TRY, 9.0),
        (CloudFailure(fault=Fault.NEVER_SENT), Awaiting.TRY, 2.0),
        (CloudFailure(fault=Fault.UNCERTAIN, http_status=502), Awaiting.READING, 0.0),
        (STANDBY_400, Awaiting.READING, 0.0),
        (Accepted(status="ACTIVE"), Awaiting.READING, 2.0),
    ],
)
async def test_a_reply_that_settles_nothing_is_stored_with_what_follows_it(
    desk: Desk, reply: Accepted | CloudFailure, awaiting: Awaiting, after: float
) -> None:
    approved = await desk.approved()
    desk.cloud.will("stop", reply)

    seen = await called(desk, approved)

    operation = seen.operation
    assert (operation.progress, operation.awaiting, how(seen)) == (Progress.RUNNING, awaiting, None)
    assert operation.not_before == desk.clock.now() + after
    assert operation.trouble == (reply if isinstance(reply, CloudFailure) else None)
    assert desk.cloud.stops() == 1


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (CloudFailure(fault=Fault.UNCERTAIN, http_status=502), OutcomeKind.READ_BACK),
        (STANDBY_400, OutcomeKind.CONFIRMED),
        (Accepted(status="ACTIVE"), OutcomeKind.DONE),
    ],
)
async def test_a_reading_that_finds_it_so_is_the_outcome(
    desk: Desk, reply: Accepted | CloudFailure, expected: OutcomeKind
) -> None:
    approved = await desk.approved()
    desk.cloud.will("stop", reply)
    seen = await called(desk, approved)
    desk.cloud.there["flow-1"] = STANDING

    await in_order(desk.calling.read(seen))

    seen = await desk.now(approved.id)
    assert (how(seen), seen.operation.progress, desk.cloud.stops()) == (expected, Progress.SUCCEEDED, 1)
    assert desk.store.journal[-1] == "read back"


async def test_promise_2_a_lost_reply_is_repeated_only_after_a_reading_that_says_not_done(desk: Desk) -> None:
    approved = await desk.approved()
    desk.cloud.will("stop", CloudFailure(fault=Fault.UNCERTAIN))
    seen = await called(desk, approved)

    await in_order(desk.calling.read(seen))
    await in_order(desk.calling.call_again(await desk.now(seen.id)))

    assert [method for method, _ in desk.cloud.calls[-4:]] == ["stop", "flow", "flow", "stop"]
    seen = await desk.now(seen.id)
    assert (how(seen), seen.operation.tries) == (OutcomeKind.DONE, 2)


async def test_promise_10_a_repeat_that_comes_too_late_sends_nothing(desk: Desk) -> None:
    approved = await desk.approved()
    desk.cloud.will("stop", CloudFailure(fault=Fault.NEVER_SENT))
    seen = await called(desk, approved)
    desk.clock.turn(600)

    await in_order(desk.calling.call_again(seen))

    assert (how(await desk.now(seen.id)), desk.cloud.stops()) == (OutcomeKind.REFUSED, 1)
    assert desk.store.journal[-1] == "too late to call again"


async def test_a_project_that_is_gone_from_the_policy_leaves_the_outcome_unknown(desk: Desk) -> None:
    approved = await desk.approved()
    desk.cloud.will("stop", CloudFailure(fault=Fault.UNCERTAIN))
    seen = await called(desk, approved)
    desk.policy = dataclasses.replace(desk.policy, projects={})

    await in_order(desk.calling.read(seen))

    assert how(await desk.now(seen.id)) is OutcomeKind.LOST


async def test_promise_2_the_reply_to_a_try_that_was_taken_over_is_not_taken_for_the_next_ones(desk: Desk) -> None:
    approved, gate = await desk.approved(), asyncio.Event()
    desk.cloud.will("stop", gate, CloudFailure(fault=Fault.DENIED))
    call = asyncio.create_task(desk.calling.call(approved))
    await until(desk.cloud.stops)
    for step in (
        call_outcome.recover,
        lambda seen, at: call_outcome.after_reading(seen, MAIN, at=at),
        call_outcome.again,
    ):
        await desk.calling.save(step(await desk.now(approved.id), at=desk.clock.now()), "another replica")
    gate.set()
    await in_order(call)

    seen = await desk.now(approved.id)
    assert (seen.operation.awaiting, seen.operation.tries, how(seen)) == (Awaiting.REPLY, 2, None)


async def test_a_flow_in_standby_by_then_is_not_called(desk: Desk) -> None:
    approved = await desk.approved()
    desk.cloud.there["flow-1"] = STANDING

    seen = await called(desk, approved)

    assert (how(seen), desk.cloud.stops(), seen.version) == (OutcomeKind.ALREADY, 0, approved.version + 1)


async def test_a_dry_run_ends_before_the_call(desk: Desk) -> None:
    seen = await called(desk, await desk.approved("stop flow-1 --dry-run"))

    assert (how(seen), seen.operation.progress, desk.cloud.stops()) == (OutcomeKind.REHEARSED, Progress.SUCCEEDED, 0)


@pytest.mark.parametrize("fault", sorted(set(Fault) - set(PASSING)))
async def test_a_flow_that_the_cloud_does_not_show_is_not_called(desk: Desk, fault: Fault) -> None:
    approved, failure = await desk.approved(), CloudFailure(fault=fault, code="X")
    desk.cloud.will("flow", failure)

    seen = await called(desk, approved)

    assert (how(seen), seen.operation.progress, desk.cloud.stops()) == (OutcomeKind.UNREADABLE, Progress.FAILED, 0)
    assert seen.operation.outcome is not None
    assert seen.operation.outcome.failure == failure


@pytest.mark.parametrize("fault", PASSING)
async def test_a_read_that_may_succeed_later_holds_the_call_up(desk: Desk, fault: Fault) -> None:
    approved = await desk.approved()
    desk.cloud.will("flow", CloudFailure(fault=fault))

    seen = await called(desk, approved)

    assert (seen.state, seen.operation.progress, seen.operation.held_ups) == (State.APPROVED, Progress.WAITING, 1)
    assert seen.operation.not_before == desk.clock.now() + calling.AGAIN
    assert desk.cloud.stops() == 0


async def test_slack_out_of_reach_holds_the_call_up_longer_each_time(desk: Desk) -> None:
    seen = await desk.approved()
    desk.directory.away = True
    waits = []

    for _ in range(6):
        seen = await called(desk, seen)
        waits.append(seen.operation.not_before - desk.clock.now())

    assert waits == [2.0, 4.0, 8.0, 16.0, 20.0, 20.0]
    assert seen.votes != ()
    desk.directory.away = False
    assert how(await called(desk, seen)) is OutcomeKind.DONE


async def test_a_voter_who_cannot_be_asked_about_holds_the_call_up_and_keeps_the_vote(desk: Desk) -> None:
    approved = await desk.approved()
    desk.directory.kinds["U0CAROL"] = model.Kind.UNREACHABLE

    seen = await called(desk, approved)

    assert (seen.operation.held_ups, seen.votes) == (1, approved.votes)


@pytest.mark.parametrize("text", [NOBODY, "no project"])
async def test_a_policy_that_refuses_by_then_ends_the_request(desk: Desk, text: str) -> None:
    approved = await desk.approved()
    desk.policy = dataclasses.replace(desk.policy, projects={}) if text == "no project" else policy_of(text)

    seen = await called(desk, approved)

    assert (seen.state, seen.operation.progress) == (State.DENIED, Progress.CANCELLED)
    assert seen.ending is not None
    assert seen.ending.actor is None
    assert desk.cloud.calls[-1][0] != "stop"


async def test_a_requester_who_left_ends_the_request(desk: Desk) -> None:
    approved = await desk.approved()
    desk.directory.kinds["U0ALICE"] = model.Kind.DEACTIVATED

    assert (await called(desk, approved)).state is State.DENIED
    assert desk.cloud.stops() == 0


async def test_a_vote_whose_right_is_gone_falls_off_visibly(desk: Desk) -> None:
    approved = await desk.approved()
    desk.directory.kinds["U0CAROL"] = model.Kind.GUEST

    seen = await called(desk, approved)

    assert (seen.state, seen.votes, seen.decided_at) == (State.PENDING, (), None)
    assert seen.unsent[-1].said is ReplyKind.FELL_OFF
    assert desk.cloud.stops() == 0


async def test_a_stricter_policy_raises_the_number_and_keeps_the_votes_that_stand(desk: Desk) -> None:
    approved = await desk.approved()
    desk.policy = policy_of(TWO)

    seen = await called(desk, approved)

    assert (seen.state, seen.terms.approvals, seen.votes) == (State.PENDING, 2, approved.votes)
    assert seen.unsent[-1].said is ReplyKind.ASKED
    await desk.take(desk.click("approve", DAVE, seen.id))
    assert how(await called(desk, await desk.now(seen.id))) is OutcomeKind.DONE


async def test_a_laxer_policy_takes_nothing_back(desk: Desk) -> None:
    approved = await desk.approved()
    desk.policy = policy_of(LAXER)
    desk.directory.kinds["U0CAROL"] = model.Kind.GUEST

    seen = await called(desk, approved)

    assert (seen.state, seen.terms.approvals) == (State.PENDING, 1)
    assert desk.cloud.stops() == 0


async def test_a_laxer_policy_calls_with_the_votes_of_then(desk: Desk) -> None:
    approved = await desk.approved()
    desk.policy = policy_of(LAXER)

    assert how(await called(desk, approved)) is OutcomeKind.DONE


@pytest.mark.parametrize("confirmer", [CAROL, DAVE])
async def test_a_confirmation_never_becomes_an_approval(desk: Desk, confirmer: Actor) -> None:
    approved = await desk.approved(actor=CAROL)
    by = dataclasses.replace(approved, votes=(records.Vote(actor=confirmer, at=desk.clock.now()),), version=3)
    await desk.store.commit(ports.Change(request=by, audit=()))
    desk.policy = policy_of(STRICTER)

    seen = await called(desk, by)

    assert (seen.state, seen.votes, seen.terms.approvals) == (State.PENDING, (), 1)
    assert [reply.said for reply in seen.unsent[-2:]] == [ReplyKind.FELL_OFF, ReplyKind.ASKED]
    assert desk.cloud.stops() == 0


async def test_a_long_call_is_told_of_once(desk: Desk) -> None:
    approved, gate = await desk.approved(), asyncio.Event()
    desk.cloud.will("stop", gate)
    call = asyncio.create_task(desk.calling.call(approved))
    await until(desk.cloud.stops)
    desk.clock.turn(calling.LONG_CALL)
    await until(lambda: "call takes long" in desk.store.journal)
    gate.set()
    await in_order(call)

    seen = await desk.now(approved.id)
    assert [reply.said for reply in seen.unsent[-2:]] == [ReplyKind.CALLING, ReplyKind.OUTCOME]
    assert desk.cloud.stops() == 1


@pytest.mark.parametrize("gone", [False, True])
async def test_a_database_that_cannot_be_told_of_a_long_call_does_not_disturb_it(desk: Desk, gone: bool) -> None:
    approved, gate = await desk.approved(), asyncio.Event()
    desk.cloud.will("stop", gate)
    call = asyncio.create_task(desk.calling.call(approved))
    await until(desk.cloud.stops)
    if gone:
        desk.store.before["load"].append(errors.StoreError("away"))
    else:
        desk.store.before["commit"].append(errors.NotRecorded("full"))
    journal = len(desk.store.journal)
    desk.clock.turn(calling.LONG_CALL)
    await until(lambda: len(desk.store.journal) > journal)
    gate.set()
    await in_order(call)

    assert how(await desk.now(approved.id)) is OutcomeKind.DONE


async def test_the_outcome_is_recorded_however_long_the_database_is_away(desk: Desk) -> None:
    approved, gate = await desk.approved(), asyncio.Event()
    desk.cloud.will("stop", gate)
    call = asyncio.create_task(desk.calling.call(approved))
    await until(desk.cloud.stops)
    desk.store.away = True
    gate.set()

    def tried(times: int) -> bool:
        return desk.store.journal.count("call ended") >= times

    for tries in range(1, 5):
        await until(functools.partial(tried, tries))
        await until(lambda: desk.clock._sleepers)
        desk.clock.turn(calling.STORE_AGAIN)
    desk.store.away = False
    desk.clock.turn(calling.STORE_AGAIN)
    await in_order(call)

    assert how(await desk.now(approved.id)) is OutcomeKind.DONE
    assert desk.cloud.stops() == 1


async def test_an_outcome_whose_commit_was_lost_is_recorded_once(desk: Desk) -> None:
    approved, gate = await desk.approved(), asyncio.Event()
    desk.cloud.will("stop", gate)
    call = asyncio.create_task(desk.calling.call(approved))
    await until(desk.cloud.stops)
    desk.store.after["commit"].append(errors.Unconfirmed("lost"))
    gate.set()
    await until(lambda: "call ended" in desk.store.journal and desk.clock._sleepers)
    desk.clock.turn(calling.STORE_AGAIN)
    await in_order(call)

    seen = await desk.now(approved.id)
    assert [reply.said for reply in seen.unsent].count(ReplyKind.OUTCOME) == 1
    assert desk.select("SELECT count(*) FROM audit WHERE what = 'call ended'") == [(1,)]


async def test_promise_5_a_call_whose_caller_is_gone_is_read_back_and_not_called_again(desk: Desk) -> None:
    approved = await desk.approved()
    running = transitions.begin(approved, at=desk.clock.now())
    await desk.store.commit(ports.Change(request=running, audit=()))
    desk.cloud.there["flow-1"] = STANDING

    await desk.calling.recover(running)
    assert (await desk.now(approved.id)).operation.awaiting is Awaiting.READING
    await desk.calling.read(await desk.now(approved.id))

    seen = await desk.now(approved.id)
    assert (how(seen), seen.operation.progress) == (OutcomeKind.READ_BACK, Progress.SUCCEEDED)
    assert desk.cloud.stops() == 0


async def test_the_audit_tells_code_and_request_id_of_the_cloud(desk: Desk) -> None:
    approved = await desk.approved()
    desk.cloud.will("stop", CloudFailure(fault=Fault.DENIED, http_status=403, code="PAP5.0001", request_id="q1"))

    await called(desk, approved)

    facts = str(desk.select("SELECT facts FROM audit ORDER BY id DESC LIMIT 1")[0][0])
    assert all(word in facts for word in ("PAP5.0001", '"q1"', "403", "refused"))
    assert ALICE.user not in facts


async def test_promise_10_a_check_that_takes_two_minutes_begins_nothing(desk: Desk) -> None:
    approved, gate = await desk.approved(), asyncio.Event()
    desk.cloud.calls.clear()
    desk.cloud.will("flow", gate)
    call = asyncio.create_task(desk.calling.call(approved))
    await until(lambda: desk.cloud.calls)
    desk.clock.turn(120)
    gate.set()
    await in_order(call)

    assert ((await desk.now(approved.id)).state, desk.cloud.stops()) == (State.EXPIRED, 0)


THROTTLED = CloudFailure(fault=Fault.THROTTLED, http_status=429, message="too many")
NEVER_SENT = CloudFailure(fault=Fault.NEVER_SENT)
LOST = CloudFailure(fault=Fault.UNCERTAIN)
FAILED_TRIES = [THROTTLED, NEVER_SENT, LOST]
DENIED_NOW = (
    POLICY + '[[rules]]\nname = "hands off"\neffect = "deny"\nverbs = ["stop"]\nwho = ["*"]\nflows = ["main-*"]\n'
)
FREEZE = "{ from = 2023-11-14T22:00:00Z, to = 2023-11-15T22:00:00Z, deny = true }"
FROZEN_NOW = POLICY.replace("approvals = 1", f"approvals = 1\nfreeze = [{FREEZE}]")


async def pauses(desk: Desk) -> None:
    """Pause every changing verb."""
    await desk.store.pause(ports.Pause(at=desk.clock.now(), reason="maintenance", by="root"))


async def denies(desk: Desk) -> None:
    """Make a deny rule match."""
    desk.policy = policy_of(DENIED_NOW)


async def freezes(desk: Desk) -> None:
    """Start a freeze."""
    desk.policy = policy_of(FROZEN_NOW)


async def takes_the_rule_away(desk: Desk) -> None:
    """Remove the rule from the policy."""
    desk.policy = policy_of(NOBODY)


async def takes_the_project_away(desk: Desk) -> None:
    """Remove the project from the policy."""
    desk.policy = dataclasses.replace(desk.policy, projects={})


async def deactivates_the_requester(desk: Desk) -> None:
    """Deactivate the requester."""
    desk.directory.kinds["U0ALICE"] = model.Kind.DEACTIVATED


async def deactivates_the_approver(desk: Desk) -> None:
    """Deactivate the approver."""
    desk.directory.kinds["U0CAROL"] = model.Kind.DEACTIVATED


async def asks_for_more(desk: Desk) -> None:
    """Require two approvals."""
    desk.policy = policy_of(TWO)


TAKEN_AWAY = [
    pauses,
    denies,
    freezes,
    takes_the_rule_away,
    deactivates_the_requester,
    deactivates_the_approver,
    asks_for_more,
]
"""What may forbid a retry."""


async def tried(desk: Desk, failure: CloudFailure, approved: Request | None = None) -> Request:
    """Return a request whose first try failed and whose retry is due."""
    desk.cloud.will("stop", failure)
    seen = await called(desk, approved)
    if seen.operation.awaiting is Awaiting.READING:
        await in_order(desk.calling.read(seen))
    seen = await desk.now(seen.id)
    desk.clock.turn(max(0.0, seen.operation.not_before - desk.clock.now()))
    assert schedule.act(seen, desk.clock.now()) is schedule.Act.CALL_AGAIN
    return seen


class TestFurtherTries:
    @pytest.mark.parametrize("failure", FAILED_TRIES)
    @pytest.mark.parametrize("take_away", TAKEN_AWAY)
    async def test_what_is_forbidden_by_then_is_not_tried_again(
        self, desk: Desk, failure: CloudFailure, take_away: Callable[[Desk], Awaitable[None]]
    ) -> None:
        seen = await tried(desk, failure)
        await take_away(desk)

        await in_order(desk.calling.call_again(seen))

        seen = await desk.now(seen.id)
        assert desk.cloud.stops() == 1
        assert seen.operation.progress is Progress.FAILED
        assert how(seen) is (OutcomeKind.UNDONE if failure is LOST else OutcomeKind.REFUSED)
        assert seen.operation.outcome is not None
        assert (seen.operation.outcome.halt, seen.operation.outcome.failure) != (None, None)
        assert not records.holds_flow(seen)

    @pytest.mark.parametrize("failure", FAILED_TRIES)
    async def test_a_project_that_is_gone_is_not_tried_again(self, desk: Desk, failure: CloudFailure) -> None:
        seen = await tried(desk, failure)
        await takes_the_project_away(desk)

        await in_order(desk.calling.call_again(seen))

        assert how(await desk.now(seen.id)) is (OutcomeKind.LOST if failure is LOST else OutcomeKind.REFUSED)
        assert desk.cloud.stops() == 1

    async def test_it_keeps_why_no_further_try_was_made(self, desk: Desk) -> None:
        seen = await tried(desk, THROTTLED)
        await pauses(desk)

        await in_order(desk.calling.call_again(seen))

        outcome = (await desk.now(seen.id)).operation.outcome
        assert outcome == records.Outcome(
            how=OutcomeKind.REFUSED, status="ACTIVE", failure=THROTTLED, halt=Halt(paused="maintenance")
        )
        facts = str(desk.select("SELECT facts FROM audit ORDER BY id DESC LIMIT 1")[0][0])
        assert "maintenance" in facts

    async def test_slack_out_of_reach_puts_it_off_until_it_is_too_late(self, desk: Desk) -> None:
        seen = await tried(desk, THROTTLED)
        desk.directory.away = True

        while schedule.act(seen, desk.clock.now()) is schedule.Act.CALL_AGAIN:
            await in_order(desk.calling.call_again(seen))
            seen = await desk.now(seen.id)
            desk.clock.turn(max(0.0, seen.operation.not_before - desk.clock.now()))

        assert (how(seen), desk.cloud.stops()) == (OutcomeKind.REFUSED, 1)
        assert desk.store.journal[-1] == "too late to call again"

    @pytest.mark.parametrize("failure", FAILED_TRIES)
    async def test_what_is_so_by_then_is_not_tried_again(self, desk: Desk, failure: CloudFailure) -> None:
        seen = await tried(desk, failure)
        desk.cloud.there["flow-1"] = STANDING

        await in_order(desk.calling.call_again(seen))

        assert how(await desk.now(seen.id)) is (OutcomeKind.READ_BACK if failure is LOST else OutcomeKind.ALREADY)
        assert desk.cloud.stops() == 1

    @pytest.mark.parametrize("failure", FAILED_TRIES)
    @pytest.mark.parametrize("fault", sorted(Fault))
    async def test_what_cannot_be_read_is_not_tried_again_meanwhile(
        self, desk: Desk, failure: CloudFailure, fault: Fault
    ) -> None:
        seen = await tried(desk, failure)
        unread = CloudFailure(fault=fault, code="X")
        desk.cloud.will("flow", unread)

        await in_order(desk.calling.call_again(seen))

        seen = await desk.now(seen.id)
        assert desk.cloud.stops() == 1
        if fault in PASSING:
            assert (seen.operation.awaiting, seen.operation.trouble) == (Awaiting.TRY, failure)
            assert seen.operation.not_before == desk.clock.now() + calling.AGAIN
        else:
            assert how(seen) is (OutcomeKind.LOST if failure is LOST else OutcomeKind.REFUSED)

    @pytest.mark.parametrize("failure", FAILED_TRIES)
    async def test_what_was_sent_and_cannot_be_read_stays_unknown_where_a_further_try_is_forbidden(
        self, desk: Desk, failure: CloudFailure
    ) -> None:
        seen = await tried(desk, failure)
        await pauses(desk)
        desk.cloud.will("flow", LOST)

        await in_order(desk.calling.call_again(seen))

        seen = await desk.now(seen.id)
        assert how(seen) is (OutcomeKind.LOST if failure is LOST else OutcomeKind.REFUSED)
        assert desk.cloud.stops() == 1


class TestLastMoment:
    @pytest.mark.parametrize("further", [False, True])
    async def test_a_pause_set_while_the_state_was_being_read_is_kept(self, desk: Desk, further: bool) -> None:
        seen, gate = await desk.approved(), asyncio.Event()
        seen = await tried(desk, THROTTLED, seen) if further else seen
        before = desk.cloud.stops()
        desk.store.before["commit"].append(gate)
        begins = desk.calling.call_again(seen) if further else desk.calling.call(seen)
        call = asyncio.create_task(begins)
        await until(lambda: "call begins" in desk.store.journal[-1:])
        await pauses(desk)
        gate.set()

        with pytest.raises(errors.Conflict):
            await in_order(call)

        assert desk.cloud.stops() == before
        assert await desk.now(seen.id) == seen

    @pytest.mark.parametrize("further", [False, True])
    @pytest.mark.parametrize("take_away", [denies, freezes, takes_the_rule_away, takes_the_project_away, asks_for_more])
    async def test_a_policy_that_changes_while_the_call_is_put_on_record_is_kept(
        self, desk: Desk, take_away: Callable[[Desk], Awaitable[None]], further: bool
    ) -> None:
        seen, gate = await desk.approved(), asyncio.Event()
        seen = await tried(desk, THROTTLED, seen) if further else seen
        before = desk.cloud.stops()
        desk.store.after["commit"].append(gate)
        begins = desk.calling.call_again(seen) if further else desk.calling.call(seen)
        call = asyncio.create_task(begins)
        await until(lambda: "call begins" in desk.store.journal[-1:])
        await take_away(desk)
        gate.set()
        await in_order(call)
        seen = await desk.now(seen.id)
        assert (seen.operation.awaiting, desk.cloud.stops()) == (Awaiting.TRY, before)

        await in_order(desk.calling.call_again(seen))

        assert (how(await desk.now(seen.id)), desk.cloud.stops()) == (OutcomeKind.REFUSED, before)


NEW_NAME = dataclasses.replace(MAIN, name="main-replacement")
BY_NAME = (
    POLICY.partition("[[rules]]")[0]
    + """[[rules]]
name = "scratch alone"
verbs = ["stop"]
who = ["media-oncall"]
flows = ["scratch-*"]

[[rules]]
name = "others with a lead"
verbs = ["stop"]
who = ["media-oncall"]
flows = ["other-*"]
approvals = 1
approvers = ["media-leads"]
emergency = ["media-oncall"]

[[rules]]
name = "hands off"
effect = "deny"
verbs = ["stop"]
who = ["*"]
flows = ["main-*"]
"""
)
SCRATCH = dataclasses.replace(MAIN, name="scratch-1")


class TestRenamed:
    @pytest.fixture
    async def desk(self, desk: Desk) -> Desk:
        """Use rules that match flows by name."""
        desk.policy = policy_of(BY_NAME)
        desk.cloud.there["flow-1"] = SCRATCH
        return desk

    async def test_it_is_decided_on_the_name_just_read(self, desk: Desk) -> None:
        approved = await desk.approved()
        desk.cloud.there["flow-1"] = NEW_NAME

        seen = await called(desk, approved)

        assert (seen.state, seen.ending and seen.ending.rule, desk.cloud.stops()) == (State.DENIED, "hands off", 0)
        assert seen.flow.name == "main-replacement"

    async def test_a_rule_that_asks_for_more_under_the_new_name_is_kept(self, desk: Desk) -> None:
        approved = await desk.approved()
        desk.cloud.there["flow-1"] = dataclasses.replace(MAIN, name="other-1")

        seen = await called(desk, approved)

        assert (seen.state, seen.terms.approvals, seen.flow.name) == (State.PENDING, 1, "other-1")
        await desk.take(desk.click("approve", CAROL, seen.id))
        assert how(await called(desk, await desk.now(seen.id))) is OutcomeKind.DONE

    @pytest.mark.parametrize("failure", FAILED_TRIES)
    async def test_each_further_try_is_decided_on_the_name_just_read(self, desk: Desk, failure: CloudFailure) -> None:
        seen = await tried(desk, failure)
        desk.cloud.there["flow-1"] = NEW_NAME

        await in_order(desk.calling.call_again(seen))

        seen = await desk.now(seen.id)
        assert (seen.operation.progress, desk.cloud.stops()) == (Progress.FAILED, 1)
        assert seen.operation.outcome is not None
        assert seen.operation.outcome.halt == Halt(rule="hands off")

    async def test_an_emergency_is_decided_on_the_name_just_read(self, desk: Desk) -> None:
        desk.cloud.there["flow-1"] = dataclasses.replace(MAIN, name="other-1")
        let_run = await desk.let_run()
        desk.cloud.there["flow-1"] = NEW_NAME

        assert (await called(desk, let_run)).state is State.DENIED
        assert desk.cloud.stops() == 0

    async def test_a_name_that_needs_typing_is_typed_anew(self, desk: Desk) -> None:
        approved = await desk.approved()
        desk.policy = policy_of(BY_NAME.replace('flows = ["scratch-*"]', 'protected = ["prod-*"]', 1))
        desk.cloud.there["flow-1"] = dataclasses.replace(MAIN, name="prod-1")

        seen = await called(desk, approved)

        assert (seen.state, seen.ending and seen.ending.rule) == (State.DENIED, "scratch alone")
        assert desk.cloud.stops() == 0

    async def test_a_new_name_that_forbids_nothing_is_called_and_shown(self, desk: Desk) -> None:
        approved = await desk.approved()
        desk.cloud.there["flow-1"] = dataclasses.replace(MAIN, name="scratch-2")

        seen = await called(desk, approved)

        assert (how(seen), seen.flow.name) == (OutcomeKind.DONE, "scratch-2")


class TestEmergency:
    @pytest.fixture
    async def desk(self, desk: Desk) -> Desk:
        """Let people on call skip the leads."""
        desk.policy = policy_of(EMERGENCY)
        return desk

    async def test_it_is_called_with_nobody_elses_approval(self, desk: Desk) -> None:
        seen = await called(desk, await desk.let_run())

        assert (how(seen), desk.cloud.stops()) == (OutcomeKind.DONE, 1)
        assert [reply.said for reply in seen.unsent[-2:]] == [ReplyKind.OUTCOME, ReplyKind.REVIEW_OPEN]

    @pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NOT_FOUND])
    async def test_what_cannot_be_read_is_called_at_once(self, desk: Desk, fault: Fault) -> None:
        let_run = await desk.let_run()
        desk.cloud.will("flow", CloudFailure(fault=fault, http_status=503, retry_after=9.0))

        assert how(await called(desk, let_run)) is OutcomeKind.DONE

    async def test_a_flow_that_is_not_there_is_not_called(self, desk: Desk) -> None:
        let_run = await desk.let_run()
        desk.cloud.there.clear()

        seen = await called(desk, let_run)

        assert (how(seen), desk.cloud.stops()) == (OutcomeKind.UNREADABLE, 0)
        assert records.is_review_open(seen)

    async def test_a_flow_that_was_guessed_by_an_old_name_is_not_called(self, desk: Desk) -> None:
        let_run = await desk.let_run()
        guessed = dataclasses.replace(let_run, flow=dataclasses.replace(let_run.flow, status="", name="once-called-so"))

        seen = await called(desk, guessed)

        assert (how(seen), desk.cloud.stops()) == (OutcomeKind.UNREADABLE, 0)

    async def test_a_dry_run_calls_nothing_that_cannot_be_read(self, desk: Desk) -> None:
        let_run = await desk.let_run("stop flow-1 --emergency --dry-run because x")
        unread = CloudFailure(fault=Fault.UNCERTAIN)
        desk.cloud.will("flow", unread)

        seen = await called(desk, let_run)

        assert desk.cloud.stops() == 0
        assert seen.operation.outcome == records.Outcome(how=OutcomeKind.REHEARSED, failure=unread)

    @pytest.mark.parametrize("policy_now", [POLICY, EMERGENCY.replace('["media-oncall"]\n', '["media-leads"]\n')])
    async def test_whoever_lost_the_right_since_is_denied_by_policy(self, desk: Desk, policy_now: str) -> None:
        let_run = await desk.let_run()
        desk.policy = policy_of(policy_now)

        seen = await called(desk, let_run)

        assert (seen.state, desk.cloud.stops()) == (State.DENIED, 0)

    async def test_a_pause_denies_it(self, desk: Desk) -> None:
        let_run = await desk.let_run()
        await desk.store.pause(ports.Pause(at=desk.clock.now(), reason="maintenance", by="root"))

        seen = await called(desk, let_run)

        assert (seen.state, seen.ending and seen.ending.reason) == (State.DENIED, "maintenance")

    async def test_while_slack_cannot_be_asked_it_waits(self, desk: Desk) -> None:
        let_run = await desk.let_run()
        desk.directory.away = True

        seen = await called(desk, let_run)

        assert (seen.state, seen.operation.held_ups, desk.cloud.stops()) == (State.APPROVED, 1, 0)

    async def test_the_second_of_two_people_is_asked_about_too(self, desk: Desk) -> None:
        desk.policy = policy_of("emergency_limit = 1\n" + EMERGENCY)
        await called(desk, await desk.let_run())
        desk.cloud.there["flow-1"] = MAIN
        first = await desk.pressed_first()
        await desk.take(desk.click("emergency_confirm", BOB, first.id))
        desk.directory.kinds["U0BOB"] = Kind.DEACTIVATED

        seen = await called(desk, await desk.now(first.id))

        assert (seen.state, desk.cloud.stops()) == (State.DENIED, 1)
