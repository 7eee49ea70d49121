"""Example requests, replies and answers, each named after its situation."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from bot.commands.deliveries import Actor, Button, Verdict
from bot.commands.verbs import Door, Verb
from bot.lifecycle import transitions
from bot.lifecycle.cloud_failure import CloudFailure, Fault, Halt
from bot.lifecycle.records import (
    Awaiting,
    Card,
    Emergency,
    Ending,
    Flow,
    Outcome,
    OutcomeKind,
    Part,
    Reply,
    ReplyKind,
    Request,
    Review,
    Terms,
    Vote,
)
from bot.lifecycle.states import Event, Progress, State
from bot.policy.model import Kind, Refuse, Why
from bot.usecases import answers

WORKSPACE: Final = "https://acme.slack.com/"
AT: Final = 1_770_000_000.0
ALICE: Final = Actor(team="T0ACME", user="U0ALICE")
BOB: Final = Actor(team="T0ACME", user="U0BOB")
CAROL: Final = Actor(team="T0ACME", user="U0CAROL")
DAVE: Final = Actor(team="T0ACME", user="U0DAVE")
HOST_ALICE: Final = Actor(team="", user="U0ALICE", login="alice")
HOST_CAROL: Final = Actor(team="", user="U0CAROL", login="carol")
FLOW: Final = Flow(
    flow_id="0b7e4c52-9d7f-4c0e-8a55-3f6f2f0a1b2d",
    name="main-feed",
    region="ap-southeast-3",
    status="ACTIVE",
    sources=(Part(name="studio", protocol="srt-listener", health="CONNECTED"),),
    outputs=(
        Part(name="cdn-a", protocol="srt-caller", health="CONNECTED"),
        Part(name="cdn-b", protocol="srt-caller", health="DISCONNECTED"),
        Part(name="archive", protocol="srt-caller", health="CONNECTED"),
    ),
)
TWO: Final = Terms(
    rule="on-call stops, two approve",
    rule_text="",
    policy_hash="",
    approvals=2,
    approvers=("media-leads", "U0ERIN", "S0NOC"),
    mentions=("U0CAROL", "U0DAVE", "S0NOC"),
)
ONE: Final = dataclasses.replace(TWO, rule="on-call stops, a lead approves", approvals=1, approvers=("media-leads",))
ALONE: Final = Terms(rule="leads confirm alone", rule_text="", policy_hash="", approvals=0)
PENDING: Final = Request(
    id="req-1",
    verb=Verb.STOP,
    project="hk",
    flow=FLOW,
    requester=ALICE,
    reason="encoder loops since 02:50, viewers see a frozen picture",
    dry_run=False,
    asked_in="C0INCIDENT",
    asked_at=AT,
    expires_at=AT + 1800,
    terms=ONE,
    card=Card(channel="C0INCIDENT", ts="1770000001.000100", shown=1),
)

NO_RIGHT: Final = CloudFailure(
    fault=Fault.DENIED,
    http_status=401,
    code="LIVE.100011003",
    message="You do not have permission to access the API.",
    request_id="7f3c9a51c0de",
)
BAD_KEY: Final = CloudFailure(
    fault=Fault.CREDENTIALS,
    http_status=401,
    code="APIGW.0301",
    message="Incorrect IAM authentication information: verify aksk signature fail",
    request_id="7f3c9a51c0de",
)
LOCKED_KEY: Final = dataclasses.replace(
    BAD_KEY, message="Incorrect IAM authentication information: AK access failed to reach the limit,forbidden"
)
CLOCK_WRONG: Final = dataclasses.replace(
    BAD_KEY, message="Incorrect IAM authentication information: calc aksk signature fail:signature expired"
)
THROTTLED: Final = CloudFailure(
    fault=Fault.THROTTLED,
    http_status=429,
    code="APIGW.0308",
    message="The throttling threshold has been reached: policy user over ratelimit,limit:80,time:1 minute",
    request_id="7f3c9a51c0de",
)
GONE: Final = CloudFailure(
    fault=Fault.NOT_FOUND, http_status=404, code="LIVE.103011019", message="The resource does not exist."
)
STANDBY_ALREADY: Final = CloudFailure(
    fault=Fault.REJECTED,
    http_status=400,
    code="LIVE.100011001",
    message="flow task is in standby status",
    request_id="7f3c9a51c0de",
)
REJECTED: Final = dataclasses.replace(STANDBY_ALREADY, message="Invalid request parameter.")
ARREARS: Final = dataclasses.replace(
    NO_RIGHT, code="LIVE.100011014", message="Your account is not allowed to access the service."
)
KEY_LOCKED: Final = CloudFailure(
    fault=Fault.CREDENTIALS,
    message="the cloud has locked flowbot's key after failed tries; it will be used again at 22:19 UTC",
    retry_after=250.0,
)
UNREACHED: Final = CloudFailure(fault=Fault.NEVER_SENT, message="connection refused")
TIMEOUT: Final = CloudFailure(fault=Fault.UNCERTAIN, message="no answer within 10 seconds")
BROKEN: Final = CloudFailure(fault=Fault.UNCERTAIN, http_status=502, code="APIGW.0201", message="Backend unavailable.")

PAUSED_SINCE: Final = Halt(paused="the console team works on it")
DENIED_SINCE: Final = Halt(rule="freeze during the final", who_could=("media-leads", "U0DAVE"))
SHORT_SINCE: Final = Halt(rule="on-call stops, a lead approves", short=True)

FAILURES: Final[Mapping[str, CloudFailure]] = {
    "no right": NO_RIGHT,
    "bad key": BAD_KEY,
    "locked key": LOCKED_KEY,
    "clock wrong": CLOCK_WRONG,
    "throttled": THROTTLED,
    "gone": GONE,
    "rejected": REJECTED,
    "arrears": ARREARS,
    "unreached": UNREACHED,
    "timeout": TIMEOUT,
    "broken": BROKEN,
}


def slug(name: str) -> str:
    """Return a situation's name as a file name."""
    return name.replace(" ", "-")


