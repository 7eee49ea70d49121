"""Each step of a request: the complete record after it, and the error if the step is illegal."""

import dataclasses
from collections.abc import Callable
from typing import Any, Final

import pytest

from bot.commands.deliveries import Verdict
from bot.lifecycle import records, transitions
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.lifecycle.records import (
    Awaiting,
    Emergency,
    Ending,
    IllegalTransition,
    Outcome,
    OutcomeKind,
    Reply,
    ReplyKind,
    Request,
    Review,
)
from bot.lifecycle.states import Event, Progress, State
from tests.lifecycle.test_records import ALICE, BOB, CAROL, NOW, approved, asked, denied, finished, running, terms, vote

TROUBLE: Final = CloudFailure(fault=Fault.THROTTLED, http_status=429)
REVIEW: Final = Review(actor=CAROL, at=NOW + 99, verdict=Verdict.JUSTIFIED, comment="it burned")


def burning(*, dry_run: bool = False) -> Request:
    emergency = Emergency(members=("oncall",), passed_over=("leads",))
    return dataclasses.replace(asked(approvals=0, dry_run=dry_run), emergency=emergency)


def pressed_once() -> Request:
    return transitions.press_first(burning(), at=NOW)


def pressed_twice() -> Request:
    return transitions.confirm_emergency(pressed_once(), vote(ALICE, at=NOW + 3))


def burned(how: OutcomeKind = OutcomeKind.DONE) -> Request:
    return transitions.finish(transitions.begin(pressed_twice(), at=NOW + 4), Outcome(how=how), at=NOW + 5)


def lost() -> Request:
    return transitions.finish(running(), Outcome(how=OutcomeKind.LOST), at=NOW + 3, look_again_at=NOW + 8)


def operating(progress: Progress, awaiting: Awaiting) -> Request:
    operation = records.Operation(progress=progress, awaiting=awaiting)
    return dataclasses.replace(approved(), operation=operation)


def told(said: ReplyKind, *, at: float, **more: Any) -> Reply:
    return Reply(seq=0, said=said, at=at, **more)


def then(before: Request, *replies: Reply, **changed: Any) -> Request:
    """Return the next version of a request, with these changes and these replies, numbered in order."""
    numbered = [dataclasses.replace(reply, seq=before.next_seq + place) for place, reply in enumerate(replies)]
    return dataclasses.replace(
        before,
        version=before.version + 1,
        unsent=(*before.unsent, *numbered),
        next_seq=before.next_seq + len(replies),
        **changed,
    )


def on(before: Request, **changed: Any) -> records.Operation:
    """Return the operation of a request, with these changes."""
    return dataclasses.replace(before.operation, **changed)


def expired(before: Request) -> Request:
    return transitions.end(before, Event.EXPIRE, Ending(actor=None, at=NOW), said=ReplyKind.EXPIRED)


def ended_by(event: Event) -> Request:
    return transitions.end(asked(), event, Ending(actor=BOB, at=NOW), said=ReplyKind.DENIED)


def emergency_of(before: Request, **changed: Any) -> Emergency:
    """Return the emergency of a request, with these changes."""
    assert before.emergency is not None
    return dataclasses.replace(before.emergency, **changed)


