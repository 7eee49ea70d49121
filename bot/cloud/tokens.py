"""Tokens of IAM users, one per project: fetched on demand, cached, and renewed before they expire.

Owns IAM's endpoint for tokens and the meaning of its refusals. Must not know Live. If anything fails here, the call
that needed the token was never sent. Tokens and passwords are secrets.

Source: the vendor's IAM API reference, page "Obtaining a User Token Through Password Authentication".
"""

import asyncio
import collections
import dataclasses
import datetime
import json
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import httpx
from pydantic import SecretStr

from bot.cloud import bodies, wire
from bot.cloud.pools import Pools
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.policy.model import Project
from bot.settings import log
from bot.settings.credentials import IamUser

RENEW_BEFORE: Final = 600.0
"""Seconds before its expiry in which a token is still used, while a new one is fetched in the background."""

RENEW_AFTER: Final = 23 * 3600.0
"""Seconds after which a token is renewed, whatever its expiry says."""

UNDATED: Final = 60.0
"""Seconds for which a token is used that has no expiry, or one already past by our clock."""

SPARED: Final = 300.0
"""Seconds for which a refused password is not tried again: a few wrong tries lock the user."""

_USABLE: Final = re.compile(r"[\x21-\x7e]+")

_MEANINGS: Final[Mapping[Fault, Fault]] = {
    # The call to Live was not sent, so nothing is uncertain; whatever IAM does not find or accept concerns the user.
    Fault.UNCERTAIN: Fault.NEVER_SENT,
    Fault.NOT_FOUND: Fault.CREDENTIALS,
    Fault.REJECTED: Fault.CREDENTIALS,
}


class _Scope(NamedTuple):
    """Whose token it is, who issues it, and what for."""

    user: IamUser
    endpoint: str
    project_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Token:
    scope: _Scope
    value: SecretStr
    renew_at: float
    ends_at: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class _RefusedUser:
    failure: CloudFailure
    until: float


