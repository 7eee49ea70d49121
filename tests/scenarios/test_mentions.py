"""A mention as the first word of a message: the only door inside threads, where Slack bars slash commands."""

import json
from typing import Any

import pytest

from bot.playground import world
from bot.playground.slack import payloads
from bot.playground.slack.acks import Ack
from bot.playground.slack.records import PostedMessage
from tests.scenarios import policies
from tests.scenarios.conftest import INCIDENT, MAIN, PATIENCE, RANDOM, OpenStage, Stage, running

HOSTILE = "<!channel> <@U0BOB> <http://evil.example|good> `x` *b*"


def incident(stage: Stage, channel: str = INCIDENT) -> PostedMessage:
    """Let somebody start a thread."""
    return stage.slack.workspace.post(channel, "U0BOB", "the picture is frozen")


async def mentions(
    stage: Stage, text: str, *, thread: PostedMessage | None = None, channel: str = INCIDENT, user: str = "U0ALICE"
) -> Ack:
    """Write a message that begins with a mention of the bot."""
    return await stage.slack.people.mention(user, channel, text, thread=thread)


def cards_in(stage: Stage, thread: PostedMessage) -> list[PostedMessage]:
    """Return the cards in a thread in their current version."""
    return [one for one in stage.slack.workspace.thread(thread) if any(".flow" in each for each in one.block_ids)]


async def asks_in(stage: Stage, thread: PostedMessage, text: str, *, user: str = "U0ALICE") -> PostedMessage:
    """Ask for something in a thread, and return its card once the bot has stored where it is."""
    await mentions(stage, text, thread=thread, user=user)
    card = await stage.slack.until(
        lambda _: next((card for card in cards_in(stage, thread) if card.buttons), None), timeout=PATIENCE
    )
    await stage.quiet()
    return card


def whispers(stage: Stage, user: str = "U0ALICE", channel: str = INCIDENT) -> list[PostedMessage]:
    """Return what only this person was sent in a channel, without acknowledgements."""
    heard = stage.slack.workspace.ephemerals(user, channel)
    return [one for one in heard if not one.plain.removeprefix("Dry run: ").startswith("Reading ")]


def event(stage: Stage, text: str, **more: Any) -> dict[str, Any]:
    """Return the event of a new message of Alice's."""
    message = stage.slack.workspace.post(INCIDENT, "U0ALICE", text)
    return {**payloads.app_mention(stage.slack.workspace, message), **more}


def bot(stage: Stage) -> str:
    """Return the bot's user id as messages mention it."""
    return f"<@{stage.slack.workspace.bot_user_id}>"


async def test_in_a_thread_the_card_the_replies_and_the_outcome_stand_in_that_thread(stage: Stage) -> None:
    thread = incident(stage)

    card = await asks_in(stage, thread, "stop main-feed because the encoder loops")
    await stage.presses("U0DAVE", card, "approve")
    await stage.slack.until(
        lambda workspace: any("main-feed` is now STANDBY" in one.plain for one in workspace.thread(thread)),
        timeout=PATIENCE,
    )
    await stage.quiet()

    replies = [one.plain for one in stage.slack.workspace.thread(thread)]
    assert len(cards_in(stage, thread)) == 1
    assert any("approve or deny it on the card" in reply for reply in replies)
    assert any("approved the stop" in reply for reply in replies)
    assert stage.cards() == []
    assert "Reason: “the encoder loops”" in stage.reads(card)
    assert stage.stops() == 1


async def test_outside_a_thread_the_card_stands_in_the_channel_and_replies_under_it(stage: Stage) -> None:
    await mentions(stage, "stop main-feed")
    card = await stage.slack.until(lambda _: next(iter(stage.cards()), None), timeout=PATIENCE)
    await stage.quiet()

    assert card.thread_ts is None
    assert any("approve or deny it" in reply for reply in stage.replies(card))


async def test_an_accepted_mention_is_answered_at_once_for_its_sender_alone(stage: Stage) -> None:
    thread = incident(stage)

    await asks_in(stage, thread, "stop main-feed --dry-run")
    await stage.quiet()

    first, *_ = stage.slack.workspace.ephemerals("U0ALICE", INCIDENT)
    assert first.plain == "Dry run: Reading `main-feed`…"
    assert first.thread_ts == thread.ts


async def test_a_refusal_is_told_in_the_thread_for_its_sender_alone(stage: Stage) -> None:
    thread = incident(stage)
    workspace = stage.slack.workspace
    workspace.add_person("U0FRANK", "frank")
    workspace.join(INCIDENT, "U0FRANK")

    await mentions(stage, "stop main-feed", thread=thread, user="U0FRANK")
    await stage.quiet()

    (answer,) = whispers(stage, "U0FRANK")
    assert "No rule lets you stop `main-feed` here" in answer.plain
    assert answer.thread_ts == thread.ts
    assert cards_in(stage, thread) == []


