"""Delivery to Slack: in order, postponed and retried after failures, and given up if Slack refuses."""

import asyncio
import dataclasses
import json
import pathlib
from collections.abc import AsyncIterator

import pytest

from bot.commands import deliveries
from bot.lifecycle import records, schedule, transitions
from bot.lifecycle.records import Request
from bot.lifecycle.states import Event, State
from bot.store import store
from bot.usecases import answers, errors
from bot.usecases.errors import ChatRefused, ChatUnavailable
from bot.worker import deliver
from tests.fakes import ALICE, BURNS, CAROL, DAVE, EMERGENCY, POLICY, Desk, in_order, open_desk, policy_of, until

EXPIRE = Event.EXPIRE


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk."""
    async with open_desk(tmp_path) as opened:
        yield opened


async def told(desk: Desk, seen: Request) -> Request:
    """Deliver everything that is due, under a lease like the worker's."""
    await desk.store.claim(seen.id)
    await in_order(desk.telling.tell(seen.id))
    return await desk.now(seen.id)


async def test_the_card_comes_first_and_then_whoever_is_called(desk: Desk) -> None:
    seen = await told(desk, await desk.opened())

    assert desk.chat.journal == ["post_card", "reply"]
    assert (seen.card.ts, seen.card.shown, seen.unsent) == ("1.card", 1, ())


async def test_a_second_telling_finds_nothing_to_do(desk: Desk) -> None:
    seen = await told(desk, await desk.opened())

    assert await told(desk, seen) == seen
    assert len(desk.chat.journal) == 2


@pytest.mark.parametrize(
    ("login", "shared", "unknown", "posted", "state"),
    [
        ("alice", False, False, True, State.PENDING),
        ("alice", True, False, False, State.WITHDRAWN),
        ("alice", False, True, False, State.PENDING),  # until Slack says who sees the channel
        (None, True, False, True, State.PENDING),  # was asked about when it was typed in Slack
    ],
)
async def test_a_card_from_the_host_is_held_to_a_channel_of_our_own(
    desk: Desk, login: str | None, shared: bool, unknown: bool, posted: bool, state: State
) -> None:
    desk.policy = policy_of(f'{POLICY}\n[operators]\nalice = "U0ALICE"\n')
    opened = await desk.opened(actor=dataclasses.replace(ALICE, login=login))
    desk.directory.shared = {"C0INCIDENT"} if shared else set()
    desk.directory.unknown = {"C0INCIDENT"} if unknown else set()

    seen = await told(desk, opened)

    assert ("post_card" in desk.chat.journal, seen.state) == (posted, state)
    assert (seen.tell_failures > 0) == unknown


async def test_the_card_shows_the_newest_state_and_the_trail_keeps_its_order(desk: Desk) -> None:
    opened = await desk.opened()
    await desk.take(desk.click("approve", CAROL, opened.id))
    await desk.calling.call(await desk.now(opened.id))

    seen = await told(desk, opened)

    assert desk.chat.said() == ["asked", "voted", "outcome"]
    assert seen.card.shown == seen.version == desk.chat.cards["1.card"].version


@pytest.mark.parametrize("failure", ["post_card", "edit_card", "reply"])
async def test_a_failure_anywhere_loses_neither_a_word_nor_the_order(desk: Desk, failure: str) -> None:
    seen = await told(desk, await desk.opened()) if failure == "edit_card" else await desk.opened()
    await desk.take(desk.click("approve", CAROL, seen.id))
    desk.chat.troubles[failure].extend([ChatUnavailable("500"), ChatUnavailable("500")])

    for _ in range(3):
        seen = await told(desk, seen)
        desk.clock.turn(10)

    assert desk.chat.said() == ["asked", "voted"]
    assert (seen.card.shown, seen.unsent) == (seen.version, ())


