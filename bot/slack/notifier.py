"""Slack as a place to speak: posts and edits cards, replies in their threads, answers people.

It composes nothing itself: every word comes from `messages`. slack_sdk repeats nothing here: what was lost is told
again by the worker.
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
"""What is counted: posts whose answer was lost, each a possible copy, and clicks on copies of cards."""

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
        """Make the card show the request as seen."""
        card = messages.card(request, workspace_url=await self._workspace_url())
        await self._call(
            "chat.update", channel=request.card.channel, ts=request.card.ts, text=card.text, blocks=list(card.blocks)
        )

    async def reply(self, request: records.Request, reply: records.Reply) -> str:
        """Post one reply under the card, in the channel as well where nobody may miss it, and return its `ts`.

        What is announced in another channel stands there by itself.
        """
        said = messages.reply(request, reply, workspace_url=await self._workspace_url())
        home = request.emergency.announced_in if request.emergency is not None else None
        if reply.said is records.ReplyKind.ANNOUNCED and home is not None:
            return await self._post(home, said)
        wide = messages.broadcast(request, reply)
        root = request.card.thread or request.card.ts
        return await self._post(request.card.channel, said, thread_ts=root, reply_broadcast=wide or None)

    async def reply_privately(self, request: records.Request, reply: records.Reply) -> None:
        """Tell the requester in a DM what cannot be told under the card."""
        said = messages.reply(request, reply, workspace_url=await self._workspace_url())
        await self._post(request.requester.user, said)

    async def retire_copy(self, channel: str, ts: str, card: answers.CardLink) -> None:
        """Turn a copy of a card into a link to the card."""
        self._count("copy clicked")
        said = messages.copy(card, workspace_url=await self._workspace_url())
        await self._call("chat.update", channel=channel, ts=ts, text=said.text, blocks=list(said.blocks))

    async def answer(self, entry: Entry, answer: answers.AnyAnswer) -> None:
        """Tell one person: by `response_url` while it is known, else ephemerally where they were, else in a DM."""
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
        """Show somebody alone what they asked to see."""
        said = messages.show(value, door=door, workspace_url=await self._workspace_url())
        await self.say_to(entry, said, replace=replace)

    async def say_to(self, entry: Entry, said: Message, *, replace: bool = False) -> None:
        """Tell the sender of an entry something that only they see, in the place of what they clicked if so wished."""
        if await self._respond(entry.key, said, replace=replace) or await self._whisper(entry, said):
            return
        await self._post(entry.actor.user, said)

    async def open_modal(self, key: str, view: dict[str, object]) -> bool:
        """Open a modal for the sender of an entry; tell whether there was still time for it."""
        trigger = self._reply_handles.take_trigger(key)
        if trigger is None:
            return False
        try:
            await self._call("views.open", trigger_id=trigger, view=view)
        except errors.ChatError as failure:
            log.info("a modal was not opened", entry=key, reason=str(failure))
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
