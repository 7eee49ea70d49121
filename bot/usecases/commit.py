"""How an entry of the inbox is settled: what its sender is told, what changes, and the line in the audit of either.

One transaction each. It decides nothing about rights and requests.
"""

import dataclasses
from collections.abc import Mapping

from bot.commands.deliveries import Button, Clicked, Entry, Typed
from bot.lifecycle import records, transitions
from bot.lifecycle.records import ReplyKind, Request
from bot.lifecycle.states import Event
from bot.policy import model
from bot.usecases import answers, entry_result, ports
from bot.usecases.entry_result import EntryResult
from bot.usecases.gate import Gate


class Commits:
    """Settles entries, for the use cases."""

    def __init__(self, *, store: ports.Store, gate: Gate, clock: ports.Clock) -> None:
        self._store = store
        self._gate = gate
        self._clock = clock

    async def refuse(self, entry: Entry, request: Request, button: Button, refusal: model.Refuse) -> EntryResult:
        """Tell the sender of a click or a modal that they may not."""
        answer = self.refused(request, button, refusal)
        facts: dict[str, object] = {"action": button, "why": refusal.why, "rule": refusal.rule}
        line = event(entry, "refused", request, facts)
        await self._store.commit(ports.Change(entry=entry.key, answer=answer, audit=(line,)))
        return EntryResult(answer=answer)

    def refused(self, request: Request, button: Button, refusal: model.Refuse) -> answers.Refused:
        """Return the no to a click, with the people who could."""
        refused = entry_result.refused(self._gate.policy, action=button, flow=request.flow.called, decision=refusal)
        return dataclasses.replace(refused, dry_run=request.dry_run)

    async def turn_away(self, entry: Entry) -> EntryResult:
        """Settle an entry that turned out to be for another workspace: it has no effect, and nobody is told."""
        facts: dict[str, object] = {"for_teams": entry.for_teams}
        line = ports.AuditEvent(at=self._clock.now(), what="another workspace", actor=entry.actor, facts=facts)
        await self._store.commit(ports.Change(entry=entry.key, audit=(line,)))
        return EntryResult()

    async def tell(self, entry: Entry, answer: answers.AnyAnswer) -> EntryResult:
        """Tell the sender something that changes nothing."""
        arrival, facts = entry.arrival, dict[str, object](answer=answer.kind)
        if isinstance(arrival, Clicked):
            facts["button"] = arrival.button
        request_id = None if isinstance(arrival, Typed) else arrival.request_id
        line = ports.AuditEvent(
            at=self._clock.now(), what="answered", actor=entry.actor, request_id=request_id, facts=facts
        )
        await self._store.commit(ports.Change(entry=entry.key, answer=answer, audit=(line,)))
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
        """Write the request's next version, and what its sender is told."""
        pressed = entry.arrival.message_ts if isinstance(entry.arrival, Clicked) else None
        if changed.ending is not None and changed.card.ts is None and pressed is not None:
            # Slack's answer to the card was lost: whoever ends the request saw it there.
            await self._store.card_seen(changed.id, ts=pressed)
        line = event(entry, what, changed, facts)
        await self._store.commit(
            ports.Change(request=changed, entry=entry.key, answer=answer, limit=limit, audit=(line,))
        )
        return EntryResult(request_id=changed.id, answer=answer)


def denied_by_policy(request: Request, decision: model.Refuse, *, at: float) -> Request:
    """End a request that the policy in force refuses now."""
    reason = decision.because or None
    ending = records.Ending(actor=None, at=at, reason=reason, rule=decision.rule, who_could=decision.who_could)
    return transitions.end(request, Event.DENY, ending, said=ReplyKind.DENIED)


def denial(denied: Request) -> Mapping[str, object] | None:
    """Return the facts of a denial for which a reason was given; without one they are those of any step."""
    reason = None if denied.ending is None else denied.ending.reason
    return None if reason is None else {"state": denied.state, "version": denied.version, "reason": reason}


def event(entry: Entry, what: str, request: Request, facts: Mapping[str, object] | None = None) -> ports.AuditEvent:
    """Return the line in the audit of what somebody did to a request; an emergency is marked as one."""
    noted = facts or {"state": request.state, "progress": request.operation.progress, "version": request.version}
    mark = {"emergency": True} if request.emergency is not None else {}
    return ports.AuditEvent(
        at=entry.received_at, what=what, actor=entry.actor, request_id=request.id, facts={**noted, **mark}
    )
