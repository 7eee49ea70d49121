"""The call: the last checks before it, one try at a time, and reading the flow back to find the outcome.

The beginning of a call is recorded before the call is made, and its outcome before anybody is told.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable
from typing import Final

from bot.lifecycle import call_outcome, records, schedule, transitions
from bot.lifecycle.call_outcome import WANTED
from bot.lifecycle.cloud_failure import CloudFailure, Fault, Halt
from bot.lifecycle.records import Awaiting, Flow, Outcome, OutcomeKind, Request, Terms, Vote
from bot.policy import model, terms
from bot.usecases import clicks, commit, errors, ports
from bot.usecases.gate import FRESH, Gate, subject_of

LONG_CALL: Final = 5.0
"""Seconds after which a reply says that the cloud has not answered yet."""

STORE_AGAIN: Final = 1.0
"""Seconds between two attempts to record an outcome that only this process knows."""

AGAIN: Final = 2.0
"""Seconds until a call with a temporary obstacle is tried again; doubled with each obstacle in a row."""

AGAIN_AT_MOST: Final = 20.0

LEASE_NEEDED: Final = 12.0
"""Seconds that the lease must still hold before a try, which takes at most ten, so that no other replica takes over."""

PASSING: Final = (Fault.THROTTLED, Fault.NEVER_SENT, Fault.UNCERTAIN)
"""Failures of a read that are temporary."""


NO_PROJECT: Final = CloudFailure(fault=Fault.REJECTED, message="the project is no longer in the policy")


NOT_SENT: Final = CloudFailure(fault=Fault.NEVER_SENT, message="the policy changed right before the call")

DID_NOT_BEGIN: Final = "did not begin"
UNREAD: Final = "held up: the flow's state could not be read"
TOO_LATE: Final = "too late to call again"
"""Names of audit events."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Short:
    """Too few votes for the current policy: those that are `lost`, and the terms that the policy requires."""

    lost: tuple[Vote, ...]
    terms: Terms