class TestVotes:
    def test_one_approval_of_two_leaves_it_pending(self) -> None:
        before = asked(approvals=1)
        assert transitions.approve(before, vote(BOB), needed=2) == then(
            before,
            told(ReplyKind.VOTED, at=NOW + 1, actor=BOB, count=1, needed=2),
            votes=(vote(BOB),),
            terms=terms(2),
        )

    def test_the_last_approval_approves_it(self) -> None:
        before = asked()
        assert transitions.approve(before, vote(BOB), needed=1) == then(
            before,
            told(ReplyKind.VOTED, at=NOW + 1, actor=BOB, count=1, needed=1),
            votes=(vote(BOB),),
            state=State.APPROVED,
            decided_at=NOW + 1,
        )

    def test_a_confirmation_is_the_one_vote(self) -> None:
        before = asked(approvals=0)
        assert transitions.confirm(before, vote(BOB)) == then(
            before,
            told(ReplyKind.CONFIRMED, at=NOW + 1, actor=BOB),
            votes=(vote(BOB),),
            state=State.APPROVED,
            decided_at=NOW + 1,
        )

    def test_lost_votes_fall_off_one_by_one_and_new_approvals_are_asked_for_last(self) -> None:
        before = transitions.approve(
            transitions.approve(asked(approvals=2), vote(BOB), needed=2), vote(CAROL), needed=2
        )
        assert transitions.fall_short(before, lost=(vote(BOB), vote(CAROL)), terms=terms(3), at=NOW + 5) == then(
            before,
            told(ReplyKind.FELL_OFF, at=NOW + 5, actor=BOB, count=0, needed=3),
            told(ReplyKind.FELL_OFF, at=NOW + 5, actor=CAROL, count=0, needed=3),
            told(ReplyKind.ASKED, at=NOW + 5, needed=3),
            votes=(),
            terms=terms(3),
            state=State.PENDING,
            decided_at=None,
        )

    def test_stricter_terms_are_told(self) -> None:
        before = asked()
        after = then(before, told(ReplyKind.ASKED, at=NOW + 5, needed=2), terms=terms(2))
        assert transitions.tighten(before, terms(2), at=NOW + 5) == after

    def test_the_approvers_are_reminded(self) -> None:
        before = asked()
        assert transitions.remind(before, at=NOW + 5) == then(
            before, told(ReplyKind.REMINDED, at=NOW + 5), reminded=True
        )


class TestEmergencies:
    def test_the_first_press_is_the_requesters(self) -> None:
        before = burning()
        assert transitions.press_first(before, at=NOW) == then(
            before, told(ReplyKind.PRESSED_FIRST, at=NOW, actor=ALICE), emergency=emergency_of(before, first_at=NOW)
        )

    @pytest.mark.parametrize("needs_second", [False, True])
    def test_the_first_press_says_whether_the_second_has_to_be_another_persons(self, needs_second: bool) -> None:
        before = burning()
        pressed = transitions.press_first(before, at=NOW, needs_second=needs_second)
        assert pressed.emergency == emergency_of(before, first_at=NOW, needs_second=needs_second)

    def test_a_second_person_is_wanted_without_a_word(self) -> None:
        before = pressed_once()
        assert transitions.want_second(before) == then(before, emergency=emergency_of(before, needs_second=True))

    def test_the_second_press_approves_it_once_the_presses_are_apart(self) -> None:
        before, second = pressed_once(), vote(BOB, at=NOW + records.APART)
        assert transitions.confirm_emergency(before, second) == then(
            before,
            told(ReplyKind.CONFIRMED, at=NOW + records.APART, actor=BOB),
            votes=(vote(ALICE, at=NOW), second),
            state=State.APPROVED,
            decided_at=NOW + records.APART,
        )

    @pytest.mark.parametrize("how", [OutcomeKind.DONE, OutcomeKind.REFUSED, OutcomeKind.LOST])
    def test_whatever_came_of_it_a_review_is_asked_for(self, how: OutcomeKind) -> None:
        before = transitions.begin(pressed_twice(), at=NOW + 4)
        after = transitions.finish(before, Outcome(how=how), at=NOW + 5)
        said = (told(ReplyKind.OUTCOME, at=NOW + 5), told(ReplyKind.REVIEW_OPEN, at=NOW + 5))
        assert after == then(
            before, *said, operation=after.operation, emergency=emergency_of(before, reminded_at=NOW + 5)
        )

    def test_a_dry_run_asks_for_no_review(self) -> None:
        first = transitions.press_first(burning(dry_run=True), at=NOW)
        before = transitions.begin(transitions.confirm_emergency(first, vote(ALICE, at=NOW + 3)), at=NOW + 4)
        after = transitions.finish(before, Outcome(how=OutcomeKind.REHEARSED), at=NOW + 5)
        assert after == then(before, told(ReplyKind.OUTCOME, at=NOW + 5), operation=after.operation)

    def test_a_review_is_asked_for_again(self) -> None:
        before = burned()
        assert transitions.remind_of_review(before, at=NOW + 9) == then(
            before, told(ReplyKind.REVIEW_OPEN, at=NOW + 9), emergency=emergency_of(before, reminded_at=NOW + 9)
        )

    def test_a_review_is_told_with_the_reviewers_own_words(self) -> None:
        before = burned()
        said = told(ReplyKind.REVIEWED, at=NOW + 99, actor=CAROL, reason="it burned")
        assert transitions.review(before, REVIEW) == then(before, said, emergency=emergency_of(before, review=REVIEW))


