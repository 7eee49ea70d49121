"""Fakes that many tests share: a clock and the ports. Beyond the ports are the stand-ins of `bot.playground`."""

import asyncio
import contextlib
import dataclasses
import functools
import math
import pathlib
import sqlite3
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

from bot.cloud.key_lock import LockedCloud
from bot.commands import deliveries
from bot.commands.deliveries import Actor, Entry
from bot.commands.verbs import CHANGES, Verb
from bot.lifecycle import call_outcome, records
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.lifecycle.records import Flow, Reply, Request
from bot.playground import world
from bot.policy import model
from bot.policy.file import loader as policy_file
from bot.store import migrate
from bot.store.engines import database_url, sqlite
from bot.store.store import SqlStore
from bot.usecases import answers, commit, errors, ports
from bot.usecases.clicks import UseCases
from bot.usecases.find_flow import FlowFinder
from bot.usecases.gate import Gate
from bot.usecases.open_request import RequestOpener
from bot.worker.call import Caller
from bot.worker.deliver import Deliverer
from bot.worker.requests import Worker


@dataclasses.dataclass(eq=False)
class _Sleeper:
    until: float
    woken: asyncio.Event


class FakeClock:
    """ports.Clock that only moves when a test turns it."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._sleepers: list[_Sleeper] = []

    def now(self) -> float:
        """Return the time that the clock shows."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return when the clock has been turned that far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        sleeper = _Sleeper(until=self._now + seconds, woken=asyncio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper.woken.wait()
        finally:
            self._sleepers.remove(sleeper)

    def next_wake(self) -> float:
        """Return the seconds until the first sleeper wakes; infinite if nobody sleeps."""
        return max(0.0, min((sleeper.until for sleeper in self._sleepers), default=math.inf) - self._now)

    def turn(self, seconds: float) -> None:
        """Move the clock forward; sleepers whose time has come wake."""
        self._now += seconds
        for sleeper in self._sleepers:
            if sleeper.until <= self._now:
                sleeper.woken.set()


T = TypeVar("T")

PATIENCE: Final = 60.0
"""Real seconds to wait for a condition, even on a busy machine."""

POLICY: Final = world.POLICY.replace("{endpoint}", "http://127.0.0.1:9")
EMERGENCY: Final = POLICY.replace(
    'approvers = ["media-leads"]', 'approvers = ["media-leads"]\nemergency = ["media-oncall"]'
)
"""The sample policy, whose rule lets people on call skip the approval of the leads."""

BURNS: Final = "stop flow-1 --emergency because it burns"
MAIN: Final = Flow(flow_id="flow-1", name="main-feed", region="ap-southeast-3", status="ACTIVE")
STANDING: Final = dataclasses.replace(MAIN, status="STANDBY")
ALICE, BOB, CAROL = (Actor(team="T1", user=f"U0{name}") for name in ("ALICE", "BOB", "CAROL"))
DAVE, ERIN = (Actor(team="T1", user=f"U0{name}") for name in ("DAVE", "ERIN"))


async def until(happened: Callable[[], object]) -> None:
    """Wait until the condition holds, for a bounded time."""
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110 - a condition may be about anything
            await asyncio.sleep(0.002)


async def in_order(work: Awaitable[object]) -> None:
    """Wait for a coroutine, for a bounded time."""
    async with asyncio.timeout(PATIENCE):
        await work


def policy_of(text: str) -> model.Policy:
    """Parse a policy, which must be valid."""
    loaded = policy_file.load(text.encode(), name="flowbot.toml")
    assert loaded.policy is not None, loaded.problems
    return loaded.policy


