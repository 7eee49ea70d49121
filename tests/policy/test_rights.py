"""What the rules say to a person in a place, for any flow."""

import dataclasses
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.verbs import READ, Verb
from bot.policy import evaluation, model, rights
from bot.policy.model import Effect, Kind, Person, Rule
from bot.policy.rights import Place
from tests.fakes import ALICE, CAROL, POLICY, policy_of

HK = Place(project="hk", card_channel="C0INCIDENT", channel="C0RANDOM")
SAMPLE = policy_of(POLICY)
NOBODY: model.Groups = {"S0MEDIAGRP": frozenset()}
ALWAYS = {Verb.WHOAMI, Verb.HELP}
READS = {Verb.STATUS, Verb.LIST, Verb.PENDING, Verb.HISTORY}

stops = Rule(name="stops", verbs=("stop",), who=("U0ALICE",), approvals=1, approvers=("U0CAROL",))
closed = Rule(name="closed", effect=Effect.DENY, verbs=("stop", "read"), who=("*",))


def of(*rules: Rule) -> model.Policy:
    """Return a policy with these rules."""
    return dataclasses.replace(SAMPLE, rules=rules)


def member(user: str = "U0ALICE", kind: Kind = Kind.MEMBER) -> Person:
    """Return a person."""
    return Person(actor=dataclasses.replace(ALICE, user=user), kind=kind)


def usable(
    *rules: Rule, person: Person | None = None, groups: Mapping[str, frozenset[str] | None] = NOBODY
) -> set[Verb]:
    """Return the verbs that a person may use in the project."""
    return set(rights.usable(of(*rules), person or member(), [HK], groups))


def named(*rules: Rule, groups: model.Groups = NOBODY) -> list[str]:
    """Return the rules that apply to Alice."""
    return [right.rule for right in rights.rights(of(*rules), member(), HK, groups)]


def test_a_full_member_reads_and_no_more_without_a_rule() -> None:
    assert usable() == ALWAYS | READS


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.MEMBER])
def test_whoever_is_no_full_member_may_ask_who_they_are_and_no_more(kind: Kind) -> None:
    assert usable(stops, person=member(kind=kind)) == ALWAYS
    assert rights.rights(of(stops), member(kind=kind), HK, NOBODY) == ()


def test_a_rule_opens_its_verbs_to_whom_it_names() -> None:
    assert usable(stops) == ALWAYS | READS | {Verb.STOP}
    assert usable(stops, person=member("U0BOB")) == ALWAYS | READS


def test_a_right_says_what_its_rule_asks_for() -> None:
    (right,) = rights.rights(of(dataclasses.replace(stops, flows=("main-*",))), member(), HK, NOBODY)

    assert (right.verb, right.approvals, right.approvers, right.flows) == ("stop", 1, ("U0CAROL",), ("main-*",))
    assert right.sure


def test_a_rule_that_nobody_can_satisfy_is_named_all_the_same() -> None:
    assert named(dataclasses.replace(stops, approvers=("U0ALICE",))) == ["stops"]


def test_who_is_taken_out_of_a_rule_has_no_right_by_it() -> None:
    assert named(dataclasses.replace(stops, who=("*",), excluded=("U0ALICE",))) == []


def test_a_deny_for_every_flow_closes_its_verbs_and_one_for_some_does_not() -> None:
    assert usable(stops, closed) == ALWAYS
    assert usable(stops, dataclasses.replace(closed, flows=("*",))) == ALWAYS
    assert usable(stops, dataclasses.replace(closed, flows=("main-*",))) == ALWAYS | READS | {Verb.STOP}


def test_an_allow_about_reading_says_nothing() -> None:
    assert named(dataclasses.replace(closed, effect=Effect.ALLOW, verbs=("read",))) == []


def test_a_change_is_asked_of_the_channel_of_the_card_and_reading_of_where_one_reads() -> None:
    here = dataclasses.replace(stops, channels=("C0INCIDENT",))
    there = dataclasses.replace(closed, verbs=("read",), channels=("C0RANDOM",))

    assert named(here, there) == ["stops", "closed"]
    assert named(dataclasses.replace(here, channels=("C0RANDOM",))) == []
    assert named(dataclasses.replace(there, channels=("C0INCIDENT",))) == []


def test_another_project_is_another_matter() -> None:
    assert named(dataclasses.replace(stops, projects=("sg",))) == []


def test_a_group_that_cannot_be_asked_about_makes_unsure_and_closes_nothing() -> None:
    grouped = dataclasses.replace(stops, who=("S0MEDIAGRP",))
    (right,) = rights.rights(of(grouped), member(), HK, {"S0MEDIAGRP": None})

    assert not right.sure
    assert Verb.STOP in usable(grouped, groups={"S0MEDIAGRP": None})
    maybe = dataclasses.replace(closed, who=("S0MEDIAGRP",))
    assert usable(stops, maybe, groups={"S0MEDIAGRP": None}) == ALWAYS | READS | {Verb.STOP}


