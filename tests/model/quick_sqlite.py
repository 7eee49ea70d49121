"""SQLite on the thread of the event loop, so that an example of the model comes out the same each time.

In service a transaction runs on a thread, whose answers come in an order that nobody chooses. Here it is done when it
is sent; the files, the statements and the transactions are as they are in service.
"""

import concurrent.futures
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from unittest import mock

T = TypeVar("T")


class _Inline(concurrent.futures.Executor):
    """In place of the threads."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        """Do it now."""
        future = concurrent.futures.Future[T]()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the future
            future.set_exception(error)
        return future


@contextlib.contextmanager
def quick_sqlite() -> Iterator[None]:
    """Let every connection that is opened meanwhile work on this thread."""
    with mock.patch("bot.store.engines.sqlite.ThreadPoolExecutor", _Inline):
        yield
