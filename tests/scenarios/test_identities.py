"""Every kind of person through the real bot, and an organisation with several workspaces.

The whole table is in `tests/test_identity.py`; here Slack's own shapes make the difference.
"""

import contextlib
import pathlib
import shutil
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import pytest

from bot.playground import world
from bot.playground.live import server as live_server
from bot.playground.slack.server import SlackStandIn
from tests.fakes import FakeClock
from tests.scenarios.conftest import Stage, running

BARE: Final = "You may not do this here. Nothing was done."
AGED: Final = 6.0

NO_FULL_MEMBER: Final[dict[str, dict[str, Any]]] = {
    "guest of several channels": {"is_restricted": True},
    "guest of one channel": {"is_restricted": True, "is_ultra_restricted": True},
    "of another organisation": {"team_id": "T0OTHER"},
    "stranger": {"team_id": "T0OTHER", "is_stranger": True},
    "bot": {"is_bot": True},
    "workflow": {"is_workflow_bot": True},
    "deactivated": {"deleted": True},
    "invited and not joined": {"is_invited_user": True},
}


@pytest.mark.parametrize("change", NO_FULL_MEMBER.values(), ids=NO_FULL_MEMBER)
async def test_promise_7_whoever_is_no_full_member_any_more_neither_asks_nor_votes(
    stage: Stage, change: dict[str, Any]
) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    stage.slack.workspace.change_person("U0DAVE", **change)
    await stage.passes(AGED)

    for button in ("approve", "deny", "withdraw"):
        await stage.presses_late("U0DAVE", card, button)
    await stage.types("U0DAVE", "stop backup-feed", forged=True)
    await stage.types("U0DAVE", "status main-feed", forged=True)
    await stage.quiet()

    assert stage.heard("U0DAVE") == [BARE] * 5
    assert stage.now(card).buttons == card.buttons
    assert stage.cards() == [stage.now(card)]
    assert stage.stops() == 0


@pytest.mark.parametrize("change", NO_FULL_MEMBER.values(), ids=NO_FULL_MEMBER)
async def test_promise_7_a_request_of_somebody_who_is_no_full_member_any_more_ends(
    stage: Stage, change: dict[str, Any]
) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    stage.slack.workspace.change_person("U0ALICE", **change)
    await stage.passes(AGED)

    await stage.presses("U0DAVE", card, "approve")
    await stage.settles(card)

    assert "Denied by policy" in stage.reads(card)
    assert stage.stops() == 0


Grid = Callable[[bool], contextlib.AbstractAsyncContextManager[Stage]]


@pytest.fixture
def grid(tmp_path: pathlib.Path, clock: FakeClock, database: pathlib.Path) -> Grid:
    """Return what runs the bot in an organisation, installed there or in one of its workspaces."""

    def furnish(slack: SlackStandIn, flows: live_server.LiveStandIn, *, whole: bool) -> None:
        slack.workspace.enterprise_id, slack.workspace.org_install = "E0GRID", whole
        world.sample(slack, flows)
        # Slack gives the organisation, another of its workspaces, or nothing as the team of a person in an
        # organisation.
        slack.workspace.change_person("U0ALICE", team_id="E0GRID")
        slack.workspace.change_person("U0DAVE", team_id="T0FAR")
        slack.workspace.change_person("U0CAROL", team_id=None)
        slack.workspace.change_person("U0BOB", team_id="T0ELSE", enterprise_id="E0OTHER")

    @contextlib.asynccontextmanager
    async def opened(whole: bool) -> AsyncIterator[Stage]:
        shutil.copy(database, tmp_path / "flowbot.db")
        async with (
            world.build(
                tmp_path, clock=clock, furnish=lambda slack, flows: furnish(slack, flows, whole=whole)
            ) as built,
            running(built) as stage,
        ):
            yield stage

    return opened


@pytest.mark.parametrize("whole", [False, True], ids=["in a workspace", "in the organisation"])
@pytest.mark.parametrize("approver", ["U0DAVE", "U0CAROL"])
async def test_full_members_of_an_organisation_ask_and_approve_across_its_workspaces(
    grid: Grid, whole: bool, approver: str
) -> None:
    async with grid(whole) as stage:
        card = await stage.asks("U0ALICE", "stop main-feed")
        await stage.presses(approver, card, "approve")
        await stage.thread_says(card, "STANDBY")

        assert stage.stops() == 1


@pytest.mark.parametrize("whole", [False, True], ids=["in a workspace", "in the organisation"])
async def test_promise_7_somebody_of_another_organisation_does_nothing(grid: Grid, whole: bool) -> None:
    async with grid(whole) as stage:
        await stage.types("U0BOB", "stop main-feed")
        card = await stage.asks("U0ALICE", "stop main-feed")
        await stage.presses("U0BOB", card, "deny")
        await stage.quiet()

        assert stage.heard("U0BOB") == [BARE] * 2
        assert stage.now(card).buttons == card.buttons
        assert stage.stops() == 0
