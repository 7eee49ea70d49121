"""Explain a decision: why each rule matches or not, then the decision.

Pure. It decides nothing itself, but asks the same functions as `evaluation.decide`. It owns the lines of
`flowbot explain`.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Final, assert_never

from bot.commands import grammar
from bot.commands.deliveries import Actor
from bot.policy import break_glass, channels, evaluation, model, protected_flows
from bot.policy.model import Decision, Effect, Groups, Kind, Person, Policy, Question, Refuse, Rule, Why


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """One rule, and whether its conditions are met, by key of the file; None if that depends on a group.

    `is_stricter` is for emergencies: the rule requires more approvals than those that match, and forbids it.
    """

    rule: Rule
    conditions: Mapping[str, bool | None]
    is_stricter: bool | None = False

    @property
    def matches(self) -> bool | None:
        """Return whether the rule matches; None if that depends on an unknown group."""
        return evaluation.all_met(self.conditions.values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explanation:
    """What each rule says, and the decision; `guard` is the rule that requires the flow's name to be typed."""

    looks: tuple[Look, ...]
    decision: Decision | break_glass.AllowEmergency
    guard: Rule | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unclear:
    """Why a command cannot be explained."""

    why: str


def of_command(
    policy: Policy, text: str, *, user: str, channel: str | None, member_of: Iterable[str]
) -> Explanation | Unclear:
    """Explain the decision on a command that a full member types in a channel, without asking Slack or the cloud.

    They are in the groups `member_of` and in no others. Without a channel, they type it on the host.
    """
    parsed = grammar.parse(text)
    if not isinstance(parsed, grammar.ChangeCommand | grammar.ReadCommand):
        return Unclear(why=f'"{text}" is not a command that a rule decides; try: stop main-feed')
    if channel is None and not isinstance(parsed, grammar.ChangeCommand):
        return Unclear(why=f'no rule decides "{text}" on the host: whoever may run flowbot there reads everything')
    asked = question(policy, parsed, user=user, channel=channel or "")
    if isinstance(asked, channels.UnclearProject):
        return Unclear(why=f"which project? Add --project with one of: {', '.join(asked.projects)}")
    emergency = isinstance(parsed, grammar.ChangeCommand) and parsed.emergency
    found = explain(policy, asked, assumed_groups(policy, user, member_of), emergency=emergency)
    if channel is None and user not in policy.operators.values():
        return dataclasses.replace(found, decision=Refuse(why=Why.NOT_OPERATOR))
    return found


def question(
    policy: Policy, command: grammar.ChangeCommand | grammar.ReadCommand, *, user: str, channel: str
) -> Question | channels.UnclearProject:
    """Return the question of a full member's command in a channel; the flow counts both as an id and as a name."""
    project = channels.project_for(policy, command.project, channel)
    if isinstance(project, channels.UnclearProject):
        return project
    changes = isinstance(command, grammar.ChangeCommand)
    flow = command.flow if isinstance(command, grammar.ChangeCommand) else command.about or ""
    return Question(
        person=Person(actor=Actor(team="", user=user), kind=Kind.MEMBER),
        verb=command.verb,
        project=project.name,
        flow_id=flow,
        flow_name=flow,
        channel=channels.card_channel(project, channel) if changes else channel,
    )


def explain(policy: Policy, question: Question, groups: Groups, *, emergency: bool = False) -> Explanation:
    """Decide on an emergency or an ordinary request, and explain how each rule contributed."""
    looks = tuple(_look(policy, rule, question, groups, emergency=emergency) for rule in policy.rules)
    if emergency:
        return Explanation(looks=looks, decision=break_glass.decide(policy, question, groups))
    decision, guard = evaluation.decide(policy, question, groups), protected_flows.guard(policy, question, groups)
    return Explanation(looks=looks, decision=decision, guard=guard)


def _look(policy: Policy, rule: Rule, question: Question, groups: Groups, *, emergency: bool) -> Look:
    """Evaluate one rule; for an emergency, an allow matches by its `emergency` instead of `who`."""
    about: Mapping[str, bool | None] = evaluation.touches(policy, rule, question, groups)
    is_stricter: bool | None = False
    if emergency and rule.effect is Effect.ALLOW:
        about = {"emergency": break_glass.holds(policy, rule, question, groups)}
        if rule is break_glass.stricter(policy, question, groups):
            is_stricter = break_glass.applies(policy, rule, question, groups)
    return Look(rule=rule, conditions={**evaluation.conditions(rule, question), **about}, is_stricter=is_stricter)


def assumed_groups(policy: Policy, user: str, groups: Iterable[str]) -> Groups:
    """Return the assumed members of the policy's groups, since Slack is not asked.

    The user is in the given groups and in no others; each group has enough other people for any rule.
    """
    of_user = frozenset(groups)
    enough = max((rule.approvals for rule in policy.rules), default=0)
    entries = [entry for rule in policy.rules for entry in _named(rule)]
    named = filter(model.is_group, model.expand(policy, entries))
    others = [f"member {number}" for number in range(enough)]
    return {
        name: frozenset([*(f"{other} of {name}" for other in others), *([user] * (name in of_user))]) for name in named
    }


