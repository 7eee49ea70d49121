"""The cost of fresh answers while many people click, against the rate limits that the stand-in enforces."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Final

import pytest
from pytest_mock import MockerFixture

from bot.policy.model import Kind
from bot.slack.directory import people
from bot.slack.directory.snapshots import NO_PAGE_FOR
from tests.fakes import in_order, until
from tests.slack.test_people import Asking, open_directory

CLICKS_A_MINUTE: Final = 200
FRESHEST: Final = 5.0
SINGLES: Final = 90
"""Single calls about people that the tier allows in a minute."""

GROUPS: Final = ("S0MEDIAGRP", "S0LEADS", "S0OPS")


@pytest.fixture
async def crowd() -> AsyncIterator[Asking]:
    """Open a directory on a workspace of 120 people and three groups, with Slack's rate limits."""
    async with open_directory() as opened:
        for number in range(120):
            opened.slack.workspace.add_person(person(number), f"person-{number}")
        opened.slack.workspace.add_group("S0LEADS", "leads", ["U0CAROL"])
        opened.slack.workspace.add_group("S0OPS", "ops", ["U0DAVE"])
        opened.slack.faults.enforce_rate_limits = True
        yield opened


def person(number: int) -> str:
    """Return the id of one of the 120 people."""
    return f"U1{number:03}"


def limited(asking: Asking) -> list[str]:
    """Return the methods that Slack answered with 429."""
    return [call.method for call in asking.slack.workspace.calls if call.status == 429]


async def test_two_hundred_clicks_a_minute_stay_within_slacks_tiers_and_decide_on_what_is_fresh(crowd: Asking) -> None:
    """Each click asks about its presser, the requester and three groups, while rights change all the time."""
    workspace, clock = crowd.slack.workspace, crowd.clock
    was: dict[str, list[tuple[float, Kind]]] = defaultdict(lambda: [(0.0, Kind.MEMBER)])
    in_leads: list[tuple[float, frozenset[str]]] = [(0.0, frozenset({"U0CAROL"}))]

    for click in range(3 * CLICKS_A_MINUTE):
        clock.turn(60 / CLICKS_A_MINUTE)
        if click % 7 == 0:
            other, gone = person(click * 13 % 120), click % 2 == 0
            workspace.change_person(other, deleted=gone)
            was[other].append((clock.now(), Kind.DEACTIVATED if gone else Kind.MEMBER))
            workspace.change_group("S0LEADS", members=(other,))
            in_leads.append((clock.now(), frozenset({other})))
        presser, requester = person(click * 13 % 120), person(click % 40)
        found = await asyncio.gather(
            crowd.kind(presser, max_age=FRESHEST),
            crowd.kind(requester, max_age=FRESHEST),
            *(crowd.directory.members(group, max_age=FRESHEST) for group in GROUPS),
        )
        assert found[0] in lately(was[presser], clock.now())
        assert found[1] in lately(was[requester], clock.now())
        assert found[3] in lately(in_leads, clock.now())

    assert limited(crowd) == []


def lately(history: Sequence[tuple[float, object]], now: float) -> list[object]:
    """Return every value that was true within the last five seconds."""
    ends = [since for since, _ in history[1:]] + [now + 1]
    return [value for (_, value), end in zip(history, ends, strict=True) if end > now - FRESHEST - 0.001]


async def test_few_people_are_asked_about_one_by_one(crowd: Asking) -> None:
    for click in range(2 * CLICKS_A_MINUTE):
        crowd.clock.turn(60 / CLICKS_A_MINUTE)
        assert await crowd.kind(person(click % 7), max_age=FRESHEST) is Kind.MEMBER

    assert crowd.asked("users.list") == 0
    assert limited(crowd) == []


async def test_a_storm_of_different_people_costs_one_page(crowd: Asking) -> None:
    kinds = await asyncio.gather(*(crowd.kind(person(number)) for number in range(120)))

    assert set(kinds) == {Kind.MEMBER}
    assert (crowd.asked("users.info"), crowd.asked("users.list")) == (SINGLES, 1)


async def test_whoever_is_on_no_page_waits_for_a_single_question(crowd: Asking, mocker: MockerFixture) -> None:
    mocker.patch.object(people, "PAGE", 20)
    await asyncio.gather(*(crowd.kind(person(number)) for number in range(45)))
    crowd.clock.turn(35)
    await asyncio.gather(*(crowd.kind(person(number)) for number in range(45, SINGLES)))

    late = asyncio.create_task(crowd.kind(person(119)))
    await until(lambda: crowd.clock._sleepers)
    assert crowd.asked("users.info") == SINGLES
    crowd.clock.turn(25)
    await in_order(late)

    assert late.result() is Kind.MEMBER
    assert limited(crowd) == []


