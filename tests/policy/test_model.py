"""The evaluation of rules: tables of decisions, and laws for what it never allows."""

import dataclasses
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.deliveries import Actor
from bot.commands.verbs import Verb
from bot.policy import evaluation, model, voting
from bot.policy.model import Effect, Kind, Why

ALICE, BOB, CAROL, DAVE, ERIN = "U0ALICE", "U0BOB", "U0CAROL", "U0DAVE", "U0ERIN"
USERS = (ALICE, BOB, CAROL, DAVE, ERIN)
GROUP, OTHER_GROUP = "S0MEDIA", "S0OPS"
HK = model.Project(
    name="hk",
    project_id="0a",
    region="r-1",
    endpoint="https://live.r-1.myhuaweicloud.com",
    channels=("C0HOME", "C0WAR"),
)
EU = dataclasses.replace(HK, name="eu", channels=("C0EU",))
PEOPLE = {"oncall": (ALICE, BOB, GROUP), "leads": (CAROL, DAVE)}

STOP_BY_ONCALL = model.Rule(
    name="on-call stops", verbs=("stop",), who=("oncall",), approvals=1, approvers=("leads",), reason_required=True
)
ALONE = model.Rule(name="leads alone", verbs=("stop", "start"), who=("leads",))
FREEZE = model.Rule(name="frozen", effect=Effect.DENY, verbs=("stop", "start"), who=("*",), excluded=("leads",))


def rules(*rules: model.Rule) -> model.Policy:
    return model.Policy(projects={"hk": HK, "eu": EU}, people=PEOPLE, rules=rules, digest="d")


def person(user: str, kind: Kind = Kind.MEMBER) -> model.Person:
    return model.Person(actor=Actor(team="T0", user=user), kind=kind)


def ask(user: str, verb: Verb = Verb.STOP, *, kind: Kind = Kind.MEMBER, channel: str = "C0HOME") -> model.Question:
    return model.Question(
        person=person(user, kind), verb=verb, project="hk", flow_id="f-1b2d", flow_name="main-feed", channel=channel
    )


def test_a_subject_becomes_the_question_of_whoever_asks() -> None:
    wanted = model.Subject(verb=Verb.STOP, project="hk", flow_id="f-1b2d", flow_name="main-feed", channel="C0HOME")
    assert wanted.asked_by(person(ALICE)) == ask(ALICE)


