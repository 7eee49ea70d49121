"""Promise 12: one party that hangs or floods holds up nobody else's stop, from the command to the PUT."""

import asyncio
import dataclasses
import pathlib
from collections.abc import AsyncIterator

import pytest

from bot.commands.deliveries import Actor, Entry
from bot.policy.model import Kind
from tests.fakes import BOB, CAROL, MAIN, POLICY, Desk, open_desk, policy_of, until

TWO_PROJECTS = POLICY.replace(
    "[people]",
    """[projects.eu]
project_id = "fedcba9876543210fedcba9876543210"
region     = "ap-southeast-3"
endpoint   = "http://127.0.0.1:10"
channels   = ["C0EUROPE", "C0SPARE"]

[people]""",
    1,
)
MANY = tuple(Actor(team="T1", user=f"U0MANY{number}") for number in range(60))
"""People on call, as a whole shift would ask at once."""

WITHIN = 5.0
"""Seconds by the test's clock within which another's stop reaches the cloud."""


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk with two projects and many people on call."""
    async with open_desk(tmp_path) as opened:
        opened.policy = policy_of(TWO_PROJECTS)
        opened.directory.kinds |= {actor.user: Kind.MEMBER for actor in MANY}
        opened.directory.groups["S0MEDIAGRP"] = frozenset(actor.user for actor in MANY)
        opened.cloud.there |= {
            f"flow-{number}": dataclasses.replace(MAIN, flow_id=f"flow-{number}", name=f"feed-{number}")
            for number in range(100)
        }
        yield opened
        for gate in (*opened.cloud.hanging.values(), *opened.chat.hanging.values(), *opened.directory.hanging.values()):
            gate.set()


async def arrive(desk: Desk, *entries: Entry) -> None:
    """Let entries arrive as the inbox hands them on."""
    await desk.store.record(entries)
    for entry in entries:
        desk.worker.wake_entry(entry)


async def is_stopped(desk: Desk, by: Actor = BOB, *, channel: str = "C0EUROPE", project: str = "eu") -> None:
    """Ask for a stop, approve it, and see it reach the cloud in time."""
    began = desk.clock.now()
    asked = desk.typed(f"stop flow-99 --project {project}", by, channel=channel)
    await arrive(desk, asked)
    await until(lambda: any(card.id == asked.key for card in desk.chat.cards.values()))
    await arrive(desk, desk.click("approve", CAROL, asked.key, channel=channel))
    await until(lambda: ("stop", "flow-99") in desk.cloud.calls)
    assert desk.clock.now() - began <= WITHIN


async def test_promise_12_a_project_whose_cloud_hangs_holds_up_no_other(desk: Desk) -> None:
    desk.cloud.hanging["hk"] = asyncio.Event()
    await arrive(desk, *(desk.typed(f"stop flow-{number}", actor) for number, actor in enumerate(MANY)))
    await until(lambda: desk.cloud.calls)

    await is_stopped(desk)


async def test_promise_12_a_project_that_is_named_and_hangs_holds_up_no_other_in_the_same_channel(desk: Desk) -> None:
    desk.cloud.hanging["hk"] = asyncio.Event()
    sick = (desk.typed(f"stop flow-{n} --project hk", each, channel="C0OTHER") for n, each in enumerate(MANY))
    await arrive(desk, *sick)
    await until(lambda: desk.cloud.calls)

    await is_stopped(desk, channel="C0OTHER")


async def test_promise_12_one_who_floods_holds_up_nobody_in_the_same_channel(desk: Desk) -> None:
    gate = desk.directory.hanging[MANY[0].user] = asyncio.Event()
    await arrive(desk, *(desk.typed(f"stop flow-{number}", MANY[0], channel="C0EUROPE") for number in range(60)))
    await until(lambda: desk.directory.asked)

    await is_stopped(desk)
    assert not gate.is_set()


async def test_promise_12_a_channel_in_which_slack_hangs_holds_up_no_other(desk: Desk) -> None:
    desk.chat.hanging["C0SPARE"] = asyncio.Event()
    await arrive(desk, *(desk.typed("stop nothing", actor, channel="C0SPARE") for actor in MANY))
    await until(lambda: "answer" in desk.chat.journal)

    await is_stopped(desk)


async def test_promise_12_clicks_of_one_who_hangs_hold_up_nobody(desk: Desk) -> None:
    desk.directory.hanging[MANY[0].user] = asyncio.Event()
    await arrive(desk, *(desk.click("approve", MANY[0], f"no such {n}", channel="C0EUROPE") for n in range(200)))
    await until(lambda: desk.directory.asked)

    await is_stopped(desk)


async def test_promise_12_many_calls_that_hang_hold_up_no_other_project(desk: Desk) -> None:
    asked = [desk.typed(f"stop flow-{number}", actor) for number, actor in enumerate(MANY)]
    await arrive(desk, *asked)
    await until(lambda: len(desk.chat.cards) == len(MANY))
    desk.cloud.hanging["hk"] = asyncio.Event()
    await arrive(desk, *(desk.click("approve", CAROL, each.key) for each in asked))
    await until(lambda: len(desk.select("SELECT 1 FROM requests WHERE state = 'approved'")) == len(MANY))

    await is_stopped(desk)
