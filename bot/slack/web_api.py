"""Slack's Web API, and how Slack stood when it was last asked anything."""

from typing import Any, Literal

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.slack import failures

SlackStanding = Literal["unknown", "connected", "away", "refused"]
"""`unknown` before the first call, `refused` where the token is; any other answer of Slack's is `connected`."""


class WebApi(AsyncWebClient):
    """slack_sdk's client, which remembers what came of the last call."""

    standing: SlackStanding = "unknown"

    async def api_call(self, api_method: str, **arguments: Any) -> AsyncSlackResponse:
        """Call a method, whichever way it is spelled. Raises what slack_sdk raises."""
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
        return "away"  # something in between has answered, or Slack's own front
    return "refused" if data["error"] in failures.OPERATORS - {"missing_scope"} else "connected"
