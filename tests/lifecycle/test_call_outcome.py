"""What a reply, or reading the flow back, means for the operation: the whole table, and laws for random replies."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from bot.commands import verbs
from bot.commands.deliveries import Actor
from bot.lifecycle import call_outcome, records, schedule, states, transitions
from bot.lifecycle.call_outcome import Accepted
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.lifecycle.records import Awaiting, Card, Flow, Outcome, OutcomeKind, Reply, ReplyKind, Request, Terms, Vote
from bot.lifecycle.schedule import Act
from bot.lifecycle.states import Progress

NOW = 1_700_000_000.0
MAIN = Flow(flow_id="f-1", name="main-feed", region="ap", status="ACTIVE")
STANDING = dataclasses.replace(MAIN, status="STANDBY")
DONE, UNDONE = Accepted(status="STANDBY", request_id="q"), Accepted(status="ACTIVE", request_id="q")
LOST = CloudFailure(fault=Fault.UNCERTAIN, message="no answer within 10 seconds")
BROKEN = CloudFailure(fault=Fault.UNCERTAIN, http_status=502)
STANDBY_400 = CloudFailure(fault=Fault.REJECTED, http_status=400, message="flow task is in Standby status")
LIMIT_400 = dataclasses.replace(STANDBY_400, code="LIVE.100011001", message="Invalid request parameter.")
SLOWER = CloudFailure(fault=Fault.THROTTLED, http_status=429, retry_after=7.0)
NEVER = CloudFailure(fault=Fault.NEVER_SENT, message="connection refused")
AWAY = CloudFailure(fault=Fault.UNCERTAIN, http_status=503)
LOCKED = CloudFailure(fault=Fault.CREDENTIALS, message="locked", retry_after=200.0)
MOVED = CloudFailure(fault=Fault.REJECTED, http_status=400, message="The API is in the maintenance state.")
INTERRUPTED = CloudFailure(fault=Fault.UNCERTAIN, message="flowbot was interrupted before the reply came")

TOLD = (ReplyKind.OUTCOME,)


def approved() -> Request:
    """Return a request for a stop, approved at NOW."""
    asked = Request(
        id="R1",
        verb=verbs.Verb.STOP,
        project="hk",
        flow=MAIN,
        requester=Actor(team="T1", user="U0ALICE"),
        reason=None,
        dry_run=False,
        asked_in="C1",
        asked_at=NOW - 60,
        expires_at=NOW + 1740,
        terms=Terms(rule="r", rule_text="…", policy_hash="h", approvals=1),
        card=Card(channel="C1", ts="1.2"),
    )
    return transitions.approve(asked, Vote(actor=Actor(team="T1", user="U0BOB"), at=NOW), needed=1)


def having(awaiting: Awaiting, progress: Progress = Progress.RUNNING, **facts: Any) -> Request:
    """Return the request with this operation; its first try began at NOW + 1."""
    usual: dict[str, Any] = {"progress": progress, "awaiting": awaiting, "tries": 1, "begun_at": NOW + 1}
    return dataclasses.replace(approved(), operation=records.Operation(**(usual | facts)))


def unknown(**facts: Any) -> Request:
    """Return the request with an outcome that is unknown since NOW + 20."""
    lost = Outcome(how=OutcomeKind.LOST, failure=LOST)
    usual: dict[str, Any] = {"outcome": lost, "ended_at": NOW + 20, "unknown_since": NOW + 20, "trouble": LOST}
    return having(Awaiting.READING, Progress.UNKNOWN, **(usual | facts))


def after(seen: Request, *said: ReplyKind, at: float, **changes: Any) -> Request:
    """Return the next version of a request, with these changes of its operation and these queued replies."""
    queued = tuple(Reply(seq=seen.next_seq + number, said=one, at=at) for number, one in enumerate(said))
    return dataclasses.replace(
        seen,
        version=seen.version + 1,
        operation=dataclasses.replace(seen.operation, **changes),
        unsent=(*seen.unsent, *queued),
        next_seq=seen.next_seq + len(queued),
    )


def ended(
    how: OutcomeKind, at: float, *, status: str | None = None, failure: CloudFailure | None = None
) -> dict[str, Any]:
    """Return the changes of the operation when it ends; after a success the state is read again in ten seconds."""
    step = transitions.STEP_OF[how]
    succeeded, lost = step is states.Step.SUCCEED, step is states.Step.LOSE
    progress = Progress.SUCCEEDED if succeeded else Progress.UNKNOWN if lost else Progress.FAILED
    again_at = at + 10 if succeeded else at + call_outcome.READ_BACKOFF if lost else 0.0
    return {
        "progress": progress,
        "outcome": Outcome(how=how, status=status, failure=failure),
        "ended_at": at,
        "awaiting": Awaiting.READING if again_at else Awaiting.NOTHING,
        "not_before": again_at,
        **({"unknown_since": at} if lost else {}),
    }


def waits(awaiting: Awaiting, until: float, trouble: CloudFailure | None = None, **more: Any) -> dict[str, Any]:
    """Return the changes of the operation when it waits."""
    return {"awaiting": awaiting, "not_before": until, **({"trouble": trouble} if trouble else {}), **more}


READ, TRY, REPLY = Awaiting.READING, Awaiting.TRY, Awaiting.REPLY
FIRST, SECOND = having(REPLY), having(REPLY, tries=2, trouble=LOST)

REPLIES: list[tuple[str, Request, Accepted | CloudFailure, float, dict[str, Any]]] = [
    ("done", FIRST, DONE, 3, ended(OutcomeKind.DONE, NOW + 3, status="STANDBY")),
    ("accepted and not yet done", FIRST, UNDONE, 3, waits(READ, NOW + 5, accepted_at=NOW + 3)),
    ("lost", FIRST, LOST, 11, waits(READ, NOW + 11, LOST)),
    ("broken", FIRST, BROKEN, 3, waits(READ, NOW + 3, BROKEN)),
    ("refused as already so", FIRST, STANDBY_400, 3, waits(READ, NOW + 3, STANDBY_400)),
    ("refused by the same code alone", FIRST, LIMIT_400, 3, ended(OutcomeKind.REFUSED, NOW + 3, failure=LIMIT_400)),
    ("throttled", FIRST, SLOWER, 3, waits(TRY, NOW + 10, SLOWER)),
    ("throttled for a window", FIRST, dataclasses.replace(SLOWER, retry_after=60.0), 3, {
        **waits(TRY, NOW + 33, dataclasses.replace(SLOWER, retry_after=60.0))}),
    ("told to come back later", FIRST, dataclasses.replace(SLOWER, retry_after=60.0, must_wait=True), 3, {
        **waits(TRY, NOW + 63, dataclasses.replace(SLOWER, retry_after=60.0, must_wait=True))}),
    ("throttled without a word on when", FIRST, dataclasses.replace(SLOWER, retry_after=None), 3, {
        **waits(TRY, NOW + 5, dataclasses.replace(SLOWER, retry_after=None))}),
    ("never sent", FIRST, NEVER, 3, waits(TRY, NOW + 5, NEVER)),
    ("never sent for the fifth time", having(REPLY, tries=5), NEVER, 40, waits(TRY, NOW + 70, NEVER)),
    ("never sent too late to repeat", FIRST, NEVER, 118, ended(OutcomeKind.REFUSED, NOW + 118, failure=NEVER)),
    ("never sent just in time", FIRST, NEVER, 117.5, waits(TRY, NOW + 119.5, NEVER)),
    ("lost a second time", SECOND, LOST, 12, waits(READ, NOW + 12, LOST)),
    ("never sent after a lost one", SECOND, NEVER, 12, waits(TRY, NOW + 16, NEVER)),
]  # fmt: skip
for fault in (Fault.NOT_FOUND, Fault.DENIED, Fault.CREDENTIALS):
    said = CloudFailure(fault=fault, http_status=401, code="X", message="flow task is in standby status")
    REPLIES.append((f"refused: {fault}", FIRST, said, 3, ended(OutcomeKind.REFUSED, NOW + 3, failure=said)))


@pytest.mark.parametrize(
    ("seen", "reply", "at", "changes"), [case[1:] for case in REPLIES], ids=[c[0] for c in REPLIES]
)
def test_each_reply_leads_to_exactly_one_next_record(
    seen: Request, reply: Accepted | CloudFailure, at: float, changes: dict[str, Any]
) -> None:
    told = TOLD if "outcome" in changes else ()
    assert call_outcome.after_reply(seen, reply, at=NOW + at) == after(seen, *told, at=NOW + at, **changes)


WAITING, ACCEPTED = having(READ, trouble=LOST), having(READ, accepted_at=NOW + 3)
REFUSED_400 = having(READ, trouble=STANDBY_400)
SUCCEEDED = having(READ, Progress.SUCCEEDED, outcome=Outcome(how=OutcomeKind.DONE, status="STANDBY"), ended_at=NOW + 3)

READINGS: list[tuple[str, Request, Flow | CloudFailure, float, tuple[ReplyKind, ...], dict[str, Any]]] = [
    ("lost and done", WAITING, STANDING, 11, TOLD,
     ended(OutcomeKind.READ_BACK, NOW + 11, status="STANDBY", failure=LOST)),
    ("lost and not done", WAITING, MAIN, 11, (), waits(TRY, NOW + 13)),
    ("lost and not done for the third time", having(READ, trouble=LOST, tries=3), MAIN, 40, (), waits(TRY, NOW + 48)),
    ("lost and not done just in time", WAITING, MAIN, 58, (), waits(TRY, NOW + 60)),
    ("lost and not done after a minute", WAITING, MAIN, 59, TOLD,
     ended(OutcomeKind.UNDONE, NOW + 59, status="ACTIVE", failure=LOST)),
    ("lost and unreadable", WAITING, AWAY, 11, TOLD, ended(OutcomeKind.LOST, NOW + 11, failure=LOST)),
    ("lost and locked", WAITING, LOCKED, 11, TOLD, ended(OutcomeKind.LOST, NOW + 11, failure=LOST)),
    ("refused and so", REFUSED_400, STANDING, 4, TOLD,
     ended(OutcomeKind.CONFIRMED, NOW + 4, status="STANDBY", failure=STANDBY_400)),
    ("refused and not so", REFUSED_400, MAIN, 4, (), waits(TRY, NOW + 6)),
    ("refused and unreadable", REFUSED_400, AWAY, 4, TOLD, ended(OutcomeKind.LOST, NOW + 4, failure=STANDBY_400)),
    ("accepted and done", ACCEPTED, STANDING, 5, TOLD, ended(OutcomeKind.DONE, NOW + 5, status="STANDBY")),
    ("accepted and not yet done", ACCEPTED, MAIN, 32.9, (), waits(READ, NOW + 34.9)),
    ("accepted and never done", ACCEPTED, MAIN, 33, TOLD, ended(OutcomeKind.NOT_DONE, NOW + 33, status="ACTIVE")),
    ("accepted and unreadable for now", ACCEPTED, AWAY, 32.9, (), waits(READ, NOW + 34.9)),
    ("accepted and unreadable", ACCEPTED, AWAY, 33, TOLD, ended(OutcomeKind.LOST, NOW + 33, failure=AWAY)),
    ("unknown and done", unknown(), STANDING, 40, TOLD,
     ended(OutcomeKind.READ_BACK, NOW + 40, status="STANDBY", failure=LOST)),
    ("unknown, once unreadable as refused, and done", unknown(trouble=MOVED, reads=3), STANDING, 40, TOLD,
     ended(OutcomeKind.READ_BACK, NOW + 40, status="STANDBY", failure=LOST)),
    ("unknown and not done", unknown(), MAIN, 25, TOLD, ended(OutcomeKind.UNDONE, NOW + 25, status="ACTIVE")),
    ("unknown and unreadable", unknown(), AWAY, 25, (), waits(READ, NOW + 35, AWAY, reads=1)),
    ("unknown and unreadable again", unknown(reads=2), AWAY, 99, (), waits(READ, NOW + 139, AWAY, reads=3)),
    ("unknown and unreadable for long", unknown(reads=9), AWAY, 999, (), waits(READ, NOW + 1299, AWAY, reads=10)),
    ("unknown and pressed for thousands of times", unknown(reads=9999), AWAY, 999, (),
     waits(READ, NOW + 1299, AWAY, reads=10000)),
    ("unknown and locked", unknown(), LOCKED, 25, (), waits(READ, NOW + 225, LOCKED, reads=1)),
    ("unknown for nearly an hour", unknown(reads=9), AWAY, 3619, (), waits(READ, NOW + 3620, AWAY, reads=10)),
    ("unknown for an hour", unknown(reads=9), AWAY, 3620, (ReplyKind.GIVEN_UP,), {"awaiting": Awaiting.NOTHING}),
    ("known after an hour", unknown(reads=9), STANDING, 3620, TOLD,
     ended(OutcomeKind.READ_BACK, NOW + 3620, status="STANDBY", failure=LOST)),
    ("succeeded and it lasts", SUCCEEDED, STANDING, 13, (), {"awaiting": Awaiting.NOTHING}),
    ("succeeded and unreadable", SUCCEEDED, AWAY, 13, (), {"awaiting": Awaiting.NOTHING}),
    ("succeeded and changed", SUCCEEDED, MAIN, 13, (ReplyKind.CHANGED,),
     {"awaiting": Awaiting.NOTHING, "changed_to": "ACTIVE"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "flow", "at", "told", "changes"), [case[1:] for case in READINGS], ids=[case[0] for case in READINGS]
)
def test_each_reading_leads_to_exactly_one_next_record(
    seen: Request, flow: Flow | CloudFailure, at: float, told: tuple[ReplyKind, ...], changes: dict[str, Any]
) -> None:
    assert call_outcome.after_reading(seen, flow, at=NOW + at) == after(seen, *told, at=NOW + at, **changes)


def test_a_start_is_done_once_the_flow_is_active() -> None:
    starting = dataclasses.replace(FIRST, verb=verbs.Verb.START)
    assert call_outcome.after_reply(starting, UNDONE, at=NOW + 3).operation.progress is Progress.SUCCEEDED
    active = dataclasses.replace(STANDBY_400, message="flow task is in active status")
    assert call_outcome.after_reply(starting, active, at=NOW + 3).operation.awaiting is READ
    assert call_outcome.after_reply(starting, STANDBY_400, at=NOW + 3).operation.progress is Progress.FAILED


@pytest.mark.parametrize("seen", [FIRST, SECOND])
def test_a_try_whose_caller_is_gone_is_read_back_at_once(seen: Request) -> None:
    assert call_outcome.recover(seen, at=NOW + 900) == after(seen, at=NOW + 900, **waits(READ, NOW + 900, INTERRUPTED))


DUE, UNSENT = having(TRY, trouble=LOST), having(TRY, trouble=NEVER)


@pytest.mark.parametrize(
    ("seen", "at", "told", "changes"),
    [
        pytest.param(DUE, 60.9, (), {"awaiting": REPLY, "tries": 2}, id="within a minute"),
        pytest.param(DUE, 61, (), waits(READ, NOW + 61), id="after a minute: read again"),
        pytest.param(DUE, 86400, (), waits(READ, NOW + 86400), id="a day later: read again"),
        pytest.param(UNSENT, 119.9, (), {"awaiting": REPLY, "tries": 2}, id="never sent, within two minutes"),
        pytest.param(UNSENT, 120, TOLD, ended(OutcomeKind.REFUSED, NOW + 120, failure=NEVER), id="after two"),
    ],
)
def test_promise_10_a_repeat_that_is_taken_up_too_late_is_not_sent(
    seen: Request, at: float, told: tuple[ReplyKind, ...], changes: dict[str, Any]
) -> None:
    assert call_outcome.again(seen, at=NOW + at) == after(seen, *told, at=NOW + at, **changes)


# Laws: the cloud replies anything at any time; the bot does what is due, sometimes late, and crashes.

ANY_REPLY = st.sampled_from([DONE, UNDONE, LOST, BROKEN, STANDBY_400, LIMIT_400, SLOWER, NEVER, LOCKED, AWAY])
ANY_READING = st.sampled_from([MAIN, STANDING, MAIN, STANDING, AWAY, LOCKED, NEVER, MOVED])
LATE = st.sampled_from([0.0, 0.0, 0.0, 1.0, 9.9, 31.0, 70.0, 200.0, 4000.0])


@dataclasses.dataclass(frozen=True)
class Step:
    """One event and the record after it; `met` is the cloud's reply or the flow as read."""

    act: Act | str
    at: float
    seen: Request
    met: object = None


