"""How a request is opened: whether the asker may, which flow is meant, what it is doing, and whether a request is
open already.

Reads the cloud and the gate, and writes one change: a request with its lock, or the answer why nothing opened.
"""

import dataclasses
from typing import Final

from bot import answers, commands, errors, finding, life, limiting, placing, policy, ports, request
from bot.arrivals import Actor, Button, Entry, Typed
from bot.commands import Verb
from bot.gate import FRESH, Choice, Gate, Subject, subject_of
from bot.request import Flow, Request, Said
from bot.trying import WANTED

TAKE_UP_WITHIN: Final = 60.0
"""Seconds after its receipt within which a command must be taken up to open anything."""

DENIED_LATELY: Final = 3600.0
"""Seconds for which a card tells that somebody denied the same."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copy:
    """A message that looks like a card and is not the one that the store knows; `card` is."""

    channel: str
    ts: str
    card: answers.CardLink


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of an entry: the request that it touched, what its sender is told, and the copy that was clicked."""

    request_id: str | None = None
    answer: answers.Answer | None = None
    copy: Copy | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Ask:
    """One command on its way: who typed it where, in which project, and the id that its request would have.

    `entry` is what can be completed if something is missing; `name` is what was typed as the name of a protected flow.
    """

    request_id: str
    entry: str
    name: str | None
    actor: Actor
    typed: Typed
    command: commands.Change
    project: policy.Project


