"""Break-glass: who may skip approvals with `--emergency`, and who may deny and review it.

Pure. A deny wins here too, and unknown never allows more than the truth would. The two presses and the daily limit are
counted in `usecases`.
"""

import dataclasses
from collections.abc import Iterable
from typing import Final, TypeAlias

from bot.lifecycle import records
from bot.policy import evaluation, model
from bot.policy.model import Effect, Groups, Policy, Question, Refuse, Rule, Why

DAY: Final = 86_400.0
"""The period of `emergency_limit` in seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AllowEmergency:
    """A yes that skips the approvals of `rule`, the one with the most approvals; a reason is required.

    `members` may use `--emergency`, `passed_over` are the approvers who are skipped; both are entries as in the rules.
    Above `limit` in 24 hours, a second member must press too.
    """

    rule: Rule
    members: tuple[str, ...]
    passed_over: tuple[str, ...]
    limit: int
    expires: float


AnyPermission: TypeAlias = model.Permission | AllowEmergency
"""A permission, with or without approvals."""


def decide(policy: Policy, question: Question, groups: Groups) -> AllowEmergency | Refuse:
    """Decide whether a person may skip approvals, and whose."""
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
    """Return who may deny and review an emergency: the skipped approvers of the current rules.

    If none is left besides those who pressed, it is the other members; if none of these is left, all approvers and
    emergency members of the project. If the rule of the request is gone, the lists kept in the request count.
    `question` is the requester's. An unknown group counts as having other people.
    """
    pressed = {request.requester.id, *(vote.actor.id for vote in request.votes)}
    ranked = _may_be_judges(policy, request, question, groups)
    found = next((entries for entries in ranked if _has_others(policy, entries, pressed, groups)), ())
    users = {entry for entry in found if entry not in policy.people and not model.is_group(entry)}
    return tuple(entry for entry in found if entry not in users or not model.behind((entry,), groups)[0] <= pressed)


def groups_judging(policy: Policy, request: records.Request, question: Question) -> frozenset[str]:
    """Return the user groups that `judges` needs first; its result may name more groups to ask about."""
    kept = () if request.emergency is None else (*request.emergency.passed_over, *request.emergency.members)
    rules = [*_open(policy, question), *_own(policy, request)]
    entries = [*kept, *(entry for rule in rules for entry in (*rule.approvers, *rule.emergency))]
    return frozenset(filter(model.is_group, model.expand(policy, entries)))


def judged(policy: Policy, request: records.Request, entries: tuple[str, ...]) -> records.Request:
    """Return the request with its current judges and mentions, without a new version."""
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
    """Return why a person may not deny or review an emergency, or None if they may; those who pressed may not.

    `question` is the requester's.
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
    """Return the candidates for judges, in order of preference."""
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
    """Return the current rule with the name that the emergency was allowed by, if it still allows anything."""
    return [rule for rule in policy.rules if rule.name == request.terms.rule and rule.effect is Effect.ALLOW]


def _has_others(policy: Policy, entries: tuple[str, ...], pressed: set[str], groups: Groups) -> bool:
    """Return whether the entries include anybody who has not pressed; an unknown group may."""
    people, sure = model.behind(model.expand(policy, entries), groups)
    return bool(people - pressed) or not sure


def stricter(policy: Policy, question: Question, groups: Groups) -> Rule | None:
    """Return the rule that forbids an emergency which another rule lets the person use, or None.

    It applies to the person, requires more approvals than the rules that let them, and does not let them skip these. A
    rule that surely applies comes before one that may.
    """
    allows = [rule for rule in evaluation.fitting(policy, question) if rule.effect is Effect.ALLOW]
    sure = [rule for rule in allows if holds(policy, rule, question, groups)]
    most = max((rule.approvals for rule in sure), default=None)
    more = [] if most is None else [rule for rule in allows if rule.approvals > most]
    found = [(rule, applies(policy, rule, question, groups)) for rule in more]
    touching = sorted((one for one in found if one[1] is not False), key=lambda one: one[1] is None)
    return touching[0][0] if touching else None


def applies(policy: Policy, rule: Rule, question: Question, groups: Groups) -> bool | None:
    """Return whether a fitting rule applies to the person; None if that depends on an unknown group."""
    return evaluation.all_met(evaluation.touches(policy, rule, question, groups).values())


def _refuse_by(policy: Policy, strict: Rule, question: Question, groups: Groups) -> Refuse:
    if applies(policy, strict, question, groups):
        no = Refuse(why=Why.NO_EMERGENCY, rule=strict.name, who_could=strict.emergency)
    else:
        unasked = evaluation.unasked_in(policy, (*strict.who, *strict.excluded), groups)
        no = Refuse(why=Why.UNREACHABLE, rule=strict.name, who_could=strict.emergency, groups=unasked)
    return dataclasses.replace(no, approvals=strict.approvals)


def _open(policy: Policy, question: Question) -> list[Rule]:
    """Return the fitting rules that let anybody use `--emergency`."""
    return [rule for rule in evaluation.fitting(policy, question) if rule.effect is Effect.ALLOW and rule.emergency]


def _once(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entries))
