"""Open a request: check the rights, find the flow, read its status, and look for an open request.

It writes one change: a request with its lock, or the answer why nothing opened.
"""

import dataclasses
from typing import Final

from bot.commands import grammar
from bot.commands.deliveries import Actor, Button, Entry, Typed
from bot.commands.verbs import Door
from bot.lifecycle import records, transitions
from bot.lifecycle.call_outcome import WANTED
from bot.lifecycle.records import Flow, ReplyKind, Request
from bot.lifecycle.states import Event
from bot.policy import break_glass, channels, evaluation, model, terms
from bot.policy.break_glass import AnyPermission
from bot.policy.model import Subject
from bot.usecases import answers, commit, errors, find_flow, ports, rate_limit, visibility
from bot.usecases.commit import EntryResult, refused, settled
from bot.usecases.gate import FRESH, Gate, subject_of

TAKE_UP_WITHIN: Final = 60.0
"""The maximum age in seconds of a command that may open a request."""

DENIED_LATELY: Final = 3600.0
"""Seconds in which a card mentions an earlier denial for the same flow."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Ask:
    """One command: who typed it and where, its project, and the id that its request will have.

    `entry` is the id with which a modal can complete the command; `name` is what was typed as the name of a protected
    flow. `gate` is pinned to one policy.
    """

    request_id: str
    entry: str
    name: str | None
    actor: Actor
    typed: Typed
    command: grammar.ChangeCommand
    project: model.Project
    gate: Gate


class RequestOpener:
    """Opens requests."""

    def __init__(self, *, store: ports.Store, finder: find_flow.FlowFinder, gate: Gate, clock: ports.Clock) -> None:
        self._store = store
        self._finder = finder
        self._gate = gate
        self._clock = clock
        self._commits = commit.Commits(store=store, clock=clock)
        self._limit = rate_limit.CommandLimit(clock=clock)

    async def ask(self, entry: Entry, typed: Typed, *, request_id: str, name: str | None = None) -> EntryResult:
        """Open a request for a command, or settle the entry with the answer why nothing opened.

        `name` is what was typed as the name of a protected flow. Raises errors.StoreError.
        """
        opened = await self._open(entry, typed, request_id, name)
        if not isinstance(opened, Request):
            return await self._tell(entry, opened)
        superseded = await self._giving_way(opened)
        given_way = () if superseded is None else (_superseded(superseded, by=opened),)
        change = ports.Change(superseded=superseded, request=opened, entry=entry.key, audit=given_way)
        facts = _asked(opened, name)
        try:
            await self._commits.write(change, "asked", facts=facts, at=opened.asked_at, actor=opened.requester)
        except errors.FlowHeld:
            holder = await self._store.holder(opened.project, opened.flow.flow_id)
            if holder is None or (opened.emergency is not None and _gives_way(holder)):
                raise errors.Conflict("who holds the flow has changed since") from None
            met = await visibility.of_holder(self._gate, holder, opened.verb, entry.actor, channel=opened.asked_in)
            return await self._tell(entry, met)
        return EntryResult(request_id=opened.id, superseded_id=None if superseded is None else superseded.id)

    async def _giving_way(self, opened: Request) -> Request | None:
        """Return the request that an emergency supersedes, ended, or None; a dry run supersedes nothing."""
        if opened.emergency is None or opened.dry_run:
            return None
        holder = await self._store.holder(opened.project, opened.flow.flow_id)
        if holder is None or not _gives_way(holder):
            return None
        ending = records.Ending(actor=opened.requester, at=opened.asked_at)
        return transitions.end(holder, Event.SUPERSEDE, ending, said=ReplyKind.SUPERSEDED)

    async def _open(self, entry: Entry, typed: Typed, request_id: str, name: str | None) -> Request | answers.AnyAnswer:
        waited = self._clock.now() - entry.received_at
        if waited > TAKE_UP_WITHIN:
            return answers.TooLate(waited=waited)
        again = await self._store.load(request_id)
        if again is not None:
            pressed = Button.ADD_REASON if name is None else Button.TYPE_NAME
            return (
                answers.Joined(card=visibility.card_link(again)) if records.is_open(again) else settled(again, pressed)
            )
        command = grammar.parse(typed.text)
        if not isinstance(command, grammar.ChangeCommand):
            return answers.NoSuchRequest()
        if (too_many := self._refuse_too_many(entry, command)) is not None:  # by user id, without asking Slack
            return too_many
        person = await self._gate.person(entry.actor, max_age=FRESH)
        entry = dataclasses.replace(entry, actor=person.actor)
        if (too_many := self._refuse_too_many(entry, command)) is not None:  # by person
            return too_many
        if (outsider := evaluation.refuse_outsider(person)) is not None:
            return answers.Refused(action=command.verb, flow=command.flow, decision=outsider, dry_run=command.dry_run)
        gate = self._gate.pinned()
        if (paused := await gate.refuse_paused()) is not None:
            return answers.Refused(action=command.verb, flow=command.flow, decision=paused, dry_run=command.dry_run)
        project = channels.project_for(gate.policy, command.project, typed.channel)
        if isinstance(project, channels.UnclearProject):
            return answers.WhichProject(typed=project.typed, projects=project.projects, dry_run=command.dry_run)
        if typed.door is Door.HOST:
            typed = dataclasses.replace(typed, channel=project.channels[0])
        ask = _Ask(
            request_id=request_id,
            entry=entry.key,
            name=name,
            actor=entry.actor,
            typed=typed,
            command=command,
            project=project,
            gate=gate,
        )
        probably = self._finder.remembered(project, command.flow) or command.flow
        opened = await self._refuse_early(ask) or await self._meet(ask, probably) or await self._find(ask, met=probably)
        return opened if isinstance(opened, Request) else dataclasses.replace(opened, dry_run=command.dry_run)

    def _refuse_too_many(self, entry: Entry, command: grammar.ChangeCommand) -> answers.TooMany | None:
        """Answer a person who has sent too many commands, or return None; clicks and modals do not count."""
        wait = self._limit.wait(entry) if isinstance(entry.arrival, Typed) else 0.0
        return answers.TooMany(most=rate_limit.COMMANDS, wait=wait, dry_run=command.dry_run) if wait else None

    async def _refuse_early(self, ask: _Ask) -> answers.Refused | None:
        """Refuse a person whom no rule allows this for any flow, before the cloud is asked."""
        command = ask.command
        refusal = await ask.gate.refuse_early(ask.actor, _as_typed(ask), emergency=command.emergency, max_age=FRESH)
        if refusal is None:
            return None
        return refused(ask.gate.policy, action=command.verb, flow=command.flow, decision=refusal)

    async def _purpose(self, ask: _Ask) -> ports.Purpose:
        """Return the purpose of reading the flow: "stop" only if the typed text alone shows that it is allowed."""
        nameless = dataclasses.replace(_as_typed(ask), flow_name=None)
        return "read" if isinstance(await self._may(ask, nameless), model.Refuse) else "stop"

    async def _meet(self, ask: _Ask, flow_id: str) -> answers.AnyAnswer | None:
        """Link a person with the right to an open request for the flow, if there is one; dry runs are independent."""
        holder = None if ask.command.dry_run else await self._store.holder(ask.project.name, flow_id)
        if holder is None or ask.command.flow not in (holder.flow.flow_id, holder.flow.name):
            return None
        if ask.command.emergency and _gives_way(holder):
            return None
        subject = dataclasses.replace(subject_of(holder), verb=ask.command.verb)
        decision = await self._may(ask, subject)
        if isinstance(decision, model.Refuse):
            return await self._refuse(ask, holder.flow, decision)
        return await visibility.of_holder(ask.gate, holder, ask.command.verb, ask.actor, channel=ask.typed.channel)

    async def _refuse(self, ask: _Ask, flow: Flow, decision: model.Refuse) -> answers.Refused:
        """Refuse; a flow that the person may not read is called as they typed it."""
        named = [(flow.flow_id, flow.name)]
        known = await ask.gate.readable(ask.actor, named, project=ask.project.name, channel=ask.typed.channel)
        called = flow.called if known else ask.command.flow
        return refused(ask.gate.policy, action=ask.command.verb, flow=called, decision=decision)

    async def _find(self, ask: _Ask, *, met: str) -> Request | answers.AnyAnswer:
        """Find the flow and decide; `met` is an id that was already found to have no open request."""
        find = self._finder.find_or_guess if ask.command.emergency else self._finder.find
        found = await find(ask.project, ask.command.flow, purpose=await self._purpose(ask))
        flow = await visibility.of_found(ask.gate, found, actor=ask.actor, channel=ask.typed.channel)
        if not isinstance(flow, Flow):
            return flow
        open_one = await self._meet(ask, flow.flow_id) if flow.flow_id != met else None
        return open_one or await self._decide(ask, flow)

    async def _decide(self, ask: _Ask, flow: Flow) -> Request | answers.AnyAnswer:
        verb, project = ask.command.verb, ask.project
        channel = channels.card_channel(project, ask.typed.channel)
        called = flow.name or None
        subject = Subject(verb=verb, project=project.name, flow_id=flow.flow_id, flow_name=called, channel=channel)
        decision = await self._may(ask, subject)
        if isinstance(decision, model.NeedApproval):
            decision = await ask.gate.refuse_unsatisfiable(decision, ask.actor, subject) or decision
        if isinstance(decision, model.Refuse):
            return await self._refuse(ask, flow, decision)
        if flow.status == WANTED[verb]:
            return answers.AlreadySo(verb=verb, project=project.name, flow=flow)
        shared = False if project.allow_shared else await ask.gate.is_shared(channel)
        if shared is True or (shared is None and ask.typed.door is not Door.HOST):  # else looked at before it is posted
            return answers.SharedChannel(channel=channel, project=project.name, sure=shared is True)
        return await self._missing(ask, flow, subject, decision) or await self._request(ask, flow, channel, decision)

    async def _missing(
        self, ask: _Ask, flow: Flow, subject: Subject, choice: AnyPermission
    ) -> answers.AnyAnswer | None:
        """Ask for what is missing: the name of a protected flow, or a reason.

        An emergency needs no name, since its two presses are the safeguard. It always needs a reason.
        """
        emergency = isinstance(choice, break_glass.AllowEmergency)
        required = isinstance(choice, break_glass.AllowEmergency) or choice.reason_required
        lacks_reason = required and ask.command.reason is None
        guard = None if emergency else await ask.gate.guard(ask.actor, subject, max_age=FRESH)
        if guard is not None and not _is_name(ask.name, flow):
            return answers.NameMissing(
                entry=ask.entry,
                verb=ask.command.verb,
                flow=flow.name.strip() or flow.flow_id,
                rule=guard.name,
                typed=ask.name,
                nameless=not flow.name.strip(),
                reason_too=lacks_reason,
                door=ask.typed.door,
            )
        if not lacks_reason:
            return None
        return answers.ReasonMissing(
            entry=ask.request_id,
            verb=ask.command.verb,
            flow=flow.name,
            rule=choice.rule.name,
            typed=grammar.render(ask.command),
            door=ask.typed.door,
        )

    async def _may(self, ask: _Ask, subject: Subject) -> AnyPermission | model.Refuse:
        decide = ask.gate.decide_emergency if ask.command.emergency else ask.gate.decide
        return await decide(ask.actor, subject, max_age=FRESH)

    async def _request(self, ask: _Ask, flow: Flow, channel: str, choice: AnyPermission) -> Request:
        now = self._clock.now()
        denial = await self._store.last_denial(ask.project.name, flow.flow_id, since=now - DENIED_LATELY)
        opened = Request(
            id=ask.request_id,
            verb=ask.command.verb,
            project=ask.project.name,
            flow=flow,
            requester=ask.actor,
            reason=ask.command.reason,
            dry_run=ask.command.dry_run,
            asked_in=ask.typed.channel,
            asked_at=now,
            expires_at=now + choice.expires,
            terms=terms.of(ask.gate.policy, choice),
            card=records.Card(channel=channel, thread=ask.typed.thread_ts if channel == ask.typed.channel else None),
            recently_denied_by=denial.ending.actor if denial is not None and denial.ending is not None else None,
            emergency=await self._emergency(ask, choice, channel),
        )
        urgent = isinstance(choice, break_glass.AllowEmergency)
        opened = await self._announced(await ask.gate.judged(opened)) if urgent else _asked_for(opened)
        return (
            opened
            if channel == ask.typed.channel
            else transitions.say(opened, ReplyKind.LINKED, at=now, actor=ask.actor)
        )

    async def _announced(self, opened: Request) -> Request:
        """Queue the announcements of an emergency: in the card's channel, and in the project's home if it is another.

        The home learns the reason only if the card's channel is public.
        """
        said = transitions.say(opened, ReplyKind.EMERGENCY, at=opened.asked_at, actor=opened.requester)
        if opened.emergency is None or opened.emergency.announced_in is None:
            return said
        reason = opened.reason if await self._gate.is_private(opened.card.channel) is False else None
        return transitions.say(said, ReplyKind.ANNOUNCED, at=opened.asked_at, actor=opened.requester, reason=reason)

    async def _emergency(self, ask: _Ask, choice: AnyPermission, channel: str) -> records.Emergency | None:
        if not isinstance(choice, break_glass.AllowEmergency):
            return None
        home, since = ask.project.channels[0], self._clock.now() - break_glass.DAY
        return records.Emergency(
            members=choice.members,
            passed_over=choice.passed_over,
            announced_in=home if channel != home else None,
            needs_second=await self._store.emergencies(ask.actor.id, since=since) >= choice.limit,
        )

    async def _tell(self, entry: Entry, answer: answers.AnyAnswer) -> EntryResult:
        change = ports.Change(entry=entry.key, answer=answer)
        await self._commits.write(change, "nothing opened", facts=_facts(entry, answer), actor=entry.actor)
        return EntryResult(answer=answer)


def _as_typed(ask: _Ask) -> Subject:
    """Return what is asked for before the flow is known: the typed text may be its id or its name."""
    channel = channels.card_channel(ask.project, ask.typed.channel)
    typed = ask.command.flow
    return Subject(verb=ask.command.verb, project=ask.project.name, flow_id=typed, flow_name=typed, channel=channel)


def _asked_for(opened: Request) -> Request:
    """Queue the reply that mentions the approvers, or the others to be notified."""
    if not opened.terms.approvals and not opened.terms.mentions:
        return opened
    return transitions.say(opened, ReplyKind.ASKED, at=opened.asked_at, needed=opened.terms.approvals)


def _gives_way(holder: Request) -> bool:
    """Return whether an emergency for the same flow supersedes a request: if its call has not begun."""
    return records.can_withdraw(holder)


def _is_name(typed: str | None, flow: Flow) -> bool:
    """Return whether the flow's exact name was typed, or its id if it has none; spaces around it do not count."""
    return typed is not None and typed.strip() == (flow.name.strip() or flow.flow_id)


