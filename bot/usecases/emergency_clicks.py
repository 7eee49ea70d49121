"""Clicks on emergencies: the two presses, a denial between them, and the review.

Emergencies are opened in `open_request`; who may use one is decided in `policy/break_glass`.
"""

from typing import Literal

from bot.commands.deliveries import Button, Entry, Submitted
from bot.lifecycle import records, transitions
from bot.lifecycle.records import Emergency, ReplyKind, Request
from bot.lifecycle.states import Event, State
from bot.policy import break_glass, model, voting
from bot.policy.model import Why
from bot.usecases import answers, commit, ports
from bot.usecases.commit import EntryResult
from bot.usecases.gate import FRESHEST, Gate, subject_of

Pressed = Literal[Button.EMERGENCY_FIRST, Button.EMERGENCY_CONFIRM, Button.REVIEW]
"""The buttons that only an emergency has."""


class EmergencyClicks:
    """Carries out clicks on emergencies; any number may run concurrently."""

    def __init__(self, *, store: ports.Store, gate: Gate, commits: commit.EntryCommits, clock: ports.Clock) -> None:
        self._store = store
        self._gate = gate
        self._commits = commits
        self._clock = clock

    async def press(self, entry: Entry, button: Pressed, request: Request) -> EntryResult:
        """Carry out one of the buttons that only an emergency has."""
        match button:
            case Button.EMERGENCY_FIRST:
                return await self._press_first(entry, request)
            case Button.EMERGENCY_CONFIRM:
                return await self._press_second(entry, request)
            case Button.REVIEW:
                return await self._ask_for_review(entry, request)

    async def _press_first(self, entry: Entry, request: Request) -> EntryResult:
        """Take the first press, which must be the requester's."""
        button, emergency = Button.EMERGENCY_FIRST, request.emergency
        if emergency is None or request.state is not State.PENDING:
            return await self._commits.tell(entry, commit.settled(request, button))
        decision = await self._own(entry, request, button) or await self._decide_at_door(entry, request, button)
        if isinstance(decision, EntryResult):
            return decision
        if emergency.first_at is not None:
            return await self._commits.tell(entry, commit.settled(request, button))
        used = await self._used(request)
        over = used >= decision.limit
        pressed = await self._gate.judged(transitions.press_first(request, at=entry.received_at, needs_second=over))
        answer = await self._second_needed(request, decision, used) if over else None
        return await self._commits.save(entry, pressed, "pressed first", answer=answer)

    async def _press_second(self, entry: Entry, request: Request) -> EntryResult:
        """Take the second press: the requester's, or over the limit that of another member of the emergency rule."""
        button, emergency = Button.EMERGENCY_CONFIRM, request.emergency
        if emergency is None or request.state is not State.PENDING:
            return await self._commits.tell(entry, commit.settled(request, button))
        soon = _too_soon(entry, request, emergency)
        if soon is not None and soon.wait is None:
            return await self._commits.tell(entry, soon)
        decision = await self._decide_at_door(entry, request, button)
        if isinstance(decision, EntryResult):
            return decision
        settled = await self._as_a_second(entry, request, emergency, decision)
        if settled is not None:
            return settled
        if soon is not None:
            return await self._commits.tell(entry, soon)
        vote = records.Vote(actor=entry.actor, at=entry.received_at)
        alone = entry.actor.id == request.requester.id and not request.dry_run
        since = self._clock.now() - break_glass.DAY
        limit = ports.EmergencyLimit(person=request.requester.id, since=since, most=decision.limit) if alone else None
        confirmed = await self._gate.judged(transitions.confirm_emergency(request, vote))
        return await self._commits.save(entry, confirmed, "confirmed", limit=limit)

    async def deny(self, entry: Entry, request: Request, *, reason: str | None) -> EntryResult:
        """Let a judge deny an emergency before it is confirmed."""
        if request.state is not State.PENDING:
            return await self._commits.tell(entry, commit.settled(request, Button.DENY))
        refusal = await self._gate.refuse_judge(request, entry.actor, max_age=FRESHEST)
        if refusal is not None:
            return await self._commits.refuse(entry, request, Button.DENY, refusal)
        ending = records.Ending(actor=entry.actor, at=entry.received_at, reason=reason)
        denied = transitions.end(request, Event.DENY, ending, said=ReplyKind.DENIED)
        asked = None if reason else answers.DenyReasonAsked(request_id=request.id, flow=request.flow.called)
        return await self._commits.save(entry, denied, "denied", answer=asked, facts=commit.denial(denied))

    async def _ask_for_review(self, entry: Entry, request: Request) -> EntryResult:
        """Open the modal of a review, if the person may review."""
        refused = await self._refuse_review(entry, request)
        asked = answers.ReviewAsked(request_id=request.id, verb=request.verb, flow=request.flow.called)
        return refused or await self._commits.tell(entry, asked)

    async def review(self, entry: Entry, submitted: Submitted) -> EntryResult:
        """Record the review, if the person may review."""
        request = await self._store.load(submitted.request_id)
        if request is None or submitted.verdict is None:
            return await self._commits.tell(entry, answers.NoSuchRequest())
        if isinstance(known := await self._gate.identify(request, entry.actor), model.Refuse):
            return await self._commits.refuse(entry, request, Button.REVIEW, known)
        if (refused := await self._refuse_review(entry, request := known)) is not None:
            return refused
        given = records.Review(
            actor=entry.actor, at=entry.received_at, verdict=submitted.verdict, comment=submitted.reason
        )
        facts = {"verdict": given.verdict, "comment": given.comment}
        return await self._commits.save(entry, transitions.review(request, given), "reviewed", facts=facts)

    async def _own(self, entry: Entry, request: Request, button: Button) -> EntryResult | None:
        """Refuse anybody but the requester."""
        if entry.actor.id == request.requester.id:
            return None
        no = model.Refuse(why=Why.NOT_REQUESTER, rule=request.terms.rule, who_could=(request.requester.user,))
        return await self._commits.refuse(entry, request, button, no)

    async def _decide_at_door(
        self, entry: Entry, request: Request, button: Button
    ) -> break_glass.AllowEmergency | EntryResult:
        """Decide again for the requester, and refuse a press at a door at which the rule lets none count."""
        decision = await self._decide(entry, request, button)
        if isinstance(decision, EntryResult):
            return decision
        at_door = voting.refuse_door(decision, request.terms, entry.actor)
        return decision if at_door is None else await self._commits.refuse(entry, request, button, at_door)

    async def _decide(self, entry: Entry, request: Request, button: Button) -> break_glass.AllowEmergency | EntryResult:
        """Decide about the requester again; the emergency ends if they may no longer use one."""
        decision = await self._gate.decide_emergency(request.requester, subject_of(request), max_age=FRESHEST)
        if not isinstance(decision, model.Refuse):
            return decision
        if decision.why is Why.UNREACHABLE:
            return await self._commits.refuse(entry, request, button, decision)
        denied = commit.denied_by_policy(request, decision, at=self._clock.now())
        return await self._commits.save(entry, denied, "denied by policy", answer=commit.settled(denied, button))

    async def _as_a_second(
        self, entry: Entry, request: Request, emergency: Emergency, decision: break_glass.AllowEmergency
    ) -> EntryResult | None:
        """Settle a second press that does not count; return None if it counts."""
        used = await self._used(request)
        over = used >= decision.limit
        if entry.actor.id == request.requester.id:
            return await self._want_second(entry, request, emergency, decision, used) if over else None
        if not over and not emergency.needs_second:
            return await self._own(entry, request, Button.EMERGENCY_CONFIRM)
        other = await self._gate.decide_emergency(entry.actor, subject_of(request), max_age=FRESHEST)
        if isinstance(other, model.Refuse):
            return await self._commits.refuse(entry, request, Button.EMERGENCY_CONFIRM, other)
        return None

    async def _want_second(
        self, entry: Entry, request: Request, emergency: Emergency, decision: break_glass.AllowEmergency, used: int
    ) -> EntryResult:
        answer = await self._second_needed(request, decision, used)
        if emergency.needs_second:
            return await self._commits.tell(entry, answer)
        return await self._commits.save(entry, transitions.want_second(request), "needs a second person", answer=answer)

    async def _used(self, request: Request) -> int:
        """Count the emergencies of the requester that were confirmed within 24 hours."""
        return await self._store.emergencies(request.requester.id, since=self._clock.now() - break_glass.DAY)

    async def _second_needed(
        self, request: Request, decision: break_glass.AllowEmergency, used: int
    ) -> answers.SecondNeeded:
        members = model.expand(self._gate.policy, decision.members)
        who = await self._gate.stand_for((request.requester,), (), max_age=FRESHEST)
        return answers.SecondNeeded(
            flow=request.flow.called,
            used=used,
            limit=decision.limit,
            who_could=decision.members,
            people=tuple(ident for ident in members if model.behind((ident,), who)[0] != {request.requester.id}),
            dry_run=request.dry_run,
        )

    async def _refuse_review(self, entry: Entry, request: Request) -> EntryResult | None:
        if not records.is_review_open(request):
            return await self._commits.tell(entry, commit.settled(request, Button.REVIEW))
        refusal = await self._gate.refuse_judge(request, entry.actor, max_age=FRESHEST)
        return None if refusal is None else await self._commits.refuse(entry, request, Button.REVIEW, refusal)


def _too_soon(entry: Entry, request: Request, emergency: Emergency) -> answers.TooSoon | None:
    """Return how much too soon the second press was received, or None."""
    first_at = emergency.first_at
    wait = None if first_at is None else first_at + records.APART - entry.received_at
    if wait is not None and wait <= 0:
        return None
    return answers.TooSoon(flow=request.flow.called, wait=wait, dry_run=request.dry_run)
