"""Records to store: a plain example of each, and Hypothesis strategies that fill every field by its type."""

import dataclasses
import enum
import itertools
import types
import typing
from typing import Any

from hypothesis import strategies as st

from bot.commands.deliveries import Actor, Entry, Typed
from bot.commands.verbs import Verb
from bot.lifecycle import records, transitions
from bot.lifecycle.states import Event
from bot.store import store
from bot.usecases import answers, ports

ALICE = Actor(team="T1", user="UALICE")
BOB = Actor(team="T1", user="UBOB")
_numbers = itertools.count(1)


def request(request_id: str = "r1", *, flow: str = "flow-1", dry_run: bool = False) -> records.Request:
    """Return a pending request."""
    return records.Request(
        id=request_id,
        verb=Verb.STOP,
        project="live",
        flow=records.Flow(flow_id=flow, name="main", region="cn-1", status="ACTIVE"),
        requester=ALICE,
        reason="it loops",
        dry_run=dry_run,
        asked_in="C1",
        asked_at=100.0,
        expires_at=1900.0,
        terms=records.Terms(rule="stops", rule_text="…", policy_hash="0" * 64, approvals=1),
        card=records.Card(channel="C2"),
    )


def asked(request_id: str = "r1") -> records.Request:
    """Return a pending request with an unsent first reply."""
    return transitions.say(request(request_id), records.ReplyKind.ASKED, at=100.0, actor=ALICE, needed=1)


def approved(before: records.Request) -> records.Request:
    """Return the next version of the request, approved."""
    return transitions.approve(before, records.Vote(actor=BOB, at=120.0), needed=1)


def emergency(request_id: str = "r1", *, flow: str = "flow-1", dry_run: bool = False) -> records.Request:
    """Return a pending emergency with its first press."""
    passes_over = records.Emergency(members=("oncall",), passed_over=("leads",), first_at=110.0)
    terms = records.Terms(rule="stops", rule_text="…", policy_hash="0" * 64, approvals=0)
    plain = request(request_id, flow=flow, dry_run=dry_run)
    return dataclasses.replace(plain, terms=terms, emergency=passes_over)


def let_run(before: records.Request, *, at: float = 120.0) -> records.Request:
    """Return the next version of the emergency, confirmed."""
    return transitions.confirm_emergency(before, records.Vote(actor=ALICE, at=at))


def denied(before: records.Request, *, at: float = 130.0, actor: Actor | None = BOB) -> records.Request:
    """Return the next version of the request, denied."""
    ending = records.Ending(actor=actor, at=at)
    return transitions.end(before, Event.DENY, ending, said=records.ReplyKind.DENIED)


def change(
    found: records.Request | None = None, *, entry: str | None = None, answer: answers.AnyAnswer | None = None
) -> ports.Change:
    """Return a change with one audit event."""
    event = ports.AuditEvent(at=1.0, what="changed", actor=ALICE, request_id=found.id if found else None)
    return ports.Change(audit=(event,), request=found, entry=entry, answer=answer)


async def add(opened: store.SqlStore, *found: records.Request) -> None:
    """Store new requests."""
    for one in found:
        await opened.commit(change(one))


def entry(key: str = "k1", *, received_at: float = 1_700_000_000.0, text: str = "stop main") -> Entry:
    """Return a typed command."""
    return Entry(key=key, actor=ALICE, arrival=Typed(text=text, channel="C1"), received_at=received_at)


def new_key() -> str:
    """Return a unique key."""
    return f"key {next(_numbers)}"


def of(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for values of a type, with every field of every record filled by its type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return of(arguments[0])
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([of(one) for one in arguments])
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(of(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*[of(one) for one in arguments])
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        fields = {field.name: of(hints[field.name]) for field in dataclasses.fields(kind)}
        return st.builds(typing.cast("type[Any]", kind), **fields)
    if issubclass(kind, enum.Enum):
        return st.sampled_from(list(kind))
    return _PLAIN[kind]


_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    # PostgreSQL allows no NUL in text, and UTF-8 no lone surrogates; the doors let neither in.
    str: st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    float: st.floats(allow_nan=False, allow_infinity=False),
    int: st.integers(min_value=0, max_value=2**31 - 1),
    bool: st.booleans(),
    type(None): st.none(),
}


def any_request() -> st.SearchStrategy[records.Request]:
    """Return a strategy for new requests: each has its own id and flow, and its replies are numbered."""
    return of(records.Request).map(_as_new)


def _as_new(found: records.Request) -> records.Request:
    number = next(_numbers)
    flow = dataclasses.replace(found.flow, flow_id=f"flow {number}")
    return dataclasses.replace(found, id=f"any{number}", version=1, flow=flow, unsent=numbered(found.unsent))


def numbered(unsent: tuple[records.Reply, ...]) -> tuple[records.Reply, ...]:
    """Return the replies numbered in order, all unsent."""
    return tuple(dataclasses.replace(reply, seq=seq, ts=None) for seq, reply in enumerate(unsent, start=1))
