"""The views.* methods: modals opened by a trigger id, stacked at most three high, guarded by a hash."""

import json
from collections.abc import Callable, Mapping

from bot.playground.slack import blocks as block_kit
from bot.playground.slack.errors import SlackError
from bot.playground.slack.grants import Triggers
from bot.playground.slack.records import Json, View
from bot.playground.slack.web_api.args import required
from bot.playground.slack.workspace import MOST_VIEWS, Workspace

MOST_VIEW_BYTES = 250 * 1024


def views_open(workspace: Workspace, triggers: Triggers, args: Json) -> Json:
    """views.open."""
    content = checked_view(workspace, args)
    user = triggers.exchange(args["trigger_id"])
    return _answer(workspace, workspace.open_view(user, content))


def views_push(workspace: Workspace, triggers: Triggers, args: Json) -> Json:
    """views.push."""
    content = checked_view(workspace, args)
    user = triggers.exchange(args["trigger_id"])
    below = workspace.views(user)
    if not below:
        raise SlackError("not_found")
    if len(below) >= MOST_VIEWS:
        raise SlackError("push_limit_reached")
    return _answer(workspace, workspace.push_view(user, content))


def views_update(workspace: Workspace, triggers: Triggers, args: Json) -> Json:
    """views.update, by view_id or external_id."""
    content = checked_content(args.get("view"))
    if not (args.get("view_id") or args.get("external_id")):
        raise SlackError("invalid_arguments", messages=["one of view_id and external_id is required"])
    view = workspace.view(args.get("view_id"), external_id=args.get("external_id"))
    if view is None:
        raise SlackError("not_found")
    if args.get("hash") and args["hash"] != view.hash:
        raise SlackError("hash_conflict")
    return _answer(workspace, workspace.change_view(view, content=content, errors={}))


def checked_view(workspace: Workspace, args: Json) -> Json:
    """Return the view to open or push, after Slack's checks."""
    required(args, "trigger_id")
    content = checked_content(args.get("view"))
    if content.get("external_id") and workspace.view(None, external_id=content["external_id"]):
        raise SlackError("duplicate_external_id")
    return content


def checked_content(view: object) -> Json:
    """Return a view after Slack's checks; raise SlackError if it would not be shown."""
    found = block_kit.view_problems(view)
    if found or not isinstance(view, dict):
        raise SlackError("invalid_arguments", messages=found)
    if len(json.dumps(view).encode()) > MOST_VIEW_BYTES:
        raise SlackError("view_too_large")
    return view


def _answer(workspace: Workspace, view: View) -> Json:
    return {"view": workspace.as_view(view)}


METHODS: Mapping[str, Callable[[Workspace, Triggers, Json], Json]] = {
    "views.open": views_open,
    "views.push": views_push,
    "views.update": views_update,
}
