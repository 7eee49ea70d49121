"""Classify failed calls to Slack as final or retryable. Exceptions of slack_sdk and aiohttp stop here."""

from typing import Final

from slack_sdk.errors import SlackApiError

from bot.usecases import errors

FINAL: Final = frozenset(
    {
        "cannot_dm_bot",
        "cannot_reply_to_message",
        "cant_update_message",
        "channel_not_found",
        "edit_window_closed",
        "ekm_access_denied",
        "exchanged_trigger_id",
        "expired_trigger_id",
        "invalid_arguments",
        "invalid_blocks",
        "invalid_trigger_id",
        "is_archived",
        "is_inactive",
        "message_not_found",
        "messages_tab_disabled",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_permission",
        "no_such_subteam",
        "no_text",
        "not_in_channel",
        "push_limit_reached",
        "restricted_action",
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_locked",
        "restricted_action_thread_only_channel",
        "subteam_not_found",
        "thread_not_found",
        "trigger_exchanged",
        "trigger_expired",
        "unknown_method",
        "user_not_found",
        "user_not_in_channel",
        "user_not_visible",
        "users_not_found",
        "view_too_large",
    }
)
"""Error codes that a retry does not change. Any other may pass, and the message is sent again later."""

OPERATORS: Final = frozenset(
    {"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "missing_scope"}
)
"""Error codes that an operator has to fix; waiting messages are sent once the token works again."""

OPERATOR_TIME: Final = 60.0
"""Seconds before Slack is asked again after one of them."""


def translate(failure: Exception) -> errors.ChatError:
    """Return our error for an exception of slack_sdk or its transport."""
    if not isinstance(failure, SlackApiError):
        return errors.ChatUnavailable(type(failure).__name__)
    response = failure.response
    # slack_sdk passes on aiohttp's own response if it could not read the body, and a string if the body is text.
    status = int(getattr(response, "status_code", None) or getattr(response, "status", None) or 200)
    data = getattr(response, "data", None)
    said = data.get("error") if isinstance(data, dict) else None
    code = str(said or status)
    if said in FINAL and status < 500:
        return errors.ChatRefused(code)
    if code in OPERATORS:
        return errors.ChatUnavailable(code, retry_after=OPERATOR_TIME)
    return errors.ChatUnavailable(code, retry_after=_retry_after(getattr(response, "headers", None) or {}))


def _retry_after(headers: dict[str, str]) -> float | None:
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return float(value) if value.isdecimal() else None
