"""What may go without the approvals that a rule asks for: who may use `--emergency`, and who judges it.

Pure, as `policy` is: a deny wins here as it does there, and what is unknown gives nothing. Two presses and the limit of
a day are counted elsewhere.
"""

import dataclasses
from collections.abc import Iterable
from typing import Final, TypeAlias

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


AnyPermission: TypeAlias = model.Permission | AllowEmergency
"""A permission, with or without approvals."""


def decide(policy: Policy, question: Question, groups: Groups) -> AllowEmergency | Refuse:
    """Say whether somebody may go without approvals, and over whom that passes."""
    if no := evaluation.refuse_outsider(question.person) or evaluation.refuse_denied(policy, question, groups):
        return no
    found = [(rule, holds(policy, rule, question, groups)) for rule in _open(policy, question)]
    sure = [rule for rule, holds in found if holds]
    if (strict := stricter(policy, question, groups)) is not None:
        return _refuse_by(policy, strict, question, groups)
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
    unasked = evaluation.unasked_in(policy, unsure.emergency, groups)
    return Refuse(why=Why.UNREACHABLE, rule=unsure.name, who_could=could, groups=unasked)


def holds(policy: Policy, rule: Rule, question: Question, groups: Groups) -> bool | None:
    """Return whether a rule's `emergency` includes a person; None if that depends on an unknown group."""
    return evaluation.among(model.expand(policy, rule.emergency), question.person.actor.id, groups)


def groups_needed(policy: Policy, question: Question) -> frozenset[str]:
    """Return every user group whose members `decide` may need for this question."""
    rules = evaluation.fitting(policy, question)
    entries = [entry for rule in rules for entry in (*rule.who, *rule.excluded)]
    entries += [entry for rule in rules if rule.effect is Effect.ALLOW for entry in rule.emergency]
    return frozenset(filter(model.is_group, model.expand(policy, entries)))


def judges(policy: Policy, request: records.Request, question: Question, groups: Groups) -> tuple[str, ...]:
    """Name who may deny an emergency and review it: those passed over by the rules in force.

    Where nobody of them is left besides whoever pressed it is the other members, else whoever may approve or use an
    emergency in the project. What the request kept counts where its rule is gone. `question` is its requester's; a
    group that is unknown counts as having others.
    """
    pressed = {request.requester.id, *(vote.actor.id for vote in request.votes)}
    ranked = _may_be_judges(policy, request, question, groups)
    found = next((entries for entries in ranked if _has_others(policy, entries, pressed, groups)), ())
    users = {entry for entry in found if entry not in policy.people and not model.is_group(entry)}
    return tuple(entry for entry in found if entry not in users or not model.behind((entry,), groups)[0] <= pressed)


def groups_judging(policy: Policy, request: records.Request, question: Question) -> frozenset[str]:
    """Name the user groups whose members `judges` wants to know first; it may name others, to be asked about then."""
    kept = () if request.emergency is None else (*request.emergency.passed_over, *request.emergency.members)
    rules = [*_open(policy, question), *_own(policy, request)]
    entries = [*kept, *(entry for rule in rules for entry in (*rule.approvers, *rule.emergency))]
    return frozenset(filter(model.is_group, model.expand(policy, entries)))


def judged(policy: Policy, request: records.Request, entries: tuple[str, ...]) -> records.Request:
    """Return the request with those who may judge it now, and with whom of them to mention; it is no new version."""
    notify = next((rule.notify for rule in _own(policy, request)), ())
    told = model.mentions(policy, Rule(name=request.terms.rule, approvers=entries, notify=notify))
    others = tuple(ident for ident in told if ident not in (request.requester.user, request.requester.id))
    return dataclasses.replace(
        request,
        emergency=request.emergency and dataclasses.replace(request.emergency, judges=entries),
        terms=dataclasses.replace(request.terms, mentions=others),
    )


