"""Break-glass: two presses instead of approvals, announced before any call, and reviewed afterwards."""

import asyncio
import json
from typing import Final

import pytest

from bot.lifecycle.records import APART
from bot.playground import world
from bot.playground.live.errors import denied, failing
from bot.playground.slack.records import PostedMessage
from tests.scenarios import policies
from tests.scenarios.conftest import INCIDENT, MAIN, PATIENCE, RANDOM, OpenStage, Stage
from tests.scenarios.test_hostile_texts import HOSTILE
from tests.scenarios.test_new_policy import rewrites
from tests.scenarios.test_pause import WHY, pauses, resumes
from tests.scenarios.test_reads import reads

HEAD: Final = policies.HEAD.replace('["C0INCIDENT"]', '["C0INCIDENT", "C0RANDOM"]')
TWO_APPROVE: Final = policies.rule(
    "two leads approve",
    who=["media-oncall"],
    approvals=2,
    approvers=["media-leads"],
    emergency=["media-oncall"],
    emergency_limit=2,
)
POLICY: Final = HEAD + TWO_APPROVE
ASKED: Final = "stop main-feed --emergency because the encoder burns"
POST: Final = "chat.postMessage"
DAY: Final = 86_400.0


@pytest.fixture
async def stage(open_stage: OpenStage) -> Stage:
    """Run the bot under a rule that needs two approvals and lets on-call people skip them."""
    return await open_stage(POLICY)


async def urges(stage: Stage, text: str = ASKED, *, user: str = "U0ALICE", channel: str = INCIDENT) -> PostedMessage:
    """Ask with `--emergency`, and return the card once everybody was told."""
    card = await stage.asks(user, text, channel=channel, seen_in=channel)
    await stage.quiet()
    return stage.now(card)


async def presses_first(stage: Stage, card: PostedMessage, *, user: str = "U0ALICE") -> PostedMessage:
    """Make the first press, and return the next version of the card."""
    await stage.presses(user, card, "emergency_first")
    return await stage.shows(card, "Pressed once")


async def confirms(stage: Stage, card: PostedMessage, *, user: str = "U0ALICE") -> None:
    """Make the second press, as soon as it counts."""
    await stage.passes(3)
    await stage.presses(user, stage.now(card), "emergency_confirm")
    await stage.quiet()


async def uses(stage: Stage, text: str = ASKED, *, user: str = "U0ALICE") -> PostedMessage:
    """Carry out an emergency, and return its card."""
    card = await presses_first(stage, await urges(stage, text, user=user), user=user)
    await confirms(stage, card, user=user)
    return stage.now(card)


async def reviews(stage: Stage, card: PostedMessage, *, user: str = "U0CAROL", comment: str = "") -> None:
    """Review an emergency as not justified."""
    await stage.presses(user, stage.now(card), "review")
    view = await stage.opens_for(user)
    await stage.slack.people.submit(user, view, {"verdict": "not_justified", "reason": comment})
    await stage.quiet()


def announced(stage: Stage) -> list[str]:
    """Return what was posted in the home channel outside threads."""
    return [one.plain for one in stage.cards(INCIDENT)]


async def test_two_presses_three_seconds_apart_stop_the_flow_and_everybody_was_told(stage: Stage) -> None:
    card = await urges(stage)
    assert stage.reads(card).startswith("EMERGENCY: Stop `main-feed`")
    assert "skips the approval of `media-leads`" in stage.reads(card)
    assert set(card.buttons) == {"emergency_first", "deny", "withdraw"}
    (told,) = stage.slack.workspace.thread(card)
    assert told.broadcast
    assert "<@U0CAROL> and <@U0DAVE>" in told.plain

    second = await presses_first(stage, card)
    assert set(second.buttons) == {"emergency_confirm", "deny", "withdraw"}
    assert {block["block_id"] for block in second.blocks}.isdisjoint({block["block_id"] for block in card.blocks})
    assert stage.stops() == 0
    await confirms(stage, second)

    assert stage.stops() == 1
    assert "is now STANDBY" in "\n".join(stage.replies(card))
    assert "Review: open" in stage.reads(card)
    assert all(reply.startswith("EMERGENCY: ") for reply in stage.replies(card))


@pytest.mark.parametrize("command", ["stop main-feed --emergency because it burns", "stop main-feed —emergency"])
async def test_the_acknowledgement_is_marked_and_a_reason_is_asked_for(stage: Stage, command: str) -> None:
    ack = await stage.types("U0ALICE", command)
    await stage.quiet()

    assert ack.shown is not None
    assert ack.shown.plain == "EMERGENCY: Reading `main-feed`…"
    assert ("requires a reason" in "".join(stage.heard("U0ALICE"))) is ("because" not in command)
    assert len(stage.cards()) == int("because" in command)


