"""What a rule asks for, as a request keeps it: pure functions of one policy and a decision that was made on it."""

from bot import passing_over, policy, request


def of(in_force: policy.Policy, choice: policy.Allow | policy.NeedApproval | passing_over.Emergency) -> request.Terms:
    """Return what the rule asks for; of an emergency, whom it passes over."""
    if isinstance(choice, passing_over.Emergency):
        approvals, approvers = 0, choice.passed_over
        mentions: tuple[str, ...] = ()  # whoever judges it now, which `passing_over.judged` adds
    elif isinstance(choice, policy.NeedApproval):
        approvals, approvers = choice.approvals, choice.rule.approvers
        mentions = policy.mentions(in_force, choice.rule)
    else:
        approvals, approvers = 0, ()
        mentions = policy.mentions(in_force, choice.rule)
    return request.Terms(
        rule=choice.rule.name,
        rule_text=choice.rule.text,
        policy_hash=in_force.digest,
        approvals=approvals,
        approvers=approvers,
        mentions=mentions,
    )
