"""Slack's Web API client, with the result of its last call."""

from typing import Any, Literal

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.slack import failures

SlackStanding = Literal["unknown", "connected", "away", "refused"]
"""`unknown` before the first call, `refused` if the token is; any other answer from Slack means `connected`."""


class WebApi(AsyncWebClient):
    """slack_sdk's client, which remembers how its last call went."""

    standing: SlackStanding = "unknown"

    async def api_call(self, api_method: str, **arguments: Any) -> AsyncSlackResponse:
        """Call a method, and remember how the call went. Raises what slack_sdk raises."""
        try:
            answer = await super().api_call(api_method, **arguments)
        except SlackApiError as failure:
            self.standing = _standing(failure)
            raise
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.standing = "away"
            raise
        self.standing = "connected"
        return answer


def _standing(failure: SlackApiError) -> SlackStanding:
    data = getattr(failure.response, "data", None)
    if not isinstance(data, dict) or "error" not in data:
        return "away"  # a proxy in between answered, or Slack's own front end
    return "refused" if data["error"] in failures.OPERATORS - {"missing_scope"} else "connected"