async def test_slack_is_tried_again_later_each_time_and_no_sooner(desk: Desk) -> None:
    seen, waits = await desk.opened(), []
    desk.chat.away = True

    for _ in range(7):
        seen = await told(desk, seen)
        waits.append(seen.tell_at - desk.clock.now())
        tries = len(desk.chat.journal)
        desk.clock.turn(waits[-1] - 0.1)
        await told(desk, seen)
        assert len(desk.chat.journal) == tries
        desk.clock.turn(0.1)

    assert waits == [2.0, 4.0, 7.0, 7.0, 7.0, 7.0, 7.0]


async def test_slacks_own_word_on_when_to_come_back_counts(desk: Desk) -> None:
    desk.chat.troubles["post_card"].append(ChatUnavailable("ratelimited", retry_after=41))

    seen = await told(desk, await desk.opened())

    assert seen.tell_at == desk.clock.now() + 41


async def test_a_post_becomes_a_copy_where_a_click_has_shown_an_earlier_one_meanwhile(desk: Desk) -> None:
    opened = await desk.opened()
    desk.chat.cards["0.seen"] = opened  # posted before; Slack's answer was lost
    storing = asyncio.Event()
    desk.store.before["told"].append(storing)
    telling = asyncio.create_task(told(desk, opened))
    await until(lambda: "told" in desk.store.journal)
    await desk.take(desk.click("withdraw", ALICE, opened.id, on="0.seen"))
    storing.set()

    await in_order(telling)
    seen = await told(desk, opened)

    assert (seen.card.ts, seen.card.shown) == ("0.seen", seen.version)
    assert desk.chat.cards["0.seen"].state is State.WITHDRAWN
    assert [(channel, ts) for channel, ts, _ in desk.chat.retired] == [("C0INCIDENT", "1.card")]


async def test_a_refused_card_ends_the_request_and_tells_its_requester(desk: Desk) -> None:
    opened = await desk.opened()
    desk.chat.troubles["post_card"].append(ChatRefused("not_in_channel"))

    seen = await told(desk, opened)

    assert (seen.state, seen.ending and seen.ending.code) == (State.WITHDRAWN, "not_in_channel")
    assert desk.chat.answered == [answers.CannotPost(channel="C0INCIDENT", code="not_in_channel")]
    assert desk.chat.journal == ["post_card", "answer"]
    assert await desk.store.holder("hk", "flow-1") is None
    assert desk.select("SELECT state FROM inbox") == [("done",)]


async def test_a_refused_card_is_told_of_later_when_slack_is_away_for_the_answer(desk: Desk) -> None:
    opened = await desk.opened()
    desk.chat.troubles["post_card"].append(ChatRefused("not_in_channel"))
    desk.chat.troubles["answer"].append(ChatUnavailable("500"))

    await told(desk, opened)

    assert desk.select("SELECT state, due_at - ? FROM inbox", desk.clock.now()) == [("decided", deliver.ANSWER_AGAIN)]


async def test_a_click_that_comes_before_the_end_of_a_refused_card_is_a_conflict(desk: Desk) -> None:
    opened, gate = await desk.opened(), asyncio.Event()
    desk.chat.troubles["post_card"].append(ChatRefused("not_in_channel"))
    desk.store.before["commit"].append(gate)
    tell = asyncio.create_task(desk.telling.tell(opened.id))
    await until(lambda: "card refused by Slack" in desk.store.journal)
    await desk.take(desk.click("deny", CAROL, opened.id))
    gate.set()

    with pytest.raises(errors.Conflict):
        await tell

    assert (await desk.now(opened.id)).state is State.DENIED


async def test_a_card_refused_for_a_request_that_runs_is_not_asked_for_again(desk: Desk) -> None:
    opened = await desk.opened()
    await desk.take(desk.click("approve", CAROL, opened.id))
    await desk.calling.save(transitions.begin(await desk.now(opened.id), at=1.0), "call begins")
    desk.chat.troubles["post_card"].extend([ChatRefused("not_in_channel")] * 3)

    await told(desk, opened)
    tries = desk.chat.journal.count("post_card")
    await told(desk, opened)

    assert desk.chat.journal.count("post_card") == tries == 1