async def test_a_reason_that_was_missing_is_added_in_the_modal_and_it_stays_an_emergency(stage: Stage) -> None:
    await stage.types("U0ALICE", "stop main-feed --emergency")
    asked = await stage.told("U0ALICE", "requires a reason")
    await stage.slack.people.click("U0ALICE", asked, "add_reason")
    view = await stage.opens_for("U0ALICE")

    await stage.slack.people.submit("U0ALICE", view, {"reason": "it burns"})
    await stage.quiet()

    (card,) = stage.cards()
    assert stage.reads(card).startswith("EMERGENCY: ")
    assert "it burns" in stage.reads(card)


async def test_the_second_press_counts_only_three_seconds_after_the_first(stage: Stage) -> None:
    card = await presses_first(stage, await urges(stage))

    await stage.passes(2.5)
    await stage.presses("U0ALICE", card, "emergency_confirm")
    await stage.quiet()

    assert "press again in 1 second." in stage.heard("U0ALICE")[-1]
    assert stage.stops() == 0
    assert "Pressed once" in stage.reads(card)

    await stage.passes(0.5)
    await stage.presses("U0ALICE", card, "emergency_confirm")
    await stage.quiet()
    assert stage.stops() == 1


async def test_pressing_the_first_button_twice_is_no_second_press(stage: Stage) -> None:
    card = await urges(stage)
    await presses_first(stage, card)
    await stage.passes(3)

    await stage.presses_late("U0ALICE", card, "emergency_first")
    await stage.quiet()

    assert "next is “Confirm Emergency Stop” on its card" in stage.heard("U0ALICE")[-1]
    assert stage.stops() == 0


@pytest.mark.parametrize("button", ["emergency_confirm", "confirm", "approve", "review"])
async def test_a_button_that_the_card_does_not_have_moves_nothing(stage: Stage, button: str) -> None:
    card = await urges(stage)

    await stage.forges("U0ALICE", card, button)
    await stage.quiet()
    await stage.passes(5)

    assert len(stage.heard("U0ALICE")) == 1
    assert "emergency_first" in stage.now(card).buttons
    assert stage.stops() == 0


@pytest.mark.parametrize("button", ["emergency_first", "emergency_confirm", "review"])
async def test_the_buttons_of_an_emergency_do_nothing_to_another_request(stage: Stage, button: str) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")

    await stage.forges("U0ALICE", card, button)
    await stage.quiet()
    await stage.passes(5)

    (answer,) = stage.heard("U0ALICE")
    assert "changed nothing" in answer
    assert "reviewed by" not in answer
    assert stage.stops() == 0


async def test_promise_2_an_emergency_confirmed_five_times_at_once_stops_once(stage: Stage) -> None:
    card = await presses_first(stage, await urges(stage))
    await stage.passes(3)

    await asyncio.gather(*(stage.presses("U0ALICE", card, "emergency_confirm") for _ in range(5)))
    await stage.quiet()

    assert stage.stops() == 1
    assert len([reply for reply in stage.replies(card) if "made the second press" in reply]) == 1


@pytest.mark.parametrize("user", ["U0BOB", "U0CAROL", "U0NORA"])
async def test_only_the_requester_presses(stage: Stage, user: str) -> None:
    stage.slack.workspace.add_person("U0NORA", "nora")
    stage.slack.workspace.join(INCIDENT, "U0NORA")
    card = await urges(stage)
    await stage.presses(user, card, "emergency_first")
    await stage.quiet()
    assert "<@U0ALICE> could do it instead" in stage.heard(user)[-1]
    assert "emergency_first" in stage.now(card).buttons

    await presses_first(stage, card)
    await confirms(stage, card, user=user)

    assert "<@U0ALICE> could do it instead" in stage.heard(user)[-1]
    assert stage.stops() == 0


async def test_promise_6_who_may_not_use_it_learns_which_rule_lets_whom(stage: Stage) -> None:
    await stage.types("U0CAROL", ASKED)
    await stage.quiet()

    (refusal,) = stage.heard("U0CAROL")
    assert "`--emergency`" in refusal
    assert "`media-oncall`" in refusal
    assert "could do it instead" in refusal
    assert stage.cards() == []


async def test_promise_6_a_stricter_rule_that_keeps_somebody_from_it_is_named(open_stage: OpenStage) -> None:
    strict = {"who": ["media-oncall"], "approvals": 3, "approvers": ["media-leads", "S0MEDIAGRP"], "flows": ["main-*"]}
    stage = await open_stage(POLICY + policies.rule("three for the main feed", emergency=["U0DAVE"], **strict))

    await stage.types("U0ALICE", ASKED)
    await stage.quiet()

    (refusal,) = stage.heard("U0ALICE")
    assert "“three for the main feed” is stricter: it needs 3 approvals and does not let you use" in refusal
    assert "could do it instead" in refusal
    assert stage.cards() == []


