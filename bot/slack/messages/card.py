"""The card: the decision or the outcome, the state, the flow's details, and the buttons for that state.

Owns the card's layout and its buttons. A card pings nobody but its requester: approvers are shown as the names of the
policy's sets, and an earlier denier as a link to a profile. People who pressed a button appear only in later versions,
and Slack notifies nobody of an edit.
"""

import collections
from typing import Final

from slack_sdk.models import blocks
from slack_sdk.models.blocks import basic_components

from bot.commands import grammar
from bot.commands.deliveries import Button
from bot.commands.verbs import CHANGES, Door
from bot.lifecycle import records
from bot.lifecycle.records import Emergency, Flow, Part, Request
from bot.lifecycle.states import Progress, State
from bot.slack.messages import emergencies, state
from bot.slack.messages.headline import counted, decision, headline
from bot.slack.messages.message import Message, actions, context, message, plain, section, tell
from bot.slack.messages.text import acting, channel, code, escape, link, listed, quiet, quote
from bot.usecases.answers import CardLink

MOST_PARTS: Final = 3
"""Sources or outputs listed by name, so that the buttons still fit on a phone's screen."""

MOST_REASON: Final = 2 * grammar.MAX_REASON
"""Maximum length of an escaped reason on the card: approvers read all of it, unless most of it has to be escaped."""

MOST_DIALOG: Final = 300
"""Maximum length of a dialog's text."""

OVER: Final = "\nSkips the approval of: "

HEALTHY: Final = "CONNECTED"
"""The cloud's word for a source or output that works."""


def card(request: Request, *, workspace_url: str) -> Message:
    """Return the card for a request. `workspace_url` is Slack's own, for example `https://team.slack.com/`."""
    first, now = headline(request), state.line(request, workspace_url=workspace_url)
    facts = _touched(request) if records.is_open(request) else _brief(request.flow)
    version = f"{request.id}.v{request.version}"
    parts = [
        section(f"*{first}*", block_id=f"{version}.flow"),
        context(now.shown, block_id=f"{version}.state"),
        context(facts, block_id=f"{version}.parts"),
        context(*_asked(request, workspace_url=workspace_url), block_id=f"{version}.asked"),
    ]
    review = _review(request, workspace_url=workspace_url)
    if review:
        parts.append(context(*review, block_id=f"{version}.review"))
    buttons = _buttons(request)
    if buttons:
        parts.append(actions(*buttons, block_id=f"{version}.buttons"))
    return message(". ".join((first, now.spoken, *review[:1])), *parts)


def outline(request: Request) -> str:
    """Return what the card says in a few lines, for the host."""
    first, now = headline(request), state.line(request, workspace_url="")
    asked, reason = _asked(request, workspace_url="")
    review = _review(request, workspace_url="")
    return "\n".join((". ".join((first, now.spoken, *review[:1])), *asked.splitlines(), reason))


def copy(link_to: CardLink, *, workspace_url: str) -> Message:
    """Return the message that replaces a copy of a card."""
    return tell(f"This copy of a card is not in use: {link(link_to, workspace_url=workspace_url)}.")


def about(flow: Flow) -> tuple[str, ...]:
    """Return a flow's id and region, its sources and its outputs, as far as they were read."""
    where = _place(flow)
    if not flow.status and not flow.sources and not flow.outputs:
        return where, "Sources and outputs could not be read"
    return (
        where,
        _parts(flow, "source", flow.sources),
        _parts(flow, "output", flow.outputs),
    )


def _place(flow: Flow) -> str:
    return f"{code(flow.flow_id)} · {escape(flow.region, most=40) or 'region unknown'}"


def _touched(request: Request) -> str:
    return "\n".join((*about(request.flow), f"One flow can feed several channels; a {request.verb} affects them all"))


def _brief(flow: Flow) -> str:
    """Return a settled card's short details: by then sources and outputs may have changed."""
    parts = f"{counted(len(flow.sources), 'source')}, {counted(len(flow.outputs), 'output')}"
    return f"{_place(flow)} · {parts}" if flow.status else _place(flow)


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


PRESSED: Final = {Button.CONFIRM: "confirmed", Button.APPROVE: "approved"}


