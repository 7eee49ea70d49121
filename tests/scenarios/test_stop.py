"""The usual case, from the command to the outcome in the thread."""

from tests.scenarios.conftest import Stage


async def test_a_lead_confirms_alone_and_the_flow_stops(stage: Stage) -> None:
    card = await stage.asks("U0CAROL", "stop main-feed because the encoder loops")

    await stage.presses("U0CAROL", card, "confirm")

    outcome = await stage.thread_says(card, "STANDBY")
    assert "<@U0CAROL>" in outcome.plain
    assert not (await stage.settles(card)).buttons
    assert stage.stops() == 1


async def test_one_approval_of_another_person_stops_the_flow(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")

    await stage.presses("U0DAVE", card, "approve")

    await stage.thread_says(card, "STANDBY")
    assert stage.stops() == 1


async def test_the_requester_cannot_approve_their_own_request(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")

    await stage.presses("U0ALICE", card, "approve")

    refusal = await stage.told("U0ALICE", "your own")
    assert "on-call stops, a lead approves" in refusal.plain
    assert stage.now(card).buttons
    assert stage.stops() == 0
