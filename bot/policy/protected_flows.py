"""Protected flows: whether the flow's name must be typed before a request opens.

Pure. It must not know how the name is asked for or compared.
"""

import fnmatch

from bot.policy import evaluation
from bot.policy.model import Effect, Groups, Policy, Question, Rule


def fits(rule: Rule, *, flow_id: str, flow_name: str | None) -> bool:
    """Return whether a rule protects the flow, by its id or name, whoever asks."""
    called = (flow_id, flow_name or "")
    return any(fnmatch.fnmatchcase(word, glob) for glob in rule.protected for word in called)


def guard(policy: Policy, question: Question, groups: Groups) -> Rule | None:
    """Return the first rule that protects the flow and allows, or may allow, what is asked; None if there is none.

    It need not be the rule that decides.
    """
    protecting = (rule for rule in policy.rules if fits(rule, flow_id=question.flow_id, flow_name=question.flow_name))
    return next((rule for rule in protecting if _may_allow(policy, rule, question, groups)), None)


def _may_allow(policy: Policy, rule: Rule, question: Question, groups: Groups) -> bool:
    met = {**evaluation.conditions(rule, question), **evaluation.touches(policy, rule, question, groups)}
    return rule.effect is Effect.ALLOW and evaluation.all_met(met.values()) is not False
