"""The worker: nothing is lost, nothing is done twice, and it polls exactly when something is due."""

import asyncio
import functools
import pathlib
import random
from collections.abc import AsyncIterator

import pytest

from bot.commands.deliveries import Entry
from bot.lifecycle import schedule, transitions
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.lifecycle.records import Awaiting, Flow, OutcomeKind
from bot.lifecycle.states import Progress, State
from bot.usecases import answers, errors, ports
from bot.usecases.errors import ChatRefused, ChatUnavailable
from bot.worker import entries, requests
from tests.fakes import (
    ALICE,
    BOB,
    BURNS,
    CAROL,
    DAVE,
    EMERGENCY,
    MAIN,
    POLICY,
    STANDING,
    Desk,
    FakeClock,
    in_order,
    open_desk,
    policy_of,
    until,
)

TWO = POLICY.replace("approvals = 1", "approvals = 2")


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk."""
    async with open_desk(tmp_path) as opened:
        yield opened


@pytest.fixture
async def looking(desk: Desk) -> AsyncIterator[None]:
    """Run the worker."""
    task = asyncio.create_task(desk.worker.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def arrives(desk: Desk, entry: Entry) -> None:
    """Record an entry and pass it on, like the inbox."""
    await desk.store.record([entry])
    desk.worker.wake_entry(entry)


def quiet(desk: Desk) -> bool:
    """Return whether nothing is due or leased, in one query: a done entry may have made a request due."""
    return not desk.select(
        "SELECT 1 FROM requests WHERE lease_owner IS NOT NULL OR due_at <= ?"
        " UNION ALL SELECT 1 FROM inbox WHERE state <> 'done'",
        desk.clock.now(),
    )


async def rests(desk: Desk) -> None:
    """Wait until nothing is due or leased."""
    await until(lambda: quiet(desk))


async def asleep(desk: Desk) -> None:
    """Wait until a task waits for the clock."""
    await until(lambda: desk.clock._sleepers)


async def looked(desk: Desk) -> None:
    """Let the worker poll once more."""
    before = desk.store.journal.count("claim_entries")
    await asleep(desk)
    desk.clock.turn(requests.POLL_INTERVAL)
    await until(lambda: desk.store.journal.count("claim_entries") > before)


async def card(desk: Desk, text: str = "stop flow-1") -> str:
    """Open a request, wait for its card, and return its id."""
    entry = desk.typed(text)
    await arrives(desk, entry)
    await rests(desk)
    return entry.key


async def test_a_request_goes_from_the_command_to_the_outcome(desk: Desk) -> None:
    request_id = await card(desk)
    await arrives(desk, desk.click("approve", CAROL, request_id))
    await rests(desk)

    assert (await desk.now(request_id)).operation.progress is Progress.SUCCEEDED
    assert desk.chat.said() == ["asked", "voted", "outcome"]


async def rush(desk: Desk) -> list[Entry]:
    """Record more commands of two people than can run concurrently."""
    sent = [desk.typed(f"stop nothing-{n}", BOB if n % 2 else ALICE) for n in range(2 * entries.AT_ONCE)]
    await desk.store.record(sent)
    for entry in sent:
        desk.worker.wake_entry(entry)
    return sent


async def test_a_rush_of_commands_is_worked_off(desk: Desk) -> None:
    sent = await rush(desk)
    await rests(desk)

    assert len(desk.chat.answered) == len(sent)


async def test_a_click_does_not_wait_for_the_commands_in_line(desk: Desk) -> None:
    request_id, gates = await card(desk), [asyncio.Event() for _ in range(entries.AT_ONCE)]
    desk.store.before["commit"] += gates
    await rush(desk)
    await until(lambda: not desk.store.before["commit"])  # every seat is held
    await arrives(desk, desk.click("approve", CAROL, request_id))
    await until(desk.cloud.stops)

    assert desk.chat.answered == []
    for gate in gates:
        gate.set()
    await rests(desk)


async def test_what_one_command_meets_keeps_none_behind_it_waiting(desk: Desk) -> None:
    desk.store.before["commit"] += [RuntimeError("unforeseen")] * entries.AT_ONCE
    sent = await rush(desk)
    await rests(desk)

    kinds = [answer.kind for answer in desk.chat.answered]
    assert len(kinds) == len(sent)
    assert set(kinds) == {"unexpected", "no_such_flow"}


async def test_the_call_begins_before_slack_hears_of_the_approval(desk: Desk) -> None:
    request_id = await card(desk)
    heard, gate = list(desk.chat.journal), asyncio.Event()
    desk.cloud.will("stop", gate)
    await arrives(desk, desk.click("approve", CAROL, request_id))
    await until(desk.cloud.stops)
    assert desk.chat.journal == heard

    await until(lambda: desk.chat.journal != heard)  # beside a call that takes its time
    assert desk.chat.cards["1.card"].operation.progress is Progress.RUNNING
    gate.set()
    await rests(desk)
    assert desk.cloud.stops() == 1


async def test_a_click_during_a_call_is_answered_during_it(desk: Desk) -> None:
    request_id, gate = await card(desk), asyncio.Event()
    desk.cloud.will("stop", gate)
    await arrives(desk, desk.click("approve", CAROL, request_id))
    await until(desk.cloud.stops)

    await arrives(desk, desk.click("deny", DAVE, request_id))
    await until(lambda: desk.chat.answered)

    assert isinstance(desk.chat.answered[0], answers.Settled)
    gate.set()
    await rests(desk)
    assert desk.cloud.stops() == 1


async def test_many_clicks_racing_with_release_are_all_carried_out(desk: Desk) -> None:
    chance = random.Random(7)
    for round_ in range(25):
        desk.cloud.there["flow-1"] = MAIN
        desk.policy = policy_of(TWO)
        entry = desk.typed("stop flow-1")
        await arrives(desk, entry)
        await until(functools.partial(desk.select, "SELECT 1 FROM requests WHERE id = ?", entry.key))
        clicks = [desk.click("approve", actor, entry.key) for actor in (CAROL, DAVE) * 4]
        for click in clicks:
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            await arrives(desk, click)
        await rests(desk)

        seen = await desk.now(entry.key)
        assert seen.operation.progress is Progress.SUCCEEDED, round_
        assert (len(seen.votes), seen.card.shown, seen.unsent) == (2, seen.version, ())
        assert desk.cloud.stops() == round_ + 1
    assert desk.chat.said() == ["asked", "voted", "voted", "outcome"] * 25


async def test_a_nudge_at_the_moment_of_release_is_not_lost(desk: Desk) -> None:
    entry, gate = desk.typed("stop flow-1"), asyncio.Event()
    desk.store.before["release"].append(gate)
    await arrives(desk, entry)
    await until(lambda: "release" in desk.store.journal)
    await arrives(desk, desk.click("approve", CAROL, entry.key))
    await until(lambda: "approved" in desk.store.journal)
    gate.set()

    await rests(desk)
    assert (await desk.now(entry.key)).operation.progress is Progress.SUCCEEDED


async def test_a_request_is_acted_on_once_at_a_time(desk: Desk) -> None:
    request_id, gate = await card(desk), asyncio.Event()
    desk.cloud.will("stop", gate)
    await arrives(desk, desk.click("approve", CAROL, request_id))
    await until(lambda: desk.cloud.stops() and "edit_card" in desk.chat.journal)
    for _ in range(20):
        desk.worker.wake(request_id)
        await asyncio.sleep(0.001)
    assert (await desk.now(request_id)).operation.progress is Progress.RUNNING
    gate.set()
    await rests(desk)

    assert desk.cloud.stops() == 1
    assert desk.store.journal.count("call begins") == desk.store.journal.count("call ended") == 1


@pytest.mark.usefixtures("looking")
async def test_a_lease_that_lapses_during_a_call_calls_nobody_twice(desk: Desk) -> None:
    request_id, gate = await card(desk), asyncio.Event()
    desk.cloud.will("stop", gate)
    await arrives(desk, desk.click("approve", CAROL, request_id))
    await until(desk.cloud.stops)
    for _ in range(8):
        desk.clock.turn(10)
        await asyncio.sleep(0.01)
    gate.set()
    await until(lambda: "call ended" in desk.store.journal)
    await rests(desk)

    assert desk.cloud.stops() == 1


@pytest.mark.usefixtures("looking")
@pytest.mark.parametrize("found", [STANDING, CloudFailure(fault=Fault.UNCERTAIN)])
async def test_promise_5_what_a_crash_cut_in_the_call_is_read_back_and_not_called_again(
    desk: Desk, found: Flow | CloudFailure
) -> None:
    approved = await desk.approved()
    desk.cloud.will("flow", found)
    await desk.store.commit(ports.Change(request=transitions.begin(approved, at=desk.clock.now()), audit=()))
    desk.clock.turn(31)
    await rests(desk)

    seen = await desk.now(approved.id)
    assert seen.operation.outcome is not None
    assert seen.operation.outcome.how is (OutcomeKind.READ_BACK if found is STANDING else OutcomeKind.LOST)
    assert desk.chat.said() == ["asked", "voted", "outcome"]
    assert desk.cloud.stops() == 0


@pytest.mark.usefixtures("looking")
async def test_what_nobody_was_woken_for_is_found(desk: Desk) -> None:
    entry = desk.typed("stop flow-1")
    await desk.store.record([entry])
    desk.clock.turn(31)
    await rests(desk)

    assert desk.chat.cards["1.card"].id == entry.key


@pytest.mark.usefixtures("looking")
async def test_an_entry_that_met_no_database_is_taken_up_when_it_is_back(desk: Desk) -> None:
    entry = desk.typed("stop flow-1")
    await desk.store.record([entry])
    desk.store.away = True
    desk.worker.wake_entry(entry)
    await until(lambda: entry.key in desk.worker._entries.stranded)
    desk.store.away = False
    await looked(desk)
    await rests(desk)

    assert desk.chat.said() == ["asked"]


@pytest.mark.usefixtures("looking")
@pytest.mark.parametrize("where", ["claim", "load", "release", "told"])
async def test_a_request_that_met_no_database_goes_on_when_it_is_back(desk: Desk, where: str) -> None:
    desk.store.before[where].append(errors.StoreError("away"))
    entry = desk.typed("stop flow-1")
    await arrives(desk, entry)
    for _ in range(40):
        if not quiet(desk):
            await asyncio.sleep(0.02)
            desk.clock.turn(requests.POLL_INTERVAL)
    await rests(desk)

    assert desk.chat.said() == ["asked"]
    assert (await desk.now(entry.key)).state is State.PENDING


@pytest.mark.usefixtures("looking")
async def test_looking_goes_on_after_the_database_was_away(desk: Desk) -> None:
    await asleep(desk)
    desk.store.away = True
    await looked(desk)
    desk.store.away = False
    request_id = await card(desk)
    desk.clock.turn(1800)

    await until(lambda: desk.chat.cards["1.card"].state is State.EXPIRED)
    await rests(desk)
    assert (await desk.now(request_id)).state is State.EXPIRED


@pytest.mark.usefixtures("looking")
async def test_looking_goes_on_after_a_surprise(desk: Desk) -> None:
    await asleep(desk)
    desk.store.before["claim_entries"].append(ValueError("a row that nobody can read"))
    await looked(desk)
    await asleep(desk)
    entry = desk.typed("stop flow-1")
    await desk.store.record([entry])
    desk.clock.turn(31)

    await rests(desk)


@pytest.mark.usefixtures("looking")
async def test_reminder_and_expiry_come_at_their_time_and_not_before(desk: Desk) -> None:
    await card(desk)
    for seconds, said in ((299.9, ["asked"]), (0.1, ["asked", "reminded"])):
        desk.clock.turn(seconds)
        await asyncio.sleep(0.03)
        await rests(desk)
        assert desk.chat.said() == said
    desk.clock.turn(1499.9)
    await asyncio.sleep(0.03)
    assert "expired" not in desk.chat.said()
    desk.clock.turn(0.1)
    await until(lambda: desk.chat.said()[-1] == "expired")


@pytest.mark.usefixtures("looking")
async def test_an_approval_that_nothing_came_of_in_two_minutes_lapses(desk: Desk) -> None:
    request_id = await card(desk)
    desk.cloud.will("flow", *[CloudFailure(fault=Fault.UNCERTAIN)] * 40)
    await arrives(desk, desk.click("approve", CAROL, request_id))
    await rests(desk)
    for _ in range(24):
        await asleep(desk)
        desk.clock.turn(5)
        await rests(desk)

    assert (await desk.now(request_id)).state is State.EXPIRED
    assert desk.cloud.stops() == 0
    assert desk.chat.said()[-1] == "expired"


async def test_what_stood_still_before_a_call_claims_again_and_reads_before_it_calls(desk: Desk) -> None:
    request_id = await card(desk)
    task = asyncio.create_task(desk.worker.run())
    desk.store.stops_after.append("call begins")
    await arrives(desk, desk.click("approve", CAROL, request_id))
    await until(lambda: "call interrupted" in desk.store.journal)
    await rests(desk)
    assert desk.cloud.stops() == 0
    desk.clock.turn(2)
    await rests(desk)

    assert (await desk.now(request_id)).operation.progress is Progress.SUCCEEDED
    assert [method for method, _ in desk.cloud.calls[-2:]] == ["flow", "stop"]
    assert desk.cloud.stops() == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.usefixtures("looking")
async def test_what_is_settled_for_over_a_year_is_taken_away(desk: Desk) -> None:
    request_id = await card(desk)
    await arrives(desk, desk.click("deny", CAROL, request_id))
    await rests(desk)

    desk.clock.turn(requests.KEEP_FOR)
    await looked(desk)
    assert desk.select("SELECT count(*) FROM requests") == [(1,)]

    desk.clock.turn(requests.CLEAN_EVERY)
    await until(lambda: not desk.select("SELECT 1 FROM requests"))


async def test_run_sleeps_exactly_until_something_is_due(tmp_path: pathlib.Path) -> None:
    slept: list[float] = []

    class Watched(FakeClock):
        async def sleep(self, seconds: float) -> None:
            slept.append(round(seconds, 3))
            await super().sleep(seconds)

    async with open_desk(tmp_path, Watched()) as desk:
        task = asyncio.create_task(desk.worker.run())
        await until(lambda: slept)
        assert slept == [requests.POLL_INTERVAL]
        desk.chat.troubles["post_card"].append(ChatUnavailable("ratelimited", retry_after=0.5))
        await arrives(desk, desk.typed("stop flow-1"))
        await until(lambda: len(slept) > 1)
        assert slept[-1] == 0.5
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.usefixtures("looking")
async def test_an_answer_that_slack_did_not_take_is_told_when_it_is_due(desk: Desk) -> None:
    desk.chat.troubles["answer"].append(ChatUnavailable("429", retry_after=3))
    await arrives(desk, desk.click("approve", CAROL, "no such"))
    await until(lambda: desk.select("SELECT 1 FROM inbox WHERE due_at > ?", desk.clock.now()))
    desk.clock.turn(3)

    await until(lambda: desk.chat.answered == [answers.NoSuchRequest()])


@pytest.mark.parametrize("failure", [None, ChatUnavailable("500"), ChatRefused("user_not_found")])
async def test_whoever_clicked_hears_that_rights_take_long(desk: Desk, failure: Exception | None) -> None:
    opened = await desk.opened()
    desk.directory.gate = asyncio.Event()
    if failure is not None:
        desk.chat.troubles["answer"].append(failure)
    await arrives(desk, desk.click("approve", ALICE, opened.id))
    await until(lambda: any(user == "U0ALICE" for user, age in desk.directory.asked if age == 5.0))
    desk.clock.turn(entries.RIGHTS_SLOW)
    await until(lambda: "answer" in desk.chat.journal)
    desk.directory.gate.set()
    await rests(desk)

    kinds = [answer.kind for answer in desk.chat.answered]
    assert kinds == (["checking", "refused"] if failure is None else ["refused"])


async def test_a_surprise_in_one_request_leaves_the_others_alone(desk: Desk) -> None:
    desk.cloud.will("flow", RuntimeError("nobody foresaw this"))
    await arrives(desk, desk.typed("stop flow-1"))
    await until(lambda: desk.cloud.calls)
    await arrives(desk, desk.typed("stop flow-1 --dry-run"))

    await until(lambda: desk.chat.said() == ["asked"])


async def test_a_surprise_while_calling_is_read_back_and_called_again_where_it_is_not_done(desk: Desk) -> None:
    request_id = await card(desk)
    task = asyncio.create_task(desk.worker.run())
    desk.cloud.will("stop", RuntimeError("nobody foresaw this"))
    await arrives(desk, desk.click("approve", CAROL, request_id))
    await until(lambda: desk.cloud.stops() and not desk.worker._in_progress)
    desk.clock.turn(31)
    await rests(desk)
    assert (await desk.now(request_id)).operation.awaiting is Awaiting.TRY
    assert [method for method, _ in desk.cloud.calls[-2:]] == ["stop", "flow"]
    desk.clock.turn(2)
    await rests(desk)

    assert (await desk.now(request_id)).operation.progress is Progress.SUCCEEDED
    assert desk.cloud.stops() == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_copy_of_a_card_that_is_clicked_becomes_a_link_and_the_click_counts(desk: Desk) -> None:
    request_id = await card(desk)
    await arrives(desk, desk.click("deny", CAROL, request_id, on="9.copy"))
    await rests(desk)

    ((channel, ts, link),) = desk.chat.retired
    assert (channel, ts, link.request_id, link.ts) == ("C0INCIDENT", "9.copy", request_id, "1.card")
    assert (await desk.now(request_id)).state is State.DENIED


async def test_a_copy_that_slack_does_not_change_still_counts(desk: Desk) -> None:
    request_id = await card(desk)
    desk.chat.troubles["retire_copy"].append(ChatRefused("message_not_found"))
    await arrives(desk, desk.click("deny", CAROL, request_id, on="9.copy"))
    await rests(desk)

    assert (await desk.now(request_id)).state is State.DENIED


async def test_settle_returns_once_nothing_is_left_to_do_at_this_time(desk: Desk) -> None:
    await desk.store.record([desk.typed("stop flow-1"), *(desk.typed("stop flow-1 --dry-run") for _ in range(20))])
    desk.clock.turn(31)

    await in_order(desk.worker.settle())

    assert quiet(desk)
    assert len(desk.chat.cards) == 21


async def test_settle_waits_for_what_a_look_beside_it_has_claimed(desk: Desk) -> None:
    request_id = await card(desk)
    claimed = asyncio.Event()
    desk.store.after["claim_due"].append(claimed)
    desk.clock.turn(1_801.0)
    running = asyncio.create_task(desk.worker.run())
    await until(lambda: "claim_due" in desk.store.journal)
    settling = asyncio.create_task(desk.worker.settle())
    for _ in range(20):  # as long as a look of its own would take
        await desk.store.next_due_at()

    claimed.set()
    await in_order(settling)

    assert (await desk.now(request_id)).state is State.EXPIRED
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_request_that_is_nowhere_is_let_go(desk: Desk) -> None:
    desk.worker.wake("no such")
    await in_order(desk.worker.drain())


@pytest.mark.usefixtures("looking")
async def test_a_click_received_in_time_counts_although_it_is_looked_at_after_the_end(desk: Desk) -> None:
    request_id = await card(desk)
    desk.clock.turn(1799)
    await rests(desk)
    desk.directory.gate = asyncio.Event()
    await arrives(desk, desk.click("approve", CAROL, request_id))
    await until(lambda: any(age == 5.0 for _, age in desk.directory.asked))
    desk.clock.turn(2)
    desk.worker.wake(request_id)
    await until(lambda: request_id in desk.worker._in_progress)
    desk.directory.gate.set()
    await rests(desk)

    assert (await desk.now(request_id)).operation.progress is Progress.SUCCEEDED


@pytest.mark.usefixtures("looking")
async def test_a_database_that_goes_away_beside_a_call_loses_neither_call_nor_telling(desk: Desk) -> None:
    request_id, gate = await card(desk), asyncio.Event()
    desk.cloud.will("stop", gate)
    await arrives(desk, desk.click("approve", CAROL, request_id))
    await until(desk.cloud.stops)
    desk.store.before["told"].append(errors.StoreError("away"))
    await until(lambda: "edit_card" in desk.chat.journal and not desk.store.before["told"])
    gate.set()
    await until(lambda: "call ended" in desk.store.journal)
    await looked(desk)
    await rests(desk)

    assert (await desk.now(request_id)).operation.progress is Progress.SUCCEEDED
    assert desk.chat.said()[-1] == "outcome"


async def test_what_was_not_begun_when_draining_is_let_go_for_the_other_replicas(desk: Desk) -> None:
    request_id = await card(desk)
    await in_order(desk.worker.drain())
    clicked = desk.click("approve", CAROL, request_id)
    await arrives(desk, clicked)
    await in_order(desk.worker.drain())
    taken = await desk.take(desk.click("approve", DAVE, request_id))
    desk.worker.wake(taken.request_id or "")

    await desk.worker.let_go()

    assert desk.select("SELECT key FROM inbox WHERE state = 'received' AND lease_owner IS NULL") == [(clicked.key,)]
    assert desk.select("SELECT state FROM requests WHERE lease_owner IS NULL AND due_at <= ?", desk.clock.now())
    assert desk.cloud.stops() == 0


async def test_commands_in_line_are_let_go_when_draining(desk: Desk) -> None:
    gates = [asyncio.Event() for _ in range(entries.AT_ONCE)]
    desk.store.before["commit"] += gates
    await rush(desk)
    await until(lambda: not desk.store.before["commit"])  # every seat is held
    draining = asyncio.create_task(desk.worker.drain())
    await asyncio.sleep(0)

    await desk.worker.let_go()

    free = desk.select("SELECT count(*) FROM inbox WHERE state = 'received' AND lease_owner IS NULL")
    for gate in gates:
        gate.set()
    await in_order(draining)
    assert free == [(entries.AT_ONCE,)]


async def test_letting_go_without_a_database_leaves_it_to_the_leases(desk: Desk) -> None:
    desk.store.before["let_go"].append(errors.StoreError("away"))
    await desk.worker.let_go()


async def test_what_is_in_flight_at_the_end_keeps_its_lease(desk: Desk) -> None:
    request_id, gate = await card(desk), asyncio.Event()
    desk.cloud.will("stop", gate)
    await arrives(desk, desk.click("approve", CAROL, request_id))
    await until(desk.cloud.stops)

    await desk.worker.let_go()

    assert desk.select("SELECT id FROM requests WHERE lease_owner IS NOT NULL") == [(request_id,)]
    gate.set()
    await rests(desk)


@pytest.mark.usefixtures("looking")
async def test_a_decision_that_was_saved_though_the_reply_was_lost_is_taken_once_and_told(desk: Desk) -> None:
    request_id = await card(desk)
    desk.store.after["commit"].append(errors.Unconfirmed("the reply was lost"))
    await arrives(desk, desk.click("approve", ALICE, request_id))
    await until(lambda: desk.worker._entries.stranded)
    await looked(desk)
    await rests(desk)

    assert [answer.kind for answer in desk.chat.answered] == ["refused"]
    assert desk.select("SELECT count(*) FROM audit WHERE what = 'refused'") == [(1,)]


@pytest.mark.usefixtures("looking")
async def test_an_answer_that_was_told_and_not_noted_is_not_decided_again(desk: Desk) -> None:
    request_id = await card(desk)
    desk.chat.troubles["answer"].append(ChatUnavailable("500"))
    desk.store.before["postpone_entry"].append(errors.StoreError("away"))
    await arrives(desk, desk.click("approve", ALICE, request_id))
    await until(lambda: desk.worker._entries.stranded)
    await looked(desk)
    await rests(desk)

    assert desk.select("SELECT count(*) FROM audit WHERE what = 'refused'") == [(1,)]
    assert [answer.kind for answer in desk.chat.answered] == ["refused"]


class TestEmergency:
    @pytest.fixture
    async def waiting(self, desk: Desk) -> AsyncIterator[tuple[str, asyncio.Event]]:
        """Return a confirmed emergency whose announcement hangs in Slack, and the event that releases it."""
        desk.policy = policy_of(EMERGENCY)
        entry, gate = desk.typed(BURNS), asyncio.Event()
        desk.chat.troubles["reply"].append(gate)
        try:
            await arrives(desk, entry)
            await until(lambda: desk.chat.journal == ["post_card", "reply"])
            await arrives(desk, desk.click("emergency_first", ALICE, entry.key))
            await until(lambda: "pressed first" in desk.store.journal and not desk.clock._sleepers)
            desk.clock.turn(3)
            await arrives(desk, desk.click("emergency_confirm", ALICE, entry.key))
            latest = desk.clock.now() + schedule.ANNOUNCE_WITHIN
            await until(lambda: any(sleeper.until == latest for sleeper in desk.clock._sleepers))
            assert desk.cloud.stops() == 0
            yield entry.key, gate
        finally:
            gate.set()

    async def test_its_call_goes_as_soon_as_it_is_announced(
        self, desk: Desk, waiting: tuple[str, asyncio.Event]
    ) -> None:
        request_id, gate = waiting
        edit = asyncio.Event()
        desk.chat.troubles["edit_card"].append(edit)
        gate.set()
        try:
            await until(desk.cloud.stops)  # while Slack still holds back the card's newest state
            assert desk.chat.said() == ["emergency"]
        finally:
            edit.set()
        await rests(desk)

        seen = await desk.now(request_id)
        assert seen.operation.begun_at == desk.clock.now()
        assert desk.cloud.stops() == 1
        assert desk.chat.said() == ["emergency", "pressed_first", "confirmed", "outcome", "review_open"]

    async def test_its_call_waits_for_ten_seconds_at_most(self, desk: Desk, waiting: tuple[str, asyncio.Event]) -> None:
        request_id, gate = waiting
        desk.clock.turn(10)
        await until(desk.cloud.stops)

        assert desk.chat.said() == []
        gate.set()
        await rests(desk)
        assert (await desk.now(request_id)).operation.progress is Progress.SUCCEEDED

    async def test_what_gives_way_to_it_is_told_at_once(self, desk: Desk) -> None:
        desk.policy = policy_of(EMERGENCY)
        pending = desk.typed("stop flow-1", BOB)
        await arrives(desk, pending)
        await rests(desk)

        await arrives(desk, desk.typed(BURNS))
        await rests(desk)

        assert sorted(desk.chat.said()) == ["asked", "emergency", "superseded"]  # of two requests, neither is first
        assert desk.chat.cards["1.card"].state is State.SUPERSEDED


async def test_what_is_due_by_our_clock_alone_is_not_looked_for_without_end(tmp_path: pathlib.Path) -> None:
    ahead = FakeClock()
    async with open_desk(tmp_path) as desk:
        opened = await desk.opened()
        await desk.store.release(opened, due_at=desk.clock.now() + 60.0)
        ahead.turn(600.0)
        desk.worker._clock = ahead
        running = asyncio.create_task(desk.worker.run())
        await until(lambda: ahead._sleepers)
        looks = desk.store.journal.count("claim_entries")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert looks == 1


async def test_what_could_not_be_recorded_of_errors_is_kept_in_mind_for_the_latest_only(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "UNRECORDED", 2)
    for name in ("first", "second", "third"):
        desk.store.before["load"].append(RuntimeError("nobody foresaw this"))
        await desk.worker._after_unexpected(name, RuntimeError("nor this"))

    assert list(desk.worker._unrecorded) == ["second", "third"]