async def ended(desk: Desk, over: str) -> Request:
    """Return a request that ended before its card was posted."""
    opened = await desk.opened()
    event, said = (
        (Event.DENY, records.ReplyKind.DENIED) if over == State.DENIED else (EXPIRE, records.ReplyKind.EXPIRED)
    )
    await desk.calling.save(transitions.end(opened, event, records.Ending(actor=None, at=1.0), said=said), over)
    return await desk.now(opened.id)


@pytest.mark.parametrize("over", [State.EXPIRED, State.DENIED])
async def test_whoever_asked_for_what_ended_before_its_card_stood_is_told_once_in_a_dm(desk: Desk, over: State) -> None:
    seen = await ended(desk, over)

    seen = await told(desk, seen)
    await told(desk, seen)

    assert desk.chat.journal == ["answer"]
    (answer,), (asked,) = desk.chat.answered, desk.chat.asked
    assert isinstance(answer, answers.NeverShown)
    assert (answer.state, answer.card.request_id) == (over, seen.id)
    assert isinstance(asked.arrival, deliveries.Typed)
    assert (asked.actor, asked.arrival.channel) == (ALICE, "")  # nowhere to whisper: a DM
    assert seen.card.ts == schedule.NO_CARD


async def test_a_dm_that_slack_did_not_take_comes_later_and_one_that_it_refuses_does_not(desk: Desk) -> None:
    seen = await ended(desk, State.EXPIRED)
    desk.chat.troubles["answer"].extend([ChatUnavailable("500"), ChatRefused("user_not_found")])

    seen = await told(desk, seen)
    assert (seen.card.ts, seen.tell_at) == (None, desk.clock.now() + 2)
    desk.clock.turn(2)
    seen = await told(desk, seen)

    assert (seen.card.ts, desk.chat.journal) == (schedule.NO_CARD, ["answer", "answer"])


async def test_a_day_without_slack_is_waited_out(desk: Desk) -> None:
    seen = await desk.opened()
    desk.chat.away = True
    for _ in range(1500):
        await desk.store.told(transitions.not_shown(await desk.now(seen.id), again_at=desk.clock.now()))

    seen = await told(desk, seen)

    assert (seen.tell_failures, seen.tell_at) == (1501, desk.clock.now() + deliver.AGAIN_AT_MOST)


async def test_a_refused_edit_is_not_asked_for_again(desk: Desk) -> None:
    seen = await told(desk, await desk.opened())
    desk.chat.cards.clear()
    await desk.take(desk.click("deny", DAVE, seen.id))

    seen = await told(desk, seen)

    assert (seen.card.shown, seen.unsent) == (seen.version, ())
    assert desk.chat.journal.count("edit_card") == 1


async def test_an_end_that_a_gone_channel_does_not_take_reaches_its_requester_in_a_dm(desk: Desk) -> None:
    seen = await told(desk, await desk.opened())
    desk.chat.cards.clear()
    await desk.take(desk.click("deny", DAVE, seen.id))

    await told(desk, seen)

    assert [(user, reply.said.value) for user, reply in desk.chat.private] == [("U0ALICE", "denied")]


async def test_what_ended_nothing_is_not_told_in_a_dm(desk: Desk) -> None:
    seen = await told(desk, await desk.opened())
    desk.chat.troubles["reply"].append(ChatRefused("channel_not_found"))
    await desk.take(desk.click("approve", CAROL, seen.id))

    await told(desk, seen)

    assert desk.chat.private == []


@pytest.mark.parametrize("trouble", [ChatRefused("user_not_found"), ChatUnavailable("500")])
async def test_a_dm_that_fails_is_given_up_only_where_slack_refuses_it(desk: Desk, trouble: errors.ChatError) -> None:
    seen = await told(desk, await desk.opened())
    await desk.take(desk.click("deny", DAVE, seen.id))
    desk.chat.troubles["reply"].extend([ChatRefused("channel_not_found")] * 2)
    desk.chat.troubles["reply_privately"].append(trouble)

    seen = await told(desk, seen)
    assert len(seen.unsent) == isinstance(trouble, ChatUnavailable)
    desk.clock.turn(5)
    await told(desk, seen)

    assert len(desk.chat.private) == isinstance(trouble, ChatUnavailable)


