"""What is due on a request, and when."""

import dataclasses
import math

import hypothesis
import pytest
from hypothesis import strategies as st

from bot.commands import verbs
from bot.commands.deliveries import Actor, Verdict
from bot.lifecycle import records, schedule, transitions
from bot.lifecycle.records import (
    Awaiting,
    Card,
    Ending,
    Flow,
    Operation,
    Outcome,
    OutcomeKind,
    ReplyKind,
    Request,
    Terms,
    Vote,
)
from bot.lifecycle.schedule import Act, Tell
from bot.lifecycle.states import Event, Progress, State

NOW = 1_700_000_000.0
BOB = Actor(team="T1", user="U0BOB")


def asked(*, expires_in: float = 1800, approvals: int = 1) -> Request:
    return Request(
        id="R1",
        verb=verbs.Verb.STOP,
        project="hk",
        flow=Flow(flow_id="f-1", name="main-feed", region="ap", status="ACTIVE"),
        requester=Actor(team="T1", user="U0ALICE"),
        reason=None,
        dry_run=False,
        asked_in="C1",
        asked_at=NOW,
        expires_at=NOW + expires_in,
        terms=Terms(rule="r", rule_text="…", policy_hash="h", approvals=approvals),
        card=Card(channel="C1"),
    )


def approved(*, at: float = NOW + 60) -> Request:
    return transitions.approve(asked(), Vote(actor=BOB, at=at), needed=1)


def running() -> Request:
    return transitions.begin(approved(), at=NOW + 61)


def finished() -> Request:
    return transitions.finish(running(), Outcome(how=OutcomeKind.DONE), at=NOW + 62)


def burning() -> Request:
    emergency = records.Emergency(members=("oncall",), passed_over=("leads",))
    opened = dataclasses.replace(asked(approvals=0), emergency=emergency)
    return transitions.say(transitions.say(opened, ReplyKind.EMERGENCY, at=NOW), ReplyKind.ANNOUNCED, at=NOW)


def pressed_twice() -> Request:
    first = transitions.press_first(burning(), at=NOW + 50)
    return transitions.confirm_emergency(first, Vote(actor=first.requester, at=NOW + 60))


def burned() -> Request:
    return transitions.finish(
        transitions.begin(pressed_twice(), at=NOW + 61), Outcome(how=OutcomeKind.DONE), at=NOW + 62
    )


def reviewed() -> Request:
    return transitions.review(burned(), records.Review(actor=BOB, at=NOW + 99, verdict=Verdict.JUSTIFIED))


def waiting_for(awaiting: Awaiting) -> Request:
    return transitions.wait(running(), awaiting, until=NOW + 70)


def denied(*, code: str | None = None) -> Request:
    return transitions.end(asked(), Event.DENY, Ending(actor=BOB, at=NOW, code=code), said=ReplyKind.DENIED)


def shown(request: Request, *, replies: bool = True) -> Request:
    """Return the request with its newest card shown, and with its replies sent or not."""
    told = transitions.shown(request, Card(channel="C1", ts="1.2", shown=request.version))
    return dataclasses.replace(told, unsent=()) if replies else told


# Actions


@pytest.mark.parametrize(
    ("expires_in", "reminds_after"), [(1800, 300), (600, 300), (599, 299.5), (60, 30), (5, 2.5), (86400, 300)]
)
def test_the_approvers_are_reminded_after_half_the_time_or_five_minutes(
    expires_in: float, reminds_after: float
) -> None:
    request = asked(expires_in=expires_in)
    assert schedule.remind_at(request) == NOW + reminds_after
    assert schedule.act(request, math.nextafter(NOW + reminds_after, 0)) is None
    assert schedule.act(request, NOW + reminds_after) is Act.REMIND
    assert schedule.act(transitions.remind(request, at=NOW + reminds_after), NOW + reminds_after) is None


def test_a_pending_request_expires_when_its_time_is_over_even_unreminded() -> None:
    reminded = transitions.remind(asked(), at=NOW + 300)
    assert schedule.act(reminded, math.nextafter(NOW + 1800, 0)) is None
    assert schedule.act(reminded, NOW + 1800) is schedule.act(asked(), NOW + 1800) is Act.EXPIRE