class TestDecide:
    def test_without_rules_everything_that_changes_is_refused(self) -> None:
        assert evaluation.decide(rules(), ask(ALICE), {}) == model.Refuse(why=Why.NO_RULE)

    @pytest.mark.parametrize("verb", [Verb.STATUS, Verb.LIST, Verb.PENDING, Verb.HISTORY, Verb.WHOAMI, Verb.HELP])
    def test_reading_needs_no_rule(self, verb: Verb) -> None:
        decision = evaluation.decide(rules(), ask(ERIN, verb), {})
        assert decision == model.Allow(rule=model.READING, reason_required=False, expires=1800.0)

    def test_reading_is_closed_by_a_deny_and_by_nothing_else(self) -> None:
        gate = dataclasses.replace(FREEZE, verbs=("read",))
        asks_for_approval = dataclasses.replace(STOP_BY_ONCALL, verbs=("read",), who=("*",))
        assert isinstance(evaluation.decide(rules(asks_for_approval), ask(ERIN, Verb.LIST), {}), model.Allow)
        assert evaluation.decide(rules(gate), ask(ERIN, Verb.LIST), {}) == model.Refuse(
            why=Why.DENY_RULE, rule="frozen"
        )

    @pytest.mark.parametrize("kind", [Kind.GUEST, Kind.STRANGER, Kind.BOT, Kind.DEACTIVATED])
    @pytest.mark.parametrize("verb", [Verb.STOP, Verb.STATUS])
    def test_an_outsider_gets_a_bare_refusal(self, kind: Kind, verb: Verb) -> None:
        decision = evaluation.decide(rules(ALONE, FREEZE), ask(CAROL, verb, kind=kind), {})
        assert decision == model.Refuse(why=Why.OUTSIDER, kind=kind)

    def test_nobody_is_let_in_while_slack_cannot_say_who_they_are(self) -> None:
        decision = evaluation.decide(rules(ALONE), ask(CAROL, kind=Kind.UNREACHABLE), {})
        assert decision == model.Refuse(why=Why.UNREACHABLE, kind=Kind.UNREACHABLE)

    def test_an_allow_carries_its_terms(self) -> None:
        assert evaluation.decide(rules(ALONE), ask(CAROL), {}) == model.Allow(
            rule=ALONE, reason_required=False, expires=1800.0
        )

    def test_approvers_are_people_from_sets_and_groups_without_the_requester(self) -> None:
        rule = dataclasses.replace(STOP_BY_ONCALL, approvers=("leads", GROUP, ALICE))
        decision = evaluation.decide(rules(rule), ask(ALICE), {GROUP: frozenset({ERIN, ALICE})})
        assert decision == model.NeedApproval(
            rule=rule,
            approvals=1,
            approvers=frozenset({CAROL, DAVE, ERIN}),
            reason_required=True,
            expires=1800.0,
        )

    def test_the_rule_with_the_most_approvals_applies_whole(self) -> None:
        two = dataclasses.replace(STOP_BY_ONCALL, name="two", approvals=2)
        other = dataclasses.replace(STOP_BY_ONCALL, name="other", approvers=(ERIN,))
        decision = evaluation.decide(rules(other, two, ALONE), ask(ALICE), {GROUP: frozenset()})
        assert isinstance(decision, model.NeedApproval)
        assert (decision.rule, decision.approvers) == (two, frozenset({CAROL, DAVE}))

    def test_of_equals_the_earlier_applies(self) -> None:
        other = dataclasses.replace(STOP_BY_ONCALL, name="other", approvers=(ERIN,))
        for first, second in ((STOP_BY_ONCALL, other), (other, STOP_BY_ONCALL)):
            decision = evaluation.decide(rules(first, second), ask(ALICE), {GROUP: frozenset()})
            assert isinstance(decision, model.NeedApproval)
            assert decision.rule == first

    def test_reason_and_expiry_come_from_every_rule_that_matches(self) -> None:
        strict = dataclasses.replace(ALONE, name="strict", reason_required=True, expires=3600.0)
        short = dataclasses.replace(ALONE, name="short", expires=5.0)
        decision = evaluation.decide(rules(ALONE, strict, short), ask(CAROL), {})
        assert decision == model.Allow(rule=ALONE, reason_required=True, expires=5.0)

    def test_a_deny_that_surely_matches_is_told_whatever_else_is_unknown(self) -> None:
        deny = dataclasses.replace(FREEZE, who=(ALICE, GROUP), excluded=(), frozen_until=9.0)
        sure = model.Refuse(why=Why.DENY_RULE, rule="frozen", who_could=("leads",), until=9.0)
        assert evaluation.decide(rules(ALONE, deny), ask(ALICE), {}) == sure

    def test_a_deny_that_hangs_on_a_group_ends_at_no_time_that_is_known(self) -> None:
        deny = dataclasses.replace(FREEZE, who=(GROUP,), excluded=(), frozen_until=9.0)
        unsure = model.Refuse(why=Why.UNREACHABLE, rule="frozen", who_could=("leads",), groups=(GROUP,))
        assert evaluation.decide(rules(ALONE, deny), ask(ALICE), {}) == unsure

    def test_a_deny_wins_wherever_it_stands_and_names_who_could(self) -> None:
        for order in itertools.permutations([STOP_BY_ONCALL, ALONE, FREEZE]):
            decision = evaluation.decide(rules(*order), ask(ALICE), {GROUP: frozenset()})
            assert decision == model.Refuse(why=Why.DENY_RULE, rule="frozen", who_could=("leads",))

    @pytest.mark.parametrize(
        ("changed", "matches"),
        [
            ({}, True),
            ({"verbs": ("start",)}, False),
            ({"projects": ("eu",)}, False),
            ({"projects": ("eu", "hk")}, True),
            ({"channels": ("C0WAR",)}, False),
            ({"channels": ("C0WAR", "C0HOME")}, True),
            ({"flows": ("other-*",)}, False),
            ({"flows": ("other-*", "main-*")}, True),
            ({"flows": ("f-????",)}, True),
            ({"flows": ("MAIN-*",)}, False),
            ({"flows": ("main",)}, False),
            ({"who": (ALICE,)}, True),
            ({"who": (BOB,)}, False),
            ({"who": ("*",)}, True),
            ({"who": ("leads",)}, False),
            ({"who": (GROUP,)}, True),
            ({"who": (OTHER_GROUP,)}, False),
            ({"who": ("*",), "excluded": (ALICE,)}, False),
            ({"who": ("*",), "excluded": (GROUP,)}, False),
            ({"who": ("*",), "excluded": (OTHER_GROUP, "leads")}, True),
            ({"who": ("*",), "excluded": ("*",)}, False),
        ],
    )
    @pytest.mark.parametrize("effect", list(Effect))
    def test_conditions(self, changed: dict[str, tuple[str, ...]], matches: bool, effect: Effect) -> None:
        rule = model.Rule(name="r", effect=effect, **{"verbs": ("stop",), "who": ("oncall",), **changed})  # type: ignore[arg-type]
        anybody = model.Rule(name="anybody", verbs=("stop",), who=("*",))
        groups = {GROUP: frozenset({ALICE}), OTHER_GROUP: frozenset({BOB})}
        gate = rules(rule) if effect is Effect.ALLOW else rules(anybody, rule)
        allowed = isinstance(evaluation.decide(gate, ask(ALICE), groups), model.Allow)
        assert allowed is (matches is (effect is Effect.ALLOW))

    def test_an_allow_that_hangs_on_an_unknown_group_is_refused_as_unreachable(self) -> None:
        rule = dataclasses.replace(ALONE, who=(GROUP,))
        assert evaluation.decide(rules(rule), ask(ALICE), {GROUP: None}) == model.Refuse(
            why=Why.UNREACHABLE, rule="leads alone", who_could=(GROUP,), groups=(GROUP,)
        )
        excepting = dataclasses.replace(ALONE, who=("*",), excluded=(OTHER_GROUP,))
        refused = evaluation.decide(rules(excepting), ask(ALICE), {})
        assert isinstance(refused, model.Refuse)
        assert (refused.why, refused.groups) == (Why.UNREACHABLE, (OTHER_GROUP,))

    def test_an_unknown_group_does_not_matter_to_those_whom_other_entries_name(self) -> None:
        assert isinstance(evaluation.decide(rules(STOP_BY_ONCALL), ask(ALICE), {GROUP: None}), model.NeedApproval)

    def test_a_deny_that_hangs_on_an_unknown_group_matches(self) -> None:
        for rule in (
            dataclasses.replace(FREEZE, who=(GROUP,), excluded=()),
            dataclasses.replace(FREEZE, excluded=(GROUP,)),
        ):
            refused = evaluation.decide(rules(ALONE, rule), ask(CAROL), {})
            assert isinstance(refused, model.Refuse)
            assert (refused.why, refused.rule, refused.groups) == (Why.UNREACHABLE, "frozen", (GROUP,))

    def test_a_deny_that_is_sure_is_named_before_one_that_is_not(self) -> None:
        unsure = dataclasses.replace(FREEZE, name="unsure", who=(GROUP,))
        refused = evaluation.decide(rules(unsure, FREEZE), ask(ALICE), {})
        assert isinstance(refused, model.Refuse)
        assert (refused.why, refused.rule) == (Why.DENY_RULE, "frozen")

    def test_a_rule_that_may_hold_and_asks_for_approvals_is_not_passed_over(self) -> None:
        strict = dataclasses.replace(STOP_BY_ONCALL, name="strict", who=(OTHER_GROUP,))
        refused = evaluation.decide(rules(ALONE, strict), ask(CAROL), {OTHER_GROUP: None})
        assert isinstance(refused, model.Refuse)
        assert (refused.why, refused.rule, refused.groups) == (Why.UNREACHABLE, "strict", (OTHER_GROUP,))
        harmless = dataclasses.replace(ALONE, name="harmless", who=(OTHER_GROUP,), reason_required=True)
        assert evaluation.decide(rules(harmless, ALONE), ask(CAROL), {}) == model.Allow(
            rule=ALONE, reason_required=True, expires=1800.0
        )

    def test_too_few_approvers_besides_the_requester_is_refused_with_the_count(self) -> None:
        rule = dataclasses.replace(STOP_BY_ONCALL, who=("leads", BOB), approvals=2)
        assert evaluation.decide(rules(rule), ask(CAROL), {}) == model.Refuse(
            why=Why.UNSATISFIABLE, rule="on-call stops", who_could=(DAVE, BOB), approvals=2, candidates=1
        )

    def test_too_few_known_approvers_is_unreachable_while_a_group_is_unknown(self) -> None:
        rule = dataclasses.replace(STOP_BY_ONCALL, approvers=(CAROL, GROUP), approvals=2)
        refused = evaluation.decide(rules(rule), ask(ALICE), {})
        assert isinstance(refused, model.Refuse)
        assert (refused.why, refused.groups) == (Why.UNREACHABLE, (GROUP,))
        enough = evaluation.decide(rules(dataclasses.replace(rule, approvals=1)), ask(ALICE), {})
        assert isinstance(enough, model.NeedApproval)
        assert (enough.approvers, enough.unknown) == (frozenset({CAROL}), (GROUP,))