async def test_a_refused_reply_does_not_keep_the_next_from_being_told(desk: Desk) -> None:
    desk.chat.troubles["reply"].append(ChatRefused("restricted_action"))
    opened = await desk.opened()
    await desk.take(desk.click("approve", CAROL, opened.id))

    await told(desk, opened)

    assert desk.chat.said() == ["voted"]


async def test_the_requester_elsewhere_gets_the_link_once(desk: Desk) -> None:
    taken = await desk.take(desk.typed(channel="C0RANDOM"))

    seen = await told(desk, await desk.now(str(taken.request_id)))

    assert [answer.kind for answer in desk.chat.answered] == ["opened"]
    assert isinstance(desk.chat.answered[0], answers.Opened)
    assert desk.chat.answered[0].card.ts == seen.card.ts
    assert seen.unsent == ()


async def test_an_edit_that_is_overtaken_is_followed_by_another(desk: Desk) -> None:
    desk.policy = policy_of(POLICY.replace("approvals = 1", "approvals = 2"))
    seen, gate = await told(desk, await desk.opened()), asyncio.Event()
    await desk.take(desk.click("approve", CAROL, seen.id))
    desk.chat.troubles["edit_card"].append(gate)
    tell = asyncio.create_task(desk.telling.tell(seen.id))
    await until(lambda: "edit_card" in desk.chat.journal)
    await desk.take(desk.click("approve", DAVE, seen.id))
    gate.set()
    await in_order(tell)

    seen = await desk.now(seen.id)
    assert desk.chat.cards["1.card"].version == seen.card.shown == seen.version == 3


async def test_a_request_that_is_nowhere_has_nothing_to_tell(desk: Desk) -> None:
    await desk.telling.tell("no such")

    assert desk.chat.journal == []


async def test_an_answer_that_slack_took_is_done(desk: Desk) -> None:
    entry = desk.typed()
    await desk.store.record([entry])

    assert await desk.telling.answer(entry, answers.NoSuchRequest()) is None
    assert desk.select("SELECT state FROM inbox") == [("done",)]


@pytest.mark.parametrize(("retry_after", "wait"), [(None, deliver.ANSWER_AGAIN), (33.0, 33.0)])
async def test_an_answer_that_slack_did_not_take_is_put_off(desk: Desk, retry_after: float | None, wait: float) -> None:
    entry = desk.typed()
    await desk.store.record([entry])
    desk.chat.troubles["answer"].append(ChatUnavailable("429", retry_after=retry_after))

    assert await desk.telling.answer(entry, answers.NoSuchRequest()) == desk.clock.now() + wait
    assert desk.select("SELECT state, due_at FROM inbox") == [("received", desk.clock.now() + wait)]


async def test_an_answer_that_slack_refuses_is_given_up(desk: Desk) -> None:
    entry = desk.typed(actor=ALICE)
    await desk.store.record([entry])
    desk.chat.troubles["answer"].append(ChatRefused("user_not_found"))

    assert await desk.telling.answer(entry, answers.NoSuchRequest()) is None
    assert desk.select("SELECT state FROM inbox") == [("done",)]


async def test_a_card_is_never_posted_under_two_names(desk: Desk) -> None:
    opened = await desk.opened()
    desk.store.before["told"].append(errors.NotRecorded("away"))

    with pytest.raises(errors.NotRecorded):
        await desk.telling.tell(opened.id)
    seen = await told(desk, opened)

    assert seen.card == dataclasses.replace(seen.card, ts="2.card", shown=1)  # at least once, as §4 says


