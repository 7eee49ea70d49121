"""Who is refused before the cloud is asked anything: somebody whom no rule could let do this here, whatever the flow.

Pure, as `policy` is. It refuses only where `policy.decide`, or `passing_over.decide`, would refuse for every flow.
"""

import dataclasses

from bot.policy import break_glass, evaluation
from bot.policy.model import Effect, Groups, Policy, Question, Refuse, Rule


def refuse(policy: Policy, question: Question, groups: Groups, *, emergency: bool) -> Refuse | None:
    """Say why no rule lets somebody do this for any flow, or None where one may for some; `question` names one."""
    anything = for_any_flow(policy)
    if emergency:
        decision = break_glass.decide(anything, question, groups)
        return decision if isinstance(decision, Refuse) else None
    refusal = evaluation.decide(anything, question, groups)
    if not isinstance(refusal, Refuse):
        return None
    could = evaluation.who_could(policy, question)  # of this flow, if its name tells
    return dataclasses.replace(refusal, who_could=could) if could else refusal


def for_any_flow(policy: Policy) -> Policy:
    """Return the policy with every allow for all flows and for nobody's approval, and the denies of all flows alone."""
    rules = (_for_any_flow(rule) for rule in policy.rules if rule.effect is Effect.ALLOW or _is_about_all(rule))
    return dataclasses.replace(policy, rules=tuple(rules))


def _for_any_flow(rule: Rule) -> Rule:
    return dataclasses.replace(rule, flows=(), approvals=0, approvers=())


def _is_about_all(rule: Rule) -> bool:
    return not rule.flows or "*" in rule.flows
