"""What a request keeps of the deciding rule."""

import dataclasses

import pytest

from bot.commands.deliveries import Actor
from bot.policy import break_glass, model, terms
from tests.policy.test_model import ALICE, ALONE, CAROL, DAVE, STOP_BY_ONCALL, rules

ASKER = Actor(team="T0", user=ALICE)
RULE = dataclasses.replace(STOP_BY_ONCALL, text="the rule", emergency=("oncall",))
ALLOW = model.Allow(rule=dataclasses.replace(ALONE, notify=(DAVE,)), reason_required=False, expires=60.0)
NEEDS = model.NeedApproval(
    rule=RULE, approvals=1, approvers=frozenset({CAROL, DAVE}), reason_required=True, expires=60.0
)
URGENT = break_glass.AllowEmergency(rule=RULE, members=("oncall",), passed_over=("leads",), limit=3, expires=60.0)


@pytest.mark.parametrize(
    ("choice", "approvals", "approvers", "mentions"),
    [
        (ALLOW, 0, (), (DAVE,)),
        (NEEDS, 1, ("leads",), (CAROL, DAVE)),
        (URGENT, 0, ("leads",), ()),  # whoever judges it now is added then
    ],
)
def test_a_request_keeps_what_the_rule_asks_for(
    choice: model.Allow | model.NeedApproval | break_glass.AllowEmergency,
    approvals: int,
    approvers: tuple[str, ...],
    mentions: tuple[str, ...],
) -> None:
    kept = terms.of(rules(RULE), choice)

    assert (kept.approvals, kept.approvers, kept.mentions) == (approvals, approvers, mentions)
    assert (kept.rule, kept.rule_text, kept.policy_hash) == (choice.rule.name, choice.rule.text, "d")
