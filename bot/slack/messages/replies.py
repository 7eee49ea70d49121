"""The replies in a card's thread: together they are the history of the request.

Owns the words for every kind of reply. Must not know how or when a reply is sent.
"""

from typing import Final, assert_never

from bot.commands.deliveries import Button
from bot.lifecycle import schedule
from bot.lifecycle.records import Emergency, Reply, ReplyKind, Request
from bot.lifecycle.states import Progress, State
from bot.slack.messages import emergencies, outcomes, state
from bot.slack.messages.direct import error_is_logged
from bot.slack.messages.message import Message, tell
from bot.slack.messages.text import acting, channel, code, date, escape, link, listed, mention, quiet, quote, user
from bot.usecases.answers import CardLink

MOST_MENTIONS: Final = 10

MOST_INSTEAD: Final = 6

LASTED: Final = "ten seconds"

MOST_COMMENT: Final = 600

PRESSES: Final = (Button.EMERGENCY_FIRST, Button.EMERGENCY_CONFIRM)

DECIDED: Final = "that is already decided"

UNTOUCHED: Final = "The flow was not touched"


def reply(request: Request, reply: Reply, *, workspace_url: str) -> Message:
    """Return the reply's message; `workspace_url` is Slack's own. Raises ValueError if the outcome is missing."""
    first, *small = _lines(request, reply, workspace_url)
    mark = emergencies.mark(dry_run=request.dry_run, emergency=request.emergency is not None)
    return tell(f"{mark}{first}", *small)


def broadcast(request: Request, reply: Reply) -> bool:
    """Tell whether the reply goes to the channel too: emergencies, failures, unknown outcomes, later changes."""
    if reply.said in (ReplyKind.EMERGENCY, ReplyKind.CHANGED, ReplyKind.GIVEN_UP):
        return True
    return reply.said is ReplyKind.OUTCOME and request.operation.progress in (Progress.FAILED, Progress.UNKNOWN)


def _lines(request: Request, reply: Reply, workspace_url: str) -> tuple[str, ...]:
    match reply.said:
        case ReplyKind.ASKED | ReplyKind.REMINDED:
            return (_waiting(request, reply.said, workspace_url),)
        case (
            ReplyKind.EMERGENCY
            | ReplyKind.ANNOUNCED
            | ReplyKind.PRESSED_FIRST
            | ReplyKind.REVIEW_OPEN
            | ReplyKind.REVIEWED
        ):
            return _emergency(request, reply, workspace_url)
        case ReplyKind.LINKED:
            return (f"Your request to {request.verb} {_flow(request)} is open: {_place(request, workspace_url)}.",)
        case ReplyKind.VOTED | ReplyKind.CONFIRMED | ReplyKind.FELL_OFF:
            return (_vote(request, reply, workspace_url),)
        case ReplyKind.DENIED:
            return (_denied(request, reply, workspace_url),)
        case ReplyKind.WITHDRAWN | ReplyKind.SUPERSEDED | ReplyKind.EXPIRED:
            return (_came_to_nothing(request, reply),)
        case ReplyKind.CALLING:
            return (f"Calling Huawei Cloud to {request.verb} {_flow(request)}: no answer yet.",)
        case ReplyKind.DENY_REASON | ReplyKind.UNEXPECTED:
            return _added(request, reply)
        case ReplyKind.OUTCOME | ReplyKind.CHANGED | ReplyKind.GIVEN_UP:
            return _end(request, reply.said, workspace_url)
        case _:
            assert_never(reply.said)


def _waiting(request: Request, said: ReplyKind, workspace_url: str) -> str:
    who, flow = _asker(request), _flow(request)
    if request.state is not State.PENDING:  # already decided: nobody is mentioned any more
        return f"{who} asked to {request.verb} {flow}; {DECIDED}."
    call = _called(request.terms.mentions)
    if said is ReplyKind.REMINDED:
        until = date(request.expires_at)
        return f"{call}{who}'s request to {request.verb} {flow} is still waiting for you; it expires at {until}."
    if request.terms.approvals == 0:
        return f"{call}{who} asks to {request.verb} {flow}. No approval is needed: confirm it on the card."
    tally = state.approvals(
        request, count=len(state.counted(request)), needed=request.terms.approvals, workspace_url=workspace_url
    )
    return f"{call}{who} asks to {request.verb} {flow}. Please approve or deny it on the card ({tally})."


