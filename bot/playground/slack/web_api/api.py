"""The Web API's front: reads a request's arguments, checks the token, finds the method, shapes the answer.

The methods are in `api_chat`, `api_reads` and `api_views`; this module knows none of their rules, and no sockets.
"""

import json
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from bot.playground.slack.errors import SlackError
from bot.playground.slack.grants import Triggers
from bot.playground.slack.records import ApiCall, Json
from bot.playground.slack.web_api import chat, reads, views
from bot.playground.slack.workspace import Workspace

# In a form these arrive as JSON text; any other argument stays as it is, also where it begins with a brace.
JSON_ARGUMENTS = ("blocks", "attachments", "view", "metadata")

CONNECTIONS_OPEN = "apps.connections.open"

METHODS: Mapping[str, Callable[[Workspace, Json], Json]] = {**chat.METHODS, **reads.METHODS}
VIEW_METHODS = views.METHODS


def arguments(*, query: str, content_type: str, body: bytes) -> Json:
    """Return the arguments of a request in any of the encodings that Slack takes; raise SlackError when unreadable."""
    found: Json = dict(parse_qsl(query, keep_blank_values=True))
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        found |= _json_object(body)
        if "token" in found:  # "Using the Web API": with JSON, the token goes into the header alone
            raise SlackError("not_authed")
    elif kind == "application/x-www-form-urlencoded":
        found |= dict(parse_qsl(body.decode(), keep_blank_values=True))
    elif body:
        raise SlackError("invalid_post_type")
    return found | {name: _decoded(found[name]) for name in JSON_ARGUMENTS if name in found}


def _json_object(body: bytes) -> Json:
    try:
        value = json.loads(body or b"{}")  # slack_sdk's synchronous client sends this type with no body at all
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
        return value  # the validator names it


class Api:
    """The Web API of one workspace, for the bot's token and for that of the app."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        triggers: Triggers,
        bot_token: str,
        app_token: str,
        new_ticket: Callable[[], str],
    ) -> None:
        self._workspace = workspace
        self._triggers = triggers
        self._token = bot_token
        self._app_token = app_token
        self._new_ticket = new_ticket

    def call(self, method: str, args: Json, *, authorization: str = "") -> Json:
        """Carry out one call and return Slack's answer; what Slack refuses is an answer too."""
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
        if method in VIEW_METHODS:
            return VIEW_METHODS[method](self._workspace, self._triggers, args)
        return METHODS[method](self._workspace, args)

    def _address(self, token: str) -> str:
        """Return the address of a new connection; "apps.connections.open" takes the token from the header alone."""
        if not token:
            raise SlackError("not_authed")
        if token != self._app_token:
            raise SlackError("not_allowed_token_type" if token == self._token else "invalid_auth")
        return self._new_ticket()

    def journal(self, method: str, args: Json, response: Json | None, status: int | None) -> None:
        """Write the call into the workspace's journal, without the token."""
        kept = {name: value for name, value in args.items() if name != "token"}
        self._workspace.record(
            ApiCall(method=method, args=kept, response=response, status=status, at=self._workspace.now())
        )


def refusal(error: SlackError) -> Json:
    """Return Slack's answer to what it refuses."""
    answer: Json = {"ok": False, "error": error.code}
    if error.messages:
        answer["response_metadata"] = {"messages": [f"[ERROR] {words}" for words in error.messages]}
    return answer
