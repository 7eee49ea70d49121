"""Break-glass: who may use it, whose approvals it skips, who reviews it, and laws for what it never allows."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.deliveries import Actor
from bot.lifecycle import records
from bot.policy import break_glass, evaluation, model
from bot.policy.model import Effect, Kind, Why
from tests.policy.test_model import (
    ALICE,
    ALONE,
    BOB,
    CAROL,
    DAVE,
    ERIN,
    FREEZE,
    GROUP,
    OTHER_GROUP,
    STOP_BY_ONCALL,
    USERS,
    ask,
    entries,
    known_groups,
    person,
    rules,
    some_groups,
    some_policy,
    some_question,
    some_rule,
)

NOBODY: model.Groups = {GROUP: frozenset(), OTHER_GROUP: frozenset()}
BURNING = dataclasses.replace(STOP_BY_ONCALL, emergency=("oncall", ERIN), emergency_limit=2)


class TestDecide:
    def test_it_passes_over_the_approvers_of_the_rule(self) -> None:
        assert break_glass.decide(rules(BURNING, ALONE), ask(ALICE), NOBODY) == break_glass.AllowEmergency(
            rule=BURNING, members=("oncall", ERIN), passed_over=("leads",), limit=2, expires=1800.0
        )

    def test_whoever_may_use_it_need_not_be_in_who_nor_be_spared_by_except(self) -> None:
        for rule in (BURNING, dataclasses.replace(BURNING, who=("*",), excluded=(ERIN,))):
            assert isinstance(break_glass.decide(rules(rule), ask(ERIN), NOBODY), break_glass.AllowEmergency)

    def test_whoever_is_in_who_alone_may_not_and_learns_who_could(self) -> None:
        rule = dataclasses.replace(BURNING, emergency=("leads",))
        other = dataclasses.replace(BURNING, name="other", emergency=(ERIN, "leads"))
        refused = break_glass.decide(rules(rule, other), ask(ALICE), NOBODY)
        assert refused == model.Refuse(why=Why.NO_EMERGENCY, who_could=("leads", ERIN))

    def test_a_rule_without_emergency_lets_nobody(self) -> None:
        assert break_glass.decide(rules(STOP_BY_ONCALL, ALONE), ask(CAROL), NOBODY) == model.Refuse(
            why=Why.NO_EMERGENCY
        )

    def test_of_several_rules_all_approvers_are_passed_over_and_the_strictest_is_named(self) -> None:
        two = dataclasses.replace(
            BURNING,
            name="two",
            approvals=2,
            approvers=(BOB, "leads"),
            emergency=(ALICE,),
            emergency_limit=5,
            expires=60.0,
        )
        elsewhere = dataclasses.replace(BURNING, name="elsewhere", approvers=(ERIN,), channels=("C0EU",))
        not_theirs = dataclasses.replace(
            BURNING, name="not theirs", approvals=3, who=(BOB,), emergency=(BOB,), expires=5.0
        )
        assert break_glass.decide(rules(BURNING, two, elsewhere, not_theirs), ask(ALICE), NOBODY) == (
            break_glass.AllowEmergency(
                rule=two, members=("oncall", ERIN, ALICE), passed_over=("leads", BOB), limit=2, expires=60.0
            )
        )

    def test_a_deny_wins_also_over_an_emergency(self) -> None:
        for order in ((BURNING, FREEZE), (FREEZE, BURNING)):
            refused = break_glass.decide(rules(*order), ask(ALICE), NOBODY)
            assert isinstance(refused, model.Refuse)
            assert (refused.why, refused.rule) == (Why.DENY_RULE, "frozen")

    def test_a_membership_that_hangs_on_an_unknown_group_gives_nothing(self) -> None:
        refused = break_glass.decide(rules(BURNING), ask(CAROL), {GROUP: None})
        assert refused == model.Refuse(
            why=Why.UNREACHABLE, rule="on-call stops", who_could=("oncall", ERIN), groups=(GROUP,)
        )
        assert isinstance(break_glass.decide(rules(BURNING), ask(ALICE), {}), break_glass.AllowEmergency)

    @pytest.mark.parametrize(("flows", "is_met"), [(("main-*",), None), (("f-*",), True), (("*",), True), ((), True)])
    def test_a_name_that_could_not_be_read_counts_as_matching_in_a_deny_alone(
        self, flows: tuple[str, ...], is_met: bool | None
    ) -> None:
        unread = dataclasses.replace(ask(ALICE), flow_name=None)
        allow = dataclasses.replace(BURNING, flows=flows)
        deny = dataclasses.replace(FREEZE, flows=flows, excluded=())
        assert evaluation.conditions(allow, unread)["flows"] is is_met
        decided = break_glass.decide(rules(allow), unread, NOBODY)
        assert isinstance(decided, break_glass.AllowEmergency) is (is_met is True)
        refused = break_glass.decide(rules(BURNING, deny), unread, NOBODY)
        assert isinstance(refused, model.Refuse)
        assert refused.why is Why.DENY_RULE

    def test_a_name_that_was_read_is_no_reason_to_deny(self) -> None:
        deny = dataclasses.replace(FREEZE, flows=("other-*",), excluded=())
        assert isinstance(break_glass.decide(rules(BURNING, deny), ask(ALICE), NOBODY), break_glass.AllowEmergency)

    def test_the_groups_that_it_may_hang_on_are_asked_about(self) -> None:
        deny = dataclasses.replace(FREEZE, who=("S0DENIED",), excluded=("S0SPARED",))
        plain = dataclasses.replace(STOP_BY_ONCALL, approvers=("S0APPROVE",), who=("S0WHO",))
        needed = break_glass.groups_needed(rules(BURNING, deny, plain), ask(ALICE))
        assert needed == {GROUP, "S0DENIED", "S0SPARED", "S0WHO"}

    def test_a_stricter_rule_that_applies_and_lets_nobody_pass_over_it_is_not_passed_over(self) -> None:
        strict = dataclasses.replace(BURNING, name="strict", approvals=5, approvers=(BOB,), who=(GROUP,), emergency=())
        gate = rules(BURNING, strict)
        no = model.Refuse(why=Why.NO_EMERGENCY, rule="strict", approvals=5)
        assert break_glass.decide(gate, ask(ALICE), {GROUP: frozenset({ALICE})}) == no
        unsure = model.Refuse(why=Why.UNREACHABLE, rule="strict", groups=(GROUP,), approvals=5)
        assert break_glass.decide(gate, ask(ALICE), {GROUP: None}) == unsure
        assert isinstance(break_glass.decide(gate, ask(ALICE), {GROUP: frozenset()}), break_glass.AllowEmergency)

    def test_whoever_hangs_on_a_group_learns_who_could_use_the_stricter_rule(self) -> None:
        strict = dataclasses.replace(BURNING, name="strict", approvals=5, who=(GROUP,), emergency=("leads",))
        refused = break_glass.decide(rules(BURNING, strict), ask(ALICE), {GROUP: None})
        assert refused == model.Refuse(
            why=Why.UNREACHABLE, rule="strict", who_could=("leads",), groups=(GROUP,), approvals=5
        )

    def test_a_stricter_rule_that_surely_applies_is_named_before_one_that_may(self) -> None:
        may = dataclasses.replace(BURNING, name="may", approvals=5, who=(GROUP,), emergency=())
        surely = dataclasses.replace(BURNING, name="surely", approvals=2, emergency=("leads",))
        for found in ((BURNING, may, surely), (surely, may, BURNING)):
            refused = break_glass.decide(rules(*found), ask(ALICE), {GROUP: None})
            assert refused == model.Refuse(why=Why.NO_EMERGENCY, rule="surely", who_could=("leads",), approvals=2)


def emergency(
    *,
    passed_over: tuple[str, ...] = ("leads", GROUP),
    members: tuple[str, ...] = ("oncall",),
    second: str = "",
    by: str = ALICE,
) -> records.Request:
    """Return an emergency of the requester, with a second press if `second` is given."""
    requester = Actor(team="T0", user=by)
    pressed = [requester, Actor(team="T0", user=second)] if second else []
    return records.Request(
        id="r1",
        verb=ask(ALICE).verb,
        project="hk",
        flow=records.Flow(flow_id="f-1b2d", name="", region="r", status=""),
        requester=requester,
        reason="it burns",
        dry_run=False,
        asked_in="C0HOME",
        asked_at=1.0,
        expires_at=1801.0,
        terms=records.Terms(rule="on-call stops", rule_text="…", policy_hash="h", approvals=0),
        card=records.Card(channel="C0HOME"),
        emergency=records.Emergency(members=members, passed_over=passed_over),
        votes=tuple(records.Vote(actor=actor, at=2.0) for actor in pressed),
    )


OWN = dataclasses.replace(BURNING, approvers=(CAROL,), emergency=(ALICE, BOB))
GONE = dataclasses.replace(OWN, name="renamed")


class TestJudges:
    """Who may deny and review by the current rules; the request skipped `leads` and a group."""

    @pytest.mark.parametrize(
        ("found", "judges"),
        [
            ((), ("leads", GROUP)),  # the rule is gone: what the request kept counts
            ((OWN,), (CAROL,)),
            ((dataclasses.replace(OWN, who=(BOB,), flows=("other",)),), (CAROL,)),  # its own rule, whatever it fits now
            ((GONE,), ("leads", GROUP, CAROL)),
            ((dataclasses.replace(OWN, effect=Effect.DENY),), ("leads", GROUP)),
            ((OWN, dataclasses.replace(GONE, approvers=(DAVE,))), (CAROL, DAVE)),  # two let Alice use an emergency
            ((OWN, dataclasses.replace(GONE, approvers=(DAVE,), emergency=(BOB,))), (CAROL,)),
            ((OWN, dataclasses.replace(GONE, approvers=(DAVE,), channels=("C0EU",))), (CAROL,)),
            ((dataclasses.replace(OWN, approvers=()),), (BOB,)),  # nobody is passed over: the other members
            ((dataclasses.replace(OWN, approvers=(ALICE,)),), (BOB,)),
            (
                (
                    dataclasses.replace(OWN, approvers=()),
                    dataclasses.replace(GONE, approvers=(), emergency=(ALICE, ERIN)),
                ),
                (BOB, ERIN),
            ),
        ],
    )
    def test_the_rules_in_force_name_them(self, found: tuple[model.Rule, ...], judges: tuple[str, ...]) -> None:
        assert break_glass.judges(rules(*found), emergency(), ask(ALICE), NOBODY) == judges

    @pytest.mark.parametrize(
        ("found", "judges"),
        [
            ((), ()),
            ((dataclasses.replace(GONE, verbs=("start",), approvers=(DAVE,), emergency=(ERIN,)),), (DAVE, ERIN)),
            ((dataclasses.replace(GONE, channels=("C0EU",), emergency=()),), (CAROL,)),
            ((dataclasses.replace(GONE, projects=("hk",), channels=("C0EU",), emergency=()),), (CAROL,)),
            ((dataclasses.replace(GONE, projects=("eu",)),), ()),
            ((dataclasses.replace(GONE, effect=Effect.DENY),), ()),
        ],
    )
    def test_where_nobody_else_is_left_whoever_approves_or_uses_it_in_the_project_may(
        self, found: tuple[model.Rule, ...], judges: tuple[str, ...]
    ) -> None:
        own = dataclasses.replace(OWN, approvers=(ALICE,), emergency=(ALICE, GROUP))
        assert break_glass.judges(rules(own, *found), emergency(), ask(ALICE), NOBODY)[-len(judges) or 9 :] == judges

    def test_a_group_counts_for_those_who_are_in_it(self) -> None:
        own = rules(dataclasses.replace(OWN, approvers=(GROUP,), emergency=(ALICE, BOB)))
        for members, judges in (({ALICE}, (BOB,)), (set(), (BOB,)), ({ALICE, ERIN}, (GROUP,))):
            found = break_glass.judges(own, emergency(), ask(ALICE), {GROUP: frozenset(members)})
            assert found == judges
        assert break_glass.judges(own, emergency(), ask(ALICE), {GROUP: None}) == (GROUP,)

    def test_they_are_kept_on_the_request_and_mentioned_but_not_its_requester(self) -> None:
        seen = break_glass.judged(rules(OWN), emergency(by=CAROL), ("leads", ERIN))
        assert (seen.emergency and seen.emergency.judges, seen.terms.mentions) == (("leads", ERIN), (DAVE, ERIN))

    def test_too_many_to_mention_are_called_by_notify_of_their_rule(self) -> None:
        many = tuple(f"U0{number}" for number in range(11))
        told = dataclasses.replace(OWN, notify=(ERIN,))
        assert break_glass.judged(rules(told), emergency(), many).terms.mentions == (ERIN,)
        assert break_glass.judged(rules(), emergency(), many).terms.mentions == many[:10]


class TestGroups:
    """Which groups Slack is asked about before an emergency is decided, denied or reviewed."""

    def test_those_that_use_it_are_asked_about_and_those_whom_a_deny_names(self) -> None:
        rule = dataclasses.replace(BURNING, who=("oncall",), emergency=("leads", OTHER_GROUP))
        deny = dataclasses.replace(FREEZE, who=("*",), excluded=("S0SPARED",), emergency=("S0IGNORED",))
        assert break_glass.groups_needed(rules(rule, deny), ask(ALICE)) == {GROUP, OTHER_GROUP, "S0SPARED"}

    def test_those_that_the_request_kept_are_asked_about_though_their_rule_is_gone(self) -> None:
        kept = emergency(passed_over=("oncall", DAVE), members=(OTHER_GROUP, ERIN))
        assert break_glass.groups_judging(rules(), kept, ask(ALICE)) == {GROUP, OTHER_GROUP}

    @pytest.mark.parametrize(
        "rule",
        [
            dataclasses.replace(OWN, flows=("other",), approvers=(GROUP, CAROL), emergency=(OTHER_GROUP,)),
            dataclasses.replace(GONE, approvers=(GROUP,), emergency=(ERIN, OTHER_GROUP)),
        ],
    )
    def test_those_of_its_own_rule_and_of_the_rules_that_fit_it_are_asked_about(self, rule: model.Rule) -> None:
        bare = emergency(passed_over=(), members=())
        assert break_glass.groups_judging(rules(rule), bare, ask(ALICE)) == {GROUP, OTHER_GROUP}

    def test_a_rule_that_neither_fits_nor_was_used_adds_none(self) -> None:
        elsewhere = dataclasses.replace(GONE, channels=("C0EU",), approvers=(GROUP,), emergency=(OTHER_GROUP,))
        assert break_glass.groups_judging(rules(elsewhere), emergency(passed_over=(), members=()), ask(ALICE)) == set()

    def test_what_is_no_emergency_kept_none(self) -> None:
        plain = dataclasses.replace(emergency(), emergency=None)
        assert break_glass.groups_judging(rules(), plain, ask(ALICE)) == set()


class TestMayJudge:
    def refusal(
        self, seen: records.Request, user: str, groups: model.Groups = NOBODY, kind: Kind = Kind.MEMBER
    ) -> model.Refuse | None:
        return break_glass.may_judge(rules(), seen, ask(ALICE), groups, person=person(user, kind))

    def test_those_passed_over_may_and_the_others_are_told_who_could(self) -> None:
        no = model.Refuse(why=Why.NOT_APPROVER, rule="on-call stops", who_could=("leads", GROUP))
        assert [self.refusal(emergency(), user) for user in (CAROL, DAVE, BOB)] == [None, None, no]
        assert self.refusal(emergency(), BOB, {GROUP: frozenset({BOB})}) is None

    @pytest.mark.parametrize(("user", "why"), [(ALICE, Why.OWN_REQUEST), (CAROL, Why.ALREADY_VOTED)])
    def test_whoever_pressed_may_not(self, user: str, why: Why) -> None:
        everybody = emergency(passed_over=(ALICE, CAROL, DAVE), second=CAROL)
        refused = self.refusal(everybody, user)
        assert refused is not None
        assert refused.why is why
        assert self.refusal(everybody, DAVE) is None

    def test_where_nobody_is_passed_over_the_other_members_may(self) -> None:
        alone = emergency(passed_over=(), members=(ALICE, ERIN))
        assert self.refusal(alone, ERIN) is None
        assert self.refusal(alone, ALICE) is not None
        assert self.refusal(alone, CAROL) is not None

    def test_where_only_those_who_pressed_are_passed_over_the_other_members_may(self) -> None:
        own = emergency(passed_over=(ALICE, CAROL), members=(ALICE, CAROL, ERIN), second=CAROL)
        assert [self.refusal(own, user) is None for user in (ALICE, CAROL, ERIN)] == [False, False, True]

    def test_who_may_hang_on_a_group_that_cannot_be_asked_is_told_so(self) -> None:
        refused = self.refusal(emergency(), BOB, {GROUP: None})
        assert refused is not None
        assert (refused.why, refused.groups) == (Why.UNREACHABLE, (GROUP,))

    @pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.MEMBER])
    def test_an_outsider_may_not(self, kind: Kind) -> None:
        refused = self.refusal(emergency(), CAROL, kind=kind)
        assert refused == evaluation.refuse_outsider(person(CAROL, kind))

    def test_nobody_judges_what_is_no_emergency(self) -> None:
        assert self.refusal(dataclasses.replace(emergency(), emergency=None), CAROL) is not None


with_emergencies = st.builds(
    lambda rule, members, limit: dataclasses.replace(rule, emergency=members, emergency_limit=limit),
    some_rule,
    entries,
    st.integers(1, 5),
)
open_policy = st.lists(with_emergencies, max_size=5).map(lambda found: rules(*found))
any_question = st.builds(
    lambda question, unread: dataclasses.replace(question, flow_name=None) if unread else question,
    some_question,
    st.booleans(),
)


class TestLaws:
    @given(open_policy, any_question, some_groups)
    def test_what_a_deny_closes_no_emergency_opens(
        self, gate: model.Policy, question: model.Question, groups: model.Groups
    ) -> None:
        denies = rules(*(rule for rule in gate.rules if rule.effect is Effect.DENY))
        is_denied = evaluation.refuse_denied(denies, question, groups) is not None
        decision = evaluation.decide(gate, question, groups)
        if is_denied or (isinstance(decision, model.Refuse) and decision.why is Why.DENY_RULE):
            assert isinstance(break_glass.decide(gate, question, groups), model.Refuse)

    @given(open_policy, any_question, known_groups)
    def test_nobody_outside_emergency_gets_one(
        self, gate: model.Policy, question: model.Question, groups: dict[str, frozenset[str]]
    ) -> None:
        decision = break_glass.decide(gate, question, groups)
        named = model.expand(gate, [entry for rule in gate.rules for entry in rule.emergency])
        members = frozenset(named).union(*(groups[ident] for ident in named if ident in groups))
        if isinstance(decision, break_glass.AllowEmergency):
            assert question.person.actor.user in members
            assert decision.rule.emergency
            assert decision.rule.effect is Effect.ALLOW

    @given(open_policy, any_question, known_groups, st.sets(st.sampled_from([GROUP, OTHER_GROUP]), min_size=1))
    def test_an_unknown_group_gives_nothing_that_the_truth_would_not(
        self, gate: model.Policy, question: model.Question, groups: model.Groups, hidden: set[str]
    ) -> None:
        blind = break_glass.decide(gate, question, {**groups, **dict.fromkeys(hidden)})
        truth = break_glass.decide(gate, question, groups)
        if isinstance(blind, break_glass.AllowEmergency):
            assert isinstance(truth, break_glass.AllowEmergency)
            assert set(blind.passed_over) <= set(truth.passed_over)

    @given(open_policy, some_question, some_groups)
    def test_an_unread_name_gives_nothing_that_any_name_would_not(
        self, gate: model.Policy, question: model.Question, groups: model.Groups
    ) -> None:
        unread = break_glass.decide(gate, dataclasses.replace(question, flow_name=None), groups)
        if isinstance(unread, break_glass.AllowEmergency):
            assert isinstance(break_glass.decide(gate, question, groups), break_glass.AllowEmergency)

    @given(open_policy, any_question, some_groups, st.sampled_from([kind for kind in Kind if kind is not Kind.MEMBER]))
    def test_outsiders_get_none(
        self, gate: model.Policy, question: model.Question, groups: model.Groups, kind: Kind
    ) -> None:
        question = dataclasses.replace(question, person=dataclasses.replace(question.person, kind=kind))
        assert isinstance(break_glass.decide(gate, question, groups), model.Refuse)

    @given(some_policy, any_question, some_groups)
    def test_a_policy_without_emergencies_gives_none(
        self, gate: model.Policy, question: model.Question, groups: model.Groups
    ) -> None:
        assert isinstance(break_glass.decide(gate, question, groups), model.Refuse)

    @given(open_policy, any_question, known_groups)
    def test_groups_that_are_not_needed_change_nothing(
        self, gate: model.Policy, question: model.Question, groups: model.Groups
    ) -> None:
        needed = break_glass.groups_needed(gate, question)
        only = {group: known for group, known in groups.items() if group in needed}
        assert break_glass.decide(gate, question, only) == break_glass.decide(gate, question, groups)

    @given(open_policy, known_groups, st.sampled_from(USERS), st.sampled_from(["", *USERS]))
    def test_whoever_pressed_never_judges_and_somebody_else_does_where_the_project_has_anybody(
        self, gate: model.Policy, groups: dict[str, frozenset[str]], first: str, second: str
    ) -> None:
        seen = emergency(by=first, second=second)
        judging = {
            user for user in USERS if break_glass.may_judge(gate, seen, ask(first), groups, person=person(user)) is None
        }
        assert not judging & {first, second}
        allows = [rule for rule in gate.rules if rule.effect is Effect.ALLOW and rule.projects in ((), ("hk",))]
        named = model.expand(gate, [entry for rule in allows for entry in (*rule.approvers, *rule.emergency)])
        people = frozenset(named).union(*(groups[ident] for ident in named if ident in groups)) & set(USERS)
        if people - {first, second}:
            assert judging

    @given(open_policy, any_question, some_groups, with_emergencies)
    def test_adding_a_deny_never_gives_more(
        self, gate: model.Policy, question: model.Question, groups: model.Groups, rule: model.Rule
    ) -> None:
        before = break_glass.decide(gate, question, groups)
        after = break_glass.decide(rules(*gate.rules, dataclasses.replace(rule, effect=Effect.DENY)), question, groups)
        assert isinstance(after, model.Refuse) or after == before
