"""Who we are in Slack: workspace, organisation and bot user, as `auth.test` returns them.

Asked until Slack has answered once; callers that wait at the same time share one call.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Collection

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack import failures
from bot.usecases import errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """The answer of `auth.test`; `url` is the workspace's address, with a trailing slash."""

    team: str
    enterprise: str | None
    bot_user: str
    bot: str
    url: str


class Installation:
    """Asks who we are, and remembers it."""

    def __init__(self, *, client: AsyncWebClient) -> None:
        self._client = client
        self._question: asyncio.Future[Identity] | None = None
        self.identity: Identity | None = None

    async def learn(self) -> Identity:
        """Return who we are, asking Slack if it is not known yet.

        Raises errors.ChatRefused if the token is invalid, errors.ChatUnavailable if Slack does not answer.
        """
        if self.identity is None:
            if self._question is None or self._question.done():
                self._question = asyncio.ensure_future(self._ask())
            return await asyncio.shield(self._question)
        return self.identity

    @property
    def is_asking(self) -> bool:
        """Whether a call to Slack is in progress."""
        return self._question is not None and not self._question.done()

    async def is_ours(self, teams: Collection[str], *, within: float) -> bool | None:
        """Tell whether one of these ids is ours; None if Slack does not answer within this many seconds."""
        if self.identity is None:
            with contextlib.suppress(errors.ChatError, TimeoutError):
                async with asyncio.timeout(within):
                    await self.learn()
        return None if self.identity is None else not self.teams().isdisjoint(teams)

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
        team = data.get("team_id") or data.get("enterprise_id")  # an organisation's installation may have no workspace
        if not isinstance(team, str):
            raise errors.ChatUnavailable("auth.test answered without a team")
        self.identity = Identity(
            team=team,
            enterprise=said.get("enterprise_id"),
            bot_user=str(said.get("user_id") or ""),
            bot=str(said.get("bot_id") or ""),
            url=str(said.get("url") or ""),
        )
        return self.identity