class FakeCloud:
    """ports.Cloud with flows in memory. Scripted replies come once each, in order; an event blocks its call until set,
    and an event in `hanging` blocks every call of its project. A script for `stop flow-1` is for that flow alone.

    As strict as Live: unknown flows are not found, and a flow in standby cannot be stopped.
    """

    def __init__(self, *flows: Flow) -> None:
        self.there = {flow.flow_id: flow for flow in flows or (MAIN,)}
        self.calls: list[tuple[str, str]] = []
        self.purposes: list[ports.Purpose] = []
        self.hanging: dict[str, asyncio.Event] = {}
        self._script: dict[str, deque[object]] = defaultdict(deque)

    def will(self, method: str, *replies: object) -> None:
        """Script the next calls of `flow`, `flows`, `stop` or `start`; an exception among the replies is raised."""
        self._script[method].extend(replies)

    def stops(self) -> int:
        """Return the number of stop calls."""
        return sum(method == "stop" for method, _ in self.calls)

    async def flow(
        self, project: model.Project, flow_id: str, *, purpose: ports.Purpose = "stop"
    ) -> Flow | CloudFailure:
        """Read one flow."""
        missing = CloudFailure(fault=Fault.NOT_FOUND, http_status=404, code="LIVE.103011019")
        self.purposes.append(purpose)
        said = await self._next("flow", project, flow_id)
        return said if isinstance(said, Flow | CloudFailure) else self.there.get(flow_id, missing)

    async def flows(
        self, project: model.Project, *, purpose: ports.Purpose = "stop"
    ) -> tuple[ports.FlowName, ...] | CloudFailure:
        """Read the names of all flows."""
        self.purposes.append(purpose)
        said = await self._next("flows", project, project.name)
        names = (ports.FlowName(flow_id=x.flow_id, name=x.name, status=x.status) for x in self.there.values())
        return said if isinstance(said, CloudFailure) else tuple(names)

    async def change(self, project: model.Project, flow_id: str, verb: Verb) -> call_outcome.Accepted | CloudFailure:
        """Make the call of a changing verb."""
        to = CHANGES[verb].wanted
        said = await self._next(CHANGES[verb].call, project, flow_id)
        if isinstance(said, call_outcome.Accepted | CloudFailure):
            return said
        if self.there[flow_id].status == to:
            why = f"flow task is in {to.lower()} status"
            return CloudFailure(fault=Fault.REJECTED, http_status=400, message=why)
        self.there[flow_id] = dataclasses.replace(self.there[flow_id], status=to)
        return call_outcome.Accepted(status=to, request_id="live-1")

    async def _next(self, method: str, project: model.Project, about: str) -> object:
        self.calls.append((method, about))
        if project.name in self.hanging:
            await self.hanging[project.name].wait()
        script = self._script[f"{method} {about}"] or self._script[method]
        said = script.popleft() if script else None
        while isinstance(said, asyncio.Event):
            await said.wait()
            said = script.popleft() if script else None
        if isinstance(said, BaseException):
            raise said
        return said


class FakeDirectory:
    """ports.Directory with people and groups in memory; `away` means that Slack cannot be asked. Others are strangers.

    `one_id` maps user ids to the id of the person, for people with several user ids.
    """

    def __init__(self) -> None:
        self.one_id: dict[str, str] = {}
        self.kinds = {actor.user: model.Kind.MEMBER for actor in (ALICE, BOB, CAROL, DAVE, ERIN)}
        self.groups: dict[str, frozenset[str]] = {"S0MEDIAGRP": frozenset({"U0ERIN"})}
        self.private: set[str] = set()
        self.shared: set[str] = set()
        self.unknown: set[str] = set()
        self.away = False
        self.asked: list[tuple[str, float]] = []
        self.gate: asyncio.Event | None = None
        self.hanging: dict[str, asyncio.Event] = {}

    async def is_ours(self, teams: Collection[str]) -> bool | None:
        """Return whether one of these is the team of these people."""
        return None if self.away else ALICE.team in teams

    async def person(self, actor: Actor, *, max_age: float) -> model.Person:
        """Return the person behind an actor."""
        self.asked.append((actor.user, max_age))
        if self.gate is not None:
            await self.gate.wait()
        if actor.user in self.hanging:
            await self.hanging[actor.user].wait()
        return self._person(actor)

    async def persons(self, users: Collection[str], *, max_age: float) -> Mapping[str, model.Person]:
        """Return the people behind user ids."""
        self.asked += [(user, max_age) for user in sorted(users)]
        return {user: self._person(Actor(team="T1", user=user)) for user in users}

    def _person(self, actor: Actor) -> model.Person:
        kind = self.kinds.get(actor.user, model.Kind.STRANGER)
        if self.away or kind is model.Kind.UNREACHABLE:
            return model.Person(actor=actor, kind=model.Kind.UNREACHABLE)
        return model.Person(actor=dataclasses.replace(actor, person=self.one_id.get(actor.user)), kind=kind)

    async def members(self, group: str, *, max_age: float) -> frozenset[str] | None:
        """Return the members of a group."""
        self.asked.append((group, max_age))
        return None if self.away else self.groups.get(group)

    async def is_private(self, channel: str, *, max_age: float) -> bool | None:
        """Return whether a channel is private."""
        return None if self.away or channel in self.unknown else channel in self.private

    async def is_shared(self, channel: str, *, max_age: float) -> bool | None:
        """Return whether other organisations can see a channel."""
        return None if self.away or channel in self.unknown else channel in self.shared


