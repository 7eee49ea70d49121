"""What a failed call to Slack means: a definite no, or try again. slack_sdk's and aiohttp's exceptions stop here."""

from typing import Final

from slack_sdk.errors import SlackApiError

from bot import errors

PASSING: Final = frozenset(
    {
        "ratelimited",
        "rate_limited",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
        "external_channel_migrating",
    }
)
"""Error codes after which Slack's documentation says to try again."""

OPERATORS: Final = frozenset(
    {"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "missing_scope"}
)
"""Error codes that an operator mends: what waits is told once the token is good again."""

OPERATOR_TIME: Final = 60.0
"""Seconds before Slack is asked again after one of them."""


def translate(failure: Exception) -> errors.ChatError:
    """Return our error for one of slack_sdk's or of its transport's."""
    if not isinstance(failure, SlackApiError):
        return errors.ChatUnavailable(type(failure).__name__)
    response = failure.response
    # slack_sdk hands over aiohttp's own response where it could not read the body, and text where the body is text.
    status = int(getattr(response, "status_code", None) or getattr(response, "status", None) or 200)
    data = getattr(response, "data", None)
    said = data.get("error") if isinstance(data, dict) else None
    code = str(said or status)
    if status == 429 or said is None or code in PASSING or status >= 500:
        return errors.ChatUnavailable(code, retry_after=_retry_after(getattr(response, "headers", None) or {}))
    if code in OPERATORS:
        return errors.ChatUnavailable(code, retry_after=OPERATOR_TIME)
    return errors.ChatRefused(code)


def _retry_after(headers: dict[str, str]) -> float | None:
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return float(value) if value.isdecimal() else None
