"""Tasks that run beside whoever starts them.

It holds on to them, since the event loop alone may lose a task before its end. It must not know what they do.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any


class TaskSet:
    """The tasks of one owner; each leaves the set when it has ended.

    `failed` is called with what a task raised; without it, tasks have to deal with their exceptions themselves.
    """

    def __init__(self, *, failed: Callable[[BaseException], None] | None = None) -> None:
        self._failed = failed
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a piece of work in a task of its own."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def __len__(self) -> int:
        """Count the tasks that have not ended."""
        return len(self._running)

    async def wait(self) -> None:
        """Wait for the tasks that run now, not for those that they start."""
        if self._running:
            await asyncio.wait(set(self._running))

    async def drain(self, *, within: float | None = None) -> None:
        """Wait until no task is left, or for so many seconds; what runs by then goes on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._running:
                    await self.wait()

    async def cancel(self) -> None:
        """Cancel every task, and wait for their ends."""
        for task in self._running:
            task.cancel()
        await self.drain()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._failed is not None and not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