class FakeChat:
    """ports.Chat that remembers its messages. Troubles come once each, in order; an event blocks its call.

    An event in `hanging` blocks every call for its channel. As strict as Slack: only existing messages can be edited or
    replied to.
    """

    def __init__(self) -> None:
        self.cards: dict[str, Request] = {}
        self.replies: list[Reply] = []
        self.told: list[tuple[str, records.ReplyKind]] = []
        self.answered: list[answers.AnyAnswer] = []
        self.private: list[tuple[str, Reply]] = []
        self.retired: list[tuple[str, str, answers.CardLink]] = []
        self.asked: list[Entry] = []
        self.journal: list[str] = []
        self.troubles: dict[str, deque[BaseException | asyncio.Event]] = defaultdict(deque)
        self.away = False
        self.hanging: dict[str, asyncio.Event] = {}
        self._number = 0

    async def post_card(self, seen: Request) -> str:
        """Post the card."""
        await self._meet("post_card", seen.card.channel)
        return self._stand(seen)

    async def edit_card(self, seen: Request) -> None:
        """Edit the card."""
        await self._meet("edit_card", seen.card.channel)
        self._find(seen)
        self.cards[str(seen.card.ts)] = seen

    async def reply(self, seen: Request, reply: Reply) -> str:
        """Post a reply."""
        await self._meet("reply", seen.card.channel)
        self._find(seen)
        self.replies.append(reply)
        self.told.append((seen.id, reply.said))
        return f"{len(self.replies)}.reply"

    async def reply_privately(self, seen: Request, reply: Reply) -> None:
        """Send the requester a direct message."""
        await self._meet("reply_privately", seen.requester.user)
        self.private.append((seen.requester.user, reply))

    async def retire_copy(self, channel: str, ts: str, card: answers.CardLink) -> None:
        """Turn a copy of a card into a link."""
        await self._meet("retire_copy", channel)
        self.retired.append((channel, ts, card))

    async def answer(self, entry: Entry, answer: answers.AnyAnswer) -> None:
        """Answer one person."""
        await self._meet("answer", getattr(entry.arrival, "channel", entry.actor.user))
        self.answered.append(answer)
        self.asked.append(entry)

    def said(self) -> list[str]:
        """Return the kinds of the replies, in order."""
        return [reply.said.value for reply in self.replies]

    def _stand(self, seen: Request) -> str:
        assert seen.card.ts is None
        self._number += 1
        self.cards[f"{self._number}.card"] = seen
        return f"{self._number}.card"

    def _find(self, seen: Request) -> None:
        if seen.card.ts not in self.cards:
            raise errors.ChatRefused("message_not_found")

    async def _meet(self, method: str, channel: str) -> None:
        self.journal.append(method)
        if channel in self.hanging:
            await self.hanging[channel].wait()
        if self.away:
            raise errors.ChatUnavailable("ClientConnectorError")
        trouble = self.troubles[method].popleft() if self.troubles[method] else None
        if isinstance(trouble, asyncio.Event):
            await trouble.wait()
        elif trouble is not None:
            raise trouble


