"""stub: who may do what"""
import dataclasses, enum
from collections.abc import Mapping
from typing import Final
from bot.arrivals import Actor
from bot.commands import Verb
from bot import request as _r

class Kind(enum.StrEnum):
    """What Slack says somebody is."""
    MEMBER = "member"
    GUEST = "guest"
    STRANGER = "stranger"
    BOT = "bot"
    DEACTIVATED = "deactivated"
    UNREACHABLE = "unreachable"  # Slack could not be asked

@dataclasses.dataclass(frozen=True, kw_only=True)
class Person:
    actor: Actor
    kind: Kind

Groups = Mapping[str, frozenset[str] | None]
"""The members (user ids) of each user group asked about; None where Slack could not be asked."""

class Effect(enum.StrEnum):
    ALLOW = "allow"
    DENY = "deny"

@dataclasses.dataclass(frozen=True, kw_only=True)
class Project:
    """One Huawei Cloud project. `endpoint` is the base URL of its Live API, without a slash at the end; `channels[0]` is its home."""
    name: str
    project_id: str
    region: str
    endpoint: str
    channels: tuple[str, ...]

@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule. Empty `projects`, `flows`, `channels` mean all; `expires` is in seconds; `text` is the rule as it stands in the file."""
    name: str
    effect: Effect = Effect.ALLOW
    verbs: tuple[str, ...] = ()          # "stop", "start", "read"
    who: tuple[str, ...] = ()            # names of sets, user ids, group ids, or "*"
    excluded: tuple[str, ...] = ()       # the file's key is `except`
    projects: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    approvals: int = 0
    approvers: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    reason_required: bool = False
    expires: float = 1800.0
    text: str = ""

@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    projects: Mapping[str, Project]
    people: Mapping[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    digest: str   # sha256 of the file, hex

@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """What somebody wants to do, with the facts known about it; `channel` is where the card stands (or would stand)."""
    person: Person
    verb: Verb
    project: str
    flow_id: str
    flow_name: str
    channel: str

class Why(enum.StrEnum):
    """Why a decision is a no."""
    OUTSIDER = "outsider"            # not a full member (kind says which)
    UNREACHABLE = "unreachable"      # Slack could not be asked who they are, or who is in a group that matters
    NO_RULE = "no_rule"              # default deny
    DENY_RULE = "deny_rule"          # a deny rule matches
    UNSATISFIABLE = "unsatisfiable"  # the rule asks for more approvers than there are
    OWN_REQUEST = "own_request"      # the requester never counts
    NOT_APPROVER = "not_approver"
    NOT_REQUESTER = "not_requester"
    ALREADY_VOTED = "already_voted"

@dataclasses.dataclass(frozen=True, kw_only=True)
class Refuse:
    """A no, with the rule behind it and who could do it instead (entries of rules: set names, user ids, group ids)."""
    why: Why
    kind: Kind = Kind.MEMBER
    rule: str | None = None
    who_could: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()     # groups that could not be asked about
    approvals: int = 0               # for UNSATISFIABLE: how many are needed …
    candidates: int = 0              # … and how many there are

@dataclasses.dataclass(frozen=True, kw_only=True)
class Allow:
    """A yes that needs nobody else: the requester, or anybody with the same right, confirms."""
    rule: Rule
    reason_required: bool
    expires: float

@dataclasses.dataclass(frozen=True, kw_only=True)
class NeedApproval:
    """A yes once `approvals` distinct people of `approvers` other than the requester agree. `approvers` are user ids."""
    rule: Rule
    approvals: int
    approvers: frozenset[str]
    reason_required: bool
    expires: float

Decision = Allow | NeedApproval | Refuse

def groups_needed(policy: Policy, question: Question) -> frozenset[str]:
    raise NotImplementedError
def decide(policy: Policy, question: Question, groups: Groups) -> Decision:
    raise NotImplementedError
def may_approve(decision: Decision, *, requester: Actor, person: Person, votes: tuple[_r.Vote, ...]) -> Refuse | None:
    raise NotImplementedError
