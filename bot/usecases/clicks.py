"""Take entries of the inbox, and carry out clicks and submitted modals; commands are for `open_request`.

Each entry is settled in one transaction with its change and its audit. The buttons of emergencies are in
`emergency_clicks`.
"""

import asyncio
import dataclasses
from typing import Final

from bot.commands import grammar
from bot.commands.deliveries import Actor, Arrival, Button, Clicked, Entry, Modal, Submitted, Typed
from bot.commands.verbs import Door
from bot.lifecycle import records, transitions
from bot.lifecycle.records import ReplyKind, Request
from bot.lifecycle.states import Event, State
from bot.policy import channels, evaluation, model, terms, voting
from bot.policy.model import Permission
from bot.usecases import answers, commit, errors, open_request, ports, visibility
from bot.usecases.commit import EntryResult
from bot.usecases.emergency_clicks import EmergencyClicks
from bot.usecases.gate import FRESH, FRESHEST, Gate, subject_of

LETS_RUN: Final = (Button.CONFIRM, Button.APPROVE, Button.EMERGENCY_FIRST, Button.EMERGENCY_CONFIRM)
"""The buttons that may start the call, which a pause forbids."""


DECIDING: Final = (Button.CONFIRM, Button.APPROVE, Button.DENY)
"""The buttons for which the policy decides about the requester again."""


