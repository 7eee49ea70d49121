"""Votes: who may approve, confirm and withdraw, and why others may not."""

import dataclasses
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.deliveries import Actor
from bot.lifecycle import records
from bot.policy import evaluation, model, voting
from bot.policy.model import Kind, Why
from tests.policy.test_model import (
    ALICE,
    ALONE,
    BOB,
    CAROL,
    DAVE,
    ERIN,
    FREEZE,
    GROUP,
    STOP_BY_ONCALL,
    USERS,
    ask,
    known_groups,
    person,
    rules,
    some_policy,
    some_question,
)


def votes(*users: str) -> voting.Votes:
    return tuple(records.Vote(actor=Actor(team="T0", user=user), at=1.0) for user in users)


def approval(approvers: Iterable[str], *, unknown: tuple[str, ...] = ()) -> model.NeedApproval:
    return model.NeedApproval(
        rule=STOP_BY_ONCALL,
        approvals=1,
        approvers=frozenset(approvers),
        reason_required=False,
        expires=60.0,
        unknown=unknown,
    )


class TestMayApprove:
    NEEDS = approval({CAROL, DAVE})
    REQUESTER = Actor(team="T0", user=ALICE)

    def refusal(
        self, decision: model.Decision, user: str, *voted: str, kind: Kind = Kind.MEMBER
    ) -> model.Refuse | None:
        return voting.may_approve(decision, requester=self.REQUESTER, person=person(user, kind), votes=votes(*voted))

    def test_an_approver_may(self) -> None:
        assert self.refusal(self.NEEDS, CAROL) is None
        assert self.refusal(self.NEEDS, CAROL, DAVE) is None

    @pytest.mark.parametrize("kind", [Kind.GUEST, Kind.STRANGER, Kind.BOT, Kind.DEACTIVATED])
    def test_an_outsider_may_not_even_where_the_rule_names_them(self, kind: Kind) -> None:
        assert self.refusal(self.NEEDS, CAROL, kind=kind) == model.Refuse(why=Why.OUTSIDER, kind=kind)

    def test_who_cannot_be_looked_up_may_not(self) -> None:
        refused = self.refusal(self.NEEDS, CAROL, kind=Kind.UNREACHABLE)
        assert refused == model.Refuse(why=Why.UNREACHABLE, kind=Kind.UNREACHABLE)

    @pytest.mark.parametrize(
        ("user", "voted", "why"),
        [
            (ALICE, (), Why.OWN_REQUEST),
            (ALICE, (ALICE,), Why.OWN_REQUEST),
            (CAROL, (CAROL,), Why.ALREADY_VOTED),
            (ERIN, (), Why.NOT_APPROVER),
        ],
    )
    def test_a_refusal_names_the_rule_and_its_approvers(self, user: str, voted: tuple[str, ...], why: Why) -> None:
        expected = model.Refuse(why=why, rule="on-call stops", who_could=("leads",))
        assert self.refusal(self.NEEDS, user, *voted) == expected

    def test_the_requester_never_counts_from_whichever_team_they_come(self) -> None:
        elsewhere = model.Person(actor=Actor(team="E0", user=ALICE), kind=Kind.MEMBER)
        refused = voting.may_approve(approval({ALICE}), requester=self.REQUESTER, person=elsewhere, votes=())
        assert refused is not None
        assert refused.why is Why.OWN_REQUEST

    def test_somebody_of_a_group_that_cannot_be_asked_is_told_so(self) -> None:
        refused = self.refusal(approval({CAROL}, unknown=(GROUP,)), BOB)
        assert refused == model.Refuse(why=Why.UNREACHABLE, rule="on-call stops", who_could=("leads",), groups=(GROUP,))
        assert self.refusal(approval({CAROL}, unknown=(GROUP,)), CAROL) is None

    def test_nobody_approves_what_needs_no_approval_or_is_refused(self) -> None:
        allowed = model.Allow(rule=ALONE, reason_required=False, expires=60.0)
        refused = model.Refuse(why=Why.DENY_RULE, rule="frozen")
        assert self.refusal(allowed, CAROL) == model.Refuse(why=Why.NOT_APPROVER, rule="leads alone")
        assert self.refusal(refused, CAROL) == refused