def _asked(opened: Request, name: str | None) -> dict[str, object]:
    facts: dict[str, object] = {
        "verb": opened.verb,
        "project": opened.project,
        "flow": opened.flow.flow_id,
        "rule": opened.terms.rule,
        "dry_run": opened.dry_run,
        "reason": opened.reason,
    }
    if name is not None:
        facts["typed_name"] = name
    if opened.emergency is not None:
        facts["passed_over"] = opened.emergency.passed_over
    return facts


def _superseded(ended: Request, *, by: Request) -> ports.AuditEvent:
    facts: dict[str, object] = {"state": ended.state, "version": ended.version, "by": by.id}
    return ports.AuditEvent(at=by.asked_at, what="superseded", actor=by.requester, request_id=ended.id, facts=facts)


def _facts(entry: Entry, answer: answers.AnyAnswer) -> dict[str, object]:
    facts: dict[str, object] = {"answer": answer.kind}
    if isinstance(entry.arrival, Typed):
        facts |= {"typed": entry.arrival.text, "door": entry.arrival.door}
    if isinstance(answer, answers.Refused):
        facts |= {"why": answer.decision.why, "rule": answer.decision.rule}
    if isinstance(answer, answers.NameMissing):
        facts |= {"rule": answer.rule, "typed_name": answer.typed}
    return facts