async def test_usage_names_the_mention_and_says_that_slash_commands_do_not_work_in_threads(stage: Stage) -> None:
    thread = incident(stage)

    await mentions(stage, "stop", thread=thread)
    await mentions(stage, "stop main-feed the encoder loops")
    await stage.quiet()

    inside, outside = whispers(stage)
    assert "Usage: `@flowbot stop FLOW" in inside.plain
    assert "no slash commands in threads" in inside.plain
    assert "Usage: `@flowbot stop FLOW" in outside.plain
    assert "threads" not in outside.plain
    assert "/flow" not in inside.plain + outside.plain
    assert stage.recorded() == 0


async def test_a_missing_reason_is_asked_for_at_the_same_door(open_stage: OpenStage) -> None:
    stage = await open_stage(policies.REASON)
    thread = incident(stage)

    await mentions(stage, "stop main-feed", thread=thread)
    await stage.quiet()

    (answer,) = whispers(stage)
    assert "`@flowbot stop main-feed because …`" in answer.plain
    await stage.presses("U0ALICE", answer, "add_reason")
    await stage.slack.people.submit("U0ALICE", await stage.opens_for("U0ALICE"), {"reason": "it loops"})
    card = await stage.slack.until(lambda _: next(iter(cards_in(stage, thread)), None), timeout=PATIENCE)
    assert "Reason: “it loops”" in stage.reads(card)


async def test_what_to_type_again_is_told_for_the_thread(stage: Stage) -> None:
    thread = incident(stage)
    await asks_in(stage, thread, "stop main-feed")

    await stage.passes(1801)

    replies = [one.plain for one in stage.slack.workspace.thread(thread)]
    assert any(f"type `@flowbot stop {MAIN}`" in reply for reply in replies)


async def test_a_card_asked_for_in_a_foreign_thread_stands_at_home_and_the_link_is_told_in_the_thread(
    stage: Stage,
) -> None:
    thread = incident(stage, RANDOM)

    await mentions(stage, "stop main-feed", thread=thread, channel=RANDOM)
    card = await stage.slack.until(lambda _: next(iter(stage.cards()), None), timeout=PATIENCE)
    await stage.quiet()

    assert card.channel == INCIDENT
    (link,) = whispers(stage, channel=RANDOM)
    assert card.ts.replace(".", "") in link.plain
    assert link.thread_ts == thread.ts


async def test_a_link_to_a_card_in_a_thread_opens_the_thread(stage: Stage) -> None:
    thread = incident(stage)
    card = await asks_in(stage, thread, "stop main-feed")
    await stage.quiet()  # by now the bot has stored where its card is

    await stage.types("U0BOB", "stop main-feed")
    await stage.quiet()

    (answer,) = stage.heard("U0BOB")
    assert f"/archives/{INCIDENT}/p{card.ts.replace('.', '')}?thread_ts={thread.ts}&amp;cid={INCIDENT}|" in answer


async def test_an_event_that_is_delivered_again_acts_once(stage: Stage) -> None:
    first = await mentions(stage, "stop main-feed")
    await stage.quiet()
    again = [await stage.slack.people.replay(first, retry=number) for number in (1, 2, 3)]
    await stage.quiet()

    assert all(ack.status == 200 for ack in again)
    assert len(stage.cards()) == 1
    assert stage.recorded() == 1
    assert whispers(stage) == []


async def test_a_read_and_a_usage_error_that_are_delivered_again_are_answered_once(stage: Stage) -> None:
    for text in ("status main-feed", "stop"):
        ack = await mentions(stage, text)
        await stage.slack.people.replay(ack, retry=1)
    await stage.told("U0ALICE", "ACTIVE")
    await stage.told("U0ALICE", "Please say which flow")
    await stage.quiet()

    assert len(whispers(stage)) == 2


async def test_an_edit_that_leaves_the_words_alone_acts_once(stage: Stage) -> None:
    said = event(stage, f"{bot(stage)} stop main-feed")
    await stage.slack.people.event(said)
    await stage.quiet()

    await stage.slack.people.event({**said, "edited": {"user": "U0ALICE", "ts": "1700000050.000000"}})
    await stage.quiet()

    assert len(stage.cards()) == 1
    assert stage.recorded() == 1


async def test_an_edit_that_corrects_the_words_is_a_command_of_its_own(stage: Stage) -> None:
    said = event(stage, f"{bot(stage)} stop main-fed")
    await stage.slack.people.event(said)
    await stage.told("U0ALICE", "did you mean")

    await stage.slack.people.event({**said, "text": f"{bot(stage)} stop main-feed"})
    await stage.quiet()

    assert len(stage.cards()) == 1


async def test_a_message_that_is_edited_later_than_a_minute_opens_nothing(stage: Stage) -> None:
    said = event(stage, f"{bot(stage)} stop main-fed")
    await stage.passes(61)

    await stage.slack.people.event({**said, "text": f"{bot(stage)} stop main-feed"})
    await stage.quiet()

    assert "61 seconds after you sent it" in whispers(stage)[0].plain
    assert stage.cards() == []