class Asking:
    """Opens requests."""

    def __init__(self, *, store: ports.Store, finder: finding.Finder, gate: Gate, clock: ports.Clock) -> None:
        self._store = store
        self._finder = finder
        self._gate = gate
        self._clock = clock
        self._limit = limiting.Limit(clock=clock)

    async def ask(self, entry: Entry, typed: Typed, *, request_id: str, name: str | None = None) -> Taken:
        """Open a request for what was typed, or settle the entry with the reason why nothing opened.

        `name` is what was typed as the name of the flow, which a protected one needs. Raises errors.StoreError.
        """
        opened = await self._open(entry, typed, request_id, name)
        if not isinstance(opened, Request):
            return await self._tell(entry, opened)
        facts: dict[str, object] = {
            "verb": opened.verb,
            "project": opened.project,
            "flow": opened.flow.flow_id,
            "rule": opened.terms.rule,
            "dry_run": opened.dry_run,
            "reason": opened.reason,
            **({} if name is None else {"typed_name": name}),
        }
        event = ports.AuditEvent(at=opened.asked_at, what="asked", actor=entry.actor, request_id=opened.id, facts=facts)
        try:
            await self._store.commit(ports.Change(request=opened, entry=entry.key, audit=(event,)))
        except errors.FlowHeld:
            holder = await self._store.holder(opened.project, opened.flow.flow_id)
            if holder is None:
                raise errors.Conflict("the request that held the flow has just ended") from None
            return await self._tell(entry, _met(opened.verb, holder))
        return Taken(request_id=opened.id)

    async def _open(self, entry: Entry, typed: Typed, request_id: str, name: str | None) -> Request | answers.Answer:
        waited = self._clock.now() - entry.received_at
        if waited > TAKE_UP_WITHIN:
            return answers.TooLate(waited=waited)
        again = await self._store.load(request_id)
        if again is not None:
            pressed = Button.ADD_REASON if name is None else Button.TYPE_NAME
            return answers.Joined(card=card_link(again)) if request.is_open(again) else settled(again, pressed)
        command = commands.parse(typed.text)
        if not isinstance(command, commands.Change):
            return answers.NoSuchRequest()
        too_many = self._refuse_too_many(entry, command)
        if too_many is not None:
            return too_many
        outsider = policy.refuse_outsider(await self._gate.person(entry.actor, max_age=FRESH))
        if outsider is not None:
            return answers.Refused(action=command.verb, flow=command.flow, decision=outsider, dry_run=command.dry_run)
        paused = await self._gate.refuse_paused()
        if paused is not None:
            return answers.Refused(action=command.verb, flow=command.flow, decision=paused, dry_run=command.dry_run)
        project = placing.project_for(self._gate.in_force, command.project, typed.channel)
        if isinstance(project, answers.WhichProject):
            return dataclasses.replace(project, dry_run=command.dry_run)
        ask = _Ask(
            request_id=request_id,
            entry=entry.key,
            name=name,
            actor=entry.actor,
            typed=typed,
            command=command,
            project=project,
        )
        probably = self._finder.remembered(project, command.flow) or command.flow
        opened = await self._meet(ask, probably) or await self._find(ask, met=probably)
        return opened if isinstance(opened, Request) else dataclasses.replace(opened, dry_run=command.dry_run)

    def _refuse_too_many(self, entry: Entry, command: commands.Change) -> answers.TooMany | None:
        """Say that somebody has sent too many commands, or None; a click, or what completes a command, is none."""
        wait = self._limit.wait(entry) if isinstance(entry.arrival, Typed) else 0.0
        return answers.TooMany(most=limiting.COMMANDS, wait=wait, dry_run=command.dry_run) if wait else None

    async def _meet(self, ask: _Ask, flow_id: str) -> answers.Answer | None:
        """Lead who may ask for the same to the open request for the flow, if there is one; dry runs meet nobody."""
        holder = None if ask.command.dry_run else await self._store.holder(ask.project.name, flow_id)
        if holder is None or ask.command.flow not in (holder.flow.flow_id, holder.flow.name):
            return None
        subject = dataclasses.replace(subject_of(holder), verb=ask.command.verb)
        decision = await self._gate.decide(ask.actor, subject, max_age=FRESH)
        if isinstance(decision, policy.Refuse):
            return refused(self._gate.in_force, action=ask.command.verb, flow=holder.flow.name, decision=decision)
        return _met(ask.command.verb, holder)

    async def _find(self, ask: _Ask, *, met: str) -> Request | answers.Answer:
        """Read which flow is meant; `met` is the id for which no open request was found already."""
        flow = await self._finder.find(ask.project, ask.command.flow)
        if not isinstance(flow, Flow):
            return flow
        open_one = await self._meet(ask, flow.flow_id) if flow.flow_id != met else None
        return open_one or await self._decide(ask, flow)

    async def _decide(self, ask: _Ask, flow: Flow) -> Request | answers.Answer:
        verb, project = ask.command.verb, ask.project
        channel = placing.card_channel(project, ask.typed.channel)
        subject = Subject(verb=verb, project=project.name, flow_id=flow.flow_id, flow_name=flow.name, channel=channel)
        decision = await self._gate.decide(ask.actor, subject, max_age=FRESH)
        if isinstance(decision, policy.Refuse):
            return refused(self._gate.in_force, action=verb, flow=flow.name, decision=decision)
        if flow.status == WANTED[verb]:
            return answers.AlreadySo(verb=verb, project=project.name, flow=flow)
        shared = False if project.allow_shared else await self._gate.is_shared(channel)
        if shared is not False:
            return answers.SharedChannel(channel=channel, project=project.name, sure=shared is True)
        return await self._missing(ask, flow, subject, decision) or await self._request(ask, flow, channel, decision)

    async def _missing(self, ask: _Ask, flow: Flow, subject: Subject, choice: Choice) -> answers.Answer | None:
        """Ask for what has to be typed besides the command: the name of a protected flow, and a reason."""
        lacks_reason = choice.reason_required and ask.command.reason is None
        guard = await self._gate.guard(ask.actor, subject, max_age=FRESH)
        if guard is not None and not _is_name(ask.name, flow):
            return answers.NameMissing(
                entry=ask.entry,
                verb=ask.command.verb,
                flow=flow.name.strip() or flow.flow_id,
                rule=guard.name,
                typed=ask.name,
                nameless=not flow.name.strip(),
                reason_too=lacks_reason,
            )
        if not lacks_reason:
            return None
        return answers.ReasonMissing(
            entry=ask.request_id,
            verb=ask.command.verb,
            flow=flow.name,
            rule=choice.rule.name,
            typed=commands.render(ask.command),
            door=ask.typed.door,
        )

    async def _request(
        self, ask: _Ask, flow: Flow, channel: str, choice: policy.Allow | policy.NeedApproval
    ) -> Request:
        now = self._clock.now()
        denial = await self._store.last_denial(ask.project.name, flow.flow_id, since=now - DENIED_LATELY)
        agreed = terms(self._gate.in_force, choice)
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
            terms=agreed,
            card=request.Card(channel=channel, thread=ask.typed.thread_ts if channel == ask.typed.channel else None),
            recently_denied_by=denial.ending.actor if denial is not None and denial.ending is not None else None,
        )
        if agreed.approvals or agreed.mentions:
            opened = life.say(opened, Said.ASKED, at=now, needed=agreed.approvals)
        if channel != ask.typed.channel:
            opened = life.say(opened, Said.LINKED, at=now, actor=ask.actor)
        return opened

    async def _tell(self, entry: Entry, answer: answers.Answer) -> Taken:
        event = ports.AuditEvent(
            at=self._clock.now(), what="nothing opened", actor=entry.actor, facts=_facts(entry, answer)
        )
        await self._store.commit(ports.Change(entry=entry.key, answer=answer, audit=(event,)))
        return Taken(answer=answer)


