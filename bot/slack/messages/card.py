"""The card: what is asked, where it stands, what it touches, and the buttons that its state offers.

Owns the card's layout and its buttons. A card pings nobody but its requester: approvers stand by the name of their
set, and whoever denied before as a link to a profile; people who pressed a button are named only in later versions, and
Slack notifies nobody of an edit.
"""

import collections
from typing import Final

from slack_sdk.models import blocks
from slack_sdk.models.blocks import basic_components

from bot import commands
from bot import request as requests
from bot.answers import CardLink
from bot.arrivals import Button
from bot.commands import Verb
from bot.request import Flow, Part, Progress, Request, State
from bot.slack.messages import state
from bot.slack.messages.message import Message, actions, context, message, plain, section, tell
from bot.slack.messages.text import code, escape, link, quiet, quote, short_id, user

MOST_PARTS: Final = 3
"""Sources or outputs shown by name; a phone's screen holds the buttons too."""

MOST_REASON: Final = 2 * commands.MAX_REASON
"""Characters of an escaped reason on the card: approvers read all of it, unless most of it is in need of escaping."""

HEALTHY: Final = "CONNECTED"
"""The cloud's word for a source or output that works."""


def card(request: Request, *, workspace_url: str) -> Message:
    """Return the card for the request as it is. `workspace_url` is Slack's own, for example `https://team.slack.com/`."""
    first, now = headline(request), state.line(request, workspace_url=workspace_url)
    version = f"{request.id}.v{request.version}"
    parts = [
        section(f"*{first}*", block_id=f"{version}.flow"),
        context(f"*{now.lead}*{now.rest}", block_id=f"{version}.state"),
        context("\n".join(_touched(request)), block_id=f"{version}.parts"),
        context(*_asked(request, workspace_url=workspace_url), block_id=f"{version}.asked"),
    ]
    buttons = _buttons(request)
    if buttons:
        parts.append(actions(*buttons, block_id=f"{version}.buttons"))
    return message(f"{first}. {now.lead}{now.rest}", *parts)


def copy(link_to: CardLink, *, workspace_url: str) -> Message:
    """Return what a copy of a card turns into."""
    return tell(f"This copy of a card is not in use: {link(link_to, workspace_url=workspace_url)}.")


def headline(request: Request) -> str:
    """Return line 1, the decision: verb, flow, project, the flow's state when asked, and how many outputs it has."""
    flow = request.flow
    mark = "Dry run: " if request.dry_run else ""
    name = code(flow.name or flow.flow_id)
    status = escape(flow.status, most=40) or "state not read"
    where = escape(request.project, most=40)
    outputs = counted(len(flow.outputs), "output")
    return f"{mark}{request.verb.capitalize()} {name} (…{short_id(flow.flow_id)}) in {where}: {status}, {outputs}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def about(flow: Flow) -> tuple[str, ...]:
    """Return a flow's id and region, and what goes into it and out of it."""
    return (
        f"{code(flow.flow_id)} · {escape(flow.region, most=40) or 'region unknown'}",
        _parts(flow, "source", flow.sources),
        _parts(flow, "output", flow.outputs),
    )


def _touched(request: Request) -> tuple[str, ...]:
    return *about(request.flow), f"One flow can feed several channels; a {request.verb} reaches them all"


def _parts(flow: Flow, noun: str, parts: tuple[Part, ...]) -> str:
    count = counted(len(parts), noun).capitalize()
    if not parts:
        return count
    troubled_first = sorted(parts, key=lambda part: part.health == HEALTHY)
    shown = tuple(_part(part) for part in troubled_first[:MOST_PARTS])
    rest = troubled_first[MOST_PARTS:]
    if not rest:
        return f"{count}: {', '.join(shown)}"
    return f"{count}: {', '.join(shown)} and {len(rest)} more{_health_of(rest)}"


def _part(part: Part) -> str:
    facts = (code(part.name, most=32), escape(part.protocol, most=24), escape(part.health, most=24))
    return " ".join(fact for fact in facts if fact)


def _health_of(parts: list[Part]) -> str:
    tally = collections.Counter(escape(part.health, most=24) for part in parts)
    if len(tally) == 1:
        return "".join(f" {health}" for health in tally if health)
    shown = (f"{number} {health or 'unknown'}" for health, number in tally.most_common(3))
    return f" ({', '.join(shown)})"


def _asked(request: Request, *, workspace_url: str) -> tuple[str, ...]:
    lines = [f"Requested by {user(request.requester.user)} · rule {quote(request.terms.rule, most=100)}"]
    if request.recently_denied_by is not None:
        denier = quiet(request.recently_denied_by.user, workspace_url=workspace_url)
        lines.append(f"A request for this flow was denied in the last hour, by {denier}")
    reason = f"Reason: {quote(request.reason, most=MOST_REASON)}" if request.reason else "No reason was given"
    # What a person wrote is an element of its own: formatting that it opens ends with it.
    return "\n".join(lines), reason


def _buttons(request: Request) -> tuple[blocks.ButtonElement, ...]:
    if requests.is_read_back(request):
        return (_button(request, Button.CHECK_NOW, "Check Now", says="Ask the cloud now what came of it"),)
    if requests.may_be_asked_again(request):
        return (_button(request, Button.ASK_AGAIN, "Ask Again", says="Ask for the same once more"),)
    if not requests.is_open(request) or request.operation.progress is Progress.RUNNING:
        return ()
    withdraw = _button(request, Button.WITHDRAW, "Withdraw", says="Withdraw this request")
    if request.state is State.APPROVED:
        return (withdraw,)
    if request.terms.approvals == 0:
        return _deciding(request, Button.CONFIRM), withdraw
    return _deciding(request, Button.APPROVE), _button(request, Button.DENY, "Deny", says="Deny this request"), withdraw


def _deciding(request: Request, button: Button) -> blocks.ButtonElement:
    label = f"{button.capitalize()} {request.verb.capitalize()}"
    style = "danger" if request.verb is Verb.STOP else "primary"
    dialog = basic_components.ConfirmObject(
        title=plain(f"{button.capitalize()} this {request.verb}?"),
        text=plain(headline(request)),
        confirm=plain(label),
        deny=plain("Go Back"),
        style=style,
    )
    return blocks.ButtonElement(
        text=plain(label), action_id=button.value, value=request.id, style=style, confirm=dialog
    )


def _button(request: Request, button: Button, label: str, *, says: str) -> blocks.ButtonElement:
    return blocks.ButtonElement(text=plain(label), action_id=button.value, value=request.id, accessibility_label=says)
