"""The current credentials of each project, from the files of the settings.

Temporary keys are renewed by replacing a file while the bot runs. Owns when those files are checked and read again.
Must not know their format or the calls.
"""

import contextlib
import pathlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import structlog

from bot.policy.file.problems import SettingsInvalid
from bot.settings import loader
from bot.settings.credentials import Credentials
from bot.settings.log import hide_secrets

_OURS: Final = ("HUAWEICLOUD_", "FLOWBOT_PROJECTS__")

_Looks = tuple[tuple[str, int, int, int, int], ...]

log = structlog.get_logger()


class CredentialSource:
    """Credentials by the project's name; call it for each try.

    Each call checks `.env` and the secrets directory, and reads them again only if a file was replaced. An unusable
    replacement is logged once, and the old credentials stay. Variables of a running process cannot change, so
    credentials given that way need a restart. To replace several files at once, rename a new `.env` over the old one,
    or switch the link that leads to the directory.
    """

    def __init__(self, loaded: loader.Settings) -> None:
        self._settings = loaded
        self._held = _by_project(loaded)
        self._seen: _Looks | None = None  # a file may have changed since it was read, so the first call reads again

    def __call__(self) -> Mapping[str, Credentials]:
        """Return the current credentials; the same object until something has changed."""
        origin = self._settings.origin
        if origin is not None:
            looks = _looks(origin)
            if looks != self._seen:
                self._seen = looks  # taken before reading, so that a change during the read is noticed next time
                self._read()
        return self._held

    def _read(self) -> None:
        try:
            self._settings = loader.renewed(self._settings)
        except SettingsInvalid as invalid:
            log.error(
                "the replaced credentials cannot be used; the old ones stay until a file changes again",
                problems=[str(problem) for problem in invalid.problems],
            )
            return
        held = _by_project(self._settings)
        changed = [name for name in held if held[name] != self._held.get(name)]
        if changed:
            hide_secrets(secret for each in held.values() for secret in each.secrets())
            log.info("credentials were replaced", projects=changed)
            self._held = held


def fixed(held: Mapping[str, Credentials]) -> Callable[[], Mapping[str, Credentials]]:
    """Return a source of credentials that never change."""
    return lambda: held


def _by_project(loaded: loader.Settings) -> Mapping[str, Credentials]:
    return MappingProxyType({name: loaded.credentials_for(name) for name in loaded.policy.projects})


def _looks(origin: loader.Origin) -> _Looks:
    """Return a value that changes when a file that may contain credentials is written or replaced."""
    files = [origin.directory / ".env"]
    with contextlib.suppress(OSError):
        files += sorted(file for file in origin.secrets.iterdir() if file.name.upper().startswith(_OURS))
    return tuple(look for file in files if (look := _look(file)) is not None)


def _look(file: pathlib.Path) -> tuple[str, int, int, int, int] | None:
    try:
        found = file.stat()  # follows links: Kubernetes replaces secrets by switching one
    except OSError:
        return None
    return str(file), found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
