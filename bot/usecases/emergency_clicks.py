"""What is pressed on an emergency: its two presses, a denial in between, and the review that it leaves open.

Each loads what it needs, decides, and settles the entry. How an emergency is asked for is in `asking`, who may use one
in `passing_over`.
"""

from typing import Literal

from bot.commands.deliveries import Button, Entry, Submitted
from bot.lifecycle import records, transitions
from bot.lifecycle.records import Emergency, ReplyKind, Request
from bot.lifecycle.states import Event, State
from bot.policy import break_glass, model
from bot.policy.model import Why
from bot.usecases import answers, commit, entry_result, ports
from bot.usecases import gate as gates
from bot.usecases.entry_result import EntryResult
from bot.usecases.gate import FRESHEST

Pressed = Literal[Button.EMERGENCY_FIRST, Button.EMERGENCY_CONFIRM, Button.REVIEW]
"""The buttons that only an emergency has."""


class EmergencyClicks:
    """Takes what is pressed on emergencies; any number may run side by side."""

    def __init__(self, *, store: ports.Store, gate: gates.Gate, settling: commit.Commits, clock: ports.Clock) -> None:
        self._store = store
        self._gate = gate
        self._settling = settling
        self._clock = clock

    async def press(self, entry: Entry, button: Pressed, seen: Request) -> EntryResult:
        """Carry out one of the buttons that only an emergency has."""
        match button:
            case Button.EMERGENCY_FIRST:
                return await self._press_first(entry, seen)
            case Button.EMERGENCY_CONFIRM:
                return await self._press_second(entry, seen)
            case Button.REVIEW:
                return await self._ask_for_review(entry, seen)

    async def _press_first(self, entry: Entry, seen: Request) -> EntryResult:
        """Take the first press, which is the requester's."""
        button, emergency = Button.EMERGENCY_FIRST, seen.emergency
        if emergency is None or seen.state is not State.PENDING:
            return await self._settling.tell(entry, entry_result.settled(seen, button))
        decision = await self._own(entry, seen, button) or await self._decide(entry, seen, button)
        if isinstance(decision, EntryResult):
            return decision
        if emergency.first_at is not None:
            return await self._settling.tell(entry, entry_result.settled(seen, button))
        used = await self._used(seen)
        over = used >= decision.limit
        pressed = await self._gate.judged(transitions.press_first(seen, at=entry.received_at, needs_second=over))
        answer = await self._second_needed(seen, decision, used) if over else None
        return await self._settling.save(entry, pressed, "pressed first", answer=answer)

    async def _press_second(self, entry: Entry, seen: Request) -> EntryResult:
        """Take the second press: the requester's own, or over the limit that of another who may use emergencies."""
        button, emergency = Button.EMERGENCY_CONFIRM, seen.emergency
        if emergency is None or seen.state is not State.PENDING:
            return await self._settling.tell(entry, entry_result.settled(seen, button))
        if (soon := _too_soon(entry, seen, emergency)) is not None:
            return await self._settling.tell(entry, soon)
        decision = await self._decide(entry, seen, button)
        if isinstance(decision, EntryResult):
            return decision
        settled = await self._as_a_second(entry, seen, emergency, decision)
        if settled is not None:
            return settled
        vote = records.Vote(actor=entry.actor, at=entry.received_at)
        alone = entry.actor.id == seen.requester.id and not seen.dry_run
        since = self._clock.now() - break_glass.DAY
        limit = ports.EmergencyLimit(person=seen.requester.id, since=since, most=decision.limit) if alone else None
        confirmed = await self._gate.judged(transitions.confirm_emergency(seen, vote))
        return await self._settling.save(entry, confirmed, "confirmed", limit=limit)

    async def deny(self, entry: Entry, seen: Request, *, reason: str | None) -> EntryResult:
        """Let somebody who was passed over end an emergency before it is confirmed."""
        if seen.state is not State.PENDING:
            return await self._settling.tell(entry, entry_result.settled(seen, Button.DENY))
        refusal = await self._gate.refuse_judge(seen, entry.actor, max_age=FRESHEST)
        if refusal is not None:
            return await self._settling.refuse(entry, seen, Button.DENY, refusal)
        ending = records.Ending(actor=entry.actor, at=entry.received_at, reason=reason)
        denied = transitions.end(seen, Event.DENY, ending, said=ReplyKind.DENIED)
        asked = None if reason else answers.DenyReasonAsked(request_id=seen.id, flow=seen.flow.called)
        return await self._settling.save(entry, denied, "denied", answer=asked)

    async def _ask_for_review(self, entry: Entry, seen: Request) -> EntryResult:
        """Hand the modal of a review to whoever may fill it in."""
        refused = await self._refuse_review(entry, seen)
        asked = answers.ReviewAsked(request_id=seen.id, verb=seen.verb, flow=seen.flow.called)
        return refused or await self._settling.tell(entry, asked)

    async def review(self, entry: Entry, submitted: Submitted) -> EntryResult:
        """Close the review with the verdict of somebody who may."""
        seen = await self._store.load(submitted.request_id)
        if seen is None or submitted.verdict is None:
            return await self._settling.tell(entry, answers.NoSuchRequest())
        if isinstance(known := await self._gate.identify(seen, entry.actor), model.Refuse):
            return await self._settling.refuse(entry, seen, Button.REVIEW, known)
        if (refused := await self._refuse_review(entry, seen := known)) is not None:
            return refused
        given = records.Review(
            actor=entry.actor, at=entry.received_at, verdict=submitted.verdict, comment=submitted.reason
        )
        facts = {"verdict": given.verdict, "comment": given.comment}
        return await self._settling.save(entry, transitions.review(seen, given), "reviewed", facts=facts)

    async def _own(self, entry: Entry, seen: Request, button: Button) -> EntryResult | None:
        """Refuse whoever is not the requester."""
        if entry.actor.id == seen.requester.id:
            return None
        no = model.Refuse(why=Why.NOT_REQUESTER, rule=seen.terms.rule, who_could=(seen.requester.user,))
        return await self._settling.refuse(entry, seen, button, no)

    async def _decide(self, entry: Entry, seen: Request, button: Button) -> break_glass.AllowEmergency | EntryResult:
        """Decide again for the requester; an emergency that they may not use any more ends."""
        decision = await self._gate.decide_emergency(seen.requester, gates.subject_of(seen), max_age=FRESHEST)
        if not isinstance(decision, model.Refuse):
            return decision
        if decision.why is Why.UNREACHABLE:
            return await self._settling.refuse(entry, seen, button, decision)
        denied = commit.denied_by_policy(seen, decision, at=self._clock.now())
        return await self._settling.save(entry, denied, "denied by policy", answer=entry_result.settled(denied, button))

    async def _as_a_second(
        self, entry: Entry, seen: Request, emergency: Emergency, decision: break_glass.AllowEmergency
    ) -> EntryResult | None:
        """Settle a second press that does not count; None where it does."""
        used = await self._used(seen)
        over = used >= decision.limit
        if entry.actor.id == seen.requester.id:
            return await self._want_second(entry, seen, emergency, decision, used) if over else None
        if not over and not emergency.needs_second:
            return await self._own(entry, seen, Button.EMERGENCY_CONFIRM)
        other = await self._gate.decide_emergency(entry.actor, gates.subject_of(seen), max_age=FRESHEST)
        if isinstance(other, model.Refuse):
            return await self._settling.refuse(entry, seen, Button.EMERGENCY_CONFIRM, other)
        return None

    async def _want_second(
        self, entry: Entry, seen: Request, emergency: Emergency, decision: break_glass.AllowEmergency, used: int
    ) -> EntryResult:
        answer = await self._second_needed(seen, decision, used)
        if emergency.needs_second:
            return await self._settling.tell(entry, answer)
        return await self._settling.save(entry, transitions.want_second(seen), "needs a second person", answer=answer)

    async def _used(self, seen: Request) -> int:
        """Count the emergencies of its requester that were let run within a day."""
        return await self._store.emergencies(seen.requester.id, since=self._clock.now() - break_glass.DAY)

    async def _second_needed(
        self, seen: Request, decision: break_glass.AllowEmergency, used: int
    ) -> answers.SecondNeeded:
        members = model.expand(self._gate.in_force, decision.members)
        who = await self._gate.stand_for((seen.requester,), (), max_age=FRESHEST)
        return answers.SecondNeeded(
            flow=seen.flow.called,
            used=used,
            limit=decision.limit,
            who_could=decision.members,
            people=tuple(ident for ident in members if model.behind((ident,), who)[0] != {seen.requester.id}),
            dry_run=seen.dry_run,
        )

    async def _refuse_review(self, entry: Entry, seen: Request) -> EntryResult | None:
        if not records.is_review_open(seen):
            return await self._settling.tell(entry, entry_result.settled(seen, Button.REVIEW))
        refusal = await self._gate.refuse_judge(seen, entry.actor, max_age=FRESHEST)
        return None if refusal is None else await self._settling.refuse(entry, seen, Button.REVIEW, refusal)


def _too_soon(entry: Entry, seen: Request, emergency: Emergency) -> answers.TooSoon | None:
    """Say that the second press does not count yet: by its time of receipt, as every click."""
    first_at = emergency.first_at
    wait = None if first_at is None else first_at + records.APART - entry.received_at
    if wait is not None and wait <= 0:
        return None
    return answers.TooSoon(flow=seen.flow.called, wait=wait, dry_run=seen.dry_run)
