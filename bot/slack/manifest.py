"""The Slack app's manifest for HTTP or Socket Mode: command, scopes and events. Pure.

`manifest.yml` is what `flowbot manifest --url` prints for a placeholder host. Imports no other module, to keep the
command line fast.
"""

import json
from typing import Any, Final

COMMAND: Final = "/flow"

PATH: Final = "/slack/events"
"""The path that Slack posts to."""

PLACEHOLDER: Final = "https://flowbot.example.com"

SCOPES: Final = (
    "app_mentions:read",
    "channels:read",
    "chat:write",
    "commands",
    "groups:read",
    "usergroups:read",
    "users:read",
)
"""The scopes of the bot token, and no more; `connections:write` is for the app token, which the manifest does not
cover."""

EVENTS: Final = ("app_mention",)

HEADER: Final = {
    False: "# The Slack app. api.slack.com/apps → Create New App → From a manifest.",
    True: (
        "# The Slack app. Replace flowbot.example.com with your host, then: api.slack.com/apps → Create New App → From"
        " a manifest."
    ),
}


def of(*, url: str | None) -> dict[str, Any]:
    """Return the manifest for deliveries to `url`, or for Socket Mode if it is None."""
    address = None if url is None else url.rstrip("/").removesuffix(PATH) + PATH
    return {
        "_metadata": {"major_version": 1},
        "display_information": {
            "name": "flowbot",
            "description": "Stop live media flows, with approvals.",
            "background_color": "#1f2933",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,  # where people find direct messages from the bot
                "messages_tab_read_only_enabled": True,
            },
            "bot_user": {"display_name": "flowbot", "always_online": True},
            "slash_commands": [
                {
                    "command": COMMAND,
                    "description": "Stop a live media flow",
                    "usage_hint": "stop FLOW because TEXT",
                    **_at("url", address),
                    "should_escape": True,
                }
            ],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {**_at("request_url", address), "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **_at("request_url", address)},
            "org_deploy_enabled": False,
            "socket_mode_enabled": url is None,
            "token_rotation_enabled": False,
        },
    }


def text(*, url: str | None) -> str:
    """Return the manifest as YAML, with a comment on how to use it."""
    return "\n".join((HEADER[url == PLACEHOLDER], *_lines(of(url=url), ""))) + "\n"


def _at(name: str, address: str | None) -> dict[str, str]:
    return {} if address is None else {name: address}


def _lines(value: dict[str, Any], indent: str) -> list[str]:
    """Write a mapping in YAML's block style, with each scalar as JSON, which is valid YAML."""
    lines: list[str] = []
    for name, inner in value.items():
        if isinstance(inner, dict):
            lines += [f"{indent}{name}:", *_lines(inner, indent + "  ")]
        elif isinstance(inner, list):
            lines += [f"{indent}{name}:", *(line for item in inner for line in _item(item, indent + "  "))]
        else:
            lines.append(f"{indent}{name}: {json.dumps(inner, ensure_ascii=False)}")
    return lines


def _item(item: dict[str, Any] | str, indent: str) -> list[str]:
    if isinstance(item, str):
        return [f"{indent}- {json.dumps(item, ensure_ascii=False)}"]
    first, *rest = _lines(item, indent + "  ")
    return [f"{indent}- {first.lstrip()}", *rest]