@pytest.mark.parametrize("user", ["U0GUEST", "U0OTHER", "U0GONE"])
async def test_promise_7_no_outsider_uses_presses_denies_or_reviews_one(stage: Stage, user: str) -> None:
    await stage.types(user, ASKED, forged=True)
    await stage.quiet()
    assert stage.cards() == []

    card = await urges(stage)
    for button in ("emergency_first", "deny", "review"):
        await stage.slack.people.click(user, card, button, stale=_with(card, button), forged=True)
    await stage.quiet()

    assert set(stage.heard(user)) <= {"You may not do this here. Nothing was done."}
    assert "emergency_first" in stage.now(card).buttons


def _with(card: PostedMessage, button: str) -> tuple[dict[str, object], ...]:
    element = {**card.buttons["deny"], "action_id": button}
    return ({"type": "actions", "block_id": "x", "elements": [element]},)


async def test_an_approver_denies_in_between_and_says_why(stage: Stage) -> None:
    card = await presses_first(stage, await urges(stage))

    await stage.presses("U0DAVE", card, "deny")
    view = await stage.opens_for("U0DAVE")
    await stage.slack.people.submit("U0DAVE", view, {"reason": "the backup is not up"})
    await stage.passes(3)
    await stage.presses_late("U0ALICE", card, "emergency_confirm")
    await stage.quiet()

    assert "denied by <@U0DAVE>" in stage.reads(card)
    assert "the backup is not up" in "\n".join(stage.replies(card))
    assert "is denied by <@U0DAVE>" in stage.heard("U0ALICE")[-1]
    assert stage.stops() == 0


@pytest.mark.parametrize("user", ["U0ALICE", "U0BOB"])
async def test_nobody_but_an_approver_denies(stage: Stage, user: str) -> None:
    card = await presses_first(stage, await urges(stage))

    await stage.presses(user, card, "deny")
    await stage.quiet()

    assert "media-leads" in stage.heard(user)[-1]
    assert "emergency_confirm" in stage.now(card).buttons


async def test_the_requester_withdraws_one(stage: Stage) -> None:
    card = await presses_first(stage, await urges(stage))

    await stage.presses("U0ALICE", card, "withdraw")
    await stage.quiet()

    assert "withdrawn by <@U0ALICE>" in stage.reads(card)
    assert stage.now(card).buttons == {}


async def test_a_pending_request_is_superseded_and_its_requester_is_told(stage: Stage) -> None:
    before = await stage.asks("U0ALICE", "stop main-feed because it loops")
    await stage.presses("U0CAROL", before, "approve")
    await stage.quiet()

    card = await presses_first(stage, await urges(stage, user="U0BOB"), user="U0BOB")
    assert "superseded by an emergency request of <@U0BOB>" in stage.reads(before)
    assert stage.now(before).buttons == {}
    assert "<@U0ALICE>: the request to stop `main-feed` was superseded" in stage.replies(before)[-1]

    await stage.presses_late("U0DAVE", before, "approve")
    await stage.quiet()
    assert "was superseded by an emergency request" in stage.heard("U0DAVE")[-1]
    assert stage.stops() == 0

    await confirms(stage, card, user="U0BOB")
    assert stage.stops() == 1
    whats = [what for (what,) in stage.select("SELECT what FROM audit WHERE what IN ('asked', 'superseded')")]
    assert sorted(whats) == ["asked", "asked", "superseded"]


async def test_a_running_request_is_not_superseded(stage: Stage) -> None:
    first = await urges(stage)
    let_go = asyncio.Event()
    stage.put_fails(hold=let_go, effect=True)
    await presses_first(stage, first)
    await stage.passes(3)
    await stage.presses("U0ALICE", stage.now(first), "emergency_confirm")
    await stage.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=PATIENCE)
    await stage.types("U0BOB", ASKED)
    await stage.slack.until(lambda _: len(stage.heard("U0BOB")) == 1, timeout=PATIENCE)
    let_go.set()
    await stage.quiet()

    assert "is already open" in stage.heard("U0BOB")[-1]
    assert stage.stops() == 1


@pytest.mark.parametrize("pressed", [False, True])
async def test_an_abandoned_emergency_blocks_no_other_request(stage: Stage, pressed: bool) -> None:
    abandoned = await urges(stage)
    if pressed:
        await presses_first(stage, abandoned)

    card = await urges(stage, user="U0BOB")

    assert "superseded by an emergency request of <@U0BOB>" in stage.reads(abandoned)
    assert stage.now(abandoned).buttons == {}
    assert "<@U0ALICE>: the request to stop `main-feed` was superseded" in stage.replies(abandoned)[-1]
    for user, button in (("U0ALICE", "emergency_confirm"), ("U0CAROL", "deny"), ("U0ALICE", "withdraw")):
        await stage.forges(user, abandoned, button)
    await stage.quiet()
    for user in ("U0ALICE", "U0CAROL"):
        assert "was superseded by an emergency request" in stage.heard(user)[-1]
    await stage.forges("U0CAROL", abandoned, "review")
    await stage.quiet()
    assert "has no open review" in stage.heard("U0CAROL")[-1]

    await confirms(stage, await presses_first(stage, card, user="U0BOB"), user="U0BOB")
    assert stage.stops() == 1
    assert "Review: open" in stage.reads(card)
    assert not any("please review" in reply for reply in stage.replies(abandoned))
    assert "Review" not in stage.reads(abandoned)


