"""The explanation agrees with the decision, and names the condition that keeps a rule from matching."""

import dataclasses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.commands.verbs import Door, Verb
from bot.policy import break_glass, evaluation, explain, freezing, model
from bot.policy.model import Effect, Why
from tests.policy.test_freezing import freezes
from tests.policy.test_model import (
    ALICE,
    ALONE,
    BOB,
    CAROL,
    ERIN,
    FREEZE,
    GROUP,
    OTHER_GROUP,
    STOP_BY_ONCALL,
    ask,
    rules,
    some_groups,
    some_policy,
    some_question,
)


def matches(explanation: explain.Explanation) -> list[bool | None]:
    """Return whether each rule matches."""
    return [look.matches for look in explanation.looks]


@given(some_policy, some_question, some_groups)
def test_explain_agrees_with_decide_on_any_policy(
    gate: model.Policy, question: model.Question, groups: model.Groups
) -> None:
    explanation = explain.explain(gate, question, groups)

    decision = explanation.decision
    assert decision == evaluation.decide(gate, question, groups)
    perhaps = [look.rule for look in explanation.looks if look.matches is not False]
    surely = [look.rule for look in explanation.looks if look.matches]
    denied = isinstance(decision, model.Refuse) and any(rule.effect is Effect.DENY for rule in perhaps)
    assert denied == any(rule.effect is Effect.DENY for rule in perhaps)
    if not isinstance(decision, model.Refuse):
        assert decision.rule in (*surely, model.READING)
    elif decision.why is Why.NO_RULE:
        assert perhaps == []
    elif decision.why is Why.DENY_RULE:
        assert decision.rule in [rule.name for rule in perhaps if rule.effect is Effect.DENY]


@given(some_policy, some_question, some_groups, st.lists(freezes, max_size=2), st.sampled_from([60.0, 120.0, 300.0]))
def test_explain_agrees_with_decide_inside_a_freeze_and_outside(
    gate: model.Policy,
    question: model.Question,
    groups: model.Groups,
    freezes: list[model.Freeze],
    now: float,
) -> None:
    frozen = rules(*(dataclasses.replace(rule, freezes=tuple(freezes)) for rule in gate.rules))
    frozen = freezing.at(frozen, now)
    explanation = explain.explain(frozen, question, groups)

    assert explanation.decision == evaluation.decide(frozen, question, groups)
    assert [look.rule for look in explanation.looks] == list(frozen.rules)
    denies = any(freeze.deny and freeze.since <= now < freeze.until for freeze in freezes)
    if denies:
        assert not isinstance(explanation.decision, model.NeedApproval)
        assert isinstance(explanation.decision, model.Refuse) or explanation.decision.rule is model.READING


@given(some_policy, some_question, some_groups)
def test_a_rule_alone_decides_as_its_explanation_says(
    gate: model.Policy, question: model.Question, groups: model.Groups
) -> None:
    for look in explain.explain(gate, question, groups).looks:
        alone = evaluation.decide(rules(dataclasses.replace(look.rule, approvals=0)), question, groups)
        allowed = isinstance(alone, model.Allow) and alone.rule is not model.READING
        assert allowed == (look.matches is True and look.rule.effect is Effect.ALLOW)


@pytest.mark.parametrize(
    ("rule", "verb", "failed"),
    [
        (dataclasses.replace(STOP_BY_ONCALL, verbs=("start",)), Verb.STOP, "verbs = start"),
        (dataclasses.replace(STOP_BY_ONCALL, projects=("eu",)), Verb.STOP, "projects = eu"),
        (dataclasses.replace(STOP_BY_ONCALL, channels=("C0EU",)), Verb.STOP, "channels = C0EU"),
        (dataclasses.replace(STOP_BY_ONCALL, flows=("news-*", "b-*")), Verb.STOP, "flows = news-*, b-*"),
        (dataclasses.replace(STOP_BY_ONCALL, who=(CAROL,)), Verb.STOP, f"who = {CAROL}"),
        (dataclasses.replace(STOP_BY_ONCALL, who=("*",), excluded=(ALICE,)), Verb.STOP, f"except = {ALICE}"),
        (
            dataclasses.replace(STOP_BY_ONCALL, verbs=("read",)),
            Verb.STATUS,
            "its effect: reading needs no allow rule",
        ),
    ],
)
def test_the_first_condition_that_fails_is_named(rule: model.Rule, verb: Verb, failed: str) -> None:
    line, _ = explain.report(explain.explain(rules(rule), ask(ALICE, verb), {GROUP: frozenset()}))

    assert line == f'rule "on-call stops" (allow): does not match because of {failed}'


