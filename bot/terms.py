"""What a rule asks for, as a request keeps it: pure functions of one policy and a decision that was made on it."""

from bot import passing_over, policy, request
from bot.arrivals import Actor


def of(
    in_force: policy.Policy, choice: policy.Allow | policy.NeedApproval | passing_over.Emergency, *, requester: Actor
) -> request.Terms:
    """Return what the rule asks for; of an emergency, whom it passes over."""
    if isinstance(choice, passing_over.Emergency):
        approvals, approvers = 0, choice.passed_over
        mentions = passing_over.mentions(in_force, choice, requester=requester.user)
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
