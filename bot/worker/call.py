"""The call: what is checked once more before it, one try at a time, and the readings that find out what came of it.

Nothing is called before it is on record that the call begins, and nothing is told before its outcome is recorded.
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


NOT_SENT: Final = CloudFailure(fault=Fault.NEVER_SENT, message="the policy changed right before the call")

DID_NOT_BEGIN: Final = "did not begin"
UNREAD: Final = "held up: the flow's state could not be read"
TOO_LATE: Final = "too late to call again"
"""Lines of the audit."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Short:
    """Votes that do not reach what the policy asks for now: those that are `lost`, and what it asks for."""

    lost: tuple[Vote, ...]
    terms: Terms


class Caller:
    """Carries out approved requests."""

    def __init__(self, *, store: ports.Store, cloud: ports.Cloud, gate: Gate, clock: ports.Clock) -> None:
        self._store = store
        self._cloud = cloud
        self._gate = gate
        self._clock = clock
        self._commits = commit.Commits(store=store, clock=clock)

    async def call(self, request: Request, *, moved: Callable[[], None] = lambda: None) -> None:
        """Read the flow, decide on what was just read, call once, and record what came of it.

        `moved` is called when there is something to tell before the call has ended.
        Raises errors.Conflict when the request changed before the call began, or flowbot was paused meanwhile,
        errors.LeaseLost when another replica may have taken it over, and errors.StoreError when the database was away
        by then.
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
        """Read the flow, decide on what was just read, and make a further try, unless it is too late or forbidden now.

        Raises as `call` does.
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
        """Put on record that a try begins, make it, and record what came of it."""
        await self.save(begun, "call begins", unless_paused=True)
        if self._store.lease_left(begun.id) < LEASE_NEEDED:
            raise errors.LeaseLost(f"{begun.id} may be another replica's by now: nothing was called")
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
        """Read the flow's state, and record what it says of the call. Raises errors.Conflict and errors.StoreError."""
        # What nobody knows may be read as often as people press “Check Now”: that must not keep a stop waiting.
        purpose: ports.Purpose = "read" if records.is_read_back(request) else "stop"
        flow = await self._read(self._gate, request, purpose=purpose)
        await self.save(call_outcome.after_reading(request, flow, at=self._clock.now()), "read back")

    async def recover(self, request: Request) -> None:
        """Take over a call whose caller is gone: what came of it has to be read."""
        await self.save(call_outcome.recover(request, at=self._clock.now()), "call interrupted")

    async def remind_of_review(self, request: Request) -> None:
        """Ask those who may review an emergency by now once more, for a week. Raises errors.StoreError."""
        at = self._clock.now()
        last = " for the last time" if schedule.is_last_reminder(request, at) else ""
        await self.save(
            transitions.remind_of_review(await self._gate.judged(request), at=at), f"reminded of a review{last}"
        )

    async def _check(self, gate: Gate, request: Request, *, renamed: bool) -> model.Refuse | _Short | None:
        """Let the policy decide again, on the flow as it is called now; None where nothing is in the way."""
        if request.emergency is not None:
            return await self._check_emergency(gate, request)
        decision = await gate.decide(request.requester, subject_of(request), max_age=FRESH)
        if isinstance(decision, model.Refuse):
            return decision
        if renamed and (guard := await gate.guard(request.requester, subject_of(request), max_age=FRESH)) is not None:
            return model.Refuse(why=model.Why.DENY_RULE, rule=guard.name)  # nobody has typed this name
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
        """Let the policy decide again for whoever pressed; there are no votes to count."""
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
        """Put the call off where nobody can be asked; else end the request."""
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
        """Record what only this process knows, however long the database takes."""
        request: Request | None = begun
        while request is not None and request.operation.awaiting is Awaiting.REPLY:
            if request.operation.tries != begun.operation.tries:
                return None  # the try was taken over meanwhile, and another one is under way
            try:
                return await self.save(step(request, self._clock.now()), what)
            except errors.Conflict:
                request = await self._reload(begun)
            except errors.StoreError:
                await self._clock.sleep(STORE_AGAIN)
                request = await self._reload(begun)
        return None

    async def _reload(self, begun: Request) -> Request | None:
        """Return the newest record, or the one at hand while the database is away."""
        try:
            return await self._store.load(begun.id)
        except errors.StoreError:
            return begun

    async def save(self, changed: Request, what: str, *, unless_paused: bool = False) -> None:
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
            if outcome.halt is not None:
                facts |= {"rule": outcome.halt.rule, "paused": outcome.halt.paused, "short": outcome.halt.short}
        await self._commits.write(ports.Change(request=changed, unless_paused=unless_paused), what, facts=facts)


def _renamed(request: Request, flow: Flow | CloudFailure) -> Request:
    """Return the request with the flow as it is called now; the same where nothing changed, or nobody knows."""
    if isinstance(flow, CloudFailure) or flow.name == request.flow.name or _is_another(request, flow):
        return request
    return transitions.rename(request, flow.name)


def _is_another(request: Request, flow: Flow) -> bool:
    """Tell whether an emergency's flow could not be read when it was asked for, and its name was another's."""
    return request.emergency is not None and not request.flow.status and request.flow.name not in ("", flow.name)


def _halt(barrier: model.Refuse | _Short) -> Halt:
    """Say why no further try is made."""
    if isinstance(barrier, _Short):
        return Halt(rule=barrier.terms.rule, short=True)
    if barrier.why is model.Why.PAUSED:
        return Halt(paused=barrier.because)
    return Halt(rule=barrier.rule, who_could=barrier.who_could)


def _never_sent(claimed: Request, at: float) -> Request:
    """Return the request whose try was claimed and must not leave before it is decided again."""
    return transitions.wait(claimed, Awaiting.TRY, until=at, trouble=NOT_SENT)


def _may_pass(flow: Flow | CloudFailure) -> bool:
    """Tell whether reading the flow again is right."""
    return isinstance(flow, CloudFailure) and (flow.fault in PASSING or flow.retry_after is not None)


def _outcome_without_call(request: Request, flow: Flow | CloudFailure) -> Outcome | None:
    """Say how the operation ends without a call, if it does; an emergency is called unless there is no such flow."""
    if isinstance(flow, CloudFailure):
        if request.emergency is None or flow.fault is Fault.NOT_FOUND:
            return Outcome(how=OutcomeKind.UNREADABLE, failure=flow)
        return Outcome(how=OutcomeKind.REHEARSED, failure=flow) if request.dry_run else None
    if _is_another(request, flow):  # its id came from a list of names that has become old
        other = CloudFailure(fault=Fault.NOT_FOUND, message=f"the flow with this id is called {flow.name} now")
        return Outcome(how=OutcomeKind.UNREADABLE, failure=other)
    if flow.status == WANTED[request.verb]:
        return Outcome(how=OutcomeKind.ALREADY, status=flow.status)
    return Outcome(how=OutcomeKind.REHEARSED, status=flow.status) if request.dry_run else None