def terms(in_force: policy.Policy, choice: policy.Allow | policy.NeedApproval) -> request.Terms:
    """Return what the rule asks for, as a request keeps it."""
    needs = isinstance(choice, policy.NeedApproval)
    return request.Terms(
        rule=choice.rule.name,
        rule_text=choice.rule.text,
        policy_hash=in_force.digest,
        approvals=choice.approvals if isinstance(choice, policy.NeedApproval) else 0,
        approvers=choice.rule.approvers if needs else (),
        mentions=policy.mentions(in_force, choice.rule),
    )


def refused(in_force: policy.Policy, *, action: str, flow: str, decision: policy.Refuse) -> answers.Refused:
    """Return a no, with the people behind the sets that could do it."""
    people = policy.expand(in_force, decision.who_could)
    return answers.Refused(action=action, flow=flow, decision=decision, people=people)


def settled(seen: Request, button: Button) -> answers.Settled:
    """Say what a request is now, to somebody whose click came too late for it."""
    last = seen.votes[-1] if seen.votes else None
    ended = seen.ending
    return answers.Settled(
        button=button,
        card=card_link(seen),
        state=seen.state,
        progress=seen.operation.progress,
        by=(ended.actor.user if ended.actor else None) if ended else (last.actor.user if last else None),
        at=ended.at if ended else seen.decided_at,
        dry_run=seen.dry_run,
    )


def card_link(seen: Request) -> answers.CardLink:
    """Say where the card of a request stands."""
    return answers.CardLink(
        request_id=seen.id,
        verb=seen.verb,
        flow=seen.flow.name,
        channel=seen.card.channel,
        ts=seen.card.ts,
        thread=seen.card.thread,
    )


def _met(verb: Verb, holder: Request) -> answers.Joined | answers.Blocked:
    if holder.verb is verb:
        return answers.Joined(card=card_link(holder))
    return answers.Blocked(verb=verb, card=card_link(holder))


def _is_name(typed: str | None, flow: Flow) -> bool:
    """Tell whether exactly the flow's name was typed, or its id where it has none; spaces around it do not count."""
    return typed is not None and typed.strip() == (flow.name.strip() or flow.flow_id)


def _facts(entry: Entry, answer: answers.Answer) -> dict[str, object]:
    facts: dict[str, object] = {"answer": answer.kind}
    if isinstance(entry.arrival, Typed):
        facts |= {"typed": entry.arrival.text, "door": entry.arrival.door}
    if isinstance(answer, answers.Refused):
        facts |= {"why": answer.decision.why, "rule": answer.decision.rule}
    if isinstance(answer, answers.NameMissing):
        facts |= {"rule": answer.rule, "typed_name": answer.typed}
    return facts
