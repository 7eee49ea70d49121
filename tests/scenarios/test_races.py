"""Races: whatever is repeated, one request opens, one outcome counts, and everybody is answered."""

import asyncio

import pytest

from tests.fakes import FakeClock
from tests.scenarios.conftest import MAIN, PATIENCE, Stage

MANY = 20


@pytest.mark.parametrize("people", [("U0DAVE",), ("U0DAVE", "U0CAROL")], ids=["one person", "two people"])
async def test_promise_2_one_approval_at_most_one_effective_stop(stage: Stage, people: tuple[str, ...]) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")

    clicks = [stage.presses_late(people[n % len(people)], card, "approve") for n in range(MANY)]
    acks = await asyncio.gather(*clicks)
    await stage.thread_says(card, "STANDBY")
    await stage.quiet()

    assert {ack.status for ack in acks} == {200}
    assert stage.stops() == 1
    assert len([reply for reply in stage.replies(card) if "approved the stop" in reply]) == 1
    assert len(stage.replies(card)) == 3
    assert sum(len(stage.heard(person)) for person in people) == MANY - 1


async def test_of_many_confirmations_at_once_one_counts(stage: Stage) -> None:
    card = await stage.asks("U0CAROL", "stop main-feed")

    await asyncio.gather(*(stage.presses_late("U0CAROL", card, "confirm") for _ in range(MANY)))
    await stage.thread_says(card, "STANDBY")
    await stage.quiet()

    assert stage.stops() == 1
    assert len(stage.replies(card)) == 2
    assert len(stage.heard("U0CAROL")) == MANY - 1


