"""Let only one process serve an SQLite file, with a lock of the operating system, and keep the file private.

The kernel releases the lock when the process ends, however it ends. So the process with the lock knows that no lease in
the file is in use.
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
"""Only the user that runs the bot may read and write requests, reasons and the audit."""

_BESIDE: Final = ("", "-wal", "-shm", "-journal")
"""The suffixes of the files that SQLite keeps beside the database."""

_FILE_LOCKS: Final = sys.platform == "linux"
"""Whether a lock of the whole file is independent of SQLite's locks of its parts, as on Linux.

Elsewhere, our lock would block SQLite, so only the file beside it is locked.
"""

_held: set[tuple[int, int]] = set()
"""The files that this process holds, by device and inode.

This is checked before a file is opened, since closing it would release SQLite's own locks in this process.
"""

log = structlog.get_logger()


class Hold:
    """A file that is locked until `release`."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def release(self) -> None:
        """Release the file; a second call does nothing."""
        self._stack.close()


def hold_file(path: pathlib.Path) -> Hold:
    """Lock the database file, under whatever name it is opened, and create it if it does not exist.

    Release it after SQLite has closed the file. Raises errors.StoreError if another process holds the lock.
    """
    with contextlib.ExitStack() as stack:
        # Earlier versions lock the file beside it, which is also the only way where a lock of the file itself would
        # block SQLite.
        stack.enter_context(_locked(path, path.with_name(path.name + ".lock")))
        keep_private(path)
        if _FILE_LOCKS:
            stack.enter_context(_held_here(path))
            stack.enter_context(_locked(path, path))
        return Hold(stack.pop_all())


def keep_private(path: pathlib.Path) -> None:
    """Create the database file if it does not exist, and let only its owner read it and the files beside it.

    SQLite gives the files beside it the same mode. Raises errors.StoreError if it cannot be created.
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
