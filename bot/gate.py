"""The gate: asks Slack who somebody is and the policy what they may do.

It changes nothing and writes nothing. What Slack cannot be asked is a no.
"""

import asyncio
import copy
import dataclasses
from collections.abc import Callable
from typing import Final

from bot import early_refusal, freezing, passing_over, policy, ports, protecting, request, voting
from bot.arrivals import Actor
from bot.commands import Verb

FRESH: Final = 60.0
"""Seconds that an answer about people may be old."""

FRESHEST: Final = 5.0
"""Seconds that an answer may be old for the click that decides."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """What a right is asked for: a verb on a flow of a project, with its card in a channel.

    `flow_name` is None where the flow could not be read.
    """

    verb: Verb
    project: str
    flow_id: str
    flow_name: str | None
    channel: str


def subject_of(seen: request.Request) -> Subject:
    """Return what the stored request asks for."""
    return Subject(
        verb=seen.verb,
        project=seen.project,
        flow_id=seen.flow.flow_id,
        flow_name=seen.flow.name or None,
        channel=seen.card.channel,
    )


Choice = policy.Allow | policy.NeedApproval


_Needed = Callable[[policy.Policy, policy.Question], frozenset[str]]


class Gate:
    """Decides on the policy in force at the moment of asking."""

    def __init__(
        self,
        *,
        policy_in_force: Callable[[], policy.Policy],
        directory: ports.Directory,
        switch: ports.Switch,
        clock: ports.Clock,
    ) -> None:
        self._policy_in_force = policy_in_force
        self._directory = directory
        self._switch = switch
        self._clock = clock
        self._pinned: policy.Policy | None = None

    @property
    def in_force(self) -> policy.Policy:
        """Return the policy in force, as its freezes have it now."""
        return self._pinned or freezing.at(self._policy_in_force(), self._clock.now())

    def pinned(self) -> "Gate":
        """Return a gate that stays with the policy of this moment: what one decision needs comes from one policy."""
        gate = copy.copy(self)
        gate._pinned = self.in_force
        return gate

    async def person(self, actor: Actor, *, max_age: float) -> policy.Person:
        """Say what somebody is, from an answer at most `max_age` seconds old."""
        return await self._directory.person(actor, max_age=max_age)

    async def decide(self, actor: Actor, subject: Subject, *, max_age: float) -> policy.Decision:
        """Decide whether somebody may do this, and what it needs."""
        in_force = self.in_force
        if subject.project not in in_force.projects:  # it was there when the request was made
            return policy.Refuse(why=policy.Why.NO_RULE)
        question, groups = await self._ask(in_force, actor, subject, policy.groups_needed, max_age=max_age)
        return policy.decide(in_force, question, groups)

    async def guard(self, actor: Actor, subject: Subject, *, max_age: float) -> policy.Rule | None:
        """Return the rule for which somebody has to type the flow's name to do this, or None."""
        in_force = self.in_force
        flow_id, flow_name = subject.flow_id, subject.flow_name
        if not any(protecting.fits(rule, flow_id=flow_id, flow_name=flow_name) for rule in in_force.rules):
            return None
        question, groups = await self._ask(in_force, actor, subject, policy.groups_needed, max_age=max_age)
        return protecting.guard(in_force, question, groups)

    async def decide_emergency(
        self, actor: Actor, subject: Subject, *, max_age: float
    ) -> passing_over.Emergency | policy.Refuse:
        """Decide whether somebody may do this without the approvals that it needs."""
        in_force = self.in_force
        if subject.project not in in_force.projects:
            return policy.Refuse(why=policy.Why.NO_EMERGENCY)
        question, groups = await self._ask(in_force, actor, subject, passing_over.groups_needed, max_age=max_age)
        return passing_over.decide(in_force, question, groups)

    async def refuse_early(
        self, actor: Actor, subject: Subject, *, emergency: bool, max_age: float
    ) -> policy.Refuse | None:
        """Say why no rule could let somebody do this, whichever flow is meant, or None where one could."""
        in_force = self.in_force
        needed = passing_over.groups_needed if emergency else policy.groups_needed
        anything = early_refusal.for_any_flow(in_force)
        question, groups = await self._ask(anything, actor, subject, needed, max_age=max_age)
        return early_refusal.refuse(in_force, question, groups, emergency=emergency)

    async def refuse_judge(self, seen: request.Request, actor: Actor, *, max_age: float) -> policy.Refuse | None:
        """Say why somebody may not deny or review an emergency, or None: they may."""
        in_force = self.in_force
        named = filter(policy.is_group, policy.expand(in_force, passing_over.judges(in_force, seen)))
        person, groups = await asyncio.gather(
            self.person(actor, max_age=max_age), self._members(frozenset(named), max_age=max_age)
        )
        return passing_over.may_judge(in_force, seen, groups, person=person)

    async def is_shared(self, channel: str) -> bool | None:
        """Tell whether people of other organisations see a channel; None where Slack cannot be asked."""
        return await self._directory.is_shared(channel, max_age=FRESH)

    async def is_private(self, channel: str) -> bool | None:
        """Tell whether only its members see a channel; None where Slack cannot be asked."""
        return await self._directory.is_private(channel, max_age=FRESH)

    async def refuse_paused(self) -> policy.Refuse | None:
        """Say that every changing verb is paused, or None. Raises errors.StoreError."""
        paused = await self._switch.paused()
        return None if paused is None else policy.Refuse(why=policy.Why.PAUSED, because=paused.reason)

    async def refuse_vote(
        self,
        seen: request.Request,
        decision: Choice,
        actor: Actor,
        *,
        votes: tuple[request.Vote, ...],
        max_age: float = FRESHEST,
    ) -> policy.Refuse | None:
        """Say why somebody may not decide on the request, or None: they may. The requester never counts."""
        needed = await self._approval(seen, decision, max_age=max_age)
        person = await self.person(actor, max_age=max_age)
        return voting.may_approve(needed, requester=seen.requester, person=person, votes=votes)

    async def refuse_confirmation(
        self, seen: request.Request, decision: policy.Decision, actor: Actor, *, max_age: float
    ) -> policy.Refuse | None:
        """Say why somebody may not confirm, or None: the request is theirs, or a rule lets them do the same alone."""
        in_force = self.in_force
        subject = subject_of(seen)
        question, groups = await self._ask(in_force, actor, subject, policy.groups_needed, max_age=max_age)
        return voting.may_confirm(in_force, decision, question, groups, requester=seen.requester)

    async def lost_votes(self, seen: request.Request, decision: Choice) -> tuple[tuple[request.Vote, ...], bool]:
        """Return the votes that do not count any more, and whether everybody could be asked about."""
        refusals = await asyncio.gather(*(self._refuse_standing_vote(seen, decision, vote) for vote in seen.votes))
        lost = tuple(vote for vote, refusal in zip(seen.votes, refusals, strict=True) if refusal is not None)
        unsure = any(refusal is not None and refusal.why is policy.Why.UNREACHABLE for refusal in refusals)
        return lost, not unsure

    async def _refuse_standing_vote(
        self, seen: request.Request, decision: Choice, vote: request.Vote
    ) -> policy.Refuse | None:
        if seen.terms.approvals == 0:
            return await self.refuse_confirmation(seen, decision, vote.actor, max_age=FRESH)
        return await self.refuse_vote(seen, decision, vote.actor, votes=(), max_age=FRESH)

    async def _ask(
        self, in_force: policy.Policy, actor: Actor, subject: Subject, needed: _Needed, *, max_age: float
    ) -> tuple[policy.Question, policy.Groups]:
        person = self._directory.person(actor, max_age=max_age)
        bare = policy.Person(actor=actor, kind=policy.Kind.MEMBER)
        groups = self._members(needed(in_force, _question(bare, subject)), max_age=max_age)
        known, members = await asyncio.gather(person, groups)
        return _question(known, subject), members

    async def _members(self, groups: frozenset[str], *, max_age: float) -> policy.Groups:
        names = sorted(groups)
        members = await asyncio.gather(*(self._directory.members(name, max_age=max_age) for name in names))
        return dict(zip(names, members, strict=True))

    async def _approval(self, seen: request.Request, decision: Choice, *, max_age: float) -> policy.NeedApproval:
        """Return what approvals the request needs now: a policy that has become laxer takes nothing back."""
        if isinstance(decision, policy.NeedApproval):
            return dataclasses.replace(decision, approvals=max(decision.approvals, seen.terms.approvals))
        named = policy.expand(self.in_force, seen.terms.approvers)
        groups = await self._members(frozenset(filter(policy.is_group, named)), max_age=max_age)
        members = [members for members in groups.values() if members is not None]
        return policy.NeedApproval(
            rule=dataclasses.replace(decision.rule, approvers=seen.terms.approvers),
            approvals=seen.terms.approvals,
            approvers=frozenset(named).union(*members) - {seen.requester.user},
            reason_required=decision.reason_required,
            expires=decision.expires,
            unknown=tuple(name for name, members in groups.items() if members is None),
        )


def _question(person: policy.Person, subject: Subject) -> policy.Question:
    return policy.Question(
        person=person,
        verb=subject.verb,
        project=subject.project,
        flow_id=subject.flow_id,
        flow_name=subject.flow_name,
        channel=subject.channel,
    )
