"""Commit every change with its audit entry, in one transaction; also the result of an inbox entry and its answer.

It decides nothing about rights and requests.
"""

import dataclasses
from collections.abc import Mapping

from bot.commands.deliveries import Actor, Button, Clicked, Entry, Typed
from bot.lifecycle import records, transitions
from bot.lifecycle.records import ReplyKind, Request
from bot.lifecycle.states import Event, State
from bot.policy import model
from bot.usecases import answers, ports, visibility
from bot.usecases.gate import Gate


@dataclasses.dataclass(frozen=True, kw_only=True)
class CardCopy:
    """A message that looks like a card and is not the one that the store knows; `card` is."""

    channel: str
    ts: str
    card: answers.CardLink


@dataclasses.dataclass(frozen=True, kw_only=True)
class EntryResult:
    """What became of an entry: the request that it touched, the one that gave way to it, what its sender is told, and
    the copy that was clicked.
    """

    request_id: str | None = None
    superseded_id: str | None = None
    answer: answers.AnyAnswer | None = None
    copy: CardCopy | None = None


class Commits:
    """Writes changes for use cases and worker."""

    def __init__(self, *, store: ports.Store, clock: ports.Clock) -> None:
        self._store = store
        self._clock = clock

    async def write(
        self,
        change: ports.Change,
        what: str,
        *,
        facts: Mapping[str, object] | None = None,
        at: float | None = None,
        actor: Actor | None = None,
        about: Request | str | None = None,
    ) -> None:
        """Write a change with its line in the audit: what happened now, unless another time is given.

        It is about the request that changes, unless another one, or its id, is given; without `facts` it says how that
        stands. An emergency is marked as one. Raises errors.StoreError, as ports.Store.commit does.
        """
        about = change.request if about is None else about
        line = ports.AuditEvent(
            at=self._clock.now() if at is None else at,
            what=what,
            actor=actor,
            request_id=about.id if isinstance(about, Request) else about,
            facts=_facts(about if isinstance(about, Request) else None, facts),
        )
        await self._store.commit(dataclasses.replace(change, audit=(line, *change.audit)))


class EntryCommits(Commits):
    """Settles entries of the inbox."""

    def __init__(self, *, store: ports.Store, gate: Gate, clock: ports.Clock) -> None:
        super().__init__(store=store, clock=clock)
        self._gate = gate

    async def refuse(self, entry: Entry, request: Request, button: Button, refusal: model.Refuse) -> EntryResult:
        """Refuse a click or a submitted modal."""
        answer = self.refused(request, button, refusal)
        facts = {"action": button, "why": refusal.why, "rule": refusal.rule}
        change = ports.Change(entry=entry.key, answer=answer)
        await self.write(change, "refused", facts=facts, at=entry.received_at, actor=entry.actor, about=request)
        return EntryResult(answer=answer)

    def refused(self, request: Request, button: Button, refusal: model.Refuse) -> answers.Refused:
        """Return the refusal of a click, with the people who could do it instead."""
        no = refused(self._gate.policy, action=button, flow=request.flow.called, decision=refusal)
        return dataclasses.replace(no, dry_run=request.dry_run)

    async def turn_away(self, entry: Entry) -> EntryResult:
        """Drop an entry that belongs to another workspace, without effect or answer."""
        facts = {"for_teams": entry.for_teams}
        await self.write(ports.Change(entry=entry.key), "another workspace", facts=facts, actor=entry.actor)
        return EntryResult()

    async def tell(self, entry: Entry, answer: answers.AnyAnswer) -> EntryResult:
        """Answer the sender without changing anything."""
        arrival, facts = entry.arrival, dict[str, object](answer=answer.kind)
        if isinstance(arrival, Clicked):
            facts["button"] = arrival.button
        about = None if isinstance(arrival, Typed) else arrival.request_id
        change = ports.Change(entry=entry.key, answer=answer)
        await self.write(change, "answered", facts=facts, actor=entry.actor, about=about)
        return EntryResult(answer=answer)

    async def save(
        self,
        entry: Entry,
        changed: Request,
        what: str,
        *,
        answer: answers.AnyAnswer | None = None,
        facts: Mapping[str, object] | None = None,
        limit: ports.EmergencyLimit | None = None,
    ) -> EntryResult:
        """Write the request's next version and the answer to the sender."""
        pressed = entry.arrival.message_ts if isinstance(entry.arrival, Clicked) else None
        if changed.ending is not None and changed.card.ts is None and pressed is not None:
            # Slack's reply to posting the card was lost, but the person who clicked saw it there.
            await self._store.card_seen(changed.id, ts=pressed)
        change = ports.Change(request=changed, entry=entry.key, answer=answer, limit=limit)
        await self.write(change, what, facts=facts, at=entry.received_at, actor=entry.actor)
        return EntryResult(request_id=changed.id, answer=answer)


def refused(policy: model.Policy, *, action: str, flow: str, decision: model.Refuse) -> answers.Refused:
    """Return a no, with the people behind the sets that could do it."""
    people = model.expand(policy, decision.who_could)
    return answers.Refused(action=action, flow=flow, decision=decision, people=people)


def settled(request: Request, button: Button) -> answers.Settled:
    """Say what a request is now, to somebody whose click came too late for it."""
    actor, at = _settled_by(request, button)
    return answers.Settled(
        button=button,
        card=visibility.card_link(request),
        state=request.state,
        progress=request.operation.progress,
        by=None if actor is None else actor.user,
        at=at,
        dry_run=request.dry_run,
    )


def _settled_by(request: Request, button: Button) -> tuple[Actor | None, float | None]:
    emergency = request.emergency
    if button is Button.REVIEW:
        review = None if emergency is None else emergency.review
        return (None, None) if review is None else (review.actor, review.at)
    if button is Button.EMERGENCY_FIRST and request.state is State.PENDING and emergency is not None:
        return (None if emergency.first_at is None else request.requester), emergency.first_at
    if request.ending is not None:
        return request.ending.actor, request.ending.at
    return (request.votes[-1].actor if request.votes else None), request.decided_at


def denied_by_policy(request: Request, decision: model.Refuse, *, at: float) -> Request:
    """End a request that the current policy no longer allows."""
    reason = decision.because or None
    ending = records.Ending(actor=None, at=at, reason=reason, rule=decision.rule, who_could=decision.who_could)
    return transitions.end(request, Event.DENY, ending, said=ReplyKind.DENIED)


def denial(denied: Request) -> Mapping[str, object] | None:
    """Return the facts of a denial for which a reason was given; without one they are those of any step."""
    reason = None if denied.ending is None else denied.ending.reason
    return None if reason is None else {"state": denied.state, "version": denied.version, "reason": reason}


def _facts(request: Request | None, noted: Mapping[str, object] | None) -> dict[str, object]:
    if request is None:
        return {**(noted or {})}
    if noted is None:
        noted = {"state": request.state, "progress": request.operation.progress, "version": request.version}
    return {**noted, **({} if request.emergency is None else {"emergency": True})}