class TestWhoCould:
    def could(self, *rule: model.Rule) -> tuple[str, ...]:
        refused = evaluation.decide(rules(*rule), ask(ERIN), {GROUP: frozenset(), OTHER_GROUP: frozenset()})
        assert isinstance(refused, model.Refuse)
        return refused.who_could

    def test_it_lists_entries_of_the_allow_rules_for_this_verb_flow_and_channel(self) -> None:
        elsewhere = dataclasses.replace(ALONE, who=(BOB,), channels=("C0EU",))
        starting = dataclasses.replace(ALONE, who=(BOB,), verbs=("start",))
        assert self.could(STOP_BY_ONCALL, ALONE, elsewhere, starting, ALONE) == ("oncall", "leads")

    def test_it_leaves_out_whom_except_takes_out(self) -> None:
        assert self.could(dataclasses.replace(ALONE, excluded=(DAVE,))) == (CAROL,)

    def test_it_leaves_out_whom_a_deny_names(self) -> None:
        deny = dataclasses.replace(FREEZE, who=(ERIN, BOB, "leads"), excluded=())
        assert self.could(STOP_BY_ONCALL, ALONE, deny) == (ALICE, GROUP)

    def test_everybody_but_the_denied_is_everybody(self) -> None:
        everybody = dataclasses.replace(ALONE, who=("*",))
        assert self.could(everybody, dataclasses.replace(FREEZE, who=(ERIN,))) == ("*",)

    def test_of_everybody_those_whom_the_deny_spares_remain(self) -> None:
        assert self.could(dataclasses.replace(ALONE, who=("*",)), FREEZE) == (CAROL, DAVE)


