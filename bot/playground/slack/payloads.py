"""The payloads that Slack sends to an app: commands, interactions, options requests and events.

Pure: everything comes in as arguments. Shapes are those of "Slash commands", "Interaction payloads" and "Events API".
"""

from collections.abc import Mapping
from typing import Any

from bot.playground.slack import blocks as block_kit
from bot.playground.slack.errors import NotPossible
from bot.playground.slack.records import Channel, Json, PostedMessage, SlackUser, View
from bot.playground.slack.workspace import Workspace

VERIFICATION_TOKEN = "playground-verification-token"  # noqa: S105 - deprecated by Slack, and no secret

# The key of an element's choice in an action and in a view's state, by element type.
CHOICE_KEYS: Mapping[str, str] = {
    "users_select": "selected_user",
    "conversations_select": "selected_conversation",
    "channels_select": "selected_channel",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
    "multi_users_select": "selected_users",
    "multi_conversations_select": "selected_conversations",
    "multi_channels_select": "selected_channels",
}


def command(
    workspace: Workspace, person: SlackUser, channel: Channel, *, name: str, text: str, grants: Mapping[str, str]
) -> dict[str, str]:
    """Return the form fields of a slash command."""
    enterprise = {"enterprise_id": workspace.enterprise_id, "enterprise_name": "Playground Grid"}
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": workspace.team_id,
        "team_domain": workspace.domain,
        **({key: value for key, value in enterprise.items() if value} if workspace.enterprise_id else {}),
        "channel_id": channel.id,
        "channel_name": channel_name(channel),
        "user_id": person.id,
        "user_name": person.name,
        "command": name,
        "text": text,
        "api_app_id": workspace.app_id,
        "is_enterprise_install": "true" if workspace.org_install else "false",
        **grants,
    }


def block_actions(
    workspace: Workspace, person: SlackUser, target: PostedMessage | View, *, action: Json, grants: Mapping[str, str]
) -> Json:
    """Return the payload of a click or a choice."""
    return {
        "type": "block_actions",
        **_common(workspace, person, at_home=isinstance(target, View)),
        **_place(workspace, target),
        **grants,
        "actions": [action],
    }


def block_suggestion(
    workspace: Workspace, person: SlackUser, target: PostedMessage | View, *, block_id: str, action_id: str, query: str
) -> Json:
    """Return the request for the options of an external menu."""
    return {
        "type": "block_suggestion",
        **_common(workspace, person, at_home=isinstance(target, View)),
        **_place(workspace, target),
        "block_id": block_id,
        "action_id": action_id,
        "value": query,
    }


def view_submission(workspace: Workspace, person: SlackUser, view: View, *, state: Json, trigger_id: str) -> Json:
    """Return the payload of a submitted modal."""
    return {
        "type": "view_submission",
        **_common(workspace, person, at_home=True),
        "trigger_id": trigger_id,
        "view": _view(workspace, view, state),
        "response_urls": [],
    }


def view_closed(workspace: Workspace, person: SlackUser, view: View, *, cleared: bool) -> Json:
    """Return the payload of a modal that was closed without being submitted."""
    return {
        "type": "view_closed",
        **_common(workspace, person, at_home=True),
        "view": _view(workspace, view, {}),
        "is_cleared": cleared,
    }


def event_callback(workspace: Workspace, event: Json, *, event_id: str, shared: bool) -> Json:
    """Return the envelope of an event."""
    authorization = {
        "enterprise_id": workspace.enterprise_id,
        "team_id": None if workspace.org_install else workspace.team_id,
        "user_id": workspace.bot_user_id,
        "is_bot": True,
        "is_enterprise_install": workspace.org_install,
    }
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": workspace.team_id,
        "api_app_id": workspace.app_id,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(workspace.now()),
        "authorizations": [authorization],
        "is_ext_shared_channel": shared,
        "event_context": f"4-{event_id}",
    }


def app_mention(workspace: Workspace, message: PostedMessage) -> Json:
    """Return the event of a message that mentions the bot."""
    person = workspace.persons[message.user]
    event: Json = {
        "type": "app_mention",
        "user": person.id,
        "text": message.text,
        "ts": message.ts,
        "channel": message.channel,
        "team": person.team_id,
        "event_ts": message.ts,
    }
    if message.thread_ts:
        event["thread_ts"] = message.thread_ts
    if message.bot_id:
        event["bot_id"] = message.bot_id
    if person.is_stranger:
        event |= {"user_team": person.team_id, "source_team": person.team_id}
    return event


def channel_name(channel: Channel) -> str:
    """Return the channel name in a command, which hides the names of private channels."""
    if channel.id.startswith("D"):
        return "directmessage"
    return "privategroup" if channel.is_private else channel.name