async def test_asking_twice_the_same_person_starts_over(stage: Stage) -> None:
    first = await presses_first(stage, await urges(stage))
    second = await urges(stage, "stop main-feed --emergency because the encoder still burns")
    await stage.passes(3)

    await stage.presses_late("U0ALICE", first, "emergency_confirm")
    await stage.quiet()
    assert stage.stops() == 0
    assert set(stage.now(second).buttons) == {"emergency_first", "deny", "withdraw"}

    await confirms(stage, await presses_first(stage, second))
    assert stage.stops() == 1


async def test_of_two_emergencies_at_once_one_stands_and_stops_once(stage: Stage) -> None:
    await asyncio.gather(stage.types("U0ALICE", ASKED), stage.types("U0BOB", ASKED))
    await stage.quiet()

    (card,) = (card for card in stage.cards() if card.buttons)
    user = "U0ALICE" if "Requested by <@U0ALICE>" in stage.reads(card) else "U0BOB"
    await confirms(stage, await presses_first(stage, card, user=user), user=user)

    assert stage.stops() == 1
    assert len([one for one in stage.cards() if "Superseded" in stage.reads(one)]) == 1


async def test_a_dry_run_emergency_supersedes_no_real_one(stage: Stage) -> None:
    real = await urges(stage)
    await urges(stage, "stop main-feed --dry-run --emergency because of a drill", user="U0BOB")

    assert "emergency_first" in stage.now(real).buttons


async def test_a_delayed_approved_stop_is_superseded(stage: Stage) -> None:
    """A flow that cannot be read delays an approved request, but not an emergency."""
    held_up = await stage.asks("U0ALICE", "stop main-feed because it loops")
    stage.reads_fail(failing(500, "live"))
    for lead in ("U0CAROL", "U0DAVE"):
        await stage.presses(lead, held_up, "approve")
        await stage.quiet()
    assert stage.stops() == 0

    card = await urges(stage, user="U0BOB")
    assert "superseded by an emergency request of <@U0BOB>" in stage.reads(held_up)
    await confirms(stage, await presses_first(stage, card, user="U0BOB"), user="U0BOB")

    assert stage.stops() == 1


@pytest.mark.parametrize(("typed", "shown"), [("main-feed", "main-feed"), (MAIN, "main-feed"), ("a-flow-1", None)])
async def test_a_flow_whose_state_cannot_be_read_is_stopped_all_the_same(
    stage: Stage, typed: str, shown: str | None
) -> None:
    stage.reads_fail(failing(500, "live"))
    stage.live.add_flow(world.PROJECT_ID, "a-flow-1", "a-flow-1")

    card = await presses_first(stage, await urges(stage, f"stop {typed} --emergency because it burns"))
    assert "its state could not be read" in stage.reads(card)
    assert f"EMERGENCY: Stop `{shown or typed}`" in stage.reads(card)
    await confirms(stage, card)

    assert stage.stops() == 1
    assert "is now STANDBY" in "\n".join(stage.replies(card))


async def test_nothing_opens_for_a_flow_in_standby_or_that_is_not_there(stage: Stage) -> None:
    await stage.types("U0ALICE", "stop studio-b --emergency because it burns")
    await stage.types("U0ALICE", "stop nothing-like-it --emergency because it burns")
    await stage.quiet()

    assert sorted("already STANDBY" in answer for answer in stage.heard("U0ALICE")) == [False, True]
    assert stage.cards() == []


async def test_the_home_channel_is_told_of_a_card_in_another_one_before_the_call(stage: Stage) -> None:
    card = await urges(stage, channel=RANDOM)
    (home,) = announced(stage)
    assert home.startswith("EMERGENCY: ")
    assert "skips the approval of `media-leads`" in home
    assert "the encoder burns" in home
    assert "its card" in home
    assert "announced in <#C0INCIDENT> too" in stage.reads(card)

    await confirms(stage, await presses_first(stage, card))

    assert stage.stops() == 1
    assert announced(stage) == [home]


async def test_the_home_channel_does_not_learn_the_reason_of_a_card_in_a_private_one(stage: Stage) -> None:
    stage.slack.workspace.change_channel(RANDOM, is_private=True)

    await urges(stage, channel=RANDOM)

    (home,) = announced(stage)
    assert "skips the approval of `media-leads`" in home
    assert "the encoder burns" not in home
    assert "archives" not in json.dumps(stage.cards(INCIDENT)[0].blocks)