def play(draw: Callable[[st.SearchStrategy[Any]], Any]) -> list[Step]:
    """Drive a request as the worker does until nothing is due; return all steps."""
    at, seen = NOW + draw(st.floats(0, 119)), approved()
    course = [Step("approved", at, seen)]
    for _ in range(400):
        next_at = schedule.at(
            dataclasses.replace(seen, unsent=(), card=dataclasses.replace(seen.card, shown=seen.version))
        )
        if next_at is None:
            return course
        at = max(at, next_at) + draw(LATE)
        act, met = schedule.act(seen, at), None
        match act:
            case Act.CALL | Act.CALL_AGAIN:
                seen = transitions.begin(seen, at=at) if act is Act.CALL else call_outcome.again(seen, at=at)
            case Act.RECOVER if draw(st.integers(0, 9)):  # the reply comes, unless there was a crash
                met, at = draw(ANY_REPLY), at + draw(st.sampled_from([0.0, 0.1, 10.0]))
                seen = call_outcome.after_reply(seen, met, at=at)
            case Act.RECOVER:
                seen = call_outcome.recover(seen, at=at)
            case Act.READ:
                met = draw(ANY_READING)
                seen = call_outcome.after_reading(seen, met, at=at)
            case _:
                return course  # lapsed before the first try
        course.append(Step(act, at, seen, met))
    raise AssertionError([step.act for step in course][-20:])