def action(block: Json, element: Json, *, value: Any, at: str) -> Json:
    """Return one entry of a payload's `actions`."""
    done: Json = {"type": element["type"], "block_id": block["block_id"], "action_id": element["action_id"]}
    if "text" in element:
        done["text"] = element["text"]
    if "style" in element:
        done["style"] = element["style"]
    if element["type"] == "button":
        carried = element.get("value") if value is None else value
        return done | ({"value": carried} if carried is not None else {}) | {"action_ts": at}
    return done | chosen(element, value) | {"action_ts": at}


def chosen(element: Json, value: Any) -> Json:
    """Return a person's input into an element, as in actions and states; raise NotPossible if they cannot enter it."""
    kind = str(element["type"])
    if kind.endswith("_input"):
        return {"value": _typed(element, value)}
    if kind in CHOICE_KEYS:
        return {CHOICE_KEYS[kind]: value}
    if kind.startswith("multi_") or kind == "checkboxes":
        return {"selected_options": [_option(element, one) for one in value or ()]}
    return {"selected_option": None if value is None else _option(element, value)}


def state(blocks: list[Json], values: Mapping[str, Any]) -> Json:
    """Return the state of a view's inputs; `values` are by block_id or action_id, others keep their initial value."""
    known = {
        name for block, element in block_kit.elements(blocks) for name in (block["block_id"], element["action_id"])
    }
    if unknown := values.keys() - known:
        raise NotPossible(f"the view has no input {sorted(unknown)}, only {sorted(known)}")
    found: Json = {}
    for block, element in block_kit.elements(blocks):
        if element["type"] == "button":
            continue
        start = element.get("initial_value", element.get("initial_option", {}).get("value"))
        value = values.get(block["block_id"], values.get(element["action_id"], start))
        if value in (None, "", []) and block["type"] == "input" and not block.get("optional"):
            raise NotPossible(f"the client requires {block['block_id']} ({element['action_id']}) to be filled in")
        entry = {"type": element["type"], **chosen(element, value)}
        found.setdefault(block["block_id"], {})[element["action_id"]] = entry
    return found


def _typed(element: Json, value: Any) -> Any:
    if value in (None, ""):
        return None
    least, most = element.get("min_length", 0), element.get("max_length", 3000)
    if not least <= len(str(value)) <= most:
        raise NotPossible(f"the client accepts {least} to {most} characters in {element['action_id']}")
    return value


def _option(element: Json, value: Any) -> Json:
    if isinstance(value, dict):
        return value
    groups = element.get("option_groups", [{"options": element.get("options", [])}])
    for option in (one for group in groups for one in group["options"]):
        if option["value"] == value:
            return dict(option)
    if "external" in element["type"]:
        return {"text": {"type": "plain_text", "text": str(value)}, "value": str(value)}
    raise NotPossible(f"{element['action_id']} has no option {value!r}")


def _common(workspace: Workspace, person: SlackUser, *, at_home: bool) -> Json:
    """Return the fields of every interaction about its person and team.

    A modal belongs to its person's own team: a stranger's has their team and organisation here and in the view, and
    ours only in `view.app_installed_team_id` (java-slack-sdk, ViewSubmissionRequestTest).
    """
    theirs = at_home and person.is_stranger
    enterprise_id = person.enterprise_id if theirs else workspace.enterprise_id
    domain = f"{person.team_id.lower()}-elsewhere" if theirs else workspace.domain
    team: Json = {"id": person.team_id if theirs else workspace.team_id, "domain": domain}
    if enterprise_id:
        team |= {"enterprise_id": enterprise_id, "enterprise_name": "Playground Grid"}
    return {
        "user": {"id": person.id, "username": person.name, "name": person.name, "team_id": person.team_id},
        "api_app_id": workspace.app_id,
        "token": VERIFICATION_TOKEN,
        "team": None if workspace.org_install and not theirs else team,
        "enterprise": {"id": enterprise_id, "name": "Playground Grid"} if enterprise_id else None,
        "is_enterprise_install": workspace.org_install,
    }


def _place(workspace: Workspace, target: PostedMessage | View) -> Json:
    if isinstance(target, View):
        container: Json = {"type": "view", "view_id": target.id}
        return {"container": container, "view": _view(workspace, target, {})}
    channel = workspace.channels[target.channel]
    container = {
        "type": "message",
        "message_ts": target.ts,
        "channel_id": channel.id,
        "is_ephemeral": bool(target.only_for),
    }
    if target.thread_ts:
        container["thread_ts"] = target.thread_ts
    where = {"id": channel.id, "name": channel_name(channel)}
    place: Json = {"container": container, "channel": where, "state": {"values": {}}}
    # "block_actions payload": an ephemeral's message may be missing, so here it always is.
    return place if target.only_for else place | {"message": workspace.as_message(target)}


def _view(workspace: Workspace, view: View, values: Json) -> Json:
    return workspace.as_view(view, state=values)
