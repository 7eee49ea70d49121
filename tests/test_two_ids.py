"""A law of the gate: it never matters which of their ids somebody acts with, or a policy or a user group names.

And what Slack cannot say about an id never lets anybody do more. The decisions one by one are in `test_identity`.
"""

import asyncio
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from bot.commands.deliveries import Actor
from bot.commands.verbs import Verb
from bot.lifecycle import records
from bot.policy import break_glass, model
from bot.policy.model import Effect, Kind, Subject, Why
from bot.usecases import ports
from bot.usecases.gate import FRESH, Gate
from tests.fakes import FakeClock, FakeDirectory
from tests.policy.test_model import allows_at_most
from tests.store import examples

OTHER: Final = {"U0ALICE": "W0ALICE", "U0BOB": "W0BOB", "U0CAROL": "W0CAROL"}
"""People by the id of their workspace, and by that of the organisation; Dave has the latter alone."""

PEOPLE: Final = (*OTHER, "W0DAVE")
GROUPS: Final = ("S0ONE", "S0TWO")
HK: Final = model.Project(
    name="hk", project_id="0" * 32, region="r", endpoint="https://live.example.com", channels=("C0HOME",)
)
SUBJECT: Final = Subject(verb=Verb.STOP, project="hk", flow_id="flow-1", flow_name="main", channel="C0HOME")

Rename = Callable[[str], str]
"""Returns one of the ids of a person; another one each time, perhaps."""

