"""Parse the cloud's replies: translate refusals into `CloudFailure`, and make text safe to show.

Pure. Owns the formats of error bodies and the meaning of their codes. Must not know how a reply was fetched.

Sources: the vendor's Live API reference, page "Error Codes"; API Gateway user guide, the same; IAM API reference, page
"Status Codes"; and bodies quoted in issues of the vendor's SDKs and Terraform provider.
"""

import email.utils
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote

from bot.lifecycle.cloud_failure import CloudFailure, Fault

REDACTED: Final = "[redacted]"
WITHHELD: Final = "(the reply holds settings of the flow and is not quoted)"
MESSAGE_LIMIT: Final = 500
"""Approximate maximum length of the cloud's message."""

_CODES: Final = ("error_code", "errorCode", "code", "result_code")
_MESSAGES: Final = ("error_msg", "errorMsg", "errorMessage", "error_message", "message", "result_msg")
_REQUEST_IDS: Final = ("request_id", "requestId")
_NAME_LIMIT: Final = 200

_DENIED: Final = frozenset({"LIVE.100011003", "PAP5.0001"})  # both come as a 401, too
_THROTTLED: Final = frozenset({"LIVE.100011007", "APIGW.0308", "APIG.0308"})  # the first comes as a 500
_INVALID: Final = "LIVE.100011001"  # generic: only its message says what is wrong
_NO_RESOURCE: Final = "LIVE.103011019"  # a 404 in the vendor's table, a 400 in practice
_INVALID_CONTENT: Final = "LIVE.103011016"  # a 403 about the request, not about rights
_DATABASE: Final = "LIVE.103011021"  # a server error that comes as a 400

_TOKEN_REFUSED: Final = frozenset({"APIGW.0307", "APIG.0307"})
_NO_ENTRY: Final = frozenset({"APIGW.0301", "APIG.0301"})  # for signatures and tokens alike: the message tells which
_STALE: Final = re.compile(r"\btoken expires\b|\bdecrypt token fail", re.IGNORECASE)

_NO_FLOW: Final = re.compile(r"\bflow\b.*\bnot (?:exist|found)\b", re.IGNORECASE)
_WINDOW: Final = re.compile(r"limit:\d{1,9},time:(\d{1,9}) (second|minute|hour|day)", re.IGNORECASE)
_UNITS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_TAG: Final = re.compile(r"<[^<>]*>")
_TOKEN: Final = re.compile(r"(x-(?:security|auth|subject)-token\s*[:=]\s*)[^|\s,;\"'\[]+", re.IGNORECASE)
_SIGNATURE: Final = re.compile(r"(signature=)[0-9a-f]+", re.IGNORECASE)
_SETTINGS: Final = re.compile(r"passphrase", re.IGNORECASE)


def failure(http_status: int, headers: Mapping[str, str], body: bytes, *, secrets: Iterable[str]) -> CloudFailure:
    """Translate a reply that is not a success.

    `headers` are looked up in lower case. Every value in `secrets` is cut out of the cloud's words.
    """
    hidden = tuple(secrets)
    text = body.decode("utf-8-sig", "replace")
    fields = tuple(_objects(_parsed(text)))
    code = shown(_first(fields, _CODES), secrets=hidden, limit=_NAME_LIMIT) or None
    said = _first(fields, _MESSAGES) if fields else _TAG.sub(" ", text)
    message = shown(said, secrets=hidden)
    fault = classify(http_status, code=code, message=message)
    return CloudFailure(
        fault=fault,
        http_status=http_status,
        code=code,
        message=message,
        request_id=_request_id(headers, fields, hidden),
        retry_after=_retry_after(headers, said if fault is Fault.THROTTLED else ""),
        must_wait=_retry_after(headers, "") is not None,
    )


def unreadable(http_status: int, headers: Mapping[str, str], body: bytes, *, secrets: Iterable[str]) -> CloudFailure:
    """Return the failure for a success with an unusable body: its outcome is uncertain. The body is the message."""
    hidden = tuple(secrets)
    text = body.decode("utf-8-sig", "replace")
    return CloudFailure(
        fault=Fault.UNCERTAIN,
        http_status=http_status,
        message=shown(_TAG.sub(" ", text), secrets=hidden),
        request_id=_request_id(headers, tuple(_objects(_parsed(text))), hidden),
    )


def request_id(headers: Mapping[str, str], *, secrets: Iterable[str]) -> str | None:
    """Return the cloud's request id, which its support asks for."""
    return _request_id(headers, (), tuple(secrets))


def classify(http_status: int, *, code: str | None, message: str) -> Fault:
    """Classify a refusal by what may be done next; status and code overlap, so the order matters."""
    if http_status == 429 or code in _THROTTLED:
        return Fault.THROTTLED
    if code == _DATABASE or http_status == 408 or not 400 <= http_status < 500:
        # A database error may come after the change. Treating it as a definite refusal would end the request as failed
        # although the flow may have stopped; treating it as uncertain costs one read. A 408 and a redirect say as
        # little.
        return Fault.UNCERTAIN
    if http_status in (401, 403):
        return _no_entry(http_status, code)
    return Fault.NOT_FOUND if _is_missing(http_status, code, message) else Fault.REJECTED