class UseCases:
    """Takes entries of the inbox; any number may run concurrently."""

    def __init__(
        self, *, store: ports.Store, gate: Gate, opener: open_request.RequestOpener, clock: ports.Clock
    ) -> None:
        self._store = store
        self._gate = gate
        self._opener = opener
        self._clock = clock
        self._commits = commit.EntryCommits(store=store, gate=gate, clock=clock)
        self._emergencies = EmergencyClicks(store=store, gate=gate, commits=self._commits, clock=clock)

    async def take(self, entry: Entry) -> EntryResult:
        """Carry out one entry, and settle it in the same transaction as its change.

        Raises errors.StoreError, and errors.TeamUnknown while Slack has not said which workspace is ours.
        """
        if (late := self._too_late(entry)) is not None:
            return await self._commits.tell(entry, late)
        if (stranger := self._gate.refuse_operator(entry.actor)) is not None:
            return await self._commits.tell(entry, answers.Refused(action="do this", flow="", decision=stranger))
        if entry.for_teams:
            is_ours = await self._gate.is_ours(entry.for_teams)
            if is_ours is None:
                raise errors.TeamUnknown
            if not is_ours:
                return await self._commits.turn_away(entry)
        while True:
            try:
                return await self._take(entry)
            except errors.Conflict:
                continue  # the record changed meanwhile: load it again

    def _too_late(self, entry: Entry) -> answers.TooLate | None:
        """Say that an entry of the host is taken up when nobody waits for it any more, or return None."""
        now = self._clock.now()
        is_late = entry.take_up_by is not None and now > entry.take_up_by
        return answers.TooLate(waited=now - entry.received_at) if is_late else None

    def project_of(self, entry: Entry) -> str:
        """Return the project that an entry names by itself, or an empty string."""
        arrival, named = entry.arrival, None
        if isinstance(arrival, Typed):
            command = grammar.parse(arrival.text)
            named = command.project if isinstance(command, grammar.ChangeCommand) else None
        channel = "" if isinstance(arrival, Submitted) else arrival.channel
        project = channels.project_for(self._gate.policy, named, channel)
        return "" if isinstance(project, channels.UnclearProject) else project.name

    async def _take(self, entry: Entry) -> EntryResult:
        match entry.arrival:
            case Typed():
                return await self._opener.ask(entry, entry.arrival, request_id=entry.key, name=entry.arrival.name)
            case Clicked():
                return await self._click(entry, entry.arrival)
            case Submitted():
                return await self._submit(entry, entry.arrival)

    async def _click(self, entry: Entry, clicked: Clicked) -> EntryResult:
        request, person = await self._look(entry, clicked)
        if request is None:
            return await self._commits.tell(entry, answers.NoSuchRequest())
        refusal = evaluation.refuse_outsider(person)
        if refusal is not None:
            return await self._commits.refuse(entry, request, clicked.button, refusal)
        entry = dataclasses.replace(entry, actor=person.actor)
        if isinstance(known := await self._gate.identify(request, entry.actor), model.Refuse):
            return await self._commits.refuse(entry, request, clicked.button, known)
        request = await self._as_received(entry, known)
        taken = await self._press(entry, clicked, request)
        return dataclasses.replace(taken, copy=_copy(request, clicked))

    async def _look(self, entry: Entry, clicked: Clicked) -> tuple[Request | None, model.Person]:
        """Load the request and ask Slack who clicked; for a deciding button, also who the requester is."""
        clicker = asyncio.ensure_future(self._gate.person(entry.actor, max_age=FRESHEST))
        try:
            request = await self._store.load(clicked.request_id)
            if request is not None and request.state is State.PENDING and clicked.button in DECIDING:
                await asyncio.gather(clicker, self._gate.person(request.requester, max_age=FRESHEST))
            return request, await clicker
        finally:
            clicker.cancel()

    async def _as_received(self, entry: Entry, request: Request) -> Request:
        """Return the request as it was when the entry was received: expired if its time was over."""
        if request.state is not State.PENDING or entry.received_at < request.expires_at:
            return request
        over = expired(request, at=entry.received_at)
        await self._commits.write(ports.Change(request=over), "expired", at=entry.received_at, actor=entry.actor)
        return over

    async def _press(self, entry: Entry, clicked: Clicked, request: Request) -> EntryResult:
        if (refused := await self._refuse_paused(entry, clicked, request)) is not None:
            return refused
        match clicked.button:
            case Button.CONFIRM:
                return await self._confirm(entry, request)
            case Button.APPROVE:
                return await self._approve(entry, request)
            case Button.DENY:
                return await self._deny(entry, request, reason=None)
            case Button.WITHDRAW:
                return await self._withdraw(entry, request)
            case Button.CHECK_NOW:
                return await self._check_now(entry, request)
            case Button.ASK_AGAIN:
                return await self._ask_again(entry, clicked, request)
            case Button.EMERGENCY_FIRST | Button.EMERGENCY_CONFIRM | Button.REVIEW:
                return await self._emergencies.press(entry, clicked.button, request)
            case Button.ADD_REASON | Button.TYPE_NAME:
                return await self._commits.tell(entry, answers.NoSuchRequest())

    async def _refuse_paused(self, entry: Entry, clicked: Clicked, request: Request) -> EntryResult | None:
        """Refuse a click that may start the call while flowbot is paused; denying and withdrawing stay possible."""
        counts = request.state is State.PENDING and clicked.button in LETS_RUN
        paused = await self._gate.refuse_paused() if counts else None
        return None if paused is None else await self._commits.refuse(entry, request, clicked.button, paused)

    async def _confirm(self, entry: Entry, request: Request) -> EntryResult:
        pinned = self._gate.pinned()
        choice = await self._choice(pinned, entry, request, Button.CONFIRM)
        if isinstance(choice, EntryResult):
            return choice
        if isinstance(choice, model.NeedApproval):
            return await self._tighten(pinned, entry, request, choice)
        refusal = await pinned.refuse_confirmation(request, choice, entry.actor, max_age=FRESHEST)
        if refusal is not None:
            return await self._commits.refuse(entry, request, Button.CONFIRM, refusal)
        confirmed = transitions.confirm(request, records.Vote(actor=entry.actor, at=entry.received_at))
        return await self._commits.save(entry, confirmed, "confirmed")

    async def _approve(self, entry: Entry, request: Request) -> EntryResult:
        pinned = self._gate.pinned()
        choice = await self._choice(pinned, entry, request, Button.APPROVE)
        if isinstance(choice, EntryResult):
            return choice
        refusal = await pinned.refuse_vote(request, choice, entry.actor, votes=request.votes)
        if refusal is not None:
            return await self._commits.refuse(entry, request, Button.APPROVE, refusal)
        needed = choice.approvals if isinstance(choice, model.NeedApproval) else request.terms.approvals
        voted = transitions.approve(request, records.Vote(actor=entry.actor, at=entry.received_at), needed=needed)
        return await self._commits.save(entry, voted, "approved")

    async def _deny(self, entry: Entry, request: Request, *, reason: str | None) -> EntryResult:
        if request.emergency is not None:
            return await self._emergencies.deny(entry, request, reason=reason)
        pinned = self._gate.pinned()
        choice = await self._choice(pinned, entry, request, Button.DENY)
        if isinstance(choice, EntryResult):
            return choice
        refusal = await pinned.refuse_vote(request, choice, entry.actor, votes=(), counts=False)
        if refusal is not None:
            return await self._commits.refuse(entry, request, Button.DENY, refusal)
        ending = records.Ending(actor=entry.actor, at=entry.received_at, reason=reason)
        denied = transitions.end(request, Event.DENY, ending, said=ReplyKind.DENIED)
        asked = None if reason else answers.DenyReasonAsked(request_id=request.id, flow=request.flow.called)
        return await self._commits.save(entry, denied, "denied", answer=asked, facts=commit.denial(denied))

    async def _withdraw(self, entry: Entry, request: Request) -> EntryResult:
        if not records.can_withdraw(request):
            return await self._commits.tell(entry, commit.settled(request, Button.WITHDRAW))
        person = await self._gate.person(entry.actor, max_age=FRESHEST)
        refusal = voting.may_withdraw(rule=request.terms.rule, requester=request.requester, person=person)
        if refusal is not None:
            return await self._commits.refuse(entry, request, Button.WITHDRAW, refusal)
        ending = records.Ending(actor=entry.actor, at=entry.received_at)
        withdrawn = transitions.end(request, Event.WITHDRAW, ending, said=ReplyKind.WITHDRAWN)
        return await self._commits.save(entry, withdrawn, "withdrawn")

    async def _check_now(self, entry: Entry, request: Request) -> EntryResult:
        """Poll an unknown outcome at once; any full member may ask for it."""
        if not records.is_read_back(request):
            return await self._commits.tell(entry, commit.settled(request, Button.CHECK_NOW))
        return await self._commits.save(
            entry, transitions.check_now(request, at=self._clock.now()), "asked to check now"
        )

    async def _ask_again(self, entry: Entry, clicked: Clicked, request: Request) -> EntryResult:
        """Ask for the same again, in the name of the person who clicked."""
        if not records.may_be_asked_again(request):
            return await self._commits.tell(entry, commit.settled(request, Button.ASK_AGAIN))
        return await self._opener.ask(entry, _once_more(request, clicked), request_id=entry.key)

    async def _submit(self, entry: Entry, submitted: Submitted) -> EntryResult:
        person = await self._gate.person(entry.actor, max_age=FRESH)
        entry = dataclasses.replace(entry, actor=person.actor)
        outsider = evaluation.refuse_outsider(person)
        match submitted.modal:
            case Modal.ADD_REASON | Modal.TYPE_NAME:
                return await self._complete(entry, submitted)
            case Modal.DENY_REASON | Modal.REVIEW if outsider is not None and outsider.why is model.Why.OUTSIDER:
                return await self._refuse_submission(entry, submitted, outsider)
            case Modal.DENY_REASON:
                return await self._deny_with_reason(entry, submitted)
            case Modal.REVIEW:
                return await self._emergencies.review(entry, submitted)

    async def _refuse_submission(self, entry: Entry, submitted: Submitted, outsider: model.Refuse) -> EntryResult:
        request = await self._store.load(submitted.request_id)
        if request is None:
            return await self._commits.tell(entry, answers.NoSuchRequest())
        button = Button.REVIEW if submitted.modal is Modal.REVIEW else Button.DENY
        return await self._commits.refuse(entry, request, button, outsider)

    async def _deny_with_reason(self, entry: Entry, submitted: Submitted) -> EntryResult:
        request = await self._store.load(submitted.request_id)
        if request is None:
            return await self._commits.tell(entry, answers.NoSuchRequest())
        if isinstance(known := await self._gate.identify(request, entry.actor), model.Refuse):
            return await self._commits.refuse(entry, request, Button.DENY, known)
        if not _denied_without_reason(request := known, entry.actor):
            return await self._deny(entry, await self._as_received(entry, request), reason=submitted.reason)
        if submitted.reason is None:
            return await self._commits.tell(entry, answers.Noted(what="denied without a reason"))
        explained = transitions.explain_denial(request, reason=submitted.reason, at=entry.received_at)
        return await self._commits.save(entry, explained, "explained a denial", facts=commit.denial(explained))

    async def _complete(self, entry: Entry, submitted: Submitted) -> EntryResult:
        """Repeat the command that lacked a reason or the flow's name, with what was typed in the modal."""
        reason = submitted.reason
        first = await self._store.entry(submitted.request_id)
        while first is not None and isinstance(first.arrival, Submitted):  # after a wrong name, the reason still counts
            reason = reason or first.arrival.reason
            first = await self._store.entry(first.arrival.request_id)
        own = first is not None and await self._gate.is_same_person(first.actor, entry.actor)
        typed = await self._command_of(first.arrival) if first is not None and own else None
        command = None if typed is None else grammar.parse(typed.text)
        if first is None or typed is None or not isinstance(command, grammar.ChangeCommand):
            return await self._commits.tell(entry, answers.NoSuchRequest())
        complete = dataclasses.replace(command, reason=reason or command.reason)
        typed = dataclasses.replace(typed, text=grammar.render(complete))
        return await self._opener.ask(entry, typed, request_id=first.key, name=submitted.name)

    async def _command_of(self, arrival: Arrival) -> Typed | None:
        """Return the command that was typed, or that the button Ask Again repeats."""
        if isinstance(arrival, Clicked) and arrival.button is Button.ASK_AGAIN:
            request = await self._store.load(arrival.request_id)
            return None if request is None else _once_more(request, arrival)
        return arrival if isinstance(arrival, Typed) else None

    async def _choice(self, pinned: Gate, entry: Entry, request: Request, button: Button) -> Permission | EntryResult:
        """Decide about the requester again, on the stored record; answer a click that cannot count."""
        if request.state is not State.PENDING or not _has_button(request, button):
            return await self._commits.tell(entry, commit.settled(request, button))
        person, decision = await asyncio.gather(
            pinned.person(entry.actor, max_age=FRESHEST),
            pinned.decide(request.requester, subject_of(request), max_age=FRESHEST),
        )
        refusal = evaluation.refuse_outsider(person)
        if refusal is not None:
            return await self._commits.refuse(entry, request, button, refusal)
        if not isinstance(decision, model.Refuse):
            return decision
        if decision.why is model.Why.UNREACHABLE:
            return await self._commits.refuse(entry, request, button, decision)
        denied = commit.denied_by_policy(request, decision, at=self._clock.now())
        return await self._commits.save(entry, denied, "denied by policy", answer=commit.settled(denied, button))

    async def _tighten(self, pinned: Gate, entry: Entry, request: Request, choice: model.NeedApproval) -> EntryResult:
        stricter = terms.of(pinned.policy, choice)
        tightened = transitions.tighten(request, stricter, at=self._clock.now())
        refusal = model.Refuse(
            why=model.Why.NOT_APPROVER,
            rule=choice.rule.name,
            who_could=choice.rule.approvers,
            approvals=choice.approvals,
        )
        refused = self._commits.refused(request, Button.CONFIRM, refusal)
        return await self._commits.save(entry, tightened, "policy became stricter", answer=refused)


