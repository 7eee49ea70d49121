"""The right to be the only process that serves an SQLite file, as a lock of the operating system; and who may read it.

The kernel lets go of the lock when the process ends, however it ends: whoever has it knows that every lease in the file
is an orphan.
"""

import contextlib
import fcntl
import os
import pathlib
import stat
import sys
from collections.abc import Iterator
from typing import Final

import structlog

from bot.usecases import errors

PRIVATE: Final = 0o600
"""Who may read and write requests, reasons and the audit: the user that the bot runs as, and nobody else."""

_BESIDE: Final = ("", "-wal", "-shm", "-journal")
"""What SQLite appends to the name of the file for those that belong to it."""

_FILE_LOCKS: Final = sys.platform == "linux"
"""Whether the lock of a whole file and SQLite's own locks of its parts are strangers to each other, as on Linux.

Elsewhere our lock would be in SQLite's way, so there the file beside it has to do.
"""

_held: set[tuple[int, int]] = set()
"""The files that this process holds, by device and inode.

They are looked up before such a file is opened: to close it again would end SQLite's own locks in this process.
"""

log = structlog.get_logger()


class Hold:
    """A file that is held, until `release`."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def release(self) -> None:
        """Let go of the file; a second time does nothing."""
        self._stack.close()


def hold_file(path: pathlib.Path) -> Hold:
    """Take the lock of the database file, under whatever name it is opened. Create it if it is not there.

    To be released after SQLite has closed the file. Raises errors.StoreError when another process has the lock.
    """
    with contextlib.ExitStack() as stack:
        # The file beside it is what earlier versions lock, and all that is possible where a lock of the file itself
        # would be in the way of SQLite's.
        stack.enter_context(_locked(path, path.with_name(path.name + ".lock")))
        keep_private(path)
        if _FILE_LOCKS:
            stack.enter_context(_held_here(path))
            stack.enter_context(_locked(path, path))
        return Hold(stack.pop_all())


def keep_private(path: pathlib.Path) -> None:
    """Create the database file if it is not there, and let nobody but its owner read it and what belongs to it.

    SQLite gives the files beside it the mode of this one. Raises errors.StoreError when it cannot be created.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE))
    except FileExistsError:  # and so it is not opened: see `_held`
        for suffix in _BESIDE:
            _tighten(path.with_name(path.name + suffix))
    except OSError as error:
        raise errors.StoreError(
            f"cannot create {path}, which the database needs: {error.strerror}; flowbot must be able to write there"
        ) from error


def _tighten(path: pathlib.Path) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & ~PRIVATE:
            path.chmod(mode & PRIVATE)
            log.warning("others could read the database; now only its owner can", file=str(path), mode=f"{mode:04o}")
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning(
            "others can read the database, and its owner must change that", file=str(path), reason=error.strerror
        )


@contextlib.contextmanager
def _held_here(path: pathlib.Path) -> Iterator[None]:
    found = path.stat()
    identity = (found.st_dev, found.st_ino)
    if identity in _held:
        raise errors.StoreError(_in_use(path))
    _held.add(identity)
    try:
        yield
    finally:
        _held.discard(identity)


@contextlib.contextmanager
def _locked(database: pathlib.Path, path: pathlib.Path) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError as error:
        raise errors.StoreError(
            f"cannot create {path}, which the database needs: {error.strerror}; flowbot must be able to write there"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise errors.StoreError(_why_not(database, error)) from error
    try:
        yield
    finally:
        os.close(descriptor)


def _why_not(path: pathlib.Path, error: OSError) -> str:
    if isinstance(error, BlockingIOError):
        return _in_use(path)
    return f"cannot lock {path}: {error.strerror}; the file must be on a local disk"


def _in_use(path: pathlib.Path) -> str:
    return f"another flowbot is using {path}; stop it first, or name another file in DATABASE_URL"
