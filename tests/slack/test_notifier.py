"""The notifier: which method sends what, by which reply handle, and what failures mean."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.commands.deliveries import Actor, Arrival, Button, Clicked, Entry, Modal, Submitted, Typed
from bot.commands.verbs import Verb
from bot.lifecycle import records, transitions
from bot.lifecycle.records import Card, OutcomeKind, Reply, ReplyKind
from bot.lifecycle.states import PROGRESS, Progress, State
from bot.playground import world
from bot.playground.slack.grants import TRIGGER_SECONDS
from bot.playground.slack.server import SlackStandIn
from bot.slack.installation import Installation
from bot.slack.messages import modals
from bot.slack.messages.message import tell
from bot.slack.notifier import Notifier
from bot.slack.pacing import Pacer
from bot.slack.reply_handles import ReplyHandles
from bot.usecases import answers, errors, visibility
from tests.fakes import MAIN, FakeClock, in_order, until

HERE = "C0INCIDENT"
SEEN = records.Request(
    id="r1",
    verb=Verb.STOP,
    project="hk",
    flow=MAIN,
    requester=Actor(team="T0PLAYGROUND", user="U0ALICE"),
    reason=None,
    dry_run=False,
    asked_in=HERE,
    asked_at=100.0,
    expires_at=1900.0,
    terms=records.Terms(rule="r", rule_text="", policy_hash="0", approvals=1, mentions=("U0CAROL",)),
    card=Card(channel=HERE),
)
ASKED = Reply(seq=1, said=ReplyKind.ASKED, at=100.0, needed=1)


class Speaking:
    """A notifier on the stand-in for Slack."""

    def __init__(self, slack: SlackStandIn, clock: FakeClock, session: aiohttp.ClientSession) -> None:
        self.slack, self.clock = slack, clock
        self.reply_handles = ReplyHandles(clock=clock)
        self.counted: list[str] = []
        client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])
        self.notifier = Notifier(
            client=client,
            session=session,
            installation=Installation(client=client),
            reply_handles=self.reply_handles,
            pacer=Pacer(clock=clock),
            count=self.counted.append,
        )

    async def posted(self) -> records.Request:
        """Post the card and return the request with its `ts`."""
        ts = await self.notifier.post_card(SEEN)
        return records.Request(**{**vars(SEEN), "card": Card(channel=HERE, ts=ts, shown=1)})

    def methods(self) -> list[str]:
        """Return the calls, without `auth.test`."""
        return [call.method for call in self.slack.workspace.calls if call.method != "auth.test"]


@pytest.fixture
async def speaking() -> AsyncIterator[Speaking]:
    """Open a notifier on the sample workspace."""
    clock = FakeClock()
    async with SlackStandIn(clock=clock) as slack, aiohttp.ClientSession() as session:
        world.settle(slack)
        yield Speaking(slack, clock, session)


def entry(arrival: Arrival | None = None, user: str = "U0ALICE") -> Entry:
    """Return an entry."""
    typed = arrival or Typed(text="stop x", channel=HERE)
    return Entry(key="k", actor=Actor(team="T0PLAYGROUND", user=user), arrival=typed, received_at=1.0)


async def response_url(speaking: Speaking, user: str = "U0ALICE") -> str:
    """Return a `response_url` as Slack issues it."""
    speaking.slack.connect("http://127.0.0.1:9/")
    ack = await speaking.slack.people.command(user, HERE, "help")
    assert ack.sent is not None
    return parse_qs(ack.sent.body.decode())["response_url"][0]


async def test_a_card_is_posted_edited_and_replied_to(speaking: Speaking) -> None:
    seen = await speaking.posted()
    await speaking.notifier.edit_card(seen)
    await speaking.notifier.reply(seen, ASKED)

    card = speaking.slack.workspace.message(HERE, str(seen.card.ts))
    assert card is not None
    assert set(card.buttons) == {"approve", "deny", "withdraw"}
    assert "<@U0CAROL>" in speaking.slack.workspace.thread(card)[0].plain
    assert speaking.methods() == ["chat.postMessage", "chat.update", "chat.postMessage"]


async def test_an_edit_keeps_text_and_blocks_and_is_the_same_twice(speaking: Speaking) -> None:
    seen = await speaking.posted()
    before = speaking.slack.workspace.message(HERE, str(seen.card.ts))

    for _ in range(2):
        await speaking.notifier.edit_card(seen)

    after = speaking.slack.workspace.message(HERE, str(seen.card.ts))
    assert before is not None
    assert after is not None
    assert (after.text, after.blocks) == (before.text, before.blocks)


async def test_nothing_that_is_posted_unfurls(speaking: Speaking) -> None:
    await speaking.posted()

    args = speaking.slack.workspace.called("chat.postMessage")[0].args
    assert (args["unfurl_links"], args["unfurl_media"]) == (False, False)


async def test_a_lost_answer_is_not_posted_again_by_itself(speaking: Speaking) -> None:
    speaking.slack.faults.drop_after("chat.postMessage")

    with pytest.raises(errors.ChatUnavailable):
        await speaking.notifier.post_card(SEEN)

    assert len(speaking.slack.workspace.messages(HERE)) == 1


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        ({"ratelimit": {"retry_after": 9}}, errors.ChatUnavailable),
        ({"server_error": {}}, errors.ChatUnavailable),
        ({"drop_before": {}}, errors.ChatUnavailable),
        ({"error": {"code": "not_in_channel"}}, errors.ChatRefused),
        ({"lacks": {"names": ("ts",)}}, errors.ChatUnavailable),
    ],
)
async def test_a_failure_is_a_value_of_ours(
    speaking: Speaking, trouble: dict[str, dict[str, Any]], kind: type[errors.ChatError]
) -> None:
    ((fault, options),) = trouble.items()
    getattr(speaking.slack.faults, fault)("chat.postMessage", *options.pop("names", ()), **options)

    with pytest.raises(kind) as raised:
        await speaking.notifier.post_card(SEEN)

    assert getattr(raised.value, "retry_after", None) == (9.0 if fault == "ratelimit" else None)


async def test_a_person_is_told_by_the_way_back_first(speaking: Speaking) -> None:
    speaking.reply_handles.remember("k", response_url=await response_url(speaking), trigger_id=None)

    await speaking.notifier.answer(entry(), answers.NoSuchRequest())

    assert speaking.methods() == ["response_url"]
    posted = speaking.slack.workspace.called("response_url")[0].args
    assert (posted["response_type"], posted["replace_original"]) == ("ephemeral", False)


@pytest.mark.parametrize("trouble", ["gone", "drop", "500"])
async def test_a_failing_response_url_leads_to_an_ephemeral(speaking: Speaking, trouble: str) -> None:
    url = await response_url(speaking)
    if trouble == "drop":
        speaking.slack.faults.drop_before("response_url", times=None)
    elif trouble == "500":
        speaking.slack.faults.server_error("response_url")
    speaking.reply_handles.remember("k", response_url=url + ("x" if trouble == "gone" else ""), trigger_id=None)

    await speaking.notifier.answer(entry(), answers.NoSuchRequest())

    assert speaking.methods()[-1] == "chat.postEphemeral"
    told = speaking.slack.workspace.ephemerals("U0ALICE", HERE)
    assert [one.user for one in told].count("U0FLOWBOT") == 1


@pytest.mark.parametrize(
    "arrival",
    [
        Typed(text="stop x", channel="C0UNKNOWN"),
        Clicked(button=Button.APPROVE, request_id="r", channel="", message_ts=None),
        Submitted(modal=Modal.ADD_REASON, request_id="r", reason="x"),
    ],
)
async def test_without_a_place_a_person_is_told_in_a_direct_message(speaking: Speaking, arrival: Arrival) -> None:
    await speaking.notifier.answer(entry(arrival), answers.NoSuchRequest())

    assert speaking.methods()[-1] == "chat.postMessage"
    assert speaking.slack.workspace.messages("D0ALICE")


async def test_an_answer_that_slack_does_not_take_now_is_not_told_elsewhere(speaking: Speaking) -> None:
    speaking.slack.faults.ratelimit("chat.postEphemeral", retry_after=4)

    with pytest.raises(errors.ChatUnavailable):
        await speaking.notifier.answer(entry(), answers.NoSuchRequest())

    assert speaking.methods() == ["chat.postEphemeral"]


async def test_an_answer_that_cannot_reach_anybody_is_refused(speaking: Speaking) -> None:
    with pytest.raises(errors.ChatRefused):
        await speaking.notifier.answer(entry(user="U0ROBOT2"), answers.NoSuchRequest())


async def test_what_needs_no_words_says_nothing(speaking: Speaking) -> None:
    await speaking.notifier.answer(entry(), answers.Noted(what="nothing to add"))

    assert speaking.methods() == []


async def test_whoever_denied_is_asked_why_while_there_is_time(speaking: Speaking) -> None:
    trigger = speaking.slack.people._triggers.issue("U0CAROL")
    speaking.reply_handles.remember("k", response_url=None, trigger_id=trigger)
    asked = answers.DenyReasonAsked(request_id="r1", flow="main-feed")

    await speaking.notifier.answer(entry(user="U0CAROL"), asked)
    await speaking.notifier.answer(entry(user="U0CAROL"), asked)

    view = speaking.slack.workspace.top_view("U0CAROL")
    assert view is not None
    assert view.content["private_metadata"] == "r1"
    assert speaking.methods() == ["views.open"]


async def test_whoever_may_review_is_asked_in_a_modal_and_told_to_press_again_where_it_did_not_open(
    speaking: Speaking,
) -> None:
    trigger = speaking.slack.people._triggers.issue("U0CAROL")
    speaking.reply_handles.remember("k", response_url=None, trigger_id=trigger)
    asked = answers.ReviewAsked(request_id="r1", verb=Verb.STOP, flow="main-feed")
    pressed = entry(Clicked(button=Button.REVIEW, request_id="r1", channel=HERE, message_ts="1.0"), user="U0CAROL")

    await speaking.notifier.answer(pressed, asked)
    assert speaking.methods() == ["views.open"]
    view = speaking.slack.workspace.top_view("U0CAROL")
    assert view is not None
    assert (view.content["callback_id"], view.content["private_metadata"]) == (Modal.REVIEW, "r1")

    await speaking.notifier.answer(pressed, asked)
    assert "press “Review” on its card again" in speaking.slack.workspace.ephemerals("U0CAROL", HERE)[0].plain


async def test_an_emergency_is_told_in_the_thread_and_channel_and_announced_in_the_home_channel_by_itself(
    speaking: Speaking,
) -> None:
    emergency = records.Emergency(members=("media-leads",), passed_over=("media-leads",), announced_in="C0RANDOM")
    seen = dataclasses.replace(await speaking.posted(), emergency=emergency)
    urgent = Reply(seq=1, said=ReplyKind.EMERGENCY, at=100.0)

    first = await speaking.notifier.reply(seen, urgent)
    home = await speaking.notifier.reply(seen, dataclasses.replace(urgent, seq=2, said=ReplyKind.ANNOUNCED))

    here = speaking.slack.workspace.message(HERE, first)
    there = speaking.slack.workspace.message("C0RANDOM", home)
    assert here is not None
    assert there is not None
    assert (here.thread_ts, here.broadcast) == (seen.card.ts, True)
    assert there.thread_ts is None
    assert "EMERGENCY: " in there.plain


@pytest.mark.parametrize("trouble", ["late", "error", "drop"])
async def test_a_modal_that_does_not_open_is_told_and_raises_nothing(speaking: Speaking, trouble: str) -> None:
    trigger = speaking.slack.people._triggers.issue("U0CAROL")
    speaking.reply_handles.remember("k", response_url=None, trigger_id=trigger)
    if trouble == "late":
        speaking.clock.turn(TRIGGER_SECONDS)
    elif trouble == "error":
        speaking.slack.faults.error("views.open", "expired_trigger_id")
    else:
        speaking.slack.faults.drop_before("views.open", times=None)

    assert await speaking.notifier.open_modal("k", modals.add_reason("e1")) is False


async def test_words_for_one_person_are_seen_by_nobody_else(speaking: Speaking) -> None:
    await speaking.notifier.say_to(entry(), tell("only for you"))

    assert speaking.slack.workspace.ephemerals("U0BOB", HERE) == []
    assert not speaking.slack.workspace.messages(HERE)


async def test_an_end_is_told_to_its_requester_in_a_dm(speaking: Speaking) -> None:
    seen = await speaking.posted()

    await speaking.notifier.reply_privately(seen, dataclasses.replace(ASKED, said=ReplyKind.EXPIRED))

    (dm,) = speaking.slack.workspace.messages("D0ALICE")
    assert "expired" in dm.plain


async def test_a_copy_of_a_card_becomes_a_link_without_buttons(speaking: Speaking) -> None:
    copy, seen = await speaking.posted(), await speaking.posted()

    await speaking.notifier.retire_copy(HERE, str(copy.card.ts), visibility.card_link(seen))

    stands = speaking.slack.workspace.message(HERE, str(copy.card.ts))
    assert stands is not None
    assert not stands.buttons
    assert f"p{str(seen.card.ts).replace('.', '')}|" in stands.plain


@pytest.mark.parametrize(
    ("said", "how", "wide"),
    [
        (ReplyKind.OUTCOME, OutcomeKind.DONE, False),
        (ReplyKind.OUTCOME, OutcomeKind.REFUSED, True),
        (ReplyKind.OUTCOME, OutcomeKind.LOST, True),
        (ReplyKind.CHANGED, OutcomeKind.DONE, True),
        (ReplyKind.GIVEN_UP, OutcomeKind.LOST, True),
        (ReplyKind.ASKED, None, False),
    ],
)
async def test_the_channel_hears_what_failed_what_nobody_knows_and_what_did_not_last(
    speaking: Speaking, said: ReplyKind, how: OutcomeKind | None, wide: bool
) -> None:
    seen = await speaking.posted()
    if how is not None:
        operation = records.Operation(progress=progress_of(how), outcome=records.Outcome(how=how, status="STANDBY"))
        seen = dataclasses.replace(seen, state=State.APPROVED, operation=operation)

    await speaking.notifier.reply(seen, dataclasses.replace(ASKED, said=said))

    assert bool(speaking.slack.workspace.called("chat.postMessage")[-1].args.get("reply_broadcast")) is wide


def progress_of(how: OutcomeKind) -> Progress:
    """Return the progress that an outcome leads to."""
    return PROGRESS[Progress.RUNNING, transitions.STEP_OF[how]]


async def test_messages_of_a_channel_are_paced_and_edits_are_not(speaking: Speaking) -> None:
    seen = await speaking.posted()
    for _ in range(9):
        await speaking.notifier.reply(seen, ASKED)
    for _ in range(5):
        await speaking.notifier.edit_card(seen)
    eleventh = asyncio.create_task(speaking.notifier.reply(seen, ASKED))
    await until(lambda: speaking.clock._sleepers)
    assert len(speaking.slack.workspace.called("chat.postMessage")) == 10

    speaking.clock.turn(1)
    await in_order(eleventh)
    assert len(speaking.slack.workspace.called("chat.postMessage")) == 11


async def test_a_post_whose_answer_is_lost_and_a_click_on_a_copy_are_counted(speaking: Speaking) -> None:
    speaking.slack.faults.drop_after("chat.postMessage")

    with pytest.raises(errors.ChatUnavailable):
        await speaking.notifier.post_card(SEEN)
    seen = await speaking.posted()
    copy = speaking.slack.workspace.messages(HERE)[0]
    await speaking.notifier.retire_copy(HERE, copy.ts, visibility.card_link(seen))

    assert speaking.counted == ["post unanswered", "copy clicked"]
