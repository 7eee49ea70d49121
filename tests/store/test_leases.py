"""How long a replica counts on its own leases."""

import time

import pytest

from bot.store import leases


@pytest.fixture
def clock() -> list[float]:
    """Return a clock: a list with the time as its only item."""
    return [100.0]


@pytest.fixture
def mine(clock: list[float]) -> leases.Leases:
    """Return the leases of a new replica."""
    return leases.Leases(seconds=30.0, monotonic=lambda: clock[0])


def test_a_lease_holds_from_when_it_was_asked_for(mine: leases.Leases, clock: list[float]) -> None:
    asked_at = mine.now()
    clock[0] = 110.0
    mine.given("r1", asked_at=asked_at)
    assert (mine.left("r1"), mine.left("r2")) == (20.0, 0.0)
    clock[0] = 130.0
    assert mine.left("r1") == 0


def test_a_lease_that_held_until_now_is_renewed(mine: leases.Leases, clock: list[float]) -> None:
    mine.given("r1", asked_at=100.0)
    clock[0] = 129.0
    mine.renewed("r1", asked_at=128.0)
    assert mine.left("r1") == 29.0


def test_a_lease_that_lapsed_before_the_answer_came_is_not_renewed(mine: leases.Leases, clock: list[float]) -> None:
    mine.given("r1", asked_at=100.0)
    clock[0] = 131.0
    mine.renewed("r1", asked_at=129.0)
    mine.renewed("r2", asked_at=129.0)
    assert (mine.left("r1"), mine.left("r2")) == (0.0, 0.0)


def test_what_has_ended_is_forgotten(mine: leases.Leases, clock: list[float]) -> None:
    mine.given("r1", asked_at=90.0)
    mine.given("r2", asked_at=100.0)
    mine.given("r3", asked_at=100.0)
    clock[0] = 125.0
    mine.forget_lapsed()
    mine.gone("r2")
    clock[0] = 100.0
    assert (mine.left("r1"), mine.left("r2"), mine.left("r3")) == (0.0, 0.0, 30.0)


def test_a_lease_runs_out_while_the_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "clock_gettime", {7: 100.0}.__getitem__)
    assert leases.elapsing(boottime=7)() == 100.0


def test_where_no_clock_goes_on_the_usual_one_counts() -> None:
    assert leases.elapsing(boottime=None) is time.monotonic


def test_linux_has_a_clock_that_goes_on() -> None:
    assert (leases.elapsing() is time.monotonic) == (not hasattr(time, "CLOCK_BOOTTIME"))