class TestGroupsNeeded:
    def test_it_names_every_group_of_the_rules_that_could_matter(self) -> None:
        deny = dataclasses.replace(FREEZE, excluded=("S0SPARED",))
        approving = dataclasses.replace(ALONE, approvers=("S0APPROVE",))
        elsewhere = dataclasses.replace(ALONE, who=("S0ELSE",), channels=("C0EU",))
        gate = rules(STOP_BY_ONCALL, deny, approving, elsewhere)
        assert evaluation.groups_needed(gate, ask(ERIN)) == {GROUP, "S0SPARED", "S0APPROVE"}

    def test_reading_needs_only_those_of_denies_and_outsiders_none(self) -> None:
        closed = dataclasses.replace(FREEZE, verbs=("read",), who=(OTHER_GROUP,))
        gate = rules(dataclasses.replace(STOP_BY_ONCALL, verbs=("read",)), closed)
        assert evaluation.groups_needed(gate, ask(ERIN, Verb.LIST)) == {OTHER_GROUP}
        assert evaluation.groups_needed(gate, ask(ERIN, Verb.LIST, kind=Kind.GUEST)) == frozenset()


class TestBehind:
    """The people behind ids: a user id stands for the person that Slack names, a group for its members."""

    def test_each_id_stands_for_the_person_whom_slack_names(self) -> None:
        groups = {GROUP: frozenset({BOB, CAROL}), ALICE: frozenset({"W0ALICE"}), BOB: frozenset({"W0BOB"})}
        assert model.behind((ALICE, GROUP), groups) == (frozenset({"W0ALICE", "W0BOB", CAROL}), True)

    def test_an_id_that_slack_could_not_be_asked_about_stands_for_itself_and_is_not_sure(self) -> None:
        assert model.behind((ALICE, BOB), {ALICE: None, BOB: frozenset({"W0BOB"})}) == (
            frozenset({ALICE, "W0BOB"}),
            False,
        )

    def test_a_group_that_could_not_be_asked_has_nobody_and_is_not_sure(self) -> None:
        assert model.behind((ALICE, GROUP), {GROUP: None}) == (frozenset({ALICE}), False)


