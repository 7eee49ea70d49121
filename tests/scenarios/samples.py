"""Slack's payloads in the shapes of its public samples, with names and ids of this world.

Sources, all on GitHub under slackapi: bolt-python `tests/scenario_tests/` (test_slash_command, test_block_actions,
test_view_submission, test_view_closed, test_shortcut, test_dialogs, test_attachment_actions, test_block_suggestion,
test_events_shared_channels, test_events_org_apps, test_events_token_revocations, test_message_changed, test_ssl_check),
java-slack-sdk `json-logs/samples/` and its ViewClosedRequestTest and ViewSubmissionRequestTest for shared channels.
"""

import dataclasses
from typing import Any, Final

Json = dict[str, Any]

CHANNEL: Final = "C0INCIDENT"
ELSEWHERE: Final = "T0OTHER"
"""The workspace of another organisation with which a channel is shared."""

TS: Final = "1596530385.000100"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Installed:
    """Where the app is installed: in a workspace, in a workspace of an organisation, or in the organisation."""

    team: str
    enterprise: str | None = None
    org: bool = False

    @property
    def team_object(self) -> Json:
        """The workspace as interactions name it."""
        return _team(self.team, self.enterprise)


def command(at: Installed, user: str, text: str, **changes: str) -> dict[str, str]:
    """Return a slash command."""
    organisation = {"enterprise_id": at.enterprise, "enterprise_name": "Sandbox Org"} if at.enterprise else {}
    return {
        "token": "verification_token",
        "team_id": at.team,
        "team_domain": "workspace-domain",
        "channel_id": CHANNEL,
        "channel_name": "incident",
        "user_id": user,
        "user_name": "primary-owner",
        "command": "/flow",
        "text": text,
        "api_app_id": "A0FLOWBOT",
        "is_enterprise_install": "true" if at.org else "false",
        **organisation,
        "response_url": "https://hooks.slack.com/commands/T111/111/random-value",
        "trigger_id": "111.111.command",
        **changes,
    }


def click_in_message(at: Installed, user: Json, action: Json, *, ts: str = TS, ephemeral: bool = False) -> Json:
    """Return a button pressed in a message; one that only its reader sees comes without the message."""
    message = {"message": {"type": "message", "text": "…", "user": "U0FLOWBOT", "ts": ts, "team": at.team}}
    return {
        "type": "block_actions",
        **_interaction(at, user),
        "container": {"type": "message", "message_ts": ts, "channel_id": CHANNEL, "is_ephemeral": ephemeral},
        "trigger_id": "111.222.click",
        "channel": {"id": CHANNEL, "name": "incident"},
        **({} if ephemeral else message),
        "response_url": "https://hooks.slack.com/actions/T111/111/random-value",
        "actions": [action],
    }


def click_in_view(at: Installed, user: Json, action: Json, *, kind: str) -> Json:
    """Return a button pressed in a modal or on the home tab, which have neither channel nor response_url."""
    return {
        "type": "block_actions",
        **_interaction(at, user),
        "container": {"type": "view", "view_id": "V111"},
        "trigger_id": "111.222.view",
        "view": _view(at, kind=kind),
        "actions": [action],
    }


def submission(at: Installed, user: Json, *, callback_id: str, metadata: str, values: Json) -> Json:
    """Return a submitted modal."""
    return {
        "type": "view_submission",
        **_at_home(at, user),
        "trigger_id": "111.222.submission",
        "view": _view(at, callback_id=callback_id, metadata=metadata, values=values),
        "response_urls": [],
    }


def closed(at: Installed, user: Json) -> Json:
    """Return a modal that was closed."""
    return {"type": "view_closed", **_at_home(at, user), "view": _view(at), "is_cleared": False}


def suggestion(at: Installed, user: Json) -> Json:
    """Return a request for the options of a menu."""
    container = {"type": "view", "view_id": "V111"}
    asked = {"action_id": "flow", "block_id": "flow", "value": "main"}
    return {"type": "block_suggestion", **_interaction(at, user), "container": container, **asked, "view": _view(at)}


