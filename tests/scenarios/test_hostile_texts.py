"""Texts from people and the cloud ping nobody, link nowhere, and cannot imitate the bot's own."""

import json
import re

import pytest

from bot.playground import world
from bot.playground.live.errors import invalid
from bot.playground.live.server import FlowSource, Output
from tests.scenarios.conftest import Stage

HOSTILE = (
    "<!channel> <@U0BOB> <!subteam^S0MEDIAGRP> <#C0RANDOM> <http://evil.example|good> @here `x` *b* _i_ & \u202e\u200b"
)
NOTATION = re.compile(r"<[!@#]|<https?:")


def _sent(stage: Stage) -> str:
    """Return everything that the bot sent to Slack, as it was sent."""
    return "\n".join(json.dumps(call.args, ensure_ascii=False) for call in stage.slack.workspace.calls)


def _assert_harmless(stage: Stage) -> None:
    said = _sent(stage)
    for notation in ("<!channel", "<!here", "<@U0BOB", "<!subteam^", "<#C0RANDOM", "<http://evil.example"):
        assert notation not in said
    assert "\u202e" not in said
    assert "\u200b" not in said


@pytest.mark.parametrize("escaped", [True, False], ids=["as Slack escapes it", "as it is"])
async def test_a_hostile_reason_pings_nobody(stage: Stage, escaped: bool) -> None:
    typed = HOSTILE
    if escaped:
        typed = typed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    card = await stage.asks("U0ALICE", f"stop main-feed because {typed}")
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "STANDBY")
    await stage.quiet()

    assert "evil.example" in stage.reads(card)
    _assert_harmless(stage)


async def test_a_hostile_reason_of_a_denial_pings_nobody(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "deny")
    view = await stage.opens_for("U0DAVE")

    await stage.slack.people.submit("U0DAVE", view, {"reason": HOSTILE})
    await stage.thread_says(card, "evil.example")
    await stage.quiet()

    _assert_harmless(stage)


async def test_hostile_names_in_the_cloud_ping_nobody(stage: Stage) -> None:
    stage.live.add_flow(
        world.PROJECT_ID,
        "cafe0001",
        HOSTILE,
        region=HOSTILE,
        sources=[FlowSource(name=HOSTILE, protocol=HOSTILE, health=HOSTILE)],
        outputs=[Output(name=HOSTILE, type=HOSTILE)],
    )

    card = await stage.asks("U0ALICE", "stop cafe0001")
    await stage.types("U0ALICE", "stop cafe000")
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "STANDBY")
    await stage.quiet()

    assert "did you mean" in stage.heard("U0ALICE")[0]
    _assert_harmless(stage)


async def test_a_hostile_message_of_the_cloud_pings_nobody(stage: Stage) -> None:
    stage.put_fails(invalid(HOSTILE))

    card = await stage.asks("U0ALICE", "stop main-feed")
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "failed")
    await stage.quiet()

    _assert_harmless(stage)


@pytest.mark.parametrize(
    "text", ["stop <!channel>", "stop <@U0BOB>", "<!here> main-feed", "stop main-feed --<!channel>", "help <!channel>"]
)
async def test_hostile_words_that_are_not_understood_ping_nobody(stage: Stage, text: str) -> None:
    ack = await stage.types("U0ALICE", text)

    assert ack.shown is not None
    assert not NOTATION.search(ack.body)
    assert stage.recorded() == 0


async def test_only_the_requester_and_the_approvers_are_pinged(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed because of <@U0BOB>")
    await stage.presses("U0DAVE", card, "approve")
    await stage.thread_says(card, "STANDBY")
    await stage.quiet()

    posted = json.dumps([call.args for call in stage.slack.workspace.called("chat.postMessage")])
    assert set(re.findall(r"<@(\w+)>", posted)) == {"U0ALICE", "U0CAROL", "U0DAVE"}