class TestMentions:
    MANY = tuple(f"U{n}" for n in range(11))

    @pytest.mark.parametrize(
        ("approvers", "notify", "expected"),
        [
            (("leads", GROUP, CAROL), (), (CAROL, DAVE, GROUP)),
            (("leads",), (ERIN,), (CAROL, DAVE)),
            ((CAROL,), (ERIN,), (CAROL,)),
            (MANY[:10], (ERIN,), MANY[:10]),
            (MANY, (ERIN, "leads"), (ERIN, CAROL, DAVE)),
            (MANY, (), MANY[:10]),
            (MANY, MANY, MANY[:10]),
            ((), (ERIN,), (ERIN,)),
            ((), (), ()),
        ],
    )
    def test_approvers_are_mentioned_and_never_more_than_ten(
        self, approvers: tuple[str, ...], notify: tuple[str, ...], expected: tuple[str, ...]
    ) -> None:
        rule = dataclasses.replace(STOP_BY_ONCALL, approvers=approvers, notify=notify)
        assert model.mentions(rules(rule), rule) == expected


entries = st.lists(st.sampled_from([*USERS, GROUP, OTHER_GROUP, "oncall", "leads"]), max_size=3).map(tuple)
anyone = st.one_of(entries, st.just(("*",)))
some_rule = st.builds(
    model.Rule,
    name=st.text("abc", min_size=1, max_size=3),
    effect=st.sampled_from([Effect.ALLOW, Effect.ALLOW, Effect.DENY]),
    verbs=st.sampled_from([("stop",), ("start", "stop"), ("read",), ("start",)]),
    who=anyone,
    excluded=st.one_of(st.just(()), anyone),
    projects=st.sampled_from([(), ("hk",), ("eu",)]),
    flows=st.sampled_from([(), ("*",), ("main-*",), ("[",)]),
    channels=st.sampled_from([(), ("C0HOME",), ("C0EU",)]),
    approvals=st.integers(0, 3),
    approvers=entries,
    reason_required=st.booleans(),
    expires=st.sampled_from([5.0, 60.0, 1800.0]),
)
some_policy = st.lists(some_rule, max_size=5).map(lambda found: rules(*found))
some_question = st.builds(ask, st.sampled_from(USERS), st.sampled_from([Verb.STOP, Verb.STOP, Verb.START, Verb.STATUS]))
members = st.frozensets(st.sampled_from(USERS))
known_groups = st.fixed_dictionaries({GROUP: members, OTHER_GROUP: members})
some_groups = st.fixed_dictionaries({}, optional={GROUP: st.none() | members, OTHER_GROUP: st.none() | members})