def global_shortcut(at: Installed, user: Json) -> Json:
    """Return a global shortcut."""
    about = {"callback_id": "stop_flow", "trigger_id": "111.111.shortcut", "action_ts": "111.111"}
    return {"type": "shortcut", **_interaction(at, user), **about}


def message_shortcut(at: Installed, user: Json) -> Json:
    """Return a shortcut that was chosen on a message."""
    return {
        "type": "message_action",
        **_interaction(at, user),
        "callback_id": "stop_flow_message",
        "trigger_id": "111.111.message",
        "message_ts": TS,
        "response_url": "https://hooks.slack.com/app/T111/111/random-value",
        "message": {"type": "message", "user": user["id"], "ts": TS, "text": "main-feed is on fire", "team": at.team},
        "channel": {"id": CHANNEL, "name": "incident"},
        "action_ts": "111.111",
    }


def attachment_button(at: Installed, user: Json) -> Json:
    """Return a button of an attachment, the predecessor of blocks."""
    button = {"name": "approve", "type": "button", "value": "approve"}
    original = {"text": "", "bot_id": "B0FLOWBOT", "type": "message", "subtype": "bot_message", "ts": TS}
    return {
        "type": "interactive_message",
        "actions": [button],
        "callback_id": "approve",
        "team": at.team_object,
        "channel": {"id": CHANNEL, "name": "incident"},
        "user": {"id": user["id"], "name": "gbelson"},
        "action_ts": "1520966872.245369",
        "message_ts": TS,
        "attachment_id": "1",
        "token": "verification_token",
        "is_app_unfurl": True,
        "original_message": {**original, "attachments": [{"callback_id": "approve", "id": 1, "actions": [button]}]},
        "response_url": "https://hooks.slack.com/actions/T111/111/xxxx",
        "trigger_id": "111.222.attachment",
    }


def dialog(at: Installed, user: Json, kind: str) -> Json:
    """Return what becomes of a dialog, the predecessor of modals; `kind` is the payload's type."""
    own: dict[str, Json] = {
        "dialog_suggestion": {"name": "types", "value": "search keyword"},
        "dialog_submission": {
            "submission": {"types": "FE-459"},
            "response_url": "https://hooks.slack.com/app/T111/1/x",
        },
        "dialog_cancellation": {"response_url": "https://hooks.slack.com/app/T111/1/x"},
    }
    return {
        "type": kind,
        "token": "verification_token",
        "action_ts": "1596603332.676855",
        "team": at.team_object,
        "user": {"id": user["id"], "name": "primary-owner", "team_id": user["team_id"]},
        "channel": {"id": CHANNEL, "name": "incident"},
        "callback_id": "deny_reason",
        "state": "Limo",
        **own[kind],
    }


def event(at: Installed, inner: Json, *, source: str | None = None, authorized: bool = True) -> Json:
    """Return an event; in a shared channel `source` is the workspace that it comes from, and not ours."""
    authorization = {
        "enterprise_id": at.enterprise,
        "team_id": None if at.org else at.team,
        "user_id": "U0FLOWBOT",
        "is_bot": True,
        "is_enterprise_install": at.org,
    }
    return {
        "token": "verification_token",
        "team_id": source or at.team,
        **({"enterprise_id": "E0SOURCE" if source else at.enterprise} if source or at.enterprise else {}),
        "api_app_id": "A0FLOWBOT",
        "event": inner,
        "type": "event_callback",
        "event_id": "Ev111",
        "event_time": 1596530385,
        **({"authorizations": [authorization]} if authorized else {}),
        "is_ext_shared_channel": source is not None,
        "event_context": "1-app_mention-T111-C111",
    }


def mention(user: Json, text: str, *, ts: str, **changes: Any) -> Json:
    """Return the inner event of a message with the bot's name in it."""
    return {
        "client_msg_id": "9cbd4c5b-7ddf-4ede-b479-ad21fca66d63",
        "type": "app_mention",
        "text": text,
        "user": user["id"],
        "ts": ts,
        "team": user["team_id"],
        "blocks": [{"type": "rich_text", "block_id": "ezJ", "elements": []}],
        "channel": CHANNEL,
        "event_ts": ts,
        **changes,
    }


