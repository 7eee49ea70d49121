"""The outcome of a call to the cloud, and one sentence on what to do about a failure.

Owns the words for errors of Huawei Cloud Live and what each means for the reader. Must not know where they are used:
card, reply or answer.
"""

from collections.abc import Mapping
from typing import Final, assert_never

from bot.commands.verbs import CHANGES, PREFIX, Door, Verb
from bot.lifecycle.cloud_failure import CloudFailure, Fault, Halt
from bot.lifecycle.records import Awaiting, Outcome, OutcomeKind, Request
from bot.slack.messages.text import code, escape, quote

READ_ACTIONS: Final = ("live:ott:getFlowDetail", "live:ott:listFlow")

_CHECK: Final = "ask whoever runs flowbot to check"
_BY_CODE: Final = {
    "LIVE.100011006": "Live does not offer this call here, or is under maintenance; use the Huawei Cloud console.",
    "LIVE.100011008": "Live is under maintenance; use the Huawei Cloud console, or ask again later.",
    "LIVE.100011009": f"The cloud does not know this account; {_CHECK} its credentials.",
    "LIVE.100011013": "The cloud account is not verified; its owner must complete real-name authentication.",
    "LIVE.100011014": "The cloud account is frozen, closed or out of balance; tell its owner.",
    "LIVE.100011015": f"The cloud does not accept the project; {_CHECK} `project_id` and `region`.",
    "LIVE.103011021": "The cloud had an internal error; asking again in a minute is safe.",
    "APIGW.0101": f"There is no such call at this address; {_CHECK} `region` and `endpoint`.",
    "APIGW.0310": f"The cloud project is not available; {_CHECK} `project_id`.",
    "APIGW.0802": f"flowbot's user may not work in this region; {_CHECK} its rights there.",
}
"""Advice for codes for which the advice for their kind of fault would be wrong.

Codes: the published tables of Live and of Huawei's API gateway."""


def command(request: Request, *, dry_run: bool) -> str:
    """Return the command that repeats the request, with the flow's id, which matches no other flow.

    Slack allows no slash commands in threads, so there it is a mention.
    """
    called = PREFIX[Door.SLASH if request.card.thread is None else Door.MENTION]
    return code(f"{called} {request.verb} {request.flow.flow_id}" + (" --dry-run" if dry_run else ""), most=120)


def failure_lines(failure: CloudFailure) -> tuple[str, ...]:
    """Return the cloud's code, message and request id as received, one per line, without missing ones."""
    status = f" (HTTP {failure.http_status})" if failure.http_status is not None else ""
    lines = []
    if failure.code:
        lines.append(f"Code: {code(failure.code)}{status}")
    elif status:
        lines.append(f"Code: none{status}")
    else:
        lines.append("The cloud did not reply.")
    if failure.message:
        lines.append(f"Message: {code(failure.message, most=800)}")
    if failure.request_id:
        lines.append(f"Cloud request id: {code(failure.request_id)}")
    return tuple(lines)


def advice(failure: CloudFailure, *, verb: Verb | None, again: str) -> str:
    """Return one sentence on what to do. `verb` is None if the cloud was only read; `again` is what to type."""
    known = _BY_CODE.get(failure.code or "")
    if known is not None and failure.fault not in (Fault.THROTTLED, Fault.UNCERTAIN):
        return known
    match failure.fault:
        case Fault.NOT_FOUND:
            return "Look for the flow in the Huawei Cloud console; it may be deleted, or in another project."
        case Fault.DENIED:
            return f"Permission is missing: ask whoever runs flowbot to grant its key {_rights(verb)}."
        case Fault.CREDENTIALS:
            return _about_credentials(failure.message)
        case Fault.THROTTLED:
            return f"Wait a minute, then type {again} again."
        case Fault.REJECTED:
            return f"Check the flow in the Huawei Cloud console before typing {again} again."
        case Fault.NEVER_SENT:
            return f"Nothing was sent, so typing {again} again is safe."
        case Fault.UNCERTAIN if verb is None:
            return f"Nothing was changed, so typing {again} again is safe."
        case Fault.UNCERTAIN:
            return f"Check the flow in the Huawei Cloud console; typing {again} again is safe."
        case _:
            assert_never(failure.fault)


def _rights(verb: Verb | None) -> str:
    return " and ".join(map(code, READ_ACTIONS if verb is None else (CHANGES[verb].action,)))


def _about_credentials(message: str) -> str:
    lowered = message.lower()
    if lowered.startswith("iam gave no token"):
        return f"Do not retry: failed logins lock the user. Instead {_CHECK} the IAM user, its password and its domain."
    if "reach the limit" in lowered:
        return f"The cloud has locked the key for five minutes: do not retry before then, and {_CHECK} its AK and SK."
    if "signature expired" in lowered:
        return f"Do not retry; {_CHECK} the clock of its machine."
    return f"Do not retry: failed tries lock the key for five minutes. Instead {_CHECK} its AK and SK."


_SENTENCES: Final[Mapping[OutcomeKind, str]] = {
    OutcomeKind.DONE: "{name} is now {status}.",
    OutcomeKind.ALREADY: "{name} is {status}: already so, not by this request.",
    OutcomeKind.READ_BACK: "{name} is now {status}. The cloud's reply was lost; reading the flow back confirms it.",
    OutcomeKind.CONFIRMED: (
        "{name} is {status}. The cloud refused the call: already {past}; reading the flow back confirms it."
    ),
    OutcomeKind.REHEARSED: "the {verb} of {name} passed every check. No call was made and nothing has changed.",
    OutcomeKind.UNREADABLE: "the {verb} of {name} failed: {unreadable}, so no call was made.",
    OutcomeKind.REFUSED: "the {verb} of {name} failed: {refused}.",
    OutcomeKind.NOT_DONE: "the {verb} of {name} failed: accepted, still {status}.",
    OutcomeKind.UNDONE: "the {verb} of {name} failed: still {status}; it may have been {undone} again.",
    OutcomeKind.LOST: "it is unknown whether {name} was {past}: the cloud has not confirmed the call.",
}
"""The outcome of an operation in one sentence; escaped values are filled in."""


