"""Who may do what: rules, a question and the facts known about it go in, a decision with its reason comes out.

Pure. The caller brings what Slack says about people and groups, and may bring "unknown", which never lets anybody do
more than the truth would. Who may vote besides is in `voting`, and what goes without votes in `passing_over`. It must
not know where rules come from (`policy_file`), nor the words for a decision.
"""

import dataclasses
import enum
import fnmatch
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from bot.arrivals import Actor
from bot.verbs import READ, Verb, right_of

EVERYBODY: Final = "*"  # in `who` and `except`: every full member
MENTIONS_AT_MOST: Final = 10

EMERGENCIES: Final = 3
"""How many emergencies one person may let run in 24 hours without a second person, unless the file says otherwise."""


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
    """Somebody who asks or clicks, as Slack describes them."""

    actor: Actor
    kind: Kind


Groups: TypeAlias = Mapping[str, frozenset[str] | None]
"""Whom ids stand for: a user group for its members (user ids), a user id for the one person behind it (Actor.id).

None where Slack could not be asked. A group without an entry is unknown; a user id without one stands for itself.
"""


class Effect(enum.StrEnum):
    """What a rule does to those it matches."""

    ALLOW = "allow"
    DENY = "deny"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Project:
    """One cloud project. `endpoint` is its API's base URL, with no slash at the end; `channels[0]` is its home."""

    name: str
    project_id: str
    region: str
    endpoint: str
    channels: tuple[str, ...]
    allow_shared: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Freeze:
    """A time in which a rule asks for at least `approvals`, or denies: from `since` until before `until`."""

    since: float
    until: float
    approvals: int = 0
    deny: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of the file.

    `verbs` are some of `verbs.RIGHTS`. `who`, `excluded` (the file's `except`), `approvers`, `notify` and `emergency`
    hold names of sets, user ids (U…, W…) and group ids (S…); the first two may hold "*". Empty `projects`, `flows` and
    `channels` mean all; `protected` has globs. `expires` is in seconds; `emergency_limit` is for one person in 24
    hours; `text` is the rule as it stands in the file. `freezing` sets `frozen_until`.
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
    freezes: tuple[Freeze, ...] = ()
    frozen_until: float | None = None
    text: str = ""


# Stands for the rule that nobody needs to write: only a deny closes reading.
READING: Final = Rule(name="reading is open to full members", verbs=("read",), who=(EVERYBODY,))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    """The whole file: projects and sets by name, rules in their order. `digest` is the file's sha256, in hex."""

    projects: Mapping[str, Project]
    people: Mapping[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    digest: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """What somebody wants to do; `channel` is where the card stands (or would stand).

    `flow_name` is None where the flow could not be read.
    """

    person: Person
    verb: Verb
    project: str
    flow_id: str
    flow_name: str | None
    channel: str


class Why(enum.StrEnum):
    """Why a decision is a no."""

    OUTSIDER = "outsider"  # not a full member (kind says which)
    UNREACHABLE = "unreachable"  # Slack could not be asked who they are, or who is in a group that matters
    NO_RULE = "no_rule"  # default deny
    NO_EMERGENCY = "no_emergency"  # no rule that fits lets them pass over its approvals, or a stricter `rule` does not
    DENY_RULE = "deny_rule"  # a deny rule matches
    PAUSED = "paused"  # somebody has paused every changing verb
    UNSATISFIABLE = "unsatisfiable"  # the rule asks for more approvers than there are
    OWN_REQUEST = "own_request"  # the requester never counts
    NOT_APPROVER = "not_approver"
    NOT_REQUESTER = "not_requester"
    ALREADY_VOTED = "already_voted"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refuse:
    """A no, with the rule behind it and who could do it instead.

    `who_could` holds entries as rules have them: names of sets, user ids, group ids, "*". `groups` could not be asked
    about. For UNSATISFIABLE, `approvals` are needed and `candidates` are there; for NO_EMERGENCY, the stricter `rule`
    asks for `approvals`. For PAUSED, `because` is why. A DENY_RULE that is a freeze ends at `until`. An outsider's
    carries the kind alone.
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
    """A yes that needs nobody else: the requester, or anybody with the same right, confirms."""

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


Decision: TypeAlias = Allow | NeedApproval | Refuse


def decide(policy: Policy, question: Question, groups: Groups) -> Decision:
    """Answer by the rules: default deny, a deny always wins, then the allow that asks for the most approvals."""
    if outsider := refuse_outsider(question.person):
        return outsider
    if denied := refuse_denied(policy, question, groups):
        return denied
    sure, possible = _matching(policy, question, groups, Effect.ALLOW)
    if right_of(question.verb) == READ:
        return Allow(rule=READING, reason_required=False, expires=READING.expires)
    if not possible:
        return _no(policy, question, Why.NO_RULE, None)
    strictest = max(possible, key=lambda rule: rule.approvals)
    if not sure or (strictest not in sure and strictest.approvals > 0):
        # Not matching must not mean fewer approvals: a rule that may hold and would ask for them cannot be passed over.
        unasked = unasked_in(policy, (*strictest.who, *strictest.excluded), groups)
        return _no(policy, question, Why.UNREACHABLE, strictest, unasked)
    reason_required = any(rule.reason_required for rule in possible)
    expires = min(rule.expires for rule in possible)
    allow = Allow(rule=max(sure, key=lambda rule: rule.approvals), reason_required=reason_required, expires=expires)
    return _with_approvers(policy, question, groups, allow) if allow.rule.approvals > 0 else allow


def refuse_denied(policy: Policy, question: Question, groups: Groups) -> Refuse | None:
    """Say which deny matches, or may match; None where none does."""
    sure, possible = _matching(policy, question, groups, Effect.DENY)
    deny = next(iter((*sure, *possible)), None)
    if deny is None:
        return None
    unasked = () if deny in sure else unasked_in(policy, (*deny.who, *deny.excluded), groups)
    return _no(policy, question, Why.UNREACHABLE if unasked else Why.DENY_RULE, deny, unasked)


def groups_needed(policy: Policy, question: Question) -> frozenset[str]:
    """Name every user group whose members `decide` could want to know for this question."""
    if question.person.kind is not Kind.MEMBER:
        return frozenset()
    entries = [entry for rule in fitting(policy, question) for entry in (*rule.who, *rule.excluded, *rule.approvers)]
    return frozenset(ident for ident in expand(policy, entries) if is_group(ident))


def mentions(policy: Policy, rule: Rule) -> tuple[str, ...]:
    """Name the users and groups to mention: the approvers, or where they are none or too many, the rule's `notify`."""
    approvers = expand(policy, rule.approvers)
    told = approvers if 0 < len(approvers) <= MENTIONS_AT_MOST else expand(policy, rule.notify) or approvers
    return told[:MENTIONS_AT_MOST]


def is_group(ident: str) -> bool:
    """Tell a user-group id from a user id."""
    return ident.startswith("S")


def expand(policy: Policy, entries: Iterable[str]) -> tuple[str, ...]:
    """Follow named sets to the ids in them, each id once, in order."""
    return tuple(dict.fromkeys(ident for entry in entries for ident in policy.people.get(entry, (entry,))))


def refuse_outsider(person: Person) -> Refuse | None:
    """Say why somebody may do nothing at all here, or None: they are a full member."""
    if person.kind is Kind.MEMBER:
        return None
    return Refuse(why=Why.UNREACHABLE if person.kind is Kind.UNREACHABLE else Why.OUTSIDER, kind=person.kind)


def conditions(rule: Rule, question: Question) -> Mapping[str, bool | None]:
    """Tell, by key of the file, which conditions of a rule are met, but for `who` and `except`.

    Reading needs no allow, so that the effect is a condition there. None hangs on a flow's name that is unknown.
    """
    right = right_of(question.verb)
    return {
        "verbs": right in rule.verbs,
        "effect": right != READ or rule.effect is Effect.DENY,
        "projects": not rule.projects or question.project in rule.projects,
        "channels": not rule.channels or question.channel in rule.channels,
        "flows": _is_about(rule, question),
    }


def touches(policy: Policy, rule: Rule, question: Question, groups: Groups) -> Mapping[str, bool | None]:
    """Tell whether `who` and `except` let the rule be about this full member; None hangs on an unknown group."""
    user = question.person.actor.id
    excluded = among(expand(policy, rule.excluded), user, groups)
    return {
        "who": among(expand(policy, rule.who), user, groups),
        "except": None if excluded is None else not excluded,
    }


def all_met(found: Iterable[bool | None]) -> bool | None:
    """Tell whether every condition is met; None where none fails and one is unknown."""
    met = tuple(found)
    return False if False in met else None if None in met else True


def fitting(policy: Policy, question: Question) -> list[Rule]:
    """List the rules that match in everything but `who` and `except`; a deny also where it may match."""
    met = [(rule, all_met(conditions(rule, question).values())) for rule in policy.rules]
    return [rule for rule, fits in met if fits or (fits is None and rule.effect is Effect.DENY)]


def _matching(policy: Policy, question: Question, groups: Groups, effect: Effect) -> tuple[list[Rule], list[Rule]]:
    """List the rules of an effect that match, and those that match or may."""
    fits = [rule for rule in fitting(policy, question) if rule.effect is effect]
    found = [(rule, all_met(touches(policy, rule, question, groups).values())) for rule in fits]
    return [rule for rule, touches in found if touches], [rule for rule, touches in found if touches is not False]


def _is_about(rule: Rule, question: Question) -> bool | None:
    called = [word for word in (question.flow_id, question.flow_name) if word is not None]
    if not rule.flows or any(fnmatch.fnmatchcase(word, glob) for glob in rule.flows for word in called):
        return True
    return None if question.flow_name is None else False


def among(idents: Iterable[str], person: str, groups: Groups) -> bool | None:
    """Tell whether somebody (Actor.id) is among users and groups; None where that hangs on what is unknown."""
    whole = tuple(idents)
    people, sure = behind(whole, groups)
    if EVERYBODY in whole or person in people:
        return True
    return False if sure else None


def behind(idents: Iterable[str], groups: Groups) -> tuple[frozenset[str], bool]:
    """Return the people (Actor.id) behind users and groups, and whether they are known to be these and no others.

    A user id that Slack could not be asked about is taken as it stands.
    """
    members = [groups.get(ident) if is_group(ident) else frozenset({ident}) for ident in idents]
    users = frozenset[str]().union(*(known for known in members if known is not None))
    people = {user: groups.get(user, frozenset({user})) for user in users}
    found = frozenset[str]().union(*(frozenset({user}) if who is None else who for user, who in people.items()))
    return found, None not in members and None not in people.values()


def _with_approvers(policy: Policy, question: Question, groups: Groups, allow: Allow) -> Decision:
    rule = allow.rule
    people = behind(expand(policy, rule.approvers), groups)[0] - {question.person.actor.id}
    unasked = unasked_in(policy, rule.approvers, groups)
    if len(people) < rule.approvals:
        no = _no(policy, question, Why.UNREACHABLE if unasked else Why.UNSATISFIABLE, rule, unasked)
        return dataclasses.replace(no, approvals=rule.approvals, candidates=len(people))
    reason, expires = allow.reason_required, allow.expires
    return NeedApproval(
        rule=rule, approvals=rule.approvals, approvers=people, reason_required=reason, expires=expires, unknown=unasked
    )


def unasked_in(policy: Policy, entries: Iterable[str], groups: Groups) -> tuple[str, ...]:
    """Name the users and groups among the entries that could not be asked about, or not about every member."""
    return tuple(ident for ident in expand(policy, entries) if not behind((ident,), groups)[1])


def _no(policy: Policy, question: Question, why: Why, rule: Rule | None, groups: tuple[str, ...] = ()) -> Refuse:
    could = who_could(policy, question)
    until = rule.frozen_until if rule and why is Why.DENY_RULE else None
    return Refuse(why=why, rule=rule.name if rule else None, who_could=could, groups=groups, until=until)


def who_could(policy: Policy, question: Question, *, alone: bool = False) -> tuple[str, ...]:
    """List whom the allow rules name, without those whom `except` or a deny takes out by name; groups stay closed."""
    rules = fitting(policy, question)
    denies = [rule for rule in rules if rule.effect is Effect.DENY]
    spared = expand(policy, [entry for rule in denies for entry in rule.excluded])
    could: list[str] = []
    for rule in rules:
        if rule.effect is Effect.DENY or (alone and rule.approvals > 0):
            continue
        out = {question.person.actor.user, question.person.actor.id, *expand(policy, rule.excluded)}
        for entry in rule.who:
            idents = (EVERYBODY, *spared) if entry == EVERYBODY else expand(policy, [entry])
            left = [x for x in idents if x not in out and not any(_names(policy, deny, x) for deny in denies)]
            could += [entry] if entry in left or (left and len(left) == len(idents)) else left
    return tuple(dict.fromkeys(could))


def _names(policy: Policy, rule: Rule, ident: str) -> bool:
    named = not {EVERYBODY, ident}.isdisjoint(expand(policy, rule.who))
    return named and ident not in expand(policy, rule.excluded)
