"""The cases of a policy file: compare the decisions that its authors expect with the actual ones.

Pure. Freezes are ignored, so the result of a case does not depend on the date. It must not know line numbers.
"""

from collections.abc import Iterable, Iterator

from bot.policy import break_glass, explain, model, rights
from bot.policy.file import keys as file_keys
from bot.policy.file.keys import Case
from bot.policy.model import Decision, Policy

FailedCase = tuple[str, str]
"""The key of a failing case, and the problem."""


def judge(whole: Policy, case: Case) -> tuple[FailedCase, ...]:
    """Return what fails in a case, or which of its names the policy does not define."""
    unknown = tuple(_unknown(whole, case))
    if unknown:
        return unknown
    found = explain.of_command(whole, case.command, user=case.user, channel=case.channel, member_of=case.member_of)
    if isinstance(found, explain.Unclear):
        return (("command", found.why),)
    decided = explain.verdict(found)
    return tuple((key, f"expects {what}; the decision is {decided}") for key, what in _missed(case, found.decision))


def _unknown(whole: Policy, case: Case) -> Iterator[FailedCase]:
    channels = [
        *(channel for project in whole.projects.values() for channel in project.channels),
        *(channel for rule in whole.rules for channel in rule.channels),
    ]
    if case.channel not in channels:
        yield "channel", f'"{case.channel}" is not a channel of this file{file_keys.near(case.channel, channels)}'
    groups = rights.groups_named(whole)
    for group in case.member_of:
        if group not in groups:
            yield "member_of", f'"{group}" is not in any set or rule{file_keys.near(group, sorted(groups))}'
    names = [rule.name for rule in whole.rules]
    if case.rule is not None and case.rule not in names:
        yield "rule", f'"{case.rule}" is not a rule of this file{file_keys.near(case.rule, names)}'


def _missed(case: Case, decision: Decision | break_glass.AllowEmergency) -> Iterable[FailedCase]:
    no = isinstance(decision, model.Refuse)
    if no is not (case.expect == "deny"):
        return (("expect", f'"{case.expect}"'),)
    asked = decision.approvals if isinstance(decision, model.NeedApproval) else 0
    rule = decision.rule if isinstance(decision, model.Refuse) else decision.rule.name
    missed: list[FailedCase] = []
    if case.approvals not in (None, asked):
        missed.append(("approvals", f"{case.approvals} {'approval' if case.approvals == 1 else 'approvals'}"))
    if case.rule not in (None, rule):
        missed.append(("rule", f'rule "{case.rule}" to decide'))
    return missed