def test_belonging_names_sets_and_groups_and_what_is_unknown() -> None:
    erin = rights.belonging(SAMPLE, "U0ERIN", {"S0MEDIAGRP": frozenset({"U0ERIN"})})
    carol = rights.belonging(SAMPLE, CAROL.user, {"S0MEDIAGRP": None})

    assert (erin.sets, erin.groups, erin.unknown) == (("media-oncall",), ("S0MEDIAGRP",), ())
    assert (carol.sets, carol.groups, carol.unknown) == (("media-leads",), (), ("S0MEDIAGRP",))


def test_only_the_groups_that_decide_are_asked_about() -> None:
    rules = (
        dataclasses.replace(stops, who=("S0ONE",), excluded=("S0TWO",), approvers=("S0THREE",)),
        dataclasses.replace(closed, verbs=("read",), who=("S0FOUR",)),
        dataclasses.replace(closed, effect=Effect.ALLOW, verbs=("read",), who=("S0FIVE",)),
    )

    assert rights.groups_deciding(of(*rules), READ) == {"S0FOUR"}
    assert rights.groups_deciding(of(*rules), *rights.VERB_OF) == {"S0ONE", "S0TWO", "S0FOUR"}
    assert rights.groups_named(of(*rules)) >= {"S0ONE", "S0TWO", "S0THREE", "S0FOUR", "S0FIVE", "S0MEDIAGRP"}


def test_an_emergency_opens_its_verbs_to_whom_it_names_whoever_else_may() -> None:
    burning = dataclasses.replace(stops, who=("U0BOB",), emergency=("U0ALICE",), flows=("main-*",))
    (right,) = rights.emergencies(of(burning), member(), HK, NOBODY)

    assert (right.verb, right.rule, right.approvals, right.approvers) == ("stop", "stops", 1, ("U0CAROL",))
    assert (right.flows, right.sure) == (("main-*",), True)
    assert named(burning) == []
    assert usable(burning) == ALWAYS | READS | {Verb.STOP}
    assert usable(burning, closed) == ALWAYS


def test_an_emergency_is_for_full_members_in_the_places_of_its_rule() -> None:
    burning = dataclasses.replace(stops, emergency=("U0ALICE",), channels=("C0INCIDENT",))
    guest = member(kind=Kind.GUEST)
    there = dataclasses.replace(HK, card_channel="C0WAR")

    assert len(rights.emergencies(of(burning), member(), HK, NOBODY)) == 1
    assert rights.emergencies(of(burning), guest, HK, NOBODY) == ()
    assert rights.emergencies(of(burning), member(), there, NOBODY) == ()
    assert rights.emergencies(of(closed, dataclasses.replace(stops, emergency=())), member(), HK, NOBODY) == ()


def test_an_emergency_by_a_group_that_cannot_be_asked_about_is_unsure() -> None:
    burning = dataclasses.replace(stops, emergency=("S0MEDIAGRP",))
    (right,) = rights.emergencies(of(burning), member(), HK, {"S0MEDIAGRP": None})

    assert not right.sure
    assert rights.groups_deciding(of(burning), "stop") == {"S0MEDIAGRP"}


WHO = st.lists(st.sampled_from(["*", "U0ALICE", "U0BOB", "S0MEDIAGRP", "media-oncall"]), max_size=3).map(tuple)
RULES = st.builds(
    Rule,
    name=st.uuids().map(str),
    effect=st.sampled_from(Effect),
    verbs=st.lists(st.sampled_from(["stop", "start", "read"]), min_size=1, max_size=3, unique=True).map(tuple),
    who=WHO,
    excluded=WHO,
    channels=st.sampled_from([(), ("C0INCIDENT",), ("C0RANDOM",)]),
)


@given(st.lists(RULES, max_size=5), st.sampled_from([frozenset[str](), frozenset({"U0ALICE"}), None]))
def test_law_what_the_policy_decides_agrees_with_what_is_shown(
    rules: list[Rule], members: frozenset[str] | None
) -> None:
    policy, groups = of(*rules), {"S0MEDIAGRP": members}
    found = rights.usable(policy, member(), [HK], groups)
    for verb in (Verb.STOP, Verb.START, Verb.STATUS):
        channel = HK.channel if verb is Verb.STATUS else HK.card_channel
        question = model.Question(person=member(), verb=verb, project="hk", flow_id="f", flow_name="f", channel=channel)
        decision = evaluation.decide(policy, question, groups)
        if not isinstance(decision, model.Refuse):
            assert verb in found
        elif decision.why in (model.Why.NO_RULE, model.Why.DENY_RULE):
            assert verb not in found
