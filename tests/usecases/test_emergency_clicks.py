"""Clicks on emergencies: two presses instead of approvals, a denial between them, and the review afterwards."""

import asyncio
import dataclasses
import math
import pathlib
from collections.abc import AsyncIterator, Callable

import pytest

from bot.commands.deliveries import Actor, Modal, Submitted, Verdict
from bot.lifecycle import records, transitions
from bot.lifecycle.records import ReplyKind, Request
from bot.lifecycle.states import Progress, State
from bot.policy import break_glass, model
from bot.policy.model import Why
from bot.usecases import answers, ports
from tests.fakes import ALICE, BOB, BURNS, CAROL, DAVE, EMERGENCY, ERIN, POLICY, Desk, open_desk, policy_of

LIMIT = "emergency_limit = 1\n"
ALONE = POLICY.replace("approvals = 0", 'emergency = ["media-leads"]')
DENIED = EMERGENCY + '\n[[rules]]\nname = "frozen"\neffect = "deny"\nverbs = ["stop"]\nwho = ["*"]\n'


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk whose policy lets people on call skip the leads."""
    async with open_desk(tmp_path) as opened:
        opened.policy = policy_of(EMERGENCY)
        yield opened


async def press(desk: Desk, button: str, actor: Actor, seen: Request) -> answers.AnyAnswer | None:
    """Press a button and return the answer."""
    return (await desk.take(desk.click(button, actor, seen.id))).answer


async def carry_out(desk: Desk, seen: Request) -> Request:
    """Let the worker do what is due on a request now."""
    desk.worker.wake(seen.id)
    await desk.worker.settle()
    return await desk.now(seen.id)


async def review(
    desk: Desk, actor: Actor, seen: Request, comment: str | None = None, verdict: Verdict | None = Verdict.JUSTIFIED
) -> answers.AnyAnswer | None:
    """Submit the modal of a review and return the answer."""
    sent = Submitted(modal=Modal.REVIEW, request_id=seen.id, reason=comment, verdict=verdict)
    return (await desk.take(desk.entry(sent, actor))).answer


def refused(answer: answers.AnyAnswer | None, why: Why, *who_could: str) -> bool:
    """Return whether the answer is a refusal for this reason, naming these people."""
    assert isinstance(answer, answers.Refused), answer
    return (answer.decision.why, answer.decision.who_could) == (why, who_could)


def audited(desk: Desk, seen: Request) -> list[str]:
    """Return the audit events of a request; all must be marked as an emergency."""
    rows = desk.select("SELECT what, facts FROM audit WHERE request_id = ? ORDER BY id", seen.id)
    assert all(
        '"emergency":true' in facts.replace(" ", "") for what, facts in rows if what not in ("refused", "answered")
    )
    return [what for what, _ in rows]


async def test_an_emergency_goes_from_two_presses_to_its_review(desk: Desk) -> None:
    opened = await desk.opened(BURNS)
    await carry_out(desk, opened)
    assert desk.chat.said() == ["emergency"]

    await press(desk, "emergency_first", ALICE, opened)
    desk.clock.turn(3)
    await press(desk, "emergency_confirm", ALICE, opened)
    await carry_out(desk, opened)
    assert desk.cloud.stops() == 1
    assert desk.chat.said() == ["emergency", "pressed_first", "confirmed", "outcome", "review_open"]

    asked = await press(desk, "review", CAROL, opened)
    assert asked == answers.ReviewAsked(request_id=opened.id, verb=opened.verb, flow="main-feed")
    await review(desk, CAROL, opened, "it was burning")

    seen = await desk.now(opened.id)
    assert seen.operation.progress is Progress.SUCCEEDED
    assert seen.emergency is not None
    assert seen.emergency.review == records.Review(
        actor=CAROL, at=desk.clock.now(), verdict=Verdict.JUSTIFIED, comment="it was burning"
    )
    whole = ["asked", "pressed first", "confirmed", "call begins", "call ended", "answered", "reviewed"]
    assert audited(desk, opened) == whole


class TestFirstPress:
    async def test_it_waits_for_another_by_the_same_person(self, desk: Desk) -> None:
        seen = await desk.pressed_first()

        assert (seen.state, seen.version, seen.votes) == (State.PENDING, 2, ())
        assert seen.emergency is not None
        assert seen.emergency.first_at == desk.clock.now() - 3

    @pytest.mark.parametrize("actor", [BOB, CAROL])
    async def test_it_is_the_requesters_alone(self, desk: Desk, actor: Actor) -> None:
        opened = await desk.opened(BURNS)

        assert refused(await press(desk, "emergency_first", actor, opened), Why.NOT_REQUESTER, "U0ALICE")
        assert await desk.now(opened.id) == opened

    async def test_pressed_once_more_it_changes_nothing_and_says_what_is_next(self, desk: Desk) -> None:
        first = await desk.pressed_first()

        answer = await press(desk, "emergency_first", ALICE, first)

        assert isinstance(answer, answers.Settled)
        assert (answer.state, answer.button.value) == (State.PENDING, "emergency_first")
        assert await desk.now(first.id) == first

    async def test_whose_right_is_gone_ends_it(self, desk: Desk) -> None:
        opened = await desk.opened(BURNS)
        desk.policy = policy_of(POLICY)

        answer = await press(desk, "emergency_first", ALICE, opened)

        assert isinstance(answer, answers.Settled)
        seen = await desk.now(opened.id)
        assert (seen.state, seen.ending and seen.ending.actor) == (State.DENIED, None)

    async def test_while_slack_cannot_say_who_they_are_nothing_is_lost(self, desk: Desk) -> None:
        opened = await desk.opened("stop flow-1 --emergency because it burns", ERIN)
        desk.directory.groups = {}

        answer = await press(desk, "emergency_first", ERIN, opened)

        assert refused(answer, Why.UNREACHABLE, "media-oncall")
        assert await desk.now(opened.id) == opened


class TestSecondPress:
    async def test_it_lets_the_request_run_with_both_presses_as_its_votes(self, desk: Desk) -> None:
        seen = await desk.let_run()

        now = desk.clock.now()
        assert (seen.state, seen.decided_at) == (State.APPROVED, now)
        assert seen.votes == (records.Vote(actor=ALICE, at=now - 3), records.Vote(actor=ALICE, at=now))

    async def test_without_the_first_it_does_not_count(self, desk: Desk) -> None:
        opened = await desk.opened(BURNS)

        assert await press(desk, "emergency_confirm", ALICE, opened) == answers.TooSoon(flow="main-feed", wait=None)
        assert await desk.now(opened.id) == opened

    async def test_within_three_seconds_it_does_not_count(self, desk: Desk) -> None:
        opened = await desk.opened(BURNS)
        await press(desk, "emergency_first", ALICE, opened)
        first = await desk.now(opened.id)
        desk.clock.turn(2.5)

        assert await press(desk, "emergency_confirm", ALICE, opened) == answers.TooSoon(flow="main-feed", wait=0.5)
        assert await desk.now(opened.id) == first

    async def test_it_counts_by_its_time_of_receipt(self, desk: Desk) -> None:
        opened = await desk.opened(BURNS)
        await press(desk, "emergency_first", ALICE, opened)
        desk.clock.turn(1)
        pressed = desk.click("emergency_confirm", ALICE, opened.id)
        desk.clock.turn(5)

        assert (await desk.take(pressed)).answer == answers.TooSoon(flow="main-feed", wait=2.0)

    @pytest.mark.parametrize("actor", [BOB, CAROL])
    async def test_nobody_else_is_told_to_press_again(self, desk: Desk, actor: Actor) -> None:
        opened = await desk.opened(BURNS)
        await press(desk, "emergency_first", ALICE, opened)
        first = await desk.now(opened.id)

        assert refused(await press(desk, "emergency_confirm", actor, opened), Why.NOT_REQUESTER, "U0ALICE")
        assert await desk.now(opened.id) == first

    @pytest.mark.parametrize("actor", [BOB, CAROL])
    async def test_under_the_limit_it_is_the_requesters_too(self, desk: Desk, actor: Actor) -> None:
        first = await desk.pressed_first()

        assert refused(await press(desk, "emergency_confirm", actor, first), Why.NOT_REQUESTER, "U0ALICE")
        assert await desk.now(first.id) == first

    async def test_a_second_click_finds_it_confirmed(self, desk: Desk) -> None:
        seen = await desk.let_run()

        for button in ("emergency_first", "emergency_confirm", "deny", "confirm", "approve"):
            answer = await press(desk, button, ALICE, seen)
            assert isinstance(answer, answers.Settled)
            assert (answer.state, answer.by) == (State.APPROVED, "U0ALICE")
        assert await desk.now(seen.id) == seen

    @pytest.mark.parametrize("button", ["emergency_first", "emergency_confirm"])
    async def test_a_deny_that_holds_by_now_ends_it(self, desk: Desk, button: str) -> None:
        first = await desk.pressed_first()
        desk.policy = policy_of(DENIED)

        assert isinstance(await press(desk, button, ALICE, first), answers.Settled)
        seen = await desk.now(first.id)
        assert (seen.state, seen.ending and seen.ending.rule) == (State.DENIED, "frozen")

    @pytest.mark.parametrize("button", ["emergency_first", "emergency_confirm"])
    async def test_a_pause_wins(self, desk: Desk, button: str) -> None:
        first = await desk.pressed_first()
        await desk.store.pause(ports.Pause(at=desk.clock.now(), reason="maintenance", by="root"))

        assert refused(await press(desk, button, ALICE, first), Why.PAUSED)
        assert await desk.now(first.id) == first


class TestOtherButtons:
    @pytest.mark.parametrize("button", ["confirm", "approve"])
    @pytest.mark.parametrize("actor", [ALICE, CAROL])
    async def test_the_buttons_of_ordinary_requests_do_not_fit(self, desk: Desk, button: str, actor: Actor) -> None:
        opened = await desk.opened(BURNS)

        assert isinstance(await press(desk, button, actor, opened), answers.Settled)
        assert await desk.now(opened.id) == opened

    @pytest.mark.parametrize("button", ["emergency_first", "emergency_confirm", "review"])
    async def test_its_own_buttons_fit_no_ordinary_request(self, desk: Desk, button: str) -> None:
        opened = await desk.opened("stop flow-1")

        assert isinstance(await press(desk, button, ALICE, opened), answers.Settled)
        assert await desk.now(opened.id) == opened

    async def test_its_requester_may_take_it_back(self, desk: Desk) -> None:
        first = await desk.pressed_first()

        await press(desk, "withdraw", ALICE, first)

        assert (await desk.now(first.id)).state is State.WITHDRAWN

    async def test_it_expires_without_a_reminder(self, desk: Desk) -> None:
        first = await desk.pressed_first()
        await carry_out(desk, first)
        desk.clock.turn(first.expires_at - desk.clock.now())

        seen = await carry_out(desk, first)

        assert seen.state is State.EXPIRED
        assert desk.chat.said() == ["emergency", "pressed_first", "expired"]

    async def test_to_ask_again_is_to_ask_for_an_emergency(self, desk: Desk) -> None:
        first = await desk.pressed_first()
        desk.clock.turn(first.expires_at - desk.clock.now())
        await carry_out(desk, first)

        taken = await desk.take(desk.click("ask_again", BOB, first.id))

        assert taken.request_id is not None
        again = await desk.now(taken.request_id)
        assert again.emergency is not None
        assert (again.requester, again.reason) == (BOB, "it burns")


class TestDenial:
    @pytest.mark.parametrize("actor", [CAROL, DAVE])
    async def test_whoever_was_passed_over_may_deny_in_between(self, desk: Desk, actor: Actor) -> None:
        first = await desk.pressed_first()

        answer = await press(desk, "deny", actor, first)

        assert answer == answers.DenyReasonAsked(request_id=first.id, flow="main-feed")
        seen = await desk.now(first.id)
        assert (seen.state, seen.ending and seen.ending.actor) == (State.DENIED, actor)
        assert isinstance(await press(desk, "emergency_confirm", ALICE, first), answers.Settled)
        assert desk.cloud.stops() == 0

    async def test_the_reason_may_follow(self, desk: Desk) -> None:
        opened = await desk.opened(BURNS)
        await press(desk, "deny", CAROL, opened)

        sent = Submitted(modal=Modal.DENY_REASON, request_id=opened.id, reason="it is only the lamp")
        await desk.take(desk.entry(sent, CAROL))

        seen = await desk.now(opened.id)
        assert seen.ending is not None
        assert seen.ending.reason == "it is only the lamp"

    async def test_others_may_not_and_its_requester_neither(self, desk: Desk) -> None:
        opened = await desk.opened(BURNS)

        assert refused(await press(desk, "deny", BOB, opened), Why.NOT_APPROVER, "media-leads")
        assert refused(await press(desk, "deny", ALICE, opened), Why.OWN_REQUEST, "media-leads")
        assert await desk.now(opened.id) == opened

    async def test_where_nobody_is_passed_over_the_other_members_may(self, desk: Desk) -> None:
        desk.policy = policy_of(ALONE)
        opened = await desk.opened(BURNS, CAROL)

        assert refused(await press(desk, "deny", CAROL, opened), Why.OWN_REQUEST, "media-leads")
        await press(desk, "deny", DAVE, opened)
        assert (await desk.now(opened.id)).state is State.DENIED


class TestLimit:
    @pytest.fixture
    async def used(self, desk: Desk) -> Request:
        """Return an emergency with which Alice reached her limit, and another of hers, pressed once."""
        desk.policy = policy_of(LIMIT + EMERGENCY)
        await carry_out(desk, await desk.let_run())
        desk.cloud.there["flow-1"] = dataclasses.replace(desk.cloud.there["flow-1"], status="ACTIVE")
        return await desk.pressed_first()

    async def test_over_it_the_card_and_the_first_press_say_so(self, desk: Desk, used: Request) -> None:
        await press(desk, "withdraw", ALICE, used)
        opened = await desk.opened(BURNS)
        assert opened.emergency is not None
        assert opened.emergency.needs_second

        answer = await press(desk, "emergency_first", ALICE, opened)

        assert isinstance(answer, answers.SecondNeeded)
        assert (answer.used, answer.limit, answer.who_could) == (1, 1, ("media-oncall",))
        seen = await desk.now(opened.id)
        assert seen.emergency is not None
        assert (seen.emergency.needs_second, seen.version) == (True, opened.version + 1)

    async def test_under_it_neither_says_so(self, desk: Desk, used: Request) -> None:
        await press(desk, "withdraw", ALICE, used)
        opened = await desk.opened(BURNS, BOB)

        assert await press(desk, "emergency_first", BOB, opened) is None
        assert opened.emergency is not None
        assert not opened.emergency.needs_second

    async def test_the_first_press_counts_once_more(self, desk: Desk, used: Request) -> None:
        await press(desk, "withdraw", ALICE, used)
        over = await desk.opened(BURNS)
        desk.policy = policy_of(EMERGENCY)

        assert await press(desk, "emergency_first", ALICE, over) is None
        seen = await desk.now(over.id)
        assert seen.emergency is not None
        assert not seen.emergency.needs_second

    async def test_over_it_the_second_press_is_another_members(self, desk: Desk) -> None:
        desk.policy = policy_of(LIMIT + EMERGENCY)
        used = await self.reached_meanwhile(desk)
        answer = await press(desk, "emergency_confirm", ALICE, used)

        assert answer == answers.SecondNeeded(
            flow="main-feed",
            used=1,
            limit=1,
            who_could=("media-oncall",),
            people=("U0BOB", "S0MEDIAGRP"),
        )
        seen = await desk.now(used.id)
        assert (seen.state, seen.version) == (State.PENDING, used.version + 1)
        assert seen.emergency is not None
        assert seen.emergency.needs_second

        assert await press(desk, "emergency_confirm", ALICE, used) == answer
        assert await desk.now(used.id) == seen

        await press(desk, "emergency_confirm", BOB, used)
        confirmed = await desk.now(used.id)
        assert confirmed.state is State.APPROVED
        assert [vote.actor for vote in confirmed.votes] == [ALICE, BOB]

    async def reached_meanwhile(self, desk: Desk) -> Request:
        """Return an emergency of Alice, pressed once before she reached her limit with another."""
        other = dataclasses.replace(desk.cloud.there["flow-1"], flow_id="flow-2", name="backup-feed")
        desk.cloud.there["flow-2"] = other
        used = await desk.pressed_first()
        await carry_out(desk, await desk.let_run("stop flow-2 --emergency because it burns"))
        return used

    async def test_of_second_presses_at_one_instant_no_more_than_the_limit_count(self, desk: Desk) -> None:
        desk.policy = policy_of(LIMIT + EMERGENCY)
        flows = [f"flow-{number}" for number in range(1, 5)]
        for flow in flows:
            desk.cloud.there[flow] = dataclasses.replace(desk.cloud.there["flow-1"], flow_id=flow, name=f"feed-{flow}")
        pressed = [await desk.pressed_first(f"stop {flow} --emergency because it burns") for flow in flows]

        told = await asyncio.gather(*(press(desk, "emergency_confirm", ALICE, seen) for seen in pressed))

        assert sorted(type(answer).__name__ for answer in told) == ["NoneType", *["SecondNeeded"] * 3]
        assert [(await desk.now(seen.id)).state for seen in pressed].count(State.APPROVED) == 1

    async def test_whoever_presses_second_is_one_of_the_members(self, desk: Desk, used: Request) -> None:
        assert refused(await press(desk, "emergency_confirm", CAROL, used), Why.NO_EMERGENCY, "media-oncall")
        assert await desk.now(used.id) == used

    async def test_a_second_may_press_before_anybody_was_told(self, desk: Desk) -> None:
        desk.policy = policy_of(LIMIT + EMERGENCY)
        used = await self.reached_meanwhile(desk)
        await press(desk, "emergency_confirm", BOB, used)

        assert (await desk.now(used.id)).state is State.APPROVED

    async def test_whoever_was_asked_for_may_press_after_the_limit_too(self, desk: Desk, used: Request) -> None:
        await press(desk, "emergency_confirm", ALICE, used)
        desk.policy = policy_of(EMERGENCY)

        await press(desk, "emergency_confirm", BOB, used)

        assert (await desk.now(used.id)).state is State.APPROVED

    async def test_it_counts_one_person_and_one_day(self, desk: Desk, used: Request) -> None:
        await press(desk, "withdraw", ALICE, used)
        bobs = await desk.let_run(actor=BOB)
        assert bobs.state is State.APPROVED
        await carry_out(desk, bobs)
        desk.cloud.there["flow-1"] = dataclasses.replace(desk.cloud.there["flow-1"], status="ACTIVE")

        desk.clock.turn(break_glass.DAY)
        assert (await desk.let_run()).state is State.APPROVED

    async def test_whoever_pressed_second_does_not_review(self, desk: Desk) -> None:
        desk.policy = policy_of(LIMIT + ALONE.replace('["media-leads"]\n', '["media-leads", "media-oncall"]\n'))
        await carry_out(desk, await desk.let_run(actor=CAROL))
        desk.cloud.there["flow-1"] = dataclasses.replace(desk.cloud.there["flow-1"], status="ACTIVE")
        first = await desk.pressed_first(actor=CAROL)
        await press(desk, "emergency_confirm", DAVE, first)
        await carry_out(desk, first)

        could = ("media-leads", "media-oncall")
        assert refused(await press(desk, "review", DAVE, first), Why.ALREADY_VOTED, *could)
        assert isinstance(await press(desk, "review", BOB, first), answers.ReviewAsked)


class TestReview:
    async def test_it_is_asked_for_daily_until_it_is_done(self, desk: Desk) -> None:
        seen = await carry_out(desk, await desk.let_run())
        asked = desk.chat.said().count("review_open")

        for day in (1, 2):
            desk.clock.turn(86_399)
            await carry_out(desk, seen)
            assert desk.chat.said().count("review_open") == asked + day - 1
            desk.clock.turn(1)
            await carry_out(desk, seen)
            assert desk.chat.said().count("review_open") == asked + day

        await review(desk, CAROL, seen)
        desk.clock.turn(90_000)
        done = await carry_out(desk, seen)
        assert desk.chat.said().count("review_open") == asked + 2
        assert desk.select("SELECT due_at FROM requests") == [(None,)]
        assert done.unsent == ()

    async def test_after_a_week_nobody_is_reminded_any_more_and_the_audit_says_so(self, desk: Desk) -> None:
        seen = await carry_out(desk, await desk.let_run())
        asked = desk.chat.said().count("review_open")

        for _ in range(9):
            desk.clock.turn(86_400)
            await carry_out(desk, seen)

        assert desk.chat.said().count("review_open") == asked + 7
        assert audited(desk, seen)[-2:] == ["reminded of a review", "reminded of a review for the last time"]
        assert await desk.store.unsettled(limit=9) == [await desk.now(seen.id)]
        await review(desk, CAROL, seen)
        await carry_out(desk, seen)
        assert desk.select("SELECT due_at FROM requests") == [(None,)]
        assert not records.is_review_open(await desk.now(seen.id))

    @pytest.mark.parametrize("pressed_by", [CAROL, ERIN])
    async def test_where_nobody_else_is_in_its_rule_whoever_may_approve_in_the_project_reviews_it(
        self, desk: Desk, pressed_by: Actor
    ) -> None:
        """Carol is both an approver and an emergency member of the rule; so is Erin, as the only member of a group."""
        own = {CAROL: '["U0CAROL"]', ERIN: '["S0MEDIAGRP"]'}[pressed_by]
        rule = f'[[rules]]\nname = "own"\nverbs = ["stop"]\nwho = {own}\napprovers = {own}\nemergency = {own}\n'
        desk.policy = policy_of(f"{POLICY}{rule}approvals = 1\n")
        seen = await carry_out(desk, await desk.let_run(actor=pressed_by))
        assert seen.emergency is not None
        assert seen.emergency.judges is not None
        assert "media-leads" in seen.emergency.judges

        assert refused(await press(desk, "review", BOB, seen), Why.NOT_APPROVER, *seen.emergency.judges)
        await review(desk, DAVE, seen)

        assert not records.is_review_open(await desk.now(seen.id))

    async def test_a_reminder_asks_those_who_may_review_by_then(self, desk: Desk) -> None:
        seen = await carry_out(desk, await desk.let_run())
        desk.policy = policy_of(EMERGENCY.replace('approvers = ["media-leads"]', 'approvers = ["U0ERIN"]'))
        desk.clock.turn(86_400)

        asked = await carry_out(desk, seen)

        assert (asked.emergency and asked.emergency.judges, asked.terms.mentions) == (("U0ERIN",), ("U0ERIN",))

    async def test_a_second_review_hears_of_the_first(self, desk: Desk) -> None:
        seen = await carry_out(desk, await desk.let_run())
        await review(desk, CAROL, seen)
        at = desk.clock.now()
        desk.clock.turn(5)

        for answer in (await press(desk, "review", DAVE, seen), await review(desk, DAVE, seen, "no")):
            assert isinstance(answer, answers.Settled)
            assert (answer.button.value, answer.by, answer.at) == ("review", "U0CAROL", at)

    async def test_rights_are_decided_again_when_it_is_submitted(self, desk: Desk) -> None:
        seen = await carry_out(desk, await desk.let_run())

        assert refused(await review(desk, ALICE, seen), Why.OWN_REQUEST, "media-leads")
        assert refused(await review(desk, BOB, seen), Why.NOT_APPROVER, "media-leads")
        desk.directory.kinds["U0CAROL"] = model.Kind.DEACTIVATED
        assert refused(await review(desk, CAROL, seen), Why.OUTSIDER)
        assert records.is_review_open(await desk.now(seen.id))

    async def test_before_anything_was_done_there_is_nothing_to_review(self, desk: Desk) -> None:
        for seen in (
            await desk.pressed_first(),
            await desk.let_run("stop flow-1 --emergency --dry-run because x", BOB),
        ):
            answer = await press(desk, "review", CAROL, seen)
            assert isinstance(answer, answers.Settled)

    async def test_a_dry_run_leaves_nothing_to_review(self, desk: Desk) -> None:
        seen = await carry_out(desk, await desk.let_run("stop flow-1 --emergency --dry-run because x"))

        assert seen.operation.progress is Progress.SUCCEEDED
        assert "review_open" not in desk.chat.said()
        assert isinstance(await press(desk, "review", CAROL, seen), answers.Settled)
        assert await desk.store.emergencies("U0ALICE", since=0.0) == 0

    @pytest.mark.parametrize(("about", "verdict"), [("no such", Verdict.JUSTIFIED), ("", None)])
    async def test_a_review_of_nothing_is_answered(self, desk: Desk, about: str, verdict: Verdict | None) -> None:
        seen = await carry_out(desk, await desk.let_run())
        about_it = dataclasses.replace(seen, id=about or seen.id)

        assert await review(desk, CAROL, about_it, verdict=verdict) == answers.NoSuchRequest()

    async def test_the_verdict_is_in_the_audit(self, desk: Desk) -> None:
        seen = await carry_out(desk, await desk.let_run())
        await review(desk, CAROL, seen, "it was no fire", Verdict.NOT_JUSTIFIED)

        (facts,) = desk.select("SELECT facts FROM audit WHERE what = 'reviewed'")[0]
        assert '"not_justified"' in facts
        assert "it was no fire" in facts


class TestSteps:
    """Illegal steps of an emergency raise, and change nothing."""

    async def test_presses_come_in_their_order_and_apart(self, desk: Desk) -> None:
        opened, now = await desk.opened(BURNS), desk.clock.now()
        vote = records.Vote(actor=ALICE, at=now + 2.9)
        first = transitions.press_first(opened, at=now)
        steps: list[Callable[[], object]] = [
            lambda: transitions.confirm_emergency(opened, vote),
            lambda: transitions.confirm_emergency(first, vote),
            lambda: transitions.press_first(first, at=now),
            lambda: transitions.confirm(first, vote),
            lambda: transitions.want_second(transitions.want_second(first)),
            lambda: transitions.remind_of_review(first, at=math.inf),
            lambda: transitions.review(first, records.Review(actor=CAROL, at=now, verdict=Verdict.JUSTIFIED)),
        ]
        for step in steps:
            with pytest.raises(records.IllegalTransition):
                step()

    async def test_an_ordinary_request_has_none_of_them(self, desk: Desk) -> None:
        opened, now = await desk.opened("stop flow-1", CAROL), desk.clock.now()
        steps: list[Callable[[], object]] = [
            lambda: transitions.press_first(opened, at=now),
            lambda: transitions.want_second(opened),
            lambda: transitions.confirm_emergency(opened, records.Vote(actor=CAROL, at=now)),
        ]
        for step in steps:
            with pytest.raises(records.IllegalTransition):
                step()


async def test_its_outcome_asks_for_a_review_once_however_it_is_found_out(desk: Desk) -> None:
    running = transitions.begin(await desk.let_run(), at=desk.clock.now())
    lost = transitions.finish(running, records.Outcome(how=records.OutcomeKind.LOST), at=1.0, look_again_at=2.0)
    found = transitions.finish(lost, records.Outcome(how=records.OutcomeKind.READ_BACK), at=3.0)
    assert [reply.said for reply in found.unsent].count(ReplyKind.REVIEW_OPEN) == 1


@pytest.mark.parametrize(("private", "told"), [(set(), "it burns"), ({"C0INCIDENT"}, None)])
async def test_the_home_channel_learns_the_reason_only_of_a_card_that_everybody_sees(
    desk: Desk, private: set[str], told: str | None
) -> None:
    desk.policy = policy_of(EMERGENCY.replace('["C0INCIDENT"]', '["C0HOME", "C0INCIDENT"]'))
    desk.directory.private = private

    opened = await desk.opened(BURNS)

    assert opened.emergency is not None
    assert opened.emergency.announced_in == "C0HOME"
    assert [(reply.said, reply.reason) for reply in opened.unsent] == [("emergency", None), ("announced", told)]


async def test_who_comes_too_late_learns_of_the_press_or_the_review_that_was_first(desk: Desk) -> None:
    opened = await desk.pressed_first()
    again = await press(desk, "emergency_first", ALICE, opened)
    assert isinstance(again, answers.Settled)
    assert opened.emergency is not None
    assert (again.by, again.at) == (ALICE.user, opened.emergency.first_at)

    none = await press(desk, "review", CAROL, opened)
    assert isinstance(none, answers.Settled)
    assert (none.by, none.at) == (None, None)

    await press(desk, "emergency_confirm", ALICE, opened)
    seen = await carry_out(desk, opened)
    await review(desk, CAROL, seen)
    late = await press(desk, "review", DAVE, seen)
    assert isinstance(late, answers.Settled)
    assert late.by == CAROL.user
