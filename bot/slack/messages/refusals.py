"""Refusals by the policy: the rule behind each, and who could do it instead.

Owns the sentence for each reason. Guests, strangers and people whom Slack could not identify are told no rule's name.
Only one person sees these words, so Slack's notation for people pings nobody in them.
"""

from collections.abc import Mapping
from typing import Final, assert_never

from bot.commands.deliveries import Button
from bot.policy import model
from bot.policy.model import Kind, Refuse, Why
from bot.slack.messages.text import code, day, escape, listed, mention, quote

MOST_NAMED = 6


def refusal(decision: Refuse, *, action: str, flow: str, people: tuple[str, ...] = ()) -> str:
    """Return the sentences for a refusal.

    `action` is a verb or a button, `flow` the flow's name; `people` are the ids behind the sets that could do it.
    """
    what = doing(action, flow)
    rule = f"rule {quote(decision.rule, most=100)}" if decision.rule else "the current rule"
    match decision.why:
        case Why.OUTSIDER:
            return "You may not do this here. Nothing was done."
        case Why.UNREACHABLE:
            return _unreachable(decision, rule, people)
        case Why.NO_RULE | Why.NO_EMERGENCY:
            said = _no_rule(decision, rule, what)
        case Why.DENY_RULE:
            until = f" until {day(decision.until)}" if decision.until is not None else ""
            said = f"{_sentence(rule)} forbids you to {what}{until}."
        case Why.PAUSED | Why.OTHER_DOOR | Why.NOT_OPERATOR:
            return _not_now_or_here(decision, rule, what)
        case Why.UNSATISFIABLE:
            said = _unsatisfiable(decision, rule, what)
        case Why.OWN_REQUEST:
            own = f"The request for {code(flow)} is your own, so you may not {_pressing(action)} it"
            said = f"{own}: {rule} needs somebody else."
        case Why.NOT_APPROVER | Why.NOT_REQUESTER:
            said = f"Under {rule}, you may not {what}."
        case Why.ALREADY_VOTED:
            return _took_part(decision, action, rule, flow=flow, people=people)
        case _:
            assert_never(decision.why)
    return f"{said}{_instead(decision, 'could do it instead', people)}"


def _not_now_or_here(decision: Refuse, rule: str, what: str) -> str:
    if decision.why is Why.OTHER_DOOR:
        return f"Under {rule}, you may {what} on the host only, with `flowbot operations`. Nothing was done."
    if decision.why is Why.NOT_OPERATOR:
        return "Your login is not in [operators] of the policy, so you may not do this. Nothing was done."
    return paused(decision.because, what)


def paused(because: str, what: str) -> str:
    """Return that flowbot is paused, and who can end the pause."""
    why = f": {quote(because, most=300)}" if because else ""
    return (
        f"flowbot is paused, so you may not {what} now{why}. "
        "Nothing was done. Whoever runs flowbot can end the pause with `flowbot resume`."
    )


def doing(action: str, flow: str) -> str:
    """Return what somebody wanted to do, to follow "to"."""
    if action in tuple(Button):
        return f"{_pressing(action)} the request for {code(flow)}"
    return f"{escape(action, most=20)} {code(flow)}" if flow else escape(action, most=20)


PRESSES: Final[Mapping[str, str]] = {
    Button.EMERGENCY_FIRST: "make the first press on",
    Button.EMERGENCY_CONFIRM: "make the second press on",
}


def _pressing(action: str) -> str:
    return PRESSES.get(action) or escape(action, most=20)


def _took_part(decision: Refuse, action: str, rule: str, *, flow: str, people: tuple[str, ...]) -> str:
    if action == Button.REVIEW:
        said = f"You made the second press for {code(flow)}, so you may not review it: {rule} needs somebody else."
        return f"{said}{_instead(decision, 'could do it instead', people)}"
    said = f"Your approval already counts; {rule} counts each person once."
    return f"{said}{_instead(decision, 'could approve too', people)}"


def _no_rule(decision: Refuse, rule: str, what: str) -> str:
    if decision.why is Why.NO_RULE:
        return f"No rule lets you {what} here."
    instead = "ask without it and wait for the usual approvals."
    if not decision.rule:
        return f"No rule lets you use `--emergency` to {what} here; {instead}"
    asks = f"{_sentence(rule)} is stricter: it needs {_approvals(decision.approvals)}"
    return f"{asks} and does not let you use `--emergency` to {what} here; {instead}"


def who(entries: tuple[str, ...], *, last: str = "or") -> str:
    """Return entries of rules as a list: sets by name, people and groups as Slack shows them."""
    return listed(tuple(_entry(entry) for entry in entries), most=MOST_NAMED, last=last)


def _entry(entry: str) -> str:
    return "any full member" if entry == model.EVERYBODY else mention(entry)


def _unreachable(decision: Refuse, rule: str, people: tuple[str, ...]) -> str:
    if decision.kind is Kind.UNREACHABLE:
        return "I could not ask Slack who you are, so the answer is no. Nothing was done; please try again in a minute."
    named = who(decision.groups, last="and")
    members = f"who is in {named}" if all(map(model.is_group, decision.groups)) else f"about {named}"
    members = members if decision.groups else "about the people concerned"
    said = f"I could not ask Slack {members}, which {rule} needs, so the answer is no. Please try again in a minute."
    return f"{said}{_instead(decision, 'could do it instead', people)}" if decision.who_could else said


def _unsatisfiable(decision: Refuse, rule: str, what: str) -> str:
    people = "only 1 person" if decision.candidates == 1 else f"only {decision.candidates} people"
    could = f"{people if decision.candidates else 'nobody'} could give {'it' if decision.approvals == 1 else 'them'}"
    needs = _approvals(decision.approvals)
    return f"To {what}, {rule} needs {needs} from others, but {could}; nothing was opened."


def _approvals(number: int) -> str:
    return "1 approval" if number == 1 else f"{number} approvals"


def _instead(decision: Refuse, could: str, people: tuple[str, ...]) -> str:
    if not decision.who_could:
        return f" Nobody {could} under the current rules."
    by_name = "" if set(people) <= set(decision.who_could) else f": {who(people)}"
    return f" {_sentence(who(decision.who_could))} {could}{by_name}."


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"