class TroubledStore(SqlStore):
    """The real store on a real file, which fails or hangs when a test says so; with `away`, everything fails.

    A trouble in `before` comes instead of the write, one in `after` after it is on disk. After each change in
    `stops_after`, the process is suspended for longer than a lease.
    """

    away = False
    stopped = 0.0

    def trouble(self) -> None:
        """Set up; call it once."""
        self.stops_after: deque[str] = deque()
        self.journal: list[str] = []
        self.before: dict[str, deque[BaseException | asyncio.Event]] = defaultdict(deque)
        self.after: dict[str, deque[BaseException | asyncio.Event]] = defaultdict(deque)

    async def record(self, entries: Sequence[Entry]) -> frozenset[str]:
        """Write entries."""
        return await self._through("record", super().record(entries))

    async def commit(self, change: ports.Change) -> None:
        """Write a change."""
        what = change.audit[0].what if change.audit else ""
        await self._through("commit", super().commit(change), note=what)
        if self.stops_after and self.stops_after[0] == what:
            self.stops_after.popleft()
            self.stopped += 60.0

    async def load(self, request_id: str) -> Request | None:
        """Read a request."""
        return await self._through("load", super().load(request_id))

    async def claim(self, request_id: str) -> Request | None:
        """Lease a request."""
        return await self._through("claim", super().claim(request_id))

    async def release(self, seen: Request, *, due_at: float | None) -> bool:
        """Release a request."""
        return await self._through("release", super().release(seen, due_at=due_at))

    async def claim_entries(self, *, limit: int) -> list[ports.Claimed]:
        """Lease entries."""
        return await self._through("claim_entries", super().claim_entries(limit=limit))

    async def claim_due(self, *, limit: int) -> list[Request]:
        """Lease requests that are due."""
        return await self._through("claim_due", super().claim_due(limit=limit))

    async def postpone_entry(self, key: str, *, until: float) -> None:
        """Release an entry for a while."""
        await self._through("postpone_entry", super().postpone_entry(key, until=until))

    async def let_go(self, *, keeping: Collection[str]) -> None:
        """End leases."""
        await self._through("let_go", super().let_go(keeping=keeping))

    async def told(self, seen: Request) -> None:
        """Save what Slack shows."""
        await self._through("told", super().told(seen))

    async def holder(self, project: str, flow: str) -> Request | None:
        """Read who holds a flow."""
        return await self._through("holder", super().holder(project, flow))

    async def _through(self, method: str, work: Coroutine[Any, Any, T], *, note: str = "") -> T:
        self.journal.append(note or method)
        trouble = errors.StoreError("database unavailable") if self.away else _next(self.before[method])
        if isinstance(trouble, BaseException):
            work.close()
            raise trouble
        if trouble is not None:
            await trouble.wait()
        result = await work
        if isinstance(late := _next(self.after[method]), BaseException):
            raise late
        if late is not None:
            await late.wait()
        return result


def _next(troubles: deque[BaseException | asyncio.Event]) -> BaseException | asyncio.Event | None:
    return troubles.popleft() if troubles else None


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory) / "flowbot.db"
        migrate.migrate(f"sqlite:///{file}")
        return file.read_bytes()


def database_in(directory: pathlib.Path) -> str:
    """Put a migrated, empty database into the directory and return its URL."""
    (directory / "flowbot.db").write_bytes(_migrated())
    return f"sqlite:///{directory / 'flowbot.db'}"