def refuses_token(failure: CloudFailure) -> bool:
    """Tell whether the gateway refused a token that a new one may replace; the call has not reached Live then."""
    if failure.http_status != 401 or failure.code is None:
        return False
    return failure.code in _TOKEN_REFUSED or (failure.code in _NO_ENTRY and _STALE.search(failure.message) is not None)


def _no_entry(http_status: int, code: str | None) -> Fault:
    if code == _INVALID_CONTENT:
        return Fault.REJECTED
    return Fault.DENIED if http_status == 403 or code in _DENIED else Fault.CREDENTIALS


def _is_missing(http_status: int, code: str | None, message: str) -> bool:
    if http_status == 404:
        # The gateway's own 404 is about the API: a wrong host, or a region without Live. It says nothing about the
        # flow.
        return code is None or not code.startswith(("APIGW.", "APIG."))
    return code == _NO_RESOURCE or (code == _INVALID and _NO_FLOW.search(message) is not None)


def shown(text: str, *, secrets: Iterable[str], limit: int = MESSAGE_LIMIT) -> str:
    """Return text that is safe to show and store: no secrets or control characters, one line, about `limit` characters.

    Text that quotes a passphrase is withheld completely.
    """
    hidden = tuple(secrets)
    # Cut twice: cleaning may change how a secret is written, or join one that control characters split.
    line = " ".join(plain(_redacted(text, hidden)).split())
    line = _redacted(line, (*hidden, *(" ".join(plain(secret).split()) for secret in hidden)))
    return WITHHELD if _SETTINGS.search(line) else _shortened(line, limit)


def plain(text: str) -> str:
    """Return text without control, formatting and surrogate characters; any white space becomes a space."""
    spaced = "".join(" " if character.isspace() else character for character in text)
    if spaced.isascii() and spaced.isprintable():
        return spaced
    return "".join(character for character in spaced if unicodedata.category(character) not in ("Cc", "Cf", "Cs"))


def _redacted(text: str, secrets: Iterable[str]) -> str:
    spellings = {spelling for secret in secrets if secret for spelling in _spellings(secret)}
    if spellings:
        longest_first = sorted(spellings, key=len, reverse=True)
        text = re.sub("|".join(re.escape(spelling) for spelling in longest_first), REDACTED, text)
    # The gateway echoes the canonical request as it parsed it, so its copy of the token may not be identical to ours.
    text = _TOKEN.sub(rf"\1{REDACTED}", text)
    return _SIGNATURE.sub(rf"\1{REDACTED}", text)


def _spellings(secret: str) -> tuple[str, ...]:
    """Return the spellings of a secret: as is, in a URL, and in JSON with escaped slashes that could not be parsed."""
    return secret, quote(secret, "", errors="replace"), secret.replace("/", "\\/")


def _shortened(line: str, limit: int) -> str:
    if len(line) <= limit:
        return line
    kept = line[:limit]
    space = kept.rfind(" ")
    if space > limit // 2:
        kept = kept[:space]
    opened = kept.rfind("[")
    if opened >= 0 and REDACTED.startswith(kept[opened:]):
        kept = kept[:opened]
    return kept.rstrip() + "…"


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _objects(value: object) -> Iterator[Mapping[str, object]]:
    """Yield a JSON object, then the objects directly inside it: some services wrap their error in one."""
    if isinstance(value, dict):
        yield value
        yield from (inner for inner in value.values() if isinstance(inner, dict))


def _first(fields: Iterable[Mapping[str, object]], names: Iterable[str]) -> str:
    """Return the first text, or integer as text, under one of the names."""
    spellings = tuple(names)
    for field in fields:
        for name in spellings:
            value = field.get(name)
            if isinstance(value, str) and value:
                return value
            if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 64:
                return str(value)
    return ""


def _request_id(
    headers: Mapping[str, str], fields: Iterable[Mapping[str, object]], secrets: tuple[str, ...]
) -> str | None:
    found = headers.get("x-request-id") or headers.get("x-iam-trace-id") or _first(fields, _REQUEST_IDS)
    return shown(found, secrets=secrets, limit=_NAME_LIMIT) or None


def _retry_after(headers: Mapping[str, str], message: str) -> float | None:
    """Return the seconds to wait: the header's value, else the whole window of a throttling policy."""
    header = headers.get("retry-after", "").strip()
    if header.isascii() and header.isdigit() and len(header) < 10:
        return float(header)
    if (
        header
        and (until := _http_date(header)) is not None
        and (sent := _http_date(headers.get("date", ""))) is not None
    ):
        return max(0.0, until - sent)  # relative to the cloud's clock: ours may be off
    window = _WINDOW.search(message)
    return float(window[1]) * _UNITS[window[2].lower()] if window else None


def _http_date(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