def needing(terms: Terms, seen: Request = PENDING) -> Request:
    """Return the request with other terms."""
    return dataclasses.replace(seen, terms=terms)


def approved(seen: Request = PENDING) -> Request:
    """Return the request with all its approvals, or with its confirmation."""
    if seen.terms.approvals == 0:
        return transitions.confirm(seen, Vote(actor=seen.requester, at=AT + 60))
    for actor in (CAROL, DAVE)[: seen.terms.approvals]:
        seen = transitions.approve(seen, Vote(actor=actor, at=AT + 60), needed=seen.terms.approvals)
    return seen


def ended(
    event: Event, said: ReplyKind, *, seen: Request = PENDING, actor: Actor | None = None, **facts: Any
) -> Request:
    """Return the request after it ended without a call."""
    return transitions.end(seen, event, Ending(actor=actor, at=AT + 120, **facts), said=said)


def begun(seen: Request = PENDING) -> Request:
    """Return the request with its first call in progress."""
    return transitions.begin(approved(seen), at=AT + 61)


def finished(
    how: OutcomeKind,
    *,
    seen: Request = PENDING,
    status: str | None = None,
    failure: CloudFailure | None = None,
    look_again_at: float | None = None,
    halt: Halt | None = None,
) -> Request:
    """Return the request after its operation ended."""
    outcome = Outcome(how=how, status=status, failure=failure, halt=halt)
    return transitions.finish(begun(seen), outcome, at=AT + 62, look_again_at=look_again_at)


DRY: Final = dataclasses.replace(PENDING, dry_run=True)
MANY: Final = dataclasses.replace(
    FLOW,
    sources=(),
    outputs=tuple(
        Part(name=f"out-{number}", protocol="srt-caller", health="DISCONNECTED" if number in (4, 7) else "CONNECTED")
        for number in range(10)
    ),
)
STARTING: Final = dataclasses.replace(
    needing(ALONE), verb=Verb.START, flow=dataclasses.replace(FLOW, status="STANDBY"), reason=None
)