async def _unannounced(stage: Stage) -> PostedMessage:
    """Let Slack accept the card and the announcement in its channel, and no later post; then make the first press."""
    await stage.quiet()
    stage.slack.faults.delay(POST, 0, times=2)
    stage.slack.faults.server_error(POST, times=None)
    card = await urges(stage, channel=RANDOM)
    await stage.presses("U0ALICE", card, "emergency_first")
    await stage.passes(3)
    assert announced(stage) == []
    return await stage.shows(card, "Pressed once")


async def test_the_call_waits_ten_seconds_at_most_for_an_announcement_that_slack_does_not_take(stage: Stage) -> None:
    card = await _unannounced(stage)

    await stage.presses("U0ALICE", card, "emergency_confirm")
    await stage.quiet()
    for _ in range(9):
        await stage.passes(1)
    assert stage.stops() == 0
    await stage.passes(1)

    assert stage.stops() == 1
    assert announced(stage) == []
    stage.slack.faults.clear()
    await stage.passes(60)
    assert len(announced(stage)) == 1


async def test_the_call_goes_as_soon_as_the_announcement_is_there(stage: Stage) -> None:
    card = await _unannounced(stage)

    await stage.presses("U0ALICE", card, "emergency_confirm")
    await stage.quiet()
    await stage.passes(4)
    assert (stage.stops(), announced(stage)) == (0, [])
    stage.slack.faults.clear()
    await stage.passes(2)

    assert stage.stops() == 1
    assert len(announced(stage)) == 1
    assert "STANDBY" in stage.replies(card)[-2]


async def test_an_announcement_that_hangs_holds_back_no_button_and_the_call_for_ten_seconds(stage: Stage) -> None:
    await stage.quiet()
    let_go = asyncio.Event()
    stage.slack.faults.delay(POST, 0, times=2)
    stage.slack.faults.hold(POST, let_go)
    card = await stage.asks("U0ALICE", ASKED, channel=RANDOM, seen_in=RANDOM, others_wait=True)
    await stage.thread_says(card, "uses `--emergency`")

    await stage.presses("U0ALICE", card, "emergency_first")
    await stage.shows(card, "Pressed once")
    pressed_at = stage.world.clock.now()
    await stage.ticks(lambda: stage.world.clock.now() >= pressed_at + APART)
    await stage.presses("U0ALICE", stage.now(card), "emergency_confirm")
    took = await stage.ticks(lambda: stage.stops() == 1, most=15)

    assert took >= 9
    assert announced(stage) == []
    let_go.set()
    await stage.thread_says(card, "STANDBY")
    assert len(announced(stage)) == 1


async def test_a_home_channel_that_refuses_the_announcement_delays_nothing_and_it_is_in_the_audit(
    stage: Stage,
) -> None:
    await stage.quiet()
    stage.slack.workspace.leave(INCIDENT, stage.slack.workspace.bot_user_id)

    card = await presses_first(stage, await urges(stage, channel=RANDOM))
    await confirms(stage, card)

    assert stage.stops() == 1
    assert stage.select("SELECT count(*) FROM audit WHERE what = 'announcement refused by Slack'") == [(1,)]


async def test_over_the_limit_the_second_press_is_another_members(stage: Stage) -> None:
    for flow in ("main-feed", "backup-feed"):
        await uses(stage, f"stop {flow} --emergency because it burns")
    stage.live.add_flow(world.PROJECT_ID, MAIN, "main-feed")

    opened = await urges(stage)
    assert "the second press must come from another of `media-oncall`" in stage.reads(opened)
    assert "must come from another of `media-oncall`" in stage.replies(opened)[0]
    card = await presses_first(stage, opened)
    await stage.quiet()
    assert "The limit is 2 emergencies" in stage.heard("U0ALICE")[-1]
    assert "“Confirm Emergency Stop” by another of `media-oncall`" in stage.replies(card)[-1]
    await confirms(stage, card)
    assert [words for words in stage.heard("U0ALICE") if "The limit is 2 emergencies" in words] == stage.heard(
        "U0ALICE"
    )[-2:]
    assert "the second press must come from another of `media-oncall`" in stage.reads(card)
    assert stage.stops() == 2
    assert "You may decide:" in (await reads(stage, "pending", user="U0BOB")).plain
    assert "You may decide:" not in (await reads(stage, "pending", user="U0ALICE")).plain

    await stage.presses("U0CAROL", stage.now(card), "emergency_confirm")
    await stage.quiet()
    assert "could do it instead" in stage.heard("U0CAROL")[-1]
    assert stage.stops() == 2

    await stage.presses("U0BOB", stage.now(card), "emergency_confirm")
    await stage.quiet()
    assert stage.stops() == 3
    assert "Confirmed by <@U0ALICE> and <@U0BOB>" in stage.reads(card)


