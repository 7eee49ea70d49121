"""Freezes: inside one, a rule requires more approvals or denies; outside, it is unchanged."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.policy import evaluation, freezing, model
from bot.policy.model import Effect, Freeze, Why
from tests.policy.test_model import (
    ALICE,
    ALONE,
    CAROL,
    STOP_BY_ONCALL,
    allows_at_most,
    ask,
    rules,
    some_policy,
    some_question,
)

ASKS = dataclasses.replace(STOP_BY_ONCALL, freezes=(Freeze(since=100.0, until=200.0, approvals=2),))
DENIES = dataclasses.replace(ALONE, freezes=(Freeze(since=100.0, until=200.0, deny=True),))

freezes = st.builds(
    Freeze,
    since=st.sampled_from([50.0, 100.0]),
    until=st.sampled_from([101.0, 200.0]),
    approvals=st.integers(0, 3),
    deny=st.booleans(),
)


@pytest.mark.parametrize(("now", "approvals"), [(99.9, 1), (100.0, 2), (199.9, 2), (200.0, 1)])
def test_a_freeze_asks_for_more_from_its_beginning_until_before_its_end(now: float, approvals: int) -> None:
    decision = evaluation.decide(freezing.at(rules(ASKS), now), ask(ALICE), {})

    assert isinstance(decision, model.NeedApproval)
    assert decision.approvals == approvals


def test_a_freeze_never_asks_for_less() -> None:
    strict = dataclasses.replace(ASKS, approvals=3)

    (rule,) = freezing.at(rules(strict), 150.0).rules

    assert rule.approvals == 3


def test_the_strictest_of_several_freezes_counts() -> None:
    more = dataclasses.replace(ASKS, freezes=(*ASKS.freezes, Freeze(since=0.0, until=500.0, approvals=5)))
    assert freezing.at(rules(more), 150.0).rules[0].approvals == 5

    ends = tuple(Freeze(since=0.0, until=until, deny=True) for until in (300.0, 400.0))
    denied = dataclasses.replace(ASKS, freezes=(*ASKS.freezes, *ends))
    assert freezing.at(rules(denied), 150.0).rules[0].frozen_until == 400.0


def test_a_freeze_that_denies_refuses_those_whom_the_rule_is_about_and_says_until_when() -> None:
    decision = evaluation.decide(freezing.at(rules(DENIES), 150.0), ask(CAROL), {})

    assert isinstance(decision, model.Refuse)
    assert (decision.why, decision.rule, decision.until) == (Why.DENY_RULE, "leads alone", 200.0)


def test_outside_any_freeze_the_policy_is_the_same_object() -> None:
    policy = rules(ASKS, DENIES)

    assert freezing.at(policy, 99.0) is policy
    assert freezing.at(policy, 150.0) is not policy
    assert [rule.effect for rule in freezing.at(policy, 150.0).rules] == [Effect.ALLOW, Effect.DENY]


@given(some_policy, some_question, st.lists(freezes, max_size=2), st.sampled_from([49.0, 60.0, 120.0, 300.0]))
def test_a_freeze_never_allows_more(
    gate: model.Policy, question: model.Question, found: list[Freeze], now: float
) -> None:
    frozen = rules(*(dataclasses.replace(rule, freezes=tuple(found)) for rule in gate.rules))
    groups: model.Groups = {}
    before, after = (
        evaluation.decide(gate, question, groups),
        evaluation.decide(freezing.at(frozen, now), question, groups),
    )
    if isinstance(before, model.Refuse) and before.why is Why.UNSATISFIABLE:
        return  # another rule may now require the most, and have enough approvers
    assert allows_at_most(after, before)