PASSING: Final = dataclasses.replace(ALONE, rule="on-call stops, two approve", mentions=TWO.mentions)
URGENT: Final = dataclasses.replace(
    needing(PASSING),
    emergency=Emergency(members=("media-leads", "U0BOB"), passed_over=TWO.approvers, announced_in="C0HOME"),
)
UNREAD: Final = dataclasses.replace(URGENT, flow=Flow(flow_id=FLOW.flow_id, name="", region="hk-1", status=""))
NOBODYS: Final = dataclasses.replace(URGENT, emergency=Emergency(members=("media-leads",), passed_over=()))


def urgent(seen: Request = URGENT, **facts: Any) -> Request:
    """Return the request with changed facts of its emergency."""
    assert seen.emergency is not None
    return dataclasses.replace(seen, emergency=dataclasses.replace(seen.emergency, **facts))


PRESSED: Final = urgent(first_at=AT + 5)


def used(
    how: OutcomeKind = OutcomeKind.DONE, *, status: str | None = "STANDBY", by: Actor = ALICE, **facts: Any
) -> Request:
    """Return a finished emergency whose second press was made by `by`."""
    votes = (Vote(actor=ALICE, at=AT + 5), Vote(actor=by, at=AT + 9))
    confirmed = dataclasses.replace(PRESSED, state=State.APPROVED, votes=votes, decided_at=AT + 9)
    running = transitions.begin(confirmed, at=AT + 10)
    return transitions.finish(running, Outcome(how=how, status=status, **facts), at=AT + 11)


def reviewed(verdict: Verdict, comment: str | None) -> Request:
    """Return a finished emergency with its review."""
    return urgent(used(), review=Review(actor=CAROL, at=AT + 600, verdict=verdict, comment=comment))


