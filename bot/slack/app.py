"""The Bolt app: maps deliveries to listeners, and Bolt's answers to HTTP responses.

HTTP and Socket Mode both call `dispatch` with the parsed payload, which bypasses Bolt's own parsing, signature check
and body logging. `process_before_response` makes a listener's acknowledgement the response.
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
"""An address where nothing listens. Bolt creates a client per delivery, and without a proxy setting each one searches
the environment for it, a sixth of the cost of an acknowledgement. That client is never used; calls go through the
notifier's."""

log = structlog.get_logger()


def build(*, client: AsyncWebClient, installation: Installation, listeners: Listeners) -> AsyncApp:
    """Return the app with its listeners registered."""

    async def authorize() -> AuthorizeResult:
        identity = installation.identity
        if identity is None:  # a signed delivery is accepted anyway, and waits for the identity
            return AuthorizeResult(enterprise_id=None, team_id=None, bot_token=client.token)
        return AuthorizeResult(
            enterprise_id=identity.enterprise,
            team_id=identity.team,
            bot_token=client.token,
            bot_id=identity.bot,
            bot_user_id=identity.bot_user,
        )

    logger = logging.getLogger("slack_bolt.flowbot")
    logger.setLevel(logging.ERROR)  # its warnings contain bodies, or warn of what we do on purpose
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
    """Answer unhandled deliveries and failed listeners without a 500 and without the body."""
    if isinstance(error, BoltUnhandledRequestError):
        if error.request.body.get("type") == "event_callback":  # anything else makes Slack send the event again
            return BoltResponse(status=200, body="")
        return BoltResponse(status=404, body="flowbot does not handle this")
    error_id = secrets.token_hex(4)
    log.error("unexpected error in a listener", exc_info=error, error_id=error_id)
    return BoltResponse(status=200, body=messages.unexpected(error_id).text)


async def dispatch(app: AsyncApp, payload: dict[str, Any]) -> Response:
    """Pass a parsed payload to Bolt, and return its answer."""
    try:
        answered = await app.async_dispatch(AsyncBoltRequest(body=payload, mode="socket_mode"))
    except Exception as error:  # noqa: BLE001 - Bolt's error handling itself fails on shapes that Slack never sends
        log.warning("delivery rejected", status=400, reason="malformed", error=type(error).__name__)
        return Response("malformed", status_code=400)
    return Response(
        answered.body, status_code=answered.status, headers={"content-type": answered.first_headers()["content-type"]}
    )
