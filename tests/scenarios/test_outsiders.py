"""People who may not use the bot, and what they and everybody else are told."""

import pytest

from tests.scenarios.conftest import Stage

BARE = "You may not do this here. Nothing was done."


@pytest.mark.parametrize("outsider", ["U0GUEST", "U0SOLO", "U0OTHER", "U0ROBOT", "U0GONE"])
async def test_promise_7_outsiders_neither_request_nor_vote(stage: Stage, outsider: str) -> None:
    await stage.types(outsider, "stop main-feed", forged=True)
    await stage.quiet()
    assert stage.heard(outsider) == [BARE]
    assert stage.cards() == []

    needs_approval = await stage.asks("U0ALICE", "stop main-feed")
    needs_confirmation = await stage.asks("U0CAROL", "stop backup-feed")
    for button in ("approve", "deny", "withdraw"):
        await stage.presses_late(outsider, needs_approval, button)
    for button in ("confirm", "withdraw"):
        await stage.presses_late(outsider, needs_confirmation, button)
    await stage.quiet()

    assert stage.heard(outsider) == [BARE] * 6
    assert stage.now(needs_approval).buttons == needs_approval.buttons
    assert stage.now(needs_confirmation).buttons == needs_confirmation.buttons
    assert len(stage.replies(needs_approval)) == 1
    assert stage.replies(needs_confirmation) == []
    assert stage.view(outsider) is None
    assert stage.stops() == 0


async def test_the_modal_of_a_stranger_is_answered_as_their_click_is(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    for button in ("add_reason", "type_name"):
        await stage.forges("U0OTHER", card, button)
        view = await stage.opens_for("U0OTHER")
        texts = {name: "let me in" for name, each in view.buttons.items() if each["type"] == "plain_text_input"}
        ack = await stage.slack.people.submit("U0OTHER", view, texts)
        assert (ack.status, ack.problems) == (200, ())
    await stage.quiet()

    assert len(stage.heard("U0OTHER")) == 2
    assert stage.now(card).buttons == card.buttons
    assert stage.select("SELECT count(DISTINCT actor_user) FROM audit WHERE actor_user = 'U0OTHER'") == [(1,)]
    assert stage.stops() == 0


async def test_promise_6_every_refusal_names_the_rule_and_who_could(stage: Stage) -> None:
    workspace = stage.slack.workspace
    workspace.add_person("U0FRANK", "frank")
    workspace.join("C0INCIDENT", "U0FRANK")

    await stage.types("U0FRANK", "stop main-feed")
    await stage.quiet()
    (no_rule,) = stage.heard("U0FRANK")
    assert "No rule lets you stop `main-feed`" in no_rule
    assert "could do it instead" in no_rule
    assert "media-oncall" in no_rule
    assert stage.cards() == []

    card = await stage.asks("U0ALICE", "stop main-feed")
    for button in ("approve", "deny", "withdraw"):
        await stage.presses("U0FRANK", card, button)
    await stage.presses("U0ALICE", card, "approve")
    await stage.quiet()

    approve, deny, withdraw = stage.heard("U0FRANK")[1:]
    (own,) = stage.heard("U0ALICE")
    for refusal in (approve, deny, own):
        assert "on-call stops, a lead approves" in refusal
        assert "media-leads" in refusal
    assert "<@U0ALICE> could do it instead" in withdraw
    assert "rule" in withdraw
    assert stage.now(card).buttons == card.buttons
    assert stage.stops() == 0
