"""Evaluate the rules: from a question and the known facts to a decision with its reason.

Pure. The caller passes what Slack says about people and groups. That may be unknown, which never allows more than the
truth would. It must not know where rules come from, nor the wording of a decision.
"""

import dataclasses
import fnmatch
from collections.abc import Iterable, Mapping

from bot.commands.verbs import READ, right_of
from bot.policy.model import (
    EVERYBODY,
    READING,
    Allow,
    Decision,
    Effect,
    Groups,
    Kind,
    NeedApproval,
    Person,
    Policy,
    Question,
    Refuse,
    Rule,
    Why,
    _names,
    behind,
    expand,
    is_group,
)


def decide(policy: Policy, question: Question, groups: Groups) -> Decision:
    """Decide by the rules: the default is no, a deny always wins, then the allow with the most approvals decides."""
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
        # A rule that only may match must not be ignored if it requires more approvals.
        unasked = unasked_in(policy, (*strictest.who, *strictest.excluded), groups)
        return _no(policy, question, Why.UNREACHABLE, strictest, unasked)
    reason_required = any(rule.reason_required for rule in possible)
    expires = min(rule.expires for rule in possible)
    allow = Allow(rule=max(sure, key=lambda rule: rule.approvals), reason_required=reason_required, expires=expires)
    return _with_approvers(policy, question, groups, allow) if allow.rule.approvals > 0 else allow


def refuse_denied(policy: Policy, question: Question, groups: Groups) -> Refuse | None:
    """Return the deny rule that matches or may match, or None."""
    sure, possible = _matching(policy, question, groups, Effect.DENY)
    deny = next(iter((*sure, *possible)), None)
    if deny is None:
        return None
    unasked = () if deny in sure else unasked_in(policy, (*deny.who, *deny.excluded), groups)
    return _no(policy, question, Why.UNREACHABLE if unasked else Why.DENY_RULE, deny, unasked)


def groups_needed(policy: Policy, question: Question) -> frozenset[str]:
    """Return every user group whose members `decide` may need for this question."""
    if question.person.kind is not Kind.MEMBER:
        return frozenset()
    entries = [entry for rule in fitting(policy, question) for entry in (*rule.who, *rule.excluded, *rule.approvers)]
    return frozenset(ident for ident in expand(policy, entries) if is_group(ident))


def refuse_outsider(person: Person) -> Refuse | None:
    """Return why a person may do nothing here, or None for a full member."""
    if person.kind is Kind.MEMBER:
        return None
    return Refuse(why=Why.UNREACHABLE if person.kind is Kind.UNREACHABLE else Why.OUTSIDER, kind=person.kind)


def conditions(rule: Rule, question: Question) -> Mapping[str, bool | None]:
    """Return which conditions of a rule are met, by key of the file, without `who` and `except`.

    Reading needs no allow, so the effect is a condition for it. None means that the name of the flow is unknown.
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
    """Return whether `who` and `except` of a rule are met by this full member; None if a group is unknown."""
    user = question.person.actor.id
    excluded = among(expand(policy, rule.excluded), user, groups)
    return {
        "who": among(expand(policy, rule.who), user, groups),
        "except": None if excluded is None else not excluded,
    }


def all_met(found: Iterable[bool | None]) -> bool | None:
    """Return whether every condition is met; None if none fails but one is unknown."""
    met = tuple(found)
    return False if False in met else None if None in met else True


def fitting(policy: Policy, question: Question) -> list[Rule]:
    """Return the rules whose conditions but `who` and `except` are met; also the denies that may match."""
    met = [(rule, all_met(conditions(rule, question).values())) for rule in policy.rules]
    return [rule for rule, fits in met if fits or (fits is None and rule.effect is Effect.DENY)]


def _matching(policy: Policy, question: Question, groups: Groups, effect: Effect) -> tuple[list[Rule], list[Rule]]:
    """Return the rules of an effect that match, and those that match or may match."""
    fits = [rule for rule in fitting(policy, question) if rule.effect is effect]
    found = [(rule, all_met(touches(policy, rule, question, groups).values())) for rule in fits]
    return [rule for rule, touches in found if touches], [rule for rule, touches in found if touches is not False]


def _is_about(rule: Rule, question: Question) -> bool | None:
    called = [word for word in (question.flow_id, question.flow_name) if word is not None]
    if not rule.flows or any(fnmatch.fnmatchcase(word, glob) for glob in rule.flows for word in called):
        return True
    return None if question.flow_name is None else False


def among(idents: Iterable[str], person: str, groups: Groups) -> bool | None:
    """Return whether a person (Actor.id) is among users and groups; None if that is unknown."""
    whole = tuple(idents)
    people, sure = behind(whole, groups)
    if EVERYBODY in whole or person in people:
        return True
    return False if sure else None


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
    """Return the users and groups of the entries that are not fully known."""
    return tuple(ident for ident in expand(policy, entries) if not behind((ident,), groups)[1])


def _no(policy: Policy, question: Question, why: Why, rule: Rule | None, groups: tuple[str, ...] = ()) -> Refuse:
    could = who_could(policy, question)
    until = rule.frozen_until if rule and why is Why.DENY_RULE else None
    return Refuse(why=why, rule=rule.name if rule else None, who_could=could, groups=groups, until=until)


def who_could(policy: Policy, question: Question, *, alone: bool = False) -> tuple[str, ...]:
    """Return whom the allow rules name, without those named in `except` or in a deny; groups are not expanded."""
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
