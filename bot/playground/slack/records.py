"""The objects of a Slack workspace: people, groups, channels, messages, views, calls.

Each can return itself in the shape that Slack's API uses. Knows nothing about permissions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.playground.slack import blocks as block_kit
from bot.playground.slack import rendering

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SlackUser:
    """Anybody who can write a message; the flags are those of Slack's user object.

    On Enterprise Grid one human may be two of these: one with a workspace's own id, one with the organisation's. Both
    have the latter as `enterprise_user_id`; without it, `id` is the only one.
    """

    id: str
    name: str
    team_id: str
    enterprise_id: str | None = None
    enterprise_user_id: str | None = None
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    is_bot: bool = False
    is_workflow_bot: bool = False
    is_invited_user: bool = False
    deleted: bool = False

    def as_user(self) -> Json:
        """Return Slack's user object."""
        user: Json = {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "real_name": self.name.title(),
            "deleted": self.deleted,
            "tz": "Etc/UTC",
            "profile": {"real_name": self.name.title(), "display_name": self.name},
            "is_bot": self.is_bot or self.is_workflow_bot,
            "is_app_user": False,
        }
        user |= {flag: True for flag in ("is_workflow_bot", "is_invited_user") if getattr(self, flag)}
        if not self.deleted:
            user |= {"is_restricted": self.is_restricted, "is_ultra_restricted": self.is_ultra_restricted}
        if self.is_stranger:
            user["is_stranger"] = True
        if self.enterprise_id:
            user["enterprise_user"] = {
                "id": self.enterprise_user_id or self.id,
                "enterprise_id": self.enterprise_id,
                "teams": [self.team_id],
            }
        return user


@dataclass(frozen=True, kw_only=True)
class Group:
    """A user group."""

    id: str
    handle: str
    members: tuple[str, ...]
    enabled: bool = True

    def as_usergroup(self, *, team_id: str, with_users: bool, with_count: bool) -> Json:
        """Return Slack's usergroup object."""
        group: Json = {
            "id": self.id,
            "team_id": team_id,
            "is_usergroup": True,
            "name": self.handle,
            "handle": self.handle,
            "date_delete": 0 if self.enabled else 1_700_000_000,
        }
        if with_users:
            group["users"] = list(self.members)
        if with_count:
            group["user_count"] = len(self.members)
        return group


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A channel, or a direct message between the bot and `dm_with`."""

    id: str
    name: str
    members: frozenset[str]
    is_private: bool = False
    is_ext_shared: bool = False
    is_archived: bool = False
    dm_with: str | None = None

    def as_conversation(self, *, bot_user_id: str, team_id: str) -> Json:
        """Return Slack's conversation object."""
        if self.dm_with:
            return {"id": self.id, "is_im": True, "user": self.dm_with, "is_archived": False, "is_ext_shared": False}
        return {
            "id": self.id,
            "name": self.name,
            "is_channel": not self.is_private,
            "is_group": False,
            "is_im": False,
            "is_mpim": False,
            "is_private": self.is_private,
            "is_archived": self.is_archived,
            "is_shared": self.is_ext_shared,
            "is_ext_shared": self.is_ext_shared,
            "is_org_shared": False,
            "is_member": bot_user_id in self.members,
            "context_team_id": team_id,
        }


@dataclass(frozen=True, kw_only=True)
class PostedMessage:
    """One message in its current version; `only_for` makes it an ephemeral for that person."""

    channel: str
    ts: str
    user: str
    text: str
    blocks: tuple[Json, ...] = ()
    attachments: tuple[Json, ...] = ()
    thread_ts: str | None = None
    bot_id: str | None = None
    only_for: str | None = None
    broadcast: bool = False
    edited: bool = False
    metadata: Json | None = None

    @property
    def plain(self) -> str:
        """The text that a person reads: the blocks if there are any, else the text."""
        return rendering.message(self.text, self.blocks)

    @property
    def buttons(self) -> Mapping[str, Json]:
        """The buttons, menus and inputs of the message, by action_id."""
        return {one["action_id"]: one for _, one in block_kit.elements(self.blocks)}

    @property
    def block_ids(self) -> tuple[str, ...]:
        """The block ids, in order."""
        return tuple(block["block_id"] for block in self.blocks)

    def as_message(self) -> Json:
        """Return Slack's message object."""
        message: Json = {"type": "message", "user": self.user, "text": self.text, "ts": self.ts}
        if self.bot_id:
            message |= {"bot_id": self.bot_id}
        if self.blocks:
            message["blocks"] = list(self.blocks)
        if self.attachments:
            message["attachments"] = list(self.attachments)
        if self.thread_ts:
            message["thread_ts"] = self.thread_ts
        if self.broadcast:
            message["subtype"] = "thread_broadcast"
        if self.edited:
            message["edited"] = {"user": self.user, "ts": self.ts}
        return message


@dataclass(frozen=True, kw_only=True)
class View:
    """A modal as one person sees it; `errors` are the bot's answer to the last submission."""

    id: str
    user: str
    hash: str
    content: Json
    root_id: str
    previous_id: str | None = None
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def blocks(self) -> list[Json]:
        """The blocks of the view."""
        blocks: list[Json] = self.content["blocks"]
        return blocks

    @property
    def title(self) -> str:
        """The title."""
        return str(self.content["title"]["text"])

    @property
    def buttons(self) -> Mapping[str, Json]:
        """The buttons, menus and inputs of the view, by action_id."""
        return {one["action_id"]: one for _, one in block_kit.elements(self.blocks)}

    def as_view(
        self, *, team_id: str, installed_team_id: str, app_id: str, bot_id: str, state: Json | None = None
    ) -> Json:
        """Return Slack's view object: it belongs to its person's team, its app to the team where that is installed."""
        given = {"private_metadata": "", "callback_id": "", "external_id": "", "notify_on_close": False}
        return {
            **given,
            **{"clear_on_close": False, "submit": None, "close": None},
            **self.content,
            "id": self.id,
            "team_id": team_id,
            "app_id": app_id,
            "app_installed_team_id": installed_team_id,
            "bot_id": bot_id,
            "hash": self.hash,
            "root_view_id": self.root_id,
            "previous_view_id": self.previous_id,
            "state": {"values": state or {}},
        }


@dataclass(frozen=True, kw_only=True)
class ApiCall:
    """One call of the Web API or of a response URL in the journal; no response means a lost connection."""

    method: str
    args: Json
    response: Json | None
    status: int | None
    at: float

    @property
    def ok(self) -> bool:
        """Whether Slack answered `ok` and the answer was sent."""
        return bool(self.response and self.response.get("ok"))