def test_nobody_is_reminded_of_a_request_that_its_requester_confirms() -> None:
    assert schedule.act(asked(approvals=0), NOW + 1799) is None
    assert schedule.act(asked(approvals=0), NOW + 1800) is Act.EXPIRE
    assert schedule.at(shown(asked(approvals=0))) == NOW + 1800


def test_an_approved_request_is_called_at_once() -> None:
    assert schedule.act(approved(), NOW + 60) is Act.CALL


def test_an_approved_request_that_has_not_begun_within_two_minutes_lapses() -> None:
    assert schedule.begin_by(approved()) == NOW + 180
    assert schedule.act(approved(), math.nextafter(NOW + 180, 0)) is Act.CALL
    assert schedule.act(approved(), NOW + 180) is Act.LAPSE


def test_promise_10_an_approval_does_not_grow_young_again_when_the_clock_is_set_back() -> None:
    assert schedule.act(approved(), NOW + 60 - schedule.CLOCK_STEP) is Act.CALL
    assert schedule.act(approved(), math.nextafter(NOW + 60 - schedule.CLOCK_STEP, 0)) is Act.LAPSE


def test_an_approval_counts_to_its_own_two_minutes_however_old_the_request_is() -> None:
    late = approved(at=NOW + 1799)
    assert schedule.act(late, NOW + 1900) is Act.CALL
    assert schedule.act(late, NOW + 1919) is Act.LAPSE


def test_a_call_that_is_held_up_waits_and_still_lapses() -> None:
    held = transitions.hold_up(approved(), until=NOW + 100)
    assert schedule.act(held, math.nextafter(NOW + 100, 0)) is None
    assert schedule.act(held, NOW + 100) is Act.CALL
    assert schedule.at(shown(held)) == NOW + 100
    too_long = shown(transitions.hold_up(held, until=NOW + 500))
    assert schedule.act(too_long, NOW + 179) is None
    assert schedule.at(too_long) == NOW + 180
    assert schedule.act(too_long, NOW + 180) is Act.LAPSE


def test_a_call_whose_caller_is_gone_is_recovered_however_late() -> None:
    assert schedule.act(running(), NOW) is schedule.act(running(), NOW + 10**6) is Act.RECOVER


@pytest.mark.parametrize("seen", [waiting_for(Awaiting.TRY), waiting_for(Awaiting.READING)])
def test_a_repeat_and_a_reading_come_at_their_stored_time_and_no_sooner(seen: Request) -> None:
    act = Act.READ if seen.operation.awaiting is Awaiting.READING else Act.CALL_AGAIN
    assert schedule.act(seen, math.nextafter(NOW + 70, 0)) is None
    assert schedule.act(seen, NOW + 70) is schedule.act(seen, NOW + 10**6) is act
    assert schedule.at(shown(seen)) == NOW + 70


@pytest.mark.parametrize("how", [OutcomeKind.DONE, OutcomeKind.LOST])
def test_a_success_and_what_nobody_knows_are_read_at_their_time(how: OutcomeKind) -> None:
    seen = transitions.finish(running(), Outcome(how=how), at=NOW + 62, look_again_at=NOW + 72)
    assert schedule.act(seen, math.nextafter(NOW + 72, 0)) is None
    assert schedule.act(seen, NOW + 72) is Act.READ
    assert schedule.at(shown(seen)) == NOW + 72


def test_what_nobody_knows_is_read_at_once_where_somebody_asks_for_it() -> None:
    seen = transitions.finish(running(), Outcome(how=OutcomeKind.LOST), at=NOW + 62, look_again_at=NOW + 362)
    assert schedule.act(transitions.check_now(seen, at=NOW + 70), NOW + 70) is Act.READ


