"""Rights that change between request, click and call; and what happens while Slack cannot be asked about them."""

import pytest

from bot.playground.live.errors import failing
from tests.scenarios import policies
from tests.scenarios.conftest import OpenStage, Stage

GROUP = "S0MEDIAGRP"
MEMBERS = "usergroups.users.list"
AGED = 6.0
"""Seconds after which an answer is too old for the click that decides."""


async def _waits(stage: Stage, words: str) -> None:
    """Check that the flow was not touched and that only Erin was told so."""
    (answer,) = stage.heard("U0ERIN")
    assert words in answer
    assert stage.stops() == 0


async def test_an_approver_who_has_left_the_group_is_refused(open_stage: OpenStage) -> None:
    stage = await open_stage(policies.GROUP_APPROVES)
    card = await stage.asks("U0ALICE", "stop main-feed")
    stage.slack.workspace.change_group(GROUP, members=("U0BOB",))

    await stage.passes(AGED)
    await stage.presses("U0ERIN", card, "approve")
    await stage.quiet()

    await _waits(stage, "the group approves")
    assert stage.now(card).buttons == card.buttons


@pytest.mark.parametrize("change", [{"is_restricted": True}, {"deleted": True}], ids=["guest", "deactivated"])
async def test_an_approver_who_is_no_full_member_any_more_is_refused(stage: Stage, change: dict[str, bool]) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "withdraw")
    await stage.told("U0DAVE", "could do it instead")
    stage.slack.workspace.change_person("U0DAVE", **change)

    await stage.passes(AGED)
    await stage.presses_late("U0DAVE", card, "approve")
    await stage.quiet()

    assert stage.heard("U0DAVE")[1:] == ["You may not do this here. Nothing was done."]
    assert stage.now(card).buttons == card.buttons
    assert stage.stops() == 0


async def test_a_requester_who_has_lost_the_right_ends_the_request_as_denied_by_policy(open_stage: OpenStage) -> None:
    rule = policies.rule("the group stops", who=[GROUP], approvals=1, approvers=["media-leads"])
    stage = await open_stage(policies.HEAD + rule)
    card = await stage.asks("U0ERIN", "stop main-feed")
    stage.slack.workspace.change_group(GROUP, members=("U0BOB",))

    await stage.passes(AGED)
    await stage.presses("U0DAVE", card, "approve")
    await stage.settles(card)
    await stage.quiet()

    assert "Denied by policy" in stage.reads(card)
    assert "<@U0ERIN>" in stage.replies(card)[-1]
    assert "denied by policy" in stage.replies(card)[-1]
    assert len(stage.replies(card)) == 2
    (answer,) = stage.heard("U0DAVE")
    assert "denied by policy" in answer
    assert stage.stops() == 0


async def test_a_right_that_is_lost_between_approval_and_call_stops_the_call(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    stage.reads_fail(failing(500, "live"))
    await stage.presses("U0DAVE", card, "approve")
    await stage.shows(card, "held up")
    stage.slack.workspace.change_person("U0ALICE", is_restricted=True)

    for _ in range(10):
        await stage.passes(8)
    stage.live.faults.clear()
    await stage.passes(20)

    assert "Denied by policy" in stage.reads(card)
    assert "denied by policy" in stage.replies(card)[-1]
    assert stage.stops() == 0


async def test_a_vote_without_the_right_to_it_is_dropped_before_the_call(open_stage: OpenStage) -> None:
    stage = await open_stage(policies.GROUP_APPROVES)
    card = await stage.asks("U0ALICE", "stop main-feed")
    stage.reads_fail(failing(500, "live"))
    await stage.presses("U0ERIN", card, "approve")
    await stage.shows(card, "held up")
    stage.slack.workspace.change_group(GROUP, members=("U0BOB",))

    for _ in range(10):
        await stage.passes(8)
    stage.live.faults.clear()
    assert "The vote of <@U0ERIN> no longer counts" in stage.replies(card)[-1]
    assert "0 of 1" in stage.reads(card)
    assert stage.stops() == 0

    await stage.presses("U0BOB", card, "approve")
    await stage.thread_says(card, "STANDBY")
    assert stage.stops() == 1


async def test_a_member_of_a_user_group_requests(stage: Stage) -> None:
    card = await stage.asks("U0ERIN", "stop main-feed")

    assert "on-call stops, a lead approves" in card.plain
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "STANDBY")


async def test_a_member_of_a_user_group_approves(open_stage: OpenStage) -> None:
    stage = await open_stage(policies.GROUP_APPROVES)
    card = await stage.asks("U0ALICE", "stop main-feed")
    asked = await stage.thread_says(card, "asks to stop")
    assert f"<!subteam^{GROUP}>" in asked.plain

    await stage.presses("U0ERIN", card, "approve")

    await stage.thread_says(card, "STANDBY")
    assert stage.stops() == 1


