"""How failed calls to Slack are classified."""

from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.slack import failures
from bot.usecases import errors


def api_error(data: Any, status: int = 200, **headers: str) -> SlackApiError:
    """Return an error as slack_sdk raises it."""
    response = AsyncSlackResponse(
        client=None, http_verb="POST", api_url="u", req_args={}, data=data, headers=headers, status_code=status
    )
    return SlackApiError("no", response)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("failure", "retry_after"),
    [
        (api_error({"ok": False, "error": "ratelimited"}, 429, **{"Retry-After": "7"}), 7.0),
        (api_error({"ok": False, "error": "ratelimited"}, 429, **{"retry-after": "7"}), 7.0),
        (api_error({"ok": False, "error": "ratelimited"}, 429), None),
        (api_error({"ok": False, "error": "ratelimited"}, 429, **{"Retry-After": "soon"}), None),
        (api_error({"ok": False, "error": "ratelimited"}, 429, **{"Retry-After": "2²"}), None),
        (api_error({"ok": False, "error": "internal_error"}), None),
        (api_error({"ok": False, "error": "whatever"}, 503), None),
        (api_error("<html>", 500), None),
        (api_error("<html>", 200), None),
        (aiohttp.ClientConnectionError("no"), None),
        (TimeoutError(), None),
        *((api_error({"ok": False, "error": code}), failures.OPERATOR_TIME) for code in sorted(failures.OPERATORS)),
    ],
)
def test_temporary_errors_are_retried(failure: Exception, retry_after: float | None) -> None:
    translated = failures.translate(failure)

    assert isinstance(translated, errors.ChatUnavailable)
    assert translated.retry_after == retry_after


@pytest.mark.parametrize("code", ["channel_not_found", "not_in_channel", "invalid_blocks", "is_archived"])
def test_final_errors_are_refusals(code: str) -> None:
    translated = failures.translate(api_error({"ok": False, "error": code}))

    assert isinstance(translated, errors.ChatRefused)
    assert translated.code == code


def test_an_error_quotes_no_part_of_the_call() -> None:
    failure = api_error({"ok": False, "error": "fatal_error", "url": "https://hooks.slack.com/1"}, token="xoxb-1")

    said = str(failures.translate(failure))
    assert said == "fatal_error"
