"""What one person is told for themselves after a command or a click was taken up.

Owns the words for every kind of `answers.Answer`. Must not know how an answer reaches its reader; none is shown to
others.
"""

import math
from typing import assert_never

from slack_sdk.models import blocks

from bot.commands.deliveries import Button
from bot.commands.verbs import PREFIX, Verb
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
UNEXPECTED = "Something went wrong on my side. Look at `/flow pending` for what became of it; asking again is safe."
INVITED_HELPS = frozenset({"not_in_channel", "channel_not_found", "no_permission"})
"""Slack's codes for a channel that the bot is not in; a private one reads as not found."""


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
        f"Slack did not take the card of your request to {what}, nobody saw it and the flow was not touched; "
        f"it is {value.state}. Please ask again if it is still needed.",
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
            return f"A request to {what} is open already: {place}. Nothing new was opened; please decide there."
        case answers.Blocked():
            return f"Nothing was opened, since a request to {what} has to end before a {value.verb}: {place}."
        case answers.Settled():
            press = _press(value.button, card.verb)
            return f"{press} changed nothing: the request to {what} {_is_now(value)}. See {place}."
        case _:
            assert_never(value)


def _refused(value: answers.Refused) -> str:
    return refusal(value.decision, action=value.action, flow=value.flow, people=value.people)


def _held_in_private(value: answers.HeldInPrivate) -> str:
    asked = f"a request to {value.held_by} {code(value.flow)}"
    approvers = f", or who may approve it ({who(value.approvers)})" if value.approvers else ""
    instead = f"Its card is in a private channel: please ask {user(value.requester)}, who requested it{approvers}."
    if value.held_by is value.verb:
        return f"{asked[0].upper()}{asked[1:]} is open already, so nothing new was opened. {instead}"
    return f"Nothing was opened, since {asked} has to end before a {value.verb}. {instead}"


def _press(button: Button, verb: Verb) -> str:
    if button in (Button.EMERGENCY_FIRST, Button.EMERGENCY_CONFIRM):
        return f"Your “{emergencies.label(button, verb)}”"
    return f"Your “{button.replace('_', ' ').title()}”"


def _is_now(value: answers.Settled) -> str:
    by = f" by {user(value.by)}" if value.by else ""
    at = f" · {date(value.at)}" if value.at is not None else ""
    if value.button is Button.REVIEW:
        return f"is reviewed{by}{at}" if by else "has no review to close"
    match value.state:
        case State.PENDING if value.button is Button.EMERGENCY_FIRST and at:
            following = emergencies.label(Button.EMERGENCY_CONFIRM, value.card.verb)
            return f"has its first press{by}{at}; “{following}” on its card is next"
        case State.PENDING:
            return "still waits, but not for that button"
        case State.APPROVED:
            return f"is approved{by}{at}, and {_has_come_to(value.progress)}"
        case State.DENIED:
            return f"is denied{by or ' by policy'}{at}"
        case State.WITHDRAWN:
            return f"is withdrawn{by or ' by flowbot'}{at}"
        case State.EXPIRED:
            return f"has expired{at}"
        case State.SUPERSEDED:
            return f"gave way to an emergency request{at}"
        case _:
            assert_never(value.state)


def _has_come_to(progress: Progress) -> str:
    match progress:
        case Progress.WAITING:
            return "it has not begun yet"
        case Progress.RUNNING:
            return "it is running"
        case Progress.SUCCEEDED:
            return "it has succeeded"
        case Progress.FAILED:
            return "it has failed"
        case Progress.UNKNOWN:
            return "what came of it is unknown"
        case Progress.CANCELLED:
            return "nothing was called"
        case _:
            assert_never(progress)


def _about_a_flow(
    value: answers.AlreadySo | answers.NoSuchFlow | answers.Unreadable | answers.WhichProject,
) -> tuple[str, ...]:
    match value:
        case answers.AlreadySo():
            flow, where = value.flow, escape(value.project, most=40)
            name = f"{code(flow.name or flow.flow_id)} (…{short_id(flow.flow_id)}) in {where}"
            return (f"{name} is {escape(flow.status, most=40)} already, so nothing was opened.",)
        case answers.NoSuchFlow():
            return no_such_flow(value)
        case answers.Unreadable():
            return unreadable(code(value.typed), value.project, value.failure)
        case answers.WhichProject():
            return (which_project(value),)
        case _:
            assert_never(value)


def unreadable(what: str, project: str, failure: CloudFailure, *, so: str = NOTHING_OPENED) -> tuple[str, ...]:
    """Return that the cloud did not show something; `so` is what follows from it, after a comma."""
    said = f"{what} in {escape(project, most=40)} could not be read{so}."
    return said, "\n".join(outcomes.failure_lines(failure)), outcomes.advice(failure, verb=None, again="the command")


