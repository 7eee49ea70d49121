"""The state of one Slack workspace: people, groups, channels, messages, open views and the journal of calls.

Every change notifies the watchers. It holds facts; its callers decide what the API allows and what a person may press.
It knows neither HTTP nor the bot.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from bot.playground.slack import blocks as block_kit
from bot.playground.slack.records import ApiCall, Channel, Group, Json, PostedMessage, SlackUser, View

SLACKBOT = "USLACKBOT"
MOST_VIEWS = 3


class Workspace:
    """A workspace in which one app, the bot, is installed."""

    def __init__(
        self,
        *,
        now: Callable[[], float],
        team_id: str = "T0PLAYGROUND",
        domain: str = "playground",
        enterprise_id: str | None = None,
        org_install: bool = False,
        app_id: str = "A0FLOWBOT",
        bot_user_id: str = "U0FLOWBOT",
        bot_id: str = "B0FLOWBOT",
        bot_name: str = "flowbot",
        posts_everywhere: bool = False,
    ) -> None:
        """Set up an empty workspace; `posts_everywhere` grants the scope chat:write.public."""
        self.now = now
        self.team_id = team_id
        self.domain = domain
        self.enterprise_id = enterprise_id
        self.org_install = org_install
        self.app_id = app_id
        self.bot_user_id = bot_user_id
        self.bot_id = bot_id
        self.posts_everywhere = posts_everywhere
        self.persons: dict[str, SlackUser] = {}
        self.groups: dict[str, Group] = {}
        self.channels: dict[str, Channel] = {}
        self.calls: list[ApiCall] = []
        self.watchers: list[Callable[[], None]] = []
        self._messages: dict[tuple[str, str], list[PostedMessage]] = {}
        self._removed: set[tuple[str, str]] = set()
        self._views: dict[str, tuple[View, ...]] = {}
        self._last_ts = 0
        self._counter = 0
        self.add_person(bot_user_id, bot_name, is_bot=True)
        self.add_person(SLACKBOT, "slackbot")

    def changed(self) -> None:
        """Notify every watcher of a change."""
        for watcher in list(self.watchers):
            watcher()

    def next_id(self, prefix: str) -> str:
        """Return an unused id."""
        self._counter += 1
        return f"{prefix}{self._counter:06d}"

    # People, groups and channels

    def add_person(self, id: str, name: str, *, team_id: str | None = None, **flags: Any) -> SlackUser:
        """Add a person; flags are those of `SlackUser`. A stranger needs the other team's id."""
        organisation = None if flags.get("is_stranger") else self.enterprise_id
        person = SlackUser(
            id=id, name=name, team_id=team_id or self.team_id, **({"enterprise_id": organisation} | flags)
        )
        if person.is_stranger and person.team_id == self.team_id:
            raise ValueError(f"{id} is a stranger, so it needs another team: give team_id=")
        self.persons[id] = person
        self.changed()
        return person

    def change_person(self, id: str, **changes: Any) -> SlackUser:
        """Change flags of a person, such as `deleted=True`."""
        self.persons[id] = replace(self.persons[id], **changes)
        self.changed()
        return self.persons[id]

    def add_group(self, id: str, handle: str, members: Sequence[str], *, enabled: bool = True) -> Group:
        """Add a user group."""
        self.groups[id] = Group(id=id, handle=handle, members=tuple(members), enabled=enabled)
        self.changed()
        return self.groups[id]

    def change_group(self, id: str, **changes: Any) -> Group:
        """Change a user group's members, or enable or disable it."""
        self.groups[id] = replace(self.groups[id], **changes)
        self.changed()
        return self.groups[id]

    def add_channel(
        self,
        id: str,
        name: str,
        members: Iterable[str],
        *,
        bot: bool = True,
        private: bool = False,
        shared: bool = False,
        archived: bool = False,
    ) -> Channel:
        """Add a channel with these members, and with the bot unless told otherwise."""
        everybody = frozenset((*members, self.bot_user_id) if bot else members)
        if unknown := everybody - self.persons.keys():
            raise ValueError(f"there is no person {', '.join(sorted(unknown))}")
        self.channels[id] = Channel(
            id=id,
            name=name,
            members=everybody,
            is_private=private or id.startswith("D"),
            is_ext_shared=shared,
            is_archived=archived,
        )
        self.changed()
        return self.channels[id]

    def change_channel(self, id: str, **changes: Any) -> Channel:
        """Change a channel, such as `is_archived=True`."""
        self.channels[id] = replace(self.channels[id], **changes)
        self.changed()
        return self.channels[id]

    def join(self, channel: str, user: str) -> None:
        """Add somebody, or the bot, to a channel."""
        self.change_channel(channel, members=self.channels[channel].members | {user})

    def leave(self, channel: str, user: str) -> None:
        """Remove somebody, or the bot, from a channel."""
        self.change_channel(channel, members=self.channels[channel].members - {user})

    def open_dm(self, user: str) -> Channel:
        """Return the direct message between the bot and a person, opened if needed."""
        id = f"D{user[1:]}"
        if id not in self.channels:
            members = frozenset((user, self.bot_user_id))
            self.channels[id] = Channel(id=id, name="directmessage", members=members, is_private=True, dm_with=user)
            self.changed()
        return self.channels[id]

    def is_in(self, user: str, channel: str) -> bool:
        """Tell whether somebody is a member of a channel."""
        place = self.channels.get(channel)
        return place is not None and user in place.members

    # Messages

    def post(self, channel: str, user: str, text: str, *, blocks: Sequence[Json] = (), **more: Any) -> PostedMessage:
        """Add a message with a new ts; blocks get missing ids. `more` are fields of `Message`."""
        message = PostedMessage(
            channel=channel, ts=self._new_ts(), user=user, text=text, blocks=self._numbered(blocks), **more
        )
        self._messages[channel, message.ts] = [message]
        self.changed()
        return message

    def edit(self, message: PostedMessage, **changes: Any) -> PostedMessage:
        """Replace the current version of a message; blocks get missing ids."""
        if "blocks" in changes:
            changes["blocks"] = self._numbered(changes["blocks"])
        edited = replace(message, **changes)
        self._messages[message.channel, message.ts].append(edited)
        self.changed()
        return edited

    def remove(self, message: PostedMessage) -> None:
        """Remove a message; its versions stay available."""
        self._removed.add((message.channel, message.ts))
        self.changed()

    def message(self, channel: str, ts: str) -> PostedMessage | None:
        """Return the current version of a message, including ephemerals; None if there is none or it was removed."""
        if (channel, ts) in self._removed or (channel, ts) not in self._messages:
            return None
        return self._messages[channel, ts][-1]

    def versions(self, message: PostedMessage) -> list[PostedMessage]:
        """Return every version of a message, oldest first."""
        return list(self._messages[message.channel, message.ts])

    def messages(self, channel: str) -> list[PostedMessage]:
        """Return the messages of the channel itself: roots and broadcast replies, no ephemerals."""
        return [one for one in self._standing(channel) if not one.only_for and (one.broadcast or not one.thread_ts)]

    def thread(self, root: PostedMessage) -> list[PostedMessage]:
        """Return the replies to a message, without ephemerals."""
        return [
            one
            for one in self._standing(root.channel)
            if one.thread_ts == root.ts and one.ts != root.ts and not one.only_for
        ]

    def ephemerals(self, user: str, channel: str | None = None) -> list[PostedMessage]:
        """Return the ephemeral messages of that person, everywhere or in one channel."""
        channels = [channel] if channel else list(self.channels)
        return [one for place in channels for one in self._standing(place) if one.only_for == user]

    def as_message(self, message: PostedMessage) -> Json:
        """Return Slack's message object; a root with replies names its own thread."""
        replies = [] if message.thread_ts else self.thread(message)
        counted = {"thread_ts": message.ts, "reply_count": len(replies)} if replies else {}
        return message.as_message() | counted

    def seen_by(self, user: str, channel: str) -> list[PostedMessage]:
        """Return everything that a person sees in a channel, including threads and their ephemerals."""
        if not self.is_in(user, channel):
            return []
        return [one for one in self._standing(channel) if one.only_for in (None, user)]

    def with_button(self, channel: str, action_id: str, *, seen_by: str | None = None) -> list[PostedMessage]:
        """Return the messages that show such a button now, including threads, to everybody or to one person."""
        standing = self.seen_by(seen_by, channel) if seen_by else [m for m in self._standing(channel) if not m.only_for]
        return [one for one in standing if action_id in one.buttons]

    def _standing(self, channel: str) -> list[PostedMessage]:
        kept = (key for key in self._messages if key[0] == channel and key not in self._removed)
        return [self._messages[key][-1] for key in kept]

    def _new_ts(self) -> str:
        self._last_ts = max(int(self.now()) * 1_000_000 + 100, self._last_ts + 100)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def _numbered(self, blocks: Sequence[Json]) -> tuple[Json, ...]:
        return block_kit.identified(blocks, new_id=self.next_id)

    # Views

    def views(self, user: str) -> tuple[View, ...]:
        """Return the modals that are open for a person, the topmost last."""
        return self._views.get(user, ())

    def top_view(self, user: str) -> View | None:
        """Return the topmost modal of a person."""
        return next(reversed(self.views(user)), None)

    def view(self, id: str | None, *, external_id: str | None = None) -> View | None:
        """Return an open view by its id or external id."""
        views = (view for stack in self._views.values() for view in stack)
        return next((one for one in views if one.id == id or _named(one, external_id)), None)

    def as_view(self, view: View, *, state: Json | None = None) -> Json:
        """Return Slack's view object; an organisation-wide app is installed in the organisation."""
        return view.as_view(
            team_id=self.persons[view.user].team_id,
            installed_team_id=(self.enterprise_id if self.org_install else None) or self.team_id,
            app_id=self.app_id,
            bot_id=self.bot_id,
            state=state,
        )

    def open_view(self, user: str, content: Json) -> View:
        """Open a modal for a person, replacing those that were open."""
        self._views[user] = ()
        return self.push_view(user, content)

    def push_view(self, user: str, content: Json) -> View:
        """Open a modal on top of those that are open."""
        below = self.views(user)
        id = self.next_id("V")
        view = View(
            id=id,
            user=user,
            hash=self.next_id("h"),
            content=self._with_ids(content),
            root_id=below[0].id if below else id,
            previous_id=below[-1].id if below else None,
        )
        self._set_views(user, (*below, view))
        return view

    def change_view(self, view: View, **changes: Any) -> View:
        """Replace an open view, with a new hash."""
        if "content" in changes:
            changes["content"] = self._with_ids(changes["content"])
        changed = replace(view, hash=self.next_id("h"), **changes)
        self._set_views(view.user, tuple(changed if one.id == view.id else one for one in self.views(view.user)))
        return changed

    def close_view(self, view: View) -> None:
        """Close a view and all above it."""
        stack = self.views(view.user)
        ids = [one.id for one in stack]
        if view.id in ids:
            self._set_views(view.user, stack[: ids.index(view.id)])

    def clear_views(self, user: str) -> None:
        """Close every view of a person."""
        self._set_views(user, ())

    def _with_ids(self, content: Json) -> Json:
        return {**content, "blocks": list(self._numbered(content["blocks"]))}

    def _set_views(self, user: str, views: tuple[View, ...]) -> None:
        self._views[user] = views
        self.changed()

    # The journal

    def record(self, call: ApiCall) -> None:
        """Add a call of the bot to the journal."""
        self.calls.append(call)
        self.changed()

    def called(self, method: str) -> list[ApiCall]:
        """Return the calls of one method, in order."""
        return [call for call in self.calls if call.method == method]


def _named(view: View, external_id: str | None) -> bool:
    return bool(external_id) and view.content.get("external_id") == external_id