@pytest.mark.parametrize(
    ("found", "user", "groups", "line"),
    [
        ((ALONE,), CAROL, {}, 'yes, without approval: by rule "leads alone"; open for 1800 seconds'),
        (
            (STOP_BY_ONCALL,),
            ALICE,
            {},
            'yes, with 1 approval of leads: by rule "on-call stops"; a reason is required; open for 1800 seconds',
        ),
        (
            (dataclasses.replace(ALONE, protected=("main-*",)), dataclasses.replace(ALONE, name="two")),
            CAROL,
            {},
            'yes, without approval: by rule "leads alone"; the flow\'s name must be typed, '
            'by rule "leads alone"; open for',
        ),
        ((FREEZE, ALONE), ALICE, {}, 'no: rule "frozen" denies it; who could do it instead: leads'),
        ((STOP_BY_ONCALL,), ERIN, {GROUP: frozenset()}, "no: no rule allows it; who could do it instead: oncall"),
        ((STOP_BY_ONCALL,), ERIN, {}, f'no: rule "on-call stops" depends on unknown user groups: {GROUP}'),
        (
            (dataclasses.replace(STOP_BY_ONCALL, approvals=3),),
            BOB,
            {},
            'no: rule "on-call stops" needs 3 approvals, but only 2 could give one',
        ),
    ],
)
def test_the_decision_is_the_last_line(
    found: tuple[model.Rule, ...], user: str, groups: model.Groups, line: str
) -> None:
    *_, last = explain.report(explain.explain(rules(*found), ask(user), groups))

    assert last.startswith(line)


def test_a_rule_that_depends_on_an_unknown_group_may_match() -> None:
    explanation = explain.explain(rules(STOP_BY_ONCALL, ALONE), ask(ERIN), {})

    assert matches(explanation) == [None, False]
    assert explain.report(explanation)[0] == 'rule "on-call stops" (allow): may match, depending on a user group'


def test_groups_are_assumed_to_hold_the_user_only_where_it_is_said() -> None:
    asks_two = dataclasses.replace(STOP_BY_ONCALL, approvals=2, approvers=(GROUP,))

    without = explain.assumed_groups(rules(asks_two), ERIN, ())
    within = explain.assumed_groups(rules(asks_two), ERIN, (GROUP,))

    assert len(without[GROUP] or ()) == 2
    assert within[GROUP] == (without[GROUP] or frozenset()) | {ERIN}
    decisions = [explain.explain(rules(asks_two), ask(ERIN), groups).decision for groups in (without, within)]
    assert [type(decision) for decision in decisions] == [model.Refuse, model.NeedApproval]


BURNING = dataclasses.replace(STOP_BY_ONCALL, emergency=("oncall",))


STRICT = dataclasses.replace(STOP_BY_ONCALL, name="strict", approvals=2, approvers=())


@given(some_policy, some_question, some_groups)
@example(rules(STOP_BY_ONCALL, dataclasses.replace(ALONE, name="own", approvers=(ALICE,)), STRICT), ask(ALICE), {})
@example(
    rules(dataclasses.replace(STRICT, who=(GROUP,)), dataclasses.replace(ALONE, approvers=(ALICE,))), ask(ALICE), {}
)
def test_an_explained_emergency_agrees_with_its_decision(
    gate: model.Policy, question: model.Question, groups: model.Groups
) -> None:
    opened = rules(*(dataclasses.replace(rule, emergency=rule.approvers) for rule in gate.rules))

    explanation = explain.explain(opened, question, groups, emergency=True)

    assert explanation.decision == break_glass.decide(opened, question, groups)
    decision = explanation.decision
    allows = [look.rule for look in explanation.looks if look.matches and look.rule.effect is Effect.ALLOW]
    stricter = [look for look in explanation.looks if look.is_stricter is not False]
    if isinstance(decision, break_glass.AllowEmergency):
        assert decision.rule in allows
        assert stricter == []
    elif decision.why is Why.NO_EMERGENCY and decision.rule is None:
        assert (allows, stricter) == ([], [])
    elif decision.why is Why.NO_EMERGENCY:
        (look,) = stricter
        assert (look.rule.name, look.is_stricter, look.matches) == (decision.rule, True, False)
        assert look.rule.approvals > max(rule.approvals for rule in allows)
        *lines, verdict = explain.report(explanation)
        assert all(f'rule "{decision.rule}" ' in words for words in (lines[explanation.looks.index(look)], verdict))