class Tokens:
    """The tokens of all projects. Failures are returned as values.

    `now` returns seconds since the epoch (UTC); `timeout` is how many seconds IAM may take.
    """

    def __init__(self, pools: Pools, *, now: Callable[[], float], timeout: float) -> None:
        self._pools = pools
        self._now = now
        self._timeout = timeout
        self._held: dict[str, _Token] = {}
        self._former: dict[str, _Token] = {}
        self._fetches: dict[_Scope, asyncio.Task[SecretStr | CloudFailure]] = {}
        self._turns: collections.defaultdict[tuple[IamUser, str], asyncio.Lock]
        self._turns = collections.defaultdict(asyncio.Lock)
        self._refused: dict[IamUser, _RefusedUser] = {}

    def secrets(self) -> tuple[str, ...]:
        """Return every token that a reply may still echo."""
        known = (*self._held.values(), *self._former.values())
        return tuple(token.value.get_secret_value() for token in known)

    async def token(self, project: Project, user: IamUser, *, deadline: float) -> SecretStr | CloudFailure:
        """Return a token for the project, or the failure; `deadline` is by the event loop's clock."""
        scope = _scope(project, user)
        held = self._held.get(project.name)
        if held is None or held.scope != scope or self._now() >= held.ends_at:
            return await self._awaited(project.name, scope, deadline)
        if self._now() >= held.renew_at:
            self._fetch(project.name, scope)
        return held.value

    async def another(
        self, project: Project, user: IamUser, *, refused: SecretStr, deadline: float
    ) -> SecretStr | CloudFailure:
        """Return a replacement for a refused token: one fetched since, or a new one."""
        held = self._held.get(project.name)
        if held is not None and held.value == refused:
            self._former[project.name] = self._held.pop(project.name)
        return await self.token(project, user, deadline=deadline)

    async def _awaited(self, name: str, scope: _Scope, deadline: float) -> SecretStr | CloudFailure:
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(self._fetch(name, scope))  # others may be waiting for it, too
        except TimeoutError:
            return self._late()

    def _fetch(self, name: str, scope: _Scope) -> asyncio.Task[SecretStr | CloudFailure]:
        """Return the fetch in progress, shared by all who need this token; start one if there is none."""
        fetching = self._fetches.get(scope)
        if fetching is None:
            fetching = self._fetches[scope] = asyncio.create_task(self._fetched(name, scope))
            fetching.add_done_callback(lambda _: self._fetches.pop(scope))
        return fetching

    async def _fetched(self, name: str, scope: _Scope) -> SecretStr | CloudFailure:
        # One at a time per password: if it is wrong, each project's try would count towards the lock.
        async with self._turns[scope.user, scope.endpoint]:
            refusal = self._refused.get(scope.user)
            if refusal is not None and self._now() < refusal.until:
                return self._from_memory(refusal)
            self._refused.pop(scope.user, None)
            outcome = await self._ask(scope)
            if isinstance(outcome, _Token):
                self._keep(name, outcome)
                return outcome.value
            if outcome.http_status == 401:
                self._refused[scope.user] = _RefusedUser(failure=outcome, until=self._now() + SPARED)
            return outcome

    def _keep(self, name: str, token: _Token) -> None:
        log.hide_secrets((token.value.get_secret_value(),))
        if name in self._held:
            self._former[name] = self._held[name]
        self._held[name] = token

    async def _ask(self, scope: _Scope) -> _Token | CloudFailure:
        secrets = (*scope.user.secrets(), *self.secrets())
        client = self._pools.of(scope.endpoint, scope.project_id)
        request = client.build_request(
            "POST",
            f"{scope.endpoint}/v3/auth/tokens?nocatalog=true",
            headers={"Content-Type": "application/json;charset=utf8"},
            content=json.dumps(_question(scope)).encode(),
            timeout=wire.phases(self._timeout),
        )
        try:
            async with asyncio.timeout(self._timeout):
                reply = await wire.exchange(client, request)
        except TimeoutError:
            return self._late()
        except httpx.HTTPError as error:
            return _said(wire.lost(Fault.NEVER_SENT, error, secrets=secrets))
        if not reply.succeeded:
            failure = bodies.failure(reply.http_status, reply.headers, reply.body, secrets=secrets)
            return _said(dataclasses.replace(failure, fault=_MEANINGS.get(failure.fault, failure.fault)))
        return self._read(scope, reply)

    def _read(self, scope: _Scope, reply: wire.HttpReply) -> _Token | CloudFailure:
        value = reply.headers.get("x-subject-token", "")
        if not _USABLE.fullmatch(value):
            found = bodies.request_id(reply.headers, secrets=scope.user.secrets())
            return _said(CloudFailure(fault=Fault.NEVER_SENT, http_status=reply.http_status, request_id=found))
        now = self._now()
        told = _ends_at(reply.fields())
        ends_at = told if told is not None and told > now else now + UNDATED
        renew_at = min(ends_at - min(RENEW_BEFORE, (ends_at - now) / 2), now + RENEW_AFTER)
        return _Token(scope=scope, value=SecretStr(value), renew_at=renew_at, ends_at=ends_at)

    def _late(self) -> CloudFailure:
        return _said(CloudFailure(fault=Fault.NEVER_SENT, message=f"no answer within {self._timeout:g} seconds"))

    def _from_memory(self, refusal: _RefusedUser) -> CloudFailure:
        """Return a cached refusal. It has no HTTP status: IAM was not asked, so it is not another wrong try."""
        left = refusal.until - self._now()
        message = f"{refusal.failure.message} (not tried again yet: wrong tries lock the user)"
        return dataclasses.replace(refusal.failure, http_status=None, message=message, retry_after=left)


def _scope(project: Project, user: IamUser) -> _Scope:
    endpoint = user.endpoint or f"https://iam.{project.region}.myhuaweicloud.com"
    return _Scope(user=user, endpoint=endpoint, project_id=project.project_id)


def _question(scope: _Scope) -> Mapping[str, object]:
    user = scope.user
    named = {"name": user.name, "password": user.password.get_secret_value(), "domain": {"name": user.domain}}
    identity = {"methods": ["password"], "password": {"user": named}}
    return {"auth": {"identity": identity, "scope": {"project": {"id": scope.project_id}}}}


def _ends_at(fields: Mapping[str, object]) -> float | None:
    token = fields.get("token")
    text = token.get("expires_at") if isinstance(token, dict) else None
    try:
        found = datetime.datetime.fromisoformat(text) if isinstance(text, str) else None
        return None if found is None else found.replace(tzinfo=found.tzinfo or datetime.UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _said(failure: CloudFailure) -> CloudFailure:
    """Name IAM in the message: an operator would look for the fault in Live."""
    return dataclasses.replace(failure, message=": ".join(filter(None, ("IAM gave no token", failure.message))))
