"""Who somebody is: kinds of people, freshness by the number of calls, shared calls, and rate limits."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
from pytest_mock import MockerFixture
from slack_sdk.web.async_client import AsyncWebClient

from bot.commands.deliveries import Actor
from bot.playground import world
from bot.playground.slack.server import SlackStandIn
from bot.policy.model import Kind
from bot.slack.directory import cache, people
from bot.slack.directory.people import SlackDirectory, kind_of
from bot.slack.installation import Installation
from tests.fakes import ALICE, FakeClock, in_order, until


class Asking:
    """A directory on the stand-in for Slack."""

    def __init__(self, slack: SlackStandIn, clock: FakeClock, client: AsyncWebClient) -> None:
        self.slack, self.clock = slack, clock
        installation = Installation(client=client)
        self.installation = installation
        self.directory = SlackDirectory(client=client, installation=installation, clock=clock)

    def asked(self, method: str = "users.info") -> int:
        """Return the number of calls to a method."""
        return len(self.slack.workspace.called(method))

    async def kind(self, user: str = "U0ALICE", *, max_age: float = 60.0) -> Kind:
        """Return what kind of person somebody is."""
        actor = Actor(team="T0PLAYGROUND", user=user)
        return (await self.directory.person(actor, max_age=max_age)).kind


@contextlib.asynccontextmanager
async def open_directory(*, learned: bool = True, **workspace: Any) -> AsyncIterator[Asking]:
    """Open a directory on a workspace, with our identity already known unless told otherwise."""
    clock = FakeClock()
    async with SlackStandIn(clock=clock, **workspace) as slack, aiohttp.ClientSession() as session:
        world.settle(slack)
        client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])
        asking = Asking(slack, clock, client)
        if learned:
            await asking.installation.learn()
        yield asking


@pytest.fixture
async def asking() -> AsyncIterator[Asking]:
    """Open a directory on the sample workspace."""
    async with open_directory() as opened:
        yield opened


@pytest.mark.parametrize(
    ("user", "kind"),
    [
        ("U0ALICE", Kind.MEMBER),
        ("U0GUEST", Kind.GUEST),
        ("U0SOLO", Kind.GUEST),
        ("U0OTHER", Kind.STRANGER),
        ("U0ROBOT", Kind.BOT),
        ("U0GONE", Kind.DEACTIVATED),
        ("U0FLOWBOT", Kind.BOT),
        ("USLACKBOT", Kind.BOT),
        ("U0NOBODY", Kind.STRANGER),
    ],
)
async def test_everybody_is_what_slack_says(asking: Asking, user: str, kind: Kind) -> None:
    assert await asking.kind(user) is kind


OURS = frozenset({"T1", "E1"})


@pytest.mark.parametrize(
    ("user", "kind"),
    [
        ({"team_id": "T1"}, Kind.MEMBER),
        ({"team_id": "E1"}, Kind.MEMBER),
        ({"team_id": "T2", "enterprise_user": {"enterprise_id": "E1", "teams": ["T2"]}}, Kind.MEMBER),
        ({"team_id": "T2", "enterprise_user": {"enterprise_id": "E9", "teams": ["T1"]}}, Kind.MEMBER),
        ({"team_id": "T2", "enterprise_user": {"enterprise_id": "E9", "teams": None}}, Kind.STRANGER),
        ({"team_id": "T2"}, Kind.STRANGER),
        ({"team_id": "E2"}, Kind.STRANGER),
        ({}, Kind.STRANGER),
        ({"team_id": "T1", "is_stranger": True}, Kind.STRANGER),
        ({"team_id": "T1", "is_restricted": True}, Kind.GUEST),
        ({"team_id": "T1", "is_ultra_restricted": True}, Kind.GUEST),
        ({"team_id": "T1", "is_workflow_bot": True}, Kind.BOT),
        ({"team_id": "T1", "is_bot": True}, Kind.BOT),
        ({"team_id": "T1", "deleted": True, "is_bot": True}, Kind.DEACTIVATED),
        ({"team_id": "T1", "id": "USLACKBOT"}, Kind.BOT),
        ({"team_id": "T1", "is_connector_bot": True}, Kind.BOT),
        ({"team_id": "T1", "is_external": True}, Kind.STRANGER),
        ({"team_id": "T1", "is_invited_user": True}, Kind.DEACTIVATED),
        ({"team_id": "T1", "is_forgotten": True}, Kind.DEACTIVATED),
        ({"team_id": "T1", "is_app_user": True}, Kind.MEMBER),
        ({"team_id": "T1", "is_restricted": True, "is_ultra_restricted": True}, Kind.GUEST),
        ({"team_id": "T1", "is_stranger": True, "is_restricted": True}, Kind.STRANGER),
        ({"team_id": "T2", "deleted": True}, Kind.DEACTIVATED),
        ({"team_id": None, "enterprise_user": {"id": "W1", "enterprise_id": "E1", "teams": ["T2"]}}, Kind.MEMBER),
        ({"team_id": None, "enterprise_user": {"id": "W1", "enterprise_id": "E1"}, "deleted": True}, Kind.DEACTIVATED),
        ({"team_id": "T1", "enterprise_user": None}, Kind.MEMBER),
        ({"team_id": None, "enterprise_user": None}, Kind.STRANGER),
        ({"team_id": "T1", "is_bot": None, "is_restricted": None, "deleted": None}, Kind.MEMBER),
    ],
)
def test_a_kind_is_read_from_slacks_user_object(user: Mapping[str, Any], kind: Kind) -> None:
    assert kind_of({"id": "U1", **user}, ours=OURS) is kind


async def test_a_member_of_the_organisation_belongs_to_an_org_install() -> None:
    async with open_directory(enterprise_id="E0GRID", org_install=True) as asking:
        asking.slack.workspace.add_person("U0FAR", "far", team_id="T0FAR")

        assert await asking.kind("U0FAR") is Kind.MEMBER


@pytest.mark.parametrize("max_age", [60.0, 5.0])
async def test_an_answer_counts_exactly_as_long_as_it_may(asking: Asking, max_age: float) -> None:
    await asking.kind(max_age=max_age)
    asking.clock.turn(max_age)
    await asking.kind(max_age=max_age)
    assert asking.asked() == 1

    asking.clock.turn(0.1)
    asking.slack.workspace.change_person("U0ALICE", deleted=True)
    assert await asking.kind(max_age=max_age) is Kind.DEACTIVATED
    assert asking.asked() == 2


async def test_an_answer_that_is_fresh_enough_for_one_may_be_too_old_for_another(asking: Asking) -> None:
    await asking.kind()
    asking.clock.turn(6)
    await asking.kind()
    assert asking.asked() == 1
    await asking.kind(max_age=5.0)
    assert asking.asked() == 2


async def test_a_slow_answer_is_as_old_as_its_question(asking: Asking) -> None:
    gate = asyncio.Event()
    asking.slack.faults.hold("users.info", gate)
    first = asyncio.create_task(asking.kind())
    await asyncio.sleep(0.02)
    asking.clock.turn(6)
    gate.set()
    await first

    await asking.kind(max_age=5.0)

    assert asking.asked() == 2


async def test_those_who_ask_at_once_share_one_call(asking: Asking) -> None:
    kinds = await asyncio.gather(*(asking.kind() for _ in range(20)))

    assert (set(kinds), asking.asked()) == ({Kind.MEMBER}, 1)


async def test_one_who_stops_waiting_does_not_stop_the_others(asking: Asking) -> None:
    gate = asyncio.Event()
    asking.slack.faults.hold("users.info", gate)
    first, second = (asyncio.create_task(asking.kind()) for _ in range(2))
    await asyncio.sleep(0.02)
    first.cancel()
    gate.set()

    assert await second is Kind.MEMBER


async def test_a_short_rate_limit_is_waited_for(asking: Asking) -> None:
    asking.slack.faults.ratelimit("users.info", retry_after=30)
    kind = asyncio.create_task(asking.kind())
    await until(lambda: asking.asked() == 1 and asking.clock._sleepers)
    assert not kind.done()
    asking.clock.turn(30)
    await in_order(kind)

    assert (kind.result(), asking.asked()) == (Kind.MEMBER, 2)


@pytest.mark.parametrize(("age", "kind"), [(60.0, Kind.MEMBER), (60.1, Kind.UNREACHABLE)])
async def test_a_long_rate_limit_lets_answers_of_a_minute_count(asking: Asking, age: float, kind: Kind) -> None:
    await asking.kind(max_age=5.0)
    asking.clock.turn(age)
    asking.slack.faults.ratelimit("users.info", retry_after=31)

    assert await asking.kind(max_age=5.0) is kind


async def test_a_rate_limit_that_goes_on_is_given_up_after_half_a_minute(asking: Asking) -> None:
    asking.slack.faults.ratelimit("users.info", times=None, retry_after=20)
    kind = asyncio.create_task(asking.kind())
    await until(lambda: asking.asked() == 1 and asking.clock._sleepers)
    asking.clock.turn(20)
    await in_order(kind)

    assert kind.result() is Kind.UNREACHABLE


@pytest.mark.parametrize("trouble", ["server_error", "drop_before", "down"])
async def test_while_slack_cannot_be_asked_no_older_answer_counts(asking: Asking, trouble: str) -> None:
    await asking.kind()
    asking.clock.turn(6)
    if trouble == "down":
        asking.slack.faults.down()
    else:
        getattr(asking.slack.faults, trouble)("users.info", times=None)

    assert await asking.kind(max_age=5.0) is Kind.UNREACHABLE


@pytest.mark.parametrize("code", ["token_revoked", "missing_scope"])
async def test_a_token_that_is_no_good_is_no_rate_limit(asking: Asking, code: str) -> None:
    await asking.kind()
    asking.clock.turn(6)
    asking.slack.faults.error("users.info", code)

    assert await asking.kind(max_age=5.0) is Kind.UNREACHABLE


@pytest.mark.parametrize("code", ["user_not_visible", "users_not_found", "user_not_found"])
async def test_whom_slack_does_not_show_is_a_stranger(asking: Asking, code: str) -> None:
    asking.slack.faults.error("users.info", code)

    assert await asking.kind() is Kind.STRANGER


async def test_what_slack_refuses_to_say_is_unknown(asking: Asking) -> None:
    asking.slack.faults.error("users.info", "access_denied")

    assert await asking.kind() is Kind.UNREACHABLE


async def test_a_group_is_its_members(asking: Asking) -> None:
    assert await asking.directory.members("S0MEDIAGRP", max_age=60.0) == frozenset({"U0ERIN"})


async def test_an_empty_group_is_known_and_asked_for_once(asking: Asking) -> None:
    asking.slack.workspace.add_group("S0EMPTY", "empty", [])

    for _ in range(2):
        assert await asking.directory.members("S0EMPTY", max_age=60.0) == frozenset()
    assert asking.asked("usergroups.users.list") == 1


@pytest.mark.parametrize(
    ("method", "field"),
    [
        ("users.info", "user"),
        ("usergroups.users.list", "users"),
        ("conversations.info", "channel"),
        ("auth.test", "team_id"),
    ],
)
async def test_what_an_answer_lacks_is_unknown_and_raises_nothing(method: str, field: str) -> None:
    async with open_directory(learned=False) as asking:
        asking.slack.faults.lacks(method, field)

        unknown = {
            "users.info": await asking.kind() is Kind.UNREACHABLE,
            "usergroups.users.list": await asking.directory.members("S0MEDIAGRP", max_age=60.0) is None,
            "conversations.info": await asking.directory.is_private("C0INCIDENT", max_age=60.0) is None,
        }

    unknown["auth.test"] = unknown["users.info"]  # without it nobody knows who is a stranger
    assert unknown[method]
    assert sum(unknown.values()) == (2 if unknown["users.info"] else 1)


# Several ids for one person


async def test_an_actor_comes_back_with_the_id_of_the_person() -> None:
    async with open_directory(enterprise_id="E0GRID") as asking:
        asking.slack.workspace.change_person("U0ALICE", enterprise_user_id="W0ALICE")

        person = await asking.directory.person(ALICE, max_age=60.0)

        assert (person.actor, person.actor.id) == (dataclasses.replace(ALICE, person="W0ALICE"), "W0ALICE")


@pytest.mark.parametrize(
    ("user", "person"),
    [
        ({}, None),
        ({"enterprise_user": None}, None),
        ({"enterprise_user": {}}, None),
        ({"enterprise_user": {"id": ""}}, None),
        ({"enterprise_user": {"id": 7}}, None),
        ({"enterprise_user": {"id": "W0ALICE"}}, "W0ALICE"),
    ],
)
def test_the_id_of_the_person_is_read_from_slacks_user_object(user: Mapping[str, Any], person: str | None) -> None:
    assert people.person_of({"id": "U0ALICE", **user}) == person


async def test_several_people_are_asked_about_at_once_and_remembered_with_their_kind_and_id() -> None:
    async with open_directory(enterprise_id="E0GRID") as asking:
        asking.slack.workspace.change_person("U0ALICE", enterprise_user_id="W0ALICE")
        asked = ("U0ALICE", "U0GONE", "U0NOBODY")

        for _ in range(2):
            found = await asking.directory.persons(asked, max_age=60.0)

        assert {user: (one.kind, one.actor.id) for user, one in found.items()} == {
            "U0ALICE": (Kind.MEMBER, "W0ALICE"),
            "U0GONE": (Kind.DEACTIVATED, "U0GONE"),
            "U0NOBODY": (Kind.STRANGER, "U0NOBODY"),
        }
        assert (asking.asked(), asking.asked("users.list")) == (3, 0)
        assert await asking.directory.persons((), max_age=60.0) == {}


async def test_whoever_asks_about_several_waits_for_no_rate_limit(asking: Asking) -> None:
    await asking.kind("U0BOB")
    asking.clock.turn(6)
    asking.slack.faults.ratelimit("users.info", times=None, retry_after=20)

    found = await asking.directory.persons(("U0ALICE", "U0BOB"), max_age=5.0)

    kinds = {user: one.kind for user, one in found.items()}
    assert kinds == {"U0ALICE": Kind.UNREACHABLE, "U0BOB": Kind.MEMBER}


@pytest.mark.parametrize("trouble", ["no_such_subteam", "away", "500"])
async def test_a_group_that_cannot_be_asked_for_is_unknown(asking: Asking, trouble: str) -> None:
    if trouble == "500":
        asking.slack.faults.server_error()
    elif trouble == "away":
        asking.slack.faults.down()
    group = "S0NONE" if trouble == "no_such_subteam" else "S0MEDIAGRP"

    assert await asking.directory.members(group, max_age=60.0) is None


async def test_memory_is_bounded(mocker: MockerFixture) -> None:
    mocker.patch.object(cache, "REMEMBERED", 2)
    async with open_directory() as asking:
        for user in ("U0ALICE", "U0BOB", "U0CAROL", "U0ALICE"):
            await asking.kind(user)

        assert asking.asked() == 4
        assert (await asking.directory.person(ALICE, max_age=60.0)).actor == ALICE
        assert asking.asked() == 4


@pytest.mark.parametrize(
    ("channel", "private"),
    [
        ({"is_private": False, "is_im": False, "is_mpim": False}, False),
        ({"is_private": False}, False),
        ({"is_private": True}, True),
        ({"is_private": False, "is_mpim": True}, True),
        ({"is_im": True}, True),
        ({}, True),
    ],
)
def test_a_channel_is_private_unless_slack_says_that_it_is_not(channel: dict[str, Any], private: bool) -> None:
    assert people.is_private(channel) is private


async def test_slack_is_asked_once_a_minute_whether_a_channel_is_private(asking: Asking) -> None:
    assert await asking.directory.is_private("C0INCIDENT", max_age=60.0) is False
    asking.slack.workspace.change_channel("C0INCIDENT", is_private=True)
    assert await asking.directory.is_private("C0INCIDENT", max_age=60.0) is False

    asking.clock.turn(61)

    assert await asking.directory.is_private("C0INCIDENT", max_age=60.0) is True
    assert asking.asked("conversations.info") == 2


async def test_a_channel_that_slack_does_not_show_is_private_and_gets_no_card(asking: Asking) -> None:
    assert await asking.directory.is_private("C0NOWHERE", max_age=60.0) is True
    assert await asking.directory.is_shared("C0NOWHERE", max_age=60.0) is False


async def test_slack_says_which_channels_other_organisations_see(asking: Asking) -> None:
    assert await asking.directory.is_shared("C0INCIDENT", max_age=60.0) is False
    asking.slack.workspace.change_channel("C0INCIDENT", is_ext_shared=True)
    asking.clock.turn(1)
    assert await asking.directory.is_shared("C0INCIDENT", max_age=0.5) is True


async def test_whether_a_channel_is_shared_is_unknown_while_slack_is_away(asking: Asking) -> None:
    asking.slack.faults.down()
    assert await asking.directory.is_shared("C0INCIDENT", max_age=60.0) is None


@pytest.mark.parametrize(
    ("channel", "shared"),
    [
        ({}, False),
        ({"is_shared": True}, False),
        ({"is_ext_shared": True}, True),
        ({"is_pending_ext_shared": True}, True),
    ],
)
def test_a_channel_is_shared_with_others_also_while_they_are_only_invited(
    channel: dict[str, Any], shared: bool
) -> None:
    assert people.is_shared(channel) is shared