def expired(request: Request, *, at: float) -> Request:
    """Return the request as expired: not decided in time, or approved but not begun in time."""
    return transitions.end(request, Event.EXPIRE, records.Ending(actor=None, at=at), said=ReplyKind.EXPIRED)


def _copy(request: Request, clicked: Clicked) -> commit.CardCopy | None:
    """Return the clicked message if it is not the recorded card."""
    if not request.card.ts or clicked.message_ts is None or clicked.message_ts == request.card.ts:
        return None
    return commit.CardCopy(channel=clicked.channel, ts=clicked.message_ts, card=visibility.card_link(request))


def _once_more(request: Request, clicked: Clicked) -> Typed:
    """Return a command that asks for the same as a request."""
    same = grammar.ChangeCommand(
        verb=request.verb,
        flow=request.flow.flow_id,
        project=request.project,
        reason=request.reason,
        dry_run=request.dry_run,
        emergency=request.emergency is not None,
    )
    channel = clicked.channel or request.card.channel
    door = Door.MENTION if request.card.thread else Door.SLASH
    return Typed(text=grammar.render(same), channel=channel, thread_ts=request.card.thread, door=door)


def _has_button(request: Request, button: Button) -> bool:
    return request.emergency is None and (button is Button.CONFIRM) == (request.terms.approvals == 0)


def _denied_without_reason(request: Request, actor: Actor) -> bool:
    ending = request.ending
    by_them = ending is not None and ending.actor is not None and ending.actor.id == actor.id
    return request.state is State.DENIED and by_them and ending is not None and ending.reason is None