async def test_a_day_later_the_limit_is_fresh(stage: Stage) -> None:
    for flow in ("main-feed", "backup-feed"):
        await uses(stage, f"stop {flow} --emergency because it burns")
    stage.live.add_flow(world.PROJECT_ID, MAIN, "main-feed")
    await stage.passes(DAY)

    await uses(stage)

    assert stage.stops() == 3


async def test_an_approver_reviews_it_once_and_the_card_and_the_thread_say_so(stage: Stage) -> None:
    card = await uses(stage)
    assert set(card.buttons) == {"review"}
    asked = next(reply for reply in stage.replies(card) if "please review" in reply)
    assert "<@U0CAROL> and <@U0DAVE>" in asked

    await reviews(stage, card, comment="a restart would have done")

    assert "Review: not justified, says <@U0CAROL>" in stage.reads(card)
    assert "a restart would have done" in stage.reads(card)
    assert stage.now(card).buttons == {}
    assert "<@U0CAROL> reviewed the emergency stop of `main-feed`: it was not justified" in stage.replies(card)[-1]
    await stage.presses_late("U0DAVE", card, "review")
    await stage.quiet()
    assert "is already reviewed by <@U0CAROL>" in stage.heard("U0DAVE")[-1]
    assert stage.view("U0DAVE") is None


async def test_of_two_reviews_the_first_counts(stage: Stage) -> None:
    card = await uses(stage)
    views = []
    for user in ("U0CAROL", "U0DAVE"):
        await stage.presses(user, card, "review")
        views.append(await stage.opens_for(user))

    for user, verdict, view in zip(("U0CAROL", "U0DAVE"), ("justified", "not_justified"), views, strict=True):
        await stage.slack.people.submit(user, view, {"verdict": verdict})
        await stage.quiet()

    assert "Review: justified, says <@U0CAROL>" in stage.reads(card)
    assert "is already reviewed by <@U0CAROL>" in stage.heard("U0DAVE")[-1]
    assert len([reply for reply in stage.replies(card) if "reviewed the emergency" in reply]) == 1


@pytest.mark.parametrize(("user", "words"), [("U0ALICE", "your own"), ("U0BOB", "may not review")])
async def test_nobody_else_reviews_it(stage: Stage, user: str, words: str) -> None:
    card = await uses(stage)

    await stage.presses(user, card, "review")
    await stage.quiet()

    assert words in stage.heard(user)[-1]
    assert "media-leads" in stage.heard(user)[-1]
    assert stage.view(user) is None
    assert "Review: open" in stage.reads(card)


async def test_whoever_pressed_second_does_not_review(open_stage: OpenStage) -> None:
    rule = {"who": ["media-oncall"], "approvals": 1, "approvers": ["media-leads"], "emergency_limit": 1}
    stage = await open_stage(HEAD + policies.rule("one lead", emergency=["U0ALICE", "U0DAVE"], **rule))
    await uses(stage, "stop backup-feed --emergency because it burns")
    card = await presses_first(stage, await urges(stage))
    await confirms(stage, card)
    await stage.presses("U0DAVE", stage.now(card), "emergency_confirm")
    await stage.quiet()
    assert stage.stops() == 2

    await stage.presses("U0DAVE", stage.now(card), "review")
    await stage.quiet()
    assert stage.view("U0DAVE") is None
    assert "may not review" in stage.heard("U0DAVE")[-1]

    await reviews(stage, card)
    assert "says <@U0CAROL>" in stage.reads(card)


async def test_where_no_approval_is_passed_over_another_member_denies_and_reviews(open_stage: OpenStage) -> None:
    rule = policies.rule("alone", who=["media-oncall"], emergency=["media-oncall"])
    stage = await open_stage(HEAD + rule)

    card = await uses(stage)
    await stage.presses("U0CAROL", card, "review")
    await stage.quiet()
    assert stage.view("U0CAROL") is None

    await reviews(stage, card, user="U0BOB")
    assert "says <@U0BOB>" in stage.reads(card)


async def test_an_open_review_is_reminded_of_daily_and_listed_until_it_is_closed(stage: Stage) -> None:
    card = await uses(stage)

    def asked() -> int:
        return len([reply for reply in stage.replies(card) if "please review" in reply])

    for day in (1, 2, 3):
        assert asked() == day
        await stage.passes(DAY)
    carol = (await reads(stage, "pending", user="U0CAROL")).plain
    alice = (await reads(stage, "pending", user="U0ALICE")).plain
    assert "You may decide:" in carol
    assert "Review: open" in carol
    assert "Review: open" in alice
    assert "You may decide" not in alice

    await reviews(stage, card)
    asked_by_then = asked()
    await stage.passes(3 * DAY)
    assert asked() == asked_by_then
    assert (await reads(stage, "pending", user="U0CAROL")).plain == "No request is open."


