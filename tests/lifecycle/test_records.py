"""The states of a request: every allowed step, every other one refused, and laws for random sequences of steps."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Final

import hypothesis
import pytest
from hypothesis import strategies as st

from bot.commands import verbs
from bot.commands.deliveries import Actor
from bot.lifecycle import records, schedule, transitions
from bot.lifecycle.records import Card, Ending, Flow, Operation, Outcome, OutcomeKind, ReplyKind, Request, Terms, Vote
from bot.lifecycle.states import PROGRESS, TRANSITIONS, Event, Progress, State, Step

NOW: Final = 1_700_000_000.0
ALICE, BOB, CAROL, DAVE = (Actor(team="T1", user=f"U0{name}") for name in ("ALICE", "BOB", "CAROL", "DAVE"))
ENDED: Final = frozenset({State.DENIED, State.EXPIRED, State.WITHDRAWN, State.SUPERSEDED})


def terms(approvals: int) -> Terms:
    return Terms(rule="r", rule_text="…", policy_hash="h", approvals=approvals, approvers=("leads",))


def asked(*, approvals: int = 1, dry_run: bool = False) -> Request:
    """Return a new request by Alice."""
    return Request(
        id="R1",
        verb=verbs.Verb.STOP,
        project="hk",
        flow=Flow(flow_id="f-1", name="main-feed", region="ap", status="ACTIVE"),
        requester=ALICE,
        reason=None,
        dry_run=dry_run,
        asked_in="C1",
        asked_at=NOW,
        expires_at=NOW + 1800,
        terms=terms(approvals),
        card=Card(channel="C1"),
    )


def vote(actor: Actor, *, at: float = NOW + 1) -> Vote:
    return Vote(actor=actor, at=at)


def approved() -> Request:
    return transitions.approve(asked(), vote(BOB), needed=1)


def running() -> Request:
    return transitions.begin(approved(), at=NOW + 2)


def finished(how: OutcomeKind = OutcomeKind.DONE) -> Request:
    return transitions.finish(running(), Outcome(how=how), at=NOW + 3)


def denied(*, reason: str | None = None) -> Request:
    ending = Ending(actor=BOB, at=NOW + 1, reason=reason)
    return transitions.end(asked(), Event.DENY, ending, said=ReplyKind.DENIED)


def said(request: Request) -> list[ReplyKind]:
    return [reply.said for reply in request.unsent]


# The tables


def test_the_states_of_a_request_follow_each_other_as_the_contract_says() -> None:
    steps = {(state, after) for (state, _), after in TRANSITIONS.items()}
    assert steps == {
        (State.PENDING, State.APPROVED),
        (State.PENDING, State.DENIED),
        (State.PENDING, State.EXPIRED),
        (State.PENDING, State.WITHDRAWN),
        (State.PENDING, State.SUPERSEDED),
        (State.APPROVED, State.PENDING),  # an approval falls short before the call
        (State.APPROVED, State.DENIED),  # by the policy, before the call
        (State.APPROVED, State.EXPIRED),
        (State.APPROVED, State.WITHDRAWN),
        (State.APPROVED, State.SUPERSEDED),  # by an emergency that finds it held up
    }


def test_the_progress_of_an_operation_is_as_the_contract_says() -> None:
    steps = {(progress, after) for (progress, _), after in PROGRESS.items()}
    assert steps == {
        (Progress.WAITING, Progress.RUNNING),
        (Progress.WAITING, Progress.CANCELLED),
        (Progress.RUNNING, Progress.SUCCEEDED),
        (Progress.RUNNING, Progress.FAILED),
        (Progress.RUNNING, Progress.UNKNOWN),
        (Progress.UNKNOWN, Progress.SUCCEEDED),
        (Progress.UNKNOWN, Progress.FAILED),
    }


def test_each_event_and_each_step_leads_to_the_state_that_it_is_named_after() -> None:
    assert {(event, after) for (_, event), after in TRANSITIONS.items()} == {
        (Event.APPROVE, State.APPROVED),
        (Event.FALL_SHORT, State.PENDING),
        (Event.DENY, State.DENIED),
        (Event.EXPIRE, State.EXPIRED),
        (Event.WITHDRAW, State.WITHDRAWN),
        (Event.SUPERSEDE, State.SUPERSEDED),
    }
    assert {(step, after) for (_, step), after in PROGRESS.items()} == {
        (Step.BEGIN, Progress.RUNNING),
        (Step.SUCCEED, Progress.SUCCEEDED),
        (Step.FAIL, Progress.FAILED),
        (Step.LOSE, Progress.UNKNOWN),
        (Step.CANCEL, Progress.CANCELLED),
    }


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_a_request_takes_a_step_of_its_table_or_none(state: State, event: Event) -> None:
    before = dataclasses.replace(asked(), state=state)
    after = TRANSITIONS.get((state, event))
    if after is None:
        with pytest.raises(records.IllegalTransition, match=f"R1 is {state}: it cannot {event}"):
            records.apply(before, event)
        return
    progress = Progress.CANCELLED if after in ENDED else Progress.WAITING
    assert records.apply(before, event) == dataclasses.replace(
        before, state=after, operation=Operation(progress=progress)
    )


@pytest.mark.parametrize(("progress", "step"), list(itertools.product(Progress, Step)))
def test_an_operation_takes_a_step_of_its_table_or_none(progress: Progress, step: Step) -> None:
    before = Operation(progress=progress)
    after = PROGRESS.get((progress, step))
    if after is None:
        with pytest.raises(records.IllegalTransition, match=f"that is {progress} cannot {step}"):
            records.advance(before, step)
    else:
        assert records.advance(before, step) == Operation(progress=after)


@pytest.mark.parametrize("event", [Event.DENY, Event.EXPIRE, Event.WITHDRAW])
@pytest.mark.parametrize("request_", [running(), finished(), finished(OutcomeKind.REFUSED), finished(OutcomeKind.LOST)])
def test_a_request_whose_call_has_begun_cannot_be_ended(request_: Request, event: Event) -> None:
    with pytest.raises(records.IllegalTransition):
        transitions.end(request_, event, Ending(actor=BOB, at=NOW), said=ReplyKind.DENIED)


# Votes


def test_a_request_is_approved_by_the_last_vote_that_it_needs() -> None:
    first = transitions.approve(asked(approvals=2), vote(BOB), needed=2)
    second = transitions.approve(first, vote(CAROL, at=NOW + 9), needed=2)
    assert (first.state, first.decided_at) == (State.PENDING, None)
    assert (second.state, second.decided_at) == (State.APPROVED, NOW + 9)
    assert [(reply.actor, reply.count, reply.needed) for reply in second.unsent] == [(BOB, 1, 2), (CAROL, 2, 2)]


def test_one_person_is_one_vote_and_the_requester_is_none() -> None:
    twice = transitions.approve(transitions.approve(asked(approvals=2), vote(BOB), needed=2), vote(BOB), needed=2)
    own = transitions.approve(asked(), vote(ALICE), needed=1)
    assert twice.state is own.state is State.PENDING
    assert [reply.count for reply in (*twice.unsent, *own.unsent)] == [1, 1, 0]


def test_what_is_needed_can_rise_and_never_falls() -> None:
    raised = transitions.approve(asked(approvals=1), vote(BOB), needed=2)
    lowered = transitions.approve(asked(approvals=2), vote(BOB), needed=1)
    assert raised.state is lowered.state is State.PENDING
    assert raised.terms.approvals == lowered.terms.approvals == 2
    assert transitions.approve(raised, vote(CAROL), needed=1).state is State.APPROVED


def test_a_confirmation_approves_a_request_that_needs_no_approval() -> None:
    confirmed = transitions.confirm(asked(approvals=0), vote(ALICE, at=NOW + 4))
    assert (confirmed.state, confirmed.decided_at, confirmed.votes) == (
        State.APPROVED,
        NOW + 4,
        (vote(ALICE, at=NOW + 4),),
    )
    assert [(reply.said, reply.actor) for reply in confirmed.unsent] == [(ReplyKind.CONFIRMED, ALICE)]


def test_votes_whose_right_is_gone_fall_off_visibly() -> None:
    two = transitions.approve(transitions.approve(asked(approvals=2), vote(BOB), needed=2), vote(CAROL), needed=2)
    short = transitions.fall_short(two, lost=(vote(BOB),), terms=terms(2), at=NOW + 5)
    assert (short.state, short.decided_at, short.votes) == (State.PENDING, None, (vote(CAROL),))
    last = short.unsent[-1]
    assert (last.said, last.actor, last.count, last.needed, last.at) == (ReplyKind.FELL_OFF, BOB, 1, 2, NOW + 5)
    assert transitions.approve(short, vote(DAVE), needed=2).state is State.APPROVED


def test_a_stricter_policy_asks_the_approvers_anew() -> None:
    short = transitions.fall_short(approved(), lost=(), terms=terms(2), at=NOW + 5)
    assert (short.state, short.votes, short.terms.approvals) == (State.PENDING, (vote(BOB),), 2)
    tightened = transitions.tighten(asked(approvals=0), terms(1), at=NOW + 5)
    assert (tightened.state, tightened.terms.approvals) == (State.PENDING, 1)
    assert [(reply.said, reply.needed) for reply in (short.unsent[-1], tightened.unsent[-1])] == [
        (ReplyKind.ASKED, 2),
        (ReplyKind.ASKED, 1),
    ]


@pytest.mark.parametrize("request_", [approved(), running(), finished(), denied()])
def test_the_terms_of_a_request_that_is_not_pending_are_settled(request_: Request) -> None:
    with pytest.raises(records.IllegalTransition, match="takes no such terms"):
        transitions.tighten(request_, terms(2), at=NOW)


# Ends without a call


@pytest.mark.parametrize(
    ("event", "reply", "state"),
    [
        (Event.DENY, ReplyKind.DENIED, State.DENIED),
        (Event.WITHDRAW, ReplyKind.WITHDRAWN, State.WITHDRAWN),
        (Event.EXPIRE, ReplyKind.EXPIRED, State.EXPIRED),
        (Event.SUPERSEDE, ReplyKind.WITHDRAWN, State.SUPERSEDED),
    ],
)
def test_a_request_ends_with_who_ended_it_and_why(event: Event, reply: ReplyKind, state: State) -> None:
    ending = Ending(actor=BOB, at=NOW + 7, reason="not now")
    ended = transitions.end(asked(), event, ending, said=reply)
    assert (ended.state, ended.ending, ended.operation.progress) == (state, ending, Progress.CANCELLED)
    [told] = ended.unsent
    assert (told.said, told.actor, told.reason, told.at) == (reply, BOB, "not now", NOW + 7)


def test_a_denier_may_say_why_afterwards_once() -> None:
    explained = transitions.explain_denial(denied(), reason="match is on", at=NOW + 9)
    assert explained.ending == Ending(actor=BOB, at=NOW + 1, reason="match is on")
    last = explained.unsent[-1]
    assert (last.said, last.actor, last.reason, last.at) == (ReplyKind.DENY_REASON, BOB, "match is on", NOW + 9)
    with pytest.raises(records.IllegalTransition):
        transitions.explain_denial(explained, reason="again", at=NOW + 10)


@pytest.mark.parametrize(
    "request_", [asked(), approved(), denied(reason="no"), dataclasses.replace(denied(), ending=None)]
)
def test_nothing_but_a_denial_without_a_reason_takes_one(request_: Request) -> None:
    with pytest.raises(records.IllegalTransition, match="takes no reason"):
        transitions.explain_denial(request_, reason="x", at=NOW)


# The operation


@pytest.mark.parametrize("state", [state for state in State if state is not State.APPROVED])
def test_nothing_runs_unless_it_is_approved(state: State) -> None:
    with pytest.raises(records.IllegalTransition, match="may not run"):
        transitions.begin(dataclasses.replace(asked(), state=state), at=NOW)


def test_a_call_begins_once() -> None:
    assert (running().operation.progress, running().operation.begun_at) == (Progress.RUNNING, NOW + 2)
    for begun in (running(), finished(), finished(OutcomeKind.LOST)):
        with pytest.raises(records.IllegalTransition):
            transitions.begin(begun, at=NOW)


@pytest.mark.parametrize("how", OutcomeKind)
def test_an_outcome_ends_a_running_operation(how: OutcomeKind) -> None:
    outcome = Outcome(how=how, status="STANDBY")
    ended = transitions.finish(running(), outcome, at=NOW + 3)
    successes = (
        OutcomeKind.DONE,
        OutcomeKind.ALREADY,
        OutcomeKind.CONFIRMED,
        OutcomeKind.READ_BACK,
        OutcomeKind.REHEARSED,
    )
    unsuccessful = Progress.UNKNOWN if how is OutcomeKind.LOST else Progress.FAILED
    progress = Progress.SUCCEEDED if how in successes else unsuccessful
    assert (ended.operation.progress, ended.operation.outcome, ended.operation.ended_at) == (progress, outcome, NOW + 3)
    assert (ended.state, ended.unsent[-1].said) == (State.APPROVED, ReplyKind.OUTCOME)
    assert set(transitions.STEP_OF) == set(OutcomeKind)


@pytest.mark.parametrize("request_", [asked(), approved(), denied(), finished(), finished(OutcomeKind.REFUSED)])
def test_only_what_runs_or_is_unknown_can_finish(request_: Request) -> None:
    with pytest.raises(records.IllegalTransition):
        transitions.finish(request_, Outcome(how=OutcomeKind.DONE), at=NOW)


def test_an_outcome_that_needed_no_call_is_one_version() -> None:
    settled = transitions.settle_without_call(approved(), Outcome(how=OutcomeKind.ALREADY), at=NOW + 4)
    assert settled.version == approved().version + 1
    assert (settled.operation.begun_at, settled.operation.ended_at) == (NOW + 4, NOW + 4)
    assert (settled.operation.progress, settled.unsent[-1].said) == (Progress.SUCCEEDED, ReplyKind.OUTCOME)


def test_a_call_that_is_held_up_counts_how_often_and_stays_waiting() -> None:
    held = transitions.hold_up(transitions.hold_up(approved(), until=NOW + 5), until=NOW + 9)
    assert (held.operation.not_before, held.operation.held_ups) == (NOW + 9, 2)
    assert (held.state, held.operation.progress, held.version) == (
        State.APPROVED,
        Progress.WAITING,
        approved().version + 2,
    )


def test_a_slow_call_and_a_reminder_are_told() -> None:
    assert said(transitions.call_takes_long(running(), at=NOW))[-1] is ReplyKind.CALLING
    reminded = transitions.remind(asked(), at=NOW + 300)
    assert (reminded.reminded, said(reminded), reminded.version) == (True, [ReplyKind.REMINDED], 2)


# Open requests and held flows


@pytest.mark.parametrize(
    ("request_", "is_open", "can_withdraw"),
    [
        (asked(), True, True),
        (approved(), True, True),
        (running(), True, False),
        (finished(), False, False),
        (finished(OutcomeKind.REFUSED), False, False),
        (finished(OutcomeKind.LOST), False, False),
        (denied(), False, False),
    ],
)
def test_a_request_holds_its_flow_while_anything_may_come_of_it(
    request_: Request, is_open: bool, can_withdraw: bool
) -> None:
    assert records.is_open(request_) is is_open
    assert records.can_withdraw(request_) is can_withdraw
    assert records.holds_flow(request_) is is_open
    assert not records.holds_flow(dataclasses.replace(request_, dry_run=True))


# What Slack shows


def test_what_slack_shows_is_no_new_version() -> None:
    failed = transitions.not_shown(transitions.not_shown(asked(), again_at=NOW + 1), again_at=NOW + 2)
    assert (failed.tell_failures, failed.tell_at, failed.version) == (2, NOW + 2, 1)
    card = Card(channel="C1", ts="1.2", shown=1)
    assert transitions.shown(failed, card) == dataclasses.replace(asked(), card=card)


# Laws

Move = Callable[[Request], Request]
PEOPLE: Final = st.sampled_from([ALICE, BOB, CAROL, DAVE])


def _votes(request: Request, actor: Actor, needed: int) -> Request:
    """Approve or confirm, whichever the request needs."""
    if request.state is not State.PENDING:
        return records.apply(request, Event.APPROVE)
    if request.terms.approvals == 0:
        return transitions.confirm(request, vote(actor))
    return transitions.approve(request, vote(actor), needed=needed)


def _falls_short(request: Request, lose: bool, more: int) -> Request:
    """Change the policy before the call, as the worker would notice."""
    if not records.can_withdraw(request):
        return records.apply(request, Event.SUPERSEDE) if request.state is State.APPROVED else request
    raised = terms(request.terms.approvals + more)
    return transitions.fall_short(request, lost=request.votes[:1] if lose else request.votes, terms=raised, at=NOW)


def _ends(request: Request, event: Event) -> Request:
    return transitions.end(request, event, Ending(actor=BOB, at=NOW), said=ReplyKind.DENIED)


MOVES: Final[st.SearchStrategy[Move]] = st.one_of(
    st.builds(lambda who, needed: lambda request: _votes(request, who, needed), PEOPLE, st.integers(0, 3)),
    st.builds(lambda lose, more: lambda request: _falls_short(request, lose, more), st.booleans(), st.integers(0, 1)),
    st.builds(
        lambda event: lambda request: _ends(request, event),
        st.sampled_from([Event.DENY, Event.EXPIRE, Event.WITHDRAW, Event.SUPERSEDE]),
    ),
    st.builds(
        lambda how: lambda request: transitions.finish(request, Outcome(how=how), at=NOW), st.sampled_from(OutcomeKind)
    ),
    st.sampled_from(
        [
            lambda request: transitions.begin(request, at=NOW),
            lambda request: transitions.settle_without_call(request, Outcome(how=OutcomeKind.ALREADY), at=NOW),
            lambda request: transitions.explain_denial(request, reason="why", at=NOW),
            lambda request: transitions.tighten(request, terms(request.terms.approvals + 1), at=NOW),
            lambda request: transitions.remind(request, at=NOW),
        ]
    ),
)


@st.composite
def lives(draw: st.DrawFn) -> list[Request]:
    """Return the successive versions of a request."""
    request = asked(approvals=draw(st.integers(0, 3)))
    lived = [request]
    for move in draw(st.lists(MOVES, max_size=12)):
        try:
            request = move(request)
        except records.IllegalTransition:
            continue
        if request is not lived[-1]:
            lived.append(request)
    return lived


def _has_its_votes(request: Request) -> bool:
    if request.terms.approvals == 0:
        return len(request.votes) == 1
    return len({each.actor for each in request.votes} - {request.requester}) >= request.terms.approvals


@hypothesis.given(lives())
def test_law_nothing_runs_without_the_votes_that_it_needs(lived: list[Request]) -> None:
    for request in lived:
        if request.operation.progress not in (Progress.WAITING, Progress.CANCELLED):
            assert request.state is State.APPROVED
            assert request.operation.begun_at is not None
        if request.state is State.APPROVED:
            assert _has_its_votes(request)
            assert request.decided_at is not None


@hypothesis.given(lives())
def test_law_every_decision_is_one_version_and_replies_are_numbered_without_gaps(lived: list[Request]) -> None:
    assert [request.version for request in lived] == list(range(1, len(lived) + 1))
    for request in lived:
        assert [reply.seq for reply in request.unsent] == list(range(1, request.next_seq))


@hypothesis.given(lives())
def test_law_a_request_and_its_operation_fit_together(lived: list[Request]) -> None:
    for request in lived:
        progress = request.operation.progress
        assert (request.state in ENDED) == (progress is Progress.CANCELLED) == (request.ending is not None)
        assert (request.operation.outcome is not None) == (request.operation.ended_at is not None)
        if request.state is State.PENDING:
            assert progress is Progress.WAITING


@hypothesis.given(lives())
def test_law_what_is_over_stays_over_and_what_is_needed_never_falls(lived: list[Request]) -> None:
    for before, after in itertools.pairwise(lived):
        assert records.is_open(before) or not records.is_open(after)
        assert after.terms.approvals >= before.terms.approvals
        assert before.state not in ENDED or after.state is before.state


@hypothesis.given(lives())
def test_law_what_is_open_is_looked_at_again(lived: list[Request]) -> None:
    assert all(schedule.at(request) is not None for request in lived if records.is_open(request))


# Steps that no caller takes, and that must stay impossible


def test_a_request_that_needs_approvals_cannot_be_confirmed() -> None:
    with pytest.raises(records.IllegalTransition):
        transitions.confirm(asked(approvals=1), vote(ALICE))


def test_a_request_that_needs_a_confirmation_cannot_be_approved() -> None:
    with pytest.raises(records.IllegalTransition):
        transitions.approve(asked(approvals=0), vote(ALICE), needed=0)


@pytest.mark.parametrize("request_", [approved(), running(), finished(), denied()])
def test_a_request_that_is_not_pending_takes_no_vote(request_: Request) -> None:
    with pytest.raises(records.IllegalTransition):
        transitions.approve(request_, vote(CAROL), needed=5)


@pytest.mark.parametrize("request_", [running(), finished(), finished(OutcomeKind.LOST)])
def test_a_request_whose_call_has_begun_cannot_fall_short(request_: Request) -> None:
    with pytest.raises(records.IllegalTransition):
        transitions.fall_short(request_, lost=request_.votes, terms=terms(1), at=NOW)


@pytest.mark.parametrize("event", [Event.APPROVE, Event.FALL_SHORT])
def test_an_ending_is_an_end(event: Event) -> None:
    before = asked() if event is Event.APPROVE else approved()
    with pytest.raises(records.IllegalTransition):
        transitions.end(before, event, Ending(actor=BOB, at=NOW), said=ReplyKind.DENIED)


@pytest.mark.parametrize("request_", [asked(), running(), finished(), denied()])
def test_only_an_approved_call_that_waits_can_be_held_up(request_: Request) -> None:
    with pytest.raises(records.IllegalTransition):
        transitions.hold_up(request_, until=NOW)


@pytest.mark.parametrize("request_", [approved(), finished(), denied(), transitions.remind(asked(), at=NOW)])
def test_only_a_pending_request_is_reminded_of_once(request_: Request) -> None:
    with pytest.raises(records.IllegalTransition):
        transitions.remind(request_, at=NOW)
