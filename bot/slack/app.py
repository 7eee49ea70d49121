"""The Bolt app: which listener takes what, and how an answer of Bolt's becomes one of HTTP's.

Both doors of Slack call `dispatch` with the parsed payload, so that Bolt's own parsing, signature check and body
logging stay out of the way; `process_before_response` makes a listener's acknowledgement the answer.
"""

import logging
import re
import secrets
from typing import Any, Final

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.error import BoltUnhandledRequestError
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient
from starlette.responses import Response

from bot.slack import manifest, messages
from bot.slack.installation import Installation
from bot.slack.listeners import Listeners

COMMAND: Final = manifest.COMMAND

ANYTHING: Final = re.compile(r"")

NO_PROXY: Final = "http://127.0.0.1:9"
"""Leads nowhere. Bolt makes a client for each delivery, which looks for a proxy in the environment unless it has one:
a sixth of what an acknowledgement costs. Nobody speaks through that client; ours is the notifier's."""

log = structlog.get_logger()


def build(*, client: AsyncWebClient, installation: Installation, listeners: Listeners) -> AsyncApp:
    """Return the app with its listeners."""

    async def authorize() -> AuthorizeResult:
        identity = installation.identity
        if identity is None:  # what is signed is taken all the same, and waits for it
            return AuthorizeResult(enterprise_id=None, team_id=None, bot_token=client.token)
        return AuthorizeResult(
            enterprise_id=identity.enterprise,
            team_id=identity.team,
            bot_token=client.token,
            bot_id=identity.bot,
            bot_user_id=identity.bot_user,
        )

    logger = logging.getLogger("slack_bolt.flowbot")
    logger.setLevel(logging.ERROR)  # its warnings hold bodies, or warn of what is meant here
    app = AsyncApp(
        name="flowbot",
        logger=logger,
        client=AsyncWebClient(token=client.token, base_url=client.base_url, session=client.session, proxy=NO_PROXY),
        authorize=authorize,
        process_before_response=True,
        raise_error_for_unhandled_request=True,
        request_verification_enabled=False,
        ssl_check_enabled=False,
        url_verification_enabled=False,
        attaching_function_token_enabled=False,
        attaching_conversation_kwargs_enabled=False,
    )
    app.command(COMMAND)(listeners.command)
    app.event("app_mention")(listeners.mention)
    app.action(ANYTHING)(listeners.action)
    app.view(ANYTHING)(listeners.view)
    app.error(_on_error)
    return app


async def _on_error(error: Exception) -> BoltResponse:
    """Answer what no listener took, and what one stumbled over, without a 500 and without the body."""
    if isinstance(error, BoltUnhandledRequestError):
        if error.request.body.get("type") == "event_callback":  # anything else makes Slack send the event again
            return BoltResponse(status=200, body="")
        return BoltResponse(status=404, body="flowbot does not take this")
    error_id = secrets.token_hex(4)
    log.error("a listener failed", exc_info=error, error_id=error_id)
    return BoltResponse(status=200, body=messages.unexpected(error_id).text)


async def dispatch(app: AsyncApp, payload: dict[str, Any]) -> Response:
    """Hand a parsed payload to Bolt, and return what it answers."""
    try:
        answered = await app.async_dispatch(AsyncBoltRequest(body=payload, mode="socket_mode"))
    except Exception as surprise:  # noqa: BLE001 - Bolt's own error handling stumbles over shapes that Slack never sends
        log.warning("delivery rejected", status=400, reason="malformed", error=type(surprise).__name__)
        return Response("malformed", status_code=400)
    return Response(
        answered.body, status_code=answered.status, headers={"content-type": answered.first_headers()["content-type"]}
    )
