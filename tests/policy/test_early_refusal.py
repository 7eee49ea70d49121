"""Early refusals: never of a person whom a rule allows this for some flow."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.policy import break_glass, early_refusal, evaluation, model
from bot.policy.model import Kind, Refuse, Why
from tests.policy.test_model import (
    ALICE,
    ALONE,
    CAROL,
    ERIN,
    FREEZE,
    GROUP,
    STOP_BY_ONCALL,
    ask,
    entries,
    rules,
    some_groups,
    some_policy,
    some_question,
)

SCRATCH = dataclasses.replace(ALONE, name="scratch", who=(ERIN,), flows=("scratch-*",))
URGENT = dataclasses.replace(STOP_BY_ONCALL, emergency=("oncall",), flows=("scratch-*",))


def refusal(
    *found: model.Rule, who: str = ERIN, emergency: bool = False, groups: model.Groups | None = None
) -> Why | None:
    """Return why a person is refused early, or None."""
    refused = early_refusal.refuse(rules(*found), ask(who), groups or {}, emergency=emergency)
    return None if refused is None else refused.why


@pytest.mark.parametrize("emergency", [False, True])
def test_somebody_whom_no_rule_names_is_refused(emergency: bool) -> None:
    expected = Why.NO_EMERGENCY if emergency else Why.NO_RULE
    assert refusal(ALONE, STOP_BY_ONCALL, URGENT, groups={GROUP: frozenset()}, emergency=emergency) is expected
    assert refusal(emergency=emergency) is expected


def test_a_rule_for_some_flows_is_enough_to_ask_which_flow_is_meant() -> None:
    assert refusal(SCRATCH) is None
    assert refusal(URGENT, who=ALICE, emergency=True) is None


def test_a_deny_counts_where_it_is_about_every_flow() -> None:
    everything, some = (dataclasses.replace(FREEZE, excluded=(), flows=flows) for flows in (("x", "*"), ("main-*",)))
    for emergency, rule, who in ((False, SCRATCH, ERIN), (True, URGENT, ALICE)):
        assert refusal(rule, everything, who=who, emergency=emergency) is Why.DENY_RULE
        assert refusal(rule, some, who=who, emergency=emergency) is None


@pytest.mark.parametrize("emergency", [False, True])
def test_a_group_that_nobody_could_ask_about_lets_nobody_in(emergency: bool) -> None:
    rule = dataclasses.replace(SCRATCH, who=(GROUP,), emergency=(GROUP,), approvals=1, approvers=("leads",))
    assert refusal(rule, emergency=emergency) is Why.UNREACHABLE
    assert refusal(rule, emergency=emergency, groups={GROUP: frozenset({ERIN})}) is None


@pytest.mark.parametrize(
    "rule",
    [
        dataclasses.replace(SCRATCH, verbs=("start",)),
        dataclasses.replace(SCRATCH, projects=("eu",)),
        dataclasses.replace(SCRATCH, channels=("C0EU",)),
        dataclasses.replace(SCRATCH, excluded=(ERIN,)),
    ],
)
def test_a_rule_for_another_verb_place_or_person_is_not_enough(rule: model.Rule) -> None:
    assert refusal(rule) is Why.NO_RULE


def test_who_could_is_named_for_the_flow_that_was_typed_if_its_name_tells() -> None:
    of_this = dataclasses.replace(ALONE, who=(CAROL,), flows=("main-*",))
    of_others = dataclasses.replace(SCRATCH, who=(ALICE,))

    both = early_refusal.refuse(rules(of_this, of_others), ask(ERIN), {}, emergency=False)
    other = early_refusal.refuse(rules(of_others), ask(ERIN), {}, emergency=False)

    assert both is not None
    assert other is not None
    assert (both.who_could, other.who_could) == ((CAROL,), (ALICE,))


flow_names = st.sampled_from(["main-feed", "scratch-1", "[", "x"])
with_emergencies = st.lists(entries, max_size=5)


@given(some_policy, with_emergencies, some_question, some_groups, st.sampled_from(list(Kind)), flow_names, flow_names)
def test_whoever_is_refused_early_is_refused_for_every_flow(
    gate: model.Policy,
    members: list[tuple[str, ...]],
    question: model.Question,
    groups: model.Groups,
    kind: Kind,
    flow_id: str,
    flow_name: str,
) -> None:
    named = zip(gate.rules, [*members, *[()] * len(gate.rules)], strict=False)
    gate = rules(*(dataclasses.replace(rule, emergency=may) for rule, may in named))
    question = dataclasses.replace(question, person=dataclasses.replace(question.person, kind=kind))
    this = dataclasses.replace(question, flow_id=flow_id, flow_name=flow_name)

    if early_refusal.refuse(gate, question, groups, emergency=False) is not None:
        assert isinstance(evaluation.decide(gate, this, groups), Refuse)
    if early_refusal.refuse(gate, question, groups, emergency=True) is not None:
        assert isinstance(break_glass.decide(gate, this, groups), Refuse)


@given(some_policy, some_question, some_groups, flow_names)
def test_what_a_typed_word_allows_it_allows_as_an_id_and_as_a_name(
    gate: model.Policy, question: model.Question, groups: model.Groups, typed: str
) -> None:
    nameless = dataclasses.replace(question, flow_id=typed, flow_name=None)
    if isinstance(evaluation.decide(gate, nameless, groups), Refuse):
        return
    for flow_id, flow_name in ((typed, "main-feed"), (typed, "x"), ("f-1b2d", typed)):
        this = dataclasses.replace(question, flow_id=flow_id, flow_name=flow_name)
        decision = evaluation.decide(gate, this, groups)
        # For an unknown name, another rule may require more approvers than there are, or than can be asked about.
        assert not isinstance(decision, Refuse) or decision.why in (Why.UNSATISFIABLE, Why.UNREACHABLE)
