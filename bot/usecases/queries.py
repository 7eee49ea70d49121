"""The read commands: flows, open requests and history, as far as the reader may see them.

They write nothing, not even to the audit log. The reasons and links of a request whose card is in a private channel are
shown only to its requester, its approvers and that channel. A channel that Slack cannot describe counts as private.
"""

import asyncio
import collections
import dataclasses
from typing import Final

from bot.commands import grammar
from bot.commands.deliveries import Actor, Typed
from bot.commands.verbs import READ, VERBS, Verb
from bot.lifecycle import records
from bot.lifecycle.cloud_failure import CloudFailure
from bot.lifecycle.records import Flow, Request
from bot.lifecycle.states import State
from bot.policy import channels, evaluation, model, rights
from bot.usecases import answers, commit, find_flow, ports, query_results, visibility
from bot.usecases.gate import FRESH, Gate, subject_of

PAGE: Final = 20
"""Flows per page of the list."""

OPEN_LOOKED_AT: Final = 100
"""How many of the newest open requests are examined."""

OPEN_SHOWN: Final = 15

HISTORY: Final = 10
"""How many requests `history` shows."""

LOOKED_AT: Final = 50
"""How many requests of a project `history` examines."""

LAST: Final = 3
"""How many requests `status` shows besides the open one."""

QueryResult = query_results.Shown | query_results.NotShown


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Reader:
    """A full member who asks in a channel, with the facts needed to decide what they may see."""

    person: model.Person
    channel: str
    policy: model.Policy
    groups: model.Groups

    @property
    def id(self) -> str:
        return self.person.actor.id

    def refusal(self, project: str, flow_id: str = "", flow_name: str | None = "") -> model.Refuse | None:
        """Return why the reader may not see a flow, or any flow of the project; None if they may."""
        question = model.Question(
            person=self.person,
            verb=Verb.STATUS,
            project=project,
            flow_id=flow_id,
            flow_name=flow_name,
            channel=self.channel,
        )
        decision = evaluation.decide(self.policy, question, self.groups)
        return self._with_others(decision) if isinstance(decision, model.Refuse) else None

    def may_see(self, request: Request) -> bool:
        """Return whether the reader may see the flow of a request."""
        known = request.project in self.policy.projects
        return known and self.refusal(request.project, request.flow.flow_id, request.flow.name or None) is None

    def _with_others(self, refusal: model.Refuse) -> model.Refuse:
        """Return the refusal with those who could read instead: everyone whom the deny rule does not name."""
        rule = next((rule for rule in self.policy.rules if rule.name == refusal.rule), None)
        if rule is None:
            return refusal
        spared = rule.excluded if model.EVERYBODY in model.expand(self.policy, rule.who) else (model.EVERYBODY,)
        return dataclasses.replace(refusal, who_could=spared)


