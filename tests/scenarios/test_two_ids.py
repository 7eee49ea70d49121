"""One person with two ids, as on Enterprise Grid: `U0…` in the workspace, `W0…` in the organisation.

Whichever id they act with, and whichever the policy or a user group names, they are one person. The table of all
decisions is in `tests/test_identity.py`; here Slack's own answers say who is who.
"""

import contextlib
import pathlib
import shutil
from collections.abc import AsyncIterator, Callable
from typing import Final

import pytest

from bot.playground import world
from bot.playground.live import server as live_server
from bot.playground.slack.server import SlackStandIn
from tests.fakes import FakeClock
from tests.scenarios.conftest import MAIN, Stage, running
from tests.scenarios.policies import HEAD, rule

U: Final = {"ALICE": "U0ALICE", "CAROL": "U0CAROL", "DAVE": "U0DAVE", "BOB": "U0BOB"}
W: Final = {name: f"W0{name}" for name in U}
BOTH: Final = ((U, W), (W, U))
WHICH: Final = ("local first", "global first")

ONE_APPROVES: Final = rule("one approves", who=["U0ALICE"], approvals=1, approvers=["W0ALICE", "U0DAVE"])
TWO_APPROVE: Final = rule("two approve", who=["U0ALICE"], approvals=2, approvers=["U0DAVE", "W0DAVE", "U0CAROL"])
GROUP_APPROVES: Final = rule("the group approves", who=["U0ALICE"], approvals=1, approvers=["S0LEADS"])
PASSED_OVER: Final = rule(
    "leads approve",
    who=["U0ALICE", "U0CAROL"],
    approvals=1,
    approvers=["U0DAVE", "W0CAROL"],
    emergency=["U0CAROL", "U0DAVE"],
    emergency_limit=1,
)
URGENT: Final = "stop main-feed --emergency because the encoder burns"

OpenGrid = Callable[[str], contextlib.AbstractAsyncContextManager[Stage]]


def furnish(slack: SlackStandIn, flows: live_server.LiveStandIn) -> None:
    """Add the sample, and a second id for some of its people."""
    slack.workspace.enterprise_id = "E0GRID"
    world.sample(slack, flows)
    for name, user in U.items():
        slack.workspace.change_person(user, enterprise_user_id=W[name])
        slack.workspace.add_person(W[name], f"{name.lower()}-of-the-grid", team_id="E0GRID")
        slack.workspace.join("C0INCIDENT", W[name])


@pytest.fixture
def grid(tmp_path: pathlib.Path, clock: FakeClock, database: pathlib.Path) -> OpenGrid:
    """Return what runs the bot in an organisation, under these rules."""

    @contextlib.asynccontextmanager
    async def opened(rules: str) -> AsyncIterator[Stage]:
        shutil.copy(database, tmp_path / "flowbot.db")
        async with (
            world.build(tmp_path, clock=clock, policy=HEAD + rules, furnish=furnish) as built,
            running(built) as stage,
        ):
            yield stage

    return opened


@pytest.mark.parametrize(("asks", "presses"), BOTH, ids=WHICH)
async def test_promise_1_nobody_approves_their_own_request_with_their_other_id(
    grid: OpenGrid, asks: dict[str, str], presses: dict[str, str]
) -> None:
    async with grid(ONE_APPROVES) as stage:
        card = await stage.asks(asks["ALICE"], "stop main-feed")

        await stage.presses(presses["ALICE"], card, "approve")
        await stage.quiet()

        assert "is your own" in stage.heard(presses["ALICE"])[-1]
        assert stage.stops() == 0
        await stage.presses("U0DAVE", stage.now(card), "approve")
        await stage.quiet()
        assert stage.stops() == 1


@pytest.mark.parametrize(("first", "second"), BOTH, ids=WHICH)
async def test_promise_1_two_votes_of_one_person_count_once(
    grid: OpenGrid, first: dict[str, str], second: dict[str, str]
) -> None:
    async with grid(TWO_APPROVE) as stage:
        card = await stage.asks("U0ALICE", "stop main-feed")
        await stage.presses(first["DAVE"], card, "approve")
        await stage.quiet()

        await stage.presses(second["DAVE"], stage.now(card), "approve")
        await stage.quiet()

        assert "counts each person once" in stage.heard(second["DAVE"])[-1]
        assert "1 of 2" in stage.reads(card)
        assert stage.stops() == 0
        await stage.presses("W0CAROL", stage.now(card), "approve")
        await stage.quiet()
        assert stage.stops() == 1


async def test_two_ids_of_one_person_do_not_make_a_rule_satisfiable(grid: OpenGrid) -> None:
    async with grid(rule("two approve", who=["U0ALICE"], approvals=2, approvers=["U0DAVE", "W0DAVE"])) as stage:
        await stage.types("U0ALICE", "stop main-feed")
        await stage.quiet()

        assert "but only 1 person could give them" in stage.heard("U0ALICE")[-1]
        assert stage.cards() == []


