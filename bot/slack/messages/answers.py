"""Answers to one person after their command or click was processed.

Owns the words for every kind of `answers.Answer`. Must not know how an answer reaches its reader; nobody else sees it.
"""

import math
from typing import assert_never

from slack_sdk.models import blocks

from bot.commands.deliveries import Button
from bot.commands.verbs import PREFIX, Door, Verb
from bot.lifecycle.cloud_failure import CloudFailure
from bot.lifecycle.states import Progress, State
from bot.slack.messages import emergencies, modals, outcomes
from bot.slack.messages.direct import CHECKING, error_is_logged
from bot.slack.messages.message import Message, actions, message, plain, section, tell
from bot.slack.messages.refusals import refusal, who
from bot.slack.messages.text import channel, code, date, escape, link, listed, quote, short_id, user
from bot.usecases import answers

MOST_CANDIDATES = 5
NOTHING_OPENED = ", so nothing was opened"
UNEXPECTED = "Something went wrong on my side. `/flow pending` shows what became of it; asking again is safe."
INVITED_HELPS = frozenset({"not_in_channel", "channel_not_found", "no_permission"})
"""Slack's codes for a channel that the bot is not in; a private one is reported as not found."""


def answer(value: answers.AnyAnswer, *, workspace_url: str) -> Message:
    """Return the answer's words. `workspace_url` is Slack's own, for example `https://team.slack.com/`."""
    first, *small = _lines(value, workspace_url)
    about_one = isinstance(value, answers.TooSoon | answers.SecondNeeded | answers.ReviewAsked)
    marked = f"{emergencies.mark(dry_run=value.dry_run, emergency=about_one)}{first}"
    button = _button(value)
    return tell(marked, *small) if button is None else message(marked, section(marked), button)


def _lines(value: answers.AnyAnswer, workspace_url: str) -> tuple[str, ...]:
    match value:
        case answers.Opened() | answers.Joined() | answers.Blocked() | answers.Settled():
            return (_about_a_card(value, workspace_url),)
        case answers.HeldInPrivate() | answers.Refused():
            return (_held_in_private(value) if isinstance(value, answers.HeldInPrivate) else _refused(value),)
        case answers.ReasonMissing() | answers.NameMissing():
            return (_missing(value),)
        case answers.AlreadySo() | answers.NoSuchFlow() | answers.Unreadable() | answers.WhichProject():
            return _about_a_flow(value)
        case answers.CannotPost() | answers.SharedChannel():
            return (_cannot_post(value) if isinstance(value, answers.CannotPost) else _shared_channel(value),)
        case answers.NeverShown() | answers.Unexpected():
            return _gone_wrong(value)
        case answers.TooLate() | answers.TooMany():
            return (_not_taken_up(value),)
        case answers.NoSuchRequest() | answers.Checking() | answers.Noted() | answers.DenyReasonAsked():
            return (_about_a_click(value),)
        case answers.TooSoon() | answers.SecondNeeded() | answers.ReviewAsked():
            return (_about_an_emergency(value),)
        case _:
            assert_never(value)


def _gone_wrong(value: answers.NeverShown | answers.Unexpected) -> tuple[str, ...]:
    if isinstance(value, answers.Unexpected):
        return UNEXPECTED, error_is_logged(value.error_id)
    what = f"{value.card.verb} {code(value.card.flow)}"
    return (
        f"Slack did not accept the card for your request to {what}, so nobody saw it. The request is {value.state} and "
        "the flow was not touched. Please ask again if you still need it.",
    )


def _about_a_card(
    value: answers.Opened | answers.Joined | answers.Blocked | answers.Settled, workspace_url: str
) -> str:
    card = value.card
    what, place = f"{card.verb} {code(card.flow)}", link(card, workspace_url=workspace_url)
    match value:
        case answers.Opened():
            return f"Your request to {what} is open: {place}."
        case answers.Joined():
            return f"A request to {what} is already open: {place}. Nothing new was opened; please decide there."
        case answers.Blocked():
            return f"Nothing was opened: a request to {what} is open and must end before a {value.verb}: {place}."
        case answers.Settled():
            press = _press(value.button, card.verb)
            return f"{press} changed nothing: the request to {what} {_is_now(value)}. See {place}."
        case _:
            assert_never(value)


def _refused(value: answers.Refused) -> str:
    return refusal(value.decision, action=value.action, flow=value.flow, people=value.people)


def _held_in_private(value: answers.HeldInPrivate) -> str:
    asked = f"a request to {value.held_by} {code(value.flow)}"
    approvers = f", or an approver ({who(value.approvers)})" if value.approvers else ""
    instead = f"Its card is in a private channel; please ask {user(value.requester)}, who requested it{approvers}."
    if value.held_by is value.verb:
        return f"{asked[0].upper()}{asked[1:]} is already open, so nothing new was opened. {instead}"
    return f"Nothing was opened: {asked} is open and must end before a {value.verb}. {instead}"


