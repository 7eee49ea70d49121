"""Proving to Huawei Cloud who calls: a signature with an access key (SDK-HMAC-SHA256), or the token of an IAM user.

Owns the signature. Must not know of flows, replies or retries: one request in, the same request
with its proof out, no I/O. Where tokens come from is in `tokens`.

Source: the vendor's "API Request Signing Guide", pages "AK/SK Signing and Authentication Algorithm".
"""

import datetime
import hashlib
import hmac
from collections.abc import Callable, Generator, Mapping
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import httpx
from pydantic import SecretStr

from bot.settings.credentials import AccessKey

ALGORITHM: Final = "SDK-HMAC-SHA256"

SIGNED: Final = ("content-type", "host", "x-project-id", "x-sdk-date", "x-security-token")
"""What is signed where it is present. A proxy on the way may change anything else, and would break the signature."""

_UNRESERVED: Final = "~"  # beside letters, digits and "_.-", which quote() leaves alone anyway


class KeySigner(httpx.Auth):
    """Signs each request for one project, anew for each try: the cloud takes a signature for 15 minutes only.

    `now` returns seconds since the epoch (UTC).
    """

    requires_request_body = True

    def __init__(self, credentials: AccessKey, *, project_id: str, now: Callable[[], float]) -> None:
        self._credentials = credentials
        self._project_id = project_id
        self._now = now

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request once, signed over the URL that goes out."""
        held = self._credentials
        request.headers["X-Project-Id"] = self._project_id
        request.headers["X-Sdk-Date"] = timestamp(self._now())
        if held.security_token is not None:
            request.headers["X-Security-Token"] = held.security_token.get_secret_value()
        signed = {name: request.headers[name] for name in SIGNED if name in request.headers}
        canonical = canonical_request(
            method=request.method, target=request.url.raw_path.decode("ascii"), headers=signed, body=request.content
        )
        signature = sign(canonical, date=signed["x-sdk-date"], sk=held.sk.get_secret_value())
        request.headers["Authorization"] = authorization(
            ak=held.ak.get_secret_value(), signed_headers=signed, signature=signature
        )
        yield request


class TokenBearer(httpx.Auth):
    """Shows the token that was given for one project."""

    def __init__(self, token: SecretStr, *, project_id: str) -> None:
        self._token = token
        self._project_id = project_id

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request once, with the token."""
        request.headers["X-Project-Id"] = self._project_id
        request.headers["X-Auth-Token"] = self._token.get_secret_value()
        yield request


def timestamp(seconds: float) -> str:
    """Return seconds since the epoch the way `X-Sdk-Date` has them, `20250102T030405Z`."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y%m%dT%H%M%SZ")


def canonical_request(*, method: str, target: str, headers: Mapping[str, str], body: bytes) -> str:
    """Return the text whose hash is signed.

    `target` is the path and query as they are sent, percent-encoded; `headers` are the ones to sign, and no others.
    """
    path, _, query = target.partition("?")
    lines = sorted((name.lower(), value.strip()) for name, value in headers.items())
    return "\n".join(
        (
            method.upper(),
            _canonical_path(path),
            _canonical_query(query),
            "".join(f"{name}:{value}\n" for name, value in lines),
            ";".join(name for name, _ in lines),
            hashlib.sha256(body).hexdigest(),
        )
    )


def sign(canonical: str, *, date: str, sk: str) -> str:
    """Return the signature, 64 hex digits, of a canonical request; `date` is its `X-Sdk-Date`."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{date}\n{digest}"
    return hmac.new(sk.encode(), text.encode(), hashlib.sha256).hexdigest()


def authorization(*, ak: str, signed_headers: Mapping[str, str], signature: str) -> str:
    """Return the value of the `Authorization` header."""
    names = ";".join(sorted(name.lower() for name in signed_headers))
    return f"{ALGORITHM} Access={ak}, SignedHeaders={names}, Signature={signature}"


def _canonical_path(path: str) -> str:
    # The slash at the end is in the signature only: it is not sent.
    encoded = quote(unquote_to_bytes(path), safe="/" + _UNRESERVED)
    return encoded if encoded.endswith("/") else encoded + "/"


def _canonical_query(query: str) -> str:
    # Sorted as bytes before they are encoded again: "%" sorts below every letter that it may stand for.
    pairs = sorted(
        (unquote_to_bytes(name), unquote_to_bytes(value))
        for name, _, value in (piece.partition("=") for piece in query.split("&") if piece)
    )
    return "&".join(f"{quote(name, safe=_UNRESERVED)}={quote(value, safe=_UNRESERVED)}" for name, value in pairs)