def _emergency(request: Request, reply: Reply, workspace_url: str) -> tuple[str, ...]:
    emergency = request.emergency
    if emergency is None:
        raise ValueError(f"{request.id} is not an emergency")
    against = emergencies.against(emergency, workspace_url=workspace_url)
    match reply.said:
        case ReplyKind.EMERGENCY | ReplyKind.ANNOUNCED:
            return _announced(request, emergency, reply, workspace_url)
        case ReplyKind.PRESSED_FIRST:
            first, second = (emergencies.label(button, request.verb) for button in PRESSES)
            said = f"{_actor(reply)} pressed “{first}” for {_flow(request)}"
            if request.state is not State.PENDING:
                return (f"{said}; {DECIDED}.",)
            members = emergencies.members(emergency, workspace_url=workspace_url)
            by = f" by another of {members}" if emergency.needs_second else ""
            after = f"“{second}”{by}, at least {emergencies.APART} later, carries it out"
            return (f"{said}. {after}; {against} may deny it until then.",)
        case ReplyKind.REVIEW_OPEN:
            return (_to_review(request, emergency, reply, against),)
        case _:
            return _reviewed(request, emergency)


def _announced(request: Request, emergency: Emergency, reply: Reply, workspace_url: str) -> tuple[str, ...]:
    """Return who skips whose approval, and why; for a card in another channel, with reason and link if allowed."""
    elsewhere = reply.said is ReplyKind.ANNOUNCED
    flow = f"{_flow(request)} in {escape(request.project, most=40)}"
    over = emergencies.passed_over(emergency, workspace_url=workspace_url)
    called = f"{_called(emergencies.concerned(request))}{_asker(request)}"
    said = f"{called} uses `--emergency` to {request.verb} {flow}; {over}."
    if elsewhere and reply.reason is None:
        return said, f"The card, with the reason, is in another channel: {channel(request.card.channel)}."
    against = emergencies.against(emergency, workspace_url=workspace_url)
    where = f": {_place(request, workspace_url)}" if elsewhere else " on the card"
    until = f"{_second(request, emergency, workspace_url)}, {against} may deny it{where}."
    if request.state is not State.PENDING:
        until = f"{DECIDED.capitalize()}{where if elsewhere else ''}."
    return said, f"Reason: {quote(request.reason or '')}", until


def _second(request: Request, emergency: Emergency, workspace_url: str) -> str:
    """Return until when it may be denied: until the second press, which over the limit is another member's."""
    if not emergency.needs_second:
        return "Until its second press"
    members = emergencies.members(emergency, workspace_url=workspace_url)
    over = f"{_asker(request)} has used up their emergencies, so the second press must come from another of {members}"
    return f"{over}; until then"


def _to_review(request: Request, emergency: Emergency, reply: Reply, against: str) -> str:
    what = f"the emergency {request.verb} of {_flow(request)} by {_asker(request)}"
    if emergency.review is not None:
        return f"{what} is already reviewed."
    last = " This is the last reminder; the review stays open." if schedule.is_last_reminder(request, reply.at) else ""
    if not emergencies.has_judges(emergency):
        return f"Under the current rules nobody may review {what}; please name an approver in the policy.{last}"
    call = _called(emergencies.concerned(request)) or f"{against}, "
    return f"{call}please review {what}: press “Review” on the card and say whether it was justified.{last}"


def _reviewed(request: Request, emergency: Emergency) -> tuple[str, ...]:
    done = emergency.review
    if done is None:
        raise ValueError(f"{request.id} is not reviewed")
    verdict = emergencies.verdict(done.verdict)
    said = (
        f"{_asker(request)}: {acting(done.actor, acts=True)} reviewed the emergency {request.verb} of {_flow(request)}"
    )
    comment = (f"Comment: {quote(done.comment, most=MOST_COMMENT)}",) if done.comment else ()
    return f"{said}: it was {verdict}.", *comment


def _called(ids: tuple[str, ...]) -> str:
    to_whom = listed(tuple(map(mention, ids)), most=MOST_MENTIONS)
    return f"{to_whom}: " if to_whom else ""


def _vote(request: Request, reply: Reply, workspace_url: str) -> str:
    if reply.said is ReplyKind.CONFIRMED and request.emergency is not None:
        over = emergencies.passed_over(request.emergency, workspace_url=workspace_url)
        return f"{_actor(reply)} made the second press. The {request.verb} of {_flow(request)} is confirmed; {over}."
    if reply.said is ReplyKind.CONFIRMED:
        return f"{_actor(reply)} confirmed the {request.verb} of {_flow(request)}; no approval was needed."
    tally = state.approvals(request, count=reply.count, needed=reply.needed, workspace_url=workspace_url)
    if reply.said is ReplyKind.FELL_OFF:
        tally = f"Approvals: {tally}" if reply.needed > 0 else "A new confirmation is needed"
        return f"The vote of {_actor(reply)} no longer counts: their rights or the rules have changed. {tally}."
    return f"{_actor(reply)} approved the {request.verb} of {_flow(request)}: {tally}."