class Caller:
    """Makes the calls of approved requests."""

    def __init__(self, *, store: ports.Store, cloud: ports.Cloud, gate: Gate, clock: ports.Clock) -> None:
        self._store = store
        self._cloud = cloud
        self._gate = gate
        self._clock = clock
        self._commits = commit.Commits(store=store, clock=clock)

    async def call(self, request: Request, *, moved: Callable[[], None] = lambda: None) -> None:
        """Read the flow, decide on its current state, call once, and record the outcome.

        `moved` is called if there is something to tell before the call ends.
        Raises, before the call: errors.Conflict if the request changed or flowbot was paused meanwhile,
        errors.LeaseLost if another replica may have taken over, and errors.StoreError if the database is unavailable.
        """
        gate = self._gate.pinned()
        if (paused := await gate.refuse_paused()) is not None:
            return await self.save(self._refused(request, paused), DID_NOT_BEGIN)
        flow = await self._read(gate, request)
        known = _renamed(request, flow)
        barrier = await self._check(gate, known, renamed=known is not request)
        if barrier is not None:
            return await self.save(self._did_not_begin(known, barrier), DID_NOT_BEGIN)
        if request.emergency is None and _may_pass(flow):
            trouble = flow if isinstance(flow, CloudFailure) else None
            return await self.save(self._held_up(request, trouble), UNREAD)
        early = _outcome_without_call(request, flow)
        if early is not None:
            return await self.save(
                transitions.settle_without_call(known, early, at=self._clock.now()), "ended without a call"
            )
        if self._clock.now() >= schedule.begin_by(request):
            return await self.save(clicks.expired(request, at=self._clock.now()), "expired")
        return await self._try(gate, transitions.begin(known, at=self._clock.now()), moved)

    async def call_again(self, request: Request, *, moved: Callable[[], None] = lambda: None) -> None:
        """Read the flow, decide on its current state, and call again, unless it is too late or now forbidden.

        Raises like `call`.
        """
        late = call_outcome.again(request, at=self._clock.now())
        if late.operation.awaiting is not Awaiting.REPLY:
            return await self.save(late, TOO_LATE)
        gate = self._gate.pinned()
        flow = await self._read(gate, request)
        known = _renamed(request, flow)
        barrier = await gate.refuse_paused() or await self._check(gate, known, renamed=known is not request)
        if isinstance(barrier, model.Refuse) and barrier.why is model.Why.UNREACHABLE:
            return await self.save(self._held_up(known), "held up: Slack could not be asked")
        if barrier is not None:
            halted = call_outcome.halt(known, flow, _halt(barrier), at=self._clock.now())
            return await self.save(halted, "not called again")
        if request.emergency is None and _may_pass(flow):
            return await self.save(self._held_up(known), UNREAD)
        settled = call_outcome.before_again(known, flow, at=self._clock.now())
        if settled is not None:
            return await self.save(settled, "read before another try")
        again = call_outcome.again(known, at=self._clock.now())
        if again.operation.awaiting is not Awaiting.REPLY:
            return await self.save(again, TOO_LATE)
        return await self._try(gate, again, moved)

    async def _try(self, gate: Gate, begun: Request, moved: Callable[[], None]) -> None:
        """Record that a try begins, make it, and record its outcome."""
        await self.save(begun, "call begins", unless_paused=True)
        if self._store.lease_left(begun.id) < LEASE_NEEDED:
            raise errors.LeaseLost(f"another replica may have taken over {begun.id}: no call was made")
        if gate.policy != self._gate.policy:
            return await self._record(begun, _never_sent, "not called: the policy changed")
        reply = await self._put(gate, begun, moved)
        return await self._record(
            begun, lambda newest, at: call_outcome.after_reply(newest, reply, at=at), "call ended"
        )

    async def _read(self, gate: Gate, request: Request, *, purpose: ports.Purpose = "stop") -> Flow | CloudFailure:
        project = gate.policy.projects.get(request.project)
        return NO_PROJECT if project is None else await self._cloud.flow(project, request.flow.flow_id, purpose=purpose)

    async def read(self, request: Request) -> None:
        """Read the flow back, and record what that says of the call. Raises errors.Conflict and errors.StoreError."""
        # People may press “Check Now” often for an unknown outcome, and that must not delay a stop.
        purpose: ports.Purpose = "read" if records.is_read_back(request) else "stop"
        flow = await self._read(self._gate, request, purpose=purpose)
        await self.save(call_outcome.after_reading(request, flow, at=self._clock.now()), "read back")

    async def recover(self, request: Request) -> None:
        """Take over a call whose replica is gone: its outcome must be read back."""
        await self.save(call_outcome.recover(request, at=self._clock.now()), "call interrupted")

    async def remind_of_review(self, request: Request) -> None:
        """Ask the current judges of an emergency for the review again. Raises errors.StoreError."""
        at = self._clock.now()
        last = " for the last time" if schedule.is_last_reminder(request, at) else ""
        await self.save(
            transitions.remind_of_review(await self._gate.judged(request), at=at), f"reminded of a review{last}"
        )

    async def _check(self, gate: Gate, request: Request, *, renamed: bool) -> model.Refuse | _Short | None:
        """Decide by the current policy and the flow's current name; return what forbids the call, or None."""
        if request.emergency is not None:
            return await self._check_emergency(gate, request)
        decision = await gate.decide(request.requester, subject_of(request), max_age=FRESH)
        if isinstance(decision, model.Refuse):
            return decision
        if renamed and (guard := await gate.guard(request.requester, subject_of(request), max_age=FRESH)) is not None:
            return model.Refuse(why=model.Why.DENY_RULE, rule=guard.name)  # nobody typed the new name
        lost, sure = await gate.lost_votes(request, decision)
        if not sure:
            return model.Refuse(why=model.Why.UNREACHABLE)
        now = terms.of(gate.policy, decision)
        wanted = now if now.approvals >= max(request.terms.approvals, 1) else request.terms
        if request.terms.approvals == 0 and wanted.approvals > 0:
            lost = request.votes  # a confirmation is no approval
        if len(request.votes) - len(lost) >= max(wanted.approvals, 1):
            return None
        return _Short(lost=lost, terms=wanted)

    async def _check_emergency(self, gate: Gate, request: Request) -> model.Refuse | None:
        """Decide by the current policy about those who pressed; there are no votes to count."""
        for presser in dict.fromkeys((request.requester, *(vote.actor for vote in request.votes))):
            decision = await gate.decide_emergency(presser, subject_of(request), max_age=FRESH)
            if isinstance(decision, model.Refuse):
                return decision
        return None

    def _did_not_begin(self, request: Request, barrier: model.Refuse | _Short) -> Request:
        if isinstance(barrier, _Short):
            return transitions.fall_short(request, lost=barrier.lost, terms=barrier.terms, at=self._clock.now())
        return self._refused(request, barrier)

    def _refused(self, request: Request, decision: model.Refuse) -> Request:
        """Postpone the call if Slack cannot be asked; otherwise, end the request."""
        if decision.why is model.Why.UNREACHABLE:
            return self._held_up(request)
        return commit.denied_by_policy(request, decision, at=self._clock.now())

    def _held_up(self, request: Request, trouble: CloudFailure | None = None) -> Request:
        wait = min(AGAIN_AT_MOST, AGAIN * 2**request.operation.held_ups)
        return transitions.hold_up(request, until=self._clock.now() + wait, trouble=trouble)

    async def _put(self, gate: Gate, begun: Request, moved: Callable[[], None]) -> call_outcome.Accepted | CloudFailure:
        project = gate.policy.projects.get(begun.project)
        if project is None:
            return NO_PROJECT
        put = asyncio.ensure_future(self._cloud.change(project, begun.flow.flow_id, begun.verb))
        patience = asyncio.ensure_future(self._clock.sleep(LONG_CALL))
        try:
            await asyncio.wait({put, patience}, return_when=asyncio.FIRST_COMPLETED)
            if not put.done():
                with contextlib.suppress(errors.StoreError, records.IllegalTransition):  # the call matters more
                    await self._say_it_takes_long(begun.id)
                    moved()
            return await put
        finally:
            patience.cancel()

    async def _say_it_takes_long(self, request_id: str) -> None:
        request = await self._store.load(request_id)
        if request is not None:
            await self.save(transitions.call_takes_long(request, at=self._clock.now()), "call takes long")

    async def _record(self, begun: Request, step: Callable[[Request, float], Request], what: str) -> None:
        """Record an outcome that only this process knows, however long the database takes."""
        request: Request | None = begun
        while request is not None and request.operation.awaiting is Awaiting.REPLY:
            if request.operation.tries != begun.operation.tries:
                return None  # another replica took over, and has made another try
            try:
                return await self.save(step(request, self._clock.now()), what)
            except errors.Conflict:
                request = await self._reload(begun)
            except errors.StoreError:
                await self._clock.sleep(STORE_AGAIN)
                request = await self._reload(begun)
        return None

    async def _reload(self, begun: Request) -> Request | None:
        """Return the newest record, or the given one if the database is unavailable."""
        try:
            return await self._store.load(begun.id)
        except errors.StoreError:
            return begun

    async def save(self, changed: Request, what: str, *, unless_paused: bool = False) -> None:
        """Write the next version of the request and its audit event. Raises errors.StoreError."""
        outcome = changed.operation.outcome
        facts: dict[str, object] = {"state": changed.state, "progress": changed.operation.progress}
        if outcome is not None:
            failure = outcome.failure
            facts |= {"how": outcome.how, "status": outcome.status}
            if failure is not None:
                facts |= {
                    "code": failure.code,
                    "http_status": failure.http_status,
                    "cloud_request_id": failure.request_id,
                }
            if outcome.halt is not None:
                facts |= {"rule": outcome.halt.rule, "paused": outcome.halt.paused, "short": outcome.halt.short}
        await self._commits.write(ports.Change(request=changed, unless_paused=unless_paused), what, facts=facts)


