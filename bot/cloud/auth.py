"""Authentication to Huawei Cloud: a signature by access key (SDK-HMAC-SHA256), or an IAM user's token.

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
"""Headers that are signed if present. A proxy may change any other header, which would break the signature."""

_UNRESERVED: Final = "~"  # besides letters, digits and "_.-", which quote() never encodes


class KeySigner(httpx.Auth):
    """Signs each request for one project, again for each try: the cloud accepts a signature for 15 minutes only.

    `now` returns seconds since the epoch (UTC).
    """

    requires_request_body = True

    def __init__(self, credentials: AccessKey, *, project_id: str, now: Callable[[], float]) -> None:
        self._credentials = credentials
        self._project_id = project_id
        self._now = now

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the URL as it will be sent, and send the request once."""
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
    """Adds a token to each request for one project."""

    def __init__(self, token: SecretStr, *, project_id: str) -> None:
        self._token = token
        self._project_id = project_id

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request once, with the token."""
        request.headers["X-Project-Id"] = self._project_id
        request.headers["X-Auth-Token"] = self._token.get_secret_value()
        yield request


def timestamp(seconds: float) -> str:
    """Return seconds since the epoch in the format of `X-Sdk-Date`, `20250102T030405Z`."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y%m%dT%H%M%SZ")


def canonical_request(*, method: str, target: str, headers: Mapping[str, str], body: bytes) -> str:
    """Return the text whose hash is signed.

    `target` is the path and query as sent, percent-encoded; `headers` are the headers to sign and no others.
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
    # The final slash is in the signature only; it is not sent.
    encoded = quote(unquote_to_bytes(path), safe="/" + _UNRESERVED)
    return encoded if encoded.endswith("/") else encoded + "/"


def _canonical_query(query: str) -> str:
    # Sort as bytes before encoding: "%" sorts before every character that it may replace.
    pairs = sorted(
        (unquote_to_bytes(name), unquote_to_bytes(value))
        for name, _, value in (piece.partition("=") for piece in query.split("&") if piece)
    )
    return "&".join(f"{quote(name, safe=_UNRESERVED)}={quote(value, safe=_UNRESERVED)}" for name, value in pairs)
