"""What one person sees of the workspace, as values under keys, so that only changes have to be sent.

Reads the workspace and remembers how far each person has read. `static/` displays it.
"""

import re
from collections import defaultdict
from typing import Any, Final

from bot.playground.slack.records import Channel, PostedMessage, SlackUser
from bot.playground.slack.workspace import SLACKBOT, Workspace

Json = dict[str, Any]

KEPT: Final = 300
"""Messages shown per channel."""

_MENTION: Final = re.compile(r"<@([A-Z0-9]+)>|<!subteam\^([A-Z0-9]+)>|<!(here|channel|everyone)>")


class Sight:
    """The workspace as its people see it."""

    def __init__(self, workspace: Workspace, *, sets: dict[str, tuple[str, ...]]) -> None:
        """`sets` are the named sets of the policy, by which people are described."""
        self._workspace = workspace
        self._sets = sets
        self._read: dict[tuple[str, str], str] = defaultdict(str)

    def read(self, user: str, channel: str, ts: str) -> None:
        """Note that somebody has read a channel up to this message."""
        if ts > self._read[user, channel]:
            self._read[user, channel] = ts
            self._workspace.changed()

    def of(self, user: str) -> dict[str, Any]:
        """Return everything that a person sees, by key."""
        workspace = self._workspace
        seen: dict[str, Any] = {
            "me": self._person(workspace.persons[user]) | {"id": user},
            "people": [self._person(one) for one in workspace.persons.values()],
            "groups": [{"id": one.id, "name": one.handle, "members": one.members} for one in workspace.groups.values()],
            "channels": [self._channel(one, user) for one in workspace.channels.values() if _is_shown(one, user)],
            "view": self._view(user),
        }
        for channel in workspace.channels:
            for message in workspace.seen_by(user, channel)[-KEPT:]:
                seen[f"m:{channel}:{message.ts}"] = self._message(message)
        return seen

    def pinged(self, user: str) -> int:
        """Return the number of unread messages that mention somebody."""
        return sum(self._unread(user, channel)[1] for channel in self._workspace.channels)

    def _person(self, person: SlackUser) -> Json:
        can = not (person.deleted or person.is_bot or person.is_workflow_bot or person.id == SLACKBOT)
        return {
            "id": person.id,
            "name": person.name,
            "kind": kind(person),
            "sets": self._sets_of(person.id),
            "canType": can,
            "stranger": person.is_stranger,
            "pinged": self.pinged(person.id) if can else 0,
        }

    def _sets_of(self, user: str) -> list[str]:
        groups = {one.id for one in self._workspace.groups.values() if user in one.members}
        return [name for name, entries in self._sets.items() if user in entries or groups & set(entries)]

    def _channel(self, channel: Channel, user: str) -> Json:
        unread, pings = self._unread(user, channel.id)
        return {
            "id": channel.id,
            "name": channel.name,
            "dm": bool(channel.dm_with),
            "private": channel.is_private,
            "archived": channel.is_archived,
            "members": len(channel.members),
            "unread": unread,
            "pings": pings,
            "readTo": self._read[user, channel.id],
        }

    def _unread(self, user: str, channel: str) -> tuple[int, int]:
        """Return how many messages somebody has not read, and how many of them mention that person."""
        since = self._read[user, channel]
        new = [one for one in self._workspace.seen_by(user, channel) if one.ts > since and one.user != user]
        pings = [one for one in new if self._calls(one, user)]
        return len([one for one in new if not one.thread_ts or one.broadcast or one in pings]), len(pings)

    def _calls(self, message: PostedMessage, user: str) -> bool:
        if self._workspace.channels[message.channel].dm_with == user:
            return True
        for found in _MENTION.finditer(message.plain):
            person, group, all_of_them = found.groups()
            members = self._workspace.groups[group].members if group in self._workspace.groups else ()
            if person == user or user in members or all_of_them:
                return not message.blocks or message.thread_ts is not None  # edits of a card ping nobody
        return False

    def _message(self, message: PostedMessage) -> Json:
        return {
            "channel": message.channel,
            "ts": message.ts,
            "user": message.user,
            "text": message.text,
            "blocks": message.blocks,
            "attachments": len(message.attachments),
            "thread": message.thread_ts if message.thread_ts != message.ts else None,
            "broadcast": message.broadcast,
            "private": bool(message.only_for),
            "edited": message.edited,
            "version": len(self._workspace.versions(message)) - 1,
        }

    def _view(self, user: str) -> Json | None:
        view = self._workspace.top_view(user)
        if view is None:
            return None
        depth = len(self._workspace.views(user))
        return {"id": view.id, "hash": view.hash, "depth": depth, "content": view.content, "errors": view.errors}


def kind(person: SlackUser) -> str:
    """Return the kind of person, in the words of the policy."""
    if person.deleted:
        return "deactivated"
    if person.is_bot or person.is_workflow_bot:
        return "app"
    if person.is_stranger:
        return "other organisation"
    if person.is_ultra_restricted:
        return "single-channel guest"
    return "guest" if person.is_restricted else "member"


def _is_shown(channel: Channel, user: str) -> bool:
    return user in channel.members
