"""Sends messages to Slack: cards and their edits, replies in threads, answers to people.

Every word comes from `messages`. slack_sdk's retries are off: the worker sends again what was lost.
"""

from collections.abc import Callable
from typing import Any, Final, Literal

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.commands.deliveries import Clicked, Entry, Typed
from bot.commands.verbs import Door
from bot.lifecycle import records
from bot.slack import failures, messages
from bot.slack.installation import Installation
from bot.slack.messages import modals
from bot.slack.messages.message import Message
from bot.slack.pacing import Pacer
from bot.slack.reply_handles import ReplyHandles
from bot.usecases import answers, errors, query_results

TRANSPORT: Final = (SlackApiError, aiohttp.ClientError, TimeoutError)

Counted = Literal["post unanswered", "copy clicked"]
"""What is counted: posts whose response was lost, each of which may be a duplicate, and clicks on copies of cards."""

log = structlog.get_logger()


class Notifier:
    """ports.Chat over the Web API."""

    def __init__(
        self,
        *,
        client: AsyncWebClient,
        session: aiohttp.ClientSession,
        installation: Installation,
        reply_handles: ReplyHandles,
        pacer: Pacer,
        count: Callable[[Counted], None] = lambda what: None,
    ) -> None:
        self._client = client
        self._session = session
        self._installation = installation
        self._reply_handles = reply_handles
        self._pacer = pacer
        self._count = count

    async def post_card(self, request: records.Request) -> str:
        """Post the card and return its `ts`."""
        card = messages.card(request, workspace_url=await self._workspace_url())
        return await self._post(request.card.channel, card, thread_ts=request.card.thread)

    async def edit_card(self, request: records.Request) -> None:
        """Update the card to show the given request."""
        card = messages.card(request, workspace_url=await self._workspace_url())
        await self._call(
            "chat.update", channel=request.card.channel, ts=request.card.ts, text=card.text, blocks=list(card.blocks)
        )

    async def reply(self, request: records.Request, reply: records.Reply) -> str:
        """Post one reply in the card's thread and return its `ts`; important ones are broadcast to the channel.

        An announcement for another channel is posted there as a message of its own.
        """
        said = messages.reply(request, reply, workspace_url=await self._workspace_url())
        home = request.emergency.announced_in if request.emergency is not None else None
        if reply.said is records.ReplyKind.ANNOUNCED and home is not None:
            return await self._post(home, said)
        wide = messages.broadcast(request, reply)
        root = request.card.thread or request.card.ts
        return await self._post(request.card.channel, said, thread_ts=root, reply_broadcast=wide or None)

    async def reply_privately(self, request: records.Request, reply: records.Reply) -> None:
        """Tell the requester in a DM what cannot be told in the card's thread."""
        said = messages.reply(request, reply, workspace_url=await self._workspace_url())
        await self._post(request.requester.user, said)

    async def retire_copy(self, channel: str, ts: str, card: answers.CardLink) -> None:
        """Replace a copy of a card with a link to the card."""
        self._count("copy clicked")
        said = messages.copy(card, workspace_url=await self._workspace_url())
        await self._call("chat.update", channel=channel, ts=ts, text=said.text, blocks=list(said.blocks))

    async def answer(self, entry: Entry, answer: answers.AnyAnswer) -> None:
        """Answer one person: by `response_url` while it is valid, else ephemerally in their channel, else in a DM."""
        if isinstance(answer, answers.DenyReasonAsked):
            return await self._ask_why(entry, answer)
        if isinstance(answer, answers.ReviewAsked) and await self._ask_for_review(entry, answer):
            return None
        if isinstance(answer, answers.Noted):
            return None
        said = messages.answer(answer, workspace_url=await self._workspace_url())
        return await self.say_to(entry, said)

    async def show(
        self, entry: Entry, value: query_results.Shown | query_results.NotShown, *, door: Door, replace: bool = False
    ) -> None:
        """Show the result of a read command to the person who asked."""
        said = messages.show(value, door=door, workspace_url=await self._workspace_url())
        await self.say_to(entry, said, replace=replace)

    async def say_to(self, entry: Entry, said: Message, *, replace: bool = False) -> None:
        """Send the sender of an entry a message that only they see; `replace` replaces the message they clicked."""
        if await self._respond(entry.key, said, replace=replace) or await self._whisper(entry, said):
            return
        await self._post(entry.actor.user, said)

    async def open_modal(self, key: str, view: dict[str, object]) -> bool:
        """Open a modal for the sender of an entry; return whether it opened in time."""
        trigger = self._reply_handles.take_trigger(key)
        if trigger is None:
            return False
        try:
            await self._call("views.open", trigger_id=trigger, view=view)
        except errors.ChatError as failure:
            log.info("modal could not be opened", entry=key, reason=str(failure))
            return False
        return True

    async def _ask_why(self, entry: Entry, answer: answers.DenyReasonAsked) -> None:
        await self.open_modal(entry.key, modals.deny_reason(answer.request_id, answer.flow))

    async def _ask_for_review(self, entry: Entry, asked: answers.ReviewAsked) -> bool:
        return await self.open_modal(entry.key, modals.review(asked.request_id, asked.verb, asked.flow))

    async def _respond(self, key: str, said: Message, *, replace: bool) -> bool:
        url = self._reply_handles.use_response_url(key)
        if url is None:
            return False
        body = {
            "response_type": "ephemeral",
            "replace_original": replace,
            "text": said.text,
            "blocks": list(said.blocks),
        }
        try:
            async with self._session.post(url, json=body, allow_redirects=False) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _whisper(self, entry: Entry, said: Message) -> bool:
        if not isinstance(entry.arrival, Typed | Clicked) or not entry.arrival.channel:
            return False
        where: dict[str, Any] = {"channel": entry.arrival.channel, "user": entry.actor.user}
        if entry.arrival.thread_ts is not None:
            where["thread_ts"] = entry.arrival.thread_ts
        try:
            await self._call("chat.postEphemeral", **where, text=said.text, blocks=list(said.blocks))
        except errors.ChatRefused:
            return False
        return True

    async def _post(self, channel: str, said: Message, **more: Any) -> str:
        await self._pacer.turn(channel)
        try:
            posted = await self._call(
                "chat.postMessage",
                channel=channel,
                text=said.text,
                blocks=list(said.blocks),
                unfurl_links=False,
                unfurl_media=False,
                **{name: value for name, value in more.items() if value is not None},
            )
        except errors.ChatUnavailable as failure:
            if not isinstance(failure.__cause__, SlackApiError):
                self._count("post unanswered")  # Slack may have it, and it is posted again
            raise
        ts = posted.get("ts")
        if not isinstance(ts, str) or not ts:
            self._count("post unanswered")
            raise errors.ChatUnavailable("chat.postMessage answered without a ts")
        return ts

    async def _call(self, method: str, **arguments: Any) -> Any:
        try:
            return await self._client.api_call(method, json=arguments)
        except TRANSPORT as failure:
            raise failures.translate(failure) from failure

    async def _workspace_url(self) -> str:
        return (await self._installation.learn()).url