CARDS: Final[Mapping[str, Request]] = {
    "pending one approval": PENDING,
    "pending first of two": transitions.approve(needing(TWO), Vote(actor=CAROL, at=AT + 60), needed=2),
    "pending confirmation": needing(ALONE),
    "pending after a recent deny": dataclasses.replace(PENDING, recently_denied_by=DAVE),
    "pending many outputs": dataclasses.replace(PENDING, flow=MANY, reason=None),
    "pending dry run": DRY,
    "pending start": STARTING,
    "pending from the host": dataclasses.replace(PENDING, requester=HOST_ALICE),
    "pending for the host": needing(dataclasses.replace(ONE, door=Door.HOST)),
    "pending confirmation on the host": needing(dataclasses.replace(ALONE, door=Door.HOST)),
    "approved": approved(),
    "approved on the host": transitions.approve(PENDING, Vote(actor=HOST_CAROL, at=AT + 60), needed=1),
    "approved held up": transitions.hold_up(approved(), until=AT + 70),
    "confirmed": approved(needing(ALONE)),
    "approved while the key is locked": transitions.hold_up(approved(), until=AT + 70, trouble=KEY_LOCKED),
    "running": transitions.begin(approved(), at=AT + 61),
    "running read back": transitions.wait(begun(), Awaiting.READING, until=AT + 72, trouble=TIMEOUT),
    "running to be repeated": transitions.wait(begun(), Awaiting.TRY, until=AT + 74, trouble=TIMEOUT),
    "running accepted": transitions.accept(begun(), at=AT + 62, until=AT + 64),
    "stopped": finished(OutcomeKind.DONE, status="STANDBY"),
    "stopped after confirmation": finished(OutcomeKind.DONE, status="STANDBY", seen=needing(ALONE)),
    "already": finished(OutcomeKind.ALREADY, status="STANDBY"),
    "confirmed standby": finished(OutcomeKind.CONFIRMED, status="STANDBY", failure=STANDBY_ALREADY),
    "rehearsed": finished(OutcomeKind.REHEARSED, seen=DRY),
    "refused": finished(OutcomeKind.REFUSED, failure=NO_RIGHT),
    "unreadable": finished(OutcomeKind.UNREADABLE, failure=NO_RIGHT),
    "still active": finished(OutcomeKind.NOT_DONE, status="ACTIVE"),
    "undone": finished(OutcomeKind.UNDONE, status="ACTIVE", failure=TIMEOUT),
    "paused before another try": finished(OutcomeKind.REFUSED, status="ACTIVE", failure=THROTTLED, halt=PAUSED_SINCE),
    "denied before another try": finished(OutcomeKind.UNDONE, status="ACTIVE", failure=TIMEOUT, halt=DENIED_SINCE),
    "no rule before another try": finished(OutcomeKind.REFUSED, failure=THROTTLED, halt=Halt()),
    "too few votes before another try": finished(
        OutcomeKind.REFUSED, status="ACTIVE", failure=UNREACHED, halt=SHORT_SINCE
    ),
    "read back": finished(OutcomeKind.READ_BACK, status="STANDBY", failure=TIMEOUT),
    "changed again": transitions.look_back(
        finished(OutcomeKind.DONE, status="STANDBY", look_again_at=AT + 72), changed_to="ACTIVE", at=AT + 72
    ),
    "lost": finished(OutcomeKind.LOST, failure=TIMEOUT, look_again_at=AT + 67),
    "lost for good": transitions.give_up(
        finished(OutcomeKind.LOST, failure=TIMEOUT, look_again_at=AT + 67), at=AT + 3662
    ),
    "denied": ended(Event.DENY, ReplyKind.DENIED, actor=CAROL),
    "denied on the host": ended(Event.DENY, ReplyKind.DENIED, actor=HOST_CAROL, reason="the backup is not up yet"),
    "denied with reason": ended(Event.DENY, ReplyKind.DENIED, actor=CAROL, reason="the backup is not up yet"),
    "denied by a pause": ended(Event.DENY, ReplyKind.DENIED, seen=approved(), reason="the console team works on it"),
    "denied by policy": ended(Event.DENY, ReplyKind.DENIED, seen=approved(), rule="freeze during the final"),
    "denied by no rule": ended(Event.DENY, ReplyKind.DENIED, seen=approved(), who_could=("media-oncall", "U0BOB")),
    "expired unapproved": ended(Event.EXPIRE, ReplyKind.EXPIRED),
    "expired unconfirmed": ended(Event.EXPIRE, ReplyKind.EXPIRED, seen=needing(ALONE)),
    "expired unbegun": ended(Event.EXPIRE, ReplyKind.EXPIRED, seen=approved()),
    "withdrawn": ended(Event.WITHDRAW, ReplyKind.WITHDRAWN, actor=ALICE),
    "withdrawn by Slack": ended(Event.WITHDRAW, ReplyKind.WITHDRAWN, code="not_in_channel"),
    "superseded": ended(Event.SUPERSEDE, ReplyKind.SUPERSEDED),
    "superseded by somebody": ended(Event.SUPERSEDE, ReplyKind.SUPERSEDED, actor=BOB),
    "emergency": URGENT,
    "emergency unread": UNREAD,
    "emergency over nobody": NOBODYS,
    "emergency dry run": dataclasses.replace(URGENT, dry_run=True),
    "emergency start": dataclasses.replace(URGENT, verb=Verb.START, flow=STARTING.flow),
    "emergency pressed": PRESSED,
    "emergency for a second": urgent(PRESSED, needs_second=True),
    "emergency over the limit": urgent(URGENT, needs_second=True),
    "emergency confirmed": dataclasses.replace(used(by=BOB), operation=PENDING.operation),
    "emergency denied": ended(Event.DENY, ReplyKind.DENIED, seen=PRESSED, actor=CAROL),
    "emergency stopped": used(),
    "emergency refused": used(OutcomeKind.REFUSED, status=None, failure=NO_RIGHT),
    "emergency lost": transitions.wait(
        used(OutcomeKind.LOST, status=None, failure=TIMEOUT), Awaiting.READING, until=AT + 20, trouble=TIMEOUT
    ),
    "emergency justified": reviewed(Verdict.JUSTIFIED, "the encoder was on fire"),
    "emergency not justified": reviewed(Verdict.NOT_JUSTIFIED, None),
}


def told(seen: Request) -> tuple[Request, Reply]:
    """Return the request with the last reply that it queued."""
    return seen, seen.unsent[-1]


FELL: Final = transitions.fall_short(
    approved(needing(TWO)), lost=(Vote(actor=DAVE, at=AT + 60),), terms=TWO, at=AT + 61
)
UNCONFIRMED: Final = transitions.fall_short(
    approved(needing(ALONE)), lost=(Vote(actor=ALICE, at=AT + 60),), terms=ALONE, at=AT + 61
)


