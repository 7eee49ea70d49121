"""A `ports.Cloud` in front of the real one that does not use a key the cloud has locked, or is about to lock.

Five failed tries in a row lock an access key for five minutes (Huawei Cloud, API Gateway's FAQ on signing). The lock is
kept in the store, so that replicas share it.
"""

import dataclasses
import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from bot.commands.verbs import Verb
from bot.lifecycle import call_outcome
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.lifecycle.records import Flow
from bot.policy import model
from bot.usecases import errors, ports

BAD_TRIES: Final = 5

LOCKED_FOR: Final = 300.0

SAYS_LOCKED: Final = "reach the limit"
"""Part of the gateway's message once the key is locked."""

REFRESH: Final = 5.0
"""Seconds for which the store's answer about a key is cached."""

Success = TypeVar("Success")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Remembered:
    standing: ports.KeyStanding
    at: float


class LockedCloud:
    """Passes calls on, unless the key that they would use is locked."""

    def __init__(
        self, *, cloud: ports.Cloud, keys: Callable[[model.Project], str], store: ports.KeyStore, clock: ports.Clock
    ) -> None:
        self._cloud = cloud
        self._keys = keys
        self._store = store
        self._clock = clock
        self._known: dict[str, _Remembered] = {}

    async def flow(
        self, project: model.Project, flow_id: str, *, purpose: ports.Purpose = "stop"
    ) -> Flow | CloudFailure:
        """Read one flow."""
        return await self._unless_locked(project, lambda: self._cloud.flow(project, flow_id, purpose=purpose))

    async def flows(
        self, project: model.Project, *, purpose: ports.Purpose = "stop"
    ) -> tuple[ports.FlowName, ...] | CloudFailure:
        """Read the names of all flows of the project."""
        return await self._unless_locked(project, lambda: self._cloud.flows(project, purpose=purpose))

    async def change(self, project: model.Project, flow_id: str, verb: Verb) -> call_outcome.Accepted | CloudFailure:
        """Call once what a changing verb does to a flow."""
        return await self._unless_locked(project, lambda: self._cloud.change(project, flow_id, verb))

    async def _unless_locked(
        self, project: model.Project, call: Callable[[], Awaitable[Success | CloudFailure]]
    ) -> Success | CloudFailure:
        key = self._keys(project)
        standing = await self._standing(key)
        left = standing.locked_until - self._clock.now()
        if left > 0:
            return CloudFailure(fault=Fault.CREDENTIALS, message=_message(standing.locked_until), retry_after=left)
        reply = await call()
        bad = isinstance(reply, CloudFailure) and reply.fault is Fault.CREDENTIALS and reply.http_status == 401
        if bad or standing.bad_tries:
            await self._note(key, reply.message if isinstance(reply, CloudFailure) and bad else None)
        return reply

    async def _standing(self, key: str) -> ports.KeyStanding:
        known = self._known.get(key)
        if known is None or self._clock.now() - known.at > REFRESH:
            known = self._remember(key, await self._store.key_standing(key))
        return known.standing

    async def _note(self, key: str, message: str | None) -> None:
        """Count a failed try (`message`), or reset the count; a success that began before the lock does not end it.

        The cloud saying that the key is locked overrides the count. Without a database, this replica counts alone.
        """
        says_locked = message is not None and SAYS_LOCKED in message
        until = self._clock.now() + LOCKED_FOR
        try:
            if message is None:
                standing = await self._store.good_try(key)
            else:
                standing = await self._store.bad_try(key, most=BAD_TRIES, says_locked=says_locked, locked_until=until)
        except errors.StoreError:
            before = self._known[key].standing
            bad_tries = 0 if message is None else before.bad_tries + 1
            locked = says_locked or bad_tries >= BAD_TRIES
            locked_until = until if locked else before.locked_until
            standing = ports.KeyStanding(bad_tries=0 if locked else bad_tries, locked_until=locked_until)
        self._remember(key, standing)

    def _remember(self, key: str, standing: ports.KeyStanding) -> _Remembered:
        remembered = self._known[key] = _Remembered(standing=standing, at=self._clock.now())
        return remembered


def _message(until: float) -> str:
    return f"the cloud has locked flowbot's key after failed tries; it will be used again at {_utc(until)}"


def _utc(at: float) -> str:
    minutes = math.ceil(at / 60)
    return f"{minutes // 60 % 24:02}:{minutes % 60:02} UTC"