def no_such_flow(value: answers.NoSuchFlow, *, so: str = NOTHING_OPENED) -> tuple[str, ...]:
    """Return that no flow, or several, are called so, with those that might be meant; `so` as above."""
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
    """Return that nobody knows which project is meant; `so` as above."""
    options = listed(
        tuple(code(f"--project {name}", most=60) for name in value.projects), most=MOST_CANDIDATES, last="or"
    )
    if value.typed is None:
        return f"This channel belongs to no project{so}. Please add {options} after the verb."
    return f"There is no project {code(value.typed)}{so}. Please use {options}."


def _cannot_post(value: answers.CannotPost) -> str:
    where = channel(value.channel)
    if value.code == "is_archived":
        return f"I could not post the card in {where}, since that channel is archived; nothing was opened."
    invite = f"invite me by typing `/invite @flowbot` in {where}, then ask again"
    if value.code == "thread_not_found":
        return f"I could not post the card in {where}, since the thread is gone; nothing was opened. Please ask again."
    if value.code in INVITED_HELPS:
        return f"I could not post the card in {where}, so nothing was opened. Please {invite}."
    said = f"I could not post the card in {where}; nothing was opened. Slack answered {code(value.code)}."
    return f"{said} If I am not in that channel, {invite}."


def _shared_channel(value: answers.SharedChannel) -> str:
    where, project = channel(value.channel), escape(value.project, most=40)
    if not value.sure:
        return (
            f"Slack could not be asked whether other organisations see {where}, so nothing was opened. "
            "Please try again in a minute."
        )
    return (
        f"Other organisations see {where}, so I put no card there and nothing was opened. Please ask in another "
        f"channel of {project}, or have `allow_shared = true` set for it in the policy."
    )


def _not_taken_up(value: answers.TooLate | answers.TooMany) -> str:
    if isinstance(value, answers.TooLate):
        late = f"I could take this up only {value.waited:.0f} seconds after you sent it, so nothing was opened."
        return f"{late} Please send it again if you still want it."
    seconds = max(1, math.ceil(value.wait))
    when = "in 1 second" if seconds == 1 else f"in {seconds} seconds"
    return (
        f"You have sent {value.most} commands within a minute, and I take no more than that from one person, "
        f"so nothing was opened. Please send it again {when}; buttons work as always."
    )


def _about_a_click(value: answers.NoSuchRequest | answers.Checking | answers.Noted | answers.DenyReasonAsked) -> str:
    match value:
        case answers.NoSuchRequest():
            return "I do not have that request any more, so nothing was done. Please ask again if it is still needed."
        case answers.Checking():
            return CHECKING
        case answers.Noted():
            return f"Noted: {escape(value.what)}." if value.what else "Noted."
        case answers.DenyReasonAsked():
            return f"You denied the request for {code(value.flow)}; that counts already, also without a reason."
        case _:
            assert_never(value)


def _about_an_emergency(value: answers.TooSoon | answers.SecondNeeded | answers.ReviewAsked) -> str:
    match value:
        case answers.TooSoon(wait=None):
            return f"The first of the two presses for {code(value.flow)} is missing, so this one did not count."
        case answers.TooSoon():
            seconds = max(1, math.ceil(value.wait or 0.0))
            again = f"press it again in {seconds} second{'' if seconds == 1 else 's'}"
            return (
                f"The second press for {code(value.flow)} came less than {emergencies.APART} after the first, "
                f"so it did not count. Please look at the card once more, and {again}."
            )
        case answers.SecondNeeded():
            by_name = "" if set(value.people) <= set(value.who_could) else f": {who(value.people)}"
            return (
                f"The limit is {value.limit} emergencies of one person in 24 hours, and {value.used} were used. So the "
                f"second press for {code(value.flow)} is for another of {who(value.who_could)}{by_name}."
            )
        case answers.ReviewAsked():
            return (
                f"You may review the emergency {value.verb} of {code(value.flow)}, but Slack did not open the window "
                "for it. Please press “Review” on its card again."
            )
        case _:
            assert_never(value)


def _missing(value: answers.ReasonMissing | answers.NameMissing) -> str:
    if isinstance(value, answers.NameMissing):
        return _name_missing(value)
    typed = code(f"{PREFIX[value.door]} {value.typed} because …", most=160)
    return (
        f"To {value.verb} {code(value.flow)}, rule {quote(value.rule, most=100)} asks for a reason, "
        f"so nothing was opened yet. Please add one, or type {typed}."
    )


def _name_missing(value: answers.NameMissing) -> str:
    flow, name = code(value.flow), "id, as it has no name" if value.nameless else "name"
    wants = f"rule {quote(value.rule, most=100)} asks that you type the flow's {name}"
    reason = ", and for a reason" if value.reason_too else ""
    if value.typed is None:
        return (
            f"To {value.verb} {flow}, {wants}{reason}, so nothing was opened yet. Please press the button and type it."
        )
    said = f"You typed {code(value.typed, most=100)}, which is not {flow}, so nothing was opened"
    return f"{said}. To {value.verb} it, {wants}{reason}; please press the button to try again."


def _button(value: answers.AnyAnswer) -> blocks.Block | None:
    """Return the button that opens the modal for what is missing, with the id under which it can be completed."""
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
