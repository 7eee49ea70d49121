"""The gate: how fresh an answer must be, and which votes and confirmations count under the current policy."""

import dataclasses
import pathlib
from collections.abc import AsyncIterator

import pytest

from bot.commands.deliveries import Actor
from bot.lifecycle import records
from bot.lifecycle.records import Request, Vote
from bot.policy import model
from bot.policy.model import Subject, Why
from bot.usecases import gate
from bot.usecases.gate import FRESH, subject_of
from tests.fakes import ALICE, BOB, BURNS, CAROL, DAVE, EMERGENCY, ERIN, POLICY, Desk, open_desk, policy_of

GROUP = POLICY.replace('approvers = ["media-leads"]', 'approvers = ["S0MEDIAGRP", "U0CAROL"]')
NOBODY_ASKED = POLICY.replace('approvals = 1\napprovers = ["media-leads"]', "approvals = 0")
TWO = POLICY.replace("approvals = 1", "approvals = 2")


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk."""
    async with open_desk(tmp_path) as opened:
        yield opened


async def choice(desk: Desk, seen: Request) -> model.Permission:
    """Decide for the requester, which must not be a refusal."""
    decision = await desk.gate.decide(seen.requester, subject_of(seen), max_age=FRESH)
    assert not isinstance(decision, model.Refuse)
    return decision


async def refusal(desk: Desk, seen: Request, actor: Actor) -> Why | None:
    """Return why a person may not vote."""
    refused = await desk.gate.refuse_vote(seen, await choice(desk, seen), actor, votes=seen.votes)
    return None if refused is None else refused.why


async def test_a_subject_is_what_the_stored_request_asks_for(desk: Desk) -> None:
    seen = await desk.opened()

    assert subject_of(seen) == Subject(
        verb=seen.verb, project="hk", flow_id="flow-1", flow_name="main-feed", channel="C0INCIDENT"
    )


async def test_a_decision_asks_about_the_person_and_every_group_that_matters(desk: Desk) -> None:
    seen = await desk.opened()
    desk.directory.asked.clear()

    await desk.gate.decide(ALICE, subject_of(seen), max_age=17.0)

    assert sorted(desk.directory.asked) == [("S0MEDIAGRP", 17.0), ("U0ALICE", 17.0)]


async def test_whoever_has_one_id_costs_no_question_about_the_ids_of_others(desk: Desk) -> None:
    desk.policy = policy_of(GROUP)
    seen = await desk.opened()
    desk.directory.asked.clear()

    await desk.gate.refuse_vote(seen, await choice(desk, seen), ERIN, votes=())

    assert {who for who, _ in desk.directory.asked} == {"U0ALICE", "U0ERIN", "S0MEDIAGRP"}


async def test_whoever_has_several_ids_is_compared_with_those_of_the_policy_and_of_the_groups(desk: Desk) -> None:
    desk.directory.one_id["U0ERIN"] = "W0ERIN"
    desk.policy = policy_of(GROUP)
    seen = await desk.opened()
    desk.directory.asked.clear()

    known = await desk.gate.stand_for((dataclasses.replace(ERIN, person="W0ERIN"),), ("S0MEDIAGRP",), max_age=FRESH)

    assert known["U0ERIN"] == frozenset({"W0ERIN"})
    assert known["S0MEDIAGRP"] == frozenset({"U0ERIN"})
    assert {age for who, age in desk.directory.asked if who.startswith("U0")} == {gate.SAME_PERSON}
    assert await refusal(desk, seen, ERIN) is None


async def test_nobody_is_asked_about_more_approvers_than_it_takes_to_know_that_they_are_enough(desk: Desk) -> None:
    await desk.opened()

    assert [who for who, _ in desk.directory.asked if who in ("U0CAROL", "U0DAVE")] == ["U0CAROL"]


async def test_a_vote_wants_the_freshest_answers(desk: Desk) -> None:
    desk.policy = policy_of(GROUP)
    seen = await desk.opened()
    decision = await choice(desk, seen)
    desk.directory.asked.clear()

    await desk.gate.refuse_vote(seen, decision, CAROL, votes=())

    assert {age for _, age in desk.directory.asked} == {5.0}


@pytest.mark.parametrize(
    ("actor", "why"),
    [(CAROL, None), (ALICE, Why.OWN_REQUEST), (BOB, Why.NOT_APPROVER), (Actor(team="T1", user="U0X"), Why.OUTSIDER)],
)
async def test_who_may_vote(desk: Desk, actor: Actor, why: Why | None) -> None:
    assert await refusal(desk, await desk.opened(), actor) == why


async def test_a_member_of_an_approving_group_may_vote(desk: Desk) -> None:
    desk.policy = policy_of(GROUP)

    assert await refusal(desk, await desk.opened(), ERIN) is None


async def test_nobody_votes_while_slack_cannot_be_asked(desk: Desk) -> None:
    seen = await desk.opened()
    decision = await choice(desk, seen)
    desk.directory.away = True

    refused = await desk.gate.refuse_vote(seen, decision, CAROL, votes=())

    assert refused is not None
    assert refused.why is Why.UNREACHABLE


async def test_a_laxer_policy_still_asks_the_approvers_of_then(desk: Desk) -> None:
    seen = await desk.opened()
    desk.policy = policy_of(NOBODY_ASKED)

    assert await refusal(desk, seen, CAROL) is None
    assert await refusal(desk, seen, BOB) is Why.NOT_APPROVER
    assert await refusal(desk, seen, ALICE) is Why.OWN_REQUEST


async def test_a_laxer_policy_still_knows_the_groups_of_then(desk: Desk) -> None:
    desk.policy = policy_of(GROUP)
    seen = await desk.opened()
    desk.policy = policy_of(NOBODY_ASKED)

    assert await refusal(desk, seen, ERIN) is None
    desk.directory.groups.clear()
    assert await refusal(desk, seen, DAVE) is Why.UNREACHABLE


async def test_a_vote_counts_while_the_voter_has_the_right(desk: Desk) -> None:
    seen = await desk.approved()

    assert await desk.gate.lost_votes(seen, await choice(desk, seen)) == ((), True)


@pytest.mark.parametrize("kind", [model.Kind.GUEST, model.Kind.DEACTIVATED, model.Kind.STRANGER, model.Kind.BOT])
async def test_a_vote_falls_off_with_its_person(desk: Desk, kind: model.Kind) -> None:
    seen = await desk.approved()
    desk.directory.kinds["U0CAROL"] = kind

    assert await desk.gate.lost_votes(seen, await choice(desk, seen)) == (seen.votes, True)


async def test_a_vote_is_doubtful_while_slack_cannot_be_asked(desk: Desk) -> None:
    seen = await desk.approved()
    decision = await choice(desk, seen)
    desk.directory.away = True

    lost, sure = await desk.gate.lost_votes(seen, decision)

    assert not sure
    assert lost == seen.votes


async def test_a_confirmation_counts_if_by_the_requester_or_an_equal(desk: Desk) -> None:
    seen = await desk.approved(actor=CAROL)
    by_dave = dataclasses.replace(seen, votes=(Vote(actor=DAVE, at=1.0),))

    decision = await choice(desk, seen)

    assert await desk.gate.lost_votes(seen, decision) == ((), True)
    assert await desk.gate.lost_votes(by_dave, decision) == ((), True)


async def test_a_confirmation_of_somebody_without_the_right_falls_off(desk: Desk) -> None:
    seen = await desk.approved(actor=CAROL)
    by_bob = dataclasses.replace(seen, votes=(Vote(actor=BOB, at=1.0),))

    assert await desk.gate.lost_votes(by_bob, await choice(desk, seen)) == (by_bob.votes, True)


async def test_a_stricter_policy_raises_what_a_vote_is_asked_with(desk: Desk) -> None:
    seen = await desk.opened()
    desk.policy = policy_of(TWO)

    decision = await choice(desk, seen)

    assert isinstance(decision, model.NeedApproval)
    assert decision.approvals == 2
    assert isinstance(seen, records.Request)


async def test_a_project_that_the_policy_does_not_know_any_more_is_refused(desk: Desk) -> None:
    seen = await desk.opened()
    desk.policy = dataclasses.replace(desk.policy, projects={})

    decision = await desk.gate.decide(ALICE, subject_of(seen), max_age=FRESH)

    assert isinstance(decision, model.Refuse)
    assert decision.why is Why.NO_RULE


async def test_an_emergency_asks_about_the_groups_that_it_depends_on(desk: Desk) -> None:
    desk.policy = policy_of(EMERGENCY)
    subject = subject_of(await desk.opened(BURNS))
    desk.directory.asked.clear()

    decision = await desk.gate.decide_emergency(ERIN, subject, max_age=5.0)

    assert not isinstance(decision, model.Refuse)
    assert sorted(desk.directory.asked) == [("S0MEDIAGRP", 5.0), ("U0ERIN", 5.0)]


async def test_there_is_no_emergency_in_a_project_that_is_gone(desk: Desk) -> None:
    desk.policy = policy_of(EMERGENCY)
    seen = await desk.opened(BURNS)
    desk.policy = policy_of(EMERGENCY.replace("[projects.hk]", "[projects.sg]"))

    decision = await desk.gate.decide_emergency(ALICE, subject_of(seen), max_age=5.0)

    assert decision == model.Refuse(why=Why.NO_EMERGENCY)


async def test_groups_are_asked_about_for_a_judge(desk: Desk) -> None:
    desk.policy = policy_of(EMERGENCY.replace('approvers = ["media-leads"]', 'approvers = ["S0MEDIAGRP"]'))
    seen = await desk.opened(BURNS)

    assert await desk.gate.refuse_judge(seen, ERIN, max_age=5.0) is None
    refused = await desk.gate.refuse_judge(seen, CAROL, max_age=5.0)
    assert refused is not None
    assert refused.why is Why.NOT_APPROVER


async def test_groups_of_other_rules_are_asked_about_only_where_nobody_else_may_judge(desk: Desk) -> None:
    other = '\n[[rules]]\nname = "other"\nverbs = ["start"]\nwho = ["U0ERIN"]\nemergency = ["S0MEDIAGRP"]\n'
    own = 'emergency = ["U0ALICE"]'
    desk.policy = policy_of(EMERGENCY.replace('emergency = ["media-oncall"]', own) + other)
    seen = await desk.opened(BURNS)
    desk.directory.asked.clear()
    assert await desk.gate.judges(seen, max_age=5.0) == ("media-leads",)
    assert desk.directory.asked == []

    desk.policy = policy_of(
        EMERGENCY.replace('emergency = ["media-oncall"]', own).replace('["media-leads"]', '["U0ALICE"]') + other
    )

    assert await desk.gate.judges(seen, max_age=5.0) == ("S0MEDIAGRP",)
    assert await desk.gate.refuse_judge(seen, ERIN, max_age=5.0) is None


async def test_a_subject_that_could_not_be_read_has_no_name(desk: Desk) -> None:
    seen = await desk.opened()
    unread = dataclasses.replace(seen, flow=dataclasses.replace(seen.flow, name="", status=""))

    assert subject_of(unread).flow_name is None


HOST_CAROL = Actor(team="", user="U0CAROL", login="carol")
OPERATORS = f'{POLICY}\n[operators]\ncarol = "U0CAROL"\n'


@pytest.mark.parametrize(
    ("actor", "refused"),
    [
        (CAROL, False),  # in Slack
        (HOST_CAROL, False),
        (dataclasses.replace(HOST_CAROL, login="mallory"), True),
        (dataclasses.replace(HOST_CAROL, user="U0DAVE"), True),
    ],
)
async def test_a_login_counts_for_the_id_that_the_policy_gives_it(desk: Desk, actor: Actor, refused: bool) -> None:
    desk.policy = policy_of(OPERATORS)
    answer = desk.gate.refuse_operator(actor)
    assert (None if answer is None else answer.why) == (Why.NOT_OPERATOR if refused else None)


async def test_while_slack_is_away_only_an_operator_counts_as_a_member(desk: Desk) -> None:
    desk.policy = policy_of(OPERATORS)
    desk.directory.away = True
    kinds = [(await desk.gate.person(actor, max_age=FRESH)).kind for actor in (HOST_CAROL, DAVE)]
    assert kinds == [model.Kind.MEMBER, model.Kind.UNREACHABLE]


async def test_whom_slack_knows_not_to_be_a_member_is_none_on_the_host(desk: Desk) -> None:
    desk.policy = policy_of(OPERATORS)
    desk.directory.kinds["U0CAROL"] = model.Kind.GUEST
    assert (await desk.gate.person(HOST_CAROL, max_age=FRESH)).kind is model.Kind.GUEST


@pytest.mark.parametrize(
    ("requested_by", "decides", "refused"),
    [
        (dataclasses.replace(ALICE, person="W0ALICE"), HOST_CAROL, True),  # carol may be alice: nobody can say
        (dataclasses.replace(ALICE, person="W0ALICE"), dataclasses.replace(HOST_CAROL, person="W0CAROL"), False),
        (dataclasses.replace(ALICE, person="W0ALICE"), dataclasses.replace(HOST_CAROL, user="W0CAROL"), False),
        (ALICE, HOST_CAROL, False),  # no Grid
    ],
)
async def test_on_grid_nobody_decides_on_the_host_whose_person_is_unknown(
    desk: Desk, requested_by: Actor, decides: Actor, refused: bool
) -> None:
    seen = dataclasses.replace(await desk.opened(), requester=requested_by)
    found = await desk.gate.identify(seen, decides)
    assert isinstance(found, model.Refuse) == refused
    assert not isinstance(found, model.Refuse) or found.why is Why.UNREACHABLE