class Queries:
    """Answers the read commands; any number may run concurrently."""

    def __init__(
        self,
        *,
        store: ports.Store,
        finder: find_flow.FlowFinder,
        gate: Gate,
        directory: ports.Directory,
        clock: ports.Clock,
    ) -> None:
        self._store = store
        self._finder = finder
        self._gate = gate
        self._directory = directory
        self._clock = clock

    async def read(self, actor: Actor, typed: Typed, command: grammar.ReadCommand, *, page: int = 1) -> QueryResult:
        """Return the result of the command, or why there is none. Raises errors.StoreError."""
        policy = self._gate.policy
        person = await self._gate.person(actor, max_age=FRESH)
        outsider = evaluation.refuse_outsider(person)
        if command.verb is Verb.WHOAMI:
            named = frozenset[str]() if outsider is not None else rights.groups_named(policy)
            return self._whoami(await self._reader(person, typed.channel, named))
        if outsider is not None:
            return answers.Refused(action="read", flow="", decision=outsider)
        reader = await self._reader(person, typed.channel, rights.groups_deciding(policy, READ))
        if command.verb is Verb.PENDING:
            return await self._pending(reader)
        project = channels.project_for(policy, command.project, typed.channel)
        everything = command.verb is Verb.HISTORY and command.about is None
        if isinstance(project, channels.UnclearProject):
            if everything and project.typed is None:
                return await self._everything_done(reader, tuple(policy.projects))
            return answers.WhichProject(typed=project.typed, projects=project.projects)
        if everything:
            return await self._everything_done(reader, (project.name,))
        return self._refused(reader, project.name) or await self._about(reader, project, command, page=page)

    async def usable(self, actor: Actor, channel: str) -> query_results.Usable:
        """Return the verbs that a person may use in a channel."""
        policy = self._gate.policy
        person = await self._gate.person(actor, max_age=FRESH)
        if person.kind is model.Kind.UNREACHABLE:
            return query_results.Usable(verbs=frozenset(VERBS), sure=False)
        deciding = rights.groups_deciding(policy, *rights.VERB_OF)
        groups = await self._gate.stand_for((person.actor,), deciding, max_age=FRESH)
        verbs = rights.usable(policy, person, _places(policy, channel), groups)
        return query_results.Usable(verbs=verbs, sure=None not in groups.values())

    async def _reader(self, person: model.Person, channel: str, groups: frozenset[str]) -> _Reader:
        known = await self._gate.stand_for((person.actor,), groups, max_age=FRESH)
        return _Reader(person=person, channel=channel, policy=self._gate.policy, groups=known)

    async def _about(
        self, reader: _Reader, project: model.Project, command: grammar.ReadCommand, *, page: int
    ) -> QueryResult:
        if command.verb is Verb.LIST:
            return await self._list(reader, project, command, page=page)
        about = command.about or ""
        if command.verb is Verb.STATUS:
            found = await self._find(reader, project, about)
            return await self._status(reader, project, found) if isinstance(found, Flow) else found
        return await self._history_of(reader, project, about)

    # — flows —

    async def _status(self, reader: _Reader, project: model.Project, flow: Flow) -> query_results.Status:
        holder, done = await asyncio.gather(
            self._store.holder(project.name, flow.flow_id),
            self._store.history(project.name, flow_id=flow.flow_id, limit=LAST + 1),
        )
        others = [one for one in done if (holder is None or one.id != holder.id) and reader.may_see(one)][:LAST]
        return query_results.Status(
            project=project.name,
            flow=flow,
            holder=None if holder is None else await self._row(reader, holder),
            last=await self._rows(reader, others),
        )

    async def _list(
        self, reader: _Reader, project: model.Project, command: grammar.ReadCommand, *, page: int
    ) -> query_results.Flows | query_results.FlowsUnread:
        listed = await self._finder.listed(project)
        if isinstance(listed, CloudFailure):
            return query_results.FlowsUnread(project=project.name, failure=listed)
        wanted = (command.about or "").casefold()
        fitting = [
            name
            for name in listed.names
            if (wanted in name.name.casefold() or wanted in name.flow_id.casefold())
            and reader.refusal(project.name, name.flow_id, name.name) is None
        ]
        fitting.sort(key=lambda name: (name.name.casefold(), name.flow_id))
        pages = max(1, -(-len(fitting) // PAGE))
        page = min(max(page, 1), pages)
        return query_results.Flows(
            project=project.name,
            asked=dataclasses.replace(command, project=project.name),
            rows=tuple(
                query_results.ListedFlow(flow_id=name.flow_id, name=name.name, status=name.status)
                for name in fitting[(page - 1) * PAGE : page * PAGE]
            ),
            total=len(fitting),
            tally=tuple(collections.Counter(name.status for name in fitting).most_common()),
            page=page,
            pages=pages,
            age=max(0.0, self._clock.now() - listed.at),
        )

    async def _find(self, reader: _Reader, project: model.Project, typed: str) -> Flow | query_results.NotShown:
        """Find a flow that the reader may see; reveal nothing about others."""
        found = await self._finder.find(project, typed, purpose="read", freshest=False)
        if isinstance(found, Flow):
            return self._refused(reader, project.name, found.flow_id, found.name, called=typed) or found
        if isinstance(found, answers.NoSuchFlow):
            return visibility.only(found, lambda flow: reader.refusal(project.name, *flow) is None)
        return found

    def _refused(
        self, reader: _Reader, project: str, flow_id: str = "", flow_name: str | None = "", *, called: str = ""
    ) -> answers.Refused | None:
        """Return why the reader may not see a flow, `called` as they typed it, without revealing its name or id."""
        refusal = reader.refusal(project, flow_id, flow_name)
        if refusal is None:
            return None
        return commit.refused(reader.policy, action="read", flow=called or project, decision=refusal)

    # — requests —

    async def _pending(self, reader: _Reader) -> query_results.Pending | answers.Refused:
        shut = [self._refused(reader, name) for name in reader.policy.projects]
        if shut and shut[0] is not None and None not in shut:
            return shut[0]  # a reader who may see nothing must not be told that no requests are open
        found = [one for one in await self._store.unsettled(limit=OPEN_LOOKED_AT) if reader.may_see(one)]
        may = await asyncio.gather(*(self._may_decide(reader, one) for one in found))
        mine = [one for one, decides in zip(found, may, strict=True) if decides][:OPEN_SHOWN]
        rest = [one for one, decides in zip(found, may, strict=True) if not decides][: OPEN_SHOWN - len(mine)]
        return query_results.Pending(
            deciding=await self._rows(reader, mine),
            others=await self._rows(reader, rest),
            more=len(found) - len(mine) - len(rest),
        )

    async def _may_decide(self, reader: _Reader, request: Request) -> bool:
        if request.emergency is not None:
            return await self._may_decide_emergency(reader, request)
        if request.state is not State.PENDING:
            return False
        decision = await self._gate.decide(request.requester, subject_of(request), max_age=FRESH)
        if isinstance(decision, model.Refuse):
            return False
        actor = reader.person.actor
        if request.terms.approvals == 0:
            return await self._gate.refuse_confirmation(request, decision, actor, max_age=FRESH) is None
        return await self._gate.refuse_vote(request, decision, actor, votes=request.votes, max_age=FRESH) is None

    async def _may_decide_emergency(self, reader: _Reader, request: Request) -> bool:
        """Return whether the reader may approve, deny or review the request."""
        actor = reader.person.actor
        if request.state is State.PENDING and await self._may_press(request, actor):
            return True
        waits = request.state is State.PENDING or records.is_review_open(request)
        return waits and await self._gate.refuse_judge(request, actor, max_age=FRESH) is None

    async def _may_press(self, request: Request, actor: Actor) -> bool:
        """Return whether the reader may make the next press: as the requester, or as the second person if needed."""
        emergency = request.emergency
        needs_second = emergency is not None and emergency.needs_second and emergency.first_at is not None
        if needs_second == (actor.id == request.requester.id):
            return False
        decision = await self._gate.decide_emergency(actor, subject_of(request), max_age=FRESH)
        return not isinstance(decision, model.Refuse)

    async def _everything_done(
        self, reader: _Reader, projects: tuple[str, ...]
    ) -> query_results.History | answers.Refused:
        refused = {name: self._refused(reader, name) for name in projects}
        open_to = tuple(name for name, refusal in refused.items() if refusal is None)
        shut = next((refusal for refusal in refused.values() if refusal is not None), None)
        if shut is not None and not open_to:
            return shut
        found = await asyncio.gather(*(self._store.history(name, limit=LOOKED_AT) for name in open_to))
        done = [one for of_project in found for one in of_project if reader.may_see(one)]
        done.sort(key=lambda one: one.asked_at, reverse=True)
        return query_results.History(projects=open_to, about=None, rows=await self._rows(reader, done[:HISTORY]))

    async def _history_of(
        self, reader: _Reader, project: model.Project, about: str
    ) -> query_results.History | query_results.NotShown:
        """Look for the id in the store first: it still knows flows that were deleted from the cloud."""
        done = await self._store.history(project.name, flow_id=about, limit=HISTORY)
        if done:
            refused = self._refused(reader, project.name, about, done[0].flow.name or None, called=about)
            if refused is not None:
                return refused
            done = list(filter(reader.may_see, done))  # the flow may have been renamed since
        else:
            found = await self._find(reader, project, about)
            if not isinstance(found, Flow):
                return found
            done = await self._store.history(project.name, flow_id=found.flow_id, limit=HISTORY)
        return query_results.History(projects=(project.name,), about=about, rows=await self._rows(reader, done))

    async def _rows(self, reader: _Reader, found: list[Request]) -> tuple[query_results.Row, ...]:
        return tuple(await asyncio.gather(*(self._row(reader, one) for one in found)))

    async def _row(self, reader: _Reader, request: Request) -> query_results.Row:
        if await self._gate.may_see_card(request, reader.person.actor, channel=reader.channel):
            return query_results.Row(request=request)
        ending = request.ending and dataclasses.replace(request.ending, reason=None)
        return query_results.Row(
            request=dataclasses.replace(request, reason=None, ending=ending, unsent=()), hidden=True
        )

    # — people —

    def _whoami(self, reader: _Reader) -> query_results.Whoami:
        policy, is_member = reader.policy, reader.person.kind is model.Kind.MEMBER
        person, groups = reader.person, reader.groups
        standings = tuple(
            query_results.ProjectRights(
                project=place.project,
                rights=rights.rights(policy, person, place, groups),
                emergencies=rights.emergencies(policy, person, place, groups),
            )
            for place in _places(policy, reader.channel)
        )
        return query_results.Whoami(
            person=reader.person,
            belonging=rights.belonging(policy, reader.id, reader.groups) if is_member else rights.Belonging(),
            standings=standings if is_member else (),
        )


def _places(policy: model.Policy, channel: str) -> tuple[rights.Place, ...]:
    """Return the channel's project, or all projects if it belongs to none."""
    own = channels.project_of_channel(policy, channel)
    projects = (own,) if own is not None else tuple(policy.projects.values())
    return tuple(
        rights.Place(project=project.name, card_channel=channels.card_channel(project, channel), channel=channel)
        for project in projects
    )
