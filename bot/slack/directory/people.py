"""Who somebody is in Slack, who is in a user group, and who sees a channel.

`cache` keeps answers as long as the caller allows; `snapshots` fetches everybody at once when single calls would exceed
the rate limit. What Slack cannot be asked stays unknown and is never guessed.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, TypeVar

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.commands.deliveries import Actor
from bot.policy.model import Kind, Person
from bot.slack import failures
from bot.slack.directory.cache import UNKNOWN_SHAPE, Cache, Known
from bot.slack.directory.snapshots import Snapshots
from bot.slack.directory.tiers import Tier
from bot.slack.installation import Installation
from bot.usecases import errors, ports

PAGE: Final = 1000
"""People per page of `users.list`, Slack's maximum."""

USERS_INFO: Final = 100
USERGROUPS_USERS_LIST: Final = 20
"""Calls per minute that Slack allows: tiers 4 and 2."""

ONE_BY_ONE: Final = 10
"""Up to this many people are asked about one by one; more share a page."""

LEARN_WITHIN: Final = 1.5
"""Seconds to wait for Slack to say which workspace is ours."""

LEARN_AGAIN: Final = 1.0
"""Seconds before Slack is asked that again."""

SLACKBOT: Final = "USLACKBOT"

STRANGERS: Final = frozenset({"user_not_found", "user_not_visible", "users_not_found"})

UNSEEN: Final = "channel_not_found"
"""Slack's code for a channel that does not exist, or that is private and without the bot."""

# Flags of Slack's user object, by the kind of person they mean; `is_app_user` only says that they authorised the app.
OUT_OF_USE: Final = ("deleted", "is_forgotten", "is_invited_user")
AUTOMATIC: Final = ("is_bot", "is_workflow_bot", "is_connector_bot")
FOREIGN: Final = ("is_stranger", "is_external")
LIMITED: Final = ("is_restricted", "is_ultra_restricted")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelVisibility:
    """Who sees a channel: whether only its members, and whether other organisations too."""

    private: bool
    shared: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """What kind of person somebody is, and their id in the organisation, if Slack gives one."""

    kind: Kind
    person: str | None = None


class SlackDirectory:
    """ports.Directory over the Web API."""

    def __init__(self, *, client: AsyncWebClient, installation: Installation, clock: ports.Clock) -> None:
        self._client = client
        self._installation = installation
        self._clock = clock
        self._learn_again_at = 0.0
        users, members = (Tier(per_minute=most, clock=clock) for most in (USERS_INFO, USERGROUPS_USERS_LIST))
        self._people = people = Snapshots(ask=self._ask_profile, ask_page=self._ask_people, tier=users, clock=clock)
        groups = Snapshots(ask=self._ask_members, ask_page=self._ask_groups, tier=members, clock=clock)
        self._profiles = Cache(ask=people.answer, clock=clock)
        self._groups = Cache(ask=groups.answer, clock=clock)
        self._channels = Cache(ask=self._ask_visibility, clock=clock)

    async def is_ours(self, teams: Collection[str]) -> bool | None:
        """Tell whether one of these is our workspace or organisation; None while Slack has not said which that is.

        Simultaneous callers share one call.
        """
        now = self._clock.now()
        if self._installation.identity is None and not self._installation.is_asking and now < self._learn_again_at:
            return None
        self._learn_again_at = now + LEARN_AGAIN
        return await self._installation.is_ours(teams, within=LEARN_WITHIN)

    async def person(self, actor: Actor, *, max_age: float) -> Person:
        """Return who somebody is; Kind.UNREACHABLE if Slack cannot be asked."""
        return _person(actor, await self._profiles.get(actor.user, max_age=max_age))

    async def persons(self, users: Collection[str], *, max_age: float) -> Mapping[str, Person]:
        """Return who several users are; Kind.UNREACHABLE for those that Slack cannot be asked about right now."""
        since = self._clock.now() - max_age
        unknown = [user for user in users if self._profiles.known(user, since=since) is None]
        page = await self._people.page(since) if len(unknown) > ONE_BY_ONE else None
        for user in unknown:
            if page is not None and user in page.said:
                self._profiles.keep(user, Known(said=page.said[user], at=page.at))
        names = tuple(users)
        profiles = await asyncio.gather(*(self._profiles.get(user, max_age=max_age, patient=False) for user in names))
        team = self._installation.identity.team if self._installation.identity is not None else ""
        found = zip(names, profiles, strict=True)
        return {user: _person(Actor(team=team, user=user), profile) for user, profile in found}

    async def members(self, group: str, *, max_age: float) -> frozenset[str] | None:
        """Return the members of a user group; None if Slack cannot be asked."""
        return await self._groups.get(group, max_age=max_age)

    async def is_private(self, channel: str, *, max_age: float) -> bool | None:
        """Tell whether a channel is visible to its members only; None if Slack cannot be asked."""
        sight = await self._channels.get(channel, max_age=max_age)
        return None if sight is None else sight.private

    async def is_shared(self, channel: str, *, max_age: float) -> bool | None:
        """Tell whether a channel is shared with other organisations; None if Slack cannot be asked."""
        sight = await self._channels.get(channel, max_age=max_age)
        return None if sight is None else sight.shared

    async def _ask_profile(self, user: str) -> Profile:
        await self._installation.learn()  # without it everybody would be a stranger
        try:
            said = await self._client.users_info(user=user)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as failure:
            translated = failures.translate(failure)
            if isinstance(translated, errors.ChatRefused) and translated.code in STRANGERS:
                return Profile(kind=Kind.STRANGER)
            raise translated from failure
        return self._profile(said["user"])

    async def _ask_people(self) -> Mapping[str, Profile]:
        """Fetch everybody, or the first page of them."""
        await self._installation.learn()
        try:
            said = await self._client.users_list(limit=PAGE)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as failure:
            raise failures.translate(failure) from failure
        return _by_id(said["members"], self._profile)

    def _profile(self, user: Mapping[str, Any]) -> Profile:
        return Profile(kind=kind_of(user, ours=self._installation.teams()), person=person_of(user))

    async def _ask_members(self, group: str) -> frozenset[str]:
        try:
            said = await self._client.usergroups_users_list(usergroup=group)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as failure:
            raise failures.translate(failure) from failure
        return frozenset(said["users"])

    async def _ask_groups(self) -> Mapping[str, frozenset[str]]:
        try:
            said = await self._client.usergroups_list(include_users=True)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as failure:
            raise failures.translate(failure) from failure
        return _by_id(said["usergroups"], lambda group: frozenset(group["users"]))

    async def _ask_visibility(self, channel: str, since: float) -> Known[ChannelVisibility]:
        asked_at = self._clock.now()
        try:
            said = await self._client.conversations_info(channel=channel)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as failure:
            translated = failures.translate(failure)
            if isinstance(translated, errors.ChatRefused) and translated.code == UNSEEN:
                return Known(said=ChannelVisibility(private=True, shared=False), at=asked_at)
            raise translated from failure
        sight = ChannelVisibility(private=is_private(said["channel"]), shared=is_shared(said["channel"]))
        return Known(said=sight, at=asked_at)