def allows_at_most(less: model.Decision, more: model.Decision) -> bool:
    """Return whether `less` allows nothing that `more` does not."""
    if isinstance(less, model.Refuse):
        return True
    if isinstance(less, model.Allow):
        return isinstance(more, model.Allow)
    if isinstance(more, model.NeedApproval):
        return more.approvals <= less.approvals
    return isinstance(more, model.Allow)


class TestLaws:
    @given(some_policy, some_question, some_groups, st.sampled_from(list(Kind)))
    def test_outsiders_are_refused_and_nothing_ever_crashes(
        self, gate: model.Policy, question: model.Question, groups: model.Groups, kind: Kind
    ) -> None:
        question = dataclasses.replace(question, person=dataclasses.replace(question.person, kind=kind))
        decision = evaluation.decide(gate, question, groups)
        assert kind is Kind.MEMBER or isinstance(decision, model.Refuse)

    @given(some_policy, some_question, known_groups)
    def test_default_deny(self, gate: model.Policy, question: model.Question, groups: model.Groups) -> None:
        denies = [rule for rule in gate.rules if rule.effect is Effect.DENY]
        decision = evaluation.decide(dataclasses.replace(gate, rules=tuple(denies)), question, groups)
        assert question.verb is Verb.STATUS or isinstance(decision, model.Refuse)

    @given(some_policy, some_question, some_groups, st.integers(0, 5))
    def test_a_deny_wins_wherever_it_stands(
        self, gate: model.Policy, question: model.Question, groups: model.Groups, at: int
    ) -> None:
        deny = model.Rule(name="no", effect=Effect.DENY, verbs=("stop", "start", "read"), who=("*",))
        decision = evaluation.decide(rules(*gate.rules[:at], deny, *gate.rules[at:]), question, groups)
        assert isinstance(decision, model.Refuse)
        assert decision.why is Why.DENY_RULE

    @given(some_policy, some_question, some_groups)
    def test_the_requester_is_never_an_approver(
        self, gate: model.Policy, question: model.Question, groups: model.Groups
    ) -> None:
        decision = evaluation.decide(gate, question, groups)
        requester = question.person.actor
        if isinstance(decision, model.NeedApproval):
            assert requester.user not in decision.approvers
            assert len(decision.approvers) >= decision.approvals > 0
        assert voting.may_approve(decision, requester=requester, person=question.person, votes=()) is not None

    @given(some_policy, some_question, some_groups, some_rule)
    def test_adding_a_deny_never_allows_more(
        self, gate: model.Policy, question: model.Question, groups: model.Groups, rule: model.Rule
    ) -> None:
        deny = dataclasses.replace(rule, effect=Effect.DENY)
        before = evaluation.decide(gate, question, groups)
        after = evaluation.decide(rules(*gate.rules, deny), question, groups)
        assert isinstance(after, model.Refuse) or after == before

    @given(some_policy, some_question, some_groups, some_rule)
    def test_adding_an_allow_never_asks_for_fewer_approvals(
        self, gate: model.Policy, question: model.Question, groups: model.Groups, rule: model.Rule
    ) -> None:
        allow = dataclasses.replace(rule, effect=Effect.ALLOW)
        before = evaluation.decide(gate, question, groups)
        after = evaluation.decide(rules(*gate.rules, allow), question, groups)
        assert isinstance(before, model.Refuse) or allows_at_most(after, before)

    @given(some_policy, some_question, some_groups, some_rule)
    def test_adding_an_allow_opens_nothing_that_a_deny_closes(
        self, gate: model.Policy, question: model.Question, groups: model.Groups, rule: model.Rule
    ) -> None:
        before = evaluation.decide(gate, question, groups)
        after = evaluation.decide(rules(dataclasses.replace(rule, effect=Effect.ALLOW), *gate.rules), question, groups)
        if isinstance(before, model.Refuse) and before.why is Why.DENY_RULE:
            assert isinstance(after, model.Refuse)
            assert (after.why, after.rule) == (before.why, before.rule)

    @given(some_policy, some_question, some_groups, st.data())
    def test_raising_approvals_never_allows_more(
        self, gate: model.Policy, question: model.Question, groups: model.Groups, data: st.DataObject
    ) -> None:
        raised = tuple(
            dataclasses.replace(rule, approvals=rule.approvals + data.draw(st.integers(0, 2))) for rule in gate.rules
        )
        before, after = (evaluation.decide(rules(*found), question, groups) for found in (gate.rules, raised))
        applied_is_raised = isinstance(after, model.NeedApproval) and isinstance(before, model.Refuse)
        if applied_is_raised and isinstance(before, model.Refuse) and before.why is Why.UNSATISFIABLE:
            return  # another rule may now apply and have enough approvers; it still requires more people
        assert allows_at_most(after, before)

    @given(some_policy, some_question, some_groups, st.data())
    def test_removing_an_allow_never_admits_who_had_no_rule(
        self, gate: model.Policy, question: model.Question, groups: model.Groups, data: st.DataObject
    ) -> None:
        before = evaluation.decide(gate, question, groups)
        allows = [rule for rule in gate.rules if rule.effect is Effect.ALLOW]
        if allows and isinstance(before, model.Refuse) and before.why in (Why.NO_RULE, Why.DENY_RULE):
            gone = data.draw(st.sampled_from(allows))
            after = evaluation.decide(rules(*(rule for rule in gate.rules if rule is not gone)), question, groups)
            assert isinstance(after, model.Refuse)

    @given(some_policy, some_question, known_groups, st.sets(st.sampled_from([GROUP, OTHER_GROUP]), min_size=1))
    def test_an_unknown_group_never_allows_more_than_the_truth(
        self, gate: model.Policy, question: model.Question, groups: model.Groups, hidden: set[str]
    ) -> None:
        blind = evaluation.decide(gate, question, {**groups, **dict.fromkeys(hidden)})
        truth = evaluation.decide(gate, question, groups)
        assert allows_at_most(blind, truth)
        if isinstance(blind, model.NeedApproval) and isinstance(truth, model.NeedApproval):
            assert (blind.rule, blind.approvers <= truth.approvers) == (truth.rule, True)
        if isinstance(blind, model.Allow) and isinstance(truth, model.Allow):
            assert blind.expires <= truth.expires
            assert blind.reason_required >= truth.reason_required

    @given(some_policy, some_question, some_groups, st.randoms(use_true_random=False))
    def test_the_order_of_rules_matters_only_for_ties(
        self, gate: model.Policy, question: model.Question, groups: model.Groups, chance: random.Random
    ) -> None:
        distinct = [dataclasses.replace(rule, approvals=n, name=f"r{n}") for n, rule in enumerate(gate.rules)]
        shuffled = list(distinct)
        chance.shuffle(shuffled)
        first, second = (evaluation.decide(rules(*found), question, groups) for found in (distinct, shuffled))
        if isinstance(first, model.Refuse) and isinstance(second, model.Refuse):
            assert first.why is second.why
            assert set(first.who_could) == set(second.who_could)
        else:
            assert first == second

    @given(some_policy, some_question, known_groups)
    def test_groups_that_are_not_needed_change_nothing(
        self, gate: model.Policy, question: model.Question, groups: model.Groups
    ) -> None:
        needed = evaluation.groups_needed(gate, question)
        only = {group: known for group, known in groups.items() if group in needed}
        assert evaluation.decide(gate, question, only) == evaluation.decide(gate, question, groups)
