"""What Bolt calls: each listener acknowledges, and hands a value on.

Direct lane: help, usage, and modals are answered in the response. Durable lane: the entry is on disk before the
acknowledgement. Nothing is decided here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import commands, errors, ports
from bot.arrivals import Button, Clicked, Entry, Modal, Submitted
from bot.ports import Recording
from bot.slack import messages, payloads
from bot.slack.messages import modals
from bot.slack.messages.message import Message
from bot.slack.notifier import Notifier
from bot.slack.returns import Returns

Body = dict[str, Any]

log = structlog.get_logger()


class Listeners:
    """The three ways in: a command, a pressed button, a submitted modal."""

    def __init__(
        self,
        *,
        record: Callable[[Entry], Awaitable[Recording]],
        returns: Returns,
        notifier: Notifier,
        clock: ports.Clock,
        api_url: str,
    ) -> None:
        self._record = record
        self._returns = returns
        self._notifier = notifier
        self._clock = clock
        self._api_url = api_url
        self._telling: set[asyncio.Task[None]] = set()

    async def command(self, ack: AsyncAck, body: Body) -> None:
        """Take a slash command."""
        parsed = commands.parse(body.get("text") or "")
        match parsed:
            case commands.Help():
                await _say(ack, messages.help_text(parsed.verb))
            case commands.UsageError():
                await _say(ack, messages.usage(parsed))
            case commands.NotYet():
                await _say(ack, messages.not_yet(parsed))
            case commands.Change():
                recording = await self._keep(payloads.typed(body, received_at=self._clock.now()), body)
                said = (
                    messages.reading(parsed.flow, dry_run=parsed.dry_run)
                    if recording is Recording.NEW
                    else messages.recording(recording)
                )
                if said is None:
                    await ack()
                else:
                    await _say(ack, said)

    async def action(self, ack: AsyncAck, body: Body) -> None:
        """Take a pressed button.

        Slack ignores what the acknowledgement says, so whatever went wrong is told by `response_url`.
        """
        try:
            entry, clicked = payloads.clicked(body, received_at=self._clock.now())
        except ValueError:
            await ack()  # a link, or a button of a later version
            return
        if clicked.button is Button.ADD_REASON:
            await self._open_add_reason(entry, clicked, body)
            await ack()
            return
        said = messages.recording(await self._keep(entry, body))
        await ack()
        if said is not None:
            self._tell_after_the_answer(entry, said)

    async def view(self, ack: AsyncAck, body: Body) -> None:
        """Take a submitted modal; what is wrong with it is answered in the response."""
        entry, submitted = payloads.submitted(body, received_at=self._clock.now())
        wrong = _wrong_reason(submitted)
        if wrong is not None:
            await ack(response_action="errors", errors=wrong)
            return
        match await self._keep(entry, body):
            case Recording.NEW | Recording.REPEATED:
                await ack()
            case Recording.FULL | Recording.NOT_RECORDED:
                await ack(response_action="errors", errors=modals.not_recorded())
            case Recording.UNCONFIRMED:
                await ack(response_action="errors", errors=modals.unconfirmed())

    def _tell_after_the_answer(self, entry: Entry, said: Message) -> None:
        """Tell somebody beside the acknowledgement, which a slow Slack must not hold up."""
        task = asyncio.create_task(self._tell(entry, said))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, entry: Entry, said: Message) -> None:
        try:
            await self._notifier.say_to(entry, said)
        except errors.ChatError as failure:
            log.warning("somebody could not be told", entry=entry.key, reason=str(failure))

    async def _keep(self, entry: Entry, body: Body) -> Recording:
        self._remember(entry, body)
        return await self._record(entry)

    def _remember(self, entry: Entry, body: Body) -> None:
        url = payloads.response_url(body, api_url=self._api_url)
        self._returns.remember(entry.key, response_url=url, trigger_id=body.get("trigger_id"))

    async def _open_add_reason(self, entry: Entry, clicked: Clicked, body: Body) -> None:
        self._remember(entry, body)
        if not await self._notifier.open_modal(entry.key, modals.add_reason(clicked.request_id)):
            await self._notifier.say_to(entry, messages.modal_not_opened())


def _wrong_reason(submitted: Submitted) -> dict[str, str] | None:
    """Return what is wrong with the reason typed in a modal, as Slack shows it; a denial needs none."""
    if submitted.reason is None:
        return modals.reason_empty() if submitted.modal is Modal.ADD_REASON else None
    wrong = commands.judge_reason(submitted.reason)
    return None if wrong is None else modals.reason_wrong(wrong)


async def _say(ack: AsyncAck, said: Message) -> None:
    blocks = list(said.blocks) or None
    await ack(response_type="ephemeral", text=said.text, blocks=blocks)
