"""The outside of the model: a strict cloud, Slack and directory that record everything and fail on demand.

Every call of a port goes through a `Tap`, where a process can die. It knows the ports, but no decision of the bot.
"""

import asyncio
import dataclasses
import functools
import inspect
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final

from bot.commands.deliveries import Actor, Entry
from bot.commands.verbs import Verb
from bot.lifecycle import call_outcome, records
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.policy import model
from bot.usecases import answers, errors, ports

PEOPLE: Final = {
    name: Actor(team="T1", user=f"U0{name}")
    for name in ("ALICE", "BOB", "CAROL", "DAVE", "ERIN", "GUEST", "GONE", "OTHER")
}
FLOWS: Final = {"flow-1": "main-feed", "flow-2": "backup-feed"}

TIMEOUT: Final = 10.0

WELL: Final = "well"
"""A write that succeeds, in a sequence of failing ones."""


class Tap:
    """The point that all calls of one process pass: it counts them, and lets the process die at one of them.

    The later calls of a dead process have no effect.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.dead = False
        self.died = asyncio.Event()
        self.dies_at: int | None = None
        self.writes_fail: deque[str] = deque()
        self.outcomes_fail: deque[str] = deque()
        self.under_way: Counter[str] = Counter()

    def here(self) -> None:
        """Pass a point where the process may die."""
        self.calls += 1
        if self.dies_at is not None and self.calls >= self.dies_at:
            self.dead = True
            self.died.set()
        if self.dead:
            raise asyncio.CancelledError

    def of(self, port: object, *, writes: frozenset[str] = frozenset()) -> Any:
        """Return the port behind this tap; `writes` are the methods at which a database may fail."""
        return _Tapped(port, self, writes)


class _Tapped:
    def __init__(self, port: object, tap: Tap, writes: frozenset[str]) -> None:
        self._port, self._tap, self._writes = port, tap, writes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return self._through(found, name) if inspect.iscoroutinefunction(found) else found

    def _failure(self, name: str, values: tuple[Any, ...]) -> str | None:
        """Return the failure of this write; `outcomes_fail` are only for writes of an outcome."""
        if name == "commit" and self._tap.outcomes_fail and values[0].audit[0].what == "call ended":
            return self._tap.outcomes_fail.popleft()
        return self._tap.writes_fail.popleft() if name in self._writes and self._tap.writes_fail else None

    def _through(self, method: Callable[..., Awaitable[Any]], name: str) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(method)
        async def through(*values: Any, **named: Any) -> Any:
            self._tap.here()
            failure = self._failure(name, values)
            if failure == "refused":
                raise errors.NotRecorded("the disk is full")
            if failure == "unconfirmed, not done":
                raise errors.Unconfirmed("nobody knows")
            if name == "stop":
                self._tap.under_way[values[1]] += 1
            try:
                done = await method(*values, **named)
            finally:
                if name == "stop":
                    self._tap.under_way[values[1]] -= 1
            self._tap.here()
            if failure not in (None, WELL):
                raise errors.Unconfirmed("nobody knows")
            return done

        return through


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """One call to the cloud: a `stop` or a `read` of a flow, and the status or the fault that the bot got."""

    at: float
    what: str
    flow: str
    heard: str
    request: str | None = None


class StrictCloud:
    """ports.Cloud in memory; `troubles` affect the next calls of a kind, one each.

    `calls_stop` is called before each stop, and returns its request.
    """

    def __init__(self, clock: ports.Clock) -> None:
        self.status = dict.fromkeys(FLOWS, "ACTIVE")
        self.told: list[Told] = []
        self.troubles: dict[str, deque[str]] = {"stop": deque(), "read": deque()}
        self.unreadable = False
        self.calls_stop: Callable[[str], str | None] = lambda _: None
        self._clock = clock

    async def flow(self, project: model.Project, flow_id: str, **_: object) -> records.Flow | CloudFailure:
        """Read one flow."""
        trouble = self._trouble("read")
        if flow_id not in self.status:
            return CloudFailure(fault=Fault.NOT_FOUND, http_status=404, code="LIVE.103011019")
        if trouble is not None or self.unreadable:
            failure = _failure(trouble or "5xx")
            self._tell("read", flow_id, failure.fault.value)
            return failure
        self._tell("read", flow_id, self.status[flow_id])
        return records.Flow(flow_id=flow_id, name=FLOWS[flow_id], region="ap-southeast-3", status=self.status[flow_id])

    async def flows(self, project: model.Project, **_: object) -> tuple[ports.FlowName, ...] | CloudFailure:
        """Read the names."""
        return tuple(ports.FlowName(flow_id=key, name=FLOWS[key], status=now) for key, now in self.status.items())

    async def change(self, project: model.Project, flow_id: str, verb: Verb) -> call_outcome.Accepted | CloudFailure:
        """Stop a flow, with the next trouble, if any; other changes are not used here."""
        assert verb is Verb.STOP
        request = self.calls_stop(flow_id)
        reply = await self._stop(flow_id)
        heard = reply.status if isinstance(reply, call_outcome.Accepted) else reply.fault.value
        self._tell("stop", flow_id, heard, request)
        return reply

    async def _stop(self, flow_id: str) -> call_outcome.Accepted | CloudFailure:
        trouble = self._trouble("stop")
        if trouble in ("429", "401", "locked", "never sent"):
            return _failure(trouble)
        if trouble in ("slow", "slow, lost"):
            await self._clock.sleep(TIMEOUT - 2)
        if trouble in ("lost", "5xx"):
            return _failure(trouble)
        if self.status[flow_id] == "STANDBY":
            return CloudFailure(fault=Fault.REJECTED, http_status=400, message="flow task is in standby status")
        if trouble == "accepted":
            return call_outcome.Accepted(status="ACTIVE", request_id="live-1")
        self.status[flow_id] = "STANDBY"
        if trouble in ("lost, done", "5xx, done", "slow, lost"):
            return _failure(trouble)
        return call_outcome.Accepted(status="STANDBY", request_id="live-1")

    def _trouble(self, kind: str) -> str | None:
        return self.troubles[kind].popleft() if self.troubles[kind] else None

    def _tell(self, what: str, flow: str, heard: str, request: str | None = None) -> None:
        self.told.append(Told(at=self._clock.now(), what=what, flow=flow, heard=heard, request=request))


def _failure(trouble: str) -> CloudFailure:
    match trouble:
        case "429":
            return CloudFailure(fault=Fault.THROTTLED, http_status=429, code="APIGW.0308", retry_after=3.0)
        case "401" | "locked":
            message = "AK access failed to reach the limit,forbidden" if trouble == "locked" else "bad signature"
            return CloudFailure(fault=Fault.CREDENTIALS, http_status=401, code="APIGW.0301", message=message)
        case "never sent":
            return CloudFailure(fault=Fault.NEVER_SENT)
        case "5xx" | "5xx, done":
            return CloudFailure(fault=Fault.UNCERTAIN, http_status=502)
        case _:
            return CloudFailure(fault=Fault.UNCERTAIN)


class StrictChat:
    """ports.Chat that keeps its messages; `troubles` affect the next calls, one each.

    `sees` is called before each message about a request, and `answers` before each answer.
    """

    def __init__(self) -> None:
        self.cards: dict[str, records.Request] = {}
        self.said: dict[str, list[tuple[int, records.ReplyKind]]] = {}
        self.answered: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.troubles: deque[str] = deque()
        self.copies_allowed = 0
        self.sees: Callable[[records.Request, records.Reply | None], None] = lambda seen, reply: None
        self.answers: Callable[[Entry, answers.AnyAnswer], None] = lambda entry, answer: None
        self._number = 0

    async def post_card(self, seen: records.Request) -> str:
        """Post the card."""
        assert seen.card.ts is None, "a card is posted once"
        self.sees(seen, None)
        with_answer = self._meet("post")
        self._number += 1
        ts = f"{self._number:06}.card"
        self.cards[ts] = seen
        self._lose(with_answer)
        return ts

    async def edit_card(self, seen: records.Request) -> None:
        """Edit the card."""
        assert seen.card.ts in self.cards, "what is edited stands there"
        self.sees(seen, None)
        with_answer = self._meet("edit")
        self.cards[str(seen.card.ts)] = seen
        self._lose(with_answer)

    async def reply(self, seen: records.Request, reply: records.Reply) -> str:
        """Post a reply."""
        assert seen.card.ts in self.cards, "a reply stands under its card"
        self.sees(seen, reply)
        with_answer = self._meet("reply")
        self.said.setdefault(seen.id, []).append((reply.seq, reply.said))
        self._number += 1
        self._lose(with_answer)
        return f"{self._number:06}.reply"

    async def reply_privately(self, seen: records.Request, reply: records.Reply) -> None:
        """Send the requester a direct message."""
        self.sees(seen, reply)

    async def retire_copy(self, channel: str, ts: str, card: answers.CardLink) -> None:
        """Turn a copy into a link."""
        self.cards.pop(ts, None)

    async def answer(self, entry: Entry, answer: answers.AnyAnswer) -> None:
        """Answer one person."""
        self.answers(entry, answer)
        with_answer = self._meet("answer", about=entry.key)
        self.answered[entry.key] += 1
        self._lose(with_answer)

    def _meet(self, what: str, *, about: str = "") -> bool:
        """Fail before the effect, or return whether the reply will arrive."""
        trouble = self.troubles.popleft() if self.troubles else None
        if trouble == "refused" and what in ("reply", "answer"):
            self.refused.add(about)
            raise errors.ChatRefused("restricted_action")
        if trouble == "unavailable":
            raise errors.ChatUnavailable("ClientConnectorError")
        if trouble == "limited":
            raise errors.ChatUnavailable("ratelimited", retry_after=7.0)
        return trouble != "copied"

    def _lose(self, with_answer: bool) -> None:
        if not with_answer:
            self.copies_allowed += 1
            raise errors.ChatUnavailable("ServerDisconnectedError")


class People:
    """ports.Directory in memory; `away` means that Slack cannot be asked."""

    def __init__(self) -> None:
        usual = dict.fromkeys(PEOPLE.values(), model.Kind.MEMBER)
        odd = {"GUEST": model.Kind.GUEST, "GONE": model.Kind.DEACTIVATED, "OTHER": model.Kind.STRANGER}
        self.kinds = usual | {PEOPLE[name]: kind for name, kind in odd.items()}
        self.away = False

    async def person(self, actor: Actor, *, max_age: float) -> model.Person:
        """Return the person behind an actor."""
        kind = model.Kind.UNREACHABLE if self.away else self.kinds.get(actor, model.Kind.STRANGER)
        return model.Person(actor=actor, kind=kind)

    async def persons(self, users: Collection[str], *, max_age: float) -> Mapping[str, model.Person]:
        """Return several people."""
        actors = {actor.user: actor for actor in self.kinds}
        named = {user: actors.get(user, Actor(team="T1", user=user)) for user in users}
        return {user: await self.person(actor, max_age=max_age) for user, actor in named.items()}

    async def members(self, group: str, *, max_age: float) -> frozenset[str] | None:
        """Nobody is in a group here."""
        return None if self.away else frozenset()

    async def is_private(self, channel: str, *, max_age: float) -> bool | None:
        """No channel is private here."""
        return None if self.away else False

    async def is_shared(self, channel: str, *, max_age: float) -> bool | None:
        """No channel is shared here."""
        return None if self.away else False
