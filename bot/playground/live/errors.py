"""Failures of the stand-in for Live: the gateway that checks signatures, every error body, and faults on demand.

Verifies signatures by its own implementation of the vendor's rules, as a second opinion: it must not import the client.
Knows no flows.

Sources: the vendor's "API Request Signing Guide", the "Error Codes" pages of Live and of API Gateway, and bodies quoted
in issues.
"""

import asyncio
import calendar
import collections
import dataclasses
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from typing import Final, Literal

from bot.usecases.rate_limit import SlidingWindow

WINDOW: Final = 15 * 60.0
"""Maximum difference in seconds between `X-Sdk-Date` and the stand-in's clock."""

LOCK_AFTER: Final = 5
LOCK_FOR: Final = 5 * 60.0

Shape = Literal["live", "gateway", "html", "empty"]

_AUTHORIZATION: Final = re.compile(
    r"SDK-HMAC-SHA256 Access=([^,\s]+), SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)
_DATE: Final = re.compile(r"\d{8}T\d{6}Z")
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refusal:
    """An error reply. `body` is JSON, or a string that is sent as HTML."""

    status: int
    body: Mapping[str, object] | str
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arrived:
    """A request as received: `path` and `query` are still encoded, header names are in lower case."""

    method: str
    path: bytes
    query: bytes
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header that was sent exactly once."""
        values = [value for key, value in self.headers if key == name]
        return values[0] if len(values) == 1 else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Authorization:
    """The caller, as far as the Authorization header could be parsed."""

    ak: str
    signed_headers: tuple[str, ...]
    signature: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Key:
    """An access key that the stand-in knows; a temporary one has a `security_token`.

    `projects` contains the ids of its projects; None means all of the account.
    """

    sk: str
    security_token: str | None = None
    projects: frozenset[str] | None = None


class Gateway:
    """Accepts calls with a valid signature, up to a limit. `now` returns seconds since the epoch (UTC)."""

    def __init__(self, *, now: Callable[[], float], limit_per_minute: int | None = None) -> None:
        self._limit_per_minute = limit_per_minute
        self._let_in = SlidingWindow(60.0)
        self.keys: dict[str, Key] = {}
        self._now = now
        self._failures: collections.Counter[str] = collections.Counter()
        self._locked_until: dict[str, float] = {}

    def refuse(self, arrived: Arrived) -> Refusal | None:
        """Return the refusal of an unauthenticated request; count failures, and lock a key after five in a row."""
        identity = identify(arrived)
        if identity is None:
            return not_authenticated("x-auth-token not found")
        if self._now() < self._locked_until.get(identity.ak, 0.0):
            return not_authenticated("AK access failed to reach the limit,forbidden")
        tail = self._objection(arrived, identity)
        if tail is None:
            del self._failures[identity.ak]
            return self.throttle()
        self._failures[identity.ak] += 1
        if self._failures[identity.ak] >= LOCK_AFTER:
            del self._failures[identity.ak]
            self._locked_until[identity.ak] = self._now() + LOCK_FOR
        return not_authenticated(tail)

    def is_for(self, arrived: Arrived, project_id: str) -> bool:
        """Tell whether the key of an accepted call is for a project."""
        identity = identify(arrived)
        key = None if identity is None else self.keys.get(identity.ak)
        return key is not None and (key.projects is None or project_id in key.projects)

    def throttle(self) -> Refusal | None:
        """Return the refusal of an accepted call if there were too many in the last minute."""
        if self._limit_per_minute is None:
            return None
        if self._let_in.wait(self._limit_per_minute, now=self._now()):
            return throttled(self._limit_per_minute)
        self._let_in.add(self._now())
        return None

    def _objection(self, arrived: Arrived, identity: Authorization) -> str | None:
        key = self.keys.get(identity.ak)
        if key is None:
            return f"Get secretKey failed,ak:{identity.ak},err:ak not exist"
        date = arrived.header("x-sdk-date")
        if date is None or not _DATE.fullmatch(date):
            return "calc aksk signature fail:x-sdk-date is missing or malformed"
        signed_at = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
        if abs(self._now() - signed_at) > WINDOW:
            server = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now()))
            return f"calc aksk signature fail:signature expired, signature time:{date}, server time:{server}"
        return _signature_objection(arrived, identity, key, date)


def _signature_objection(arrived: Arrived, identity: Authorization, key: Key, date: str) -> str | None:
    needed = {"host", "x-sdk-date"} | ({"x-security-token"} if key.security_token else set())
    canonical = rebuild(arrived, identity.signed_headers)
    if canonical is None or not needed <= set(identity.signed_headers):
        return "verify aksk signature fail, signed headers are missing"
    text = "\n".join(("SDK-HMAC-SHA256", date, hashlib.sha256(canonical.encode()).hexdigest()))
    expected = hmac.digest(key.sk.encode(), text.encode(), "sha256").hex()
    if not hmac.compare_digest(expected, identity.signature):
        return "verify aksk signature fail, canonicalRequest:" + canonical.replace("\n", "|")
    return None if arrived.header("x-security-token") == key.security_token else "decrypt token fail"


def identify(arrived: Arrived) -> Authorization | None:
    """Parse the Authorization header; its list of signed headers must be sorted and without duplicates."""
    found = _AUTHORIZATION.fullmatch(arrived.header("authorization") or "")
    if found is None:
        return None
    names = tuple(found[2].split(";"))
    if list(names) != sorted(set(names)):
        return None
    return Authorization(ak=found[1], signed_headers=names, signature=found[3])


def rebuild(arrived: Arrived, signed_headers: tuple[str, ...]) -> str | None:
    """Rebuild the canonical request from what was received; None unless each signed header was sent exactly once."""
    lines = [(name, arrived.header(name)) for name in signed_headers]
    if any(value is None for _, value in lines):
        return None
    path = "/".join(_encode(_decode(segment)) for segment in arrived.path.split(b"/"))
    pairs = [piece.split(b"=", 1) for piece in arrived.query.split(b"&") if piece]
    # Parse the query as a form: "+" is a space, which exposes URLs made by httpx's `params`.
    query = sorted([_decode(part.replace(b"+", b" ")) for part in (*pair, b"")[:2]] for pair in pairs)
    return (
        f"{arrived.method}\n{path.removesuffix('/')}/\n"
        + "&".join("=".join(map(_encode, pair)) for pair in query)
        + "\n"
        + "".join(f"{name}:{(value or '').strip()}\n" for name, value in lines)
        + f"\n{';'.join(signed_headers)}\n{hashlib.sha256(arrived.body).hexdigest()}"
    )


def _decode(text: bytes) -> bytes:
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes.fromhex(found[1].decode()), text)


def _encode(raw: bytes) -> str:
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in raw)


def from_service(status: int, code: str, message: str) -> Refusal:
    """Return an error in Live's format: two fields."""
    return Refusal(status=status, body={"error_code": code, "error_msg": message})


def from_gateway(status: int, code: str, message: str) -> Refusal:
    """Return an error in the gateway's format; the stand-in adds the request id."""
    return Refusal(status=status, body={"error_code": code, "error_msg": message, "request_id": ""})


def not_authenticated(tail: str) -> Refusal:
    """Return the gateway's 401, with the detail that says why."""
    return from_gateway(401, "APIGW.0301", f"Incorrect IAM authentication information: {tail}")


def token_must_be_updated() -> Refusal:
    """Return the gateway's 401 for a token that a change of the user has invalidated."""
    return from_gateway(401, "APIGW.0307", "The token must be updated.")


def from_iam(status: int, message: str, title: str) -> Refusal:
    """Return an error in IAM's format: nested, with a number as code."""
    return Refusal(status=status, body={"error": {"code": status, "message": message, "title": title}})


def no_such_api() -> Refusal:
    """Return the 404 for a path that is not an API."""
    return from_gateway(404, "APIGW.0101", "The API does not exist or has not been published in the environment")


def wrong_method() -> Refusal:
    """Return Live's 400 for a path that exists with other methods."""
    return from_service(400, "LIVE.100011011", "The method specified in the request is not supported.")


def wrong_project() -> Refusal:
    """Return the 401 for an X-Project-Id that is not the path's project."""
    return from_service(401, "LIVE.100011015", "Project ID verification failed.")


def invalid(why: str) -> Refusal:
    """Return the generic 400: only its message says what is wrong."""
    return from_service(400, "LIVE.100011001", why)


def no_such_flow(variant: str) -> Refusal:
    """Return one of three possible answers for an unknown flow: `404`, `400` or `generic`."""
    if variant == "generic":
        return invalid("Invalid request parameter. flow does not exist")
    return from_service(int(variant), "LIVE.103011019", "The resource does not exist.")


def denied(action: str, status: int) -> Refusal:
    """Return the refusal of an IAM action: 401 in Live's words, or 403 in those of an identity policy."""
    if status == 401:
        return from_service(401, "LIVE.100011003", "You do not have permission to access the API.")
    message = (
        f"User: flowbot is not authorized to perform action {action} on resource * "
        f"because no identity-based policy allows the {action} action."
    )
    body = {"error_code": "PAP5.0001", "error_msg": message, "encoded_authorization_message": "not-for-anyone"}
    return Refusal(status=403, body=body)


def throttled(limit: int = 80, window: str = "1 minute") -> Refusal:
    """Return the gateway's 429."""
    text = f"The throttling threshold has been reached: policy user over ratelimit,limit:{limit},time:{window}"
    return from_gateway(429, "APIGW.0308", text)


def failing(status: int, shape: Shape) -> Refusal:
    """Return a 5xx in one of its shapes: `live` and `gateway` are JSON, `html` is a proxy's, `empty` has no body."""
    if shape == "live":
        return from_service(status, "LIVE.100011005", "Internal server error.")
    if shape == "gateway":
        return from_gateway(status, "APIGW.0201", "Backend timeout." if status == 504 else "Backend unavailable.")
    page = f"<html><head><title>{status} Bad</title></head><body><center>nginx</center></body></html>"
    return Refusal(status=status, body=page if shape == "html" else "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trouble:
    """What goes wrong with an accepted call. Without `effect` nothing is stopped or started.

    `hold` is seconds of the stand-in's clock, or an event, to wait for first. `reply` replaces the real one; `status`
    is the status word of a 200; `drop` closes the connection without a reply.
    """

    hold: float | asyncio.Event | None = None
    effect: bool = False
    reply: Refusal | None = None
    status: str | None = None
    drop: bool = False


@dataclasses.dataclass(kw_only=True)
class _Switched:
    trouble: Trouble
    method: str | None
    path: str | None
    times: int | None

    def meets(self, method: str, path: str) -> bool:
        return self.method in (None, method) and self.path in (None, path)


class Troubles:
    """Troubles for the next calls, in the order in which they were added; a call gets at most one.

    Each applies to `times` calls (None: until `clear`) with its `method` and `path` (after `/v1/{project_id}`).
    """

    def __init__(self) -> None:
        self._switched: list[_Switched] = []

    def add(
        self, trouble: Trouble, *, times: int | None = 1, method: str | None = None, path: str | None = None
    ) -> None:
        """Add a trouble."""
        self._switched.append(_Switched(trouble=trouble, method=method, path=path, times=times))

    def clear(self) -> None:
        """Remove all troubles."""
        self._switched.clear()

    def take(self, method: str, path: str) -> Trouble:
        """Return the trouble for this call, and count it."""
        for switched in self._switched:
            if switched.meets(method, path):
                if switched.times is not None:
                    switched.times -= 1
                    if switched.times <= 0:
                        self._switched.remove(switched)
                return switched.trouble
        return Trouble(effect=True)
