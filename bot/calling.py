"""The call: what is checked once more before it, one try at a time, and the readings that find out what came of it.

Nothing is called before it is on record that the call begins, and nothing is told before its outcome is recorded.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from bot import asking, due, errors, life, policy, ports, service, settling, trying
from bot.commands import Verb
from bot.errors import CloudFailure, Fault
from bot.gate import FRESH, Gate, subject_of
from bot.request import Awaiting, Flow, How, Outcome, Request
from bot.trying import WANTED

LONG_CALL: Final = 5.0
"""Seconds after which the thread is told that the cloud has not answered yet."""

STORE_AGAIN: Final = 1.0
"""Seconds between two tries to record an outcome that nobody else knows."""

AGAIN: Final = 2.0
"""Seconds before something that was in the way of a call is looked at again; doubled with each time in a row."""

AGAIN_AT_MOST: Final = 20.0

LEASE_NEEDED: Final = 12.0
"""Seconds that the lease must hold for before a try, which takes ten at most: meanwhile no other replica takes over."""

PASSING: Final = (Fault.THROTTLED, Fault.NEVER_SENT, Fault.UNCERTAIN)
"""Failures of a reading after which reading again is right."""


NO_PROJECT: Final = CloudFailure(fault=Fault.REJECTED, message="the project is not in the policy any more")


class Calling:
    """Carries out approved requests."""

    def __init__(self, *, store: ports.Store, cloud: ports.Cloud, gate: Gate, clock: ports.Clock) -> None:
        self._store = store
        self._cloud = cloud
        self._gate = gate
        self._clock = clock

    async def call(self, seen: Request, *, moved: Callable[[], None] = lambda: None) -> None:
        """Check again, call once, and record what came of it.

        `moved` is called when there is something to tell before the call has ended.
        Raises errors.Conflict when the request changed before the call began, errors.LeaseLost when another replica may
        have taken it over, and errors.StoreError when the database was away by then.
        """
        changed = await self._check(seen)
        if changed is not None:
            return await self.save(changed, "did not begin")
        project = self._gate.in_force.projects[seen.project]
        flow = await self._cloud.flow(project, seen.flow.flow_id)
        if seen.emergency is None and _may_pass(flow):
            trouble = flow if isinstance(flow, CloudFailure) else None
            return await self.save(self._held_up(seen, trouble), "held up: the flow's state could not be read")
        early = _outcome_without_call(seen, flow)
        if early is not None:
            return await self.save(life.settle_without_call(seen, early, at=self._clock.now()), "ended without a call")
        if self._clock.now() >= due.begin_by(seen):
            return await self.save(service.expired(seen, at=self._clock.now()), "expired")
        return await self.call_again(seen, moved=moved)

    async def call_again(self, seen: Request, *, moved: Callable[[], None] = lambda: None) -> None:
        """Call once, without any further check, and record what came of it.

        Raises as `call` does.
        """
        at = self._clock.now()
        begun = trying.again(seen, at=at) if seen.operation.tries else life.begin(seen, at=at)
        if begun.operation.awaiting is not Awaiting.REPLY:
            return await self.save(begun, "too late to call again")
        await self.save(begun, "call begins")
        if self._store.lease_left(begun.id) < LEASE_NEEDED:
            raise errors.LeaseLost(f"{begun.id} may be another replica's by now: nothing was called")
        reply = await self._put(begun, moved)
        return await self._record(begun, lambda newest, at: trying.after_reply(newest, reply, at=at), "call ended")

    async def read(self, seen: Request) -> None:
        """Read the flow's state, and record what it says of the call. Raises errors.Conflict and errors.StoreError."""
        project = self._gate.in_force.projects.get(seen.project)
        flow = NO_PROJECT if project is None else await self._cloud.flow(project, seen.flow.flow_id)
        await self.save(trying.after_reading(seen, flow, at=self._clock.now()), "read back")

    async def recover(self, seen: Request) -> None:
        """Take over a call whose caller is gone: what came of it has to be read."""
        await self.save(trying.recover(seen, at=self._clock.now()), "call interrupted")

    async def remind_of_review(self, seen: Request) -> None:
        """Ask those who may review an emergency by now once more, for a week. Raises errors.StoreError."""
        at = self._clock.now()
        last = " for the last time" if due.is_last_reminder(seen, at) else ""
        await self.save(life.remind_of_review(await self._gate.judged(seen), at=at), f"reminded of a review{last}")

    async def _check(self, seen: Request) -> Request | None:
        """Let the policy in force decide again; return the request that waits, falls back or ends because of it."""
        paused = await self._gate.refuse_paused()
        if paused is not None:
            return self._refused(seen, paused)
        if seen.emergency is not None:
            return await self._check_emergency(seen)
        decision = await self._gate.decide(seen.requester, subject_of(seen), max_age=FRESH)
        if isinstance(decision, policy.Refuse):
            return self._refused(seen, decision)
        lost, sure = await self._gate.lost_votes(seen, decision)
        if not sure:
            return self._held_up(seen)
        now = asking.terms(self._gate.in_force, decision)
        terms = now if now.approvals >= max(seen.terms.approvals, 1) else seen.terms
        if seen.terms.approvals == 0 and terms.approvals > 0:
            lost = seen.votes  # a confirmation is no approval
        if len(seen.votes) - len(lost) >= max(terms.approvals, 1):
            return None
        return life.fall_short(seen, lost=lost, terms=terms, at=self._clock.now())

    async def _check_emergency(self, seen: Request) -> Request | None:
        """Let the policy decide again for whoever pressed; there are no votes to count."""
        for presser in dict.fromkeys((seen.requester, *(vote.actor for vote in seen.votes))):
            decision = await self._gate.decide_emergency(presser, subject_of(seen), max_age=FRESH)
            if isinstance(decision, policy.Refuse):
                return self._refused(seen, decision)
        return None

    def _refused(self, seen: Request, decision: policy.Refuse) -> Request:
        """Put the call off where nobody can be asked; else end the request."""
        if decision.why is policy.Why.UNREACHABLE:
            return self._held_up(seen)
        return settling.denied_by_policy(seen, decision, at=self._clock.now())

    def _held_up(self, seen: Request, trouble: CloudFailure | None = None) -> Request:
        wait = min(AGAIN_AT_MOST, AGAIN * 2**seen.operation.held_ups)
        return life.hold_up(seen, until=self._clock.now() + wait, trouble=trouble)

    async def _put(self, begun: Request, moved: Callable[[], None]) -> ports.Accepted | CloudFailure:
        project = self._gate.in_force.projects.get(begun.project)
        if project is None:
            return NO_PROJECT
        change = self._cloud.start if begun.verb is Verb.START else self._cloud.stop
        put = asyncio.ensure_future(change(project, begun.flow.flow_id))
        patience = asyncio.ensure_future(self._clock.sleep(LONG_CALL))
        try:
            await asyncio.wait({put, patience}, return_when=asyncio.FIRST_COMPLETED)
            if not put.done():
                with contextlib.suppress(errors.StoreError, errors.IllegalTransition):  # the call matters more
                    await self._say_it_takes_long(begun.id)
                    moved()
            return await put
        finally:
            patience.cancel()

    async def _say_it_takes_long(self, request_id: str) -> None:
        seen = await self._store.load(request_id)
        if seen is not None:
            await self.save(life.call_takes_long(seen, at=self._clock.now()), "call takes long")

    async def _record(self, begun: Request, step: Callable[[Request, float], Request], what: str) -> None:
        """Record what only this process knows, however long the database takes."""
        seen: Request | None = begun
        while seen is not None and seen.operation.awaiting is Awaiting.REPLY:
            if seen.operation.tries != begun.operation.tries:
                return None  # the try was taken over meanwhile, and another one is under way
            try:
                return await self.save(step(seen, self._clock.now()), what)
            except errors.Conflict:
                seen = await self._reload(begun)
            except errors.StoreError:
                await self._clock.sleep(STORE_AGAIN)
                seen = await self._reload(begun)
        return None

    async def _reload(self, begun: Request) -> Request | None:
        """Return the newest record, or the one at hand while the database is away."""
        try:
            return await self._store.load(begun.id)
        except errors.StoreError:
            return begun

    async def save(self, changed: Request, what: str) -> None:
        """Write the request's next version with its line in the audit. Raises errors.StoreError."""
        outcome = changed.operation.outcome
        facts: dict[str, object] = {"state": changed.state, "progress": changed.operation.progress}
        if changed.emergency is not None:
            facts["emergency"] = True
        if outcome is not None:
            failure = outcome.failure
            facts |= {"how": outcome.how, "status": outcome.status}
            if failure is not None:
                facts |= {
                    "code": failure.code,
                    "http_status": failure.http_status,
                    "cloud_request_id": failure.request_id,
                }
        event = ports.AuditEvent(at=self._clock.now(), what=what, request_id=changed.id, facts=facts)
        await self._store.commit(ports.Change(request=changed, audit=(event,)))


def _may_pass(flow: Flow | CloudFailure) -> bool:
    """Tell whether reading the flow again is right."""
    return isinstance(flow, CloudFailure) and (flow.fault in PASSING or flow.retry_after is not None)


def _outcome_without_call(seen: Request, flow: Flow | CloudFailure) -> Outcome | None:
    """Say how the operation ends without a call, if it does; an emergency is called unless there is no such flow."""
    if isinstance(flow, CloudFailure):
        if seen.emergency is None or flow.fault is Fault.NOT_FOUND:
            return Outcome(how=How.UNREADABLE, failure=flow)
        return Outcome(how=How.REHEARSED, failure=flow) if seen.dry_run else None
    if seen.emergency is not None and not seen.flow.status and seen.flow.name not in ("", flow.name):
        # It could not be read when it was asked for: its id came from a list of names that has become old.
        other = CloudFailure(fault=Fault.NOT_FOUND, message=f"the flow with this id is called {flow.name} now")
        return Outcome(how=How.UNREADABLE, failure=other)
    if flow.status == WANTED[seen.verb]:
        return Outcome(how=How.ALREADY, status=flow.status)
    return Outcome(how=How.REHEARSED, status=flow.status) if seen.dry_run else None
