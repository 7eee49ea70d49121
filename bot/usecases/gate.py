"""The gate: asks Slack who people are, and the policy what they may do.

It writes nothing. If Slack cannot be asked, the answer is no.
"""

import asyncio
import copy
import dataclasses
from collections.abc import Callable, Collection, Iterable
from typing import Final

from bot.commands.deliveries import Actor
from bot.commands.verbs import READ, Verb
from bot.lifecycle import persons, records
from bot.policy import break_glass, early_refusal, evaluation, freezing, model, protected_flows, rights, voting
from bot.policy.model import Permission, Subject
from bot.usecases import ports

FRESH: Final = 60.0
"""The maximum age in seconds of what Slack says about people."""

FRESHEST: Final = 5.0
"""The maximum age in seconds at a click that decides."""

SAME_PERSON: Final = 3600.0
"""The maximum age in seconds of the answer which person is behind a user id: that does not change."""

ASKED_AT_MOST: Final = 40
"""The maximum number of approvers to check with Slack before a request opens; others count as available."""


def subject_of(request: records.Request) -> Subject:
    """Return what a stored request asks for."""
    return Subject(
        verb=request.verb,
        project=request.project,
        flow_id=request.flow.flow_id,
        flow_name=request.flow.name or None,
        channel=request.card.channel,
    )


_Needed = Callable[[model.Policy, model.Question], frozenset[str]]