def _denied(request: Request, reply: Reply, workspace_url: str) -> str:
    what = _what(request)
    if reply.actor is not None:
        why = f" Reason: {quote(reply.reason)}" if reply.reason else ""
        return f"{_asker(request)}: {_actor(reply)} denied {what}. {UNTOUCHED}.{why}"
    because = state.policy_because(request.ending)
    who_could = request.ending.who_could if request.ending is not None else ()
    instead = _instead(who_could, workspace_url)
    return f"{_asker(request)}: {what} is denied by policy{because}. {UNTOUCHED}.{instead}"


def _instead(who: tuple[str, ...], workspace_url: str) -> str:
    could = listed(tuple(quiet(entry, workspace_url=workspace_url) for entry in who), most=MOST_INSTEAD, last="or")
    return f" {could} could ask instead." if could else ""


def _came_to_nothing(request: Request, reply: Reply) -> str:
    what = _what(request)
    if reply.said is ReplyKind.EXPIRED:
        why, again = state.expired_because(request), outcomes.command(request, dry_run=request.dry_run)
        return f"{_asker(request)}: {what} expired: {why}. {UNTOUCHED}; type {again} if you still need it."
    if reply.said is ReplyKind.SUPERSEDED:
        by = f" of {_actor(reply, acts=False)}" if reply.actor is not None else ""
        return f"{_asker(request)}: {what} was superseded by an emergency request{by}."
    if reply.actor is not None:
        return f"{_actor(reply)} withdrew {what}. {UNTOUCHED}."
    because = state.withdrawn_because(request.ending)
    return f"{_asker(request)}: flowbot withdrew {what}: {because}. {UNTOUCHED}."


def _end(request: Request, said: ReplyKind, workspace_url: str) -> tuple[str, ...]:
    if said is ReplyKind.OUTCOME:
        return _outcome(request, workspace_url)
    if said is ReplyKind.CHANGED:
        return (_changed(request),)
    hour = f"the cloud has not confirmed the {request.verb} of {_flow(request)} within an hour"
    return f"{_asker(request)}: {hour}; it stays unknown.", outcomes.what_to_do(request)


def _added(request: Request, reply: Reply) -> tuple[str, ...]:
    if reply.said is ReplyKind.DENY_REASON:
        return f"{_actor(reply)} says why they denied the request.", f"Reason: {quote(reply.reason or '')}"
    met = f"{_asker(request)}: I hit an unexpected error with {_what(request)} and will try again"
    return f"{met}.", error_is_logged(reply.reason or "")


def _outcome(request: Request, workspace_url: str) -> tuple[str, ...]:
    outcome = request.operation.outcome
    halt = outcome.halt if outcome is not None else None
    instead = _instead(halt.who_could, workspace_url) if halt is not None else ""
    said = f"{_asker(request)}: {outcomes.sentence(request)}"
    failure = outcome.failure if outcome is not None else None
    facts = ("\n".join(outcomes.failure_lines(failure)),) if failure is not None else ()
    return said, *facts, f"{outcomes.what_to_do(request)}{instead}"


def _changed(request: Request) -> str:
    now, done = escape(request.operation.changed_to or "", most=40), outcomes.past(request.verb)
    return f"{_asker(request)}: {_flow(request)} is {now} again, {LASTED} after it was {done}."


def _place(request: Request, workspace_url: str) -> str:
    card, named = request.card, request.flow.name
    link_to = CardLink(
        request_id=request.id, verb=request.verb, flow=named, channel=card.channel, ts=card.ts, thread=card.thread
    )
    return link(link_to, workspace_url=workspace_url)


def _actor(reply: Reply, *, acts: bool = True) -> str:
    return acting(reply.actor, acts=acts) if reply.actor is not None else "Somebody"


def _asker(request: Request) -> str:
    return user(request.requester.user)


def _what(request: Request) -> str:
    return f"the request to {request.verb} {_flow(request)}"


def _flow(request: Request) -> str:
    return code(request.flow.name or request.flow.flow_id)