class TestOperation:
    def test_the_first_try_begins_it(self) -> None:
        before = approved()
        began = on(before, progress=Progress.RUNNING, awaiting=Awaiting.REPLY, begun_at=NOW + 2, tries=1)
        assert transitions.begin(before, at=NOW + 2) == then(before, operation=began)

    def test_a_further_try_is_counted_and_does_not_begin_it_again(self) -> None:
        before = transitions.wait(running(), Awaiting.TRY, until=NOW + 9)
        again = on(before, awaiting=Awaiting.REPLY, tries=2)
        assert transitions.begin(before, at=NOW + 9) == then(before, operation=again)

    @pytest.mark.parametrize("before", [running(), lost()])
    def test_it_waits_and_remembers_the_latest_trouble(self, before: Request) -> None:
        waits = transitions.wait(before, Awaiting.READING, until=NOW + 9, trouble=TROUBLE)
        reads = on(before, awaiting=Awaiting.READING, not_before=NOW + 9, trouble=TROUBLE)
        assert waits == then(before, operation=reads)
        assert transitions.wait(waits, Awaiting.TRY, until=NOW + 10).operation.trouble == TROUBLE

    def test_a_call_that_was_accepted_is_read_later(self) -> None:
        before = running()
        reads = on(before, accepted_at=NOW + 3, awaiting=Awaiting.READING, not_before=NOW + 9)
        assert transitions.accept(before, at=NOW + 3, until=NOW + 9) == then(before, operation=reads)

    def test_a_call_that_is_put_off_remembers_only_the_latest_trouble(self) -> None:
        before = approved()
        held = transitions.hold_up(before, until=NOW + 9, trouble=TROUBLE)
        assert held == then(before, operation=on(before, not_before=NOW + 9, held_ups=1, trouble=TROUBLE))
        assert transitions.hold_up(held, until=NOW + 10).operation.trouble is None

    def test_a_try_that_was_made_keeps_its_trouble_when_the_next_is_put_off(self) -> None:
        tried = transitions.wait(running(), Awaiting.TRY, until=NOW + 9, trouble=TROUBLE)
        assert transitions.hold_up(tried, until=NOW + 10).operation.trouble == TROUBLE

    def test_a_new_name_is_part_of_the_next_step_and_no_version_of_its_own(self) -> None:
        before = approved()
        renamed = transitions.rename(before, "spare-feed")
        assert renamed == dataclasses.replace(before, flow=dataclasses.replace(before.flow, name="spare-feed"))

    def test_the_first_unexpected_error_is_told_and_all_are_counted(self) -> None:
        before = running()
        first = transitions.note_unexpected(before, error_id="E1", at=NOW + 3)
        said = told(ReplyKind.UNEXPECTED, at=NOW + 3, actor=ALICE, reason="E1")
        assert first == then(before, said, operation=on(before, unexpected=1))
        assert transitions.note_unexpected(first, error_id="E2", at=NOW + 4) == then(
            first, operation=on(first, unexpected=2)
        )

    def test_an_end_is_told_and_nothing_is_awaited(self) -> None:
        before, outcome = running(), Outcome(how=OutcomeKind.DONE, status="STANDBY")
        ended = on(
            before,
            progress=Progress.SUCCEEDED,
            outcome=outcome,
            ended_at=NOW + 3,
            awaiting=Awaiting.NOTHING,
            not_before=0.0,
        )
        after = then(before, told(ReplyKind.OUTCOME, at=NOW + 3), operation=ended)
        assert transitions.finish(before, outcome, at=NOW + 3) == after

    def test_what_nobody_knows_is_read_back(self) -> None:
        before, outcome = running(), Outcome(how=OutcomeKind.LOST)
        unknown = on(
            before,
            progress=Progress.UNKNOWN,
            outcome=outcome,
            ended_at=NOW + 3,
            unknown_since=NOW + 3,
            awaiting=Awaiting.READING,
            not_before=NOW + 8,
        )
        after = then(before, told(ReplyKind.OUTCOME, at=NOW + 3), operation=unknown)
        assert transitions.finish(before, outcome, at=NOW + 3, look_again_at=NOW + 8) == after

    @pytest.mark.parametrize("changed_to", [None, "ACTIVE"])
    def test_a_last_look_tells_only_of_a_change(self, changed_to: str | None) -> None:
        before = transitions.finish(running(), Outcome(how=OutcomeKind.DONE), at=NOW + 3, look_again_at=NOW + 8)
        said = (told(ReplyKind.CHANGED, at=NOW + 8),) if changed_to else ()
        looked = on(before, awaiting=Awaiting.NOTHING, changed_to=changed_to)
        assert transitions.look_back(before, changed_to=changed_to, at=NOW + 8) == then(before, *said, operation=looked)

    def test_what_is_given_up_is_told_and_read_no_more(self) -> None:
        before = lost()
        after = then(before, told(ReplyKind.GIVEN_UP, at=NOW + 9), operation=on(before, awaiting=Awaiting.NOTHING))
        assert transitions.give_up(before, at=NOW + 9) == after

    def test_a_reading_that_found_nothing_out_is_counted(self) -> None:
        before = lost()
        reads = on(before, reads=1, not_before=NOW + 20, trouble=TROUBLE)
        assert transitions.count_reading(before, until=NOW + 20, trouble=TROUBLE) == then(before, operation=reads)

    def test_the_next_reading_can_be_due_at_once(self) -> None:
        before = lost()
        assert transitions.check_now(before, at=NOW + 4) == then(before, operation=on(before, not_before=NOW + 4))

    def test_a_slow_call_is_told(self) -> None:
        assert transitions.call_takes_long(running(), at=NOW + 9) == then(
            running(), told(ReplyKind.CALLING, at=NOW + 9)
        )