async def test_a_review_that_nobody_closes_is_reminded_of_for_a_week(stage: Stage) -> None:
    card = await uses(stage)

    for _ in range(9):
        await stage.passes(DAY)

    asked = [reply for reply in stage.replies(card) if "please review" in reply]
    assert len(asked) == 8
    assert ["last reminder" in reply for reply in asked] == [*[False] * 7, True]
    assert "Review: open" in (await reads(stage, "pending", user="U0CAROL")).plain
    assert stage.select("SELECT count(*) FROM audit WHERE what = 'reminded of a review for the last time'") == [(1,)]
    await reviews(stage, card)
    assert "says <@U0CAROL>" in stage.reads(card)


async def test_where_nobody_else_is_in_its_rule_an_approver_of_the_project_reviews_it(open_stage: OpenStage) -> None:
    own = policies.rule("bob alone", who=["U0BOB"], emergency=["U0BOB"])
    lead = policies.rule(
        "a lead approves", who=["U0ALICE"], flows=["backup-feed"], approvals=1, approvers=["media-leads"]
    )
    stage = await open_stage(HEAD + own + lead)

    card = await uses(stage, user="U0BOB")

    assert "Review: open; `media-leads` may close it" in stage.reads(card)
    assert "<@U0CAROL> and <@U0DAVE>: please review" in stage.replies(card)[-1]
    await reviews(stage, card)
    assert "says <@U0CAROL>" in stage.reads(card)


async def test_a_review_that_nobody_may_close_says_so(open_stage: OpenStage) -> None:
    stage = await open_stage(HEAD + policies.rule("bob alone", who=["U0BOB"], emergency=["U0BOB"]))

    card = await uses(stage, user="U0BOB")

    assert "Review: open; nobody may close it under the current rules" in stage.reads(card)
    assert "name an approver in the policy" in stage.replies(card)[-1]
    await stage.presses("U0CAROL", card, "review")
    await stage.quiet()
    assert "Nobody could do it instead" in stage.heard("U0CAROL")[-1]
    rewrites(stage, ('who = ["U0BOB"]', 'who = ["U0BOB"]\napprovers = ["media-leads"]\napprovals = 1'))
    await stage.quiet()
    await reviews(stage, card)
    assert "says <@U0CAROL>" in stage.reads(card)


async def test_an_emergency_that_failed_is_reviewed_too(stage: Stage) -> None:
    stage.put_fails(denied("live:ott:updateFlowStatusStop", 401), times=1)

    card = await uses(stage)

    assert "Failed" in stage.reads(card)
    assert set(card.buttons) == {"ask_again", "review"}


async def test_what_was_denied_leaves_nothing_to_review(stage: Stage) -> None:
    card = await urges(stage)
    await stage.presses("U0CAROL", card, "deny")
    await stage.passes(DAY)

    assert "Review" not in stage.reads(card)
    assert not any("please review" in reply for reply in stage.replies(card))


NEW_APPROVERS: Final = {
    "the set is renamed": ("media-leads", "video-leads"),
    "the set has others": ('["U0CAROL", "U0DAVE"]', '["U0NORA", "U0DAVE"]'),
    "the rule has others": ('approvers = ["media-leads"]', 'approvers = ["U0NORA", "U0DAVE"]'),
}
"""Changes of the policy while an emergency is open or has run."""


async def _changes_approvers(stage: Stage, how: str) -> str:
    """Change who approves, and return somebody who may now."""
    stage.slack.workspace.add_person("U0NORA", "nora")
    stage.slack.workspace.join(INCIDENT, "U0NORA")
    rewrites(stage, NEW_APPROVERS[how])
    await stage.quiet()
    return "U0CAROL" if how == "the set is renamed" else "U0NORA"


@pytest.mark.parametrize("how", NEW_APPROVERS)
async def test_who_denies_is_decided_by_the_policy_in_force(stage: Stage, how: str) -> None:
    card = await presses_first(stage, await urges(stage))
    approver = await _changes_approvers(stage, how)
    if approver == "U0NORA":
        await stage.presses("U0CAROL", card, "deny")
        await stage.quiet()
        assert "you may not deny" in stage.heard("U0CAROL")[-1]
        assert "emergency_confirm" in stage.now(card).buttons

    await stage.presses(approver, card, "deny")
    await stage.quiet()

    assert f"denied by <@{approver}>" in stage.reads(card)
    assert stage.stops() == 0


@pytest.mark.parametrize("how", NEW_APPROVERS)
async def test_who_reviews_is_decided_by_the_policy_in_force(stage: Stage, how: str) -> None:
    card = await uses(stage)
    approver = await _changes_approvers(stage, how)
    if approver == "U0NORA":
        await stage.presses("U0CAROL", card, "review")
        await stage.quiet()
        assert "you may not review" in stage.heard("U0CAROL")[-1]

    await reviews(stage, card, user=approver)

    assert f"Review: not justified, says <@{approver}>" in stage.reads(card)


