"""What may go without the approvals that a rule asks for: who may use `--emergency`, and who judges it.

Pure, as `policy` is: a deny wins here as it does there, and what is unknown gives nothing. Two presses and the limit of
a day are counted elsewhere.
"""

import dataclasses
from collections.abc import Iterable
from typing import Final

from bot.lifecycle import records
from bot.policy import evaluation, model
from bot.policy.model import Effect, Groups, Policy, Question, Refuse, Rule, Why

DAY: Final = 86_400.0
"""Seconds in which `emergency_limit` counts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AllowEmergency:
    """A yes that passes over the approvals of `rule`, the one that asks for the most of them; a reason is required.

    `members` may use it, `passed_over` would have been asked: entries as the rules name them. More than `limit` in 24
    hours need a second of the members.
    """

    rule: Rule
    members: tuple[str, ...]
    passed_over: tuple[str, ...]
    limit: int
    expires: float


def decide(in_force: Policy, question: Question, groups: Groups) -> AllowEmergency | Refuse:
    """Say whether somebody may go without approvals, and over whom that passes."""
    if no := evaluation.refuse_outsider(question.person) or evaluation.refuse_denied(in_force, question, groups):
        return no
    found = [(rule, holds(in_force, rule, question, groups)) for rule in _open(in_force, question)]
    sure = [rule for rule, holds in found if holds]
    if (strict := stricter(in_force, question, groups)) is not None:
        return _refuse_by(in_force, strict, question, groups)
    if sure:
        return AllowEmergency(
            rule=max(sure, key=lambda rule: rule.approvals),
            members=_once(entry for rule in sure for entry in rule.emergency),
            passed_over=_once(entry for rule in sure for entry in rule.approvers),
            limit=min(rule.emergency_limit for rule in sure),
            expires=min(rule.expires for rule in sure),
        )
    could = _once(entry for rule, _ in found for entry in rule.emergency)
    unsure = next((rule for rule, holds in found if holds is None), None)
    if unsure is None:
        return Refuse(why=Why.NO_EMERGENCY, who_could=could)
    unasked = evaluation.unasked_in(in_force, unsure.emergency, groups)
    return Refuse(why=Why.UNREACHABLE, rule=unsure.name, who_could=could, groups=unasked)


def holds(in_force: Policy, rule: Rule, question: Question, groups: Groups) -> bool | None:
    """Tell whether a rule's `emergency` has somebody; None where that hangs on a group that is unknown."""
    return evaluation.among(model.expand(in_force, rule.emergency), question.person.actor.id, groups)


def groups_needed(in_force: Policy, question: Question) -> frozenset[str]:
    """Name every user group whose members `decide` could want to know for this question."""
    rules = evaluation.fitting(in_force, question)
    entries = [entry for rule in rules for entry in (*rule.who, *rule.excluded)]
    entries += [entry for rule in rules if rule.effect is Effect.ALLOW for entry in rule.emergency]
    return frozenset(filter(model.is_group, model.expand(in_force, entries)))


def judges(in_force: Policy, seen: records.Request, question: Question, groups: Groups) -> tuple[str, ...]:
    """Name who may deny an emergency and review it: those passed over by the rules in force.

    Where nobody of them is left besides whoever pressed it is the other members, else whoever may approve or use an
    emergency in the project. What the request kept counts where its rule is gone. `question` is its requester's; a
    group that is unknown counts as having others.
    """
    pressed = {seen.requester.id, *(vote.actor.id for vote in seen.votes)}
    ranked = _may_be_judges(in_force, seen, question, groups)
    found = next((entries for entries in ranked if _has_others(in_force, entries, pressed, groups)), ())
    users = {entry for entry in found if entry not in in_force.people and not model.is_group(entry)}
    return tuple(entry for entry in found if entry not in users or not model.behind((entry,), groups)[0] <= pressed)


def groups_judging(in_force: Policy, seen: records.Request, question: Question) -> frozenset[str]:
    """Name the user groups whose members `judges` wants to know first; it may name others, to be asked about then."""
    kept = () if seen.emergency is None else (*seen.emergency.passed_over, *seen.emergency.members)
    rules = [*_open(in_force, question), *_own(in_force, seen)]
    entries = [*kept, *(entry for rule in rules for entry in (*rule.approvers, *rule.emergency))]
    return frozenset(filter(model.is_group, model.expand(in_force, entries)))


def judged(in_force: Policy, seen: records.Request, entries: tuple[str, ...]) -> records.Request:
    """Return the request with those who may judge it now, and with whom of them to mention; it is no new version."""
    notify = next((rule.notify for rule in _own(in_force, seen)), ())
    told = model.mentions(in_force, Rule(name=seen.terms.rule, approvers=entries, notify=notify))
    others = tuple(ident for ident in told if ident not in (seen.requester.user, seen.requester.id))
    return dataclasses.replace(
        seen,
        emergency=seen.emergency and dataclasses.replace(seen.emergency, judges=entries),
        terms=dataclasses.replace(seen.terms, mentions=others),
    )


