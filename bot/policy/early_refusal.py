"""Refuse people before the cloud is asked: those whom no rule allows this for any flow.

Pure. It refuses only what `evaluation.decide`, or `break_glass.decide`, would refuse for every flow.
"""

import dataclasses

from bot.policy import break_glass, evaluation
from bot.policy.model import Effect, Groups, Policy, Question, Refuse, Rule


def refuse(policy: Policy, question: Question, groups: Groups, *, emergency: bool) -> Refuse | None:
    """Return why no rule allows this for any flow, or None if a rule may allow it; `question` names the flow typed."""
    anything = for_any_flow(policy)
    if emergency:
        decision = break_glass.decide(anything, question, groups)
        return decision if isinstance(decision, Refuse) else None
    refusal = evaluation.decide(anything, question, groups)
    if not isinstance(refusal, Refuse):
        return None
    could = evaluation.who_could(policy, question)  # for the typed flow, if that names anybody
    return dataclasses.replace(refusal, who_could=could) if could else refusal


def for_any_flow(policy: Policy) -> Policy:
    """Return a policy whose allows cover all flows without approvals, with only the denies that cover all flows."""
    rules = (_for_any_flow(rule) for rule in policy.rules if rule.effect is Effect.ALLOW or _is_about_all(rule))
    return dataclasses.replace(policy, rules=tuple(rules))


def _for_any_flow(rule: Rule) -> Rule:
    return dataclasses.replace(rule, flows=(), approvals=0, approvers=())


def _is_about_all(rule: Rule) -> bool:
    return not rule.flows or "*" in rule.flows
