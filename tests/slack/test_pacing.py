"""The posting rate: bursts of ten, then one message a second per channel; no channel waits for another."""

import asyncio

import hypothesis
import pytest
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from bot.slack import pacing
from bot.slack.pacing import Pacer
from bot.usecases import errors
from tests.fakes import FakeClock, in_order

TEN, MOST = pacing.BURST, pacing.BURST + int(pacing.WAIT_AT_MOST)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that only the test advances."""
    return FakeClock()


@pytest.fixture
def pacer(clock: FakeClock) -> Pacer:
    """Return a pacer."""
    return Pacer(clock=clock)


async def burst(pacer: Pacer, channel: str = "C1", *, number: int = TEN) -> None:
    """Send this many messages, which must leave at once."""
    await in_order(asyncio.gather(*(pacer.turn(channel) for _ in range(number))))


class Line:
    """Messages waiting in line for a channel."""

    def __init__(self, pacer: Pacer, channel: str, number: int) -> None:
        self._tasks = [asyncio.create_task(pacer.turn(channel)) for _ in range(number)]

    async def left(self) -> int:
        """Return how many have left."""
        for _ in range(5):
            await asyncio.sleep(0)
        return sum(task.done() for task in self._tasks)

    async def leave(self) -> None:
        """Cancel the waiting ones."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_ten_messages_leave_at_once_and_then_one_a_second(pacer: Pacer, clock: FakeClock) -> None:
    line, left = Line(pacer, "C1", MOST), []

    for _ in range(int(pacing.WAIT_AT_MOST) + 1):
        left.append(await line.left())
        clock.turn(1)

    assert left == list(range(TEN, MOST + 1))


async def test_within_a_second_no_other_message_leaves(pacer: Pacer, clock: FakeClock) -> None:
    await burst(pacer)
    line = Line(pacer, "C1", 1)

    clock.turn(0.99)
    assert await line.left() == 0
    clock.turn(0.02)
    assert await line.left() == 1


async def test_after_a_pause_there_may_be_a_burst_again(pacer: Pacer, clock: FakeClock) -> None:
    await burst(pacer)
    clock.turn(TEN)

    await burst(pacer)
    line = Line(pacer, "C1", 1)
    assert await line.left() == 0
    await line.leave()


async def test_a_short_pause_allows_as_many_as_its_seconds(pacer: Pacer, clock: FakeClock) -> None:
    await burst(pacer)
    clock.turn(3)

    await burst(pacer, number=3)
    line = Line(pacer, "C1", 1)
    assert await line.left() == 0
    await line.leave()


async def test_one_channel_never_waits_for_another(pacer: Pacer) -> None:
    await burst(pacer)
    full = Line(pacer, "C1", 10)

    for number in range(50):
        await in_order(pacer.turn(f"D{number}"))

    assert await full.left() == 0
    await full.leave()


async def test_a_line_that_is_too_long_says_when_to_come_back_and_makes_nobody_wait_longer(
    pacer: Pacer, clock: FakeClock
) -> None:
    line = Line(pacer, "C1", MOST + 1)
    await line.left()

    for _ in range(20):
        with pytest.raises(errors.ChatUnavailable) as failure:
            await pacer.turn("C1")
        assert failure.value.retry_after == pacing.WAIT_AT_MOST + 1

    clock.turn(pacing.WAIT_AT_MOST)
    assert await line.left() == MOST + 1
    clock.turn(1)
    await in_order(pacer.turn("C1"))


async def test_channels_that_were_quiet_for_longest_are_forgotten_first(
    clock: FakeClock, mocker: MockerFixture
) -> None:
    mocker.patch.object(pacing, "REMEMBERED", 2)
    pacer = Pacer(clock=clock)
    await burst(pacer, "C1")
    for channel in ("C2", "C3"):
        await pacer.turn(channel)

    await burst(pacer, "C1")


@hypothesis.given(st.lists(st.floats(0, 15), max_size=60))
@hypothesis.settings(deadline=None, max_examples=50)
def test_law_in_any_stretch_of_time_no_more_leave_than_a_burst_and_one_a_second(pauses: list[float]) -> None:
    async def play() -> list[float]:
        clock, left = FakeClock(start=0.0), []
        pacer = Pacer(clock=clock)

        async def one() -> None:
            await pacer.turn("C1")
            left.append(clock.now())

        tasks = []
        for pause in pauses:
            tasks.append(asyncio.create_task(one()))
            await asyncio.sleep(0)
            clock.turn(pause)
            await asyncio.sleep(0)
        for _ in range(12):
            clock.turn(1)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        return sorted(left)

    left = asyncio.run(play())
    # The clock advances in leaps here, so a message may leave late, and together with the next.
    longest = max([1.0, *pauses])
    for first in range(len(left)):
        for last in range(first, len(left)):
            assert last - first + 1 <= TEN + (left[last] - left[first]) + longest + 1
