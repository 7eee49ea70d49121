"""A set of background tasks.

It keeps references to them, since the event loop alone may lose a task before it ends. It must not know what they do.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any


class TaskSet:
    """The tasks of one owner; each leaves the set when it ends.

    `failed` is called with the exception of a task; without it, tasks must handle their exceptions themselves.
    """

    def __init__(self, *, failed: Callable[[BaseException], None] | None = None) -> None:
        self._failed = failed
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in a task of its own."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def __len__(self) -> int:
        """Return the number of running tasks."""
        return len(self._running)

    async def wait(self) -> None:
        """Wait for the tasks that run now, but not for those that they start."""
        if self._running:
            await asyncio.wait(set(self._running))

    async def drain(self, *, within: float | None = None) -> None:
        """Wait until no task is left, or for `within` seconds; tasks still running then go on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._running:
                    await self.wait()

    async def cancel(self) -> None:
        """Cancel every task and wait until all have ended."""
        for task in self._running:
            task.cancel()
        await self.drain()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._failed is not None and not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
