"""Each fault that Slack can show is found by its own test, on a stand-in that is as strict as Slack."""

import asyncio
from collections.abc import Callable

import pytest

from bot.playground import world
from bot.serve.doctor import slack_checks
from bot.serve.doctor.findings import Severity
from bot.slack.directory import survey
from tests.serve.doctor.conftest import examined, policy

Break = Callable[[world.World], object]


async def test_nothing_is_wrong_with_a_deployment_that_is_in_order(built: world.World) -> None:
    found = await examined(built)

    assert {name: each.status for name, each in found.items() if each.status is not Severity.OK} == {
        "stop": Severity.WARN
    }
    assert {each.remedy for each in found.values() if each.status is Severity.OK} == {""}
    assert found["bot token"].found.endswith("workspace playground (T0PLAYGROUND), bot flowbot")
    assert found["channel C0INCIDENT"].found == "the bot can post in #incident"
    assert found["users"].found == "full members: 4 of the 4 users in the policy"
    assert found["group S0MEDIAGRP"].found == "@media-oncall has 1 member"
    assert found['rule "on-call stops, a lead approves"'].found == "needs 1 approval and has 2 approvers"


async def test_nothing_is_shown_in_slack_and_nothing_changes(built: world.World) -> None:
    before = {name: built.slack.workspace.messages(name) for name in built.slack.workspace.channels}

    await examined(built)

    assert {name: built.slack.workspace.messages(name) for name in built.slack.workspace.channels} == before
    assert {call.method for call in built.slack.workspace.calls} == {
        *("auth.test", "usergroups.list", "conversations.info", "users.info"),
    }
    assert {call.method for call in built.live.calls} == {"GET"}


