"""The part of IAM that issues tokens, for the stand-in for Live: users, tokens, and the gateway's refusals.

It is as strict as the vendor's page, and must not know the client. Its calls have their own journal and faults, so that
the counts for Live contain only what Live has seen.

Sources: the vendor's IAM API reference, "Obtaining a User Token Through Password Authentication", and API Gateway's
texts for tokens, from issues and questions.
"""

import asyncio
import dataclasses
import datetime
import json
from collections.abc import Callable
from typing import Any, Final

from bot.playground.live import errors as live_errors
from bot.playground.live.errors import Arrived, Refusal, Troubles
from bot.usecases import ports

PATH: Final = b"/v3/auth/tokens"

LIFE: Final = 24 * 3600.0
"""Lifetime of a token in seconds."""

LOCK_AFTER: Final = 5
LOCK_FOR: Final = 15 * 60.0
"""Number of wrong passwords that lock a user, and for how many seconds: the vendor's default policy."""

_TYPES: Final = frozenset(
    f"application/json{charset}" for charset in ("", ";charset=utf8", ";charset=utf-8", ";charset=UTF-8")
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class IamCall:
    """One call in IAM's journal. `status` is None until it is answered, and stays None if it was dropped."""

    at: float
    arrived: Arrived
    status: int | None = None


@dataclasses.dataclass(kw_only=True)
class _User:
    password: str
    wrong: int = 0
    locked_until: float = 0.0


@dataclasses.dataclass(kw_only=True)
class _GivenToken:
    project_id: str
    ends_at: float
    revoked: bool = False


class Iam:
    """Issues tokens for projects to users with the right password. Changing `life` affects later tokens."""

    def __init__(self, *, clock: ports.Clock, changed: Callable[[], None]) -> None:
        self.faults = Troubles()
        self.life = LIFE
        self._clock = clock
        self._changed = changed
        self._users: dict[tuple[str, str], _User] = {}
        self._tokens: dict[str, _GivenToken] = {}
        self._calls: list[IamCall] = []

    @property
    def calls(self) -> tuple[IamCall, ...]:
        """Every call for a token, in order of arrival."""
        return tuple(self._calls)

    @property
    def tokens(self) -> tuple[str, ...]:
        """Every token issued, the newest last."""
        return tuple(self._tokens)

    def add_user(self, name: str, password: str, domain: str) -> None:
        """Add a user, or change a password, which invalidates all tokens."""
        if (domain, name) in self._users:
            self.revoke()
        self._users[domain, name] = _User(password=password)

    def revoke(self) -> None:
        """Invalidate every token issued so far."""
        for token in self._tokens.values():
            token.revoked = True

    def refuse(self, arrived: Arrived) -> Refusal | None:
        """Return why the gateway refuses the token of a call."""
        token = self._tokens.get(arrived.header("x-auth-token") or "")
        if token is None:
            return live_errors.not_authenticated("decrypt token fail")
        if self._clock.now() >= token.ends_at:
            return live_errors.not_authenticated(f"token expires, expires_at: {_written(token.ends_at)}")
        return live_errors.token_must_be_updated() if token.revoked else None

    def projects_of(self, arrived: Arrived) -> set[str | None]:
        """Return the projects of a call: its token's, and the one in its header if there is one."""
        named = {value for key, value in arrived.headers if key == "x-project-id"}
        return {self._tokens[arrived.header("x-auth-token") or ""].project_id, *named}

    async def answer(self, arrived: Arrived) -> tuple[Refusal, dict[str, str]] | None:
        """Return the answer, 201 or not, with the request id header; None if the connection is dropped."""
        number = len(self._calls)
        self._calls.append(IamCall(at=self._clock.now(), arrived=arrived))
        self._changed()
        trouble = self.faults.take(arrived.method, arrived.path.decode("ascii"))
        if isinstance(trouble.hold, asyncio.Event):
            await trouble.hold.wait()
        elif trouble.hold is not None:
            await self._clock.sleep(trouble.hold)
        if trouble.drop:
            return None
        outcome = trouble.reply or self._judge(arrived)
        self._calls[number] = dataclasses.replace(self._calls[number], status=outcome.status)
        self._changed()
        return outcome, {"X-IAM-Trace-Id": f"iam-{number + 1:06d}"}

    def _judge(self, arrived: Arrived) -> Refusal:
        if arrived.method != "POST":
            return live_errors.from_iam(405, "The method is not allowed for the requested URL.", "Method Not Allowed")
        if (arrived.header("content-type") or "").replace(" ", "") not in _TYPES:
            return _bad("Expecting to find application/json in Content-Type header.")
        if arrived.query != b"nocatalog=true":
            return _bad("The stand-in has no catalog: ask with nocatalog=true alone.")
        asked = _asked(arrived.body)
        if asked is None:
            return _bad("Request body is invalid.")
        name, password, domain, project_id = asked
        return self._refused(domain, name, password) or self._given(name, domain, project_id)

    def _refused(self, domain: str, name: str, password: str) -> Refusal | None:
        user, now = self._users.get((domain, name)), self._clock.now()
        if user is not None and now < user.locked_until:
            return live_errors.from_iam(401, "The account is locked.", "Unauthorized")
        if user is not None and user.password == password:
            user.wrong = 0
            return None
        if user is not None:
            user.wrong += 1
            if user.wrong >= LOCK_AFTER:
                user.wrong, user.locked_until = 0, now + LOCK_FOR
        return live_errors.from_iam(401, "The username or password is wrong.", "Unauthorized")

    def _given(self, name: str, domain: str, project_id: str) -> Refusal:
        now = self._clock.now()
        # Real ones are thousands of characters of base64 in which "-" replaces "/".
        value = f"MIITOKENEXAMPLE-{len(self._tokens) + 1:04d}+" + "Zz09-+" * 200 + "=="
        self._tokens[value] = _GivenToken(project_id=project_id, ends_at=now + self.life)
        token = {
            "methods": ["password"],
            "expires_at": _written(now + self.life),
            "issued_at": _written(now),
            "project": {"id": project_id, "domain": {"name": domain}},
            "user": {"name": name, "domain": {"name": domain}},
        }
        return Refusal(status=201, body={"token": token}, headers={"X-Subject-Token": value})


def shows_token(arrived: Arrived) -> bool:
    """Tell whether a call has a token and no signature; with a signature, the signature is checked."""
    return arrived.header("x-auth-token") is not None and arrived.header("authorization") is None


def _asked(body: bytes) -> tuple[str, str, str, str] | None:
    """Return user, password, domain and project id if the body is exactly as documented."""
    try:
        value: Any = json.loads(body)
        user = value["auth"]["identity"]["password"]["user"]
        found = user["name"], user["password"], user["domain"]["name"], value["auth"]["scope"]["project"]["id"]
    except (ValueError, KeyError, TypeError):
        return None
    if not all(isinstance(text, str) and text for text in found):
        return None
    name, password, domain, project_id = found
    named = {"name": name, "password": password, "domain": {"name": domain}}
    identity = {"methods": ["password"], "password": {"user": named}}
    documented = {"auth": {"identity": identity, "scope": {"project": {"id": project_id}}}}
    return (name, password, domain, project_id) if value == documented else None


def _bad(message: str) -> Refusal:
    return live_errors.from_iam(400, message, "Bad Request")


def _written(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