def message_changed(user: Json, text: str) -> Json:
    """Return the inner event of an edited message."""
    message = {"type": "message", "user": user["id"], "team": user["team_id"], "text": text, "ts": TS}
    edited = {"edited": {"user": user["id"], "ts": "1596530390.000000"}}
    return {
        "type": "message",
        "subtype": "message_changed",
        "hidden": True,
        "message": message | edited,
        "channel": CHANNEL,
        "previous_message": message,
        "event_ts": "1596530390.000200",
        "ts": "1596530390.000200",
        "channel_type": "channel",
    }


def message_of_a_bot(text: str) -> Json:
    """Return the inner event of a message that an app wrote."""
    about = {"type": "message", "subtype": "bot_message", "bot_id": "B0DEPLOY", "username": "deploy"}
    place = {"channel": CHANNEL, "channel_type": "channel", "ts": TS, "event_ts": TS}
    return {**about, "text": text, **place}


OF_THE_APP: Final[dict[str, Json]] = {
    "app_uninstalled": {"type": "app_uninstalled"},
    "tokens_revoked": {"type": "tokens_revoked", "tokens": {"oauth": ["W111"], "bot": ["W222"]}},
    "team_access_revoked": {"type": "team_access_revoked", "team_ids": ["T111"], "event_ts": "1606805732.987656"},
    "app_rate_limited": {"type": "app_rate_limited", "minute_rate_limited": 1518467820, "api_app_id": "A0FLOWBOT"},
    "app_home_opened": {"type": "app_home_opened", "user": "U0ALICE", "channel": "D0ALICE", "tab": "home"},
    "reaction_added": {
        "type": "reaction_added",
        "user": "U0ALICE",
        "item": {"type": "message", "channel": CHANNEL, "ts": TS},
        "reaction": "heart_eyes",
        "item_user": "U0BOB",
        "event_ts": TS,
    },
    "member_joined_channel": {
        "type": "member_joined_channel",
        "user": "U0ALICE",
        "channel": CHANNEL,
        "channel_type": "C",
        "team": ELSEWHERE,
        "inviter": "U0BOB",
    },
}
"""Inner events that tell something of the app or of a channel."""


def _interaction(at: Installed, user: Json) -> Json:
    """Return what every interaction tells of its person and of the installation."""
    return {
        "user": user,
        "api_app_id": "A0FLOWBOT",
        "token": "verification_token",
        "team": None if at.org else at.team_object,
        "enterprise": {"id": at.enterprise, "name": "Sandbox Org"} if at.enterprise else None,
        "is_enterprise_install": at.org,
    }


def _at_home(at: Installed, user: Json) -> Json:
    """Return the same for a modal, which a stranger sees in their own workspace: ours stands in the view alone."""
    if user["team_id"] != ELSEWHERE:
        return _interaction(at, user)
    theirs = {"team": _team(ELSEWHERE, "E0OTHERSIDE"), "enterprise": {"id": "E0OTHERSIDE", "name": "Other Side"}}
    return _interaction(at, user) | theirs | {"is_enterprise_install": False}


def _team(id: str, enterprise: str | None) -> Json:
    organisation = {"enterprise_id": enterprise, "enterprise_name": "Sandbox Org"} if enterprise else {}
    return {"id": id, "domain": "workspace-domain", **organisation}


def _view(
    at: Installed, *, kind: str = "modal", callback_id: str = "view-id", metadata: str = "", values: Json | None = None
) -> Json:
    return {
        "id": "V111",
        "team_id": at.team,
        "type": kind,
        "blocks": [],
        "private_metadata": metadata,
        "callback_id": callback_id,
        "state": {"values": values} if values is not None else {},
        "hash": "1596530361.3wRYuk3R",
        "title": {"type": "plain_text", "text": "My App"},
        "clear_on_close": False,
        "notify_on_close": False,
        "close": None if kind == "home" else {"type": "plain_text", "text": "Cancel"},
        "submit": None if kind == "home" else {"type": "plain_text", "text": "Submit"},
        "previous_view_id": None,
        "root_view_id": "V111",
        "app_id": "A0FLOWBOT",
        "external_id": "",
        "app_installed_team_id": at.enterprise if at.org else at.team,
        "bot_id": "B0FLOWBOT",
    }