def sentence(request: Request) -> str:
    """Return the outcome of the operation in one sentence. Raises ValueError if there is no outcome yet."""
    outcome = request.operation.outcome
    if outcome is None:
        raise ValueError(f"{request.id} has no outcome to tell")
    if outcome.halt is not None:
        name = code(request.flow.name or request.flow.flow_id)
        return f"the {request.verb} of {name} failed: {halted(outcome, outcome.halt)}."
    return _SENTENCES[outcome.how].format(
        name=code(request.flow.name or request.flow.flow_id),
        status=status(request, outcome),
        verb=request.verb,
        past=past(request.verb),
        undone=past_other(request.verb),
        refused=refused(outcome),
        unreadable=unreadable(outcome),
    )


def what_to_do(request: Request) -> str:
    """Return one sentence on what to do after the outcome. Raises ValueError if there is no outcome yet."""
    outcome = request.operation.outcome
    if outcome is None:
        raise ValueError(f"{request.id} has no outcome to tell")
    again = command(request, dry_run=request.dry_run)
    return _after(request, outcome, again) if outcome.halt is None else _after_halt(outcome.halt, again)


def _after(request: Request, outcome: Outcome, again: str) -> str:
    match outcome.how:
        case OutcomeKind.DONE | OutcomeKind.ALREADY | OutcomeKind.CONFIRMED | OutcomeKind.READ_BACK:
            return "Nothing more to do."
        case OutcomeKind.REHEARSED:
            return f"To do it for real, type {command(request, dry_run=False)}."
        case OutcomeKind.UNREADABLE if outcome.failure is not None:
            return advice(outcome.failure, verb=None, again=again)
        case OutcomeKind.REFUSED if outcome.failure is not None:
            return advice(outcome.failure, verb=request.verb, again=again)
        case OutcomeKind.UNREADABLE | OutcomeKind.REFUSED:
            return f"Check the flow in the Huawei Cloud console before typing {again} again."
        case OutcomeKind.NOT_DONE | OutcomeKind.UNDONE:
            return f"Check the flow in the Huawei Cloud console; typing {again} again is safe."
        case OutcomeKind.LOST if request.operation.awaiting is Awaiting.READING:
            return "No further call is made. I keep checking and post the result here; “Check Now” checks at once."
        case OutcomeKind.LOST:
            return f"I have stopped checking. Check the flow in the Huawei Cloud console; typing {again} again is safe."
        case _:
            assert_never(outcome.how)


def _after_halt(halt: Halt, again: str) -> str:
    if halt.paused is not None:
        return f"Whoever runs flowbot can end the pause with `flowbot resume`; then typing {again} again is safe."
    return f"Typing {again} again is safe; the current rules will apply."


def status(request: Request, outcome: Outcome) -> str:
    """Return the cloud's word for the flow's state, or the state that the outcome implies."""
    if outcome.status:
        return escape(outcome.status, most=40)
    change = CHANGES[request.verb]
    return CHANGES[change.opposite].wanted if outcome.how in STAYED else change.wanted


def halted(outcome: Outcome, halt: Halt) -> str:
    """Return why the last try failed, why there is no other, and the flow's state, as half a sentence."""
    unsent = outcome.failure is not None and outcome.failure.fault is Fault.NEVER_SENT
    tried = "nothing was sent" if unsent else refused(outcome)
    left = f"it is still {escape(outcome.status, most=40)}" if outcome.status else "nothing has changed"
    return f"{tried}, and {_no_further_try(halt)}; {left}"


def _no_further_try(halt: Halt) -> str:
    rule = f"rule {quote(halt.rule, most=100)}" if halt.rule else "no rule"
    if halt.paused is not None:
        why = f" ({quote(halt.paused, most=200)})" if halt.paused else ""
        return f"flowbot was paused before the next try{why}"
    if halt.short:
        return f"too few approvals still count for another try under {rule}"
    return f"{rule} allows another try now" if halt.rule is None else f"another try is denied by policy, under {rule}"


STAYED: Final = (OutcomeKind.NOT_DONE, OutcomeKind.UNDONE)
"""Outcomes that leave the flow unchanged."""


def unreadable(outcome: Outcome) -> str:
    """Return why no call was made, as half a sentence."""
    gone = outcome.failure is not None and outcome.failure.fault is Fault.NOT_FOUND
    return "the cloud has no such flow" if gone else "its state could not be read"


def refused(outcome: Outcome) -> str:
    """Return why a call was refused or could not be sent, as half a sentence."""
    match outcome.failure.fault if outcome.failure is not None else Fault.REJECTED:
        case Fault.NOT_FOUND:
            return "the cloud has no such flow"
        case Fault.NEVER_SENT:
            return "the cloud could not be reached, and nothing was sent"
        case Fault.UNCERTAIN:
            return "the cloud gave no usable answer"
        case Fault.THROTTLED:
            return "the cloud refused it because of too many calls"
        case Fault.DENIED | Fault.CREDENTIALS | Fault.REJECTED:
            return "the cloud refused it"
        case fault:
            assert_never(fault)


def past_other(verb: Verb) -> str:
    """Return the past tense of the opposite verb."""
    return CHANGES[CHANGES[verb].opposite].past


def past(verb: Verb) -> str:
    """Return the past tense of the verb."""
    return CHANGES[verb].past
