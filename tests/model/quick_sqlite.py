"""SQLite on the thread of the event loop, so that an example of the model comes out the same each time.

aiosqlite runs each statement on a thread, whose answers come in an order that nobody chooses. Here a statement is done
when it is sent; the files, the statements and the transactions are as they are in service.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock


class _Inline:
    """In place of the queue to the thread."""

    def put_nowait(self, work: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        """Do it now."""
        future, function = work
        try:
            done = function()
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the future
            if future is not None:
                future.set_exception(error)
        else:
            if future is not None:
                future.set_result(done)


class _NoThread:
    """In place of the thread."""

    daemon = True

    def __init__(self, **_: object) -> None: ...

    def start(self) -> None:
        """Start nothing."""


@contextlib.contextmanager
def quick_sqlite() -> Iterator[None]:
    """Let every connection that is opened meanwhile work on this thread."""
    with mock.patch("aiosqlite.core.SimpleQueue", _Inline), mock.patch("aiosqlite.core.Thread", _NoThread):
        yield
