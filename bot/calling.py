"""The call: what is checked once more before it, the one try, and what its reply means.

Nothing is called before it is on record that the call begins, and nothing is told before its outcome is recorded.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from bot import asking, due, errors, life, policy, ports, service
from bot.asking import WANTED
from bot.errors import CloudFailure, Fault
from bot.gate import FRESH, Gate, subject_of
from bot.request import Flow, How, Outcome, Progress, Request

LONG_CALL: Final = 5.0
"""Seconds after which the thread is told that the cloud has not answered yet."""

STORE_AGAIN: Final = 1.0
"""Seconds between two tries to record an outcome that nobody else knows."""

AGAIN: Final = 2.0
"""Seconds before something that was in the way of a call is looked at again; doubled with each time in a row."""

AGAIN_AT_MOST: Final = 20.0

STANDBY: Final = "STANDBY"

PASSING: Final = (Fault.THROTTLED, Fault.NEVER_SENT, Fault.UNCERTAIN)
"""Failures of a read after which reading again is right."""


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
        Raises errors.Conflict when the request changed before the call began, and errors.StoreError when the database
        was away by then.
        """
        changed = await self._check(seen)
        if changed is not None:
            return await self.save(changed, "did not begin")
        project = self._gate.in_force.projects[seen.project]
        flow = await self._cloud.flow(project, seen.flow.flow_id)
        if isinstance(flow, CloudFailure) and flow.fault in PASSING:
            return await self.save(self._held_up(seen), "held up: the flow's state could not be read")
        early = _outcome_without_call(seen, flow)
        if early is not None:
            return await self.save(life.settle_without_call(seen, early, at=self._clock.now()), "ended without a call")
        now = self._clock.now()
        if now >= due.begin_by(seen):
            return await self.save(service.expired(seen, at=now), "expired")
        begun = life.begin(seen, at=now)
        await self.save(begun, "call begins")
        return await self._finish(begun, await self._try(project, begun, moved))

    async def recover(self, seen: Request) -> None:
        """Record that nobody knows what came of a call whose caller is gone."""
        await self._finish(seen, Outcome(how=How.LOST))

    async def _check(self, seen: Request) -> Request | None:
        """Let the policy in force decide again; return the request that waits, falls back or ends because of it."""
        decision = await self._gate.decide(seen.requester, subject_of(seen), max_age=FRESH)
        if isinstance(decision, policy.Refuse):
            if decision.why is policy.Why.UNREACHABLE:
                return self._held_up(seen)
            return service.denied_by_policy(seen, decision, at=self._clock.now())
        lost, sure = await self._gate.lost_votes(seen, decision)
        if not sure:
            return self._held_up(seen)
        now = asking.terms(self._gate.in_force, decision)
        terms = now if now.approvals > seen.terms.approvals else seen.terms
        if seen.terms.approvals == 0 and terms.approvals > 0:
            lost = seen.votes  # a confirmation is no approval
        if len(seen.votes) - len(lost) >= max(terms.approvals, 1):
            return None
        return life.fall_short(seen, lost=lost, terms=terms, at=self._clock.now())

    def _held_up(self, seen: Request) -> Request:
        wait = min(AGAIN_AT_MOST, AGAIN * 2**seen.operation.held_ups)
        return life.hold_up(seen, until=self._clock.now() + wait)

    async def _try(self, project: policy.Project, begun: Request, moved: Callable[[], None]) -> Outcome:
        """Call once, and read back where the reply leaves a doubt that a read can settle."""
        reply = await self._put(project, begun, moved)
        if isinstance(reply, ports.Accepted):
            if reply.status == WANTED[begun.verb]:
                return Outcome(how=How.STOPPED, status=reply.status)
            read = await self._status(project, begun)
            return Outcome(how=How.STOPPED if read == STANDBY else How.STILL_ACTIVE, status=read or reply.status)
        if reply.fault is Fault.UNCERTAIN:
            return Outcome(how=How.LOST, failure=reply)
        if reply.fault is Fault.REJECTED and "standby" in reply.message.casefold():
            read = await self._status(project, begun)
            if read == STANDBY:
                return Outcome(how=How.CONFIRMED_STANDBY, status=read, failure=reply)
        return Outcome(how=How.REFUSED, failure=reply)

    async def _put(
        self, project: policy.Project, begun: Request, moved: Callable[[], None]
    ) -> ports.Accepted | CloudFailure:
        put = asyncio.ensure_future(self._cloud.stop(project, begun.flow.flow_id))
        patience = asyncio.ensure_future(self._clock.sleep(LONG_CALL))
        try:
            await asyncio.wait({put, patience}, return_when=asyncio.FIRST_COMPLETED)
            if not put.done():
                with contextlib.suppress(errors.StoreError):  # the call matters more than telling of it
                    await self._say_it_takes_long(begun.id)
                    moved()
            return await put
        finally:
            patience.cancel()

    async def _say_it_takes_long(self, request_id: str) -> None:
        seen = await self._store.load(request_id)
        if seen is not None:
            await self.save(life.call_takes_long(seen, at=self._clock.now()), "call takes long")

    async def _status(self, project: policy.Project, begun: Request) -> str | None:
        flow = await self._cloud.flow(project, begun.flow.flow_id)
        return None if isinstance(flow, CloudFailure) else flow.status

    async def _finish(self, begun: Request, outcome: Outcome) -> None:
        """Record the outcome, however long the database takes: nobody else knows it."""
        seen: Request | None = begun
        while seen is not None and seen.operation.progress is Progress.RUNNING:
            try:
                return await self.save(life.finish(seen, outcome, at=self._clock.now()), "call ended")
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


def _outcome_without_call(seen: Request, flow: Flow | CloudFailure) -> Outcome | None:
    if isinstance(flow, CloudFailure):
        return Outcome(how=How.UNREADABLE, failure=flow)
    if flow.status == WANTED[seen.verb]:
        return Outcome(how=How.ALREADY, status=flow.status)
    return Outcome(how=How.REHEARSED, status=flow.status) if seen.dry_run else None
