"""The types of the policy: rules, questions, known facts, and decisions with their reasons.

Pure. `evaluation` decides questions, `voting` votes and `break_glass` emergencies. It must not know where rules come
from, nor the wording of a decision.
"""

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from bot.commands.deliveries import Actor
from bot.commands.verbs import Door, Verb

EVERYBODY: Final = "*"  # every full member, in `who` and `except`
MENTIONS_AT_MOST: Final = 10

EMERGENCIES: Final = 3
"""The default of `emergency_limit`: emergencies that one person may run in 24 hours without a second person."""


class Kind(enum.StrEnum):
    """What kind of account a person has, according to Slack."""

    MEMBER = "member"
    GUEST = "guest"
    STRANGER = "stranger"
    BOT = "bot"
    DEACTIVATED = "deactivated"
    UNREACHABLE = "unreachable"  # Slack could not be asked


@dataclasses.dataclass(frozen=True, kw_only=True)
class Person:
    """A person who types a command or clicks, as Slack describes them."""

    actor: Actor
    kind: Kind


Groups: TypeAlias = Mapping[str, frozenset[str] | None]
"""The people behind ids: the members (user ids) of a user group, or the one person (Actor.id) behind a user id.

None if Slack could not be asked. A group without an entry is unknown; a user id without an entry stands for itself.
"""


class Effect(enum.StrEnum):
    """The effect of a rule that matches."""

    ALLOW = "allow"
    DENY = "deny"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Project:
    """One cloud project. `endpoint` is the base URL of its API, without a final slash; `channels[0]` is its home."""

    name: str
    project_id: str
    region: str
    endpoint: str
    channels: tuple[str, ...]
    allow_shared: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Freeze:
    """A period, from `since` until before `until`, in which a rule requires at least `approvals`, or denies."""

    since: float
    until: float
    approvals: int = 0
    deny: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of the file.

    `verbs` are values of `verbs.RIGHTS`. `who`, `excluded` (the file's `except`), `approvers`, `notify` and `emergency`
    hold names of sets, user ids (U…, W…) and group ids (S…); the first two may hold "*". Empty `projects`, `flows` and
    `channels` mean all; `protected` has globs. `expires` is in seconds; `emergency_limit` is for one person in 24
    hours; `text` is the rule as it stands in the file. `freezing` sets `frozen_until`. With `door`, confirmations and
    approvals count from there only.
    """

    name: str
    effect: Effect = Effect.ALLOW
    verbs: tuple[str, ...] = ()
    who: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    approvals: int = 0
    approvers: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    reason_required: bool = False
    expires: float = 1800.0
    emergency: tuple[str, ...] = ()
    emergency_limit: int = EMERGENCIES
    door: Door | None = None
    freezes: tuple[Freeze, ...] = ()
    frozen_until: float | None = None
    text: str = ""


# The implicit rule for reading, which only a deny can forbid.
READING: Final = Rule(name="reading is open to full members", verbs=("read",), who=(EVERYBODY,))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    """The whole file: projects and sets by name, rules in their order. `digest` is the file's sha256, in hex.

    `operators` maps logins of the host to user ids.
    """

    projects: Mapping[str, Project]
    people: Mapping[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    digest: str
    operators: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """What a person wants to do: a verb on a flow; `channel` is where the card is or would be.

    `flow_name` is None if the flow could not be read.
    """

    verb: Verb
    project: str
    flow_id: str
    flow_name: str | None
    channel: str

    def asked_by(self, person: Person) -> "Question":
        """Return the question whether a person may do this."""
        return Question(
            person=person,
            verb=self.verb,
            project=self.project,
            flow_id=self.flow_id,
            flow_name=self.flow_name,
            channel=self.channel,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question(Subject):
    """The question whether a person may do something."""

    person: Person


class Why(enum.StrEnum):
    """Why a decision is a refusal."""

    OUTSIDER = "outsider"  # not a full member (kind says which)
    UNREACHABLE = "unreachable"  # Slack could not be asked about the person or about a group that matters
    NO_RULE = "no_rule"  # no rule allows it
    NO_EMERGENCY = "no_emergency"  # no rule lets them skip its approvals, or a stricter `rule` does not
    DENY_RULE = "deny_rule"  # a deny rule matches
    PAUSED = "paused"  # all changing verbs are paused
    UNSATISFIABLE = "unsatisfiable"  # the rule requires more approvers than there are
    OWN_REQUEST = "own_request"  # requesters cannot approve their own requests
    NOT_APPROVER = "not_approver"
    NOT_REQUESTER = "not_requester"
    ALREADY_VOTED = "already_voted"
    OTHER_DOOR = "other_door"  # the rule lets confirmations and approvals come from the host only
    NOT_OPERATOR = "not_operator"  # their login on the host is not theirs in [operators]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refuse:
    """A no, with the rule behind it and who could do it instead.

    `who_could` holds entries as in the rules: names of sets, user ids, group ids, "*". `groups` could not be asked
    about. UNSATISFIABLE: `approvals` are required, but there are only `candidates`. NO_EMERGENCY: the stricter `rule`
    requires `approvals`. PAUSED: `because` is the reason. DENY_RULE: a freeze ends at `until`. OUTSIDER: only `kind` is
    set.
    """

    why: Why
    kind: Kind = Kind.MEMBER
    rule: str | None = None
    who_could: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    approvals: int = 0
    candidates: int = 0
    because: str = ""
    until: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Allow:
    """A yes without approvals: the requester, or anybody with the same right, confirms."""

    rule: Rule
    reason_required: bool
    expires: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeedApproval:
    """A yes once `approvals` of `approvers` (Actor.id, without the requester) agree; `unknown` ids may hold more."""

    rule: Rule
    approvals: int
    approvers: frozenset[str]
    reason_required: bool
    expires: float
    unknown: tuple[str, ...] = ()


Permission: TypeAlias = Allow | NeedApproval
"""A yes, and what it requires."""

Decision: TypeAlias = Permission | Refuse


def mentions(policy: Policy, rule: Rule) -> tuple[str, ...]:
    """Return the users and groups to mention: the approvers, or the rule's `notify` if they are none or too many."""
    approvers = expand(policy, rule.approvers)
    told = approvers if 0 < len(approvers) <= MENTIONS_AT_MOST else expand(policy, rule.notify) or approvers
    return told[:MENTIONS_AT_MOST]


def is_group(ident: str) -> bool:
    """Return whether an id is that of a user group, not of a user."""
    return ident.startswith("S")


def expand(policy: Policy, entries: Iterable[str]) -> tuple[str, ...]:
    """Expand named sets into their ids, without duplicates, in order."""
    return tuple(dict.fromkeys(ident for entry in entries for ident in policy.people.get(entry, (entry,))))


def behind(idents: Iterable[str], groups: Groups) -> tuple[frozenset[str], bool]:
    """Return the people (Actor.id) behind users and groups, and whether they are completely known.

    A user id that Slack could not be asked about stands for itself.
    """
    members = [groups.get(ident) if is_group(ident) else frozenset({ident}) for ident in idents]
    users = frozenset[str]().union(*(known for known in members if known is not None))
    people = {user: groups.get(user, frozenset({user})) for user in users}
    found = frozenset[str]().union(*(frozenset({user}) if who is None else who for user, who in people.items()))
    return found, None not in members and None not in people.values()


def _names(policy: Policy, rule: Rule, ident: str) -> bool:
    named = not {EVERYBODY, ident}.isdisjoint(expand(policy, rule.who))
    return named and ident not in expand(policy, rule.excluded)