def tries(course: list[Step]) -> list[int]:
    """Return the indexes of the steps that sent a call."""
    return [number for number, step in enumerate(course) if step.seen.operation.awaiting is REPLY]


@hypothesis.given(st.data())
def test_promise_2_law_no_further_call_after_an_uncertain_one_unless_a_reading_says_not_done(
    data: st.DataObject,
) -> None:
    course = play(data.draw)
    for one, other in itertools.pairwise(tries(course)):
        between = course[one + 1 : other]
        assert between, "a call before the previous one had ended"
        reply = between[0]
        refused = isinstance(reply.met, CloudFailure) and reply.met.fault in (Fault.THROTTLED, Fault.NEVER_SENT)
        readings = [step.met for step in between[1:] if step.act is Act.READ]
        assert (refused and reply.act is Act.RECOVER) or (readings and readings[-1] is MAIN)


@hypothesis.given(st.data())
def test_promise_2_law_no_call_before_the_previous_one_has_ended(data: st.DataObject) -> None:
    for before, step in itertools.pairwise(play(data.draw)):
        if step.seen.operation.awaiting is REPLY:
            assert before.seen.operation.awaiting is TRY
            assert step.seen.operation.tries == before.seen.operation.tries + 1


@hypothesis.given(st.data())
def test_promise_10_law_a_repeat_comes_within_a_minute_of_the_first_or_two_of_the_approval(data: st.DataObject) -> None:
    course = play(data.draw)
    for number in tries(course)[1:]:
        trouble, step = course[number - 1].seen.operation.trouble, course[number]
        assert trouble is not None
        if trouble.fault in (Fault.THROTTLED, Fault.NEVER_SENT):
            assert step.at < NOW + 120
        else:
            assert step.at - (step.seen.operation.begun_at or 0.0) < 60