@pytest.mark.parametrize("trouble", ["error", "long limit", "dropped", "500"])
async def test_a_group_that_cannot_be_asked_about_is_a_no(open_stage: OpenStage, trouble: str) -> None:
    stage = await open_stage(policies.GROUP_APPROVES)
    card = await stage.asks("U0ALICE", "stop main-feed")
    faults = stage.slack.faults
    match trouble:
        case "error":
            faults.error(MEMBERS, "fatal_error", times=None)
        case "long limit":
            faults.ratelimit(MEMBERS, times=None, retry_after=31)
        case "dropped":
            faults.drop_before(MEMBERS, times=None)
        case _:
            faults.server_error(MEMBERS, times=None)

    await stage.passes(61)
    await stage.presses("U0ERIN", card, "approve")
    await stage.quiet()

    await _waits(stage, "I could not ask Slack")
    assert stage.now(card).buttons == card.buttons

    faults.clear()
    await stage.presses("U0ERIN", card, "approve")
    await stage.thread_says(card, "STANDBY")


async def test_nobody_requests_by_a_group_that_cannot_be_asked_about(stage: Stage) -> None:
    stage.slack.faults.error(MEMBERS, "fatal_error", times=None)

    await stage.types("U0ERIN", "stop main-feed")
    await stage.quiet()

    await _waits(stage, "I could not ask Slack")
    assert stage.cards() == []


async def test_a_short_limit_is_waited_for_and_said(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.passes(AGED)
    stage.slack.faults.ratelimit("users.info", times=2, retry_after=10)

    await stage.presses("U0DAVE", card, "approve")
    await stage.ticks(lambda: stage.heard("U0DAVE"), most=8)
    assert "checking your rights" in stage.heard("U0DAVE")[0]
    assert stage.stops() == 0

    await stage.ticks(lambda: "STANDBY" in stage.replies(card)[-1], most=20)
    await stage.quiet()
    assert len(stage.heard("U0DAVE")) == 1
    assert stage.stops() == 1


async def test_a_person_whom_slack_cannot_be_asked_about_does_nothing(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.passes(61)
    stage.slack.faults.server_error("users.info", times=None)

    for button in ("approve", "deny", "withdraw"):
        await stage.presses("U0DAVE", card, button)
    await stage.types("U0DAVE", "stop backup-feed")
    await stage.quiet()

    assert len(stage.heard("U0DAVE")) == 4
    assert all("I could not ask Slack who you are" in words for words in stage.heard("U0DAVE"))
    assert stage.now(card).buttons == card.buttons
    assert len(stage.cards()) == 1
    assert stage.view("U0DAVE") is None
    assert stage.stops() == 0


async def test_an_answer_older_than_five_seconds_decides_no_click(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    called = stage.slack.workspace.called

    def about(user: str) -> int:
        return len([call for call in called("users.info") if call.args["user"] == user])

    await stage.passes(4)
    await stage.presses("U0BOB", card, "approve")
    await stage.quiet()
    assert (about("U0ALICE"), about("U0BOB")) == (1, 1)

    await stage.passes(2)
    await stage.presses("U0BOB", card, "approve")
    await stage.quiet()
    assert (about("U0ALICE"), about("U0BOB")) == (2, 1)

    await stage.passes(4)
    await stage.presses("U0BOB", card, "approve")
    await stage.quiet()
    assert (about("U0ALICE"), about("U0BOB")) == (2, 2)


async def test_a_command_that_waits_long_for_slack_acts_once(stage: Stage) -> None:
    stage.slack.faults.ratelimit("users.info", retry_after=20)
    stage.slack.faults.ratelimit(MEMBERS, retry_after=20)

    await stage.types("U0ERIN", "stop main-feed")
    waited = await stage.ticks(stage.cards, most=60)
    for _ in range(6):
        await stage.passes(5)

    assert len(stage.cards()) == 1
    assert stage.heard("U0ERIN") == []
    assert waited >= 40


async def test_people_without_any_right_cost_the_cloud_nothing(stage: Stage) -> None:
    for user in ("U0NORA", "U0OTTO"):
        stage.slack.workspace.add_person(user, user.lower())
        stage.slack.workspace.join("C0INCIDENT", user)
    before = len(stage.live.calls)
    for user in ("U0NORA", "U0OTTO"):
        for text in ("stop main-feed", "start main-feed", "stop main-feed --emergency because I like it"):
            await stage.types(user, text)
    await stage.quiet()

    assert len(stage.live.calls) == before
    assert stage.cards() == []
