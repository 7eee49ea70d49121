"""The modals: where a denier says why, and where a reason that a rule asks for is typed.

Owns the views, the ids under which a submission is read, and the words of what is wrong with it. A view carries an id
and nothing else; what the id stands for is read again when it comes back.
"""

from typing import Final

from slack_sdk.models import blocks, views

from bot.arrivals import Modal
from bot.commands import MAX_REASON, Problem, Verb
from bot.slack.messages.message import plain, section
from bot.slack.messages.text import code

REASON_BLOCK: Final = "reason"
REASON_ACTION: Final = "reason_text"


def deny_reason(request_id: str, flow: str) -> dict[str, object]:
    """Return the view in which somebody whose denial counts already may say why."""
    return _view(
        Modal.DENY_REASON,
        carries=request_id,
        title="Say Why",
        submit="Send",
        intro=f"You denied the request for {code(flow)}, and that counts already. Saying why helps whoever asked.",
        optional=True,
    )


def add_reason(entry_id: str, verb: Verb | None = None, flow: str | None = None) -> dict[str, object]:
    """Return the view in which the reason for a request is typed; the request opens once it is submitted."""
    what = f" to {verb} {code(flow)}" if verb is not None and flow is not None else ""
    return _view(
        Modal.ADD_REASON,
        carries=entry_id,
        title="Add a Reason",
        submit="Send",
        intro=f"The rule asks for a reason{what}. Your request opens once you send it, and its card shows the reason.",
        optional=False,
    )


def reason_too_long() -> dict[str, str]:
    """Return the error for a reason that is too long, keyed as `response_action: errors` wants it."""
    return {REASON_BLOCK: f"Please keep the reason within {MAX_REASON} characters."}


def reason_empty() -> dict[str, str]:
    """Return the error for a reason that is missing or blank, keyed as `response_action: errors` wants it."""
    return {REASON_BLOCK: "The rule asks for a reason; please write one."}


def reason_wrong(wrong: Problem) -> dict[str, str]:
    """Return the error for what `commands.judge_reason` objects to, keyed as `response_action: errors` wants it."""
    if wrong is Problem.REASON_TOO_LONG:
        return reason_too_long()
    if wrong is Problem.EMPTY_REASON:
        return reason_empty()
    return {REASON_BLOCK: "Please leave flowbot's own options, such as --dry-run, out of the reason."}


def not_recorded() -> dict[str, str]:
    """Return the error for a submission that could not be written down."""
    return {REASON_BLOCK: "Nothing was recorded. Please send it again in a moment."}


def unconfirmed() -> dict[str, str]:
    """Return the error for a submission that may or may not have been written down."""
    return {REASON_BLOCK: "I could not confirm it; look at /flow pending; asking again is safe."}


def _view(modal: Modal, *, carries: str, title: str, submit: str, intro: str, optional: bool) -> dict[str, object]:
    typed = blocks.PlainTextInputElement(
        action_id=REASON_ACTION, multiline=True, max_length=MAX_REASON, focus_on_load=True
    )
    view = views.View(
        type="modal",
        callback_id=modal.value,
        private_metadata=carries,
        title=plain(title),
        submit=plain(submit),
        close=plain("Close"),
        blocks=[
            section(intro),
            blocks.InputBlock(label=plain("Reason"), element=typed, block_id=REASON_BLOCK, optional=optional),
        ],
    )
    shown: dict[str, object] = view.to_dict()
    return shown
