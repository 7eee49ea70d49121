"""Convert records to rows and back. Pure.

Values that are searched, compared or leased have columns of their own; the others are stored as JSON text. It must not
know any statement.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, TypeVar

import pydantic
import sqlalchemy as sa

from bot.commands.deliveries import Actor, Arrival, Entry
from bot.commands.verbs import Verb
from bot.lifecycle import records
from bot.lifecycle.states import State
from bot.store import schema
from bot.usecases import answers, errors, ports

Columns = dict[str, object]

Column = TypeVar("Column")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Beside:
    """What stands beside an arrival: workspaces that are yet to be compared with ours, and until when it counts."""

    for_teams: tuple[str, ...] = ()
    take_up_by: float | None = None


_ACTOR: Final = pydantic.TypeAdapter(Actor)
_FLOW: Final = pydantic.TypeAdapter(records.Flow)
_TERMS: Final = pydantic.TypeAdapter(records.Terms)
_VOTES: Final = pydantic.TypeAdapter(tuple[records.Vote, ...])
_ENDING: Final = pydantic.TypeAdapter(records.Ending)
_EMERGENCY: Final = pydantic.TypeAdapter(records.Emergency)
_ANSWER: Final[pydantic.TypeAdapter[answers.AnyAnswer]] = pydantic.TypeAdapter(answers.AnyAnswer)
_BESIDE: Final = pydantic.TypeAdapter(_Beside)
_OPERATION: Final = pydantic.TypeAdapter(records.Operation)
_ARRIVAL: Final[pydantic.TypeAdapter[Arrival]] = pydantic.TypeAdapter(
    Annotated[Arrival, pydantic.Field(discriminator="kind")]
)


def decided(request: records.Request) -> Columns:
    """Return the columns that belong to a version of the request."""
    ending = request.ending
    return {
        "project": request.project,
        "flow_id": request.flow.flow_id,
        "verb": request.verb.value,
        "state": request.state.value,
        "version": request.version,
        "dry_run": request.dry_run,
        "requester_team": request.requester.team,
        "requester_user": request.requester.user,
        "requester_person": request.requester.person,
        "requester_login": request.requester.login,
        "reason": request.reason,
        "asked_in": request.asked_in,
        "created_at": request.asked_at,
        "expires_at": request.expires_at,
        "decided_at": request.decided_at,
        "ended_at": ending.at if ending else None,
        "ended_by": ending.actor.user if ending and ending.actor else None,
        "reminded": request.reminded,
        "next_seq": request.next_seq,
        "flow": _dump(_FLOW, request.flow),
        "terms": _dump(_TERMS, request.terms),
        "votes": _dump(_VOTES, request.votes),
        "ending": _dump(_ENDING, ending),
        "recently_denied_by": _dump(_ACTOR, request.recently_denied_by),
        "emergency": _dump(_EMERGENCY, request.emergency),
    }


def told(request: records.Request) -> Columns:
    """Return the columns that belong to the delivery to Slack."""
    return {
        "card_channel": request.card.channel,
        "card_ts": request.card.ts,
        "card_shown": request.card.shown,
        "card_thread": request.card.thread,
        "tell_failures": request.tell_failures,
        "tell_at": request.tell_at,
    }


def operation(request: records.Request) -> Columns:
    """Return the row of the request's operation."""
    return {
        "request_id": request.id,
        "flow_id": request.flow.flow_id,
        "flow_name": request.flow.name,
        "project": request.project,
        "verb": request.verb.value,
        "progress": request.operation.progress.value,
        "begun_at": request.operation.begun_at,
        "ended_at": request.operation.ended_at,
        "record": _dump(_OPERATION, request.operation),
        "holds": records.holds_flow(request),
    }


def reply(request_id: str, said: records.Reply) -> Columns:
    """Return the row of a reply."""
    return {
        "request_id": request_id,
        "seq": said.seq,
        "said": said.said.value,
        "at": said.at,
        "actor_team": said.actor.team if said.actor else None,
        "actor_user": said.actor.user if said.actor else None,
        "actor_person": said.actor.person if said.actor else None,
        "actor_login": said.actor.login if said.actor else None,
        "reason": said.reason,
        "count": said.count,
        "needed": said.needed,
        "ts": said.ts,
    }


def entry(received: Entry) -> Columns:
    """Return the row of a new inbox entry."""
    return {
        "key": received.key,
        "actor_team": received.actor.team,
        "actor_user": received.actor.user,
        "actor_person": received.actor.person,
        "actor_login": received.actor.login,
        "arrival": _arrival(received),
        "received_at": received.received_at,
        "state": schema.EntryState.RECEIVED.value,
        "answer": None,
        "due_at": received.received_at,
    }


