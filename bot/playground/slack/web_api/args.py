"""Parsing the arguments of Web API calls, shared by the methods."""

from bot.playground.slack.errors import SlackError
from bot.playground.slack.records import Channel, Json
from bot.playground.slack.workspace import Workspace


def required(args: Json, *names: str) -> None:
    """Raise SlackError if one of these arguments is missing or empty."""
    if missing := [name for name in names if args.get(name) in (None, "")]:
        raise SlackError("invalid_arguments", messages=[f"missing required field: {name}" for name in missing])


def text(args: Json, name: str) -> str:
    """Return an argument that must be a string, if given."""
    value = args.get(name) or ""
    if not isinstance(value, str):
        raise SlackError("invalid_arguments", messages=[f"{name} must be a string"])
    return value


def flag(args: Json, name: str) -> bool:
    """Return a boolean, which is text in a query or form, and 0 or 1 from slack_sdk."""
    return args.get(name) in (True, 1, "1", "true", "True")


def visible_channel(workspace: Workspace, args: Json) -> Channel:
    """Return the requested channel; a private one without the bot does not exist for it."""
    required(args, "channel")
    channel = workspace.channels.get(str(args["channel"]))
    if channel is None or (channel.is_private and workspace.bot_user_id not in channel.members):
        raise SlackError("channel_not_found")
    return channel


def page(args: Json, things: list[str] | list[Json], *, usual: int) -> tuple[list[str] | list[Json], Json]:
    """Return one page of a list, and the metadata with the cursor of the next."""
    limit, cursor = str(args.get("limit") or usual), str(args.get("cursor") or "0")
    if not limit.isdecimal() or not cursor.isdecimal():
        raise SlackError("invalid_limit" if cursor.isdecimal() else "invalid_cursor")
    start, end = int(cursor), int(cursor) + int(limit)
    return things[start:end], {"next_cursor": str(end) if end < len(things) else ""}
