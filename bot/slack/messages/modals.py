"""The modals: where a denier says why, and where a reason, or a flow's name, that a rule asks for is typed.

Owns the views, the ids under which a submission is read, and the words of what is wrong with it. A view carries an id
and nothing else; what the id stands for is read again when it comes back.
"""

from collections.abc import Sequence
from typing import Final

from slack_sdk.models import blocks, views

from bot.arrivals import Modal
from bot.commands import MAX_REASON, Problem, Verb
from bot.slack.messages.message import plain, section
from bot.slack.messages.text import code

REASON_BLOCK: Final = "reason"
REASON_ACTION: Final = "reason_text"
NAME_BLOCK: Final = "name"
NAME_ACTION: Final = "name_text"

BOTH_MISSING: Final = "name_and_reason"
"""The `block_id` of a button for a name where a reason is missing as well: one modal asks for both."""


def deny_reason(request_id: str, flow: str) -> dict[str, object]:
    """Return the view in which somebody whose denial counts already may say why."""
    return _view(
        Modal.DENY_REASON,
        carries=request_id,
        title="Say Why",
        submit="Send",
        intro=f"You denied the request for {code(flow)}, and that counts already. Saying why helps whoever asked.",
        inputs=[_reason_input(optional=True)],
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
        inputs=[_reason_input(optional=False)],
    )


def type_name(entry_id: str, *, reason_too: bool) -> dict[str, object]:
    """Return the view in which the name of a protected flow is typed, and the reason where that is missing as well."""
    element = blocks.PlainTextInputElement(action_id=NAME_ACTION, focus_on_load=True)
    name = blocks.InputBlock(label=plain("Name of the flow"), element=element, block_id=NAME_BLOCK)
    asks = "you type its name, exactly as the cloud has it, and a reason" if reason_too else "you type its name exactly"
    return _view(
        Modal.TYPE_NAME,
        carries=entry_id,
        title="Type the Name",
        submit="Send",
        intro=f"The flow is protected: the rule asks that {asks}. Your request opens once you send it.",
        inputs=[name, *([_reason_input(optional=False, focus=False)] if reason_too else [])],
    )


def name_empty() -> dict[str, str]:
    """Return the error for a name that is missing or blank, keyed as `response_action: errors` wants it."""
    return {NAME_BLOCK: "The rule asks for the flow's name; please type it."}


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


def not_recorded(modal: Modal) -> dict[str, str]:
    """Return the error for a submission that could not be written down."""
    return {_first_block(modal): "Nothing was recorded. Please send it again in a moment."}


def unconfirmed(modal: Modal) -> dict[str, str]:
    """Return the error for a submission that may or may not have been written down."""
    return {_first_block(modal): "I could not confirm it; look at /flow pending; asking again is safe."}


def _first_block(modal: Modal) -> str:
    """Name the input at which an error about the whole stands: Slack shows none for a block that is not there."""
    return NAME_BLOCK if modal is Modal.TYPE_NAME else REASON_BLOCK


def _reason_input(*, optional: bool, focus: bool = True) -> blocks.InputBlock:
    typed = blocks.PlainTextInputElement(
        action_id=REASON_ACTION, multiline=True, max_length=MAX_REASON, focus_on_load=focus
    )
    return blocks.InputBlock(label=plain("Reason"), element=typed, block_id=REASON_BLOCK, optional=optional)


def _view(
    modal: Modal, *, carries: str, title: str, submit: str, intro: str, inputs: Sequence[blocks.InputBlock]
) -> dict[str, object]:
    view = views.View(
        type="modal",
        callback_id=modal.value,
        private_metadata=carries,
        title=plain(title),
        submit=plain(submit),
        close=plain("Close"),
        blocks=[section(intro), *inputs],
    )
    shown: dict[str, object] = view.to_dict()
    return shown
