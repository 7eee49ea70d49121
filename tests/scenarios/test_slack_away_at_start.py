"""Slack has not answered since the bot started: deliveries are recorded, and decided once our workspace is known."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bot.playground import world
from bot.playground.slack import payloads
from bot.playground.slack.acks import Ack
from bot.playground.slack.faults import HANDSHAKE
from bot.playground.slack.records import PostedMessage
from tests.fakes import FakeClock
from tests.scenarios.conftest import INCIDENT, Stage, running

AGAIN = 2.0
"""Seconds after which Slack is asked again who we are."""


@asynccontextmanager
async def away(built: world.World) -> AsyncIterator[Stage]:
    """Start the bot while Slack does not answer; in Socket Mode, it still opens connections."""
    built.slack.faults.down(but=("apps.connections.open", HANDSHAKE) if "SLACK_APP_TOKEN" in built.environ else ())
    async with running(built) as stage:
        yield stage


async def rejected(stage: Stage, delivery: Coroutine[Any, Any, Ack]) -> Ack:
    """Return the answer to a delivery that is rejected: none over a socket, which stays silent until time is up."""
    answering = asyncio.create_task(delivery)
    if stage.slack.people.by_socket:
        await stage.ticks(answering.done)
    return await answering


async def returns(stage: Stage) -> None:
    """Let Slack answer again, and wait until everything that waited for it is done."""
    stage.slack.faults.up()
    await stage.passes(AGAIN)
    await stage.ticks(lambda: stage.waiting() == 0)


@pytest.fixture
async def card(built: world.World) -> PostedMessage:
    """Return a card posted before the bot was restarted."""
    async with running(built) as stage:
        return await stage.asks("U0ALICE", "stop main-feed")


async def test_a_command_is_recorded_and_answered_when_slack_is_back(built: world.World) -> None:
    async with away(built) as stage:
        ack = await stage.types("U0ALICE", "stop main-feed")
        assert (ack.status, "Reading" in ack.body) == (200, True)
        await stage.passes(20)
        assert (stage.recorded(), stage.cards(), stage.live.calls) == (1, [], ())

        await returns(stage)

        (posted,) = stage.cards()
        await stage.presses("U0DAVE", posted, "approve")
        await stage.settles(posted)
        assert stage.stops() == 1


async def test_a_click_is_recorded_and_decided_by_its_time_of_receipt(built: world.World, card: PostedMessage) -> None:
    async with away(built) as stage:
        ack = await stage.presses("U0DAVE", card, "approve")
        pressed_at = stage.world.clock.now()
        await stage.passes(20)
        assert (ack.status, stage.stops()) == (200, 0)
        assert "approve" in stage.now(card).buttons

        await returns(stage)
        await stage.settles(card)

        assert stage.stops() == 1
        assert stage.select("SELECT state, decided_at FROM requests") == [("approved", pressed_at)]


async def test_a_click_that_slack_kept_from_being_decided_for_too_long_stops_nothing(
    built: world.World, card: PostedMessage
) -> None:
    async with away(built) as stage:
        await stage.presses("U0DAVE", card, "approve")
        await stage.passes(121)

        await returns(stage)

        assert stage.stops() == 0
        assert "Expired" in stage.reads(card)


async def test_a_click_that_waits_for_slack_holds_up_no_expiry(built: world.World, card: PostedMessage) -> None:
    async with away(built) as stage:
        await stage.presses("U0DAVE", card, "approve")
        for _ in range(31):
            await stage.passes(60)
        assert stage.select("SELECT state FROM requests") == [("expired",)]

        await returns(stage)
        await stage.passes(60)

        assert "expired" in stage.heard("U0DAVE")[-1]
        assert stage.stops() == 0


async def test_a_submission_is_recorded_and_counts(built: world.World) -> None:
    async with running(built) as stage:
        card = await stage.asks("U0ALICE", "stop main-feed")
        await stage.presses("U0DAVE", card, "deny")
        view = await stage.opens_for("U0DAVE")
        await stage.quiet()
    async with away(built) as stage:
        ack = await stage.slack.people.submit("U0DAVE", view, {"reason": "it is the only one"})
        assert (ack.status, ack.problems) == (200, ())

        await returns(stage)

        assert "it is the only one" in "\n".join(stage.replies(card))


async def test_a_mention_is_recorded_and_answered(built: world.World) -> None:
    async with away(built) as stage:
        for text in ("stop main-feed", f"ask <@{stage.slack.workspace.bot_user_id}>"):
            assert (await stage.slack.people.mention("U0ALICE", INCIDENT, text)).status == 200
        said = payloads.app_mention(
            stage.slack.workspace, stage.slack.workspace.post(INCIDENT, "U0ALICE", "<@U0BOB> stop backup-feed")
        )
        assert (await stage.slack.people.event(said)).status == 200
        assert stage.recorded() == 1

        await returns(stage)

        assert len([card for card in stage.cards() if card.buttons]) == 1


@pytest.mark.parametrize("text", ["list", "help", "pending"])
async def test_a_mention_that_only_reads_is_left_for_slack_to_deliver_again(built: world.World, text: str) -> None:
    async with away(built) as stage:
        said = payloads.app_mention(
            stage.slack.workspace,
            stage.slack.workspace.post(INCIDENT, "U0ALICE", f"<@{stage.slack.workspace.bot_user_id}> {text}"),
        )
        ack = await rejected(stage, stage.slack.people.event(said, retries=0))
        assert (ack.status, stage.recorded()) == (None if stage.slack.people.by_socket else 503, 0)

        stage.slack.faults.up()
        again = await stage.slack.people.replay(ack, retry=1)
        assert again.status == 200
        await stage.slack.until(lambda _: stage.heard("U0ALICE"))


@pytest.mark.parametrize("text", ["list", "help", "whoami"])
async def test_a_command_that_only_reads_is_told_that_nothing_can_be_read_yet(built: world.World, text: str) -> None:
    async with away(built) as stage:
        ack = await stage.types("U0ALICE", text)
        assert (ack.status, "still starting" in ack.body) == (200, True)

        stage.slack.faults.up()

        assert "still starting" not in (await stage.types("U0ALICE", text)).body


async def test_usage_is_told_all_the_same(built: world.World) -> None:
    async with away(built) as stage:
        ack = await stage.types("U0ALICE", "stop")
        assert (ack.status, "/flow stop FLOW" in ack.body) == (200, True)


async def test_the_next_delivery_asks_slack_anew_at_once(built: world.World) -> None:
    async with away(built) as stage:
        stage.slack.faults.up()
        card = await stage.asks("U0ALICE", "stop main-feed")
        assert "main-feed" in stage.reads(card)


async def test_it_outlives_a_restart(built: world.World, card: PostedMessage) -> None:
    async with away(built) as stage:
        await stage.presses("U0DAVE", card, "approve")
        await foreign(stage, card, "approve", trigger="1.foreign")
        await stage.quiet()
    async with away(built) as stage:
        await returns(stage)
        await stage.settles(card)
        assert stage.stops() == 1
        assert turned_away(stage) == ["T0ELSEWHERE"]


async def foreign(stage: Stage, card: PostedMessage, button: str, *, trigger: str) -> Ack:
    """Press a button by a delivery with our signature for another workspace that has our app too."""
    value = stage.select("SELECT id FROM requests")[0][0]
    payload = {
        "type": "block_actions",
        "team": {"id": "T0ELSEWHERE"},
        "user": {"id": "U0DAVE", "team_id": "T0ELSEWHERE"},
        "trigger_id": trigger,
        "container": {"type": "message", "channel_id": INCIDENT, "message_ts": card.ts},
        "actions": [{"type": "button", "action_id": button, "block_id": "b", "value": value}],
    }
    return await stage.delivers_payload(payload)


def turned_away(stage: Stage) -> list[str]:
    """Return the teams of the entries that, according to the audit, were not for us."""
    rows = stage.select("SELECT facts FROM audit WHERE what = 'another workspace' ORDER BY id")
    return [team for (facts,) in rows for team in json.loads(facts)["for_teams"]]


async def test_what_turns_out_to_be_for_another_workspace_has_no_effect(
    built: world.World, card: PostedMessage
) -> None:
    async with away(built) as stage:
        for button in ("approve", "deny"):
            assert (await foreign(stage, card, button, trigger=f"1.{button}")).status == 200
        typed = {
            "command": "/flow",
            "text": "stop backup-feed",
            "team_id": "T0ELSEWHERE",
            "user_id": "U0ALICE",
            "channel_id": INCIDENT,
            "trigger_id": "1.typed",
        }
        assert (await stage.delivers(typed)).status == 200
        assert stage.recorded() == 4

        await returns(stage)

        assert turned_away(stage) == ["T0ELSEWHERE"] * 3
        assert "approve" in stage.now(card).buttons
        assert len(stage.cards()) == 1
        assert (stage.heard("U0DAVE"), stage.heard("U0ALICE"), stage.waiting()) == ([], [], 0)
        assert stage.stops() == 0
        later = await rejected(stage, foreign(stage, card, "approve", trigger="1.later"))
        assert later.status == (None if stage.slack.people.by_socket else 403)
        assert turned_away(stage) == ["T0ELSEWHERE"] * 3


async def test_what_names_no_workspace_at_all_is_turned_away(built: world.World) -> None:
    async with away(built) as stage:
        ack = await stage.delivers({"command": "/flow", "text": "stop main-feed"})
        assert ack.status == (200 if stage.slack.people.by_socket else 403)  # a socket tells whoever typed it
        assert stage.recorded() == 0


async def test_slack_is_asked_once_for_all_that_waits(built: world.World, clock: FakeClock) -> None:
    async with away(built) as stage:
        for number in range(30):
            await stage.types("U0ALICE", f"stop main-feed --dry-run because {number}")
        await stage.quiet()
        before = len(stage.slack.workspace.called("auth.test"))
        await stage.passes(AGAIN)
        assert 1 <= len(stage.slack.workspace.called("auth.test")) - before <= 2
