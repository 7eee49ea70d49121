"""The cases of a policy: compared with the decisions, key by key."""

import dataclasses

import pytest

from bot.policy import model
from bot.policy.file import case_checks
from bot.policy.file.keys import Case
from tests.policy.test_model import ALICE, ALONE, BOB, CAROL, ERIN, FREEZE, GROUP, STOP_BY_ONCALL, rules

GATE = rules(STOP_BY_ONCALL, ALONE)


def case(user: str = ALICE, command: str = "stop main-feed", **keys: object) -> Case:
    """Return a case in the home channel that expects "allow", unless `changed` says otherwise."""
    return Case.model_validate({"user": user, "channel": "C0HOME", "command": command, "expect": "allow", **keys})


def judged(found: Case, gate: model.Policy = GATE) -> list[str]:
    """Return the keys that fail in a case."""
    return [key for key, _ in case_checks.judge(gate, found)]


@pytest.mark.parametrize(
    "found",
    [
        case(approvals=1, rule="on-call stops"),
        case(CAROL, approvals=0, rule="leads alone"),
        case(CAROL, "start main-feed"),
        case(BOB, "start main-feed", expect="deny"),
        case(ERIN, expect="deny"),
        case(ERIN, member_of=(GROUP,), approvals=1),
        case(ERIN, "list main --project eu", approvals=0),
        case(channel="C0EU", command="stop main-feed"),
    ],
)
def test_a_case_that_holds_has_nothing_against_it(found: Case) -> None:
    assert judged(found) == []


@pytest.mark.parametrize(
    ("found", "keys"),
    [
        (case(expect="deny"), ["expect"]),
        (case(expect="deny", rule="leads alone"), ["expect"]),
        (case(ERIN), ["expect"]),
        (case(approvals=0), ["approvals"]),
        (case(rule="leads alone"), ["rule"]),
        (case(approvals=2, rule="leads alone"), ["approvals", "rule"]),
        (case(ERIN, expect="deny", rule="leads alone"), ["rule"]),
        (case(command="halt main-feed"), ["command"]),
        (case(command="stop main-feed --project asia"), ["command"]),
        (case(channel="C0ELSEWHERE"), ["channel"]),
        (case(channel="C0ELSEWHERE", rule="nobody's", member_of=("S0NONE",)), ["channel", "member_of", "rule"]),
    ],
)
def test_what_does_not_hold_is_told_by_its_key(found: Case, keys: list[str]) -> None:
    assert judged(found) == keys


def test_a_deny_is_expected_by_its_rule() -> None:
    gate = rules(STOP_BY_ONCALL, FREEZE)

    assert judged(case(expect="deny", rule="frozen"), gate) == []
    assert case_checks.judge(gate, case(expect="deny", rule="on-call stops")) == (
        (
            "rule",
            'expects rule "on-call stops" to decide; the decision is no: rule "frozen" denies it',
        ),
    )


def test_a_channel_of_a_rule_is_known_too() -> None:
    closed = model.Rule(name="closed", effect=model.Effect.DENY, verbs=("read",), who=("*",), channels=("C0BAR",))

    assert judged(case(channel="C0BAR", command="list --project hk", expect="deny"), rules(closed)) == []


def test_a_freeze_does_not_count() -> None:
    always = dataclasses.replace(STOP_BY_ONCALL, freezes=(model.Freeze(since=0.0, until=1e12, deny=True),))

    assert judged(case(approvals=1), rules(always)) == []