def may_judge(
    policy: Policy, request: records.Request, question: Question, groups: Groups, *, person: model.Person
) -> Refuse | None:
    """Say why somebody may not deny or review an emergency, or None where they may; whoever pressed may not.

    `question` is its requester's.
    """
    if outsider := evaluation.refuse_outsider(person):
        return outsider
    user, entries = person.actor.id, judges(policy, request, question, groups)
    refused = Refuse(why=Why.NOT_APPROVER, rule=request.terms.rule, who_could=entries)
    if user == request.requester.id:
        return dataclasses.replace(refused, why=Why.OWN_REQUEST)
    if any(vote.actor.id == user for vote in request.votes):
        return dataclasses.replace(refused, why=Why.ALREADY_VOTED)
    if evaluation.among(model.expand(policy, entries), user, groups):
        return None
    unasked = evaluation.unasked_in(policy, entries, groups)
    return dataclasses.replace(refused, why=Why.UNREACHABLE, groups=unasked) if unasked else refused


def _may_be_judges(
    policy: Policy, request: records.Request, question: Question, groups: Groups
) -> tuple[tuple[str, ...], ...]:
    """List who may judge, those first that are asked first."""
    if request.emergency is None:
        return ()
    own = _own(policy, request)
    others = [rule for rule in _open(policy, question) if rule not in own and holds(policy, rule, question, groups)]
    passed_over = [] if own else [*request.emergency.passed_over]
    members = [] if own else [*request.emergency.members]
    for rule in (*own, *others):
        passed_over += rule.approvers
        members += rule.emergency
    allows = [rule for rule in policy.rules if rule.effect is Effect.ALLOW]
    of_project = [rule for rule in allows if not rule.projects or request.project in rule.projects]
    anybody = _once(entry for rule in of_project for entry in (*rule.approvers, *rule.emergency))
    return _once(passed_over), _once(members), anybody


def _own(policy: Policy, request: records.Request) -> list[Rule]:
    """Return the rule under which an emergency was asked for, as it is in force now, if it still is one that allows."""
    return [rule for rule in policy.rules if rule.name == request.terms.rule and rule.effect is Effect.ALLOW]


def _has_others(policy: Policy, entries: tuple[str, ...], pressed: set[str], groups: Groups) -> bool:
    """Tell whether there is anybody among them besides whoever pressed; somebody may be in a group that is unknown."""
    people, sure = model.behind(model.expand(policy, entries), groups)
    return bool(people - pressed) or not sure


def stricter(policy: Policy, question: Question, groups: Groups) -> Rule | None:
    """Return the rule that keeps somebody from an emergency which another lets them use, or None.

    It applies to them, asks for more approvals than the others and lets them pass over none; first one that surely
    applies, else one that may.
    """
    allows = [rule for rule in evaluation.fitting(policy, question) if rule.effect is Effect.ALLOW]
    sure = [rule for rule in allows if holds(policy, rule, question, groups)]
    most = max((rule.approvals for rule in sure), default=None)
    more = [] if most is None else [rule for rule in allows if rule.approvals > most]
    found = [(rule, applies(policy, rule, question, groups)) for rule in more]
    touching = sorted((one for one in found if one[1] is not False), key=lambda one: one[1] is None)
    return touching[0][0] if touching else None


def applies(policy: Policy, rule: Rule, question: Question, groups: Groups) -> bool | None:
    """Tell whether a rule that fits is about somebody; None where that hangs on a group that is unknown."""
    return evaluation.all_met(evaluation.touches(policy, rule, question, groups).values())


def _refuse_by(policy: Policy, strict: Rule, question: Question, groups: Groups) -> Refuse:
    if applies(policy, strict, question, groups):
        no = Refuse(why=Why.NO_EMERGENCY, rule=strict.name, who_could=strict.emergency)
    else:
        unasked = evaluation.unasked_in(policy, (*strict.who, *strict.excluded), groups)
        no = Refuse(why=Why.UNREACHABLE, rule=strict.name, who_could=strict.emergency, groups=unasked)
    return dataclasses.replace(no, approvals=strict.approvals)


def _open(policy: Policy, question: Question) -> list[Rule]:
    """List the rules that fit and let anybody at all use an emergency."""
    return [rule for rule in evaluation.fitting(policy, question) if rule.effect is Effect.ALLOW and rule.emergency]


def _once(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entries))