@pytest.mark.parametrize(
    ("found", "user", "lines"),
    [
        (
            (BURNING, ALONE),
            ALICE,
            [
                'rule "on-call stops" (allow): matches',
                'rule "leads alone" (allow): does not match because of emergency = nobody',
                'yes, as an emergency: by rule "on-call stops", skipping the approval of leads; a reason is required; '
                "above 3 in 24 hours, another of oncall must press second; open for 1800 seconds",
            ],
        ),
        (
            (BURNING,),
            CAROL,
            [
                'rule "on-call stops" (allow): does not match because of emergency = oncall',
                "no: no rule lets them use --emergency here; who could do it instead: oncall",
            ],
        ),
        (
            (BURNING, dataclasses.replace(STRICT, emergency=("leads",))),
            ALICE,
            [
                'rule "on-call stops" (allow): matches',
                'rule "strict" (allow): is stricter, needs 2 approvals and lets only leads use --emergency',
                'no: rule "strict" is stricter, needs 2 approvals and does not let them use --emergency; who could'
                " do it instead: leads",
            ],
        ),
        (
            (dataclasses.replace(STRICT, who=(OTHER_GROUP,)), BURNING),
            ALICE,
            [
                'rule "strict" (allow): may apply, depending on a user group; it is stricter, needs 2 approvals and'
                " lets nobody use --emergency",
                'rule "on-call stops" (allow): matches',
                f'no: rule "strict" depends on unknown user groups: {OTHER_GROUP}',
            ],
        ),
        (
            (dataclasses.replace(ALONE, emergency=(ALICE,)),),
            ALICE,
            [
                'rule "leads alone" (allow): matches',
                'yes, as an emergency: by rule "leads alone", skipping the approval of nobody; a reason is required; '
                "above 3 in 24 hours, another of U0ALICE must press second; open for 1800 seconds",
            ],
        ),
    ],
)
def test_an_emergency_is_explained_by_whom_each_rule_lets_use_it(
    found: tuple[model.Rule, ...], user: str, lines: list[str]
) -> None:
    explanation = explain.explain(rules(*found), ask(user), {GROUP: frozenset()}, emergency=True)

    assert list(explain.report(explanation)) == lines


@pytest.mark.parametrize(
    ("user", "text", "says"),
    [
        ("U0ALICE", "stop main-feed", 'yes, with 1 approval of U0CAROL: by rule "on the host"'),
        ("U0ALICE", "stop main-feed --emergency because it burns", "yes, as an emergency"),
        ("U0BOB", "stop main-feed", "no: no login of [operators] is theirs"),
        ("U0CAROL", "stop main-feed", "no: no rule allows it"),
    ],
)
def test_on_the_host_an_operator_asks_in_the_home_channel(user: str, text: str, says: str) -> None:
    rule = model.Rule(
        name="on the host",
        verbs=("stop",),
        who=("U0ALICE", "U0BOB"),
        channels=("C0HOME",),
        approvals=1,
        approvers=("U0CAROL",),
        emergency=("U0ALICE",),
        door=Door.HOST,
    )
    project = dataclasses.replace(rules().projects["hk"], channels=("C0HOME", "C0OTHER"))
    policy = dataclasses.replace(
        rules(rule), projects={"hk": project}, operators={"alice": "U0ALICE", "carol": "U0CAROL"}
    )

    found = explain.of_command(policy, text, user=user, channel=None, member_of=())

    assert isinstance(found, explain.Explanation)
    last = explain.verdict(found)
    assert last.startswith(says)
    assert ("confirmations and approvals count from the host only" in last) == says.startswith("yes")
