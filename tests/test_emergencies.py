"""Emergencies: two presses instead of approvals, announced before and reviewed after."""

import pathlib
from collections.abc import AsyncIterator

import pytest

from bot import answers, request
from bot.arrivals import Actor, Modal, Submitted, Verdict
from bot.request import Progress, Request
from tests.fakes import ALICE, CAROL, POLICY, Desk, open_desk, policy_of

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
