"""What came of a call to the cloud, in words, and the one sentence on what to do about a failure.

Owns how errors of Huawei Cloud Live read and what each means for the reader. Must not know where the words stand: card,
reply or answer.
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
    "LIVE.100011006": "Live does not offer this call here or is under maintenance; use the Huawei Cloud console.",
    "LIVE.100011008": "Live is under maintenance; use the Huawei Cloud console, or ask again later.",
    "LIVE.100011009": f"The cloud does not know this account; {_CHECK} its credentials.",
    "LIVE.100011013": "The cloud account is not verified; its owner has to finish real-name authentication.",
    "LIVE.100011014": "The cloud account is frozen, closed or out of balance; tell its owner.",
    "LIVE.100011015": f"The cloud does not accept the project; {_CHECK} `project_id` and `region`.",
    "LIVE.103011021": "The cloud failed on its own side; asking again in a minute is safe.",
    "APIGW.0101": f"The cloud has no such call at this address; {_CHECK} `region` and `endpoint`.",
    "APIGW.0310": f"The cloud project is not available; {_CHECK} `project_id`.",
    "APIGW.0802": f"The cloud does not let flowbot's user work in this region; {_CHECK} its rights there.",
}
"""What to do about a code whose fault alone would send the reader the wrong way.

Codes: the published tables of Live and of Huawei's API gateway.
"""


def command(request: Request, *, dry_run: bool) -> str:
    """Return the command that asks for the same again, by the flow's id, which never fits another flow.

    Slack takes no slash commands in a thread, so it is a mention there.
    """
    called = PREFIX[Door.SLASH if request.card.thread is None else Door.MENTION]
    return code(f"{called} {request.verb} {request.flow.flow_id}" + (" --dry-run" if dry_run else ""), most=120)


def failure_lines(failure: CloudFailure) -> tuple[str, ...]:
    """Return code, message and request id as the cloud gave them, a line each; what it did not give is left out."""
    status = f" (HTTP {failure.http_status})" if failure.http_status is not None else ""
    lines = []
    if failure.code:
        lines.append(f"Code: {code(failure.code)}{status}")
    elif status:
        lines.append(f"Code: none{status}")
    else:
        lines.append("No reply came from the cloud.")
    if failure.message:
        lines.append(f"Message: {code(failure.message, most=800)}")
    if failure.request_id:
        lines.append(f"Request id of the cloud: {code(failure.request_id)}")
    return tuple(lines)


def advice(failure: CloudFailure, *, verb: Verb | None, again: str) -> str:
    """Return one sentence on what to do. `verb` is None where the cloud was only read; `again` is what to type."""
    known = _BY_CODE.get(failure.code or "")
    if known is not None and failure.fault not in (Fault.THROTTLED, Fault.UNCERTAIN):
        return known
    match failure.fault:
        case Fault.NOT_FOUND:
            return "Look the flow up in the Huawei Cloud console; it may be deleted, or in another project."
        case Fault.DENIED:
            return f"A right is missing: ask whoever runs flowbot to grant its key {_rights(verb)}."
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
        return f"Do not retry, since bad tries lock the user; {_CHECK} the IAM user, its password and its domain."
    if "reach the limit" in lowered:
        return f"The cloud has locked the key for five minutes: do not retry before that, and {_CHECK} its AK and SK."
    if "signature expired" in lowered:
        return f"Do not retry; {_CHECK} the clock of the machine it runs on."
    return f"Do not retry, since bad tries lock the key for five minutes; {_CHECK} its AK and SK."


_SENTENCES: Final[Mapping[OutcomeKind, str]] = {
    OutcomeKind.DONE: "{name} is now {status}.",
    OutcomeKind.ALREADY: "{name} is {status}: already so, not by this request.",
    OutcomeKind.READ_BACK: "{name} is {status}: the reply to the call was lost, and a reading finds it {past}.",
    OutcomeKind.CONFIRMED: (
        "{name} is {status}: the cloud refused the {verb} as already so, and a second reading agrees."
    ),
    OutcomeKind.REHEARSED: "the {verb} of {name} passed every check; nothing was called and nothing has changed.",
    OutcomeKind.UNREADABLE: "the {verb} of {name} failed: {unreadable}, so nothing was called.",
    OutcomeKind.REFUSED: "the {verb} of {name} failed: {refused}.",
    OutcomeKind.NOT_DONE: "the {verb} of {name} failed: accepted, still {status}.",
    OutcomeKind.UNDONE: "the {verb} of {name} failed: still {status}; it may have been {undone} again.",
    OutcomeKind.LOST: "it is unknown whether {name} was {past}: nobody knows what came of the call.",
}
"""What came of an operation, by its outcome; escaped values are put in."""


def sentence(request: Request) -> str:
    """Return what came of the operation, in one sentence. Raises ValueError while there is no outcome."""
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
    """Return one sentence on what to do after the outcome. Raises ValueError while there is no outcome."""
    outcome = request.operation.outcome
    if outcome is None:
        raise ValueError(f"{request.id} has no outcome to tell")
    again = command(request, dry_run=request.dry_run)
    return _after(request, outcome, again) if outcome.halt is None else _after_halt(outcome.halt, again)


def _after(request: Request, outcome: Outcome, again: str) -> str:
    match outcome.how:
        case OutcomeKind.DONE | OutcomeKind.ALREADY | OutcomeKind.CONFIRMED | OutcomeKind.READ_BACK:
            return "There is nothing more to do."
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
            return (
                "Nothing more is sent; I keep asking the cloud, and tell here what it says. “Check Now” asks at once."
            )
        case OutcomeKind.LOST:
            return f"Nothing more is sent or asked: check the flow in the console; typing {again} again is safe."
        case _:
            assert_never(outcome.how)


def _after_halt(halt: Halt, again: str) -> str:
    if halt.paused is not None:
        return f"Whoever runs flowbot ends the pause with `flowbot resume`; after that, typing {again} again is safe."
    return f"Typing {again} again is safe, and asks under the rules in force."


def status(request: Request, outcome: Outcome) -> str:
    """Return the cloud's word for the flow's state, or the one that the outcome implies."""
    if outcome.status:
        return escape(outcome.status, most=40)
    change = CHANGES[request.verb]
    return CHANGES[change.opposite].wanted if outcome.how in STAYED else change.wanted


def halted(outcome: Outcome, halt: Halt) -> str:
    """Return why the last try came to nothing, why there is no other, and how the flow was left; half a sentence."""
    unsent = outcome.failure is not None and outcome.failure.fault is Fault.NEVER_SENT
    tried = "nothing was sent" if unsent else refused(outcome)
    left = f"it is still {escape(outcome.status, most=40)}" if outcome.status else "nothing was changed"
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
"""Outcomes after which the flow is as it was."""


def unreadable(outcome: Outcome) -> str:
    """Return why nothing was called; half a sentence."""
    gone = outcome.failure is not None and outcome.failure.fault is Fault.NOT_FOUND
    return "the cloud has no such flow" if gone else "its state could not be read"


def refused(outcome: Outcome) -> str:
    """Return why a call that was refused, or that never left, came to nothing; half a sentence."""
    match outcome.failure.fault if outcome.failure is not None else Fault.REJECTED:
        case Fault.NOT_FOUND:
            return "the cloud has no such flow"
        case Fault.NEVER_SENT:
            return "the cloud could not be reached, and nothing was sent"
        case Fault.UNCERTAIN:
            return "the cloud gave no usable answer"
        case Fault.THROTTLED:
            return "the cloud is limiting calls and refused it"
        case Fault.DENIED | Fault.CREDENTIALS | Fault.REJECTED:
            return "the cloud refused it"
        case fault:
            assert_never(fault)


def past_other(verb: Verb) -> str:
    """Return what undoes the verb, as done to a flow."""
    return CHANGES[CHANGES[verb].opposite].past


def past(verb: Verb) -> str:
    """Return the verb as done to a flow."""
    return CHANGES[verb].past
