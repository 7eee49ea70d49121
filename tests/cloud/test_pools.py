"""Separate connections: a hanging project uses up no other's, and reads use up no call's."""

import asyncio
import dataclasses

import pytest

from bot.cloud import client
from bot.cloud.credentials import fixed
from bot.commands.verbs import Verb
from bot.lifecycle import call_outcome, records
from bot.playground.live.errors import Trouble
from bot.policy.model import Project

from .conftest import FLOW_ID, Rig, credentials

HANGING = 30
"""More calls than a project has connections."""


@pytest.fixture
def cloud(rig: Rig) -> client.LiveClient:
    """Return a client for two projects."""
    return client.LiveClient(rig.http, credentials=fixed({"hk": credentials(), "eu": credentials()}), now=rig.clock.now)


@pytest.fixture
def other(rig: Rig) -> Project:
    """Return a second project with the same account."""
    rig.live.add_flow("f" * 32, FLOW_ID, "main-feed")
    return dataclasses.replace(rig.project, name="eu", project_id="f" * 32)


async def hang(rig: Rig) -> None:
    """Wait until so many calls hang that no other call gets a connection."""
    await rig.live.until(lambda live: len(live.calls) >= 20)


async def test_calls_of_one_project_that_hang_use_up_no_other_project_s_connections(
    rig: Rig, cloud: client.LiveClient, other: Project
) -> None:
    gate = asyncio.Event()
    rig.live.faults.add(Trouble(hold=gate, effect=True), times=None)
    hanging = [asyncio.create_task(cloud.change(rig.project, FLOW_ID, Verb.STOP)) for _ in range(HANGING)]
    await hang(rig)
    rig.live.faults.clear()

    assert isinstance(await cloud.change(other, FLOW_ID, Verb.STOP), call_outcome.Accepted)
    assert not any(isinstance(call.result(), call_outcome.Accepted) for call in hanging if call.done())
    gate.set()
    await asyncio.gather(*hanging)


async def test_read_commands_use_up_no_connection_of_a_call(rig: Rig, cloud: client.LiveClient) -> None:
    gate = asyncio.Event()
    rig.live.faults.add(Trouble(hold=gate, effect=True), times=None)
    hanging = [asyncio.create_task(cloud.flow(rig.project, FLOW_ID, purpose="read")) for _ in range(HANGING)]
    await hang(rig)
    rig.live.faults.clear()

    assert isinstance(await cloud.flow(rig.project, FLOW_ID), records.Flow)
    assert isinstance(await cloud.change(rig.project, FLOW_ID, Verb.STOP), call_outcome.Accepted)
    gate.set()
    await asyncio.gather(*hanging)
