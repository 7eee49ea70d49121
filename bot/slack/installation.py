"""Who we are in Slack: the workspace, the organisation and the bot user, as `auth.test` tells them.

Asked once; asked again as long as Slack has not answered.
"""

import asyncio
import dataclasses

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot import errors
from bot.slack import failures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """What `auth.test` says; `url` is the workspace's address, with a slash at the end."""

    team: str
    enterprise: str | None
    bot_user: str
    bot: str
    url: str


class Installation:
    """Learns and remembers who we are."""

    def __init__(self, *, client: AsyncWebClient) -> None:
        self._client = client
        self._asking = asyncio.Lock()
        self.identity: Identity | None = None

    async def learn(self) -> Identity:
        """Ask Slack who we are.

        Raises errors.ChatRefused when the token is no good, errors.ChatUnavailable when Slack does not answer.
        """
        if self.identity is None:
            async with self._asking:
                self.identity = self.identity or await self._ask()
        return self.identity

    def teams(self) -> frozenset[str]:
        """Return the ids of our workspace and organisation; empty while unknown."""
        if self.identity is None:
            return frozenset()
        return frozenset(id for id in (self.identity.team, self.identity.enterprise) if id)

    async def _ask(self) -> Identity:
        try:
            said = await self._client.auth_test()
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as failure:
            translated = failures.translate(failure)
            if str(translated) in failures.OPERATORS:
                raise errors.ChatRefused(str(translated)) from failure
            raise translated from failure
        data = said.data if isinstance(said.data, dict) else {}
        team = data.get("team_id") or data.get("enterprise_id")  # an organisation's installation may be in no workspace
        if not isinstance(team, str):
            raise errors.ChatUnavailable("auth.test answered without a team")
        return Identity(
            team=team,
            enterprise=said.get("enterprise_id"),
            bot_user=str(said.get("user_id") or ""),
            bot=str(said.get("bot_id") or ""),
            url=str(said.get("url") or ""),
        )