@pytest.mark.parametrize(
    "request_",
    [
        finished(),
        denied(),
        transitions.give_up(
            transitions.finish(running(), Outcome(how=OutcomeKind.LOST), at=NOW, look_again_at=NOW + 5), at=NOW + 3600
        ),
    ]
    + [
        dataclasses.replace(approved(), operation=Operation(progress=progress, awaiting=Awaiting.NOTHING))
        for progress in (Progress.SUCCEEDED, Progress.FAILED, Progress.UNKNOWN)
    ],
)
def test_nothing_is_done_to_what_is_over(request_: Request) -> None:
    assert schedule.act(request_, NOW + 10**6) is None


@pytest.mark.parametrize("state", [State.DENIED, State.EXPIRED, State.WITHDRAWN, State.SUPERSEDED])
def test_what_ended_without_a_call_never_calls(state: State) -> None:
    ended = dataclasses.replace(asked(), state=state, operation=Operation(progress=Progress.CANCELLED))
    assert schedule.act(ended, NOW) is schedule.act(ended, NOW + 10**6) is None


# Updates for Slack


def test_the_card_comes_before_everything_else() -> None:
    assert schedule.tell(transitions.say(asked(), ReplyKind.ASKED, at=NOW), NOW) is Tell.POST_CARD
    assert schedule.tell(approved(), NOW) is schedule.tell(running(), NOW) is Tell.POST_CARD


def test_a_request_that_ended_before_its_card_stood_gets_none_and_its_requester_is_told() -> None:
    assert schedule.tell(denied(), NOW) is Tell.NEVER_SHOWN
    told = transitions.shown(denied(), Card(channel="C1", ts=schedule.NO_CARD, shown=2))
    assert schedule.tell(told, math.inf) is None
    assert schedule.at(told) is None


def test_a_card_that_slack_refused_is_not_tried_again_and_neither_are_its_replies() -> None:
    assert schedule.tell(denied(code="not_in_channel"), NOW) is None
    assert schedule.at(denied(code="not_in_channel")) is None


def test_a_card_that_slack_refused_to_edit_is_still_told_of_its_end() -> None:
    posted = transitions.shown(denied(code="not_in_channel"), Card(channel="C1", ts="1.2", shown=1))
    assert schedule.tell(posted, NOW) is Tell.EDIT_CARD


def test_the_card_is_edited_before_replies_that_can_wait() -> None:
    voted = dataclasses.replace(approved(), card=Card(channel="C1", ts="1.2", shown=1))
    assert schedule.tell(voted, NOW) is Tell.EDIT_CARD
    assert schedule.tell(shown(voted, replies=False), NOW) is Tell.REPLY
    assert schedule.tell(shown(voted), NOW) is None


@pytest.mark.parametrize("said", [ReplyKind.ASKED, ReplyKind.OUTCOME])
def test_the_approvers_and_the_outcome_are_told_before_the_card_is_edited(said: ReplyKind) -> None:
    waiting = transitions.say(dataclasses.replace(asked(), card=Card(channel="C1", ts="1.2", shown=0)), said, at=NOW)
    assert schedule.tell(waiting, NOW) is Tell.REPLY


def test_replies_keep_their_order_even_where_the_last_is_urgent() -> None:
    card = Card(channel="C1", ts="1.2", shown=1)
    both = transitions.say(transitions.say(asked(), ReplyKind.REMINDED, at=NOW), ReplyKind.OUTCOME, at=NOW)
    assert schedule.tell(dataclasses.replace(both, card=card, version=2), NOW) is Tell.EDIT_CARD


def test_slack_is_not_tried_before_its_time() -> None:
    failed = transitions.not_shown(asked(), again_at=NOW + 30)
    assert schedule.tell(failed, math.nextafter(NOW + 30, 0)) is None
    assert schedule.tell(failed, NOW + 30) is Tell.POST_CARD


# The next check


