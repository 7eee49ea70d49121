"""The entry to the Web API: parses arguments, checks the token, finds the method, and shapes the answer.

The methods are in `chat`, `reads` and `views`; this module knows none of their rules, and no sockets.
"""

import json
from collections.abc import Callable, Collection, Mapping
from urllib.parse import parse_qsl

from bot.playground.slack import scopes
from bot.playground.slack.errors import SlackError
from bot.playground.slack.grants import Triggers
from bot.playground.slack.records import ApiCall, Json
from bot.playground.slack.web_api import chat, reads, views
from bot.playground.slack.workspace import Workspace

# In a form these are JSON text; any other argument stays a string, even if it begins with a brace.
JSON_ARGUMENTS = ("blocks", "attachments", "view", "metadata")

CONNECTIONS_OPEN = "apps.connections.open"

METHODS: Mapping[str, Callable[[Workspace, Json], Json]] = {**chat.METHODS, **reads.METHODS}
VIEW_METHODS = views.METHODS


def arguments(*, query: str, content_type: str, body: bytes) -> Json:
    """Return the arguments of a request in any encoding that Slack accepts; raise SlackError if it cannot be parsed."""
    found: Json = dict(parse_qsl(query, keep_blank_values=True))
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        found |= _json_object(body)
        if "token" in found:  # "Using the Web API": with JSON, the token must be in the header
            raise SlackError("not_authed")
    elif kind == "application/x-www-form-urlencoded":
        found |= dict(parse_qsl(body.decode(), keep_blank_values=True))
    elif body:
        raise SlackError("invalid_post_type")
    return found | {name: _decoded(found[name]) for name in JSON_ARGUMENTS if name in found}


def _json_object(body: bytes) -> Json:
    try:
        value = json.loads(body or b"{}")  # slack_sdk's synchronous client sends this type without a body
    except ValueError as error:
        raise SlackError("invalid_json") from error
    if not isinstance(value, dict):
        raise SlackError("json_not_object")
    return value


def _decoded(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value  # the validator reports it


class Api:
    """The Web API of one workspace, for the bot token and the app token."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        triggers: Triggers,
        bot_token: str,
        app_token: str,
        new_ticket: Callable[[], str],
        held: Callable[[], Collection[str]],
    ) -> None:
        self._workspace = workspace
        self._triggers = triggers
        self._token = bot_token
        self._app_token = app_token
        self._new_ticket = new_ticket
        self._held = held

    def call(self, method: str, args: Json, *, authorization: str = "") -> Json:
        """Carry out one call and return Slack's answer, which may be an error."""
        given = dict(args)
        token = given.pop("token", "") or authorization.removeprefix("Bearer ").strip()
        try:
            if method == CONNECTIONS_OPEN:
                return {"ok": True, "url": self._address(authorization.removeprefix("Bearer ").strip())}
            return {"ok": True, **self._carry_out(method, given, token)}
        except SlackError as error:
            return refusal(error)

    def _carry_out(self, method: str, args: Json, token: str) -> Json:
        if method == "api.test":
            return {"args": args}
        if method not in METHODS and method not in VIEW_METHODS:
            raise SlackError("unknown_method")
        if not token:
            raise SlackError("not_authed")
        if token != self._token:
            raise SlackError("not_allowed_token_type" if token == self._app_token else "invalid_auth")
        scopes.require(self._workspace, method, args, held=self._held())
        if method in VIEW_METHODS:
            return VIEW_METHODS[method](self._workspace, self._triggers, args)
        return METHODS[method](self._workspace, args)

    def _address(self, token: str) -> str:
        """Return the URL of a new connection; "apps.connections.open" accepts the token only in the header."""
        if not token:
            raise SlackError("not_authed")
        if token != self._app_token:
            raise SlackError("not_allowed_token_type" if token == self._token else "invalid_auth")
        return self._new_ticket()

    def headers(self, args: Json, *, authorization: str) -> dict[str, str]:
        """Return the header that names the scopes of the bot token, if the call came with it."""
        token = args.get("token") or authorization.removeprefix("Bearer ").strip()
        return {"x-oauth-scopes": ",".join(sorted(self._held()))} if token == self._token else {}

    def journal(self, method: str, args: Json, response: Json | None, status: int | None) -> None:
        """Add the call to the workspace's journal, without the token."""
        kept = {name: value for name, value in args.items() if name != "token"}
        self._workspace.record(
            ApiCall(method=method, args=kept, response=response, status=status, at=self._workspace.now())
        )


def refusal(error: SlackError) -> Json:
    """Return Slack's answer for an error."""
    answer: Json = {"ok": False, "error": error.code, **error.more}
    if error.messages:
        answer["response_metadata"] = {"messages": [f"[ERROR] {words}" for words in error.messages]}
    return answer