def said(
    seen: Request, what: ReplyKind, *, actor: Actor | None = None, reason: str | None = None
) -> tuple[Request, Reply]:
    """Return the request with this reply queued."""
    return told(transitions.say(seen, what, at=AT, actor=actor, reason=reason))


REPLIES: Final[Mapping[str, tuple[Request, Reply]]] = {
    "asked": told(transitions.say(PENDING, ReplyKind.ASKED, at=AT, needed=1)),
    "asked of two": told(transitions.say(needing(TWO), ReplyKind.ASKED, at=AT, needed=2)),
    "asked of nobody": told(transitions.say(needing(ALONE), ReplyKind.ASKED, at=AT)),
    "asked and decided": told(transitions.say(CARDS["denied"], ReplyKind.ASKED, at=AT, needed=1)),
    "asked dry run": told(transitions.say(DRY, ReplyKind.ASKED, at=AT, needed=1)),
    "linked": told(transitions.say(PENDING, ReplyKind.LINKED, at=AT, actor=ALICE)),
    "reminded": told(transitions.remind(PENDING, at=AT + 300)),
    "voted first of two": told(transitions.approve(needing(TWO), Vote(actor=CAROL, at=AT + 60), needed=2)),
    "voted complete": told(approved(needing(TWO))),
    "confirmed": told(approved(needing(ALONE))),
    "fell off": told(FELL),
    "fell off confirmation": told(UNCONFIRMED),
    "denied": told(CARDS["denied"]),
    "denied on the host": told(CARDS["denied on the host"]),
    "voted on the host": told(CARDS["approved on the host"]),
    "denied with reason": told(CARDS["denied with reason"]),
    "denied by a pause": told(CARDS["denied by a pause"]),
    "denied by policy": told(CARDS["denied by policy"]),
    "denied by no rule": told(CARDS["denied by no rule"]),
    "deny reason": told(transitions.explain_denial(CARDS["denied"], reason="the backup is not up yet", at=AT + 150)),
    "withdrawn": told(CARDS["withdrawn"]),
    "withdrawn by Slack": told(CARDS["withdrawn by Slack"]),
    "expired unapproved": told(CARDS["expired unapproved"]),
    "expired unconfirmed": told(CARDS["expired unconfirmed"]),
    "expired unbegun": told(CARDS["expired unbegun"]),
    "calling": told(transitions.call_takes_long(CARDS["running"], at=AT + 66)),
    "changed again": told(CARDS["changed again"]),
    "given up": told(CARDS["lost for good"]),
    "outcome stopped": told(CARDS["stopped"]),
    "outcome already": told(CARDS["already"]),
    "outcome confirmed standby": told(CARDS["confirmed standby"]),
    "outcome rehearsed": told(CARDS["rehearsed"]),
    "outcome unreadable": told(CARDS["unreadable"]),
    "outcome still active": told(CARDS["still active"]),
    "outcome undone": told(CARDS["undone"]),
    "outcome read back": told(CARDS["read back"]),
    "outcome lost": told(CARDS["lost"]),
    "superseded": told(CARDS["superseded"]),
    "superseded by somebody": told(CARDS["superseded by somebody"]),
    "emergency": said(URGENT, ReplyKind.EMERGENCY),
    "emergency over nobody": said(NOBODYS, ReplyKind.EMERGENCY),
    "emergency dry run": said(CARDS["emergency dry run"], ReplyKind.EMERGENCY),
    "announced": said(URGENT, ReplyKind.ANNOUNCED, reason=URGENT.reason),
    "announced of a private channel": said(URGENT, ReplyKind.ANNOUNCED),
    "emergency over the limit": said(CARDS["emergency over the limit"], ReplyKind.EMERGENCY),
    "announced over the limit": said(CARDS["emergency over the limit"], ReplyKind.ANNOUNCED, reason=URGENT.reason),
    "pressed first": said(PRESSED, ReplyKind.PRESSED_FIRST, actor=ALICE),
    "pressed first over the limit": said(CARDS["emergency for a second"], ReplyKind.PRESSED_FIRST, actor=ALICE),
    "confirmed emergency": said(CARDS["emergency confirmed"], ReplyKind.CONFIRMED, actor=BOB),
    "denied emergency": told(CARDS["emergency denied"]),
    "outcome emergency": said(CARDS["emergency stopped"], ReplyKind.OUTCOME),
    "review open": said(CARDS["emergency stopped"], ReplyKind.REVIEW_OPEN),
    "review for the last time": told(transitions.remind_of_review(used(), at=AT + 11 + 7 * 86_400)),
    "review that nobody may close": said(urgent(used(), judges=()), ReplyKind.REVIEW_OPEN),
    "review open after a second": said(used(by=DAVE), ReplyKind.REVIEW_OPEN),
    "review open for nobody known": said(urgent(needing(ALONE, used()), passed_over=()), ReplyKind.REVIEW_OPEN),
    "review open and closed": said(CARDS["emergency justified"], ReplyKind.REVIEW_OPEN),
    "reviewed justified": said(CARDS["emergency justified"], ReplyKind.REVIEWED, actor=CAROL),
    "reviewed not justified": said(CARDS["emergency not justified"], ReplyKind.REVIEWED, actor=CAROL),
    **{
        f"outcome {name}": told(CARDS[name])
        for name in (
            "paused before another try",
            "denied before another try",
            "no rule before another try",
            "too few votes before another try",
        )
    },
    "unexpected": said(PENDING, ReplyKind.UNEXPECTED, reason="ab12cd34"),
    "outcome lost without a word": told(finished(OutcomeKind.LOST)),
    **{
        f"outcome refused {name}": told(finished(OutcomeKind.REFUSED, failure=failure))
        for name, failure in FAILURES.items()
    },
}