@pytest.mark.parametrize(
    ("request_", "at"),
    [
        (shown(asked()), NOW + 300),
        (shown(asked(expires_in=60)), NOW + 30),
        (shown(transitions.remind(asked(), at=NOW + 300)), NOW + 1800),
        (shown(approved()), 0.0),
        (shown(running()), 0.0),
        (shown(finished()), None),
        (shown(denied()), None),
        (asked(), 0.0),
        (transitions.not_shown(asked(), again_at=NOW + 30), NOW + 30),
        (transitions.not_shown(asked(), again_at=NOW + 900), NOW + 300),
        (transitions.not_shown(finished(), again_at=NOW + 30), NOW + 30),
        (shown(finished(), replies=False), 0.0),
        (shown(burning()), NOW + 1800),
        (shown(pressed_twice()), 0.0),
        (transitions.not_shown(shown(pressed_twice(), replies=False), again_at=NOW + 90), NOW + 70),
        (shown(burned()), NOW + 62 + 86_400),
        (shown(reviewed()), None),
    ],
)
def test_a_request_is_looked_at_again_when_the_next_thing_can_be_done(request_: Request, at: float | None) -> None:
    assert schedule.at(request_) == at


# Emergencies


@pytest.mark.parametrize("unsent", [ReplyKind.EMERGENCY, ReplyKind.ANNOUNCED])
def test_an_emergency_waits_for_its_announcements_and_no_longer_than_ten_seconds(unsent: ReplyKind) -> None:
    left = tuple(reply for reply in pressed_twice().unsent if reply.said is unsent)
    announcing = dataclasses.replace(pressed_twice(), unsent=left)
    assert schedule.act(announcing, math.nextafter(NOW + 70, 0)) is None
    assert schedule.act(announcing, NOW + 70) is Act.CALL
    assert schedule.act(dataclasses.replace(announcing, unsent=()), NOW + 60) is Act.CALL


def test_an_ordinary_request_waits_for_no_reply() -> None:
    odd = transitions.say(approved(), ReplyKind.EMERGENCY, at=NOW + 60)
    assert schedule.act(odd, NOW + 60) is Act.CALL


def test_its_announcements_go_before_the_newest_card() -> None:
    posted = dataclasses.replace(pressed_twice(), card=Card(channel="C1", ts="1.2", shown=1))
    assert schedule.tell(posted, NOW + 60) is Tell.REPLY
    told = dataclasses.replace(posted, unsent=posted.unsent[2:])
    assert schedule.tell(told, NOW + 60) is Tell.EDIT_CARD


def test_after_a_failure_card_and_announcements_take_turns() -> None:
    first = transitions.press_first(burning(), at=NOW + 50)
    posted = dataclasses.replace(first, card=Card(channel="C1", ts="1.2", shown=1))
    turns = [schedule.tell(dataclasses.replace(posted, tell_failures=failures), NOW + 60) for failures in range(4)]
    assert turns == [Tell.REPLY, Tell.EDIT_CARD, Tell.REPLY, Tell.EDIT_CARD]


def test_only_the_next_button_of_an_emergency_is_held_back_by_an_announcement() -> None:
    first = transitions.press_first(burning(), at=NOW + 50)
    posted = dataclasses.replace(first, card=Card(channel="C1", ts="1.2", shown=1))
    assert schedule.is_card_held_back(posted)
    assert not schedule.is_card_held_back(first)
    assert not schedule.is_card_held_back(shown(posted))
    assert not schedule.is_card_held_back(dataclasses.replace(posted, unsent=posted.unsent[2:]))
    assert not schedule.is_card_held_back(dataclasses.replace(pressed_twice(), card=posted.card))
    assert not schedule.is_card_held_back(dataclasses.replace(asked(), card=Card(channel="C1", ts="1.2")))


def test_a_review_is_asked_for_again_each_day_while_it_is_open() -> None:
    assert schedule.act(burned(), NOW + 62 + 86_399) is None
    assert schedule.act(burned(), NOW + 62 + 86_400) is Act.REMIND_REVIEW
    again = transitions.remind_of_review(burned(), at=NOW + 62 + 86_400)
    assert schedule.act(again, NOW + 62 + 2 * 86_400 - 1) is None
    assert schedule.act(again, NOW + 62 + 2 * 86_400) is Act.REMIND_REVIEW
    assert schedule.act(reviewed(), NOW + 9 * 86_400) is None


