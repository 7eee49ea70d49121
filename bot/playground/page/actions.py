"""Actions of a person on the page, each turned into what their Slack client would send.

Owns the parsing of what the browser posts. `slack.deliveries` decides what a client allows.
"""

import html
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from bot.commands import verbs as verb_table
from bot.playground.page.sight import Sight
from bot.playground.slack.acks import Ack
from bot.playground.slack.errors import NotPossible
from bot.playground.slack.records import PostedMessage, View
from bot.playground.slack.server import SlackStandIn
from bot.playground.slack.workspace import SLACKBOT

Json = dict[str, Any]
Action = Callable[[Mapping[str, Any]], Awaitable[Json]]

COMMAND: Final = "/flow"

_ADDRESS: Final = re.compile(r"https?://[^\s<>]+")
_NAMED: Final = re.compile(r"@([A-Za-z0-9._-]+)")
_IN_THREAD: Final = "Slack does not allow slash commands in threads. Type it in the channel, or mention the app here."


class Actions:
    """The actions that people in the workspace can take."""

    def __init__(self, slack: SlackStandIn, sight: Sight) -> None:
        self._slack = slack
        self._workspace = slack.workspace
        self._people = slack.people
        self._sight = sight
        self.known: Mapping[str, Action] = {
            "say": self._say,
            "click": self._click,
            "suggest": self._suggest,
            "submit": self._submit,
            "close": self._close,
            "read": self._mark_read,
        }

    async def do(self, name: str, given: Mapping[str, Any]) -> Json:
        """Carry out an action, and return what the client shows for it. Raises KeyError for an unknown action."""
        try:
            return await self.known[name](given)
        except NotPossible as no:
            return {"ok": False, "problems": [f"Slack does not allow this: {no}"]}

    def words(self) -> dict[str, Any]:
        """Return the texts that the composer offers as completions, by key."""
        verbs = [
            {"name": verb.value, "usage": entry.arguments, "does": entry.does}
            for verb, entry in verb_table.VERBS.items()
            if entry.built
        ]
        workspace = self._workspace
        site = f"https://{workspace.domain}.slack.com/"
        return {"verbs": verbs, "workspace": {"site": site, "bot": workspace.bot_user_id, "botName": self._bot_name()}}

    async def _say(self, given: Mapping[str, Any]) -> Json:
        """Send the text of the composer: a command, a mention of the bot, or a plain message."""
        user, channel, text = str(given["as"]), str(given["channel"]), str(given["text"]).strip()
        root = self._workspace.message(channel, str(given["thread"])) if given.get("thread") else None
        if text.startswith("/"):
            return await self._command(user, channel, text, in_thread=root is not None)
        first, _, rest = text.partition(" ")
        if first.rstrip(":,") == f"@{self._bot_name()}":
            return _told(await self._people.mention(user, channel, self._encoded(rest), thread=root))
        if user not in self._workspace.channels[channel].members:
            raise NotPossible(f"{user} is not in {channel}")
        self._workspace.post(channel, user, self._encoded(text), thread_ts=root.ts if root else None)
        return {"ok": True}

    async def _command(self, user: str, channel: str, text: str, *, in_thread: bool) -> Json:
        name, _, rest = text.partition(" ")
        if in_thread:
            self._slackbot(user, channel, _IN_THREAD)
            return {"ok": True}
        if name != COMMAND:
            self._slackbot(user, channel, f"`{html.escape(name, quote=False)}` is not a command here. Use {COMMAND}.")
            return {"ok": True}
        return _told(await self._people.command(user, channel, html.escape(rest, quote=False)))

    async def _click(self, given: Mapping[str, Any]) -> Json:
        """Press a button as the browser showed it, which may be an older version than the current one."""
        user, action = str(given["as"]), str(given["action"])
        target = self._view(given) if "view" in given else self._message(given)
        stale = None
        if isinstance(target, PostedMessage):
            versions, shown = self._workspace.versions(target), int(given["version"])
            stale = versions[shown].blocks if 0 <= shown < len(versions) - 1 else None
        return _told(await self._people.click(user, target, action, value=given.get("value"), stale=stale))

    async def _suggest(self, given: Mapping[str, Any]) -> Json:
        target = self._view(given) if "view" in given else self._message(given)
        ack = await self._people.suggest(str(given["as"]), target, str(given["action"]), str(given["query"]))
        return _told(ack) | {"options": ack.json}

    async def _submit(self, given: Mapping[str, Any]) -> Json:
        values = dict(given["values"])
        return _told(await self._people.submit(str(given["as"]), self._view(given), values))

    async def _close(self, given: Mapping[str, Any]) -> Json:
        return _told(await self._people.close(str(given["as"]), self._view(given)))

    async def _mark_read(self, given: Mapping[str, Any]) -> Json:
        self._sight.read(str(given["as"]), str(given["channel"]), str(given["ts"]))
        return {"ok": True}

    def _message(self, given: Mapping[str, Any]) -> PostedMessage:
        message = self._workspace.message(str(given["channel"]), str(given["ts"]))
        if message is None:
            raise NotPossible("the message no longer exists")
        return message

    def _view(self, given: Mapping[str, Any]) -> View:
        view = self._workspace.view(str(given["view"]))
        if view is None:
            raise NotPossible("the dialog is already closed")
        return view

    def _slackbot(self, user: str, channel: str, words: str) -> None:
        self._workspace.post(channel, SLACKBOT, words, only_for=user)

    def _bot_name(self) -> str:
        return self._workspace.persons[self._workspace.bot_user_id].name

    def _encoded(self, text: str) -> str:
        """Return the text as a client sends it: escaped, with ids for people and groups, and URLs as links."""
        people = {one.name: f"<@{one.id}>" for one in self._workspace.persons.values()}
        groups = {one.handle: f"<!subteam^{one.id}>" for one in self._workspace.groups.values()}
        known = groups | people
        named = _NAMED.sub(lambda found: known.get(found[1], found[0]), html.escape(text, quote=False))
        return _ADDRESS.sub(r"<\g<0>>", named)


def _told(ack: Ack) -> Json:
    """Return what the page shows of an acknowledgement: problems, and how long it took."""
    delivered = ack.sent is not None
    failed = delivered and not ack.ok
    return {"ok": not failed and not ack.problems, "problems": list(ack.problems), "seconds": round(ack.latency, 3)}