def _press(button: Button, verb: Verb) -> str:
    if button in (Button.EMERGENCY_FIRST, Button.EMERGENCY_CONFIRM):
        return f"Your “{emergencies.label(button, verb)}”"
    return f"Your “{button.replace('_', ' ').title()}”"


def _is_now(value: answers.Settled) -> str:
    by = f" by {user(value.by)}" if value.by else ""
    at = f" · {date(value.at)}" if value.at is not None else ""
    if value.button is Button.REVIEW:
        return f"is already reviewed{by}{at}" if by else "has no open review"
    match value.state:
        case State.PENDING if value.button is Button.EMERGENCY_FIRST and at:
            following = emergencies.label(Button.EMERGENCY_CONFIRM, value.card.verb)
            return f"already has its first press{by}{at}; next is “{following}” on its card"
        case State.PENDING:
            return "is still open, but not waiting for that button"
        case State.APPROVED:
            return f"is approved{by}{at}, and {_has_come_to(value.progress)}"
        case State.DENIED:
            return f"is denied{by or ' by policy'}{at}"
        case State.WITHDRAWN:
            return f"is withdrawn{by or ' by flowbot'}{at}"
        case State.EXPIRED:
            return f"has expired{at}"
        case State.SUPERSEDED:
            return f"was superseded by an emergency request{at}"
        case _:
            assert_never(value.state)


def _has_come_to(progress: Progress) -> str:
    match progress:
        case Progress.WAITING:
            return "has not begun yet"
        case Progress.RUNNING:
            return "is running"
        case Progress.SUCCEEDED:
            return "has succeeded"
        case Progress.FAILED:
            return "has failed"
        case Progress.UNKNOWN:
            return "its outcome is unknown"
        case Progress.CANCELLED:
            return "no call was made"
        case _:
            assert_never(progress)


def _about_a_flow(
    value: answers.AlreadySo | answers.NoSuchFlow | answers.Unreadable | answers.WhichProject,
) -> tuple[str, ...]:
    match value:
        case answers.AlreadySo():
            flow, where = value.flow, escape(value.project, most=40)
            name = f"{code(flow.name or flow.flow_id)} (…{short_id(flow.flow_id)}) in {where}"
            return (f"{name} is already {escape(flow.status, most=40)}, so nothing was opened.",)
        case answers.NoSuchFlow():
            return no_such_flow(value)
        case answers.Unreadable():
            return unreadable(code(value.typed), value.project, value.failure)
        case answers.WhichProject():
            return (which_project(value),)
        case _:
            assert_never(value)


def unreadable(what: str, project: str, failure: CloudFailure, *, so: str = NOTHING_OPENED) -> tuple[str, ...]:
    """Return that something could not be read from the cloud; `so` is the consequence, after a comma."""
    said = f"{what} in {escape(project, most=40)} could not be read{so}."
    return said, "\n".join(outcomes.failure_lines(failure)), outcomes.advice(failure, verb=None, again="the command")


def no_such_flow(value: answers.NoSuchFlow, *, so: str = NOTHING_OPENED) -> tuple[str, ...]:
    """Return that no flow or several flows match, with the candidates; `so` as above."""
    where, typed = escape(value.project, most=40), code(value.typed)
    candidates = "\n".join(
        f"• {code(name or flow_id)} · {code(flow_id)}" for flow_id, name in value.candidates[:MOST_CANDIDATES]
    )
    if value.ambiguous:
        said = f"{typed} fits several flows in {where}{so}. Which did you mean? Please use its id:"
        return (f"{said}\n{candidates}",)
    if candidates:
        return (f"There is no flow {typed} in {where}{so}; did you mean:\n{candidates}",)
    return (f"There is no flow {typed} in {where}{so}. Please check the id or the exact name.",)


def which_project(value: answers.WhichProject, *, so: str = NOTHING_OPENED) -> str:
    """Return that the project is missing or unknown; `so` as above."""
    options = listed(
        tuple(code(f"--project {name}", most=60) for name in value.projects), most=MOST_CANDIDATES, last="or"
    )
    if value.typed is None:
        return f"This channel belongs to no project{so}. Please add {options} after the verb."
    return f"There is no project {code(value.typed)}{so}. Please use {options}."


def _cannot_post(value: answers.CannotPost) -> str:
    where = channel(value.channel)
    if value.code == "is_archived":
        return f"I could not post the card in {where}: that channel is archived. Nothing was opened."
    invite = f"invite me by typing `/invite @flowbot` in {where}, then ask again"
    if value.code == "thread_not_found":
        return f"I could not post the card in {where}: the thread is gone. Nothing was opened; please ask again."
    if value.code in INVITED_HELPS:
        return f"I could not post the card in {where}, so nothing was opened. Please {invite}."
    said = f"I could not post the card in {where}; nothing was opened. Slack answered {code(value.code)}."
    return f"{said} If I am not in that channel, {invite}."


