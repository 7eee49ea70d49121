"""What a person may do in a place, rule by rule and for any flow: to be shown, never to decide.

Pure. Whether a rule applies is asked of `evaluation.decide`, with a policy of that rule alone.
"""

import dataclasses
from collections.abc import Iterable
from typing import Final

from bot.commands.verbs import CHANGES, READ, VERBS, Audience, Verb, right_of
from bot.policy import break_glass, evaluation, model
from bot.policy.model import Effect, Groups, Kind, Person, Policy, Rule, Why

VERB_OF: Final = {**{right_of(verb): verb for verb in CHANGES}, READ: Verb.STATUS}
"""One verb for each value that `verbs` of a rule may hold."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A project, the channel where the card of a request would appear, and the channel where the person types."""

    project: str
    card_channel: str
    channel: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Right:
    """What one rule says to a person about one verb. Empty `flows` mean all; not `sure` if a group is unknown."""

    verb: str
    rule: str
    effect: Effect
    flows: tuple[str, ...] = ()
    approvals: int = 0
    approvers: tuple[str, ...] = ()
    sure: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Belonging:
    """The sets and user groups of the policy that a person is in; `unknown` groups could not be asked about."""

    sets: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def groups_named(policy: Policy) -> frozenset[str]:
    """Return every user group in the policy."""
    return frozenset(filter(model.is_group, _named(policy)))


def users_named(policy: Policy) -> frozenset[str]:
    """Return every user id in the policy."""
    return frozenset(_named(policy)) - groups_named(policy) - {model.EVERYBODY}


def _named(policy: Policy) -> tuple[str, ...]:
    ruled = [entry for rule in policy.rules for entry in (*rule.who, *rule.excluded, *rule.approvers, *rule.emergency)]
    return model.expand(policy, (*policy.people, *ruled))


def groups_deciding(policy: Policy, *words: str) -> frozenset[str]:
    """Return the user groups that rules with these verbs depend on; for reading, only denies count."""
    about = [
        entry
        for rule in policy.rules
        for word in words
        if word in rule.verbs and (word != READ or rule.effect is Effect.DENY)
        for entry in (*rule.who, *rule.excluded, *rule.emergency)
    ]
    return frozenset(filter(model.is_group, model.expand(policy, about)))


def belonging(policy: Policy, person: str, groups: Groups) -> Belonging:
    """Return which sets and groups of the policy a person (Actor.id) is in."""
    found = {group: evaluation.among((group,), person, groups) for group in sorted(groups_named(policy))}
    return Belonging(
        sets=tuple(name for name, idents in policy.people.items() if evaluation.among(idents, person, groups)),
        groups=tuple(group for group, within in found.items() if within),
        unknown=tuple(group for group, within in found.items() if within is None),
    )


def rights(policy: Policy, person: Person, place: Place, groups: Groups) -> tuple[Right, ...]:
    """Return what the rules say to a full member there, in the order of the file; nothing for anybody else."""
    if person.kind is not Kind.MEMBER:
        return ()
    found = ((word, rule) for rule in policy.rules for word in rule.verbs if word in VERB_OF)
    about = ((word, rule, _touches(policy, rule, word, person, place, groups)) for word, rule in found)
    return tuple(_right(word, rule, touches) for word, rule, touches in about if touches is not False)


def emergencies(policy: Policy, person: Person, place: Place, groups: Groups) -> tuple[Right, ...]:
    """Return the rules whose approvals a person may skip there, for any flow, in the order of the file."""
    if person.kind is not Kind.MEMBER:
        return ()
    found = [(word, rule) for rule in policy.rules for word in rule.verbs if word in VERB_OF and word != READ]
    holds = [(word, rule, _holds(policy, rule, word, person, place, groups)) for word, rule in found]
    return tuple(_right(word, rule, holds) for word, rule, holds in holds if holds is not False)


def usable(policy: Policy, person: Person, places: Iterable[Place], groups: Groups) -> frozenset[Verb]:
    """Return the verbs that a person may use in one of the places, perhaps for some flows only.

    If a group is unknown, the verbs that it may allow are included.
    """
    may = {
        word
        for place in places
        for word in _allowed((*rights(policy, person, place, groups), *emergencies(policy, person, place, groups)))
    }
    if person.kind is not Kind.MEMBER:
        may = set()
    by_who = {Audience.READS: READ in may, Audience.ANYONE: True}
    return frozenset(verb for verb, entry in VERBS.items() if by_who.get(entry.who, verb.value in may))


def _allowed(found: tuple[Right, ...]) -> set[str]:
    closed = {right.verb for right in found if right.effect is Effect.DENY and right.sure and _is_for_all(right)}
    opened = {right.verb for right in found if right.effect is Effect.ALLOW}
    return (opened | {READ}) - closed


def _is_for_all(right: Right) -> bool:
    return not right.flows or "*" in right.flows


def _right(word: str, rule: Rule, touches: bool | None) -> Right:
    return Right(
        verb=word,
        rule=rule.name,
        effect=rule.effect,
        flows=rule.flows,
        approvals=rule.approvals,
        approvers=rule.approvers,
        sure=touches is True,
    )


def _touches(policy: Policy, rule: Rule, word: str, person: Person, place: Place, groups: Groups) -> bool | None:
    """Return whether a rule applies to a person and a verb; None if that depends on an unknown group."""
    if word == READ and rule.effect is Effect.ALLOW:
        return False  # reading needs no allow
    alone = _alone(policy, dataclasses.replace(rule, approvals=0))
    decision = evaluation.decide(alone, _question(word, person, place), groups)
    if not isinstance(decision, model.Refuse):
        return rule.effect is Effect.ALLOW
    if decision.why is Why.UNREACHABLE:
        return None
    return decision.why is Why.DENY_RULE


def _holds(policy: Policy, rule: Rule, word: str, person: Person, place: Place, groups: Groups) -> bool | None:
    """Return whether a rule lets a person skip its approvals; None if that depends on an unknown group."""
    if rule.effect is Effect.DENY:
        return False
    decision = break_glass.decide(_alone(policy, rule), _question(word, person, place), groups)
    if not isinstance(decision, model.Refuse):
        return True
    return None if decision.why is Why.UNREACHABLE else False


def _alone(policy: Policy, rule: Rule) -> Policy:
    return dataclasses.replace(policy, rules=(dataclasses.replace(rule, flows=()),))


def _question(word: str, person: Person, place: Place) -> model.Question:
    channel = place.channel if word == READ else place.card_channel
    return model.Question(
        person=person, verb=VERB_OF[word], project=place.project, flow_id="", flow_name="", channel=channel
    )
