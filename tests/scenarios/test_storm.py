"""A thousand commands at once, all acknowledged, none lost."""

import asyncio
import collections

from bot.playground import world
from tests.scenarios.conftest import Stage

SAME, UNKNOWN, KNOWN = 800, 150, 50
SENDERS = tuple(f"U0ERIN{number}" for number in range(20))
"""Enough people that none of them exceeds the rate limit per person."""


async def test_a_thousand_commands_at_once_are_all_acknowledged_and_answered(stage: Stage) -> None:
    for sender in SENDERS:
        stage.slack.workspace.add_person(sender, sender.lower())
        stage.slack.workspace.join("C0INCIDENT", sender)
    stage.slack.workspace.change_group("S0MEDIAGRP", members=SENDERS)
    for number in range(KNOWN):
        stage.live.add_flow(world.PROJECT_ID, f"known-{number:04d}", f"feed-{number:04d}")
    texts = ["stop main-feed"] * SAME
    texts += [f"stop nothing-{number:04d}" for number in range(UNKNOWN)]
    texts += [f"stop known-{number:04d}" for number in range(KNOWN)]

    acks = await asyncio.gather(
        *(stage.types(SENDERS[number % len(SENDERS)], text) for number, text in enumerate(texts))
    )
    await stage.answers_all(patience=120)
    # A channel accepts ten messages at once and then one a second, so the cards and replies arrive gradually.
    await stage.ticks(lambda: not stage.waiting(), most=600)
    await stage.quiet(patience=120)

    assert {ack.status for ack in acks} == {200}
    said = collections.Counter(ack.shown.plain.partition(" ")[0] for ack in acks if ack.shown is not None)
    assert said.total() == len(texts)
    # A person who was told that the command was not or may not have been recorded has been answered too.
    unsure = said.total() - said["Reading"]
    answers = [answer for sender in SENDERS for answer in stage.heard(sender)]
    heard = len(answers) - unsure
    assert said["Reading"] <= heard + len(stage.cards()) <= len(texts)
    assert stage.recorded() == heard + len(stage.cards())
    lines = collections.Counter(stage.reads(card).partition("\n")[0] for card in stage.cards())
    assert set(lines.values()) == {1}
    assert unsure or len(stage.cards()) == KNOWN + 1