def _shared_channel(value: answers.SharedChannel) -> str:
    where, project = channel(value.channel), escape(value.project, most=40)
    if not value.sure:
        return (
            f"I could not ask Slack whether {where} is shared with other organisations, so nothing was opened. "
            "Please try again in a minute."
        )
    return (
        f"{where} is shared with other organisations, so I post no card there and nothing was opened. Please ask in "
        f"another channel of {project}, or have `allow_shared = true` set for it in the policy."
    )


def _not_taken_up(value: answers.TooLate | answers.TooMany) -> str:
    if isinstance(value, answers.TooLate):
        late = f"I got to this only {value.waited:.0f} seconds after you sent it, so nothing was opened."
        return f"{late} Please send it again if you still need it."
    seconds = max(1, math.ceil(value.wait))
    when = "in 1 second" if seconds == 1 else f"in {seconds} seconds"
    return (
        f"You have reached the limit of {value.most} commands a minute, so nothing was opened. "
        f"Please send it again {when}; buttons still work."
    )


def _about_a_click(value: answers.NoSuchRequest | answers.Checking | answers.Noted | answers.DenyReasonAsked) -> str:
    match value:
        case answers.NoSuchRequest():
            return "That request is no longer on record, so nothing was done. Please ask again if you still need it."
        case answers.Checking():
            return CHECKING
        case answers.Noted():
            return f"Noted: {escape(value.what)}." if value.what else "Noted."
        case answers.DenyReasonAsked():
            return f"You denied the request for {code(value.flow)}. That already counts, with or without a reason."
        case _:
            assert_never(value)


def _about_an_emergency(value: answers.TooSoon | answers.SecondNeeded | answers.ReviewAsked) -> str:
    match value:
        case answers.TooSoon(wait=None):
            return f"The first press for {code(value.flow)} is missing, so this second one did not count."
        case answers.TooSoon():
            seconds = max(1, math.ceil(value.wait or 0.0))
            again = f"press again in {seconds} second{'' if seconds == 1 else 's'}"
            return (
                f"The second press for {code(value.flow)} came less than {emergencies.APART} after the first, "
                f"so it did not count. Please check the card once more and {again}."
            )
        case answers.SecondNeeded():
            by_name = "" if set(value.people) <= set(value.who_could) else f": {who(value.people)}"
            return (
                f"The limit is {value.limit} emergencies per person in 24 hours, and {value.used} are used up. "
                f"The second press for {code(value.flow)} must come from another of {who(value.who_could)}{by_name}."
            )
        case answers.ReviewAsked():
            return (
                f"Slack did not open the review window for the emergency {value.verb} of {code(value.flow)}. "
                "Please press “Review” on its card again."
            )
        case _:
            assert_never(value)


def _missing(value: answers.ReasonMissing | answers.NameMissing) -> str:
    if isinstance(value, answers.NameMissing):
        return _name_missing(value)
    if value.door is Door.HOST:
        return (
            f"To {value.verb} {code(value.flow)}, rule {quote(value.rule, most=100)} requires a reason, "
            "so nothing was opened. Please add `--reason TEXT`."
        )
    typed = code(f"{PREFIX[value.door]} {value.typed} because …", most=160)
    return (
        f"To {value.verb} {code(value.flow)}, rule {quote(value.rule, most=100)} requires a reason, "
        f"so nothing was opened yet. Please add one, or type {typed}."
    )


def _name_missing(value: answers.NameMissing) -> str:
    flow, name = code(value.flow), "id, because it has no name" if value.nameless else "name"
    wants = f"rule {quote(value.rule, most=100)} requires you to type the flow's {name}"
    reason = ", and a reason" if value.reason_too else ""
    if value.door is Door.HOST:
        typed = "" if value.typed is None else f"You typed {code(value.typed, most=100)}, which is not {flow}. "
        return f"{typed}To {value.verb} {flow}, {wants}{reason}, so nothing was opened. Please add `--name NAME`."
    if value.typed is None:
        return (
            f"To {value.verb} {flow}, {wants}{reason}, so nothing was opened yet. Please press the button and type it."
        )
    said = f"You typed {code(value.typed, most=100)}, which is not {flow}, so nothing was opened"
    return f"{said}. To {value.verb} it, {wants}{reason}; please press the button to try again."


def _button(value: answers.AnyAnswer) -> blocks.Block | None:
    """Return the button for the modal that asks for what is missing; it carries the id of the command."""
    match value:
        case answers.ReasonMissing():
            text, button, block_id = "Add Reason", Button.ADD_REASON, None
        case answers.NameMissing():
            text, button = "Type Name", Button.TYPE_NAME
            block_id = modals.BOTH_MISSING if value.reason_too else None
        case _:
            return None
    element = blocks.ButtonElement(text=plain(text), action_id=button.value, value=value.entry)
    return actions(element, block_id=block_id)
