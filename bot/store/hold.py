"""The right to be the only process that serves an SQLite file, as a lock of the operating system.

The kernel lets go of it when the process ends, however it ends: whoever has it knows that every lease in the file is an
orphan.
"""

import fcntl
import os
import pathlib

from bot import errors


class Hold:
    """A file that is held, until `release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let go of the file; a second time does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def hold_file(path: pathlib.Path) -> Hold:
    """Take the lock beside the database file. Raises errors.StoreError when another process has it."""
    lock = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise errors.StoreError(
            f"cannot create {lock}: {error.strerror}; flowbot must be able to write there"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise errors.StoreError(_why_not(path, error)) from error
    return Hold(descriptor)


def _why_not(path: pathlib.Path, error: OSError) -> str:
    if isinstance(error, BlockingIOError):
        return f"another flowbot is using {path}; stop it first, or name another file in DATABASE_URL"
    return f"cannot lock {path}: {error.strerror}; the file must be on a local disk"
