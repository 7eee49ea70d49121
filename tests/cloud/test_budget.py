"""The share of the calls that reads may use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cloud.budget import CALLS, READS, WINDOW, Budget
from bot.usecases.ports import Purpose

NOON = 1_735_787_045.0


def spent(*calls: tuple[float, Purpose]) -> Budget:
    budget = Budget()
    for at, purpose in calls:
        budget.spend(purpose, now=NOON + at)
    return budget


def many(count: int, purpose: Purpose, *, at: float = 0.0) -> list[tuple[float, Purpose]]:
    return [(at, purpose)] * count


def test_half_of_a_minute_is_for_reading() -> None:
    assert (CALLS, READS, WINDOW) == (80, 40, 60.0)
    assert Budget().reads_left(NOON) == 40
    assert spent(*many(15, "read")).reads_left(NOON) == 25
    assert spent(*many(40, "read")).reads_left(NOON) == 0


def test_a_call_counts_for_a_minute_and_no_longer() -> None:
    budget = spent(*many(40, "read"))
    assert budget.reads_left(NOON + 59.9) == 0
    assert budget.reads_left(NOON + 60) == 40


def test_stops_leave_reading_its_half_until_they_need_more_than_theirs() -> None:
    assert spent(*many(40, "stop")).reads_left(NOON) == 40
    assert spent(*many(70, "stop")).reads_left(NOON) == 10
    assert spent(*many(50, "stop"), *many(20, "read")).reads_left(NOON) == 10
    assert spent(*many(100, "stop")).reads_left(NOON) == 0


@pytest.mark.parametrize(
    ("calls", "wait"),
    [
        (many(0, "read"), 0.0),
        (many(39, "read"), 0.0),
        (many(40, "read"), 30.0),
        (many(1, "read") + many(39, "read", at=10.0), 30.0),
        (many(1, "read") + many(40, "read", at=10.0), 40.0),
        (many(40, "read") + many(80, "stop", at=20.0), 50.0),
    ],
)
def test_says_how_long_until_one_more_may_be_read(calls: list[tuple[float, Purpose]], wait: float) -> None:
    assert spent(*calls).wait(NOON + 30) == wait


def test_a_clock_that_is_set_back_does_not_hold_reading_back_for_long() -> None:
    assert spent(*many(40, "read", at=3600.0)).reads_left(NOON) == 40


CALL = st.tuples(st.floats(0, 200), st.sampled_from(["read", "stop"]))


@given(st.lists(CALL, max_size=300).map(sorted))
def test_after_the_wait_and_no_sooner_there_is_one_to_read(calls: list[tuple[float, Purpose]]) -> None:
    budget, now = spent(*calls), NOON + (calls[-1][0] if calls else 0.0)
    wait = budget.wait(now)
    assert (wait == 0) == (budget.reads_left(now) > 0)
    assert budget.reads_left(now + wait + 1e-3) > 0
    assert wait <= 1e-3 or budget.reads_left(now + wait - 1e-3) == 0
