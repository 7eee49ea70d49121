"""The cache of Slack's answers: sharing a call, asking again, and what counts during a rate limit."""

import asyncio

import pytest

from bot.slack.directory.cache import FALLBACK_AGE, PATIENCE, Cache, Known
from bot.usecases import errors
from tests.fakes import FakeClock, in_order, until


class Slack:
    """A source of answers; `dated` is how much older than its question an answer is."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.memory = Cache(ask=self.ask, clock=self.clock)
        self.asked = 0
        self.dated = 0.0
        self.trouble: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self, name: str, since: float) -> Known[int]:
        """Return the number of the call."""
        self.asked += 1
        number, at = self.asked, max(since, self.clock.now() - self.dated)
        await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        return Known(said=number, at=at)


async def test_an_answer_serves_whoever_takes_it_so_old() -> None:
    slack = Slack()

    assert await slack.memory.get("a", max_age=5.0) == 1
    slack.clock.turn(5)
    assert await slack.memory.get("a", max_age=5.0) == 1
    assert await slack.memory.get("a", max_age=4.0) == 2
    assert await slack.memory.get("b", max_age=5.0) == 3


async def test_those_for_whom_a_shared_answer_is_too_old_share_another() -> None:
    slack = Slack()
    slack.dated = 50.0
    slack.gate.clear()
    easy = asyncio.create_task(slack.memory.get("a", max_age=60.0))
    strict = [asyncio.create_task(slack.memory.get("a", max_age=5.0)) for _ in range(10)]
    await until(lambda: slack.asked == 1)
    slack.gate.set()
    await in_order(asyncio.gather(easy, *strict))

    assert easy.result() == 1
    assert {task.result() for task in strict} == {2}


async def test_a_clock_that_goes_back_costs_no_more_questions() -> None:
    slack = Slack()
    slack.gate.clear()
    waiting = asyncio.create_task(slack.memory.get("a", max_age=5.0))
    await until(lambda: slack.asked == 1)
    slack.clock.turn(-100)
    slack.gate.set()
    await in_order(waiting)

    assert (waiting.result(), slack.asked) == (1, 1)


async def test_an_answer_from_the_future_does_not_count() -> None:
    slack = Slack()
    await slack.memory.get("a", max_age=60.0)
    slack.clock.turn(-10)

    assert await slack.memory.get("a", max_age=60.0) == 2


@pytest.mark.parametrize(("age", "answer"), [(FALLBACK_AGE, 1), (FALLBACK_AGE + 0.1, None)])
async def test_a_limit_that_is_too_long_lets_an_answer_of_a_minute_count(age: float, answer: int | None) -> None:
    slack = Slack()
    await slack.memory.get("a", max_age=5.0)
    slack.clock.turn(age)
    slack.trouble = errors.ChatUnavailable("ratelimited", retry_after=PATIENCE + 1)

    assert await slack.memory.get("a", max_age=5.0) == answer


@pytest.mark.parametrize(
    "trouble",
    [
        errors.ChatUnavailable("500"),
        errors.ChatUnavailable("invalid_auth", retry_after=60.0),
        errors.ChatRefused("no_such_subteam"),
        KeyError("user"),
        TypeError("a list"),
    ],
)
async def test_no_other_trouble_lets_an_older_answer_count(trouble: Exception) -> None:
    slack = Slack()
    await slack.memory.get("a", max_age=5.0)
    slack.clock.turn(6)
    slack.trouble = trouble

    assert await slack.memory.get("a", max_age=5.0) is None
    slack.trouble = None
    assert await slack.memory.get("a", max_age=5.0) == 3


async def test_an_older_answer_never_takes_the_place_of_a_newer_one() -> None:
    slack = Slack()
    slack.gate.clear()
    slow = asyncio.create_task(slack.memory.get("a", max_age=5.0))
    await until(lambda: slack.asked == 1)
    slack.clock.turn(10)
    quick = asyncio.create_task(slack.memory.get("a", max_age=5.0))
    await until(lambda: slack.asked == 2)
    slack.gate.set()
    await in_order(asyncio.gather(quick, slow))

    assert await slack.memory.get("a", max_age=5.0) == 2
