"""What is due on a request, and when."""

import dataclasses
import math

import hypothesis
import pytest
from hypothesis import strategies as st

from bot import commands, due, life
from bot import request as requests
from bot.arrivals import Actor, Verdict
from bot.due import Act, Tell
from bot.request import (
    Awaiting,
    Card,
    Ending,
    Event,
    Flow,
    How,
    Operation,
    Outcome,
    Progress,
    Request,
    Said,
    State,
    Terms,
    Vote,
)

NOW = 1_700_000_000.0
BOB = Actor(team="T1", user="U0BOB")


def asked(*, expires_in: float = 1800, approvals: int = 1) -> Request:
    return Request(
        id="R1",
        verb=commands.Verb.STOP,
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
    return life.approve(asked(), Vote(actor=BOB, at=at), needed=1)


def running() -> Request:
    return life.begin(approved(), at=NOW + 61)


def finished() -> Request:
    return life.finish(running(), Outcome(how=How.DONE), at=NOW + 62)


def burning() -> Request:
    emergency = requests.Emergency(members=("oncall",), passed_over=("leads",))
    opened = dataclasses.replace(asked(approvals=0), emergency=emergency)
    return life.say(life.say(opened, Said.EMERGENCY, at=NOW), Said.ANNOUNCED, at=NOW)


def pressed_twice() -> Request:
    first = life.press_first(burning(), at=NOW + 50)
    return life.confirm_emergency(first, Vote(actor=first.requester, at=NOW + 60))


def burned() -> Request:
    return life.finish(life.begin(pressed_twice(), at=NOW + 61), Outcome(how=How.DONE), at=NOW + 62)


def reviewed() -> Request:
    return life.review(burned(), requests.Review(actor=BOB, at=NOW + 99, verdict=Verdict.JUSTIFIED))


def waiting_for(awaiting: Awaiting) -> Request:
    return life.wait(running(), awaiting, until=NOW + 70)


def denied(*, code: str | None = None) -> Request:
    return life.end(asked(), Event.DENY, Ending(actor=BOB, at=NOW, code=code), said=Said.DENIED)


def shown(request: Request, *, replies: bool = True) -> Request:
    """Return the request with everything told: the newest card, and the replies unless they are still to come."""
    told = life.shown(request, Card(channel="C1", ts="1.2", shown=request.version))
    return dataclasses.replace(told, unsent=()) if replies else told


# What to do


@pytest.mark.parametrize(
    ("expires_in", "reminds_after"), [(1800, 300), (600, 300), (599, 299.5), (60, 30), (5, 2.5), (86400, 300)]
)
def test_the_approvers_are_reminded_after_half_the_time_or_five_minutes(
    expires_in: float, reminds_after: float
) -> None:
    request = asked(expires_in=expires_in)
    assert due.remind_at(request) == NOW + reminds_after
    assert due.act(request, math.nextafter(NOW + reminds_after, 0)) is None
    assert due.act(request, NOW + reminds_after) is Act.REMIND
    assert due.act(life.remind(request, at=NOW + reminds_after), NOW + reminds_after) is None


def test_a_pending_request_expires_when_its_time_is_over_even_unreminded() -> None:
    reminded = life.remind(asked(), at=NOW + 300)
    assert due.act(reminded, math.nextafter(NOW + 1800, 0)) is None
    assert due.act(reminded, NOW + 1800) is due.act(asked(), NOW + 1800) is Act.EXPIRE


def test_nobody_is_reminded_of_a_request_that_its_requester_confirms() -> None:
    assert due.act(asked(approvals=0), NOW + 1799) is None
    assert due.act(asked(approvals=0), NOW + 1800) is Act.EXPIRE
    assert due.at(shown(asked(approvals=0))) == NOW + 1800


def test_an_approved_request_is_called_at_once() -> None:
    assert due.act(approved(), NOW + 60) is Act.CALL


def test_an_approved_request_that_has_not_begun_within_two_minutes_lapses() -> None:
    assert due.begin_by(approved()) == NOW + 180
    assert due.act(approved(), math.nextafter(NOW + 180, 0)) is Act.CALL
    assert due.act(approved(), NOW + 180) is Act.LAPSE


def test_promise_10_an_approval_does_not_grow_young_again_when_the_clock_is_set_back() -> None:
    assert due.act(approved(), NOW + 60 - due.CLOCK_STEP) is Act.CALL
    assert due.act(approved(), math.nextafter(NOW + 60 - due.CLOCK_STEP, 0)) is Act.LAPSE


def test_an_approval_counts_to_its_own_two_minutes_however_old_the_request_is() -> None:
    late = approved(at=NOW + 1799)
    assert due.act(late, NOW + 1900) is Act.CALL
    assert due.act(late, NOW + 1919) is Act.LAPSE


def test_a_call_that_is_held_up_waits_and_still_lapses() -> None:
    held = life.hold_up(approved(), until=NOW + 100)
    assert due.act(held, math.nextafter(NOW + 100, 0)) is None
    assert due.act(held, NOW + 100) is Act.CALL
    assert due.at(shown(held)) == NOW + 100
    too_long = shown(life.hold_up(held, until=NOW + 500))
    assert due.act(too_long, NOW + 179) is None
    assert due.at(too_long) == NOW + 180
    assert due.act(too_long, NOW + 180) is Act.LAPSE


def test_a_call_whose_caller_is_gone_is_recovered_however_late() -> None:
    assert due.act(running(), NOW) is due.act(running(), NOW + 10**6) is Act.RECOVER


@pytest.mark.parametrize("seen", [waiting_for(Awaiting.TRY), waiting_for(Awaiting.READING)])
def test_a_repeat_and_a_reading_come_at_their_stored_time_and_no_sooner(seen: Request) -> None:
    act = Act.READ if seen.operation.awaiting is Awaiting.READING else Act.CALL_AGAIN
    assert due.act(seen, math.nextafter(NOW + 70, 0)) is None
    assert due.act(seen, NOW + 70) is due.act(seen, NOW + 10**6) is act
    assert due.at(shown(seen)) == NOW + 70


@pytest.mark.parametrize("how", [How.DONE, How.LOST])
def test_a_success_and_what_nobody_knows_are_read_at_their_time(how: How) -> None:
    seen = life.finish(running(), Outcome(how=how), at=NOW + 62, look_again_at=NOW + 72)
    assert due.act(seen, math.nextafter(NOW + 72, 0)) is None
    assert due.act(seen, NOW + 72) is Act.READ
    assert due.at(shown(seen)) == NOW + 72


def test_what_nobody_knows_is_read_at_once_where_somebody_asks_for_it() -> None:
    seen = life.finish(running(), Outcome(how=How.LOST), at=NOW + 62, look_again_at=NOW + 362)
    assert due.act(life.check_now(seen, at=NOW + 70), NOW + 70) is Act.READ


@pytest.mark.parametrize(
    "request_",
    [
        finished(),
        denied(),
        life.give_up(life.finish(running(), Outcome(how=How.LOST), at=NOW, look_again_at=NOW + 5), at=NOW + 3600),
    ]
    + [
        dataclasses.replace(approved(), operation=Operation(progress=progress, awaiting=Awaiting.NOTHING))
        for progress in (Progress.SUCCEEDED, Progress.FAILED, Progress.UNKNOWN)
    ],
)
def test_nothing_is_done_to_what_is_over(request_: Request) -> None:
    assert due.act(request_, NOW + 10**6) is None


@pytest.mark.parametrize("state", [State.DENIED, State.EXPIRED, State.WITHDRAWN, State.SUPERSEDED])
def test_what_ended_without_a_call_never_calls(state: State) -> None:
    ended = dataclasses.replace(asked(), state=state, operation=Operation(progress=Progress.CANCELLED))
    assert due.act(ended, NOW) is due.act(ended, NOW + 10**6) is None


# What to tell


def test_the_card_comes_before_everything_else() -> None:
    assert due.tell(life.say(asked(), Said.ASKED, at=NOW), NOW) is Tell.POST_CARD
    assert due.tell(approved(), NOW) is due.tell(running(), NOW) is Tell.POST_CARD


def test_a_request_that_ended_before_its_card_stood_gets_none_and_its_requester_is_told() -> None:
    assert due.tell(denied(), NOW) is Tell.NEVER_SHOWN
    told = life.shown(denied(), Card(channel="C1", ts=due.NO_CARD, shown=2))
    assert due.tell(told, math.inf) is None
    assert due.at(told) is None


def test_a_card_that_slack_refused_is_not_tried_again_and_neither_are_its_replies() -> None:
    assert due.tell(denied(code="not_in_channel"), NOW) is None
    assert due.at(denied(code="not_in_channel")) is None


def test_a_card_that_slack_refused_to_edit_is_still_told_of_its_end() -> None:
    posted = life.shown(denied(code="not_in_channel"), Card(channel="C1", ts="1.2", shown=1))
    assert due.tell(posted, NOW) is Tell.EDIT_CARD


def test_the_card_is_edited_before_replies_that_can_wait() -> None:
    voted = dataclasses.replace(approved(), card=Card(channel="C1", ts="1.2", shown=1))
    assert due.tell(voted, NOW) is Tell.EDIT_CARD
    assert due.tell(shown(voted, replies=False), NOW) is Tell.REPLY
    assert due.tell(shown(voted), NOW) is None


@pytest.mark.parametrize("said", [Said.ASKED, Said.OUTCOME])
def test_the_approvers_and_the_outcome_are_told_before_the_card_is_edited(said: Said) -> None:
    waiting = life.say(dataclasses.replace(asked(), card=Card(channel="C1", ts="1.2", shown=0)), said, at=NOW)
    assert due.tell(waiting, NOW) is Tell.REPLY


def test_replies_keep_their_order_even_where_the_last_is_urgent() -> None:
    card = Card(channel="C1", ts="1.2", shown=1)
    both = life.say(life.say(asked(), Said.REMINDED, at=NOW), Said.OUTCOME, at=NOW)
    assert due.tell(dataclasses.replace(both, card=card, version=2), NOW) is Tell.EDIT_CARD


def test_slack_is_not_tried_before_its_time() -> None:
    failed = life.not_shown(asked(), again_at=NOW + 30)
    assert due.tell(failed, math.nextafter(NOW + 30, 0)) is None
    assert due.tell(failed, NOW + 30) is Tell.POST_CARD


# When to look again


@pytest.mark.parametrize(
    ("request_", "at"),
    [
        (shown(asked()), NOW + 300),
        (shown(asked(expires_in=60)), NOW + 30),
        (shown(life.remind(asked(), at=NOW + 300)), NOW + 1800),
        (shown(approved()), 0.0),
        (shown(running()), 0.0),
        (shown(finished()), None),
        (shown(denied()), None),
        (asked(), 0.0),
        (life.not_shown(asked(), again_at=NOW + 30), NOW + 30),
        (life.not_shown(asked(), again_at=NOW + 900), NOW + 300),
        (life.not_shown(finished(), again_at=NOW + 30), NOW + 30),
        (shown(finished(), replies=False), 0.0),
        (shown(burning()), NOW + 1800),
        (shown(pressed_twice()), 0.0),
        (life.not_shown(shown(pressed_twice(), replies=False), again_at=NOW + 90), NOW + 70),
        (shown(burned()), NOW + 62 + 86_400),
        (shown(reviewed()), None),
    ],
)
def test_a_request_is_looked_at_again_when_the_next_thing_can_be_done(request_: Request, at: float | None) -> None:
    assert due.at(request_) == at


# Emergencies


@pytest.mark.parametrize("unsent", [Said.EMERGENCY, Said.ANNOUNCED])
def test_an_emergency_waits_for_its_announcements_and_no_longer_than_ten_seconds(unsent: Said) -> None:
    left = tuple(reply for reply in pressed_twice().unsent if reply.said is unsent)
    announcing = dataclasses.replace(pressed_twice(), unsent=left)
    assert due.act(announcing, math.nextafter(NOW + 70, 0)) is None
    assert due.act(announcing, NOW + 70) is Act.CALL
    assert due.act(dataclasses.replace(announcing, unsent=()), NOW + 60) is Act.CALL


def test_an_ordinary_request_waits_for_no_reply() -> None:
    odd = life.say(approved(), Said.EMERGENCY, at=NOW + 60)
    assert due.act(odd, NOW + 60) is Act.CALL


def test_its_announcements_go_before_the_newest_card() -> None:
    posted = dataclasses.replace(pressed_twice(), card=Card(channel="C1", ts="1.2", shown=1))
    assert due.tell(posted, NOW + 60) is Tell.REPLY
    told = dataclasses.replace(posted, unsent=posted.unsent[2:])
    assert due.tell(told, NOW + 60) is Tell.EDIT_CARD


def test_after_a_failure_card_and_announcements_take_turns() -> None:
    first = life.press_first(burning(), at=NOW + 50)
    posted = dataclasses.replace(first, card=Card(channel="C1", ts="1.2", shown=1))
    turns = [due.tell(dataclasses.replace(posted, tell_failures=failures), NOW + 60) for failures in range(4)]
    assert turns == [Tell.REPLY, Tell.EDIT_CARD, Tell.REPLY, Tell.EDIT_CARD]


def test_only_the_next_button_of_an_emergency_is_held_back_by_an_announcement() -> None:
    first = life.press_first(burning(), at=NOW + 50)
    posted = dataclasses.replace(first, card=Card(channel="C1", ts="1.2", shown=1))
    assert due.is_card_held_back(posted)
    assert not due.is_card_held_back(first)
    assert not due.is_card_held_back(shown(posted))
    assert not due.is_card_held_back(dataclasses.replace(posted, unsent=posted.unsent[2:]))
    assert not due.is_card_held_back(dataclasses.replace(pressed_twice(), card=posted.card))
    assert not due.is_card_held_back(dataclasses.replace(asked(), card=Card(channel="C1", ts="1.2")))


def test_a_review_is_asked_for_again_each_day_while_it_is_open() -> None:
    assert due.act(burned(), NOW + 62 + 86_399) is None
    assert due.act(burned(), NOW + 62 + 86_400) is Act.REMIND_REVIEW
    again = life.remind_of_review(burned(), at=NOW + 62 + 86_400)
    assert due.act(again, NOW + 62 + 2 * 86_400 - 1) is None
    assert due.act(again, NOW + 62 + 2 * 86_400) is Act.REMIND_REVIEW
    assert due.act(reviewed(), NOW + 9 * 86_400) is None


def test_the_last_reminder_of_a_review_comes_a_week_after_the_end() -> None:
    ended, week = NOW + 62, 7 * 86_400
    almost = life.remind_of_review(burned(), at=ended + week - 1)
    assert not due.is_last_reminder(almost, ended + week - 1)
    assert due.at(shown(almost)) == ended + week - 1 + 86_400
    last = life.remind_of_review(burned(), at=ended + week)
    assert due.is_last_reminder(last, ended + week)
    assert due.act(last, NOW + 99 * 86_400) is None
    assert due.at(shown(last)) == due.OPEN


def test_a_reading_that_is_due_goes_before_a_review() -> None:
    running_ = life.begin(pressed_twice(), at=NOW + 61)
    lost = life.finish(running_, Outcome(how=How.LOST), at=NOW + 62, look_again_at=NOW + 63)
    assert due.act(lost, NOW + 9 * 86_400) is Act.READ


# Laws

TIMES = st.floats(NOW + 60 - due.CLOCK_STEP, NOW + 4000)


PHASES = [Awaiting.TRY, Awaiting.READING]


def _read_later(how: How, at: float) -> Request:
    return life.finish(running(), Outcome(how=how), at=NOW + 62, look_again_at=at)


@st.composite
def situations(draw: st.DrawFn) -> Request:
    """Return a request in any state it can reach, with anything of it told or not."""
    fallen = life.fall_short(approved(), lost=approved().votes, terms=approved().terms, at=NOW + 70)
    request = draw(
        st.sampled_from(
            [asked(), asked(approvals=0), asked(expires_in=5), approved(), running(), finished(), denied(), fallen]
        )
        | st.sampled_from([burning(), pressed_twice(), burned(), reviewed()])
        | st.sampled_from([life.remind(asked(), at=NOW + 300), denied(code="is_archived")])
        | st.builds(lambda until: life.hold_up(approved(), until=until), TIMES)
        | st.builds(lambda to, until: life.wait(running(), to, until=until), st.sampled_from(PHASES), TIMES)
        | st.builds(_read_later, st.sampled_from([How.DONE, How.LOST]), TIMES)
    )
    ts = draw(st.none() | st.just("1.2") | st.just(due.NO_CARD))
    card = Card(channel="C1", ts=ts, shown=0 if ts is None else draw(st.integers(0, request.version)))
    unsent = request.unsent[draw(st.integers(0, len(request.unsent))) :]
    return dataclasses.replace(request, card=card, unsent=unsent, tell_at=draw(st.just(0.0) | TIMES))


def _something_is_due(request: Request, now: float) -> bool:
    return due.act(request, now) is not None or due.tell(request, now) is not None


@hypothesis.given(situations(), TIMES)
def test_law_a_request_is_looked_at_exactly_when_something_is_due(request_: Request, now: float) -> None:
    at = due.at(request_)
    if at is None:
        assert not _something_is_due(request_, now)
        assert not requests.is_open(request_)
        assert due.tell(request_, math.inf) is None
    elif now < at:
        assert not _something_is_due(request_, now)
    assert at is None or _something_is_due(request_, at)


@hypothesis.given(situations())
def test_law_there_is_no_time_to_look_again_exactly_when_nothing_more_can_come(request_: Request) -> None:
    nothing_more = due.act(request_, math.inf) is None and due.tell(request_, math.inf) is None
    assert (due.at(request_) is None) == nothing_more


@hypothesis.given(situations(), TIMES)
def test_law_no_call_begins_later_than_two_minutes_after_its_approval(request_: Request, now: float) -> None:
    if due.act(request_, now) is Act.CALL:
        assert request_.operation.tries == 0
        assert request_.state is State.APPROVED
        assert request_.decided_at is not None
        assert now < request_.decided_at + 120