class TestMayConfirm:
    def refusal(
        self, gate: model.Policy, clicker: str, *, requester: str = CAROL, kind: Kind = Kind.MEMBER
    ) -> model.Refuse | None:
        groups: model.Groups = {GROUP: frozenset()}
        decision = evaluation.decide(gate, ask(requester), groups)
        asked = ask(clicker, kind=kind)
        return voting.may_confirm(gate, decision, asked, groups, requester=Actor(team="T0", user=requester))

    @pytest.mark.parametrize("clicker", [CAROL, DAVE])
    def test_the_requester_may_and_whoever_may_do_the_same_alone(self, clicker: str) -> None:
        assert self.refusal(rules(STOP_BY_ONCALL, ALONE), clicker) is None

    def test_who_would_need_approval_may_not(self) -> None:
        refused = self.refusal(rules(STOP_BY_ONCALL, ALONE), BOB)
        assert refused == model.Refuse(why=Why.NOT_REQUESTER, rule="on-call stops", who_could=(CAROL, "leads"))

    def test_who_has_no_rule_may_not(self) -> None:
        refused = self.refusal(rules(STOP_BY_ONCALL, ALONE), ERIN)
        assert refused == model.Refuse(why=Why.NOT_REQUESTER, rule="leads alone", who_could=(CAROL, "leads"))

    def test_a_deny_that_matches_the_clicker_is_named(self) -> None:
        deny = dataclasses.replace(FREEZE, who=(DAVE,), excluded=())
        refused = self.refusal(rules(ALONE, deny), DAVE)
        assert refused == model.Refuse(why=Why.DENY_RULE, rule="frozen", who_could=(CAROL,))

    def test_an_outsider_may_not(self) -> None:
        assert self.refusal(rules(ALONE), DAVE, kind=Kind.GUEST) == model.Refuse(why=Why.OUTSIDER, kind=Kind.GUEST)

    def test_where_approvals_are_needed_by_now_nobody_confirms(self) -> None:
        gate = rules(dataclasses.replace(STOP_BY_ONCALL, who=("leads", ALICE)), ALONE)
        terms = {"rule": "on-call stops", "who_could": ("leads",)}
        assert self.refusal(gate, CAROL) == model.Refuse(why=Why.OWN_REQUEST, **terms)  # type: ignore[arg-type]
        assert self.refusal(gate, DAVE) == model.Refuse(why=Why.NOT_REQUESTER, **terms)  # type: ignore[arg-type]

    def test_where_the_requester_is_refused_by_now_nobody_confirms(self) -> None:
        refused = self.refusal(rules(ALONE), DAVE, requester=ERIN)
        assert refused == model.Refuse(why=Why.NO_RULE, who_could=("leads",))


class TestMayWithdraw:
    @pytest.mark.parametrize(
        ("user", "kind", "refused"),
        [
            (ALICE, Kind.MEMBER, None),
            (BOB, Kind.MEMBER, model.Refuse(why=Why.NOT_REQUESTER, rule="one lead", who_could=(ALICE,))),
            (ALICE, Kind.DEACTIVATED, model.Refuse(why=Why.OUTSIDER, kind=Kind.DEACTIVATED)),
        ],
    )
    def test_only_the_requester_may_while_a_member(self, user: str, kind: Kind, refused: model.Refuse | None) -> None:
        requester = Actor(team="T0", user=ALICE)
        assert voting.may_withdraw(rule="one lead", requester=requester, person=person(user, kind)) == refused


@given(some_policy, some_question, known_groups, st.frozensets(st.sampled_from(USERS)))
def test_a_vote_is_one_of_an_approver_who_has_not_voted_and_did_not_ask(
    gate: model.Policy, question: model.Question, groups: model.Groups, voted: frozenset[str]
) -> None:
    decision = evaluation.decide(gate, question, groups)
    requester = question.person.actor
    may = {
        user
        for user in USERS
        if voting.may_approve(decision, requester=requester, person=person(user), votes=votes(*voted)) is None
    }
    named = decision.approvers if isinstance(decision, model.NeedApproval) else frozenset[str]()
    assert may == named - voted - {requester.user}
