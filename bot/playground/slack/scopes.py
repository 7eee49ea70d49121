"""The scopes of the bot token: which one a method needs, and the refusal of a call without it.

From the pages of the methods on docs.slack.dev. Knows no method's meaning.
"""

from collections.abc import Collection, Mapping
from typing import Final

from bot.playground.slack.errors import SlackError
from bot.playground.slack.records import Json
from bot.playground.slack.workspace import Workspace

EVERY: Final = frozenset(
    {
        *("app_mentions:read", "channels:history", "channels:read", "chat:write", "commands", "groups:history"),
        *("groups:read", "im:write", "usergroups:read", "users:read"),
    }
)
"""All scopes that the stand-in knows."""

NEEDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("chat.postMessage", "chat.postEphemeral", "chat.update", "chat.delete"), "chat:write"),
    **dict.fromkeys(("users.info", "users.list", "bots.info"), "users:read"),
    **dict.fromkeys(("usergroups.list", "usergroups.users.list"), "usergroups:read"),
    "conversations.open": "im:write",
}

_BY_KIND: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(("conversations.info", "conversations.members"), ("channels:read", "groups:read")),
    "conversations.replies": ("channels:history", "groups:history"),
}
"""Methods whose scope depends on the channel: for a public one, and for a private one."""


def require(workspace: Workspace, method: str, args: Json, *, held: Collection[str]) -> None:
    """Raise SlackError if a call needs a scope that the token does not have."""
    needed = _needed(workspace, method, args)
    if needed is not None and needed not in held:
        raise SlackError("missing_scope", more={"needed": needed, "provided": ",".join(sorted(held))})


def _needed(workspace: Workspace, method: str, args: Json) -> str | None:
    if method not in _BY_KIND:
        return NEEDS.get(method)
    channel = workspace.channels.get(str(args.get("channel", "")))
    public, private = _BY_KIND[method]
    if channel is None or channel.dm_with:
        return None
    return private if channel.is_private else public
