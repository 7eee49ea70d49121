"""What a request keeps of the rule that was decided on."""

import dataclasses

import pytest

from bot import passing_over, policy, terms
from bot.arrivals import Actor
from tests.test_policy import ALICE, ALONE, CAROL, DAVE, STOP_BY_ONCALL, rules

ASKER = Actor(team="T0", user=ALICE)
RULE = dataclasses.replace(STOP_BY_ONCALL, text="the rule", emergency=("oncall",))
ALLOW = policy.Allow(rule=dataclasses.replace(ALONE, notify=(DAVE,)), reason_required=False, expires=60.0)
NEEDS = policy.NeedApproval(
    rule=RULE, approvals=1, approvers=frozenset({CAROL, DAVE}), reason_required=True, expires=60.0
)
URGENT = passing_over.Emergency(rule=RULE, members=("oncall",), passed_over=("leads",), limit=3, expires=60.0)


@pytest.mark.parametrize(
    ("choice", "approvals", "approvers", "mentions"),
    [
        (ALLOW, 0, (), (DAVE,)),
        (NEEDS, 1, ("leads",), (CAROL, DAVE)),
        (URGENT, 0, ("leads",), ()),  # whoever judges it now is added then
    ],
)
def test_a_request_keeps_what_the_rule_asks_for(
    choice: policy.Allow | policy.NeedApproval | passing_over.Emergency,
    approvals: int,
    approvers: tuple[str, ...],
    mentions: tuple[str, ...],
) -> None:
    kept = terms.of(rules(RULE), choice)

    assert (kept.approvals, kept.approvers, kept.mentions) == (approvals, approvers, mentions)
    assert (kept.rule, kept.rule_text, kept.policy_hash) == (choice.rule.name, choice.rule.text, "d")
