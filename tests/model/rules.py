"""The policies of the model: each as a file for the bot, and as plain sets of who may stop and who approves.

The duplication is intended: the model must not ask the bot's own gate.
"""

import dataclasses
from typing import Final

from tests.fakes import POLICY

ON_CALL: Final = frozenset({"U0ALICE", "U0BOB", "U0ERIN"})
LEADS: Final = frozenset({"U0CAROL", "U0DAVE"})
ALL: Final = ON_CALL | LEADS

_HEAD: Final = POLICY.partition("[people]")[0] + (
    '[people]\nmedia-oncall = ["U0ALICE", "U0BOB", "U0ERIN"]\nmedia-leads = ["U0CAROL", "U0DAVE"]\n\n'
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Needs:
    """What a stop requires; `approvers` is empty if the requester confirms alone."""

    approvals: int
    approvers: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """A policy file, and what it means: for each possible requester, and for those who may use `--emergency`."""

    text: str
    needs: dict[str, Needs]
    emergency: frozenset[str] = frozenset()


LIMIT: Final = 2
"""Emergencies that one person may run in 24 hours without a second person."""


def _rule(name: str, who: str, approvals: int, approvers: str = "", more: str = "") -> str:
    asks = f"approvers = {approvers}\n" if approvers else ""
    return f'[[rules]]\nname = "{name}"\nverbs = ["stop"]\nwho = {who}\napprovals = {approvals}\n{asks}{more}\n'


def _each(users: frozenset[str], needs: Needs) -> dict[str, Needs]:
    return dict.fromkeys(users, needs)


_LEAD: Final = Needs(approvals=1, approvers=LEADS)
_ALONE: Final = Needs(approvals=0)

_EMERGENCY: Final = f'emergency = ["media-oncall"]\nemergency_limit = {LIMIT}\n'

POLICIES: Final = {
    "usual": Rules(
        text=_HEAD
        + _rule("a lead approves", '["media-oncall"]', 1, '["media-leads"]', more=_EMERGENCY)
        + _rule("leads alone", '["media-leads"]', 0),
        needs=_each(ON_CALL, _LEAD) | _each(LEADS, _ALONE),
        emergency=ON_CALL,
    ),
    "strict": Rules(
        text=_HEAD + _rule("two approve", '["media-oncall", "media-leads"]', 2, '["media-leads", "U0BOB"]'),
        needs=_each(ALL, Needs(approvals=2, approvers=LEADS | {"U0BOB"})),
    ),
    "each other": Rules(
        text=_HEAD + _rule("one of us", '["media-oncall", "media-leads"]', 1, '["media-oncall", "media-leads"]'),
        needs=_each(ALL, Needs(approvals=1, approvers=ALL)),
    ),
    "alone": Rules(
        text=_HEAD + _rule("all alone", '["media-oncall", "media-leads"]', 0, more='expires = "2m"\n'),
        needs=_each(ALL, _ALONE),
    ),
    "closed": Rules(
        text=_HEAD + '[[rules]]\nname = "nobody"\neffect = "deny"\nverbs = ["stop"]\nwho = ["*"]\n',
        needs={},
    ),
}
