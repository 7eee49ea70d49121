"""Freezes: the rules of a policy that apply at a given time.

Pure. Inside a freeze, a rule requires more approvals or becomes a deny; `evaluation` does not know freezes.
"""

import dataclasses

from bot.policy.model import Effect, Policy, Rule


def at(policy: Policy, now: float) -> Policy:
    """Return the policy at a time (seconds since the epoch, UTC); the same object outside any freeze."""
    rules = tuple(_rule_at(rule, now) for rule in policy.rules)
    frozen = any(new is not old for new, old in zip(rules, policy.rules, strict=True))
    return dataclasses.replace(policy, rules=rules) if frozen else policy


def _rule_at(rule: Rule, now: float) -> Rule:
    inside = [freeze for freeze in rule.freezes if freeze.since <= now < freeze.until]
    if not inside:
        return rule
    denied_until = max((freeze.until for freeze in inside if freeze.deny), default=None)
    if denied_until is not None:
        return dataclasses.replace(rule, effect=Effect.DENY, frozen_until=denied_until)
    return dataclasses.replace(rule, approvals=max(rule.approvals, *(freeze.approvals for freeze in inside)))
