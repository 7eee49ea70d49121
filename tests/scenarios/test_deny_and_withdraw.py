"""How people end a request: by denying it, with or without a reason, or by withdrawing it."""

import asyncio

from bot.playground.live.errors import failing
from bot.playground.slack import payloads
from tests.scenarios.conftest import PATIENCE, Stage


async def test_a_denial_counts_at_once_and_asks_why(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")

    await stage.presses("U0DAVE", card, "deny")

    view = await stage.opens_for("U0DAVE")
    denied = await stage.shows(card, "denied by <@U0DAVE>")
    assert not denied.buttons
    await stage.slack.people.close("U0DAVE", view)
    await stage.quiet()
    assert [reply for reply in stage.replies(card) if "denied" in reply] == stage.replies(card)[1:]
    assert len(stage.replies(card)) == 2
    assert "denied by <@U0DAVE>" in stage.reads(card)
    assert stage.heard("U0DAVE") == []
    assert stage.stops() == 0


async def test_the_reason_of_a_denial_stands_on_card_and_in_thread(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "deny")
    view = await stage.opens_for("U0DAVE")

    ack = await stage.slack.people.submit("U0DAVE", view, {"reason": "the match is still on"})

    assert ack.problems == ()
    await stage.thread_says(card, "the match is still on")
    await stage.shows(card, "the match is still on")
    await stage.quiet()
    assert stage.view("U0DAVE") is None
    assert len(stage.replies(card)) == 3
    assert stage.stops() == 0


async def test_a_denial_sent_without_a_reason_stays_a_denial(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "deny")
    view = await stage.opens_for("U0DAVE")

    await stage.slack.people.submit("U0DAVE", view)
    await stage.quiet()

    assert stage.view("U0DAVE") is None
    assert len(stage.replies(card)) == 2
    assert "denied by <@U0DAVE>" in stage.reads(card)


async def test_a_reason_for_a_denial_may_speak_of_options(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "deny")

    await stage.slack.people.submit("U0DAVE", await stage.opens_for("U0DAVE"), {"reason": "use --dry-run first"})

    await stage.thread_says(card, "use --dry-run first")


async def test_a_reason_that_is_too_long_is_an_error_in_the_modal(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "deny")
    still = await stage.opens_for("U0DAVE")

    workspace = stage.slack.workspace
    typed = {"reason": {"reason_text": {"type": "plain_text_input", "value": "x" * 501}}}
    too_long = payloads.view_submission(
        workspace, workspace.persons["U0DAVE"], still, state=typed, trigger_id="1.forged"
    )
    ack = await stage.delivers_payload(too_long)
    assert ack.json["response_action"] == "errors"
    assert "500" in ack.json["errors"]["reason"]

    await stage.quiet()
    assert "Reason:" not in "\n".join(stage.replies(card))
    assert stage.recorded() == 2


async def test_only_approvers_deny_and_nobody_else_sees_the_modal(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")

    await stage.presses("U0BOB", card, "deny")
    await stage.presses("U0ALICE", card, "deny")
    await stage.quiet()

    (refusal,) = stage.heard("U0BOB")
    assert "on-call stops, a lead approves" in refusal
    assert "media-leads" in refusal
    (own,) = stage.heard("U0ALICE")
    assert "your own" in own
    assert stage.view("U0BOB") is None
    assert stage.view("U0ALICE") is None
    assert "approve" in stage.now(card).buttons
    assert len(stage.replies(card)) == 1


async def test_who_approves_after_a_denial_is_told_so(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "deny")
    await stage.settles(card)

    await stage.presses_late("U0CAROL", card, "approve")
    await stage.quiet()

    (answer,) = stage.heard("U0CAROL")
    assert "is denied by <@U0DAVE>" in answer
    assert len(stage.replies(card)) == 2
    assert stage.stops() == 0


async def test_a_second_denial_does_not_take_the_first_ones_place(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "deny")
    await stage.settles(card)

    await stage.presses_late("U0CAROL", card, "deny")
    await stage.quiet()

    assert len(stage.heard("U0CAROL")) == 1
    assert stage.view("U0CAROL") is None
    assert "denied by <@U0DAVE>" in stage.reads(card)


async def test_the_next_card_tells_of_the_denial(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "deny")
    await stage.settles(card)

    again = await stage.asks("U0ALICE", "stop main-feed")

    assert "denied in the last hour" in again.plain
    assert "<@U0DAVE>" not in again.plain


async def test_the_requester_withdraws(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")

    await stage.presses("U0ALICE", card, "withdraw")
    await stage.settles(card)
    await stage.presses_late("U0DAVE", card, "approve")
    await stage.quiet()

    assert "withdrawn by <@U0ALICE>" in stage.reads(card)
    (late,) = stage.heard("U0DAVE")
    assert "is withdrawn by <@U0ALICE>" in late
    assert stage.stops() == 0


async def test_nobody_else_withdraws(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")

    await stage.presses("U0DAVE", card, "withdraw")
    await stage.quiet()

    (refusal,) = stage.heard("U0DAVE")
    assert refusal == (
        "Under rule “on-call stops, a lead approves”, you may not withdraw the request for `main-feed`. "
        "<@U0ALICE> could do it instead."
    )
    assert "withdraw" in stage.now(card).buttons
    assert len(stage.replies(card)) == 1


async def test_a_call_that_has_begun_is_not_withdrawn(stage: Stage) -> None:
    let_go = asyncio.Event()
    stage.put_fails(hold=let_go, effect=True)
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "approve")
    await stage.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=PATIENCE)

    await stage.presses_late("U0ALICE", card, "withdraw")
    answer = await stage.told("U0ALICE", "changed nothing")
    assert "and is running" in answer.plain
    let_go.set()

    await stage.thread_says(card, "STANDBY")
    await stage.quiet()
    assert len(stage.heard("U0ALICE")) == 1
    assert "Withdrawn" not in stage.reads(card)
    assert stage.stops() == 1


async def test_an_approved_request_is_withdrawn_before_its_call(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    stage.reads_fail(failing(500, "live"))
    await stage.presses("U0DAVE", card, "approve")
    held = await stage.shows(card, "held up")
    assert set(held.buttons) == {"withdraw"}

    await stage.presses("U0ALICE", held, "withdraw")
    await stage.settles(card)
    stage.live.faults.clear()
    await stage.passes(60)

    assert "withdrawn by <@U0ALICE>" in stage.reads(card)
    assert stage.stops() == 0
