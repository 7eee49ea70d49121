"""The workspace as it is, for whoever checks a deployment: the tokens, the channels and the user groups.

Asks each question once, keeps nothing and judges nothing. What Slack cannot be asked comes back as a value.
"""

import dataclasses
import email.utils
from collections.abc import Mapping
from typing import Any, TypeAlias

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack import failures
from bot.slack.directory import people
from bot.usecases import errors, ports


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unasked:
    """A question without an answer: Slack's error code or a failure of the network, and the scope that is missing."""

    code: str
    needed: str = ""

    @property
    def is_refused_token(self) -> bool:
        """Whether Slack does not accept the token at all."""
        return self.code in failures.OPERATORS - {"missing_scope"}

    @property
    def is_limited(self) -> bool:
        """Whether Slack asks to wait, as it does if the running bot has used up what the app may ask."""
        return self.code in ("ratelimited", "429")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenSeen:
    """What Slack says about the bot token. `scopes` is None if it does not name them.

    `slack_time` is Slack's clock at our time `at`, both in seconds since the epoch; None if Slack did not say.
    """

    refused: Unasked | None = None
    team: str = ""
    domain: str = ""
    bot_name: str = ""
    scopes: frozenset[str] | None = None
    slack_time: float | None = None
    at: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelSeen:
    """A channel, as Slack shows it to the bot."""

    name: str
    joined: bool
    archived: bool
    shared: bool
    private: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupSeen:
    """A user group and its members."""

    handle: str
    members: frozenset[str]
    enabled: bool


GroupsSeen: TypeAlias = Mapping[str, GroupSeen]


class Survey:
    """Asks Slack about the workspace."""

    def __init__(self, *, client: AsyncWebClient, clock: ports.Clock) -> None:
        self._client = client
        self._clock = clock

    async def token(self) -> TokenSeen:
        """Ask who we are, which scopes we have, and what time it is."""
        began = self._clock.now()
        refused, said = None, None
        try:
            said = await self._client.auth_test()
            headers: Mapping[str, str] = said.headers
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as failure:
            refused, headers = _unasked(failure), _headers(failure)
        found: Mapping[str, Any] = said.data if said is not None and isinstance(said.data, dict) else {}
        return TokenSeen(
            refused=refused,
            team=str(found.get("team_id") or found.get("enterprise_id") or ""),
            domain=str(found.get("team") or ""),
            bot_name=str(found.get("user") or ""),
            scopes=_scopes(headers),
            slack_time=_time(headers),
            at=(began + self._clock.now()) / 2,
        )

    async def ticket(self, app_token: str) -> str | Unasked:
        """Ask for the address of a connection, which nobody has to open."""
        try:
            said = await self._client.apps_connections_open(app_token=app_token)
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as failure:
            return _unasked(failure)
        url = said.get("url")
        return url if isinstance(url, str) and url else Unasked(code="no address")

    async def channel(self, channel: str) -> ChannelSeen | Unasked:
        """Ask about one channel."""
        try:
            said = await self._client.conversations_info(channel=channel)
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as failure:
            return _unasked(failure)
        found: Mapping[str, Any] = said.get("channel") or {}
        return ChannelSeen(
            name=str(found.get("name") or ""),
            joined=bool(found.get("is_member")),
            archived=bool(found.get("is_archived")),
            shared=people.is_shared(found),
            private=people.is_private(found),
        )

    async def groups(self) -> GroupsSeen | Unasked:
        """Ask about all user groups at once: Slack allows twenty such questions a minute."""
        try:
            said = await self._client.usergroups_list(include_users=True, include_disabled=True)
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as failure:
            return _unasked(failure)
        return {
            str(one.get("id")): GroupSeen(
                handle=str(one.get("handle") or ""),
                members=frozenset(one.get("users") or ()),
                enabled=not one.get("date_delete"),
            )
            for one in said.get("usergroups") or ()
        }


def _unasked(failure: Exception) -> Unasked:
    response = getattr(failure, "response", None)
    data = getattr(response, "data", None)
    needed = data.get("needed") if isinstance(data, dict) else None
    translated = failures.translate(failure)
    code = translated.code if isinstance(translated, errors.ChatRefused) else str(translated)
    return Unasked(code=code, needed=str(needed or ""))


def _headers(failure: Exception) -> Mapping[str, str]:
    return getattr(getattr(failure, "response", None), "headers", None) or {}


def _header(headers: Mapping[str, str], wanted: str) -> str | None:
    return next((value for name, value in headers.items() if name.lower() == wanted), None)


def _scopes(headers: Mapping[str, str]) -> frozenset[str] | None:
    written = _header(headers, "x-oauth-scopes")
    return None if written is None else frozenset(filter(None, (each.strip() for each in written.split(","))))


def _time(headers: Mapping[str, str]) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(_header(headers, "date") or "").timestamp()
    except (ValueError, OverflowError):
        return None