def may_judge(
    in_force: Policy, seen: records.Request, question: Question, groups: Groups, *, person: model.Person
) -> Refuse | None:
    """Say why somebody may not deny or review an emergency, or None where they may; whoever pressed may not.

    `question` is its requester's.
    """
    if outsider := evaluation.refuse_outsider(person):
        return outsider
    user, entries = person.actor.id, judges(in_force, seen, question, groups)
    refused = Refuse(why=Why.NOT_APPROVER, rule=seen.terms.rule, who_could=entries)
    if user == seen.requester.id:
        return dataclasses.replace(refused, why=Why.OWN_REQUEST)
    if any(vote.actor.id == user for vote in seen.votes):
        return dataclasses.replace(refused, why=Why.ALREADY_VOTED)
    if evaluation.among(model.expand(in_force, entries), user, groups):
        return None
    unasked = evaluation.unasked_in(in_force, entries, groups)
    return dataclasses.replace(refused, why=Why.UNREACHABLE, groups=unasked) if unasked else refused


def _may_be_judges(
    in_force: Policy, seen: records.Request, question: Question, groups: Groups
) -> tuple[tuple[str, ...], ...]:
    """List who may judge, those first that are asked first."""
    if seen.emergency is None:
        return ()
    own = _own(in_force, seen)
    others = [rule for rule in _open(in_force, question) if rule not in own and holds(in_force, rule, question, groups)]
    passed_over = [] if own else [*seen.emergency.passed_over]
    members = [] if own else [*seen.emergency.members]
    for rule in (*own, *others):
        passed_over += rule.approvers
        members += rule.emergency
    allows = [rule for rule in in_force.rules if rule.effect is Effect.ALLOW]
    of_project = [rule for rule in allows if not rule.projects or seen.project in rule.projects]
    anybody = _once(entry for rule in of_project for entry in (*rule.approvers, *rule.emergency))
    return _once(passed_over), _once(members), anybody


def _own(in_force: Policy, seen: records.Request) -> list[Rule]:
    """Return the rule under which an emergency was asked for, as it is in force now, if it still is one that allows."""
    return [rule for rule in in_force.rules if rule.name == seen.terms.rule and rule.effect is Effect.ALLOW]


def _has_others(in_force: Policy, entries: tuple[str, ...], pressed: set[str], groups: Groups) -> bool:
    """Tell whether there is anybody among them besides whoever pressed; somebody may be in a group that is unknown."""
    people, sure = model.behind(model.expand(in_force, entries), groups)
    return bool(people - pressed) or not sure


def stricter(in_force: Policy, question: Question, groups: Groups) -> Rule | None:
    """Return the rule that keeps somebody from an emergency which another lets them use, or None.

    It applies to them, asks for more approvals than the others and lets them pass over none; first one that surely
    applies, else one that may.
    """
    allows = [rule for rule in evaluation.fitting(in_force, question) if rule.effect is Effect.ALLOW]
    sure = [rule for rule in allows if holds(in_force, rule, question, groups)]
    most = max((rule.approvals for rule in sure), default=None)
    more = [] if most is None else [rule for rule in allows if rule.approvals > most]
    found = [(rule, applies(in_force, rule, question, groups)) for rule in more]
    touching = sorted((one for one in found if one[1] is not False), key=lambda one: one[1] is None)
    return touching[0][0] if touching else None


def applies(in_force: Policy, rule: Rule, question: Question, groups: Groups) -> bool | None:
    """Tell whether a rule that fits is about somebody; None where that hangs on a group that is unknown."""
    return evaluation.all_met(evaluation.touches(in_force, rule, question, groups).values())


def _refuse_by(in_force: Policy, strict: Rule, question: Question, groups: Groups) -> Refuse:
    if applies(in_force, strict, question, groups):
        no = Refuse(why=Why.NO_EMERGENCY, rule=strict.name, who_could=strict.emergency)
    else:
        unasked = evaluation.unasked_in(in_force, (*strict.who, *strict.excluded), groups)
        no = Refuse(why=Why.UNREACHABLE, rule=strict.name, who_could=strict.emergency, groups=unasked)
    return dataclasses.replace(no, approvals=strict.approvals)


def _open(in_force: Policy, question: Question) -> list[Rule]:
    """List the rules that fit and let anybody at all use an emergency."""
    return [rule for rule in evaluation.fitting(in_force, question) if rule.effect is Effect.ALLOW and rule.emergency]


def _once(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entries))