async def test_who_is_asked_and_named_follows_the_policy_in_force(stage: Stage) -> None:
    card = await urges(stage)
    await _changes_approvers(stage, "the rule has others")
    await confirms(stage, await presses_first(stage, card))

    asked = next(reply for reply in stage.replies(card) if "please review" in reply)
    assert "<@U0NORA> and <@U0DAVE>" in asked
    assert "<@U0CAROL>" not in asked
    assert "Review: open; " in stage.reads(card)
    assert "U0NORA" in stage.reads(card).partition("Review: open")[2]


async def test_what_the_request_kept_counts_where_its_rule_is_gone(stage: Stage) -> None:
    card = await presses_first(stage, await urges(stage))
    rewrites(
        stage, ("two leads approve", "two of the others"), ('approvers = ["media-leads"]', 'approvers = ["U0ERIN"]')
    )
    await stage.quiet()

    await stage.presses("U0CAROL", card, "deny")
    await stage.quiet()

    assert "denied by <@U0CAROL>" in stage.reads(card)


async def test_a_pause_wins_whenever_it_begins(stage: Stage) -> None:
    card = await presses_first(stage, await urges(stage))
    await pauses(stage)
    await confirms(stage, card)
    assert WHY in stage.heard("U0ALICE")[-1]
    await stage.types("U0BOB", "stop backup-feed --emergency because it burns")
    await stage.quiet()
    assert WHY in stage.heard("U0BOB")[-1]
    assert stage.stops() == 0

    await resumes(stage)
    await stage.presses("U0ALICE", stage.now(card), "emergency_confirm")
    await stage.quiet()
    assert stage.stops() == 1


async def test_a_deny_wins_over_an_emergency(open_stage: OpenStage) -> None:
    freeze = policies.rule("nobody stops main-feed", effect="deny", who=["*"], flows=["main-feed"])
    stage = await open_stage(POLICY + freeze)

    await stage.types("U0ALICE", ASKED)
    await stage.quiet()

    assert "“nobody stops main-feed” forbids" in stage.heard("U0ALICE")[-1]
    assert stage.cards() == []


async def test_a_deny_by_name_wins_although_the_name_cannot_be_read(open_stage: OpenStage) -> None:
    freeze = policies.rule("nobody stops main-feed", effect="deny", who=["*"], flows=["main-*"])
    stage = await open_stage(POLICY + freeze)
    stage.live.faults.clear()
    stage.reads_fail(failing(500, "live"))

    await stage.types("U0ALICE", f"stop {MAIN} --emergency because it burns")
    await stage.quiet()

    assert "“nobody stops main-feed” forbids" in stage.heard("U0ALICE")[-1]
    assert stage.cards() == []


async def test_a_dry_run_goes_through_both_presses_and_touches_nothing(stage: Stage) -> None:
    real = await stage.asks("U0BOB", "stop main-feed because it loops")
    card = await uses(stage, "stop main-feed --dry-run --emergency because of a drill")

    assert stage.stops() == 0
    assert "Dry run done" in stage.reads(card)
    assert all(reply.startswith("Dry run: EMERGENCY: ") for reply in stage.replies(card))
    assert "Review" not in stage.reads(card)
    assert "approve" in stage.now(real).buttons


async def test_an_unpressed_emergency_expires_as_any_request(stage: Stage) -> None:
    card = await presses_first(stage, await urges(stage))

    await stage.passes(1800)

    assert "Expired" in stage.reads(card)
    assert "denied" not in stage.reads(card).lower()
    assert stage.stops() == 0


async def test_hostile_texts_in_reason_and_comment_ping_nobody(stage: Stage) -> None:
    typed = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    card = await uses(stage, f"stop main-feed --emergency because {typed}")
    await reviews(stage, card, comment=HOSTILE)

    assert stage.reads(card).count("evil.example") == 2
    said = "\n".join(json.dumps(call.args, ensure_ascii=False) for call in stage.slack.workspace.calls)
    for notation in ("<!channel", "<@U0BOB", "<!subteam^", "<#C0RANDOM", "<http://evil.example"):
        assert notation not in said


async def test_promise_8_all_of_an_emergency_is_in_the_audit(stage: Stage) -> None:
    card = await uses(stage)
    await reviews(stage, card, comment="a restart would have done")

    lines = stage.select("SELECT what, facts FROM audit WHERE request_id IS NOT NULL ORDER BY id")
    whats = [what for what, _ in lines]
    wanted = ["asked", "pressed first", "confirmed", "reviewed"]
    assert [what for what in whats if what in wanted] == wanted
    asked, reviewed = (json.loads(dict(lines)[what]) for what in ("asked", "reviewed"))
    assert asked["emergency"] is True
    assert asked["passed_over"] == ["media-leads"]
    assert (reviewed["verdict"], reviewed["comment"]) == ("not_justified", "a restart would have done")