def _arrival(received: Entry) -> str | None:
    written = _dump(_ARRIVAL, received.arrival)
    beside = _Beside(for_teams=received.for_teams, take_up_by=received.take_up_by)
    if written is None or beside == _Beside():
        return written
    return json.dumps({**json.loads(written), **json.loads(_BESIDE.dump_json(beside, exclude_defaults=True))})


def answer(told: answers.AnyAnswer | None) -> str | None:
    """Return the column of an answer."""
    return _dump(_ANSWER, told)


REQUEST_COLUMNS: Final = (
    *schema.requests.c,
    schema.operations.c.record,
)
"""The columns that `to_request` reads."""


def to_request(row: sa.RowMapping, unsent: Sequence[sa.RowMapping]) -> records.Request:
    """Read a request from a row of `REQUEST_COLUMNS` and the rows of its unsent replies.

    Raises errors.StoreError, like `to_entry` and `to_claimed`, if this code cannot read the row, for example because
    newer code wrote it.
    """
    with _reading(f"request {row['id']}"):
        return _request(row, unsent)


def _request(row: sa.RowMapping, unsent: Sequence[sa.RowMapping]) -> records.Request:
    return records.Request(
        id=row["id"],
        verb=Verb(row["verb"]),
        project=row["project"],
        flow=_FLOW.validate_json(row["flow"]),
        requester=Actor(
            team=row["requester_team"],
            user=row["requester_user"],
            person=row["requester_person"],
            login=row["requester_login"],
        ),
        reason=row["reason"],
        dry_run=row["dry_run"],
        asked_in=row["asked_in"],
        asked_at=row["created_at"],
        expires_at=row["expires_at"],
        terms=_TERMS.validate_json(row["terms"]),
        card=_to_card(row),
        recently_denied_by=_load(_ACTOR, row["recently_denied_by"]),
        state=State(row["state"]),
        votes=_VOTES.validate_json(row["votes"]),
        decided_at=row["decided_at"],
        ending=_load(_ENDING, row["ending"]),
        reminded=row["reminded"],
        emergency=_load(_EMERGENCY, row["emergency"]),
        operation=_OPERATION.validate_json(row["record"]),
        version=row["version"],
        next_seq=row["next_seq"],
        unsent=tuple(_to_reply(said) for said in unsent),
        tell_failures=row["tell_failures"],
        tell_at=row["tell_at"],
    )


def _to_card(row: sa.RowMapping) -> records.Card:
    return records.Card(
        channel=row["card_channel"], ts=row["card_ts"], shown=row["card_shown"], thread=row["card_thread"]
    )


def to_entry(row: sa.RowMapping) -> Entry:
    """Read an inbox entry from its row."""
    with _reading(f"inbox row {row['key']}"):
        beside = _BESIDE.validate_json(row["arrival"])
        return Entry(
            key=row["key"],
            actor=_to_actor(row),
            arrival=_ARRIVAL.validate_json(row["arrival"]),
            received_at=row["received_at"],
            for_teams=beside.for_teams,
            take_up_by=beside.take_up_by,
        )


def to_claimed(row: sa.RowMapping) -> ports.Claimed:
    """Read a claimed inbox entry from its row."""
    entry = to_entry(row)
    with _reading(f"inbox row {entry.key}"):
        return ports.Claimed(entry=entry, answer=_load(_ANSWER, row["answer"]))


def to_standing(row: sa.RowMapping) -> ports.KeyStanding:
    """Read the state of an access key from its row."""
    return ports.KeyStanding(bad_tries=row["bad_tries"], locked_until=row["locked_until"])


def to_pause(row: sa.RowMapping) -> ports.Pause:
    """Read the pause from its row."""
    return ports.Pause(at=row["at"], reason=row["reason"], by=row["by"])


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise errors.StoreError(f"{what} cannot be read by this version of flowbot") from error


def _to_reply(row: sa.RowMapping) -> records.Reply:
    known = row["actor_user"] is not None
    return records.Reply(
        seq=row["seq"],
        said=records.ReplyKind(row["said"]),
        at=row["at"],
        actor=_to_actor(row) if known else None,
        reason=row["reason"],
        count=row["count"],
        needed=row["needed"],
        ts=row["ts"],
    )


def _to_actor(row: sa.RowMapping) -> Actor:
    return Actor(team=row["actor_team"], user=row["actor_user"], person=row["actor_person"], login=row["actor_login"])


def _dump(adapter: pydantic.TypeAdapter[Any], value: object) -> str | None:
    return None if value is None else adapter.dump_json(value).decode()


def _load(adapter: pydantic.TypeAdapter[Column], text: str | None) -> Column | None:
    return None if text is None else adapter.validate_json(text)