def _asked(request: Request, *, workspace_url: str) -> tuple[str, ...]:
    lines = [f"Requested by {acting(request.requester)} · rule {quote(request.terms.rule, most=100)}"]
    if request.emergency is not None:
        lines.append(_emergency(request.emergency, workspace_url=workspace_url))
    if request.recently_denied_by is not None and records.is_open(request):
        denier = quiet(request.recently_denied_by.user, workspace_url=workspace_url)
        lines.append(f"A request for this flow was denied in the last hour, by {denier}")
    reason = f"Reason: {quote(request.reason, most=MOST_REASON)}" if request.reason else "No reason given"
    # Text written by a person is a separate element, so that formatting that it opens ends with it.
    if request.terms.door is Door.HOST and request.state is State.PENDING:
        button = Button.CONFIRM if request.terms.approvals == 0 else Button.APPROVE
        lines.append(f"To be {PRESSED[button]} on the host only: {code(f'flowbot operations {button} {request.id}')}")
    return "\n".join(lines), reason


def _emergency(emergency: Emergency, *, workspace_url: str) -> str:
    said = f"Emergency: {emergencies.passed_over(emergency, workspace_url=workspace_url)}"
    return said if emergency.announced_in is None else f"{said}; announced in {channel(emergency.announced_in)} too"


def _review(request: Request, *, workspace_url: str) -> tuple[str, ...]:
    """Return the review status, with the reviewer's comment as a separate text."""
    stands = emergencies.review(request, workspace_url=workspace_url)
    if stands is None:
        return ()
    done = request.emergency.review if request.emergency is not None else None
    return (stands, f"Comment: {quote(done.comment, most=MOST_REASON)}") if done and done.comment else (stands,)


def _buttons(request: Request) -> tuple[blocks.ButtonElement, ...]:
    if records.is_open(request) and request.operation.progress is not Progress.RUNNING:
        return _open_buttons(request)
    found = []
    if records.is_read_back(request):
        found.append(_button(request, Button.CHECK_NOW, "Check Now", says="Read the flow's state from the cloud now"))
    elif records.may_be_asked_again(request):
        found.append(_button(request, Button.ASK_AGAIN, "Ask Again", says="Make the same request again"))
    if records.is_review_open(request):
        found.append(_button(request, Button.REVIEW, "Review", says="Review this emergency"))
    return tuple(found)


def _open_buttons(request: Request) -> tuple[blocks.ButtonElement, ...]:
    withdraw = _button(request, Button.WITHDRAW, "Withdraw", says="Withdraw this request")
    if request.state is State.APPROVED:
        return (withdraw,)
    deny = _button(request, Button.DENY, "Deny", says="Deny this request")
    if request.emergency is not None:
        deciding, *against = _pressing(request, request.emergency), deny, withdraw
    elif request.terms.approvals == 0:
        deciding, *against = _deciding(request, Button.CONFIRM), withdraw
    else:
        deciding, *against = _deciding(request, Button.APPROVE), deny, withdraw
    return tuple(against) if request.terms.door is Door.HOST else (deciding, *against)


def _pressing(request: Request, emergency: Emergency) -> blocks.ButtonElement:
    """Return the emergency button that is next; its dialog says whose approval it skips."""
    button = Button.EMERGENCY_FIRST if emergency.first_at is None else Button.EMERGENCY_CONFIRM
    said, over = decision(request), listed(emergency.passed_over, most=emergencies.MOST_NAMED) or "nobody"
    room = MOST_DIALOG - len(said) - len(OVER)
    return _asking_twice(
        request,
        button,
        label=emergencies.label(button, request.verb),
        title=f"{'Emergency' if emergency.first_at is None else 'Confirm emergency'} {request.verb}?",
        says=f"{said}{OVER}{escape(over, most=room)}",
        style="danger",
    )


def _deciding(request: Request, button: Button) -> blocks.ButtonElement:
    return _asking_twice(
        request,
        button,
        label=f"{button.capitalize()} {request.verb.capitalize()}",
        title=f"{button.capitalize()} this {request.verb}?",
        says=decision(request),
        style="danger" if CHANGES[request.verb].interrupts else "primary",
    )


def _asking_twice(
    request: Request, button: Button, *, label: str, title: str, says: str, style: str
) -> blocks.ButtonElement:
    dialog = basic_components.ConfirmObject(
        title=plain(title), text=plain(says), confirm=plain(label), deny=plain("Go Back"), style=style
    )
    return blocks.ButtonElement(
        text=plain(label), action_id=button.value, value=request.id, style=style, confirm=dialog
    )


def _button(request: Request, button: Button, label: str, *, says: str) -> blocks.ButtonElement:
    return blocks.ButtonElement(text=plain(label), action_id=button.value, value=request.id, accessibility_label=says)
