"""An unexpected error at any call of any port: whoever asked hears of it, others are served, and nothing loops.

The methods are found in `ports`, so that a new one is covered by itself.
"""

import asyncio
import contextlib
import dataclasses
import inspect
import pathlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import pytest

from bot.commands.deliveries import Entry
from bot.lifecycle.records import ReplyKind
from bot.usecases import answers, ports
from tests.fakes import ALICE, BOB, CAROL, DAVE, MAIN, Desk, open_desk, policy_of
from tests.test_bulkheads import TWO_PROJECTS

PORTS: Final = {
    ports.Store: "store",
    ports.Cloud: "cloud",
    ports.Chat: "chat",
    ports.Directory: "directory",
    ports.Switch: "store",
    ports.Clock: "clock",
}
"""The ports of the worker, by what a desk calls its fakes."""

ELSEWHERE: Final = {
    "record": "the inbox answers for it (test_inbox)",
    "close": "nothing is worked on any more",
    "let_go": "called at a shutdown alone, by whom nobody waits for",
}

SICK: Final = ("sick", "C0INCIDENT", "U0ALICE", "U0DAVE")
"""What calls about the sick request are given; a call that is given nothing of either request is everybody's."""

HEALTHY: Final = ("healthy", "C0EUROPE", "U0BOB", "U0CAROL")

AFTERWARDS: Final = (1.0, 2.0, 3.0, 5.0, 10.0, *[31.0] * 6, 60.0, 120.0, 600.0, *[1_800.0] * 6)
"""Seconds by which the clock is turned on: more than three hours."""

MOST: Final = 8
"""How many calls of a method are made to fail, each in a story of its own."""

OFTEN: Final = 60
"""How often a call about one request is made within that time at most, although it fails each time."""


def methods() -> Iterator[tuple[str, str]]:
    """Name the fake and the method of each call that a port has."""
    for port, fake in PORTS.items():
        for name, method in vars(port).items():
            if inspect.isfunction(method) and not name.startswith("_") and name not in ELSEWHERE:
                yield fake, name


METHODS: Final = tuple(dict.fromkeys(methods()))
every_method = pytest.mark.parametrize(("fake", "method"), METHODS, ids=[".".join(each) for each in METHODS])


class Poison:
    """Makes a method of a fake fail, at the calls about the sick request: one of them, or all."""

    def __init__(self, target: object, method: str, *, only: int | None) -> None:
        self.calls = 0
        self._only = only
        self._good: Callable[..., Any] = getattr(target, method)
        is_async = inspect.iscoroutinefunction(self._good)
        setattr(target, method, self._wait_for if is_async else self._call)

    def _call(self, *args: Any, **more: Any) -> Any:
        given = repr((args, more))
        if "healthy-" not in given and (
            any(map(given.__contains__, SICK)) or not any(map(given.__contains__, HEALTHY))
        ):
            self.calls += 1
            if self._only in (None, self.calls - 1):
                raise RuntimeError("nobody foresaw this")
        return self._good(*args, **more)

    async def _wait_for(self, *args: Any, **more: Any) -> Any:
        return await self._call(*args, **more)


@contextlib.asynccontextmanager
async def opened(directory: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk with a flow for each of the two."""
    directory.mkdir()  # noqa: ASYNC240 - a directory of the test's own
    async with open_desk(directory) as desk:
        desk.policy = policy_of(TWO_PROJECTS)
        desk.cloud.there = {
            name: dataclasses.replace(MAIN, flow_id=name, name=name) for name in ("sick-flow", "healthy-flow")
        }
        yield desk


async def goes_on(desk: Desk) -> None:
    """Carry out what is due by now, as the worker's own looking would."""
    with contextlib.suppress(RuntimeError):  # it looks again
        async with asyncio.timeout(60.0):
            await desk.worker.settle()
    while desk.worker._tasks:
        await desk.worker._tasks.drain(within=60.0)


async def arrive(desk: Desk, *entries: Entry) -> None:
    """Let entries arrive that are on record, and carry out what they ask for."""
    for entry in entries:
        desk.worker.wake_entry(entry)
    await goes_on(desk)


async def story(desk: Desk) -> tuple[Entry, ...]:
    """Record what is sent: two ask for a stop, and two leads approve."""
    sent = (
        ("sick-request", desk.typed("stop sick-flow", ALICE)),
        ("healthy-request", desk.typed("stop healthy-flow", BOB, channel="C0EUROPE")),
        ("sick-click", desk.click("approve", DAVE, "sick-request", on="x")),
        ("healthy-click", desk.click("approve", CAROL, "healthy-request", on="y", channel="C0EUROPE")),
    )
    entries = tuple(dataclasses.replace(entry, key=key) for key, entry in sent)
    await desk.store.record(entries)
    return entries


async def play(desk: Desk, sent: tuple[Entry, ...], *, afterwards: tuple[float, ...] = AFTERWARDS) -> None:
    """Let the story happen, then let hours pass."""
    await arrive(desk, *sent[:2])
    await arrive(desk, *sent[2:])
    for seconds in afterwards:
        desk.clock.turn(seconds)
        await goes_on(desk)


ENDS: Final = (ReplyKind.OUTCOME, ReplyKind.UNEXPECTED, ReplyKind.EXPIRED, ReplyKind.GIVEN_UP)


def heard(desk: Desk, which: str) -> bool:
    """Tell whether it was told what came of a request, or that what was sent about it met an error."""
    answered = zip(desk.chat.asked, desk.chat.answered, strict=True)
    by_answer = (entry.actor.user for entry, answer in answered if isinstance(answer, answers.Unexpected))
    theirs = ("U0ALICE", "U0DAVE") if which == "sick" else ("U0BOB", "U0CAROL")
    return any(user in theirs for user in by_answer) or any((f"{which}-request", end) in desk.chat.told for end in ENDS)


def is_for_all(method: str) -> bool:
    """Tell whether an error in a method cannot be one request's alone."""
    return method in ("paused", "members", "now", "sleep")


@every_method
async def test_an_error_each_time_is_told_holds_up_nobody_and_ends(
    tmp_path: pathlib.Path, fake: str, method: str
) -> None:
    if fake == "clock":
        pytest.skip("without any clock nobody can be served")
    async with opened(tmp_path / "desk") as desk:
        sent = await story(desk)
        poison = Poison(getattr(desk, fake), method, only=None)
        await play(desk, sent)

        assert desk.cloud.there["healthy-flow"].status == "STANDBY" or is_for_all(method)
        assert heard(desk, "sick")
        assert heard(desk, "healthy")
        assert poison.calls <= OFTEN
        assert not desk.worker._entries.taken_up
        assert not desk.worker._in_progress


@every_method
async def test_an_error_at_any_one_call_is_told_or_made_good(tmp_path: pathlib.Path, fake: str, method: str) -> None:
    for number in range(MOST):
        async with opened(tmp_path / f"desk{number}") as desk:
            sent = await story(desk)
            poison = Poison(getattr(desk, fake), method, only=number)
            await play(desk, sent, afterwards=(1.0, 5.0, 31.0, 31.0))

            assert desk.cloud.there["healthy-flow"].status == "STANDBY" or is_for_all(method), number
            assert heard(desk, "sick"), number
            assert heard(desk, "healthy"), number
            if poison.calls <= number:
                break