@pytest.mark.parametrize(("listed", "presses"), BOTH, ids=WHICH)
async def test_a_member_of_a_group_counts_by_either_id(
    grid: OpenGrid, listed: dict[str, str], presses: dict[str, str]
) -> None:
    async with grid(GROUP_APPROVES) as stage:
        stage.slack.workspace.add_group("S0LEADS", "leads", [listed["DAVE"], listed["ALICE"]])
        card = await stage.asks("U0ALICE", "stop main-feed")
        await stage.presses("W0ALICE", card, "approve")
        await stage.quiet()
        assert stage.stops() == 0

        await stage.presses(presses["DAVE"], card, "approve")
        await stage.quiet()

        assert stage.stops() == 1


@pytest.mark.parametrize(("named", "acts"), BOTH, ids=WHICH)
async def test_a_deny_and_an_except_mean_the_person_whichever_id_they_name(
    grid: OpenGrid, named: dict[str, str], acts: dict[str, str]
) -> None:
    rules = (
        rule("not alice", effect="deny", who=[named["ALICE"]])
        + rule("everybody but bob", who=["*"], excluded=[named["BOB"]])
        + rule("carol", who=[named["CAROL"]])
    )
    async with grid(rules) as stage:
        for name in ("ALICE", "BOB"):
            await stage.types(acts[name], "stop main-feed")
        await stage.quiet()

        assert "forbids you" in stage.heard(acts["ALICE"])[-1]
        assert "No rule lets you" in stage.heard(acts["BOB"])[-1]
        card = await stage.asks(acts["CAROL"], "stop main-feed")
        await stage.presses(named["CAROL"], card, "confirm")
        await stage.quiet()
        assert stage.stops() == 1


@pytest.mark.parametrize(("asks", "presses"), BOTH, ids=WHICH)
async def test_a_requester_withdraws_with_their_other_id(
    grid: OpenGrid, asks: dict[str, str], presses: dict[str, str]
) -> None:
    async with grid(ONE_APPROVES) as stage:
        card = await stage.asks(asks["ALICE"], "stop main-feed")

        await stage.presses(presses["ALICE"], card, "withdraw")
        await stage.settles(card)

        assert "Withdrawn" in stage.reads(card)


@pytest.mark.parametrize(("first", "second"), BOTH, ids=WHICH)
async def test_both_presses_of_an_emergency_are_one_persons_whichever_ids_they_use(
    grid: OpenGrid, first: dict[str, str], second: dict[str, str]
) -> None:
    async with grid(PASSED_OVER) as stage:
        card = await stage.asks(first["CAROL"], URGENT)
        await stage.presses(second["CAROL"], card, "deny")
        await stage.quiet()
        assert "is your own" in stage.heard(second["CAROL"])[-1]
        await stage.presses(second["CAROL"], stage.now(card), "emergency_first")
        await stage.shows(card, "Pressed once")
        await stage.passes(3)

        await stage.presses(second["CAROL"], stage.now(card), "emergency_confirm")
        await stage.quiet()

        assert stage.stops() == 1
        await stage.presses(second["CAROL"], stage.now(card), "review")
        await stage.quiet()
        assert "is your own" in stage.heard(second["CAROL"])[-1]
        assert stage.view(second["CAROL"]) is None
        await stage.presses("W0DAVE", stage.now(card), "review")
        assert (await stage.opens_for("W0DAVE")).content["callback_id"] == "review"


@pytest.mark.parametrize(("first", "second"), BOTH, ids=WHICH)
async def test_the_limit_of_emergencies_is_one_persons_and_their_other_id_is_no_second_person(
    grid: OpenGrid, first: dict[str, str], second: dict[str, str]
) -> None:
    async with grid(PASSED_OVER) as stage:
        card = await stage.asks(first["CAROL"], URGENT)
        await stage.presses(first["CAROL"], card, "emergency_first")
        await stage.shows(card, "Pressed once")
        await stage.passes(3)
        await stage.presses(first["CAROL"], stage.now(card), "emergency_confirm")
        await stage.passes(20)
        stage.live.set_status(world.PROJECT_ID, MAIN, "ACTIVE")

        card = await stage.asks(second["CAROL"], URGENT)
        await stage.presses(second["CAROL"], card, "emergency_first")
        await stage.shows(card, "Pressed once")
        await stage.passes(3)
        for user in (second["CAROL"], first["CAROL"]):
            await stage.presses(user, stage.now(card), "emergency_confirm")
            await stage.quiet()

        assert "The second press for `main-feed` must come from another of" in stage.heard(first["CAROL"])[-1]
        assert stage.stops() == 1
        await stage.presses("W0DAVE", stage.now(card), "emergency_confirm")
        await stage.quiet()
        assert stage.stops() == 2


@pytest.mark.parametrize(("asks", "reads"), BOTH, ids=WHICH)
async def test_whoami_names_the_person_and_all_that_either_id_is_in(
    grid: OpenGrid, asks: dict[str, str], reads: dict[str, str]
) -> None:
    async with grid(rule("bob confirms alone", who=[asks["BOB"]])) as stage:
        await stage.types(reads["BOB"], "whoami")
        told = (await stage.told(reads["BOB"], "You are a full member")).plain

        assert "media-oncall" in told
        assert "bob confirms alone" in told
        assert "W0BOB" in told