def _named(rule: Rule) -> tuple[str, ...]:
    return (*rule.who, *rule.excluded, *rule.approvers, *rule.emergency)


def report(explanation: Explanation) -> tuple[str, ...]:
    """Return the lines of `flowbot explain`."""
    return (*map(_line, explanation.looks), verdict(explanation))


def _line(look: Look) -> str:
    frozen = "" if look.rule.frozen_until is None else ", by a freeze"
    rule = f'rule "{look.rule.name}" ({look.rule.effect}{frozen})'
    if look.is_stricter is not False:
        lets = f"lets only {', '.join(look.rule.emergency)} use --emergency" if look.rule.emergency else _LETS_NOBODY
        unsure = "" if look.is_stricter else "may apply, depending on a user group; it "
        return f"{rule}: {unsure}is stricter, needs {_approvals(look.rule.approvals)} and {lets}"
    match look.matches:
        case True:
            return f"{rule}: matches"
        case None:
            return f"{rule}: may match, depending on a user group"
        case False:
            failed = next(key for key, met in look.conditions.items() if met is False)
            return f"{rule}: does not match because of {_by(failed, look.rule)}"


_LETS_NOBODY: Final = "lets nobody use --emergency"


def _approvals(number: int) -> str:
    return f"{number} {'approval' if number == 1 else 'approvals'}"


def _by(key: str, rule: Rule) -> str:
    values = {
        "verbs": rule.verbs,
        "projects": rule.projects,
        "channels": rule.channels,
        "flows": rule.flows,
        "who": rule.who,
        "except": rule.excluded,
        "emergency": rule.emergency or ("nobody",),
    }
    return f"{key} = {', '.join(values[key])}" if key in values else "its effect: reading needs no allow rule"


def verdict(explanation: Explanation) -> str:
    """Return the decision and its rule in one line."""
    decision = explanation.decision
    match decision:
        case model.Allow():
            return f'yes, without approval: by rule "{decision.rule.name}"{_besides(decision, explanation.guard)}'
        case model.NeedApproval():
            number, by = _approvals(decision.approvals), ", ".join(decision.rule.approvers)
            return f'yes, with {number} of {by}: by rule "{decision.rule.name}"{_besides(decision, explanation.guard)}'
        case break_glass.AllowEmergency():
            over = ", ".join(decision.passed_over) or "nobody"
            rule = f'by rule "{decision.rule.name}", skipping the approval of {over}'
            second = f"above {decision.limit} in 24 hours, another of {', '.join(decision.members)} must press second"
            besides = f"a reason is required; {second}{_by_door(decision.rule)}; {_open_for(decision.expires)}"
            return f"yes, as an emergency: {rule}; {besides}"
        case model.Refuse():
            return f"no: {_why(decision)}{_instead(decision)}"
        case _:
            assert_never(decision)


def _besides(decision: model.Allow | model.NeedApproval, guard: Rule | None) -> str:
    reason = "; a reason is required" if decision.reason_required else ""
    reason += _by_door(decision.rule)
    name = f'; the flow\'s name must be typed, by rule "{guard.name}"' if guard is not None else ""
    return f"{reason}{name}; {_open_for(decision.expires)}"


def _by_door(rule: Rule) -> str:
    return "; confirmations and approvals count from the host only" if rule.door else ""


def _open_for(seconds: float) -> str:
    return f"open for {seconds:g} seconds"


def _why(decision: Refuse) -> str:
    rule = f'rule "{decision.rule}"'
    match decision.why:
        case Why.NO_RULE:
            return "no rule allows it"
        case Why.NO_EMERGENCY if decision.rule:
            return f"{rule} is stricter, needs {_approvals(decision.approvals)} and does not let them use --emergency"
        case Why.NO_EMERGENCY:
            return "no rule lets them use --emergency here"
        case Why.DENY_RULE:
            return f"{rule} denies it"
        case Why.UNSATISFIABLE:
            return f"{rule} needs {decision.approvals} approvals, but only {decision.candidates} could give one"
        case Why.UNREACHABLE:
            return f"{rule} depends on unknown user groups: {', '.join(decision.groups)}"
        case Why.PAUSED | Why.OUTSIDER | Why.OTHER_DOOR | Why.NOT_OPERATOR:
            return _why_none_may(decision, rule)
        case Why.OWN_REQUEST | Why.NOT_APPROVER | Why.NOT_REQUESTER | Why.ALREADY_VOTED:
            return f"{rule} does not let them decide"
        case _:
            assert_never(decision.why)


def _why_none_may(decision: Refuse, rule: str) -> str:
    says = {
        Why.PAUSED: "flowbot is paused",
        Why.OUTSIDER: f"they are a {decision.kind}",
        Why.OTHER_DOOR: f"{rule} lets confirmations and approvals come from the host only",
        Why.NOT_OPERATOR: "no login of [operators] is theirs",
    }
    return says[decision.why]


def _instead(decision: Refuse) -> str:
    return f"; who could do it instead: {', '.join(decision.who_could)}" if decision.who_could else ""
