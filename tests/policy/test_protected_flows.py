"""Protected flows: when the flow's name must be typed."""

import dataclasses

import pytest
from hypothesis import given

from bot.commands.verbs import Verb
from bot.policy import evaluation, model, protected_flows
from bot.policy.model import Effect
from tests.policy.test_model import (
    ALICE,
    ALONE,
    CAROL,
    ERIN,
    GROUP,
    STOP_BY_ONCALL,
    ask,
    rules,
    some_groups,
    some_policy,
    some_question,
)

PREMIUM = dataclasses.replace(STOP_BY_ONCALL, name="premium", protected=("main-*",))


@pytest.mark.parametrize(
    ("globs", "protects"),
    [
        (("main-*",), True),
        (("f-????",), True),
        (("other-*", "main-feed"), True),
        (("*",), True),
        (("MAIN-*",), False),
        (("main",), False),
        ((), False),
    ],
)
def test_a_glob_is_about_the_id_or_the_name(globs: tuple[str, ...], protects: bool) -> None:
    rule = dataclasses.replace(PREMIUM, protected=globs)

    assert protected_flows.guard(rules(rule), ask(ALICE), {}) == (rule if protects else None)
    assert protected_flows.fits(rule, flow_id="f-1b2d", flow_name="main-feed") is protects


@pytest.mark.parametrize(
    "changed",
    [
        {"verbs": ("start",)},
        {"projects": ("eu",)},
        {"channels": ("C0WAR",)},
        {"flows": ("other-*",)},
        {"who": ("leads",)},
        {"excluded": (ALICE,)},
        {"effect": Effect.DENY},
    ],
)
def test_a_rule_that_allows_nothing_here_protects_nothing(changed: dict[str, object]) -> None:
    assert protected_flows.guard(rules(dataclasses.replace(PREMIUM, **changed)), ask(ALICE), {}) is None  # type: ignore[arg-type]


def test_the_rule_that_protects_need_not_decide() -> None:
    lax = dataclasses.replace(ALONE, protected=("main-*",))
    stricter = dataclasses.replace(STOP_BY_ONCALL, who=(CAROL,))

    decision = evaluation.decide(rules(stricter, lax), ask(CAROL), {})

    assert isinstance(decision, model.NeedApproval)
    assert decision.rule == stricter
    assert protected_flows.guard(rules(stricter, lax), ask(CAROL), {}) == lax


def test_a_rule_that_may_match_protects_already() -> None:
    perhaps = dataclasses.replace(PREMIUM, who=(GROUP,))

    assert protected_flows.guard(rules(perhaps), ask(ERIN), {}) == perhaps
    assert protected_flows.guard(rules(perhaps), ask(ERIN), {GROUP: frozenset({ERIN})}) == perhaps
    assert protected_flows.guard(rules(perhaps), ask(ERIN), {GROUP: frozenset()}) is None


@pytest.mark.parametrize("verb", [Verb.STATUS, Verb.LIST])
def test_reading_needs_no_name(verb: Verb) -> None:
    reads = dataclasses.replace(PREMIUM, verbs=("stop", "read"), protected=("*",))

    assert protected_flows.guard(rules(reads), ask(ALICE, verb), {}) is None


@given(some_policy, some_question, some_groups)
def test_law_protection_changes_no_decision(gate: model.Policy, question: model.Question, groups: model.Groups) -> None:
    protected = dataclasses.replace(
        gate, rules=tuple(dataclasses.replace(rule, protected=("*",)) for rule in gate.rules)
    )
    plain, guarded = (evaluation.decide(one, question, groups) for one in (gate, protected))

    if isinstance(plain, model.Refuse):
        assert guarded == plain
    else:
        assert isinstance(guarded, model.Allow | model.NeedApproval)
        assert dataclasses.replace(guarded, rule=plain.rule) == plain
        assert (protected_flows.guard(protected, question, groups) is None) is (plain.rule is model.READING)
