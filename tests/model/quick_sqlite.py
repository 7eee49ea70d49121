"""SQLite on the thread of the event loop, so that each example of the model is deterministic.

In production, transactions run on threads and end in any order. Here each one runs at once. The files, the statements
and the transactions are the same.
"""

import concurrent.futures
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from unittest import mock

T = TypeVar("T")


class _Inline(concurrent.futures.Executor):
    """An executor that runs work at once, without threads."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        """Run the work now."""
        future = concurrent.futures.Future[T]()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is raised where the future is awaited
            future.set_exception(error)
        return future


@contextlib.contextmanager
def quick_sqlite() -> Iterator[None]:
    """Make every connection that is opened meanwhile work on this thread."""
    with mock.patch("bot.store.engines.sqlite.ThreadPoolExecutor", _Inline):
        yield
