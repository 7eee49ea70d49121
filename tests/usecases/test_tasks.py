"""Background tasks: kept until they end, waited for, and cancelled."""

import asyncio

from bot.usecases.tasks import TaskSet


async def test_a_task_is_held_until_it_has_ended() -> None:
    tasks, gate = TaskSet(), asyncio.Event()
    tasks.start(_wait(gate))
    assert len(tasks) == 1

    gate.set()
    await tasks.drain()

    assert len(tasks) == 0


async def test_draining_waits_for_what_tasks_start_as_well() -> None:
    tasks, ended, gate = TaskSet(), list[str](), asyncio.Event()

    async def second() -> None:
        await gate.wait()
        ended.append("second")

    async def first() -> None:
        tasks.start(second())
        ended.append("first")

    tasks.start(first())
    await tasks.wait()
    assert ended == ["first"]

    gate.set()
    await tasks.drain()
    assert ended == ["first", "second"]


async def test_draining_for_a_time_leaves_running_what_runs_by_then() -> None:
    tasks, gate = TaskSet(), asyncio.Event()
    tasks.start(_wait(gate))

    await tasks.drain(within=0.0)

    assert len(tasks) == 1
    gate.set()
    await tasks.drain()


async def test_cancelling_ends_every_task() -> None:
    failures = list[BaseException]()
    tasks, gate = TaskSet(failed=failures.append), asyncio.Event()
    tasks.start(_wait(gate))
    tasks.start(_wait(gate))

    await tasks.cancel()

    assert (len(tasks), failures) == (0, [])


async def test_what_a_task_raises_is_handed_on() -> None:
    failures = list[BaseException]()
    tasks = TaskSet(failed=failures.append)
    tasks.start(_raise(ValueError("nobody foresaw this")))

    await tasks.drain()

    assert [str(failure) for failure in failures] == ["nobody foresaw this"]


async def test_nothing_is_waited_for_where_nothing_runs() -> None:
    tasks = TaskSet()

    await tasks.wait()
    await tasks.drain()
    await tasks.cancel()


async def _wait(gate: asyncio.Event) -> None:
    await gate.wait()


async def _raise(error: Exception) -> None:
    raise error
