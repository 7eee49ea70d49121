"""The sliding window, and the limit on commands per person; memory stays bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from bot.commands.deliveries import Actor, Entry, Typed
from bot.usecases import rate_limit
from bot.usecases.rate_limit import COMMANDS, PEOPLE, WINDOW, CommandLimit, SlidingWindow
from tests.fakes import FakeClock


def sent(key: object, user: str = "U0ALICE") -> Entry:
    """Return a command with this key."""
    typed = Typed(text="stop main-feed", channel="C0INCIDENT")
    return Entry(key=str(key), actor=Actor(team="T1", user=user), arrival=typed, received_at=0.0)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that only the test moves."""
    return FakeClock()


@pytest.fixture
def limit(clock: FakeClock) -> CommandLimit:
    """Return a new limit."""
    return CommandLimit(clock=clock)


def fill(limit: CommandLimit, user: str = "U0ALICE") -> None:
    """Send as many commands as are allowed."""
    assert {limit.wait(sent(number, user)) for number in range(COMMANDS)} == {0.0}


def test_so_many_pass_and_the_next_waits_for_the_first_to_leave_the_window(
    limit: CommandLimit, clock: FakeClock
) -> None:
    assert limit.wait(sent("first")) == 0
    clock.turn(20)
    assert {limit.wait(sent(number)) for number in range(COMMANDS - 1)} == {0.0}

    assert limit.wait(sent("too many")) == WINDOW - 20
    clock.turn(39)
    assert limit.wait(sent("still")) == 1
    clock.turn(1)
    assert limit.wait(sent("now")) == 0
    assert limit.wait(sent("and no more")) == 20


def test_what_was_refused_does_not_make_the_wait_longer(limit: CommandLimit, clock: FakeClock) -> None:
    fill(limit)
    for number in range(COMMANDS):
        assert limit.wait(sent(f"more {number}")) > 0
    clock.turn(WINDOW)

    fill(limit)


def test_each_person_is_counted_by_themselves(limit: CommandLimit) -> None:
    fill(limit)

    assert limit.wait(sent("other", "U0BOB")) == 0
    assert limit.wait(sent("too many")) > 0


def test_an_entry_that_is_taken_up_again_counts_once(limit: CommandLimit) -> None:
    for _ in range(2 * COMMANDS):
        assert limit.wait(sent("same")) == 0

    assert {limit.wait(sent(number)) for number in range(COMMANDS - 1)} == {0.0}
    assert limit.wait(sent("too many")) > 0
    assert limit.wait(sent("same")) == 0


def test_a_clock_that_is_set_back_locks_nobody_out(limit: CommandLimit, clock: FakeClock) -> None:
    fill(limit)
    clock.turn(-3600)

    assert limit.wait(sent("later")) == 0


def test_people_who_are_quiet_for_a_minute_are_forgotten(limit: CommandLimit, clock: FakeClock) -> None:
    for number in range(100):
        limit.wait(sent(number, f"U{number}"))
        clock.turn(1)

    assert len(limit) == WINDOW
    clock.turn(WINDOW)
    limit.wait(sent("one"))
    assert len(limit) == 1


def test_no_more_people_are_remembered_than_there_is_room_for(clock: FakeClock, mocker: MockerFixture) -> None:
    mocker.patch.object(rate_limit, "PEOPLE", 3)
    limit = CommandLimit(clock=clock)
    fill(limit)
    for number in range(5):
        limit.wait(sent(number, f"U{number}"))

    assert len(limit) == 3
    assert PEOPLE >= 1_000


STEPS = st.lists(st.integers(-90, 90), max_size=60)


@given(STEPS, st.integers(1, 10))
def test_law_a_window_knows_what_happened_within_it_and_when_there_is_room(steps: list[int], most: int) -> None:
    window, now, kept = SlidingWindow(60.0), 1_000.0, list[float]()
    for number, step in enumerate(steps):
        now += step
        kept = [at for at in kept if now - 60.0 < at <= now]  # events in the future are dropped for good

        assert window.count(now) == len(kept)
        wait = window.wait(most, now=now)
        assert wait == (0.0 if len(kept) < most else sorted(kept)[-most] + 60.0 - now)
        assert not window.has(str(number), now=now)

        window.add(now, key=str(number))
        kept.append(now)
        assert window.has(str(number), now=now)
