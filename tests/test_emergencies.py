"""Emergencies: two presses instead of approvals, announced before and reviewed after."""

import pathlib
from collections.abc import AsyncIterator

import pytest

from bot import answers, request, telling
from bot.arrivals import Actor, Modal, Submitted, Verdict
from bot.errors import ChatUnavailable
from bot.request import Progress, Request
from tests.fakes import ALICE, CAROL, DAVE, POLICY, Desk, open_desk, policy_of

EMERGENCY = POLICY.replace(
    'approvers = ["media-leads"]\n', 'approvers = ["media-leads"]\nemergency = ["media-oncall"]\n'
)
ASKED = "stop flow-1 --emergency because the feed is on fire"


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk whose policy lets those on call pass over the leads."""
    async with open_desk(tmp_path) as opened:
        opened.policy = policy_of(EMERGENCY)
        yield opened


async def press(desk: Desk, button: str, actor: Actor, seen: Request) -> answers.Answer | None:
    """Press a button and return what its presser is told."""
    return (await desk.take(desk.click(button, actor, seen.id))).answer


async def pressed_first(desk: Desk, text: str = ASKED, actor: Actor = ALICE) -> Request:
    """Return an emergency whose requester has pressed once, long enough ago."""
    opened = await desk.opened(text, actor)
    await press(desk, "emergency_first", actor, opened)
    desk.clock.turn(request.APART)
    return await desk.now(opened.id)


async def confirmed(desk: Desk, text: str = ASKED, actor: Actor = ALICE) -> Request:
    """Return an emergency that both presses have let run."""
    first = await pressed_first(desk, text, actor)
    await press(desk, "emergency_confirm", actor, first)
    return await desk.now(first.id)


async def carry_out(desk: Desk, seen: Request) -> Request:
    """Let the worker do all that is due on a request at this time."""
    desk.worker.wake(seen.id)
    await desk.worker.settle()
    return await desk.now(seen.id)


async def review(desk: Desk, actor: Actor, seen: Request, comment: str | None = None) -> answers.Answer | None:
    """Submit the modal of a review and return what its sender is told."""
    sent = Submitted(modal=Modal.REVIEW, request_id=seen.id, reason=comment, verdict=Verdict.JUSTIFIED)
    return (await desk.take(desk.entry(sent, actor))).answer


async def test_an_emergency_goes_from_two_presses_to_its_review(desk: Desk) -> None:
    opened = await desk.opened(ASKED)
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
    assert seen.emergency.review is not None
    assert (seen.emergency.review.actor, seen.emergency.review.comment) == (CAROL, "it was burning")
    assert not request.is_review_open(seen)


@pytest.mark.parametrize(("private", "told"), [(set(), "the feed is on fire"), ({"C0INCIDENT"}, None)])
async def test_the_home_channel_learns_the_reason_only_of_a_card_that_everybody_sees(
    desk: Desk, private: set[str], told: str | None
) -> None:
    desk.policy = policy_of(EMERGENCY.replace('["C0INCIDENT"]', '["C0HOME", "C0INCIDENT"]'))
    desk.directory.private = private

    opened = await desk.opened(ASKED)

    assert opened.emergency is not None
    assert opened.emergency.announced_in == "C0HOME"
    assert [(reply.said, reply.reason) for reply in opened.unsent] == [("emergency", None), ("announced", told)]


async def test_who_comes_too_late_learns_of_the_press_or_the_review_that_was_first(desk: Desk) -> None:
    opened = await pressed_first(desk)
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


async def test_an_announcement_that_slack_does_not_take_holds_back_no_version_of_the_card(desk: Desk) -> None:
    opened = await desk.opened(ASKED)
    desk.chat.troubles["reply"].extend([ChatUnavailable("500")] * 6)
    await carry_out(desk, opened)
    await press(desk, "emergency_first", ALICE, opened)

    desk.clock.turn(telling.AGAIN)
    seen = await carry_out(desk, opened)

    assert desk.chat.said() == []
    assert seen.card.shown == seen.version
    for _ in range(6):
        assert seen.tell_at - desk.clock.now() <= telling.AGAIN
        desk.clock.turn(telling.AGAIN)
        seen = await carry_out(desk, seen)
    assert desk.chat.said() == ["emergency", "pressed_first"]


async def test_a_card_that_slack_does_not_edit_holds_back_no_announcement(desk: Desk) -> None:
    opened = await desk.opened(ASKED)
    desk.chat.troubles["edit_card"].extend([ChatUnavailable("500")] * 3)
    await press(desk, "emergency_first", ALICE, opened)

    seen = await carry_out(desk, opened)
    for _ in range(4):
        desk.clock.turn(telling.AGAIN)
        seen = await carry_out(desk, seen)

    assert desk.chat.said() == ["emergency", "pressed_first"]
    assert seen.card.shown == seen.version