def _renamed(request: Request, flow: Flow | CloudFailure) -> Request:
    """Return the request with the current name of the flow; the same object if it has not changed or is unknown."""
    if isinstance(flow, CloudFailure) or flow.name == request.flow.name or _is_another(request, flow):
        return request
    return transitions.rename(request, flow.name)


def _is_another(request: Request, flow: Flow) -> bool:
    """Return whether an emergency was opened without reading its flow, and its id belongs to a flow of another name."""
    return request.emergency is not None and not request.flow.status and request.flow.name not in ("", flow.name)


def _halt(barrier: model.Refuse | _Short) -> Halt:
    """Return why the call is not retried."""
    if isinstance(barrier, _Short):
        return Halt(rule=barrier.terms.rule, short=True)
    if barrier.why is model.Why.PAUSED:
        return Halt(paused=barrier.because)
    return Halt(rule=barrier.rule, who_could=barrier.who_could)


def _never_sent(claimed: Request, at: float) -> Request:
    """Return the request with a claimed try that was not made and must be decided again."""
    return transitions.wait(claimed, Awaiting.TRY, until=at, trouble=NOT_SENT)


def _may_pass(flow: Flow | CloudFailure) -> bool:
    """Return whether reading the flow failed only temporarily."""
    return isinstance(flow, CloudFailure) and (flow.fault in PASSING or flow.retry_after is not None)


def _outcome_without_call(request: Request, flow: Flow | CloudFailure) -> Outcome | None:
    """Return the outcome if no call is needed; an emergency is called unless there is no such flow."""
    if isinstance(flow, CloudFailure):
        if request.emergency is None or flow.fault is Fault.NOT_FOUND:
            return Outcome(how=OutcomeKind.UNREADABLE, failure=flow)
        return Outcome(how=OutcomeKind.REHEARSED, failure=flow) if request.dry_run else None
    if _is_another(request, flow):  # the id came from an outdated list of names
        other = CloudFailure(fault=Fault.NOT_FOUND, message=f"the flow with this id is now called {flow.name}")
        return Outcome(how=OutcomeKind.UNREADABLE, failure=other)
    if flow.status == WANTED[request.verb]:
        return Outcome(how=OutcomeKind.ALREADY, status=flow.status)
    return Outcome(how=OutcomeKind.REHEARSED, status=flow.status) if request.dry_run else None