@pytest.mark.parametrize(
    "text",
    [
        "hey {bot} stop main-feed",
        "stop main-feed {bot}",
        "<@U0BOB> {bot} stop main-feed",
        "&lt;@U0FLOWBOT&gt; stop main-feed",
        "`{bot} stop main-feed`",
        "please, {bot}",
    ],
)
async def test_a_mention_that_is_not_the_first_word_is_left_alone(stage: Stage, text: str) -> None:
    ack = await stage.slack.people.event(event(stage, text.format(bot=bot(stage))))
    await stage.quiet()

    assert ack.status == 200
    assert stage.recorded() == 0
    assert stage.slack.workspace.ephemerals("U0ALICE") == []


@pytest.mark.parametrize(
    "more",
    [
        {"bot_id": "B0OTHER"},
        {"subtype": "message_changed"},
        {"subtype": "bot_message"},
        {"user": None},
        {"user": "U0FLOWBOT"},
    ],
)
async def test_bots_edits_and_our_own_messages_are_left_alone(stage: Stage, more: dict[str, Any]) -> None:
    ack = await stage.slack.people.event(event(stage, f"{bot(stage)} stop main-feed", **more))
    await stage.quiet()

    assert ack.status == 200
    assert stage.recorded() == 0
    assert stage.cards() == []


@pytest.mark.parametrize("text", ["{bot}: stop main-feed", "{bot}, STOP main-feed", "\u200b {bot}stop `main-feed`"])
async def test_a_mention_is_understood_the_way_people_write_it(stage: Stage, text: str) -> None:
    await stage.slack.people.event(event(stage, text.format(bot=bot(stage))))
    await stage.quiet()

    assert len(stage.cards()) == 1


async def test_people_of_other_organisations_are_refused_and_learn_nothing(stage: Stage) -> None:
    stage.slack.workspace.change_channel(INCIDENT, is_ext_shared=True)

    await mentions(stage, "stop main-feed", user="U0OTHER")
    await mentions(stage, "list", user="U0OTHER")
    await stage.slack.until(lambda _: len(whispers(stage, "U0OTHER")) == 2 or None, timeout=PATIENCE)
    await stage.quiet()

    assert {one.plain for one in whispers(stage, "U0OTHER")} == {"You may not do this here. Nothing was done."}
    assert stage.cards() == []
    ((facts, team),) = stage.select("SELECT facts, actor_team FROM audit")
    assert json.loads(facts)["why"] == "outsider"
    assert team == "T0OTHER"


@pytest.mark.http_door
async def test_an_event_of_a_shared_channel_is_ours_by_its_authorization(stage: Stage) -> None:
    said = event(stage, f"{bot(stage)} stop main-feed")
    envelope = payloads.event_callback(stage.slack.workspace, said, event_id="Ev1", shared=True)
    body = json.dumps({**envelope, "team_id": "T0OTHER"}).encode()

    ack = await stage.slack.people.raw(body, {"Content-Type": "application/json", **stage.slack.people.sign(body)})
    await stage.quiet()

    assert ack.status == 200
    assert len(stage.cards()) == 1


@pytest.mark.http_door
@pytest.mark.parametrize("part", ["type", "channel", "ts", "text"])
async def test_an_event_that_lacks_something_is_turned_away(stage: Stage, part: str) -> None:
    said = event(stage, f"{bot(stage)} stop main-feed")

    ack = await stage.slack.people.event({**said, part: None}, retries=0)

    assert ack.status == 400
    assert stage.recorded() == 0


async def test_a_thread_that_is_gone_opens_nothing_and_says_so(stage: Stage) -> None:
    said = event(stage, f"{bot(stage)} stop main-feed", thread_ts="1600000000.000100")

    await stage.slack.people.event(said)
    await stage.quiet()

    assert "the thread is gone. Nothing was opened" in stage.heard("U0ALICE")[-1]
    assert stage.cards() == []


async def test_a_hostile_mention_pings_nobody(stage: Stage) -> None:
    thread = incident(stage)
    before = len(stage.slack.workspace.calls)

    card = await asks_in(stage, thread, f"stop main-feed because {HOSTILE}")
    await mentions(stage, f"stop {HOSTILE}", thread=thread)
    await mentions(stage, f"list {HOSTILE}", thread=thread)
    await mentions(stage, f"{HOSTILE}", thread=thread)
    await stage.presses("U0DAVE", card, "approve")
    await stage.slack.until(lambda _: len(whispers(stage)) == 3 or None, timeout=PATIENCE)
    await stage.quiet()

    said = "\n".join(json.dumps(call.args) for call in stage.slack.workspace.calls[before:])
    for notation in ("<!channel", "<@U0BOB", "<http://evil.example"):
        assert notation not in said


async def test_a_restart_forgets_no_thread(built: world.World) -> None:
    async with running(built) as stage:
        thread = incident(stage)
        card = await asks_in(stage, thread, "stop main-feed")
        await stage.quiet()

    async with running(built) as stage:
        await stage.presses("U0DAVE", card, "approve")
        await stage.quiet()

    assert any("now STANDBY" in one.plain for one in stage.slack.workspace.thread(thread))
    assert stage.cards() == []