LINK: Final = answers.CardLink(
    request_id="req-1", verb=Verb.STOP, flow="main-feed", channel="C0INCIDENT", ts="1770000001.000100"
)
UNPOSTED: Final = dataclasses.replace(LINK, ts=None)


def refused(why: Why, *, action: str = "stop", **facts: object) -> answers.Refused:
    """Return a refusal under the usual rule."""
    usual: dict[str, object] = {"rule": "on-call stops, a lead approves", "who_could": ("media-oncall", "U0BOB")}
    decision = Refuse(why=why, **(usual | facts))  # type: ignore[arg-type]  # facts are the fields that a case changes
    return answers.Refused(action=action, flow="main-feed", decision=decision)


def settled(state: State, progress: Progress = Progress.CANCELLED, by: str | None = "U0CAROL") -> answers.Settled:
    """Return the answer to a click that came too late."""
    return answers.Settled(button=Button.APPROVE, card=LINK, state=state, progress=progress, by=by, at=AT + 60)


REFUSALS: Final[Mapping[str, answers.Refused]] = {
    "outsider": refused(Why.OUTSIDER, kind=Kind.GUEST, rule=None, who_could=()),
    "unreachable person": refused(Why.UNREACHABLE, kind=Kind.UNREACHABLE, rule=None, who_could=()),
    "unreachable group": refused(Why.UNREACHABLE, groups=("S0MEDIAGRP",)),
    "unreachable ids": refused(Why.UNREACHABLE, groups=("W0BOB", "S0MEDIAGRP")),
    "unreachable at the click": refused(Why.UNREACHABLE, action=Button.APPROVE, groups=("S0MEDIAGRP",), who_could=()),
    "no rule": refused(Why.NO_RULE, rule=None),
    "no emergency": refused(Why.NO_EMERGENCY, rule="two leads in the evening", approvals=2),
    "no emergency for anybody": refused(Why.NO_EMERGENCY, rule=None, who_could=()),
    "own emergency reviewed": refused(Why.OWN_REQUEST, action=Button.REVIEW, who_could=("media-leads",)),
    "second presser reviews": refused(Why.ALREADY_VOTED, action=Button.REVIEW, who_could=("media-leads",)),
    "not requester presses first": refused(Why.NOT_REQUESTER, action=Button.EMERGENCY_FIRST, who_could=("U0ALICE",)),
    "not requester presses again": refused(Why.NOT_REQUESTER, action=Button.EMERGENCY_CONFIRM, who_could=("U0ALICE",)),
    "no rule for anybody": refused(Why.NO_RULE, rule=None, who_could=()),
    "no rule but everybody": refused(Why.NO_RULE, rule=None, who_could=("*",)),
    "deny rule": refused(Why.DENY_RULE, rule="freeze during the final", who_could=("S0MEDIAGRP", "U0CAROL")),
    "frozen": refused(Why.DENY_RULE, rule="on-call stops", who_could=(), until=1_770_001_800.0),
    "approved at another door": refused(
        Why.OTHER_DOOR, action=Button.APPROVE, rule="premium stops, on the host", who_could=()
    ),
    "not an operator": refused(Why.NOT_OPERATOR, action="do this", rule=None, who_could=()),
    "paused": refused(Why.PAUSED, rule=None, because="the console team <works> on it"),
    "unsatisfiable": refused(Why.UNSATISFIABLE, approvals=2, candidates=1),
    "unsatisfiable by anybody": refused(Why.UNSATISFIABLE, approvals=1),
    "own request": refused(Why.OWN_REQUEST, action=Button.APPROVE, who_could=("media-leads",)),
    "own request confirmed": refused(Why.OWN_REQUEST, action=Button.CONFIRM, who_could=("media-leads",)),
    "not approver": refused(Why.NOT_APPROVER, action=Button.DENY, who_could=("media-leads",)),
    "not requester confirms": refused(Why.NOT_REQUESTER, action=Button.CONFIRM, who_could=("U0ALICE", "media-leads")),
    "not requester withdraws": refused(Why.NOT_REQUESTER, action=Button.WITHDRAW, who_could=("U0ALICE",)),
    "already voted": refused(Why.ALREADY_VOTED, action=Button.APPROVE, who_could=("media-leads",)),
}