class Desk:
    """The bot's components as `serve` connects them, with a real database and fakes of everything outside."""

    def __init__(self, store: TroubledStore, clock: FakeClock) -> None:
        self.store, self.clock = store, clock
        self.cloud, self.directory, self.chat = FakeCloud(), FakeDirectory(), FakeChat()
        self.policy = policy_of(POLICY)
        self.gate = Gate(current_policy=lambda: self.policy, directory=self.directory, switch=self.store, clock=clock)
        live = LockedCloud(cloud=self.cloud, keys=lambda project: f"key of {project.name}", store=store, clock=clock)
        finder = FlowFinder(cloud=live, clock=clock)
        self.opener = RequestOpener(store=store, finder=finder, gate=self.gate, clock=clock)
        self.service = UseCases(store=store, gate=self.gate, opener=self.opener, clock=clock)
        self.calling = Caller(store=store, cloud=live, gate=self.gate, clock=clock)
        self.telling = Deliverer(store=store, chat=self.chat, clock=clock, may_show=self.gate.may_show)
        self.worker = Worker(
            store=store,
            use_cases=self.service,
            caller=self.calling,
            deliverer=self.telling,
            chat=self.chat,
            clock=clock,
        )
        self._entries = 0

    def entry(self, arrival: deliveries.Arrival, actor: Actor = ALICE, *, key: str = "") -> Entry:
        """Return a new entry."""
        self._entries += 1
        return Entry(key=key or f"k{self._entries}", actor=actor, arrival=arrival, received_at=self.clock.now())

    def typed(self, text: str = "stop main-feed", actor: Actor = ALICE, *, channel: str = "C0INCIDENT") -> Entry:
        """Return a new command."""
        return self.entry(deliveries.Typed(text=text, channel=channel), actor)

    def click(
        self, button: str, actor: Actor, request_id: str, *, on: str = "1.card", channel: str = "C0INCIDENT"
    ) -> Entry:
        """Return a new click on the message with this `ts`."""
        pressed = deliveries.Clicked(
            button=deliveries.Button(button), request_id=request_id, channel=channel, message_ts=on
        )
        return self.entry(pressed, actor)

    async def take(self, entry: Entry) -> commit.EntryResult:
        """Record an entry and process it, without the worker."""
        await self.store.record([entry])
        return await self.service.take(entry)

    async def opened(self, text: str = "stop flow-1", actor: Actor = ALICE) -> Request:
        """Return a pending request."""
        taken = await self.take(self.typed(text, actor))
        assert taken.request_id is not None, taken.answer
        return await self.now(taken.request_id)

    async def approved(self, text: str = "stop flow-1", actor: Actor = ALICE, *, by: Actor = CAROL) -> Request:
        """Return a request that is approved, or confirmed if its rule requires no approval."""
        opened = await self.opened(text, actor)
        button = "approve" if opened.terms.approvals else "confirm"
        await self.take(self.click(button, by if opened.terms.approvals else actor, opened.id))
        return await self.now(opened.id)

    async def pressed_first(self, text: str = BURNS, actor: Actor = ALICE) -> Request:
        """Return an emergency with its requester's first press, made long enough ago."""
        opened = await self.opened(text, actor)
        await self.take(self.click("emergency_first", actor, opened.id))
        self.clock.turn(records.APART)
        return await self.now(opened.id)

    async def let_run(self, text: str = BURNS, actor: Actor = ALICE) -> Request:
        """Return an emergency that is confirmed by both presses and announced."""
        first = await self.pressed_first(text, actor)
        await self.telling.tell(first.id)
        await self.take(self.click("emergency_confirm", actor, first.id))
        return await self.now(first.id)

    async def now(self, request_id: str) -> Request:
        """Return the request on disk."""
        seen = await SqlStore.load(self.store, request_id)
        assert seen is not None
        return seen

    def select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Query the database file."""
        writer = self.store.database.writer
        assert isinstance(writer, sqlite.Threads)
        file = f"file:{writer.engine.url.database}?mode=ro"
        with contextlib.closing(sqlite3.connect(file, uri=True)) as connection:
            return connection.execute(query, values).fetchall()


@contextlib.asynccontextmanager
async def open_desk(directory: pathlib.Path, clock: FakeClock | None = None) -> AsyncIterator[Desk]:
    """Open a desk on the database in the directory; create it if it does not exist."""
    clock = clock or FakeClock()
    url = f"sqlite:///{directory / 'flowbot.db'}" if (directory / "flowbot.db").exists() else database_in(directory)
    db = sqlite.open_sqlite(database_url.parse(url), busy_timeout=1.5)
    store = TroubledStore(db, clock=clock, replica="desk", monotonic=lambda: time.monotonic() + store.stopped)
    store.trouble()
    desk = Desk(store, clock)
    try:
        yield desk
    finally:
        store.away = False
        await desk.worker.drain()
        await store.close()
