"""Who may vote on a request: approve, deny, confirm or withdraw it, beside what the policy decides about its requester.

Pure, as `policy` is. How an emergency passes over those who would vote is in `passing_over`.
"""

import dataclasses
from typing import TypeAlias

from bot.commands.deliveries import Actor
from bot.lifecycle import records
from bot.policy import evaluation, model
from bot.policy.model import Why

Votes: TypeAlias = tuple[records.Vote, ...]


def may_approve(
    decision: model.Decision, *, requester: Actor, person: model.Person, votes: Votes
) -> model.Refuse | None:
    """Say why somebody may not approve, or None where they may.

    `decision` is the current one about the requester. For a denial pass no votes: who has approved may still deny.
    """
    if outsider := evaluation.refuse_outsider(person):
        return outsider
    if isinstance(decision, model.Refuse):
        return decision
    user = person.actor.id
    refused = model.Refuse(why=Why.NOT_APPROVER, rule=decision.rule.name, who_could=decision.rule.approvers)
    if user == requester.id:
        return dataclasses.replace(refused, why=Why.OWN_REQUEST)
    if any(vote.actor.id == user for vote in votes):
        return dataclasses.replace(refused, why=Why.ALREADY_VOTED)
    if isinstance(decision, model.NeedApproval) and user in decision.approvers:
        return None
    if isinstance(decision, model.NeedApproval) and decision.unknown:
        return dataclasses.replace(refused, why=Why.UNREACHABLE, groups=decision.unknown)
    return refused


def may_confirm(
    policy: model.Policy,
    decision: model.Decision,
    question: model.Question,
    groups: model.Groups,
    *,
    requester: Actor,
) -> model.Refuse | None:
    """Say why somebody may not confirm, or None: the requester may, and whoever may do the same without approvals.

    `decision` is the current one about the requester; `question` is the same question asked by whoever clicks.
    """
    if outsider := evaluation.refuse_outsider(question.person):
        return outsider
    if isinstance(decision, model.Refuse):
        return decision
    is_own = question.person.actor.id == requester.id
    if isinstance(decision, model.NeedApproval):
        why = Why.OWN_REQUEST if is_own else Why.NOT_REQUESTER
        return model.Refuse(why=why, rule=decision.rule.name, who_could=decision.rule.approvers)
    own = decision if is_own else evaluation.decide(policy, question, groups)
    if isinstance(own, model.Allow):
        return None
    if isinstance(own, model.Refuse) and own.why in (Why.DENY_RULE, Why.UNREACHABLE):
        return own
    rule = own.rule.name if isinstance(own, model.NeedApproval) else own.rule or decision.rule.name
    could = (requester.user, *evaluation.who_could(policy, question, alone=True))
    return model.Refuse(why=Why.NOT_REQUESTER, rule=rule, who_could=tuple(dict.fromkeys(could)))


def may_withdraw(*, rule: str, requester: Actor, person: model.Person) -> model.Refuse | None:
    """Return why a person may not withdraw a request, or None for its requester."""
    if outsider := evaluation.refuse_outsider(person):
        return outsider
    if person.actor.id == requester.id:
        return None
    return model.Refuse(why=Why.NOT_REQUESTER, rule=rule, who_could=(requester.user,))