@hypothesis.given(st.data())
def test_law_what_has_an_end_never_runs_again(data: st.DataObject) -> None:
    over = (Progress.SUCCEEDED, Progress.FAILED)
    for before, step in itertools.pairwise(play(data.draw)):
        if before.seen.operation.progress in over:
            assert step.seen.operation.progress is before.seen.operation.progress
            assert step.seen.operation.outcome == before.seen.operation.outcome
        if before.seen.operation.progress is Progress.UNKNOWN:
            assert step.seen.operation.progress in (*over, Progress.UNKNOWN)


@hypothesis.given(st.data())
def test_promise_4_law_done_is_said_only_on_the_clouds_word(data: st.DataObject) -> None:
    for before, step in itertools.pairwise(play(data.draw)):
        now_done = step.seen.operation.progress is Progress.SUCCEEDED
        if now_done and before.seen.operation.progress is not Progress.SUCCEEDED:
            assert step.met in (DONE, STANDING)


@hypothesis.given(st.data())
def test_law_whatever_comes_it_ends_or_is_read_back_and_then_is_final(data: st.DataObject) -> None:
    course = play(data.draw)
    for step in course:
        operation = step.seen.operation
        assert operation.progress is not Progress.UNKNOWN or operation.awaiting in (READ, Awaiting.NOTHING)
        if operation.progress is Progress.UNKNOWN and operation.awaiting is Awaiting.NOTHING:
            assert step.at >= (operation.unknown_since or 0.0) + 3600
            assert step.seen.unsent[-1].said is ReplyKind.GIVEN_UP
    last = course[-1].seen
    assert last.operation.awaiting is Awaiting.NOTHING or last.operation.progress is Progress.WAITING
    assert not records.holds_flow(last) or last.operation.progress is Progress.WAITING


@hypothesis.given(st.data())
def test_law_every_step_is_one_version_and_tells_an_end_once(data: st.DataObject) -> None:
    course = play(data.draw)
    for before, step in itertools.pairwise(course):
        assert step.seen.version == before.seen.version + 1
    told = [reply.said for reply in course[-1].seen.unsent]
    assert told.count(ReplyKind.OUTCOME) <= 2, "unknown, and what became known"
    assert told.count(ReplyKind.CHANGED) + told.count(ReplyKind.GIVEN_UP) <= 1
