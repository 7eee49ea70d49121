"""The warnings of `flowbot check` about rules that are each valid."""

import dataclasses

import pytest
from hypothesis import given

from bot.commands.verbs import Door
from bot.policy import evaluation, model
from bot.policy.file import lint
from bot.policy.model import Effect, Freeze, Rule
from tests.policy.test_model import (
    ALICE,
    ALONE,
    CAROL,
    GROUP,
    STOP_BY_ONCALL,
    rules,
    some_groups,
    some_policy,
    some_question,
)

ANYBODY = Rule(name="anybody", verbs=("stop",), who=("*",))
DENY = Rule(name="never", effect=Effect.DENY, verbs=("stop", "start"), who=("*",))
SOME_FLOWS = dataclasses.replace(STOP_BY_ONCALL, name="news", flows=("news-*",))
OTHER_LEADS = dataclasses.replace(STOP_BY_ONCALL, name="other", who=(ALICE,), approvers=(CAROL,), channels=("C0WAR",))
FROZEN = (Freeze(since=1.0, until=2.0, approvals=5),)


def found(*written: Rule) -> list[tuple[int, str, str]]:
    """Return the rule, the key and the first words of each finding."""
    return [(number, key, " ".join(what.split()[:2])) for number, key, what in lint.lint(rules(*written))]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ((STOP_BY_ONCALL, ALONE), []),
        ((ANYBODY,), [(0, "who", "lets every")]),
        ((dataclasses.replace(ANYBODY, verbs=("read",)),), []),
        ((dataclasses.replace(ANYBODY, approvals=1, approvers=("leads",)),), []),
        ((ALONE, DENY), [(0, "effect", "never allows")]),
        ((ALONE, dataclasses.replace(DENY, excluded=("leads",))), []),
        ((ALONE, dataclasses.replace(DENY, verbs=("stop",))), []),
        ((STOP_BY_ONCALL, SOME_FLOWS), [(1, "approvals", "never decides:")]),
        ((SOME_FLOWS, STOP_BY_ONCALL), []),
        ((SOME_FLOWS, dataclasses.replace(STOP_BY_ONCALL, approvals=2)), [(0, "approvals", "never decides:")]),
        ((STOP_BY_ONCALL, dataclasses.replace(SOME_FLOWS, approvals=2)), []),
        ((STOP_BY_ONCALL, dataclasses.replace(SOME_FLOWS, freezes=FROZEN)), []),
        ((dataclasses.replace(STOP_BY_ONCALL, who=(GROUP,)), dataclasses.replace(SOME_FLOWS, who=(ALICE,))), []),
        ((dataclasses.replace(STOP_BY_ONCALL, channels=("C0HOME",)), OTHER_LEADS), []),
        (
            (dataclasses.replace(SOME_FLOWS, who=(ALICE,)), OTHER_LEADS),
            [(1, "approvers", "needs as")],
        ),
        ((dataclasses.replace(SOME_FLOWS, who=(ALICE,)), dataclasses.replace(OTHER_LEADS, flows=("b-*",))), []),
    ],
)
def test_what_is_odd_is_found_and_nothing_else(written: tuple[Rule, ...], expected: list[tuple[int, str, str]]) -> None:
    assert found(*written) == expected


@given(some_policy, some_question, some_groups)
def test_a_rule_that_is_said_never_to_decide_never_does(
    gate: model.Policy, question: model.Question, groups: model.Groups
) -> None:
    named = [dataclasses.replace(rule, name=f"r{number}") for number, rule in enumerate(gate.rules)]
    whole = rules(*named)
    idle = {named[number].name for number, key, _ in lint.lint(whole) if key in ("approvals", "effect")}

    decision = evaluation.decide(whole, question, groups)

    assert isinstance(decision, model.Refuse) or decision.rule.name not in idle


@pytest.mark.parametrize(
    ("rule", "operators", "is_odd"),
    [
        (STOP_BY_ONCALL, [CAROL], False),  # one of the leads
        (STOP_BY_ONCALL, [ALICE], True),  # may ask, and not approve
        (STOP_BY_ONCALL, [], True),
        (ALONE, [CAROL], False),
        (ALONE, [ALICE], True),
        (dataclasses.replace(STOP_BY_ONCALL, approvers=(GROUP,)), [ALICE], False),  # may be in the group
        (dataclasses.replace(STOP_BY_ONCALL, approvers=(GROUP,)), [], True),
    ],
)
def test_a_rule_for_the_host_needs_an_operator_who_could_decide(rule: Rule, operators: list[str], is_odd: bool) -> None:
    policy = dataclasses.replace(
        rules(dataclasses.replace(rule, door=Door.HOST)),
        operators={f"login{n}": user for n, user in enumerate(operators)},
    )
    expected = [(0, "door", "lets nobody decide: none of those who could is in [operators]")]
    assert list(lint.lint(policy)) == (expected if is_odd else [])
