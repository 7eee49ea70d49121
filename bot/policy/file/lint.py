"""Warnings about policy rules that are each valid but odd together.

Pure. It compares the text of the rules, entry by entry, and never depends on who is in a user group.
"""

from collections.abc import Iterator

from bot.policy.model import EVERYBODY, Effect, Policy, Rule, expand, is_group

Finding = tuple[int, str, str]
"""The index of a rule, the key, and the warning."""


def lint(whole: Policy) -> tuple[Finding, ...]:
    """Find rules that never decide, are always denied, tie with another, or let every full member act alone."""
    return tuple(finding for number, rule in enumerate(whole.rules) for finding in _about(whole, number, rule))


def shared_projects(whole: Policy) -> Iterator[tuple[str, str]]:
    """Find projects that are the same in the cloud as an earlier one: their names, and what is odd."""
    first: dict[tuple[str, str], str] = {}
    for name, project in whole.projects.items():
        same = first.setdefault((project.project_id, project.endpoint), name)
        if same != name:
            two = f'is that of "{same}" too: a flow of both can have two open requests at once'
            yield name, f"{two}, and a rule for one of them does not hold in the other"


def _about(whole: Policy, number: int, rule: Rule) -> Iterator[Finding]:
    if rule.effect is Effect.DENY:
        return
    if EVERYBODY in rule.who and rule.approvals == 0 and set(rule.verbs) - {"read"}:
        yield number, "who", "lets every full member act alone; name a set, or require approvals"
    if rule.door is not None and not _has_operator(whole, rule):
        yield number, "door", "lets nobody decide: none of those who could is in [operators]"
    others = [(other, found) for other, found in enumerate(whole.rules) if other != number]
    covering = [(other, found) for other, found in others if _covers(whole, found, rule)]
    denier = next((found for _, found in covering if found.effect is Effect.DENY), None)
    if denier is not None:
        yield number, "effect", f'never allows anything: rule "{denier.name}" denies all of it'
        return
    stricter = [found for other, found in covering if _goes_before(found, rule, earlier=other < number)]
    if stricter and not rule.emergency:
        yield number, "approvals", f'never decides: rule "{stricter[0].name}" covers the same and takes precedence'
        return
    tied = [found for other, found in others[:number] if _ties(whole, found, rule)]
    if tied:
        asks = f'needs as many approvals as rule "{tied[0].name}", from other people'
        yield number, "approvers", f"{asks}; where both match, only the earlier rule counts"


def _has_operator(whole: Policy, rule: Rule) -> bool:
    """Tell whether anybody who could confirm or approve may be an operator; somebody in a user group may."""
    could = expand(whole, rule.approvers if rule.approvals else rule.who)
    operators = set(whole.operators.values())
    return any(one in operators or (operators and (is_group(one) or one == EVERYBODY)) for one in could)


def _goes_before(found: Rule, rule: Rule, *, earlier: bool) -> bool:
    return found.approvals > rule.approvals or (found.approvals == rule.approvals and earlier)


def _ties(whole: Policy, found: Rule, rule: Rule) -> bool:
    same = found.effect is Effect.ALLOW and found.approvals == rule.approvals > 0
    others = set(expand(whole, found.approvers)) != set(expand(whole, rule.approvers))
    return same and others and _meet(whole, found, rule)


def _meet(whole: Policy, one: Rule, two: Rule) -> bool:
    """Return whether both rules may match at once, judged by their text."""
    people = set(expand(whole, one.who)) & set(expand(whole, two.who))
    somebody = people - {*expand(whole, one.excluded), *expand(whole, two.excluded)}
    sides = ((one.projects, two.projects), (one.channels, two.channels), (one.flows, two.flows))
    return bool(somebody and set(one.verbs) & set(two.verbs)) and all(
        not a or not b or not set(a).isdisjoint(b) for a, b in sides
    )


def _covers(whole: Policy, wide: Rule, narrow: Rule) -> bool:
    """Return whether one rule matches wherever the other does; False for rules with freezes, which change with time."""
    people, named = set(expand(whole, wide.who)), set(expand(whole, narrow.who))
    excepted = set(expand(whole, wide.excluded)) <= set(expand(whole, narrow.excluded))
    sides = ((wide.projects, narrow.projects), (wide.channels, narrow.channels), (wide.flows, narrow.flows))
    return (
        not narrow.freezes
        and not wide.freezes
        and set(narrow.verbs) <= set(wide.verbs)
        and (EVERYBODY in people or named <= people)
        and excepted
        and all(not a or (bool(b) and set(b) <= set(a)) or "*" in a for a, b in sides)
    )