def _person(actor: Actor, profile: Profile | None) -> Person:
    if profile is None:
        return Person(actor=actor, kind=Kind.UNREACHABLE)
    return Person(actor=dataclasses.replace(actor, person=profile.person), kind=profile.kind)


Of = TypeVar("Of")


def _by_id(found: Iterable[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], Of]) -> Mapping[str, Of]:
    """Index the items of a page by id, skipping those of an unknown shape, which stay unknown."""
    page: dict[str, Of] = {}
    for one in found:
        with contextlib.suppress(*UNKNOWN_SHAPE):
            page[one["id"]] = read(one)
    return page


def is_shared(channel: Mapping[str, Any]) -> bool:
    """Tell from Slack's conversation object whether other organisations see a channel or are invited to it."""
    return bool(channel.get("is_ext_shared") or channel.get("is_pending_ext_shared"))


def is_private(channel: Mapping[str, Any]) -> bool:
    """Tell from Slack's conversation object whether only its members see a channel; yes if it does not say."""
    flags = (channel.get("is_im"), channel.get("is_mpim"), channel.get("is_private", True))
    return any(each is not False for each in flags if each is not None)


def kind_of(user: Mapping[str, Any], *, ours: frozenset[str]) -> Kind:
    """Return the kind of person from Slack's user object (docs.slack.dev, objects/user-object)."""
    if _is(user, *OUT_OF_USE):
        return Kind.DEACTIVATED
    if _is(user, *AUTOMATIC) or user.get("id") == SLACKBOT:
        return Kind.BOT
    organisation = user.get("enterprise_user") or {}
    theirs = {user.get("team_id"), organisation.get("enterprise_id"), *(organisation.get("teams") or ())}
    if _is(user, *FOREIGN) or not theirs & ours:
        return Kind.STRANGER
    return Kind.GUEST if _is(user, *LIMITED) else Kind.MEMBER


def person_of(user: Mapping[str, Any]) -> str | None:
    """Return the person's id in the organisation from Slack's user object; None if there is none."""
    ident = (user.get("enterprise_user") or {}).get("id")
    return ident if isinstance(ident, str) and ident else None


def _is(user: Mapping[str, Any], *flags: str) -> bool:
    return any(user.get(flag) for flag in flags)
