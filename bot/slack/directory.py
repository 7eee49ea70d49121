"""Slack as a directory: who somebody is, and who is in a user group.

Answers are remembered as long as their asker allows. What Slack cannot be asked is unknown, and nobody guesses.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot import errors, ports
from bot.arrivals import Actor
from bot.policy import Kind, Person
from bot.slack import failures
from bot.slack.installation import Installation

PATIENCE: Final = 30.0
"""Seconds to wait for Slack's rate limit before older answers count."""

FALLBACK_AGE: Final = 60.0
"""Seconds that an answer may be old when the rate limit lasts longer than that."""

REMEMBERED: Final = 10_000
"""Answers kept of each kind."""

SLACKBOT: Final = "USLACKBOT"

STRANGERS: Final = frozenset({"user_not_found", "user_not_visible", "users_not_found"})

UNSEEN: Final = "channel_not_found"
"""Slack's code for a channel that is not there, or that is private and the bot is not in."""

Said = TypeVar("Said")
log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sight:
    """Who sees a channel: only its members, and perhaps people of other organisations."""

    private: bool
    shared: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Known(Generic[Said]):
    said: Said
    at: float


class _Memory(Generic[Said]):
    """Answers of one kind: asked once for all who wait, remembered with their time."""

    def __init__(self, *, ask: Callable[[str], Awaitable[Said]], clock: ports.Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._known: dict[str, _Known[Said]] = {}
        self._asking: dict[str, _Known[asyncio.Task[Said]]] = {}

    async def get(self, name: str, *, max_age: float) -> Said | None:
        """Return an answer at most so old, or None where there is none to be had."""
        known = self._fresh(name, max_age)
        if known is not None:
            return known
        try:
            return await self._ask_patiently(name, max_age)
        except errors.ChatUnavailable as failure:
            log.warning("Slack could not be asked", about=name, reason=str(failure))
            limited = failure.retry_after is not None and str(failure) not in failures.OPERATORS
            return self._fresh(name, FALLBACK_AGE) if limited else None
        except errors.ChatRefused as failure:
            log.warning("Slack would not say", about=name, code=failure.code)
            return None
        except (AttributeError, KeyError, TypeError, ValueError):
            log.warning("Slack answered in a shape that nobody knows", about=name)
            return None

    def _fresh(self, name: str, max_age: float) -> Said | None:
        known = self._known.get(name)
        return known.said if known is not None and 0 <= self._clock.now() - known.at <= max_age else None

    async def _ask_patiently(self, name: str, max_age: float) -> Said:
        give_up = self._clock.now() + PATIENCE
        while True:
            try:
                return await self._ask_once(name, max_age)
            except errors.ChatUnavailable as failure:
                wait = failure.retry_after
                if wait is None or self._clock.now() + wait > give_up:
                    raise
                await self._clock.sleep(max(wait, 1.0))

    async def _ask_once(self, name: str, max_age: float) -> Said:
        """Ask, or wait with whoever asked so short a time ago that the answer will be fresh enough."""
        now, asking = self._clock.now(), self._asking.get(name)
        if asking is None or not 0 <= now - asking.at <= max_age:
            task = asyncio.create_task(self._ask_and_keep(name))
            asking = self._asking[name] = _Known(said=task, at=now)
            task.add_done_callback(lambda done: self._asked(name, done))
        return await asyncio.shield(asking.said)

    def _asked(self, name: str, done: asyncio.Task[Said]) -> None:
        asking = self._asking.get(name)
        if asking is not None and asking.said is done:
            del self._asking[name]
        if not done.cancelled():
            done.exception()  # whoever waits gets it; where nobody waits any more, nobody needs it

    async def _ask_and_keep(self, name: str) -> Said:
        asked_at = self._clock.now()
        said = await self._ask(name)
        known = self._known.pop(name, None)
        self._known[name] = known if known is not None and known.at > asked_at else _Known(said=said, at=asked_at)
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return said


class Directory:
    """ports.Directory over the Web API."""

    def __init__(self, *, client: AsyncWebClient, installation: Installation, clock: ports.Clock) -> None:
        self._client = client
        self._installation = installation
        self._kinds = _Memory(ask=self._ask_kind, clock=clock)
        self._groups = _Memory(ask=self._ask_members, clock=clock)
        self._channels = _Memory(ask=self._ask_sight, clock=clock)

    async def person(self, actor: Actor, *, max_age: float) -> Person:
        """Say what somebody is; Kind.UNREACHABLE when Slack cannot be asked."""
        kind = await self._kinds.get(actor.user, max_age=max_age)
        return Person(actor=actor, kind=kind or Kind.UNREACHABLE)

    async def members(self, group: str, *, max_age: float) -> frozenset[str] | None:
        """Return the members of a user group; None when Slack cannot be asked."""
        return await self._groups.get(group, max_age=max_age)

    async def is_private(self, channel: str, *, max_age: float) -> bool | None:
        """Tell whether only its members see a channel; None when Slack cannot be asked."""
        sight = await self._channels.get(channel, max_age=max_age)
        return None if sight is None else sight.private

    async def is_shared(self, channel: str, *, max_age: float) -> bool | None:
        """Tell whether people of other organisations see a channel; None when Slack cannot be asked."""
        sight = await self._channels.get(channel, max_age=max_age)
        return None if sight is None else sight.shared

    async def _ask_kind(self, user: str) -> Kind:
        await self._installation.learn()  # without it everybody would be a stranger
        try:
            said = await self._client.users_info(user=user)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as failure:
            translated = failures.translate(failure)
            if isinstance(translated, errors.ChatRefused) and translated.code in STRANGERS:
                return Kind.STRANGER
            raise translated from failure
        return kind_of(said["user"], ours=self._installation.teams())

    async def _ask_members(self, group: str) -> frozenset[str]:
        try:
            said = await self._client.usergroups_users_list(usergroup=group)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as failure:
            raise failures.translate(failure) from failure
        return frozenset(said["users"])

    async def _ask_sight(self, channel: str) -> Sight:
        try:
            said = await self._client.conversations_info(channel=channel)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as failure:
            translated = failures.translate(failure)
            if isinstance(translated, errors.ChatRefused) and translated.code == UNSEEN:
                return Sight(private=True, shared=False)
            raise translated from failure
        return Sight(private=is_private(said["channel"]), shared=is_shared(said["channel"]))


def is_shared(channel: Mapping[str, Any]) -> bool:
    """Tell whether other organisations see a channel, or are invited to, from Slack's conversation object."""
    return bool(channel.get("is_ext_shared") or channel.get("is_pending_ext_shared"))


def is_private(channel: Mapping[str, Any]) -> bool:
    """Tell whether only its members see a channel, from Slack's conversation object; what it does not say is a yes."""
    shut = (channel.get("is_im"), channel.get("is_mpim"), channel.get("is_private", True))
    return any(each is not False for each in shut if each is not None)


def kind_of(user: Mapping[str, Any], *, ours: frozenset[str]) -> Kind:
    """Say what somebody is from Slack's user object (docs.slack.dev, objects/user-object)."""
    if user.get("deleted"):
        return Kind.DEACTIVATED
    if user.get("is_bot") or user.get("is_workflow_bot") or user.get("id") == SLACKBOT:
        return Kind.BOT
    organisation = user.get("enterprise_user") or {}
    theirs = {user.get("team_id"), organisation.get("enterprise_id"), *(organisation.get("teams") or ())}
    if user.get("is_stranger") or not theirs & ours:
        return Kind.STRANGER
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return Kind.GUEST
    return Kind.MEMBER