NAME_MISSING: Final = answers.NameMissing(
    entry="entry-1", verb=Verb.STOP, flow="premium-1", rule="on-call stops, a lead approves"
)

ANSWERS: Final[Mapping[str, answers.AnyAnswer]] = {
    "opened": answers.Opened(card=LINK),
    "opened dry run": answers.Opened(card=LINK, dry_run=True),
    "opened unposted": answers.Opened(card=UNPOSTED),
    "joined": answers.Joined(card=LINK),
    "blocked": answers.Blocked(verb=Verb.START, card=LINK),
    "held in private": answers.HeldInPrivate(
        verb=Verb.STOP, held_by=Verb.STOP, flow="main-feed", requester="U0ALICE", approvers=("media-leads", "U0ERIN")
    ),
    "blocked in private": answers.HeldInPrivate(
        verb=Verb.START, held_by=Verb.STOP, flow="main-feed", requester="U0ALICE"
    ),
    **{f"refused {name}": value for name, value in REFUSALS.items()},
    "refused with people": dataclasses.replace(REFUSALS["not approver"], people=("U0CAROL", "S0LEADS")),
    "reason missing": answers.ReasonMissing(
        entry="entry-1",
        verb=Verb.STOP,
        flow="main-feed",
        rule="on-call stops, a lead approves",
        typed="stop main-feed",
    ),
    "reason missing dry run": answers.ReasonMissing(
        entry="entry-1",
        verb=Verb.STOP,
        flow="main-feed",
        rule="on-call stops, a lead approves",
        typed="stop main-feed --dry-run",
        dry_run=True,
    ),
    "name missing": NAME_MISSING,
    "name missing dry run": dataclasses.replace(NAME_MISSING, dry_run=True),
    "name and reason missing": dataclasses.replace(NAME_MISSING, reason_too=True),
    "name wrong": dataclasses.replace(NAME_MISSING, typed="premium-2"),
    "name wrong and reason missing": dataclasses.replace(NAME_MISSING, typed="premium-2", reason_too=True),
    "name missing of a nameless flow": dataclasses.replace(NAME_MISSING, flow=FLOW.flow_id, nameless=True),
    "already so": answers.AlreadySo(verb=Verb.STOP, project="hk", flow=dataclasses.replace(FLOW, status="STANDBY")),
    "no such flow": answers.NoSuchFlow(typed="main-fed", project="hk"),
    "no such flow but near": answers.NoSuchFlow(
        typed="main-fed", project="hk", candidates=((FLOW.flow_id, "main-feed"), ("f-2", "main-feed-b"))
    ),
    "ambiguous flow": answers.NoSuchFlow(
        typed="main-feed", project="hk", candidates=((FLOW.flow_id, "main-feed"), ("f-2", "main-feed")), ambiguous=True
    ),
    **{
        f"unreadable {name}": answers.Unreadable(typed="main-feed", project="hk", failure=failure)
        for name, failure in FAILURES.items()
    },
    "which project": answers.WhichProject(typed=None, projects=("hk", "eu")),
    "unknown project": answers.WhichProject(typed="hongkong", projects=("hk", "eu")),
    "cannot post": answers.CannotPost(channel="C0INCIDENT", code="not_in_channel"),
    "shared channel": answers.SharedChannel(channel="C0INCIDENT", project="hk"),
    "shared channel perhaps": answers.SharedChannel(channel="C0INCIDENT", project="hk", sure=False),
    "cannot post archived": answers.CannotPost(channel="C0INCIDENT", code="is_archived"),
    "cannot post otherwise": answers.CannotPost(channel="C0INCIDENT", code="restricted_action"),
    **{
        f"never shown {state}": answers.NeverShown(card=UNPOSTED, state=state)
        for state in (State.EXPIRED, State.DENIED, State.WITHDRAWN)
    },
    "never shown dry run": answers.NeverShown(card=UNPOSTED, state=State.EXPIRED, dry_run=True),
    "too late": answers.TooLate(waited=75.4),
    "too many": answers.TooMany(most=60, wait=12.1),
    "too many dry run": answers.TooMany(most=60, wait=0.2, dry_run=True),
    "settled pending": settled(State.PENDING, Progress.WAITING, by=None),
    **{f"settled approved {progress}": settled(State.APPROVED, progress) for progress in Progress},
    "settled denied": settled(State.DENIED),
    "settled denied by policy": settled(State.DENIED, by=None),
    "settled expired": settled(State.EXPIRED, by=None),
    "settled withdrawn": settled(State.WITHDRAWN, by="U0ALICE"),
    "settled withdrawn by flowbot": settled(State.WITHDRAWN, by=None),
    "settled superseded": settled(State.SUPERSEDED, by=None),
    "no such request": answers.NoSuchRequest(),
    "checking": answers.Checking(),
    "noted": answers.Noted(what="denied without a reason"),
    "noted without words": answers.Noted(what=""),
    "settled pressed already": dataclasses.replace(
        settled(State.PENDING, Progress.WAITING, by="U0ALICE"), button=Button.EMERGENCY_FIRST
    ),
    "settled confirms nothing": dataclasses.replace(
        settled(State.PENDING, Progress.WAITING, by=None), button=Button.EMERGENCY_CONFIRM, at=None
    ),
    "settled presses nothing": dataclasses.replace(
        settled(State.PENDING, Progress.WAITING, by=None), button=Button.EMERGENCY_FIRST, at=None
    ),
    "settled reviewed": dataclasses.replace(settled(State.APPROVED, Progress.SUCCEEDED), button=Button.REVIEW),
    "settled nothing to review": dataclasses.replace(
        settled(State.APPROVED, Progress.RUNNING, by=None), button=Button.REVIEW, at=None
    ),
    "too soon": answers.TooSoon(flow="main-feed", wait=1.2),
    "too soon by a second": answers.TooSoon(flow="main-feed", wait=0.4, dry_run=True),
    "too soon without the first": answers.TooSoon(flow="main-feed", wait=None),
    "second needed": answers.SecondNeeded(
        flow="main-feed", used=3, limit=3, who_could=("media-leads",), people=("U0CAROL", "U0DAVE")
    ),
    "second needed of one": answers.SecondNeeded(flow="main-feed", used=4, limit=3, who_could=("U0CAROL",)),
    "review asked": answers.ReviewAsked(request_id="req-1", verb=Verb.STOP, flow="main-feed"),
    "deny reason asked": answers.DenyReasonAsked(request_id="req-1", flow="main-feed"),
    "unexpected": answers.Unexpected(error_id="ab12cd34"),
}
