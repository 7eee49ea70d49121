"""manifest.yml against what Slack allows in one, and the scopes that the code needs."""

import ast
import pathlib
from collections.abc import Iterator
from typing import Any, Final

import jsonschema
import pytest
import yaml

ROOT: Final = pathlib.Path(__file__).parents[1]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")

SCOPE_OF: Final = {
    "auth.test": None,
    "apps.connections.open": None,  # the app token's connections:write
    "views.open": None,
    "chat.postMessage": "chat:write",
    "chat.postEphemeral": "chat:write",
    "chat.update": "chat:write",
    "users.info": "users:read",
    "users.list": "users:read",
    "usergroups.users.list": "usergroups:read",
    "usergroups.list": "usergroups:read",
    "conversations.info": "channels:read",  # and groups:read, for private channels
}
"""The bot scope that each method of the Web API needs (docs.slack.dev, the page of each method)."""


def _text(most: int) -> dict[str, object]:
    return {"type": "string", "minLength": 1, "maxLength": most}


def _table(required: str, **properties: object) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


_YES_OR_NO: Final = {"type": "boolean"}
_URL: Final = {"type": "string", "pattern": "^https://", "maxLength": 3500}
_COMMAND: Final = _table(
    "command description",
    command={"type": "string", "pattern": "^/", "minLength": 2, "maxLength": 32},
    description=_text(2000),
    usage_hint=_text(1000),
    url=_URL,
    should_escape=_YES_OR_NO,
)
MANIFEST: Final = _table(
    "display_information features oauth_config settings",
    _metadata=_table("", major_version={"enum": [1, 2]}, minor_version={"type": "integer"}),
    display_information=_table(
        "name",
        name=_text(35),
        description=_text(140),
        background_color={"type": "string", "pattern": "^#([0-9a-f]{3}|[0-9a-f]{6})$"},
    ),
    features=_table(
        "app_home bot_user slash_commands",
        app_home=_table(
            "",
            home_tab_enabled=_YES_OR_NO,
            messages_tab_enabled=_YES_OR_NO,
            messages_tab_read_only_enabled=_YES_OR_NO,
        ),
        bot_user=_table("display_name", display_name=_text(80), always_online=_YES_OR_NO),
        slash_commands={"type": "array", "maxItems": 50, "items": _COMMAND},
    ),
    oauth_config=_table("scopes", scopes=_table("bot", bot={"type": "array", "items": _text(100)})),
    settings=_table(
        "interactivity",
        interactivity=_table("is_enabled", is_enabled=_YES_OR_NO, request_url=_URL),
        event_subscriptions=_table(
            "bot_events", request_url=_URL, bot_events={"type": "array", "maxItems": 100, "items": _text(100)}
        ),
        org_deploy_enabled=_YES_OR_NO,
        socket_mode_enabled=_YES_OR_NO,
        token_rotation_enabled=_YES_OR_NO,
    ),
)
"""Slack's published limits for an app manifest, as far as ours uses it; a key that is not here is a slip."""


@pytest.fixture(scope="module")
def manifest() -> Any:
    return yaml.safe_load((ROOT / "manifest.yml").read_text(encoding="utf-8"))


def test_the_manifest_keeps_to_slacks_limits(manifest: Any) -> None:
    jsonschema.validate(manifest, MANIFEST)


def test_the_manifest_asks_for_the_scopes_of_the_calls_and_no_more(manifest: Any) -> None:
    needed = {SCOPE_OF[method] for method in _methods()} - {None}
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == needed | {"commands", "app_mentions:read", "groups:read"}
    for scope in manifest["oauth_config"]["scopes"]["bot"]:
        assert f"`{scope}`" in README


def _methods() -> Iterator[str]:
    """Give every method of the Web API that the code calls: by name, or as a method of the client."""
    for path in (ROOT / "bot" / "slack").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            called, first = node.func.attr, node.args[0] if node.args else None
            if called in ("_call", "api_call") and isinstance(first, ast.Constant):
                yield str(first.value)
            elif called != "api_call" and ast.unparse(node.func.value).endswith("client"):
                yield called.replace("_", ".")
