"""Only one process may use an SQLite file, whatever name it opens, and no other user of the machine."""

import errno
import os
import pathlib
import stat
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from bot.store import migrate, opening
from bot.store.engines import file_lock
from bot.usecases import errors

from . import examples
from .conftest import Clock


@pytest.fixture
def url(file_url: str) -> str:
    """Return a file."""
    return file_url


class TestUnderAnotherName:
    """The same file, linked or mounted elsewhere."""

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a lock of the file would be in SQLite's way")
    async def test_a_hard_link_is_that_file(self, url: str, tmp_path: pathlib.Path, clock: Clock) -> None:
        link = elsewhere(tmp_path)
        first = await opening.open_store(url, clock=clock, replica="first")
        with pytest.raises(errors.StoreError, match="another flowbot"):
            await opening.open_store(link, clock=clock, replica="second")
        await first.close()
        again = await opening.open_store(link, clock=clock, replica="second")
        await again.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a lock of the file would be in SQLite's way")
    async def test_another_process_is_told_so_too(self, url: str, tmp_path: pathlib.Path, clock: Clock) -> None:
        first = await opening.open_store(url, clock=clock, replica="first")
        assert "another flowbot" in said_by_another_process(elsewhere(tmp_path))
        await first.close()
        assert said_by_another_process(elsewhere(tmp_path, "again.db")) == ""

    async def test_to_be_refused_takes_none_of_sqlites_own_locks_away(
        self, url: str, tmp_path: pathlib.Path, clock: Clock
    ) -> None:
        first = await opening.open_store(url, clock=clock, replica="first")
        await first.record([examples.entry()])
        locks = locks_of(tmp_path / "flowbot.db")
        with pytest.raises(errors.StoreError):
            await opening.open_store(elsewhere(tmp_path), clock=clock, replica="second")
        file_lock.keep_private(tmp_path / "flowbot.db")
        assert locks_of(tmp_path / "flowbot.db") == locks
        await first.close()


def elsewhere(directory: pathlib.Path, name: str = "linked.db") -> str:
    """Return the URL of the file under another name, in another directory."""
    (directory / "elsewhere").mkdir(exist_ok=True)
    (directory / "elsewhere" / name).hardlink_to(directory / "flowbot.db")
    return f"sqlite:///{directory / 'elsewhere' / name}"


def said_by_another_process(url: str) -> str:
    """Open the database in another process, and return why that failed."""
    program = f"""
import pathlib
from bot.store.engines import file_lock
from bot.usecases import errors
try:
    file_lock.hold_file(pathlib.Path({url.removeprefix("sqlite:///")!r}))
except errors.StoreError as error:
    print(error)
"""
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout  # noqa: S603 - ours


def locks_of(file: pathlib.Path) -> list[str]:
    """Return this process's locks of parts of the file, from the kernel."""
    mine = [f" {os.getpid()} ", f":{file.stat().st_ino} "]
    lines = pathlib.Path("/proc/locks").read_text().splitlines()
    found = [line.partition(":")[2] for line in lines if "POSIX" in line and all(part in line for part in mine)]
    assert found
    return sorted(found)


class TestPrivate:
    """Requests, reasons and the audit are for the bot's own user."""

    @pytest.fixture(autouse=True)
    def _open_handed(self) -> Iterator[None]:
        before = os.umask(0)
        yield
        os.umask(before)

    async def test_what_is_made_is_for_its_owner_alone(self, tmp_path: pathlib.Path, clock: Clock) -> None:
        url = f"sqlite:///{tmp_path / 'new.db'}"
        migrate.migrate(url)
        opened = await opening.open_store(url, clock=clock, replica="mine")
        await opened.record([examples.entry()])
        assert modes(tmp_path) == dict.fromkeys(("new.db", "new.db-wal", "new.db-shm", "new.db.lock"), 0o600)
        await opened.close()

    @pytest.mark.parametrize("exclusive", [True, False])
    async def test_what_others_could_read_is_closed_to_them_and_said(
        self, url: str, tmp_path: pathlib.Path, clock: Clock, exclusive: bool
    ) -> None:
        for suffix in ("", "-wal", "-shm"):
            path = tmp_path / f"flowbot.db{suffix}"
            path.touch()
            path.chmod(0o644)
        with structlog.testing.capture_logs() as lines:
            opened = await opening.open_store(url, clock=clock, replica="mine", exclusive=exclusive)
        assert set(modes(tmp_path).values()) == {0o600}
        assert [(line["file"][-10:], line["mode"]) for line in lines] == [
            ("flowbot.db", "0644"),
            ("bot.db-wal", "0644"),
            ("bot.db-shm", "0644"),
        ]
        await opened.close()

    async def test_a_file_of_another_owner_is_used_and_warned_about(
        self, url: str, tmp_path: pathlib.Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "flowbot.db").chmod(0o660)

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(pathlib.Path, "chmod", refuse)
        with structlog.testing.capture_logs() as lines:
            opened = await opening.open_store(url, clock=clock, replica="mine")
        assert [line["event"] for line in lines] == ["others can read the database, and its owner must change that"]
        await opened.close()


def modes(directory: pathlib.Path) -> dict[str, int]:
    """Return the mode of each file."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