async def test_where_no_question_is_left_for_half_a_minute_answers_of_a_minute_count(
    crowd: Asking, mocker: MockerFixture
) -> None:
    mocker.patch.object(people, "PAGE", 20)
    await asyncio.gather(*(crowd.kind(person(number)) for number in range(SINGLES)))
    crowd.clock.turn(29)

    assert await crowd.kind(person(30), max_age=FRESHEST) is Kind.MEMBER
    assert await crowd.kind(person(119), max_age=FRESHEST) is Kind.UNREACHABLE
    assert crowd.asked("users.info") == SINGLES


async def test_a_page_is_as_old_as_its_question(crowd: Asking) -> None:
    await asyncio.gather(*(crowd.kind(person(number)) for number in range(SINGLES)))
    gate = asyncio.Event()
    crowd.slack.faults.hold("users.list", gate)
    first = asyncio.create_task(crowd.kind(person(100), max_age=FRESHEST))
    await until(lambda: not crowd.slack.faults._planned["users.list"])
    crowd.clock.turn(6)
    gate.set()
    await in_order(first)

    crowd.slack.workspace.change_person(person(100), deleted=True)

    assert await crowd.kind(person(100), max_age=FRESHEST) is Kind.DEACTIVATED
    assert crowd.asked("users.list") == 2


@pytest.mark.parametrize("trouble", ["refused", "limited", "unknown shape", "away"])
async def test_where_slack_gives_no_page_single_questions_go_on(crowd: Asking, trouble: str) -> None:
    crowd.slack.faults.enforce_rate_limits = False
    match trouble:
        case "refused":
            crowd.slack.faults.error("users.list", "unknown_method", times=None)
        case "limited":
            crowd.slack.faults.ratelimit("users.list", times=None, retry_after=5)
        case "away":
            crowd.slack.faults.server_error("users.list", times=None)
        case _:
            crowd.slack.faults.lacks("users.list", "members", times=None)

    kinds = await asyncio.gather(*(crowd.kind(person(number)) for number in range(120)))
    assert set(kinds) == {Kind.MEMBER}
    assert crowd.asked("users.list") == 1

    crowd.clock.turn(NO_PAGE_FOR)
    await asyncio.gather(*(crowd.kind(person(number), max_age=0.0) for number in range(SINGLES + 1)))
    assert crowd.asked("users.list") == 2


@pytest.mark.parametrize("odd", ["U0ALICE", person(100)])
async def test_one_whose_id_slack_does_not_give_costs_the_page_of_nobody_else(crowd: Asking, odd: str) -> None:
    await asyncio.gather(*(crowd.kind(person(number)) for number in range(SINGLES)))
    crowd.slack.faults.lacks("users.list", "id", of=odd)

    kinds = {
        number: await crowd.kind(person(number), max_age=FRESHEST) for number in range(SINGLES, 120) if number != 100
    }

    assert set(kinds.values()) == {Kind.MEMBER}
    assert crowd.asked("users.list") == 1


async def test_a_group_whose_members_slack_leaves_out_is_unknown_and_costs_the_page_of_no_other(crowd: Asking) -> None:
    for _ in range(18):
        await crowd.directory.members("S0NONE", max_age=0.0)
        crowd.clock.turn(0.1)
    crowd.slack.faults.lacks("usergroups.list", "users", of="S0OPS", times=None)

    assert await crowd.directory.members("S0LEADS", max_age=FRESHEST) == frozenset({"U0CAROL"})
    assert await crowd.directory.members("S0OPS", max_age=FRESHEST) is None
    assert (crowd.asked("usergroups.users.list"), crowd.asked("usergroups.list")) == (18, 1)


async def test_many_people_at_once_share_a_page(crowd: Asking) -> None:
    many = [person(number) for number in range(120)]

    found = await crowd.directory.persons(many, max_age=60.0)
    again = await crowd.directory.persons([*many, "U0ALICE"], max_age=60.0)

    assert {one.kind for one in found.values()} == {Kind.MEMBER}
    assert again == {**found, "U0ALICE": again["U0ALICE"]}
    assert (crowd.asked("users.info"), crowd.asked("users.list")) == (1, 1)


async def test_a_stranger_is_on_no_page_and_no_member(crowd: Asking) -> None:
    await asyncio.gather(*(crowd.kind(person(number)) for number in range(SINGLES)))

    assert await crowd.kind("U0OTHER", max_age=FRESHEST) is Kind.UNREACHABLE
    crowd.clock.turn(30)
    waiting = asyncio.create_task(crowd.kind("U0OTHER", max_age=FRESHEST))
    await until(lambda: crowd.clock._sleepers)
    crowd.clock.turn(30)
    await in_order(waiting)
    assert waiting.result() is Kind.STRANGER


async def test_a_group_that_is_no_more_is_unknown_and_costs_no_more_than_the_tier(crowd: Asking) -> None:
    for _ in range(CLICKS_A_MINUTE):
        crowd.clock.turn(60 / CLICKS_A_MINUTE)
        found = asyncio.create_task(crowd.directory.members("S0NONE", max_age=FRESHEST))
        await until(lambda task=found: task.done() or crowd.clock._sleepers)  # type: ignore[misc]
        assert not found.done() or found.result() is None
        found.cancel()

    assert limited(crowd) == []