STEPS: Final[list[tuple[Callable[[], object], str]]] = [
    (lambda: records.apply(running(), Event.DENY), "R1 has begun: it cannot deny"),
    (
        lambda: transitions.approve(asked(approvals=0), vote(BOB), needed=1),
        "R1 is pending, waiting: it takes no approval",
    ),
    (lambda: transitions.approve(running(), vote(BOB), needed=9), "R1 is approved, running: it takes no approval"),
    (
        lambda: transitions.confirm(asked(), vote(ALICE)),
        "R1 is pending, waiting: it takes no confirmation of this kind",
    ),
    (
        lambda: transitions.confirm(burning(), vote(ALICE)),
        "R1 is pending, waiting: it takes no confirmation of this kind",
    ),
    (lambda: transitions.tighten(asked(), terms(1), at=NOW), "R1 is pending, waiting: it takes no such terms"),
    (lambda: transitions.tighten(approved(), terms(2), at=NOW), "R1 is approved, waiting: it takes no such terms"),
    (lambda: transitions.press_first(asked(approvals=0), at=NOW), "R1 takes no first press"),
    (lambda: transitions.press_first(pressed_once(), at=NOW), "R1 takes no first press"),
    (lambda: transitions.press_first(expired(burning()), at=NOW), "R1 takes no first press"),
    (lambda: transitions.want_second(asked(approvals=0)), "R1 needs no second person"),
    (lambda: transitions.want_second(transitions.want_second(pressed_once())), "R1 needs no second person"),
    (lambda: transitions.want_second(pressed_twice()), "R1 needs no second person"),
    (lambda: transitions.confirm_emergency(asked(approvals=0), vote(ALICE)), "R1 takes no second press yet"),
    (lambda: transitions.confirm_emergency(burning(), vote(ALICE)), "R1 takes no second press yet"),
    (lambda: transitions.confirm_emergency(pressed_once(), vote(ALICE, at=NOW + 2.9)), "R1 takes no second press yet"),
    (lambda: transitions.review(finished(), REVIEW), "R1 has no open review"),
    (lambda: transitions.review(pressed_twice(), REVIEW), "R1 has no open review"),
    (lambda: transitions.review(transitions.review(burned(), REVIEW), REVIEW), "R1 has no open review"),
    (lambda: transitions.remind_of_review(finished(), at=NOW), "R1 is approved, succeeded: it has no open review"),
    (lambda: ended_by(Event.APPROVE), "R1 is pending, waiting: it does not end by approve"),
    (lambda: transitions.explain_denial(asked(), reason="x", at=NOW), "R1 takes no reason for a denial"),
    (lambda: transitions.explain_denial(expired(asked()), reason="x", at=NOW), "R1 takes no reason for a denial"),
    (
        lambda: transitions.explain_denial(denied(reason="no"), reason="x", at=NOW),
        "R1 takes no reason for a denial",
    ),
    (lambda: transitions.begin(asked(), at=NOW), "R1 is pending, waiting: it may not run"),
    (lambda: transitions.begin(running(), at=NOW), "R1 is approved, running: it may not run"),
    (
        lambda: transitions.begin(operating(Progress.UNKNOWN, Awaiting.TRY), at=NOW),
        "R1 is approved, unknown: it may not run",
    ),
    (
        lambda: transitions.wait(approved(), Awaiting.TRY, until=NOW),
        "R1 is approved, waiting: it waits for nothing",
    ),
    (lambda: transitions.hold_up(asked(), until=NOW), "R1 is pending, waiting: it has no call to put off"),
    (lambda: transitions.hold_up(running(), until=NOW), "R1 is approved, running: it has no call to put off"),
    (
        lambda: transitions.look_back(lost(), changed_to="ACTIVE", at=NOW),
        "R1 is approved, unknown: it is not looked at again",
    ),
    (
        lambda: transitions.look_back(finished(), changed_to="ACTIVE", at=NOW),
        "R1 is approved, succeeded: it is not looked at again",
    ),
    (lambda: transitions.give_up(finished(OutcomeKind.LOST), at=NOW), "R1 is approved, unknown: it is not read back"),
    (lambda: transitions.check_now(finished(OutcomeKind.LOST), at=NOW), "R1 is approved, unknown: it is not read back"),
    (
        lambda: transitions.call_takes_long(approved(), at=NOW),
        "R1 is approved, waiting: it has no call under way",
    ),
    (lambda: transitions.remind(approved(), at=NOW), "R1 is approved, waiting: it needs no reminder"),
    (
        lambda: transitions.remind(transitions.remind(asked(), at=NOW), at=NOW),
        "R1 is pending, waiting: it needs no reminder",
    ),
]


@pytest.mark.parametrize(("step", "words"), STEPS)
def test_what_is_no_step_is_refused_with_where_the_request_stands(step: Callable[[], object], words: str) -> None:
    with pytest.raises(IllegalTransition) as refused:
        step()
    assert str(refused.value) == words


@pytest.mark.parametrize(
    ("seen", "may"),
    [
        (asked(), False),
        (approved(), False),
        (running(), False),
        (finished(), False),
        (expired(asked()), True),
        (finished(OutcomeKind.REFUSED), True),
        (finished(OutcomeKind.LOST), False),
        (denied(), False),
    ],
)
def test_only_what_expired_or_failed_may_be_asked_again(seen: Request, may: bool) -> None:
    assert records.may_be_asked_again(seen) is may
