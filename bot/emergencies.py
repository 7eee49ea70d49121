"""What is pressed on an emergency: its two presses, a denial in between, and the review that it leaves open.

Each loads what it needs, decides, and settles the entry. How an emergency is asked for is in `asking`, who may use one
in `passing_over`.
"""

from typing import Literal

from bot import answers, asking, gate, life, passing_over, policy, ports, request, settling
from bot.arrivals import Button, Entry, Submitted
from bot.asking import Taken
from bot.gate import FRESHEST
from bot.policy import Why
from bot.request import Emergency, Event, Request, Said, State

Pressed = Literal[Button.EMERGENCY_FIRST, Button.EMERGENCY_CONFIRM, Button.REVIEW]
"""The buttons that only an emergency has."""


class Emergencies:
    """Takes what is pressed on emergencies; any number may run side by side."""

    def __init__(self, *, store: ports.Store, gate: gate.Gate, settling: settling.Settling, clock: ports.Clock) -> None:
        self._store = store
        self._gate = gate
        self._settling = settling
        self._clock = clock

    async def press(self, entry: Entry, button: Pressed, seen: Request) -> Taken:
        """Carry out one of the buttons that only an emergency has."""
        match button:
            case Button.EMERGENCY_FIRST:
                return await self._press_first(entry, seen)
            case Button.EMERGENCY_CONFIRM:
                return await self._press_second(entry, seen)
            case Button.REVIEW:
                return await self._ask_for_review(entry, seen)

    async def _press_first(self, entry: Entry, seen: Request) -> Taken:
        """Take the first press, which is the requester's."""
        button, emergency = Button.EMERGENCY_FIRST, seen.emergency
        if emergency is None or seen.state is not State.PENDING:
            return await self._settling.tell(entry, asking.settled(seen, button))
        decision = await self._own(entry, seen, button) or await self._decide(entry, seen, button)
        if isinstance(decision, Taken):
            return decision
        if emergency.first_at is not None:
            return await self._settling.tell(entry, asking.settled(seen, button))
        used = await self._used(seen)
        over = used >= decision.limit
        pressed = await self._gate.judged(life.press_first(seen, at=entry.received_at, needs_second=over))
        answer = await self._second_needed(seen, decision, used) if over else None
        return await self._settling.save(entry, pressed, "pressed first", answer=answer)

    async def _press_second(self, entry: Entry, seen: Request) -> Taken:
        """Take the second press: the requester's own, or over the limit that of another who may use emergencies."""
        button, emergency = Button.EMERGENCY_CONFIRM, seen.emergency
        if emergency is None or seen.state is not State.PENDING:
            return await self._settling.tell(entry, asking.settled(seen, button))
        if (soon := _too_soon(entry, seen, emergency)) is not None:
            return await self._settling.tell(entry, soon)
        decision = await self._decide(entry, seen, button)
        if isinstance(decision, Taken):
            return decision
        settled = await self._as_a_second(entry, seen, emergency, decision)
        if settled is not None:
            return settled
        vote = request.Vote(actor=entry.actor, at=entry.received_at)
        alone = entry.actor.id == seen.requester.id and not seen.dry_run
        since = self._clock.now() - passing_over.DAY
        limit = ports.Limit(person=seen.requester.id, since=since, most=decision.limit) if alone else None
        confirmed = await self._gate.judged(life.confirm_emergency(seen, vote))
        return await self._settling.save(entry, confirmed, "confirmed", limit=limit)

    async def deny(self, entry: Entry, seen: Request, *, reason: str | None) -> Taken:
        """Let somebody who was passed over end an emergency before it is confirmed."""
        if seen.state is not State.PENDING:
            return await self._settling.tell(entry, asking.settled(seen, Button.DENY))
        refusal = await self._gate.refuse_judge(seen, entry.actor, max_age=FRESHEST)
        if refusal is not None:
            return await self._settling.refuse(entry, seen, Button.DENY, refusal)
        ending = request.Ending(actor=entry.actor, at=entry.received_at, reason=reason)
        denied = life.end(seen, Event.DENY, ending, said=Said.DENIED)
        asked = None if reason else answers.DenyReasonAsked(request_id=seen.id, flow=seen.flow.called)
        return await self._settling.save(entry, denied, "denied", answer=asked)

    async def _ask_for_review(self, entry: Entry, seen: Request) -> Taken:
        """Hand the modal of a review to whoever may fill it in."""
        refused = await self._refuse_review(entry, seen)
        asked = answers.ReviewAsked(request_id=seen.id, verb=seen.verb, flow=seen.flow.called)
        return refused or await self._settling.tell(entry, asked)

    async def review(self, entry: Entry, submitted: Submitted) -> Taken:
        """Close the review with the verdict of somebody who may."""
        seen = await self._store.load(submitted.request_id)
        if seen is None or submitted.verdict is None:
            return await self._settling.tell(entry, answers.NoSuchRequest())
        if isinstance(known := await self._gate.identify(seen, entry.actor), policy.Refuse):
            return await self._settling.refuse(entry, seen, Button.REVIEW, known)
        if (refused := await self._refuse_review(entry, seen := known)) is not None:
            return refused
        given = request.Review(
            actor=entry.actor, at=entry.received_at, verdict=submitted.verdict, comment=submitted.reason
        )
        facts = {"verdict": given.verdict, "comment": given.comment}
        return await self._settling.save(entry, life.review(seen, given), "reviewed", facts=facts)

    async def _own(self, entry: Entry, seen: Request, button: Button) -> Taken | None:
        """Refuse whoever is not the requester."""
        if entry.actor.id == seen.requester.id:
            return None
        no = policy.Refuse(why=Why.NOT_REQUESTER, rule=seen.terms.rule, who_could=(seen.requester.user,))
        return await self._settling.refuse(entry, seen, button, no)

    async def _decide(self, entry: Entry, seen: Request, button: Button) -> passing_over.Emergency | Taken:
        """Decide again for the requester; an emergency that they may not use any more ends."""
        decision = await self._gate.decide_emergency(seen.requester, gate.subject_of(seen), max_age=FRESHEST)
        if not isinstance(decision, policy.Refuse):
            return decision
        if decision.why is Why.UNREACHABLE:
            return await self._settling.refuse(entry, seen, button, decision)
        denied = settling.denied_by_policy(seen, decision, at=self._clock.now())
        return await self._settling.save(entry, denied, "denied by policy", answer=asking.settled(denied, button))

    async def _as_a_second(
        self, entry: Entry, seen: Request, emergency: Emergency, decision: passing_over.Emergency
    ) -> Taken | None:
        """Settle a second press that does not count; None where it does."""
        used = await self._used(seen)
        over = used >= decision.limit
        if entry.actor.id == seen.requester.id:
            return await self._want_second(entry, seen, emergency, decision, used) if over else None
        if not over and not emergency.needs_second:
            return await self._own(entry, seen, Button.EMERGENCY_CONFIRM)
        other = await self._gate.decide_emergency(entry.actor, gate.subject_of(seen), max_age=FRESHEST)
        if isinstance(other, policy.Refuse):
            return await self._settling.refuse(entry, seen, Button.EMERGENCY_CONFIRM, other)
        return None

    async def _want_second(
        self, entry: Entry, seen: Request, emergency: Emergency, decision: passing_over.Emergency, used: int
    ) -> Taken:
        answer = await self._second_needed(seen, decision, used)
        if emergency.needs_second:
            return await self._settling.tell(entry, answer)
        return await self._settling.save(entry, life.want_second(seen), "needs a second person", answer=answer)

    async def _used(self, seen: Request) -> int:
        """Count the emergencies of its requester that were let run within a day."""
        return await self._store.emergencies(seen.requester.id, since=self._clock.now() - passing_over.DAY)

    async def _second_needed(self, seen: Request, decision: passing_over.Emergency, used: int) -> answers.SecondNeeded:
        members = policy.expand(self._gate.in_force, decision.members)
        who = await self._gate.stand_for((seen.requester,), (), max_age=FRESHEST)
        return answers.SecondNeeded(
            flow=seen.flow.called,
            used=used,
            limit=decision.limit,
            who_could=decision.members,
            people=tuple(ident for ident in members if policy.behind((ident,), who)[0] != {seen.requester.id}),
            dry_run=seen.dry_run,
        )

    async def _refuse_review(self, entry: Entry, seen: Request) -> Taken | None:
        if not request.is_review_open(seen):
            return await self._settling.tell(entry, asking.settled(seen, Button.REVIEW))
        refusal = await self._gate.refuse_judge(seen, entry.actor, max_age=FRESHEST)
        return None if refusal is None else await self._settling.refuse(entry, seen, Button.REVIEW, refusal)


def _too_soon(entry: Entry, seen: Request, emergency: Emergency) -> answers.TooSoon | None:
    """Say that the second press does not count yet: by its time of receipt, as every click."""
    first_at = emergency.first_at
    wait = None if first_at is None else first_at + request.APART - entry.received_at
    if wait is not None and wait <= 0:
        return None
    return answers.TooSoon(flow=seen.flow.called, wait=wait, dry_run=seen.dry_run)
