"""Who may vote on a request: approve, deny, confirm or withdraw it, beside what the policy decides about its requester.

Pure, as `policy` is. How an emergency passes over those who would vote is in `passing_over`.
"""

import dataclasses
from typing import TypeAlias

from bot import policy
from bot import request as requests
from bot.arrivals import Actor
from bot.policy import Why

Votes: TypeAlias = tuple[requests.Vote, ...]


def may_approve(
    decision: policy.Decision, *, requester: Actor, person: policy.Person, votes: Votes
) -> policy.Refuse | None:
    """Say why somebody may not approve, or None where they may.

    `decision` is the current one about the requester. For a denial pass no votes: who has approved may still deny.
    """
    if outsider := policy.refuse_outsider(person):
        return outsider
    if isinstance(decision, policy.Refuse):
        return decision
    user = person.actor.id
    refused = policy.Refuse(why=Why.NOT_APPROVER, rule=decision.rule.name, who_could=decision.rule.approvers)
    if user == requester.id:
        return dataclasses.replace(refused, why=Why.OWN_REQUEST)
    if any(vote.actor.id == user for vote in votes):
        return dataclasses.replace(refused, why=Why.ALREADY_VOTED)
    if isinstance(decision, policy.NeedApproval) and user in decision.approvers:
        return None
    if isinstance(decision, policy.NeedApproval) and decision.unknown:
        return dataclasses.replace(refused, why=Why.UNREACHABLE, groups=decision.unknown)
    return refused


def may_confirm(
    in_force: policy.Policy,
    decision: policy.Decision,
    question: policy.Question,
    groups: policy.Groups,
    *,
    requester: Actor,
) -> policy.Refuse | None:
    """Say why somebody may not confirm, or None: the requester may, and whoever may do the same without approvals.

    `decision` is the current one about the requester; `question` is the same question asked by whoever clicks.
    """
    if outsider := policy.refuse_outsider(question.person):
        return outsider
    if isinstance(decision, policy.Refuse):
        return decision
    is_own = question.person.actor.id == requester.id
    if isinstance(decision, policy.NeedApproval):
        why = Why.OWN_REQUEST if is_own else Why.NOT_REQUESTER
        return policy.Refuse(why=why, rule=decision.rule.name, who_could=decision.rule.approvers)
    own = decision if is_own else policy.decide(in_force, question, groups)
    if isinstance(own, policy.Allow):
        return None
    if isinstance(own, policy.Refuse) and own.why in (Why.DENY_RULE, Why.UNREACHABLE):
        return own
    rule = own.rule.name if isinstance(own, policy.NeedApproval) else own.rule or decision.rule.name
    could = (requester.user, *policy.who_could(in_force, question, alone=True))
    return policy.Refuse(why=Why.NOT_REQUESTER, rule=rule, who_could=tuple(dict.fromkeys(could)))


def may_withdraw(*, requester: Actor, person: policy.Person) -> policy.Refuse | None:
    """Say why somebody may not take a request back, or None: they made it."""
    if person.actor.id == requester.id:
        return policy.refuse_outsider(person)
    return policy.refuse_outsider(person) or policy.Refuse(why=Why.NOT_REQUESTER, who_could=(requester.user,))
