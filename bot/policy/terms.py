"""What a rule requires, as a request keeps it. Pure."""

from bot.lifecycle import records
from bot.policy import break_glass, model


def of(policy: model.Policy, choice: model.Allow | model.NeedApproval | break_glass.AllowEmergency) -> records.Terms:
    """Return the terms of a permission; for an emergency, `approvers` are those who are skipped."""
    if isinstance(choice, break_glass.AllowEmergency):
        approvals, approvers = 0, choice.passed_over
        mentions: tuple[str, ...] = ()  # `break_glass.judged` adds them
    elif isinstance(choice, model.NeedApproval):
        approvals, approvers = choice.approvals, choice.rule.approvers
        mentions = model.mentions(policy, choice.rule)
    else:
        approvals, approvers = 0, ()
        mentions = model.mentions(policy, choice.rule)
    return records.Terms(
        rule=choice.rule.name,
        rule_text=choice.rule.text,
        policy_hash=policy.digest,
        approvals=approvals,
        approvers=approvers,
        mentions=mentions,
        door=choice.rule.door,
    )
