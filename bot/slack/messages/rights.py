"""Who somebody is to the bot, and what the rules let them do.

Owns the words of `whoami`. Only the reader sees them, so a group's notation pings nobody.
"""

from typing import Final

from bot.commands.verbs import READ, RIGHTS
from bot.policy import model
from bot.policy.model import Effect, Kind
from bot.policy.rights import Right
from bot.slack.messages.headline import counted
from bot.slack.messages.message import Message, tell
from bot.slack.messages.refusals import who
from bot.slack.messages.text import code, escape, fit, listed, mention, quote, user
from bot.usecases.query_results import ProjectRights, Whoami

MOST_TEXT: Final = 2_000
MOST_FLOWS: Final = 4
MOST_NAMED: Final = 10

KINDS: Final = {
    Kind.MEMBER: "a full member",
    Kind.GUEST: "a guest",
    Kind.STRANGER: "from another organisation",
    Kind.BOT: "a bot",
    Kind.DEACTIVATED: "a deactivated user",
}


def whoami(value: Whoami) -> Message:
    """Return who somebody is to the bot; outsiders are told no rule."""
    actor = value.person.actor
    if value.person.kind is Kind.UNREACHABLE:
        return tell(
            "I could not ask Slack who you are, so you may not do anything for now. Please try again in a minute."
        )
    ids = code(actor.user) if actor.id == actor.user else f"{code(actor.user)}; {code(actor.id)} in the organisation"
    known = f"You are {KINDS[value.person.kind]}: {user(actor.user)} ({ids}) of {code(actor.team)}."
    if value.person.kind is not Kind.MEMBER:
        return tell(f"{known} You may not do anything here.")
    places = (line for standing in value.standings for line in _standing(standing))
    return tell(known, _belonging(value), fit(places, most=MOST_TEXT))


def _belonging(value: Whoami) -> str:
    sets, groups = map(code, value.belonging.sets), map(mention, value.belonging.groups)
    mine = listed((*sets, *groups), most=MOST_NAMED)
    said = f"You are in {mine}." if mine else "You are in no set or group that the rules name."
    unknown = listed(tuple(map(mention, value.belonging.unknown)), most=MOST_NAMED)
    return f"{said} I could not ask Slack who is in {unknown}." if unknown else said


def _standing(standing: ProjectRights) -> list[str]:
    lines = [f"In {escape(standing.project, most=40)}:"]
    for word in RIGHTS:
        about = [right for right in standing.rights if right.verb == word]
        lines += [f"• {word}: {_right(right)}" for right in about]
        if word == READ and not about:
            lines.append(f"• {word}: every flow, like every full member")
        if word != READ and not any(right.effect is Effect.ALLOW for right in about):
            lines.append(f"• {word}: no rule lets you")
    return [*lines, *(f"• {right.verb} by `--emergency`: {_emergency(right)}" for right in standing.emergencies)]


def _emergency(right: Right) -> str:
    over = f"skipping {_approvals(right)}" if right.approvals else "no approval needed anyway"
    return f"{_flows(right)}, {over}, by rule {quote(right.rule, most=100)}{_unsure(right)}"


def _approvals(right: Right) -> str:
    return f"{counted(right.approvals, 'approval')} from {who(right.approvers)}"


def _unsure(right: Right) -> str:
    return "" if right.sure else ", if you are in a group that I could not ask Slack about"


def _right(right: Right) -> str:
    which = _flows(right)
    rule = f"rule {quote(right.rule, most=100)}"
    unsure = _unsure(right)
    if right.effect is Effect.DENY:
        return f"not {which}, forbidden by {rule}{unsure}"
    approvals = f"with {_approvals(right)}" if right.approvals else "alone"
    return f"{which}, {approvals}, by {rule}{unsure}"


def _flows(right: Right) -> str:
    globs = right.flows
    if not globs or model.EVERYBODY in globs:
        return "every flow"
    return listed(tuple(code(glob) for glob in globs), most=MOST_FLOWS, last="or")
