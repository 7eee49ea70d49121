"""The modals: reason for a denial, missing reason or name, and review of an emergency.

Owns the views, the ids under which a submission is read, and the words for its errors. A view carries only an id; what
it stands for is read again on submission.
"""

from typing import Final

from slack_sdk.models import blocks, views

from bot.commands.deliveries import Modal, Verdict
from bot.commands.grammar import MAX_REASON, UsageProblem
from bot.commands.verbs import Verb
from bot.slack.messages import emergencies
from bot.slack.messages.message import plain, section
from bot.slack.messages.text import code

REASON_BLOCK: Final = "reason"
REASON_ACTION: Final = "reason_text"
NAME_BLOCK: Final = "name"
NAME_ACTION: Final = "name_text"

BOTH_MISSING: Final = "name_and_reason"
"""The `block_id` of a button for a name if the reason is missing as well: one modal asks for both."""

VERDICT_BLOCK: Final = "verdict"
VERDICT_ACTION: Final = "verdict_choice"


def deny_reason(request_id: str, flow: str) -> dict[str, object]:
    """Return the view for the reason of a denial, which already counts."""
    return _view(
        Modal.DENY_REASON,
        carries=request_id,
        title="Say Why",
        intro=f"You denied the request for {code(flow)}; that already counts. A reason helps whoever asked.",
        fields=(_text("Reason", optional=True, first=True),),
    )


def add_reason(entry_id: str, verb: Verb | None = None, flow: str | None = None) -> dict[str, object]:
    """Return the view for a missing reason; submitting it opens the request."""
    what = f" to {verb} {code(flow)}" if verb is not None and flow is not None else ""
    return _view(
        Modal.ADD_REASON,
        carries=entry_id,
        title="Add a Reason",
        intro=f"The rule requires a reason{what}. Your request opens once you send it; its card shows the reason.",
        fields=(_text("Reason", optional=False, first=True),),
    )


def review(request_id: str, verb: Verb, flow: str) -> dict[str, object]:
    """Return the view for the review of a finished emergency."""
    choice = blocks.RadioButtonsElement(
        action_id=VERDICT_ACTION,
        options=[
            blocks.Option(value=value.value, text=plain(emergencies.verdict(value).capitalize())) for value in Verdict
        ],
    )
    return _view(
        Modal.REVIEW,
        carries=request_id,
        title="Review",
        intro=f"The emergency {verb} of {code(flow)} skipped the approvals. "
        "Your verdict closes its review and is shown on the card and in its thread.",
        fields=(
            blocks.InputBlock(label=plain("Verdict"), element=choice, block_id=VERDICT_BLOCK, optional=False),
            _text("Comment", optional=True, first=False),
        ),
    )


def type_name(entry_id: str, *, reason_too: bool) -> dict[str, object]:
    """Return the view for the name of a protected flow, and for the reason if that is missing as well."""
    element = blocks.PlainTextInputElement(action_id=NAME_ACTION, focus_on_load=True)
    name = blocks.InputBlock(label=plain("Name of the flow"), element=element, block_id=NAME_BLOCK)
    asks = "its exact name, as the cloud has it, and a reason" if reason_too else "its exact name"
    return _view(
        Modal.TYPE_NAME,
        carries=entry_id,
        title="Type the Name",
        intro=f"The flow is protected: the rule requires you to type {asks}. Your request opens once you send it.",
        fields=(name, *((_text("Reason", optional=False, first=False),) if reason_too else ())),
    )


def name_empty() -> dict[str, str]:
    """Return the error for a missing or blank name, in the format of `response_action: errors`."""
    return {NAME_BLOCK: "The rule requires the flow's name; please type it."}


def reason_too_long() -> dict[str, str]:
    """Return the error for a reason that is too long, in the format of `response_action: errors`."""
    return {REASON_BLOCK: f"Please keep the reason within {MAX_REASON} characters."}


def reason_empty() -> dict[str, str]:
    """Return the error for a missing or blank reason, in the format of `response_action: errors`."""
    return {REASON_BLOCK: "The rule requires a reason; please write one."}


def verdict_missing() -> dict[str, str]:
    """Return the error for a review without a verdict, in the format of `response_action: errors`."""
    return {VERDICT_BLOCK: "Please choose a verdict."}


def reason_wrong(wrong: UsageProblem) -> dict[str, str]:
    """Return the error for a problem found by `grammar.judge_reason`, in the format of `response_action: errors`."""
    if wrong is UsageProblem.REASON_TOO_LONG:
        return reason_too_long()
    if wrong is UsageProblem.EMPTY_REASON:
        return reason_empty()
    return {REASON_BLOCK: "Please leave flowbot's own options, such as --dry-run, out of the reason."}


def not_recorded(modal: Modal) -> dict[str, str]:
    """Return the error for a submission that was not recorded."""
    return {_first_block(modal): "Nothing was recorded. Please send it again in a moment."}


def unconfirmed(modal: Modal) -> dict[str, str]:
    """Return the error for a submission that may not have been recorded."""
    return {_first_block(modal): "I could not confirm it; look at /flow pending; asking again is safe."}


def _first_block(modal: Modal) -> str:
    """Return the input for an error about the whole modal: Slack ignores errors for blocks that do not exist."""
    return NAME_BLOCK if modal is Modal.TYPE_NAME else REASON_BLOCK


def _text(label: str, *, optional: bool, first: bool) -> blocks.InputBlock:
    typed = blocks.PlainTextInputElement(
        action_id=REASON_ACTION, multiline=True, max_length=MAX_REASON, focus_on_load=first or None
    )
    return blocks.InputBlock(label=plain(label), element=typed, block_id=REASON_BLOCK, optional=optional)


def _view(
    modal: Modal, *, carries: str, title: str, intro: str, fields: tuple[blocks.InputBlock, ...]
) -> dict[str, object]:
    view = views.View(
        type="modal",
        callback_id=modal.value,
        private_metadata=carries,
        title=plain(title),
        submit=plain("Send"),
        close=plain("Close"),
        blocks=[section(intro), *fields],
    )
    shown: dict[str, object] = view.to_dict()
    return shown