class Gate:
    """Decides by the current policy."""

    def __init__(
        self,
        *,
        current_policy: Callable[[], model.Policy],
        directory: ports.Directory,
        switch: ports.Switch,
        clock: ports.Clock,
    ) -> None:
        self._current_policy = current_policy
        self._directory = directory
        self._switch = switch
        self._clock = clock
        self._pinned: model.Policy | None = None

    @property
    def policy(self) -> model.Policy:
        """Return the current policy, with its freezes applied."""
        return self._pinned or freezing.at(self._current_policy(), self._clock.now())

    def pinned(self) -> "Gate":
        """Return a gate that keeps the policy of this moment, so that one decision uses one policy."""
        gate = copy.copy(self)
        gate._pinned = self.policy
        return gate

    async def person(self, actor: Actor, *, max_age: float) -> model.Person:
        """Say what somebody is, from an answer at most `max_age` seconds old; their actor has its `person` then.

        While Slack cannot be asked, an operator of the host counts as a full member.
        """
        return self._or_operator(await self._directory.person(actor, max_age=max_age))

    def _or_operator(self, person: model.Person) -> model.Person:
        is_operator = person.actor.user in self.policy.operators.values()
        if person.kind is not model.Kind.UNREACHABLE or not is_operator:
            return person
        return dataclasses.replace(person, kind=model.Kind.MEMBER)

    def refuse_operator(self, actor: Actor) -> model.Refuse | None:
        """Refuse whoever acts on the host without standing in [operators] of the policy in force, or return None."""
        if actor.login is None or self.policy.operators.get(actor.login) == actor.user:
            return None
        return model.Refuse(why=model.Why.NOT_OPERATOR)

    async def identify(self, request: records.Request, actor: Actor) -> records.Request | model.Refuse:
        """Return the request with the person behind each actor filled in, to compare them with `actor`.

        Only requests of an older version lack them. Refuses if Slack cannot be asked; an actor with only one id is
        compared without asking.
        """
        missing = {one.user for one in persons.actors(request) if one.person is None}
        if persons.is_uncertain(request, actor):
            return model.Refuse(why=model.Why.UNREACHABLE, rule=request.terms.rule)
        if actor.has_one_id or not missing:
            return request
        found = await self._directory.persons(missing, max_age=SAME_PERSON)
        if any(one.kind is model.Kind.UNREACHABLE for one in found.values()):
            return model.Refuse(why=model.Why.UNREACHABLE, rule=request.terms.rule)
        return persons.identified(request, {user: one.actor.person for user, one in found.items()})

    async def is_same_person(self, one: Actor, actor: Actor) -> bool:
        """Return whether `actor` is the same person as the recorded actor `one`; unknown is no."""
        if one.user == actor.user or actor.has_one_id:
            return one.user == actor.user
        return (await self._directory.persons({one.user}, max_age=SAME_PERSON))[one.user].actor.id == actor.id

    async def stand_for(self, actors: Collection[Actor], idents: Collection[str], *, max_age: float) -> model.Groups:
        """Return the people behind users and groups, and behind all user ids of the groups and the policy.

        If the actors have only one id each, ids are compared as they are, and Slack is asked about groups only.
        """
        groups = frozenset(filter(model.is_group, idents))
        members = await self._members(groups, max_age=max_age)
        return await self._with_persons(actors, members, *(frozenset(idents) - groups))

    async def is_ours(self, teams: Collection[str]) -> bool | None:
        """Return whether one of these is our workspace or organisation; None while Slack has not said which that is."""
        return await self._directory.is_ours(teams)

    async def decide(self, actor: Actor, subject: Subject, *, max_age: float) -> model.Decision:
        """Decide whether a person may do this, and what it requires."""
        policy = self.policy
        if subject.project not in policy.projects:  # removed since the request was made
            return model.Refuse(why=model.Why.NO_RULE)
        question, groups = await self._ask(policy, actor, subject, evaluation.groups_needed, max_age=max_age)
        return evaluation.decide(policy, question, groups)

    async def refuse_unsatisfiable(
        self, decision: model.NeedApproval, actor: Actor, subject: Subject
    ) -> model.Refuse | None:
        """Refuse a request that too few full members could approve, or return None.

        People who cannot be asked about count as full members.
        """
        waiting, there, perhaps = sorted(decision.approvers), set[str](), 0
        if decision.unknown or len(waiting) - ASKED_AT_MOST >= decision.approvals:
            return None
        while waiting and len(there) + perhaps < decision.approvals:
            missing = decision.approvals - len(there) - perhaps
            found = await self._directory.persons(waiting[:missing], max_age=FRESH)
            del waiting[:missing]
            there |= {one.actor.id for one in found.values() if one.kind is model.Kind.MEMBER}
            perhaps += sum(one.kind is model.Kind.UNREACHABLE for one in found.values())
        if len(there) + perhaps >= decision.approvals:
            return None
        return model.Refuse(
            why=model.Why.UNSATISFIABLE,
            rule=decision.rule.name,
            who_could=evaluation.who_could(self.policy, subject.asked_by(_member(actor))),
            approvals=decision.approvals,
            candidates=len(there),
        )

    async def guard(self, actor: Actor, subject: Subject, *, max_age: float) -> model.Rule | None:
        """Return the rule that requires the person to type the flow's name, or None."""
        policy = self.policy
        flow_id, flow_name = subject.flow_id, subject.flow_name
        if not any(protected_flows.fits(rule, flow_id=flow_id, flow_name=flow_name) for rule in policy.rules):
            return None
        question, groups = await self._ask(policy, actor, subject, evaluation.groups_needed, max_age=max_age)
        return protected_flows.guard(policy, question, groups)

    async def decide_emergency(
        self, actor: Actor, subject: Subject, *, max_age: float
    ) -> break_glass.AllowEmergency | model.Refuse:
        """Decide whether a person may do this as an emergency, without approvals."""
        policy = self.policy
        if subject.project not in policy.projects:
            return model.Refuse(why=model.Why.NO_EMERGENCY)
        question, groups = await self._ask(policy, actor, subject, break_glass.groups_needed, max_age=max_age)
        return break_glass.decide(policy, question, groups)

    async def refuse_early(
        self, actor: Actor, subject: Subject, *, emergency: bool, max_age: float
    ) -> model.Refuse | None:
        """Return why no rule allows this for any flow, or None if a rule may allow it."""
        policy = self.policy
        needed = break_glass.groups_needed if emergency else evaluation.groups_needed
        anything = early_refusal.for_any_flow(policy)
        question, groups = await self._ask(anything, actor, subject, needed, max_age=max_age)
        return early_refusal.refuse(policy, question, groups, emergency=emergency)

    async def refuse_judge(self, request: records.Request, actor: Actor, *, max_age: float) -> model.Refuse | None:
        """Return why a person may not deny or review an emergency, or None if they may."""
        policy = self.policy
        person = await self.person(actor, max_age=max_age)
        groups = await self._groups_judging(policy, request, person.actor, max_age=max_age)
        return break_glass.may_judge(policy, request, _requesters(request), groups, person=person)

    async def judges(self, request: records.Request, *, max_age: float) -> tuple[str, ...]:
        """Return who may deny and review an emergency now, as entries of rules."""
        policy = self.policy
        groups = await self._groups_judging(policy, request, max_age=max_age)
        return break_glass.judges(policy, request, _requesters(request), groups)

    async def judged(self, request: records.Request) -> records.Request:
        """Return an emergency with its current judges."""
        return break_glass.judged(self.policy, request, await self.judges(request, max_age=FRESH))

    async def is_shared(self, channel: str) -> bool | None:
        """Return whether people of other organisations can see a channel; None if Slack cannot be asked."""
        return await self._directory.is_shared(channel, max_age=FRESH)

    async def may_show(self, request: records.Request) -> bool | None:
        """Tell whether the card of a request may be seen where it is to stand; None where Slack cannot be asked."""
        project = self.policy.projects.get(request.project)
        if project is not None and project.allow_shared:
            return True
        shared = await self.is_shared(request.card.channel)
        return None if shared is None else not shared

    async def is_private(self, channel: str) -> bool | None:
        """Return whether only its members can see a channel; None if Slack cannot be asked."""
        return await self._directory.is_private(channel, max_age=FRESH)

    async def readable(
        self, actor: Actor, flows: Iterable[tuple[str, str]], *, project: str, channel: str
    ) -> frozenset[tuple[str, str]]:
        """Return the flows (id and name) that a person may read in a channel."""
        policy = self.policy
        person = await self.person(actor, max_age=FRESH)
        deciding = rights.groups_deciding(policy, READ)
        groups = await self.stand_for((person.actor,), deciding, max_age=FRESH)

        def may_read(flow: tuple[str, str]) -> bool:
            flow_id, name = flow
            subject = Subject(
                verb=Verb.STATUS, project=project, flow_id=flow_id, flow_name=name or None, channel=channel
            )
            return not isinstance(evaluation.decide(policy, subject.asked_by(person), groups), model.Refuse)

        return frozenset(filter(may_read, flows))

    async def may_see_card(self, request: records.Request, actor: Actor, *, channel: str) -> bool:
        """Return whether a person in a channel may see the reasons and the link of a request."""
        if channel == request.card.channel or await self.is_same_person(request.requester, actor):
            return True
        judges = () if request.emergency is None else await self.judges(request, max_age=FRESH)
        approvers = model.expand(self.policy, (*request.terms.approvers, *judges))
        groups = await self.stand_for((actor,), approvers, max_age=FRESH)
        if evaluation.among(approvers, actor.id, groups):
            return True
        return await self.is_private(request.card.channel) is False

    async def refuse_paused(self) -> model.Refuse | None:
        """Refuse if all changing verbs are paused, or return None. Raises errors.StoreError."""
        paused = await self._switch.paused()
        return None if paused is None else model.Refuse(why=model.Why.PAUSED, because=paused.reason)

    async def refuse_vote(
        self,
        request: records.Request,
        decision: Permission,
        actor: Actor,
        *,
        votes: tuple[records.Vote, ...],
        counts: bool = True,
        max_age: float = FRESHEST,
    ) -> model.Refuse | None:
        """Say why somebody may not decide on the request, or None: they may. The requester never counts.

        `counts` tells an approval from a denial, which may come from any door.
        """
        needed = await self._approval(request, decision, max_age=max_age)
        person = await self.person(actor, max_age=max_age)
        groups = await self._with_persons((person.actor,), {}, *needed.approvers)
        approvers, sure = model.behind(needed.approvers, groups)
        unknown = needed.unknown if sure else (*needed.unknown, *needed.rule.approvers)
        needed = dataclasses.replace(needed, approvers=approvers, unknown=unknown)
        no = voting.may_approve(needed, requester=request.requester, person=person, votes=votes)
        return no or (voting.refuse_door(decision, request.terms, actor) if counts else None)

    async def refuse_confirmation(
        self, request: records.Request, decision: model.Decision, actor: Actor, *, max_age: float
    ) -> model.Refuse | None:
        """Return why a person may not confirm; None for the requester and those who need no approval for the same."""
        policy = self.policy
        subject = subject_of(request)
        question, groups = await self._ask(policy, actor, subject, evaluation.groups_needed, max_age=max_age)
        no = voting.may_confirm(policy, decision, question, groups, requester=request.requester)
        return no or voting.refuse_door(decision, request.terms, actor)

    async def lost_votes(self, request: records.Request, decision: Permission) -> tuple[tuple[records.Vote, ...], bool]:
        """Return the votes that no longer count, and whether Slack could be asked about all voters.

        Only the first vote of a person counts.
        """
        actors = (request.requester, *(vote.actor for vote in request.votes))
        people = await asyncio.gather(*(self.person(actor, max_age=FRESH) for actor in actors))
        known = persons.identified(request, {one.actor.user: one.actor.person for one in people})
        refusals = await asyncio.gather(*(self._refuse_standing_vote(known, decision, vote) for vote in known.votes))
        ids = [vote.actor.id for vote in known.votes]
        again = [ident in ids[:place] for place, ident in enumerate(ids)]
        found = zip(request.votes, refusals, again, strict=True)
        lost = tuple(vote for vote, refusal, repeats in found if refusal is not None or repeats)
        unsure = any(refusal is not None and refusal.why is model.Why.UNREACHABLE for refusal in refusals)
        return lost, not unsure

    async def _refuse_standing_vote(
        self, request: records.Request, decision: Permission, vote: records.Vote
    ) -> model.Refuse | None:
        if request.terms.approvals == 0:
            return await self.refuse_confirmation(request, decision, vote.actor, max_age=FRESH)
        return await self.refuse_vote(request, decision, vote.actor, votes=(), max_age=FRESH)

    async def _ask(
        self, policy: model.Policy, actor: Actor, subject: Subject, needed: _Needed, *, max_age: float
    ) -> tuple[model.Question, model.Groups]:
        person = self.person(actor, max_age=max_age)
        groups = self._members(needed(policy, subject.asked_by(_member(actor))), max_age=max_age)
        known, members = await asyncio.gather(person, groups)
        return subject.asked_by(known), await self._with_persons((known.actor,), members)

    async def _with_persons(self, actors: Collection[Actor], members: model.Groups, *users: str) -> model.Groups:
        """Add the people behind user ids: those of the policy, of the groups, and the given ones."""
        if all(actor.has_one_id for actor in actors):
            return members
        in_groups = frozenset[str]().union(*(known for known in members.values() if known is not None))
        own = {actor.user: frozenset({actor.id}) for actor in actors if actor.person is not None}
        asked = (rights.users_named(self.policy) | in_groups | frozenset(users)) - own.keys()
        found = await self._directory.persons(asked, max_age=SAME_PERSON)
        unreachable = model.Kind.UNREACHABLE
        theirs = {user: None if one.kind is unreachable else frozenset({one.actor.id}) for user, one in found.items()}
        return {**members, **theirs, **own}

    async def _groups_judging(
        self, policy: model.Policy, request: records.Request, *others: Actor, max_age: float
    ) -> model.Groups:
        """Ask about the groups of an emergency's judges; about groups of other rules only if nobody else may judge."""
        question, actors = _requesters(request), (*others, *persons.actors(request))
        kept = () if request.emergency is None else (*request.emergency.passed_over, *request.emergency.members)
        users = [ident for ident in model.expand(policy, kept) if not model.is_group(ident)]
        first = {*users, *break_glass.groups_judging(policy, request, question)}
        groups = await self.stand_for(actors, first, max_age=max_age)
        entries = break_glass.judges(policy, request, question, groups)
        named = frozenset(filter(model.is_group, model.expand(policy, entries)))
        more = named - groups.keys()
        return {**groups, **await self.stand_for(actors, more, max_age=max_age)} if more else groups

    async def _members(self, groups: Collection[str], *, max_age: float) -> model.Groups:
        names = sorted(groups)
        members = await asyncio.gather(*(self._directory.members(name, max_age=max_age) for name in names))
        return dict(zip(names, members, strict=True))

    async def _approval(self, request: records.Request, decision: Permission, *, max_age: float) -> model.NeedApproval:
        """Return the approvals that the request needs now; never fewer than it first required."""
        if isinstance(decision, model.NeedApproval):
            return dataclasses.replace(decision, approvals=max(decision.approvals, request.terms.approvals))
        named = model.expand(self.policy, request.terms.approvers)
        groups = await self._members(frozenset(filter(model.is_group, named)), max_age=max_age)
        members = [members for members in groups.values() if members is not None]
        return model.NeedApproval(
            rule=dataclasses.replace(decision.rule, approvers=request.terms.approvers),
            approvals=request.terms.approvals,
            approvers=frozenset(named).union(*members) - {request.requester.id},
            reason_required=decision.reason_required,
            expires=decision.expires,
            unknown=tuple(name for name, members in groups.items() if members is None),
        )


def _member(actor: Actor) -> model.Person:
    return model.Person(actor=actor, kind=model.Kind.MEMBER)


def _requesters(request: records.Request) -> model.Question:
    """Return the stored request as the question of its requester."""
    return subject_of(request).asked_by(_member(request.requester))
