"""Clicks and submitted modals: what they change, and their answers."""

import asyncio
import dataclasses
import pathlib
from collections.abc import AsyncIterator

import pytest

from bot.commands import deliveries
from bot.commands.deliveries import Actor, Modal, Submitted
from bot.lifecycle import records, schedule, transitions
from bot.lifecycle.records import ReplyKind, Request
from bot.lifecycle.states import Progress, State
from bot.policy import model
from bot.policy.model import Why
from bot.usecases import answers, errors, ports
from bot.usecases import clicks as use_cases
from tests.fakes import ALICE, BOB, CAROL, DAVE, ERIN, POLICY, Desk, open_desk, policy_of

TWO = POLICY.replace("approvals = 1", "approvals = 2")
STRICTER = POLICY.replace("approvals = 0", 'approvals = 1\napprovers = ["U0DAVE"]')
NOBODY = POLICY.partition("[[rules]]")[0] + '[[rules]]\nname = "others"\nverbs = ["stop"]\nwho = ["U0ZED"]\n'
PROTECTED = POLICY.replace('verbs     = ["stop"]\n', 'verbs     = ["stop"]\nprotected = ["main-*"]\n')
REASON = POLICY.replace('verbs     = ["stop"]\n', 'verbs     = ["stop"]\nreason = "required"\n')
STRANGER = Actor(team="T9", user="U9STRANGER")


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk."""
    async with open_desk(tmp_path) as opened:
        yield opened


async def press(desk: Desk, button: str, actor: Actor, seen: Request) -> answers.AnyAnswer | None:
    """Press a button and return the answer."""
    return (await desk.take(desk.click(button, actor, seen.id))).answer


async def submit(
    desk: Desk, modal: Modal, actor: Actor, about: str, reason: str | None, *, name: str | None = None
) -> answers.AnyAnswer | None:
    """Submit a modal and return the answer."""
    sent = Submitted(modal=modal, request_id=about, reason=reason, name=name)
    return (await desk.take(desk.entry(sent, actor))).answer


def audited(desk: Desk) -> str:
    """Return the name of the last audit event."""
    return str(desk.select("SELECT what FROM audit ORDER BY id DESC LIMIT 1")[0][0])


async def test_an_approval_counts_by_its_time_of_receipt(desk: Desk) -> None:
    opened = await desk.opened()
    pressed = desk.click("approve", CAROL, opened.id)
    desk.clock.turn(opened.expires_at - desk.clock.now() + 100)

    await desk.take(pressed)

    seen = await desk.now(opened.id)
    assert (seen.state, seen.decided_at) == (State.APPROVED, pressed.received_at)


@pytest.mark.parametrize("modal", [Modal.DENY_REASON, Modal.REVIEW])
@pytest.mark.parametrize("is_over", [False, True])
async def test_a_modal_of_a_stranger_is_refused_and_tells_nothing(desk: Desk, modal: Modal, is_over: bool) -> None:
    opened = await desk.opened()
    if is_over:
        desk.clock.turn(1800)

    answer = await submit(desk, modal, STRANGER, opened.id, "no")

    assert isinstance(answer, answers.Refused)
    assert answer.decision.why is Why.OUTSIDER
    assert await desk.now(opened.id) == opened


async def test_a_denial_submitted_after_the_end_expires_the_request(desk: Desk) -> None:
    opened = await desk.opened()
    desk.clock.turn(1800)

    answer = await submit(desk, Modal.DENY_REASON, CAROL, opened.id, "no")

    assert isinstance(answer, answers.Settled)
    assert answer.state is State.EXPIRED
    assert (await desk.now(opened.id)).state is State.EXPIRED


async def test_a_click_received_after_the_end_expires_the_request(desk: Desk) -> None:
    opened = await desk.opened()
    desk.clock.turn(1800)

    answer = await press(desk, "approve", CAROL, opened)

    assert isinstance(answer, answers.Settled)
    assert answer.state is State.EXPIRED
    assert (await desk.now(opened.id)).votes == ()


@pytest.mark.parametrize("button", ["confirm", "approve", "deny", "withdraw", "add_reason", "type_name"])
async def test_a_click_on_a_request_that_is_nowhere_is_answered(desk: Desk, button: str) -> None:
    taken = await desk.take(desk.click(button, CAROL, "no such"))

    assert taken.answer == answers.NoSuchRequest()


@pytest.mark.parametrize(("button", "actor"), [("confirm", ALICE), ("add_reason", ALICE), ("type_name", ALICE)])
async def test_a_button_that_the_card_does_not_have_changes_nothing(desk: Desk, button: str, actor: Actor) -> None:
    opened = await desk.opened()

    assert await press(desk, button, actor, opened) is not None
    assert await desk.now(opened.id) == opened


@pytest.mark.parametrize("button", ["approve", "deny"])
async def test_a_card_for_a_confirmation_has_neither_approve_nor_deny(desk: Desk, button: str) -> None:
    opened = await desk.opened(actor=CAROL)

    assert isinstance(await press(desk, button, DAVE, opened), answers.Settled)
    assert await desk.now(opened.id) == opened


@pytest.mark.parametrize(
    ("button", "actor", "why"),
    [
        ("approve", ALICE, Why.OWN_REQUEST),
        ("approve", BOB, Why.NOT_APPROVER),
        ("deny", ALICE, Why.OWN_REQUEST),
        ("deny", BOB, Why.NOT_APPROVER),
        ("withdraw", BOB, Why.NOT_REQUESTER),
        ("approve", STRANGER, Why.OUTSIDER),
        ("deny", STRANGER, Why.OUTSIDER),
        ("withdraw", STRANGER, Why.OUTSIDER),
    ],
)
async def test_a_refused_click_changes_nothing_and_is_audited(desk: Desk, button: str, actor: Actor, why: Why) -> None:
    opened = await desk.opened()

    refused = await press(desk, button, actor, opened)

    assert isinstance(refused, answers.Refused)
    assert refused.decision.why is why
    assert await desk.now(opened.id) == opened
    assert audited(desk) == "refused"


async def test_a_confirmation_is_refused_to_whoever_may_not_do_the_same_alone(desk: Desk) -> None:
    opened = await desk.opened(actor=CAROL)

    refused = await press(desk, "confirm", BOB, opened)

    assert isinstance(refused, answers.Refused)
    assert refused.decision.why is Why.NOT_REQUESTER


@pytest.mark.parametrize("button", ["approve", "deny", "withdraw"])
async def test_no_click_counts_while_slack_cannot_be_asked(desk: Desk, button: str) -> None:
    opened = await desk.opened()
    desk.directory.away = True

    refused = await press(desk, button, ALICE if button == "withdraw" else CAROL, opened)

    assert isinstance(refused, answers.Refused)
    assert refused.decision.why is Why.UNREACHABLE
    assert await desk.now(opened.id) == opened


async def test_a_requester_who_cannot_be_asked_about_ends_nothing(desk: Desk) -> None:
    opened = await desk.opened()
    desk.directory.kinds["U0ALICE"] = model.Kind.UNREACHABLE

    refused = await press(desk, "approve", CAROL, opened)

    assert isinstance(refused, answers.Refused)
    assert refused.decision.why is Why.UNREACHABLE
    assert (await desk.now(opened.id)).state is State.PENDING


@pytest.mark.parametrize("button", ["approve", "deny"])
async def test_a_policy_that_refuses_the_requester_by_now_ends_the_request(desk: Desk, button: str) -> None:
    opened = await desk.opened()
    desk.policy = policy_of(NOBODY)

    settled = await press(desk, button, CAROL, opened)

    assert isinstance(settled, answers.Settled)
    seen = await desk.now(opened.id)
    assert seen.state is State.DENIED
    assert seen.ending is not None
    assert seen.ending.actor is None
    assert seen.operation.progress is Progress.CANCELLED


async def test_a_stricter_policy_asks_for_approvals_instead_of_taking_the_confirmation(desk: Desk) -> None:
    opened = await desk.opened(actor=CAROL)
    desk.policy = policy_of(STRICTER)

    refused = await press(desk, "confirm", CAROL, opened)

    seen = await desk.now(opened.id)
    assert isinstance(refused, answers.Refused)
    assert (seen.state, seen.votes, seen.terms.approvals) == (State.PENDING, (), 1)
    assert seen.unsent[-1].said is ReplyKind.ASKED


async def test_a_stricter_policy_raises_the_number_at_the_click(desk: Desk) -> None:
    opened = await desk.opened()
    desk.policy = policy_of(TWO)

    await press(desk, "approve", CAROL, opened)

    seen = await desk.now(opened.id)
    assert (seen.state, seen.terms.approvals, len(seen.votes)) == (State.PENDING, 2, 1)


async def test_the_same_person_counts_once(desk: Desk) -> None:
    desk.policy = policy_of(TWO)
    opened = await desk.opened()
    await press(desk, "approve", CAROL, opened)

    refused = await press(desk, "approve", CAROL, opened)

    assert isinstance(refused, answers.Refused)
    assert refused.decision.why is Why.ALREADY_VOTED
    assert len((await desk.now(opened.id)).votes) == 1


async def test_of_many_clicks_at_once_exactly_one_decides(desk: Desk) -> None:
    opened = await desk.opened()
    clicks = [desk.click("approve", actor, opened.id) for actor in (CAROL, DAVE) * 6]

    taken = await asyncio.gather(*(desk.take(click) for click in clicks))

    seen = await desk.now(opened.id)
    assert (seen.state, len(seen.votes), seen.version) == (State.APPROVED, 1, 2)
    late = [one.answer for one in taken if one.answer is not None]
    assert len(late) == 11
    assert all(isinstance(one, answers.Settled) and one.by == seen.votes[0].actor.user for one in late)


async def test_approvals_and_a_denial_at_once_leave_one_end(desk: Desk) -> None:
    desk.policy = policy_of(TWO)
    opened = await desk.opened()

    await asyncio.gather(*(press(desk, "deny", actor, opened) for actor in (CAROL, DAVE)))

    seen = await desk.now(opened.id)
    assert (seen.state, seen.version) == (State.DENIED, 2)


async def test_who_has_approved_may_still_deny(desk: Desk) -> None:
    desk.policy = policy_of(TWO)
    opened = await desk.opened()
    await press(desk, "approve", CAROL, opened)

    asked = await press(desk, "deny", CAROL, opened)

    assert isinstance(asked, answers.DenyReasonAsked)
    assert (await desk.now(opened.id)).state is State.DENIED


async def test_a_reason_for_a_denial_that_counts_already_is_added(desk: Desk) -> None:
    opened = await desk.opened()
    await press(desk, "deny", CAROL, opened)

    assert await submit(desk, Modal.DENY_REASON, CAROL, opened.id, "main audience") is None

    seen = await desk.now(opened.id)
    assert seen.ending is not None
    assert seen.ending.reason == "main audience"
    assert seen.unsent[-1].said is ReplyKind.DENY_REASON


async def test_an_empty_reason_changes_nothing(desk: Desk) -> None:
    opened = await desk.opened()
    await press(desk, "deny", CAROL, opened)
    before = await desk.now(opened.id)

    assert isinstance(await submit(desk, Modal.DENY_REASON, CAROL, opened.id, None), answers.Noted)
    assert await desk.now(opened.id) == before


async def test_a_second_reason_is_too_late(desk: Desk) -> None:
    opened = await desk.opened()
    await press(desk, "deny", CAROL, opened)
    await submit(desk, Modal.DENY_REASON, CAROL, opened.id, "first")

    assert isinstance(await submit(desk, Modal.DENY_REASON, CAROL, opened.id, "second"), answers.Settled)


async def test_a_denial_submitted_with_its_reason_is_one_step(desk: Desk) -> None:
    opened = await desk.opened()

    assert await submit(desk, Modal.DENY_REASON, CAROL, opened.id, "no") is None

    seen = await desk.now(opened.id)
    assert seen.ending is not None
    assert (seen.state, seen.ending.reason, seen.version) == (State.DENIED, "no", 2)


@pytest.mark.parametrize("modal", list(Modal))
async def test_a_modal_about_nothing_is_answered(desk: Desk, modal: Modal) -> None:
    assert await submit(desk, modal, CAROL, "no such", "why") == answers.NoSuchRequest()


async def test_a_reason_that_was_missing_completes_the_command(desk: Desk) -> None:
    desk.policy = policy_of(REASON)
    first = desk.typed("stop main-feed --dry-run")
    await desk.take(first)

    assert await submit(desk, Modal.ADD_REASON, ALICE, first.key, "it loops") is None

    seen = await desk.now(first.key)
    assert (seen.reason, seen.dry_run, seen.requester) == ("it loops", True, ALICE)


async def test_a_missing_reason_given_twice_opens_one_request(desk: Desk) -> None:
    desk.policy = policy_of(REASON)
    first = desk.typed("stop main-feed")
    await desk.take(first)
    await submit(desk, Modal.ADD_REASON, ALICE, first.key, "it loops")

    assert isinstance(await submit(desk, Modal.ADD_REASON, ALICE, first.key, "again"), answers.Joined)


async def test_a_name_that_was_missing_completes_the_command(desk: Desk) -> None:
    desk.policy = policy_of(PROTECTED)
    first = desk.typed("stop flow-1 --dry-run because it loops")
    await desk.take(first)

    assert await submit(desk, Modal.TYPE_NAME, ALICE, first.key, None, name="main-feed") is None

    seen = await desk.now(first.key)
    assert (seen.reason, seen.dry_run, seen.requester) == ("it loops", True, ALICE)


async def test_after_a_wrong_name_the_reason_that_came_with_it_still_counts(desk: Desk) -> None:
    desk.policy = policy_of(PROTECTED.replace("protected", 'reason = "required"\nprotected'))
    first = desk.typed("stop main-feed")
    await desk.take(first)

    wrong = await submit(desk, Modal.TYPE_NAME, ALICE, first.key, "it loops", name="main")
    assert isinstance(wrong, answers.NameMissing)
    assert (wrong.typed, wrong.reason_too) == ("main", False)
    worse = await submit(desk, Modal.TYPE_NAME, ALICE, wrong.entry, None, name="feed")
    assert isinstance(worse, answers.NameMissing)
    assert await submit(desk, Modal.TYPE_NAME, ALICE, worse.entry, None, name="main-feed") is None

    assert (await desk.now(first.key)).reason == "it loops"


async def test_nobody_completes_the_command_of_another_with_a_name(desk: Desk) -> None:
    desk.policy = policy_of(PROTECTED)
    first = desk.typed("stop main-feed")
    await desk.take(first)
    wrong = await submit(desk, Modal.TYPE_NAME, ALICE, first.key, None, name="main")
    assert isinstance(wrong, answers.NameMissing)

    for about in (first.key, wrong.entry):
        assert await submit(desk, Modal.TYPE_NAME, BOB, about, None, name="main-feed") == answers.NoSuchRequest()


async def test_a_name_that_is_not_needed_any_more_does_no_harm(desk: Desk) -> None:
    desk.policy = policy_of(PROTECTED)
    first = desk.typed("stop main-feed")
    await desk.take(first)
    desk.policy = policy_of(REASON)

    missing = await submit(desk, Modal.TYPE_NAME, ALICE, first.key, None, name="anything")

    assert isinstance(missing, answers.ReasonMissing)
    assert await submit(desk, Modal.ADD_REASON, ALICE, missing.entry, "it loops") is None


async def test_a_name_typed_once_more_leads_to_the_card_or_tells_what_became_of_it(desk: Desk) -> None:
    desk.policy = policy_of(PROTECTED)
    first = desk.typed("stop main-feed")
    await desk.take(first)
    await submit(desk, Modal.TYPE_NAME, ALICE, first.key, None, name="main-feed")

    assert isinstance(await submit(desk, Modal.TYPE_NAME, ALICE, first.key, None, name="main"), answers.Joined)
    await desk.take(desk.click("withdraw", ALICE, first.key))
    settled = await submit(desk, Modal.TYPE_NAME, ALICE, first.key, None, name="main-feed")

    assert isinstance(settled, answers.Settled)
    assert settled.button is deliveries.Button.TYPE_NAME


@pytest.mark.parametrize(
    ("text", "modal", "name"), [(PROTECTED, Modal.TYPE_NAME, "main-feed"), (REASON, Modal.ADD_REASON, None)]
)
async def test_what_is_missing_after_asking_again_can_be_completed(
    desk: Desk, text: str, modal: Modal, name: str | None
) -> None:
    opened = await desk.opened()
    desk.clock.turn(1800)
    await desk.take(desk.click("approve", CAROL, opened.id))
    desk.policy = policy_of(text)

    missing = await press(desk, "ask_again", BOB, opened)

    assert isinstance(missing, answers.NameMissing | answers.ReasonMissing)
    assert await submit(desk, modal, ALICE, missing.entry, "it loops", name=name) == answers.NoSuchRequest()
    assert await submit(desk, modal, BOB, missing.entry, "it loops", name=name) is None
    again = await desk.now(missing.entry)
    assert (again.requester, again.reason, again.flow.flow_id) == (BOB, "it loops", "flow-1")


async def test_nobody_completes_the_command_of_another(desk: Desk) -> None:
    desk.policy = policy_of(REASON)
    first = desk.typed("stop main-feed")
    await desk.take(first)

    assert await submit(desk, Modal.ADD_REASON, BOB, first.key, "it loops") == answers.NoSuchRequest()


@pytest.mark.parametrize("text", ["status main-feed", "nonsense"])
async def test_a_reason_completes_commands_only(desk: Desk, text: str) -> None:
    first = desk.typed(text)
    await desk.take(first)

    assert await submit(desk, Modal.ADD_REASON, ALICE, first.key, "why") == answers.NoSuchRequest()


async def test_a_click_is_no_command_to_be_completed(desk: Desk) -> None:
    click = desk.click("approve", ALICE, "r")
    await desk.take(click)

    assert await submit(desk, Modal.ADD_REASON, ALICE, click.key, "why") == answers.NoSuchRequest()


async def test_the_requester_withdraws_until_the_call(desk: Desk) -> None:
    approved = await desk.approved()

    assert await press(desk, "withdraw", ALICE, approved) is None
    assert (await desk.now(approved.id)).state is State.WITHDRAWN


async def test_nobody_withdraws_what_runs(desk: Desk) -> None:
    approved = await desk.approved()
    running = transitions.begin(approved, at=desk.clock.now())
    await desk.store.commit(ports.Change(request=running, audit=()))

    settled = await press(desk, "withdraw", ALICE, approved)

    assert isinstance(settled, answers.Settled)
    assert settled.progress is Progress.RUNNING
    assert settled.by == "U0CAROL"


async def test_a_decision_that_changes_underneath_is_taken_again(desk: Desk) -> None:
    opened = await desk.opened()
    desk.store.before["commit"].append(errors.Conflict("moved"))

    await press(desk, "approve", CAROL, opened)

    assert (await desk.now(opened.id)).state is State.APPROVED


async def unknown(desk: Desk) -> Request:
    """Return a request with an unknown outcome, which is polled again in five minutes."""
    approved = await desk.approved()
    now = desk.clock.now()
    await desk.calling.save(transitions.begin(approved, at=now), "call begins")
    lost = transitions.finish(
        await desk.now(approved.id), records.Outcome(how=records.OutcomeKind.LOST), at=now, look_again_at=now + 300
    )
    await desk.calling.save(lost, "call ended")
    return await desk.now(approved.id)


@pytest.mark.parametrize("actor", [ALICE, BOB, CAROL, ERIN])
async def test_any_full_member_may_check_an_unknown_outcome_at_once(desk: Desk, actor: Actor) -> None:
    seen = await unknown(desk)

    taken = await desk.take(desk.click("check_now", actor, seen.id))

    assert taken.answer is None
    now = await desk.now(seen.id)
    assert (schedule.act(now, desk.clock.now()), now.version) == (schedule.Act.READ, seen.version + 1)
    assert desk.select("SELECT actor_user FROM audit WHERE what = 'asked to check now'") == [(actor.user,)]


@pytest.mark.parametrize("kind", [model.Kind.GUEST, model.Kind.STRANGER, model.Kind.BOT, model.Kind.DEACTIVATED])
@pytest.mark.parametrize("button", ["check_now", "ask_again"])
async def test_promise_7_no_outsider_has_anything_read_or_asked_again(
    desk: Desk, button: str, kind: model.Kind
) -> None:
    seen = await unknown(desk)
    desk.directory.kinds["U0ERIN"] = kind

    taken = await desk.take(desk.click(button, ERIN, seen.id))

    assert isinstance(taken.answer, answers.Refused)
    assert await desk.now(seen.id) == seen
    assert desk.select("SELECT count(*) FROM requests") == [(1,)]


async def test_what_is_known_is_not_read_again_and_the_click_is_answered(desk: Desk) -> None:
    seen = await desk.approved()

    taken = await desk.take(desk.click("check_now", BOB, seen.id))

    assert isinstance(taken.answer, answers.Settled)
    assert await desk.now(seen.id) == seen


async def came_to_nothing(desk: Desk, how: str) -> Request:
    """Return a request that expired or failed."""
    seen = await desk.opened("stop flow-1 because it loops")
    now = desk.clock.now()
    if how == "expired":
        await desk.calling.save(use_cases.expired(seen, at=now), "expired")
    else:
        await desk.take(desk.click("approve", CAROL, seen.id))
        outcome = records.Outcome(how=records.OutcomeKind.REFUSED)
        await desk.calling.save(transitions.settle_without_call(await desk.now(seen.id), outcome, at=now), "failed")
    return await desk.now(seen.id)


@pytest.mark.parametrize("how", ["expired", "failed"])
async def test_asking_again_is_in_the_name_of_the_person_who_presses(desk: Desk, how: str) -> None:
    seen = await came_to_nothing(desk, how)

    taken = await desk.take(desk.click("ask_again", BOB, seen.id))

    again = await desk.now(str(taken.request_id))
    assert (again.requester, again.state, again.votes) == (BOB, State.PENDING, ())
    assert (again.verb, again.flow.flow_id, again.reason) == (seen.verb, "flow-1", "it loops")
    assert await desk.now(seen.id) == seen


async def test_promise_1_whoever_asks_again_does_not_approve_it(desk: Desk) -> None:
    seen = await came_to_nothing(desk, "expired")
    taken = await desk.take(desk.click("ask_again", BOB, seen.id))

    refused = await desk.take(desk.click("approve", BOB, str(taken.request_id)))

    assert isinstance(refused.answer, answers.Refused)
    assert (await desk.now(str(taken.request_id))).votes == ()


async def test_asking_again_twice_opens_one_request(desk: Desk) -> None:
    seen = await came_to_nothing(desk, "expired")
    first = await desk.take(desk.click("ask_again", ALICE, seen.id))

    second = await desk.take(desk.click("ask_again", BOB, seen.id))

    assert first.request_id is not None
    assert isinstance(second.answer, answers.Joined)


@pytest.mark.parametrize("end", ["deny", "withdraw", "approve"])
async def test_a_request_that_a_person_ended_or_that_goes_on_cannot_be_asked_again(desk: Desk, end: str) -> None:
    seen = await desk.opened()
    await desk.take(desk.click(end, ALICE if end == "withdraw" else CAROL, seen.id))

    taken = await desk.take(desk.click("ask_again", BOB, seen.id))

    assert isinstance(taken.answer, answers.Settled)
    assert desk.select("SELECT count(*) FROM requests") == [(1,)]


async def test_asking_again_stays_in_the_thread(desk: Desk) -> None:
    typed = deliveries.Typed(text="stop flow-1", channel="C0INCIDENT", thread_ts="7.root", ts="8.typed")
    taken = await desk.take(desk.entry(typed))
    seen = await desk.now(str(taken.request_id))
    await desk.calling.save(use_cases.expired(seen, at=desk.clock.now()), "expired")

    again = await desk.take(desk.click("ask_again", ALICE, seen.id))

    assert (await desk.now(str(again.request_id))).card.thread == seen.card.thread == "7.root"


@pytest.mark.parametrize(("on", "is_copy"), [("1.card", False), ("9.copy", True)])
async def test_a_click_on_a_copy_of_the_card_is_known_as_one(desk: Desk, on: str, is_copy: bool) -> None:
    seen = await desk.opened()
    await desk.store.told(transitions.shown(seen, dataclasses.replace(seen.card, ts="1.card", shown=1)))

    taken = await desk.take(desk.click("deny", CAROL, seen.id, on=on))

    assert (taken.copy is not None) is is_copy
    assert (await desk.now(seen.id)).state is State.DENIED
