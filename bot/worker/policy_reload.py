"""The current policy: loaded at the start, and reloaded when its file changes.

It owns when the file is checked, and what may change while the bot runs. If the new file cannot be used, the old policy
stays, and an error is logged. It must not know what the policy decides.
"""

import asyncio
from typing import Final

import structlog

from bot.policy.file import loader as policy_file
from bot.policy.model import Policy, Project
from bot.settings.loader import Settings

PROJECTS: Final = "has other projects than at the start; restart the bot, since it needs their keys"

MOVED: Final = "changes the project_id, region or endpoint of projects; restart the bot when they have no open requests"

log = structlog.get_logger()

_Look = tuple[int, int, int, int]


class ReloadedPolicy:
    """Call it for the current policy; `look` reloads a file that was changed or replaced."""

    def __init__(self, settings: Settings) -> None:
        self._policy = settings.policy
        self._name = str(settings.config)
        self._path = None if settings.origin is None else settings.origin.directory / settings.config
        self._seen: _Look | None = None  # the first look reads again, since the file may have changed
        self._turn = asyncio.Lock()  # a concurrent look must wait for the result
        log.info("policy in force", file=self._name, digest=self._policy.digest)

    def __call__(self) -> Policy:
        """Return the current policy."""
        return self._policy

    async def look(self) -> None:
        """Reload the file if it has changed since the last look; parsing does not block the event loop."""
        async with self._turn:
            await self._look()

    async def _look(self) -> None:
        if self._path is None:
            return
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
            if seen == self._seen:
                return
            self._seen = seen  # taken before reading: a change while reading is found next time
            data = self._path.read_bytes()
        except OSError as error:
            if self._seen is not None:
                self._stays([f"{self._name} cannot be read: {error.strerror}"])
            self._seen = None
            return
        self._take(await asyncio.to_thread(policy_file.load, data, name=self._name))

    def _take(self, loaded: policy_file.Loaded) -> None:
        if loaded.policy is None:
            self._stays(list(map(str, loaded.problems)))
        elif loaded.policy.projects.keys() != self._policy.projects.keys():
            self._stays([f"{self._name} {PROJECTS}"])
        elif moved := [name for name, at in loaded.policy.projects.items() if _address(at) != self._address_of(name)]:
            self._stays([f"{self._name} {MOVED}: {', '.join(moved)}"])
        elif loaded.policy.digest != self._policy.digest:
            defects = list(map(str, loaded.defects))
            log.info("policy reloaded", file=self._name, digest=loaded.policy.digest, defects=defects)
            self._policy = loaded.policy

    def _address_of(self, name: str) -> tuple[str, str, str]:
        return _address(self._policy.projects[name])

    def _stays(self, problems: list[str]) -> None:
        log.error(
            "the changed policy cannot be used; the old one stays in force until the file changes again",
            problems=problems,
            digest=self._policy.digest,
        )


def _address(project: Project) -> tuple[str, str, str]:
    """Return where the calls of a project go: calls of open requests must not go elsewhere."""
    return project.project_id, project.region, project.endpoint