@pytest.mark.parametrize(("refused", "channel"), [(0, "C0INCIDENT"), (1, "C0HOME")])
async def test_an_announcement_that_a_channel_refuses_holds_up_nothing_and_is_in_the_audit(
    desk: Desk, refused: int, channel: str
) -> None:
    desk.policy = policy_of(EMERGENCY.replace('["C0INCIDENT"]', '["C0HOME", "C0INCIDENT"]'))
    opened, taken = await desk.opened(BURNS), asyncio.Event()
    taken.set()
    desk.chat.troubles["reply"].extend([taken] * refused + [ChatRefused("not_in_channel")])
    announced: list[str] = []

    await in_order(desk.telling.tell(opened.id, announced=lambda: announced.append("once")))

    assert len(announced) == 2
    assert desk.chat.said() == [["announced"], ["emergency"]][refused]
    assert (await desk.now(opened.id)).unsent == ()
    (facts,) = desk.select("SELECT facts FROM audit WHERE what = 'announcement refused by Slack'")[0]
    assert json.loads(facts) == {"emergency": True, "channel": channel, "code": "not_in_channel"}


async def test_whoever_asked_for_what_gave_way_hears_of_it_wherever(desk: Desk) -> None:
    desk.policy = policy_of(EMERGENCY)
    pending = await told(desk, await desk.opened("stop flow-1"))
    await desk.opened(BURNS)
    desk.chat.troubles["reply"].append(ChatRefused("not_in_channel"))

    await told(desk, pending)

    assert [(user, reply.said.value) for user, reply in desk.chat.private] == [("U0ALICE", "superseded")]


async def test_an_announcement_that_slack_does_not_take_holds_back_no_version_of_the_card(desk: Desk) -> None:
    desk.policy = policy_of(EMERGENCY)
    opened = await desk.opened(BURNS)
    desk.chat.troubles["reply"].extend([ChatUnavailable("500")] * 6)
    await told(desk, opened)
    await desk.take(desk.click("emergency_first", ALICE, opened.id))

    desk.clock.turn(deliver.AGAIN)
    seen = await told(desk, opened)

    assert desk.chat.said() == []
    assert seen.card.shown == seen.version
    for _ in range(6):
        assert seen.tell_at - desk.clock.now() <= deliver.AGAIN
        desk.clock.turn(deliver.AGAIN)
        seen = await told(desk, seen)
    assert desk.chat.said() == ["emergency", "pressed_first"]


async def test_a_card_that_slack_does_not_edit_holds_back_no_announcement(desk: Desk) -> None:
    desk.policy = policy_of(EMERGENCY)
    opened = await desk.opened(BURNS)
    desk.chat.troubles["edit_card"].extend([ChatUnavailable("500")] * 3)
    await desk.take(desk.click("emergency_first", ALICE, opened.id))

    seen = await told(desk, opened)
    for _ in range(4):
        desk.clock.turn(deliver.AGAIN)
        seen = await told(desk, seen)

    assert desk.chat.said() == ["emergency", "pressed_first"]
    assert seen.card.shown == seen.version


async def test_nothing_is_told_under_a_lease_that_may_be_another_replicas(desk: Desk) -> None:
    seen = await desk.opened()
    desk.store.stopped = store.LEASE - deliver.LEASE_NEEDED + 1

    with pytest.raises(errors.LeaseLost):
        await desk.telling.tell(seen.id)

    assert desk.chat.journal == []
    await told(desk, seen)
    assert desk.chat.journal == ["post_card", "reply"]


async def test_a_card_that_always_meets_an_error_ends_its_request_tells_its_requester_once_and_is_left_alone(
    desk: Desk,
) -> None:
    desk.chat.troubles["post_card"].extend([RuntimeError("nobody foresaw this")] * 50)
    entry = desk.typed("stop flow-1")
    await desk.store.record([entry])
    desk.worker.wake_entry(entry)
    for _ in range(30):
        await desk.worker.settle()
        desk.clock.turn(600.0)

    assert desk.chat.journal.count("post_card") == deliver.UNEXPECTED_TRIES
    assert [type(answer) for answer in desk.chat.answered] == [answers.Unexpected]
    assert desk.chat.asked[0].actor.user == ALICE.user
    assert desk.chat.replies == []  # its thread never was: what it would have said stays on record
    assert desk.select("SELECT state, due_at, lease_owner FROM requests") == [("withdrawn", None, None)]