FAULTS: dict[str, tuple[Break, str, Severity, str, str]] = {
    "a scope is missing": (
        lambda built: setattr(built.slack, "scopes", built.slack.scopes - {"usergroups:read", "commands"}),
        *("scopes", Severity.FAIL, "the bot token lacks commands, usergroups:read", "*Reinstall to Workspace*"),
    ),
    "a group cannot be asked about without its scope": (
        lambda built: setattr(built.slack, "scopes", built.slack.scopes - {"usergroups:read"}),
        *("group S0MEDIAGRP", Severity.FAIL, "could not be asked: the bot token lacks the scope usergroups:read"),
        "*Reinstall to Workspace*",
    ),
    "a channel cannot be asked about without its scope": (
        lambda built: setattr(built.slack, "scopes", built.slack.scopes - {"channels:read"}),
        *("channel C0INCIDENT", Severity.FAIL, "could not be asked: the bot token lacks the scope channels:read"),
        "*Reinstall to Workspace*",
    ),
    "the bot is not in the channel": (
        lambda built: built.slack.workspace.leave("C0INCIDENT", "U0FLOWBOT"),
        *("channel C0INCIDENT", Severity.FAIL, "the bot is not in #incident", "Type /invite @flowbot in #incident."),
    ),
    "the channel is private, and the bot is not in it": (
        lambda built: built.slack.workspace.change_channel("C0INCIDENT", is_private=True, members=frozenset()),
        *("channel C0INCIDENT", Severity.FAIL, "does not exist, or is private and the bot is not in it"),
        "Type /invite @flowbot there, or correct the id in channels of [projects.hk].",
    ),
    "the channel does not exist": (
        lambda built: policy(built, 'channels   = ["C0INCIDENT"]', 'channels   = ["C0INCIDENT", "C0NOWHERE"]'),
        *("channel C0NOWHERE", Severity.FAIL, "does not exist, or is private and the bot is not in it"),
        "correct the id in channels of [projects.hk]",
    ),
    "a channel of a rule does not exist": (
        lambda built: policy(built, "approvals = 1", 'channels = ["C0NOWHERE"]\napprovals = 1'),
        *("channel C0NOWHERE", Severity.FAIL, "does not exist", "correct the id in the rules"),
    ),
    "the channel is archived": (
        lambda built: built.slack.workspace.change_channel("C0INCIDENT", is_archived=True),
        *("channel C0INCIDENT", Severity.FAIL, "#incident is archived", "Unarchive it"),
    ),
    "the channel is shared": (
        lambda built: built.slack.workspace.change_channel("C0INCIDENT", is_ext_shared=True),
        *("channel C0INCIDENT", Severity.FAIL, "is shared with another organisation", "allow_shared = true"),
    ),
    "a user is deactivated": (
        lambda built: built.slack.workspace.change_person("U0BOB", deleted=True),
        *("user U0BOB", Severity.FAIL, "is deactivated", "remove it from the policy"),
    ),
    "a user does not exist": (
        lambda built: policy(built, '"U0BOB"', '"U0NOBODY"'),
        *("user U0NOBODY", Severity.FAIL, "is not in this workspace", "Correct the id"),
    ),
    "a user is a guest": (
        lambda built: built.slack.workspace.change_person("U0BOB", is_restricted=True),
        *("user U0BOB", Severity.FAIL, "is a guest", "rules count full members only"),
    ),
    "a user is a bot": (
        lambda built: policy(built, '"U0BOB"', '"U0ROBOT"'),
        *("user U0ROBOT", Severity.FAIL, "is a bot", "remove it from the policy"),
    ),
    "a user of another organisation": (
        lambda built: policy(built, '"U0BOB"', '"U0OTHER"'),
        *("user U0OTHER", Severity.FAIL, "is not in this workspace", "remove it from the policy"),
    ),
    "a group does not exist": (
        lambda built: policy(built, '"S0MEDIAGRP"', '"S0NOWHERE"'),
        *("group S0NOWHERE", Severity.FAIL, "does not exist in this workspace", "Correct the id"),
    ),
    "a group is disabled": (
        lambda built: built.slack.workspace.change_group("S0MEDIAGRP", enabled=False),
        *("group S0MEDIAGRP", Severity.FAIL, "@media-oncall is disabled", "Enable it in Slack"),
    ),
    "a group is empty": (
        lambda built: built.slack.workspace.change_group("S0MEDIAGRP", members=()),
        *("group S0MEDIAGRP", Severity.FAIL, "@media-oncall has no members", "Add members in Slack."),
    ),
    "our clock is behind, so that deliveries are ahead of it": (
        lambda built: setattr(built.slack, "ahead", 120.0),
        *("clock", Severity.FAIL, "this host's clock is 120 s behind Slack's", "Set the clock (NTP)."),
    ),
    "our clock is ahead, so that deliveries are too old": (
        lambda built: setattr(built.slack, "ahead", -600.0),
        *(
            "clock",
            Severity.FAIL,
            "this host's clock is 600 s ahead of Slack's, so that deliveries",
            "Set the clock",
        ),
    ),
    "our clock is off by a little": (
        lambda built: setattr(built.slack, "ahead", 30.0),
        *("clock", Severity.WARN, "this host's clock is 30 s behind Slack's", "Set the clock (NTP)."),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_workspace_or_the_policy_is_found(built: world.World, fault: str) -> None:
    breaks, name, status, words, remedy = FAULTS[fault]
    breaks(built)

    finding = (await examined(built))[name]

    assert (finding.status, words in finding.found, remedy in finding.remedy) == (status, True, True), finding


async def test_a_wrong_bot_token_is_said_once_and_not_for_each_channel(built: world.World) -> None:
    found = await examined(built, SLACK_BOT_TOKEN="xoxb-of-another-app")

    assert found["bot token"].found == "Slack does not accept it (invalid_auth)"
    assert "SLACK_BOT_TOKEN" in found["bot token"].remedy
    assert found["channels, users and groups"].found == "could not be asked: Slack does not accept the bot token"
    assert not [name for name in found if name.startswith(("channel C", "user", "group", "rule", "scopes"))]
    assert found["clock"].status is Severity.OK


async def test_slack_being_away_is_said_once(built: world.World) -> None:
    built.slack.faults.down()

    found = await examined(built)

    assert found["bot token"].found.startswith("Slack could not be asked (")
    assert found["channels, users and groups"].found == "could not be asked: Slack could not be reached"
    assert found["project hk"].status is Severity.OK


async def test_a_slack_that_hangs_takes_the_time_of_nothing_else(built: world.World) -> None:
    built.slack.faults.hold("auth.test", asyncio.Event(), times=None)

    found = await examined(built, within=2.0)

    assert found["bot token"].found == "Slack could not be asked (TimeoutError)"
    assert found["database"].status is Severity.OK


async def test_a_hanging_question_about_people_leaves_them_unknown(built: world.World) -> None:
    built.slack.faults.hold("users.info", asyncio.Event(), times=None)

    found = await examined(built, within=2.0)

    assert found["users"].status is Severity.WARN
    assert found["users"].found == "could not be asked about U0ALICE, U0BOB, U0CAROL, U0DAVE"
    rule = found['rule "on-call stops, a lead approves"']
    assert (rule.status, "not all could be asked about" in rule.found) == (Severity.WARN, True)


def test_slack_not_naming_its_scopes_and_time_is_a_warning() -> None:
    seen = survey.TokenSeen()

    scopes = slack_checks.scopes(seen)

    assert scopes is not None
    assert (scopes.status, scopes.found) == (
        Severity.WARN,
        "Slack did not say which scopes the bot token has",
    )
    assert slack_checks.clock(seen).status is Severity.WARN


async def test_a_channel_that_only_a_rule_names_needs_no_bot_in_it(built: world.World) -> None:
    policy(built, "approvals = 1", 'channels = ["C0RANDOM"]\napprovals = 1')
    built.slack.workspace.leave("C0RANDOM", "U0FLOWBOT")

    assert (await examined(built))["channel C0RANDOM"].found == "#random exists"


async def test_an_error_of_slack_tells_the_time_all_the_same(built: world.World) -> None:
    built.slack.faults.server_error("auth.test", times=None)

    found = await examined(built)

    assert found["bot token"].found == "Slack could not be asked (500)"
    assert found["clock"].status is Severity.OK


async def test_a_scope_that_is_not_needed_is_named(built: world.World) -> None:
    built.slack.scopes |= {"chat:write.public"}
    built.slack.workspace.leave("C0INCIDENT", "U0FLOWBOT")

    found = await examined(built)

    assert found["scopes"].found == "the bot token has all that flowbot needs; not needed: chat:write.public"
    assert found["channel C0INCIDENT"].status is Severity.OK


async def test_a_shared_channel_may_be_allowed(built: world.World) -> None:
    built.slack.workspace.change_channel("C0INCIDENT", is_ext_shared=True)
    policy(built, "[projects.hk]\n", "[projects.hk]\nallow_shared = true\n")

    assert (await examined(built))["channel C0INCIDENT"].found == "the bot can post in #incident, which is shared"


APP_TOKENS = {
    "wrong": ("xapp-of-another-app", None, "Slack does not accept it for Socket Mode (invalid_auth)"),
    "a bot token": ("xoxb-playground", None, "Slack does not accept it for Socket Mode (not_allowed_token_type)"),
    "without its scope": (
        "xapp-playground",
        "missing_scope",
        "Slack does not accept it for Socket Mode (missing_scope)",
    ),
    "not asked": ("xapp-playground", "internal_error", "Slack could not be asked (internal_error)"),
    "right": ("xapp-playground", None, "Slack accepts it for Socket Mode"),
}


@pytest.mark.parametrize("case", APP_TOKENS)
async def test_the_app_token_is_asked_for_a_connection(built: world.World, case: str) -> None:
    token, code, words = APP_TOKENS[case]
    if code is not None:
        built.slack.faults.error("apps.connections.open", code)

    found = (await examined(built, SLACK_APP_TOKEN=token))["app token"]

    assert (found.found, found.status is Severity.OK) == (words, case == "right")
    assert built.slack.sockets.knocks == []  # nobody connects: another connection would get deliveries


async def test_without_an_app_token_there_is_nothing_to_say_about_it(built: world.World) -> None:
    assert "app token" not in await examined(built)


RULE = 'rule "on-call stops, a lead approves"'


async def test_too_few_approvers_are_found(built: world.World) -> None:
    policy(built, "approvals = 1", "approvals = 2")
    built.slack.workspace.change_person("U0DAVE", is_restricted=True)

    found = (await examined(built))[RULE]

    assert (found.status, found.found) == (
        Severity.FAIL,
        "needs 2 approvals and has 1 approver, so nothing that it asks for can be approved",
    )


async def test_a_group_that_is_too_small_is_found(built: world.World) -> None:
    policy(built, 'approvers = ["media-leads"]', 'approvers = ["S0MEDIAGRP"]')
    policy(built, "approvals = 1", "approvals = 2")

    assert (await examined(built))[RULE].status is Severity.FAIL

    built.slack.workspace.change_group("S0MEDIAGRP", members=("U0CAROL", "U0DAVE", "U0GUEST", "U0GONE"))
    assert (await examined(built))[RULE].status is Severity.OK


async def test_the_requester_is_no_approver(built: world.World) -> None:
    policy(built, 'except    = ["media-leads"]\n', "")
    policy(built, 'who       = ["media-oncall"]', 'who       = ["media-oncall", "U0CAROL"]')
    assert (await examined(built))[RULE].status is Severity.OK

    built.slack.workspace.change_person("U0DAVE", deleted=True)
    found = (await examined(built))[RULE]

    assert (found.status, found.found) == (
        Severity.WARN,
        "needs 1 approval and has 1 approver; an approver who asks lacks one",
    )


async def test_many_people_are_asked_about_by_the_page(built: world.World) -> None:
    people = [f"U0P{number:02}" for number in range(20)]
    for person in people:
        built.slack.workspace.add_person(person, person.lower())
    built.slack.workspace.change_group("S0MEDIAGRP", members=people)

    await examined(built)

    assert len(built.slack.workspace.called("users.list")) == 1
    assert built.slack.workspace.called("users.info") == []


async def test_a_rate_limit_is_no_failure(built: world.World) -> None:
    built.slack.faults.ratelimit("usergroups.list", times=None)
    built.slack.faults.ratelimit("conversations.info", times=None)

    found = await examined(built)

    for name in ("group S0MEDIAGRP", "channel C0INCIDENT"):
        assert (found[name].status, found[name].found, found[name].remedy) == (
            Severity.WARN,
            "could not be asked: Slack limits calls",
            "Run this again in a minute.",
        )


async def test_a_rate_limit_of_the_first_question_leaves_the_rest_unasked(built: world.World) -> None:
    built.slack.faults.ratelimit("auth.test", times=None)

    found = await examined(built)

    for name in ("bot token", "channels, users and groups"):
        assert (found[name].status, found[name].remedy) == (Severity.WARN, "Run this again in a minute.")
