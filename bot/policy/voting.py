"""Who may approve, deny, confirm or withdraw a request.

Pure. Emergencies are in `break_glass`.
"""

import dataclasses
from typing import TypeAlias

from bot.commands.deliveries import Actor
from bot.commands.verbs import Door
from bot.lifecycle import records
from bot.policy import break_glass, evaluation, model
from bot.policy.model import Why

Votes: TypeAlias = tuple[records.Vote, ...]


def may_approve(
    decision: model.Decision, *, requester: Actor, person: model.Person, votes: Votes
) -> model.Refuse | None:
    """Return why a person may not approve, or None if they may.

    `decision` is the current one about the requester. To check a denial, pass no votes: an approver may still deny.
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
    """Return why a person may not confirm; None for the requester and for anybody who needs no approval for the same.

    `decision` is the current one about the requester; `question` is the question of the person who clicks.
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


def refuse_door(
    decision: model.Decision | break_glass.AllowEmergency, terms: records.Terms, actor: Actor
) -> model.Refuse | None:
    """Refuse a confirmation or an approval from Slack under a rule that wants them from the host, or return None.

    A rule that has become laxer takes nothing back: what it asked for when the request was made still counts.
    """
    rule = None if isinstance(decision, model.Refuse) else decision.rule
    wanted = terms.door or (None if rule is None else rule.door)
    if wanted is not Door.HOST or actor.login is not None:
        return None
    return model.Refuse(why=Why.OTHER_DOOR, rule=terms.rule if rule is None else rule.name)


def may_withdraw(*, rule: str, requester: Actor, person: model.Person) -> model.Refuse | None:
    """Return why a person may not withdraw a request, or None for its requester."""
    if outsider := evaluation.refuse_outsider(person):
        return outsider
    if person.actor.id == requester.id:
        return None
    return model.Refuse(why=Why.NOT_REQUESTER, rule=rule, who_could=(requester.user,))