def test_the_last_reminder_of_a_review_comes_a_week_after_the_end() -> None:
    ended, week = NOW + 62, 7 * 86_400
    almost = transitions.remind_of_review(burned(), at=ended + week - 1)
    assert not schedule.is_last_reminder(almost, ended + week - 1)
    assert schedule.at(shown(almost)) == ended + week - 1 + 86_400
    last = transitions.remind_of_review(burned(), at=ended + week)
    assert schedule.is_last_reminder(last, ended + week)
    assert schedule.act(last, NOW + 99 * 86_400) is None
    assert schedule.at(shown(last)) == schedule.OPEN


def test_a_reading_that_is_due_goes_before_a_review() -> None:
    running_ = transitions.begin(pressed_twice(), at=NOW + 61)
    lost = transitions.finish(running_, Outcome(how=OutcomeKind.LOST), at=NOW + 62, look_again_at=NOW + 63)
    assert schedule.act(lost, NOW + 9 * 86_400) is Act.READ


# Laws

TIMES = st.floats(NOW + 60 - schedule.CLOCK_STEP, NOW + 4000)


PHASES = [Awaiting.TRY, Awaiting.READING]


def _read_later(how: OutcomeKind, at: float) -> Request:
    return transitions.finish(running(), Outcome(how=how), at=NOW + 62, look_again_at=at)


@st.composite
def situations(draw: st.DrawFn) -> Request:
    """Return a request in any reachable state, with any part of it sent to Slack or not."""
    fallen = transitions.fall_short(approved(), lost=approved().votes, terms=approved().terms, at=NOW + 70)
    request = draw(
        st.sampled_from(
            [asked(), asked(approvals=0), asked(expires_in=5), approved(), running(), finished(), denied(), fallen]
        )
        | st.sampled_from([burning(), pressed_twice(), burned(), reviewed()])
        | st.sampled_from([transitions.remind(asked(), at=NOW + 300), denied(code="is_archived")])
        | st.builds(lambda until: transitions.hold_up(approved(), until=until), TIMES)
        | st.builds(lambda to, until: transitions.wait(running(), to, until=until), st.sampled_from(PHASES), TIMES)
        | st.builds(_read_later, st.sampled_from([OutcomeKind.DONE, OutcomeKind.LOST]), TIMES)
    )
    ts = draw(st.none() | st.just("1.2") | st.just(schedule.NO_CARD))
    card = Card(channel="C1", ts=ts, shown=0 if ts is None else draw(st.integers(0, request.version)))
    unsent = request.unsent[draw(st.integers(0, len(request.unsent))) :]
    return dataclasses.replace(request, card=card, unsent=unsent, tell_at=draw(st.just(0.0) | TIMES))


def _something_is_due(request: Request, now: float) -> bool:
    return schedule.act(request, now) is not None or schedule.tell(request, now) is not None


@hypothesis.given(situations(), TIMES)
def test_law_a_request_is_looked_at_exactly_when_something_is_due(request_: Request, now: float) -> None:
    at = schedule.at(request_)
    if at is None:
        assert not _something_is_due(request_, now)
        assert not records.is_open(request_)
        assert schedule.tell(request_, math.inf) is None
    elif now < at:
        assert not _something_is_due(request_, now)
    assert at is None or _something_is_due(request_, at)


@hypothesis.given(situations())
def test_law_there_is_no_time_to_look_again_exactly_when_nothing_more_can_come(request_: Request) -> None:
    nothing_more = schedule.act(request_, math.inf) is None and schedule.tell(request_, math.inf) is None
    assert (schedule.at(request_) is None) == nothing_more


@hypothesis.given(situations(), TIMES)
def test_law_no_call_begins_later_than_two_minutes_after_its_approval(request_: Request, now: float) -> None:
    if schedule.act(request_, now) is Act.CALL:
        assert request_.operation.tries == 0
        assert request_.state is State.APPROVED
        assert request_.decided_at is not None
        assert now < request_.decided_at + 120