async def test_of_an_approval_and_a_denial_at_once_one_wins(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")

    await asyncio.gather(stage.presses_late("U0DAVE", card, "approve"), stage.presses_late("U0CAROL", card, "deny"))
    await stage.settles(card)
    await stage.quiet()

    denied = "denied by <@U0CAROL>" in stage.reads(card)
    loser = "U0DAVE" if denied else "U0CAROL"
    winner = "U0CAROL" if denied else "U0DAVE"
    (answer,) = stage.heard(loser)
    assert "changed nothing" in answer
    assert stage.heard(winner) == []
    assert stage.stops() == (0 if denied else 1)
    assert denied or "STANDBY" in stage.reads(card)


async def test_a_delivery_that_is_repeated_acts_once(stage: Stage) -> None:
    first = await stage.types("U0ALICE", "stop main-feed")
    later = [await stage.slack.people.replay(first) for _ in range(2)]
    later += await asyncio.gather(*(stage.slack.people.replay(first) for _ in range(3)))
    await stage.quiet()
    (card,) = stage.cards()

    click = await stage.presses("U0DAVE", card, "approve")
    later += [await stage.slack.people.replay(click) for _ in range(2)]
    later += await asyncio.gather(*(stage.slack.people.replay(click) for _ in range(3)))
    await stage.thread_says(card, "STANDBY")
    await stage.quiet()

    assert [(ack.status, ack.body) for ack in later] == [(200, "")] * 10
    assert len(stage.cards()) == 1
    assert stage.heard("U0ALICE") == []
    assert stage.heard("U0DAVE") == []
    assert stage.recorded() == 2
    assert stage.stops() == 1


async def test_a_delivery_that_comes_five_times_at_once_acts_once(stage: Stage) -> None:
    workspace = stage.slack.workspace
    fields = {
        "command": "/flow",
        "text": "stop main-feed",
        "team_id": workspace.team_id,
        "user_id": "U0ALICE",
        "channel_id": "C0INCIDENT",
        "trigger_id": "1.one-and-the-same",
    }

    acks = await asyncio.gather(*(stage.delivers(fields) for _ in range(5)))
    await stage.quiet()

    assert sorted(len(ack.body) > 0 for ack in acks) == [False] * 4 + [True]
    assert {ack.status for ack in acks} == {200}
    assert len(stage.cards()) == 1
    assert stage.recorded() == 1


async def test_a_second_request_for_the_flow_leads_to_the_open_card(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.quiet()  # by now the bot has stored where its card is
    link = f"/archives/{card.channel}/p{card.ts.replace('.', '')}|"
    await stage.quiet()  # the card is linked once its place is stored, shortly after Slack shows it

    await stage.types("U0BOB", "stop main-feed because of me too")
    await stage.types("U0BOB", f"stop {MAIN}", channel="C0RANDOM")
    await stage.quiet()

    assert len(stage.heard("U0BOB")) == 2
    assert all(link in answer and "is already open" in answer for answer in stage.heard("U0BOB"))
    assert len(stage.cards()) == 1
    assert "me too" not in stage.reads(card)
    assert stage.stops() == 0


async def test_typing_the_same_is_no_vote(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")

    await stage.types("U0DAVE", "stop main-feed")
    await stage.quiet()

    assert "is already open" in stage.heard("U0DAVE")[0]
    assert "0 of 1" in stage.reads(card)
    assert stage.stops() == 0


async def test_requests_that_are_typed_at_once_open_one_card(stage: Stage) -> None:
    names = ("main-feed", MAIN)
    await asyncio.gather(*(stage.types("U0ALICE", f"stop {names[n % 2]}") for n in range(MANY)))
    await stage.quiet()

    assert len(stage.cards()) == 1
    assert len(stage.heard("U0ALICE")) == MANY - 1


async def test_after_the_end_a_new_request_opens(stage: Stage) -> None:
    for button, user in (("deny", "U0DAVE"), ("withdraw", "U0ALICE")):
        card = await stage.asks("U0ALICE", "stop main-feed")
        await stage.presses(user, card, button)
        await stage.settles(card)
        await stage.quiet()

    last = await stage.asks("U0ALICE", "stop main-feed")
    assert len(stage.cards()) == 3
    assert "0 of 1" in stage.reads(last)


async def test_flows_do_not_wait_for_each_other(stage: Stage) -> None:
    let_go = asyncio.Event()
    stage.put_fails(hold=let_go, effect=True)
    held = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", held, "approve")
    await stage.live.until(lambda live: bool(live.calls_of("PUT", "/flows/stop")), timeout=PATIENCE)
    stage.live.faults.clear()

    other = await stage.asks("U0BOB", "stop backup-feed", others_wait=True)
    await stage.presses("U0CAROL", other, "approve")
    await stage.thread_says(other, "STANDBY")

    assert "STANDBY" not in stage.reads(held)
    let_go.set()
    await stage.thread_says(held, "STANDBY")
    assert stage.stops() == 2


@pytest.mark.parametrize("noted_after", [0.5, 1.5])
async def test_who_joins_while_a_card_is_being_posted_gets_its_link(
    stage: Stage, clock: FakeClock, noted_after: float
) -> None:
    await stage.quiet()
    stage.slack.faults.hold("chat.postMessage", let_post := asyncio.Event(), after=True)
    await stage.types("U0ALICE", "stop main-feed")
    card = (await stage.slack.until(lambda _: stage.cards() or None, timeout=PATIENCE))[0]
    await stage.types("U0CAROL", "stop main-feed")
    await stage.ticks(lambda: stage.select("SELECT 1 FROM inbox WHERE state = 'decided'"), most=0.2)
    assert stage.heard("U0CAROL") == []

    clock.turn(noted_after)
    let_post.set()
    await stage.quiet()

    (told,) = stage.heard("U0CAROL")
    assert "already open" in told
    assert f"/archives/{card.channel}/p{card.ts.replace('.', '')}" in told


async def test_who_joins_while_slack_takes_no_card_is_told_after_two_seconds(stage: Stage) -> None:
    await stage.quiet()
    stage.slack.faults.hold("chat.postMessage", let_post := asyncio.Event())
    await stage.types("U0ALICE", "stop main-feed")
    await stage.ticks(lambda: stage.select("SELECT 1 FROM requests"), most=5)
    await stage.types("U0CAROL", "stop main-feed")

    waited = await stage.ticks(lambda: stage.heard("U0CAROL"), most=5)

    (told,) = stage.heard("U0CAROL")
    assert "its card in <#C0INCIDENT>" in told
    assert 2 <= waited <= 2.5
    let_post.set()