people = st.lists(st.sampled_from(PEOPLE), max_size=3, unique=True).map(tuple)
entries = st.lists(st.sampled_from([*PEOPLE, *GROUPS, "team"]), max_size=3, unique=True).map(tuple)
some_rules = st.lists(
    st.builds(
        model.Rule,
        name=st.just(""),
        effect=st.sampled_from([Effect.ALLOW, Effect.ALLOW, Effect.ALLOW, Effect.DENY]),
        verbs=st.just(("stop",)),
        who=st.one_of(st.just(("*",)), entries, entries),
        excluded=st.one_of(st.just(()), st.just(()), entries),
        approvals=st.integers(0, 2),
        approvers=entries,
        protected=st.sampled_from([(), ("main",)]),
        emergency=entries,
    ),
    min_size=1,
    max_size=4,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A policy, the members of its groups, a request, and who presses something on it."""

    rules: list[model.Rule]
    team: tuple[str, ...]
    members: dict[str, tuple[str, ...]]
    requester: str
    voters: tuple[str, ...]
    presser: str
    kept: tuple[tuple[str, ...], tuple[str, ...]]
    approvals: int


cases = st.builds(
    Case,
    rules=some_rules,
    team=people,
    members=st.fixed_dictionaries(dict.fromkeys(GROUPS, people)),
    requester=st.sampled_from(PEOPLE),
    voters=st.lists(st.sampled_from(PEOPLE), max_size=3).map(tuple),
    presser=st.sampled_from(PEOPLE),
    kept=st.tuples(entries, entries),
    approvals=st.integers(0, 2),
)


def policy_of(case: Case, rename: Rename) -> model.Policy:
    """Return the policy, with the ids that it happens to name."""

    def renamed(idents: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(rename(ident) for ident in idents)

    rules = tuple(
        dataclasses.replace(
            rule,
            name=f"rule {number}",
            who=renamed(rule.who),
            excluded=renamed(rule.excluded),
            approvers=renamed(rule.approvers),
            emergency=renamed(rule.emergency),
        )
        for number, rule in enumerate(case.rules)
    )
    return model.Policy(projects={"hk": HK}, people={"team": renamed(case.team)}, rules=rules, digest="d")


def seen_in(case: Case, rename: Rename, *, emergency: bool) -> records.Request:
    """Return the request as it is on record: with who each actor is, or from before that was kept."""
    passed_over, members = (tuple(rename(ident) for ident in kept) for kept in case.kept)
    return dataclasses.replace(
        examples.request(),
        project="hk",
        requester=Actor(team="T1", user=rename(case.requester)),
        terms=dataclasses.replace(examples.request().terms, approvals=case.approvals, approvers=passed_over),
        votes=tuple(
            records.Vote(actor=Actor(team="T1", user=rename(voter)), at=float(number))
            for number, voter in enumerate(case.voters)
        ),
        emergency=records.Emergency(members=members, passed_over=passed_over) if emergency else None,
    )


class NeverPaused:
    """ports.Switch that nobody turns."""

    async def paused(self) -> ports.Pause | None:
        """There is no pause."""
        return None

    async def pause(self, pause: ports.Pause) -> None:
        """Nobody pauses here."""

    async def resume(self, *, at: float, by: str) -> bool:
        """There is nothing to end."""
        return False


def gate_of(case: Case, rename: Rename) -> tuple[Gate, FakeDirectory]:
    """Return the gate under the policy, and what it asks."""
    directory, policy = FakeDirectory(), policy_of(case, rename)
    directory.one_id = {ident: OTHER.get(ident, ident) for ident in (*PEOPLE, *OTHER.values())}
    directory.kinds = dict.fromkeys(directory.one_id, Kind.MEMBER)
    directory.groups = {group: frozenset(map(rename, who)) for group, who in case.members.items()}
    gate = Gate(current_policy=lambda: policy, directory=directory, switch=NeverPaused(), clock=FakeClock())
    return gate, directory


async def decisions(case: Case, rename: Rename) -> list[object]:
    """Return what is decided about the request at every moment, in words that name no id."""
    gate, _ = gate_of(case, rename)
    found: list[object] = []
    requester, presser = (Actor(team="T1", user=rename(user)) for user in (case.requester, case.presser))
    decision = await gate.decide(requester, SUBJECT, max_age=FRESH)
    found += [decision, await gate.decide_emergency(requester, SUBJECT, max_age=FRESH)]
    found += [await gate.guard(requester, SUBJECT, max_age=FRESH)]
    who = (await gate.person(requester, max_age=FRESH)).actor
    if isinstance(decision, model.NeedApproval):
        found += [await gate.refuse_unsatisfiable(decision, who, SUBJECT)]
    acts = (await gate.person(presser, max_age=FRESH)).actor
    for emergency in (False, True):
        seen = await gate.identify(seen_in(case, rename, emergency=emergency), acts)
        assert isinstance(seen, records.Request)
        found.append(await gate.refuse_judge(seen, presser, max_age=FRESH))
        if not isinstance(decision, model.Refuse):
            found.append(await gate.refuse_vote(seen, decision, presser, votes=seen.votes))
            found.append(await gate.refuse_confirmation(seen, decision, presser, max_age=FRESH))
            lost, sure = await gate.lost_votes(seen, decision)
            found += [[seen.votes.index(vote) for vote in lost], sure]
    return [said(one) for one in found]


def said(found: object) -> object:
    """Return a decision without the ids that it names; which of them it is names a person all the same."""
    match found:
        case model.Refuse():
            return found.why, found.rule, found.approvals, found.candidates
        case model.Allow():
            return "allow", found.rule.name
        case model.NeedApproval():
            return "approvals", found.rule.name, found.approvals, sorted(OTHER.get(one, one) for one in found.approvers)
        case break_glass.AllowEmergency():
            return "emergency", found.rule.name, found.limit
        case model.Rule():
            return found.name
        case _:
            return found


def renaming(turns: Iterator[bool]) -> Rename:
    """Return what calls somebody by their other id whenever it is its turn."""
    return lambda ident: OTHER.get(ident, ident) if next(turns) else ident


def same(ident: str) -> str:
    """Call somebody by their usual id."""
    return ident


@given(cases, st.lists(st.booleans(), min_size=1, max_size=60))
def test_another_id_of_the_same_person_never_changes_a_decision(case: Case, turns: list[bool]) -> None:
    usual = asyncio.run(decisions(case, same))

    assert asyncio.run(decisions(case, renaming(itertools.cycle(turns)))) == usual


@given(cases, st.lists(st.booleans(), min_size=1, max_size=60), st.sets(st.sampled_from([*PEOPLE, *OTHER.values()])))
def test_an_id_that_slack_says_nothing_about_never_lets_anybody_do_more(
    case: Case, turns: list[bool], hidden: set[str]
) -> None:
    rename = renaming(itertools.cycle(turns))
    gate, directory = gate_of(case, rename)
    requester = Actor(team="T1", user=rename(case.requester))
    own = {requester.user, OTHER.get(case.requester, case.requester)}

    async def decide() -> tuple[model.Decision, break_glass.AllowEmergency | model.Refuse]:
        decided = await gate.decide(requester, SUBJECT, max_age=FRESH)
        return decided, await gate.decide_emergency(requester, SUBJECT, max_age=FRESH)

    truth, true_emergency = asyncio.run(decide())
    directory.kinds |= dict.fromkeys(hidden - own, Kind.UNREACHABLE)
    blind, emergency = asyncio.run(decide())

    opens_for_nobody = isinstance(truth, model.Refuse) and truth.why is Why.UNSATISFIABLE
    assert allows_at_most(blind, truth) or (opens_for_nobody and isinstance(blind, model.NeedApproval))
    assert isinstance(emergency, model.Refuse) or not isinstance(true_emergency, model.Refuse)
