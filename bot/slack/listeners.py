"""Bolt's listeners: each acknowledges a delivery and passes it on as a value.

Direct lane: help, usage and modals are answered in the response. Read lane: acknowledged at once, answered later.
Durable lane: the entry is on disk before the acknowledgement. Nothing is decided here.
"""

import contextlib
import dataclasses
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, assert_never

import structlog
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.response import BoltResponse

from bot.commands import grammar
from bot.commands.deliveries import Button, Clicked, Entry, Modal, Submitted, Typed
from bot.commands.grammar import UsageProblem
from bot.slack import messages, payloads
from bot.slack.installation import Installation
from bot.slack.messages import modals
from bot.slack.messages.message import Message
from bot.slack.notifier import Notifier
from bot.slack.reader import ReadLane
from bot.slack.reply_handles import ReplyHandles
from bot.usecases import errors, ports
from bot.usecases.bounded_dict import BoundedDict
from bot.usecases.ports import Recording
from bot.usecases.tasks import TaskSet

Body = dict[str, Any]

REMEMBERED: Final = 2_000
"""Number of mentions whose keys are remembered to recognise a repeated delivery."""

LEARN_WITHIN: Final = 1.5
"""Seconds that a read command waits for Slack to say which workspace is ours, while that is unknown."""

log = structlog.get_logger()


class Listeners:
    """The listeners for commands, mentions, buttons and modals."""

    def __init__(
        self,
        *,
        record: Callable[[Entry], Awaitable[Recording]],
        reply_handles: ReplyHandles,
        notifier: Notifier,
        reader: ReadLane,
        installation: Installation,
        clock: ports.Clock,
        api_url: str,
    ) -> None:
        self._record = record
        self._reply_handles = reply_handles
        self._notifier = notifier
        self._reader = reader
        self._installation = installation
        self._clock = clock
        self._api_url = api_url
        self._beside = TaskSet()
        self._taken: BoundedDict[str, None] = BoundedDict(REMEMBERED)

    async def command(self, ack: AsyncAck, body: Body) -> None:
        """Handle a slash command."""
        entry, typed = payloads.typed(body, received_at=self._clock.now())
        ready = await self._is_ready_for(typed, body)
        said = await self._take(entry, typed, body) if ready else messages.starting_up()
        await (_say(ack, said) if said is not None else ack())

    async def mention(self, ack: AsyncAck, body: Body) -> BoltResponse | None:
        """Handle a message that begins with the bot's name.

        Nobody reads the acknowledgement of an event, so every answer is a message of its own. If recording failed, the
        sender is told and Slack is not asked to redeliver. Only what can be neither answered nor recorded yet is left
        for Slack to redeliver.
        """
        bot_user = await self._bot_user(body)
        if bot_user is None:
            return _later()
        found = payloads.mentioned(body, bot_user=bot_user, received_at=self._clock.now())
        if found is not None and not await self._is_ready_for(found[1], body):
            return _later()
        if found is None or self._is_repeated(found[0]):
            await ack()
            return None
        entry, typed = found
        await self._tell_beside(ack, entry, self._take(entry, typed, body))
        return None

    async def _bot_user(self, body: Body) -> str | None:
        """Return the user id by which messages mention the bot, from Slack or from the event itself."""
        if self._installation.identity is None and (named := payloads.authorized_bot(body)) is not None:
            return named
        await self._is_ours(body)
        return None if self._installation.identity is None else self._installation.identity.bot_user

    async def _is_ready_for(self, typed: Typed, body: Body) -> bool:
        """Tell whether a command can be handled now; only commands that change something may wait in the inbox."""
        if not payloads.teams(body).isdisjoint(self._installation.teams()):
            return True
        reads = isinstance(grammar.parse(typed.text), grammar.ReadCommand | grammar.HelpCommand)
        return not reads or await self._is_ours(body)

    async def _is_ours(self, body: Body) -> bool:
        """Tell whether a delivery is for our workspace, waiting a moment for Slack to say which one is ours."""
        return await self._installation.is_ours(payloads.teams(body), within=LEARN_WITHIN) is True

    async def _take(self, entry: Entry, typed: Typed, body: Body) -> Message | None:
        """Carry out or record a command, and return the immediate answer."""
        parsed = grammar.parse(typed.text)
        match parsed:
            case grammar.HelpCommand():
                return await self._reader.help(entry, typed, parsed.verb)
            case grammar.UsageError():
                return messages.usage(parsed, door=typed.door, in_thread=typed.thread_ts is not None)
            case grammar.NotYet():
                return messages.not_yet(parsed)
            case grammar.ReadCommand():
                self._remember(entry, body)
                return self._reader.begin(entry, typed, parsed)
            case grammar.ChangeCommand():
                recording = await self._keep(entry, body)
                if recording is not Recording.NEW:
                    return messages.recording(recording, door=typed.door)
                return messages.reading(parsed.flow, dry_run=parsed.dry_run, emergency=parsed.emergency)
            case _:
                assert_never(parsed)

    def _is_repeated(self, entry: Entry) -> bool:
        """Tell whether a message was handled recently; the inbox recognises repeats of recorded ones."""
        repeated = entry.key in self._taken
        self._taken[entry.key] = None
        return repeated

    async def action(self, ack: AsyncAck, body: Body) -> None:
        """Handle a pressed button.

        Slack ignores the content of the acknowledgement, so problems are reported by `response_url`.
        """
        if body.get("type") != "block_actions":
            await ack()  # a dialog, or a button of an attachment: we have neither
            return
        try:
            turned = payloads.turned(body, received_at=self._clock.now())
            if turned is not None:
                ready = await self._is_ours(body)
                await ack()
                if ready:
                    self._turn(body, *turned)
                else:
                    self._beside.start(self._tell(turned[0], messages.starting_up()))
                return
            entry, clicked = payloads.clicked(body, received_at=self._clock.now())
        except ValueError:
            await ack()  # a link, or a button of a later version
            return
        await self._tell_beside(ack, entry, self._press(entry, clicked, body))

    async def _press(self, entry: Entry, clicked: Clicked, body: Body) -> Message | None:
        """Do what a button asks for, and return what its presser is told at once."""
        self._remember(entry, body)
        view = _modal_behind(clicked, body)
        if view is None:
            return messages.recording(await self._keep(entry, body))
        self._beside.start(self._open(entry, view))
        return None

    def _turn(self, body: Body, entry: Entry, typed: Typed, page: int) -> None:
        """Replace a page of the list by another one."""
        parsed = grammar.parse(typed.text)
        if isinstance(parsed, grammar.ReadCommand):
            self._remember(entry, body)
            self._reader.begin(entry, typed, parsed, page=page, replace=True)

    async def view(self, ack: AsyncAck, body: Body) -> None:
        """Handle a submitted modal; errors in its fields are shown in the modal."""
        try:
            entry, submitted = payloads.submitted(body, received_at=self._clock.now())
        except ValueError:
            await ack()  # a modal of a later version
            return
        wrong = _wrong_name(submitted) | _wrong_verdict(submitted) | _wrong_reason(submitted)
        if wrong:
            await ack(response_action="errors", errors=wrong)
            return
        match await self._keep(entry, body):
            case Recording.NEW | Recording.REPEATED:
                await ack()
            case Recording.FULL | Recording.NOT_RECORDED:
                await ack(response_action="errors", errors=modals.not_recorded(submitted.modal))
            case Recording.UNCONFIRMED:
                await ack(response_action="errors", errors=modals.unconfirmed(submitted.modal))

    async def drain(self) -> None:
        """Wait until all answers are delivered."""
        await self._reader.drain()
        await self._beside.drain()

    async def _tell_beside(self, ack: AsyncAck, entry: Entry, work: Awaitable[Message | None]) -> None:
        """Acknowledge a delivery whose response nobody reads, and tell its sender the result in the background."""
        try:
            said = await work
        except Exception as error:  # noqa: BLE001 - logged, and its sender is told
            said = _unexpected(error)
        await ack()
        if said is not None:
            self._beside.start(self._tell(entry, said))

    async def _tell(self, entry: Entry, said: Message) -> None:
        try:
            await self._notifier.say_to(entry, said)
        except errors.ChatError as failure:
            log.warning("answer could not be delivered", entry=entry.key, reason=str(failure))

    async def _keep(self, entry: Entry, body: Body) -> Recording:
        """Record an entry; while our workspace is unknown, together with the ids that the delivery is for."""
        self._remember(entry, body)
        teams = payloads.teams(body)
        if teams.isdisjoint(self._installation.teams()):
            entry = dataclasses.replace(entry, for_teams=tuple(sorted(teams)))
            self._beside.start(self._learn())
        return await self._record(entry)

    async def _learn(self) -> None:
        with contextlib.suppress(errors.ChatError):
            await self._installation.learn()

    def _remember(self, entry: Entry, body: Body) -> None:
        url = payloads.response_url(body, api_url=self._api_url)
        self._reply_handles.remember(entry.key, response_url=url, trigger_id=body.get("trigger_id"))

    async def _open(self, entry: Entry, view: dict[str, object]) -> None:
        try:
            said = None if await self._notifier.open_modal(entry.key, view) else messages.modal_not_opened()
        except Exception as error:  # noqa: BLE001 - logged, and its presser is told
            said = _unexpected(error)
        if said is not None:
            await self._tell(entry, said)


def _later() -> BoltResponse:
    """Return a response that makes Slack redeliver an event."""
    return BoltResponse(status=503, body="not ready yet")


def _unexpected(error: Exception) -> Message:
    error_id = secrets.token_hex(4)
    log.error("a listener failed", exc_info=error, error_id=error_id)
    return messages.unexpected(error_id)


def _modal_behind(clicked: Clicked, body: Body) -> dict[str, object] | None:
    """Return the modal that a button opens at once; None for buttons whose click is recorded."""
    if clicked.button is Button.ADD_REASON:
        return modals.add_reason(clicked.request_id)
    if clicked.button is Button.TYPE_NAME:
        return modals.type_name(clicked.request_id, reason_too=payloads.asks_reason_too(body))
    return None


def _wrong_name(submitted: Submitted) -> dict[str, str]:
    """Return the modal's error for a missing name; whether the name is right is known once the flow was read."""
    return modals.name_empty() if submitted.modal is Modal.TYPE_NAME and submitted.name is None else {}


def _wrong_verdict(submitted: Submitted) -> dict[str, str]:
    """Return the modal's error for a review without a verdict."""
    missing = submitted.modal is Modal.REVIEW and submitted.verdict is None
    return modals.verdict_missing() if missing else {}


def _wrong_reason(submitted: Submitted) -> dict[str, str]:
    """Return the modal's error for the typed reason; only a new request must have one."""
    if submitted.reason is None:
        return modals.reason_empty() if submitted.modal is Modal.ADD_REASON else {}
    wrong = grammar.judge_reason(submitted.reason)
    if wrong is UsageProblem.OPTION_IN_REASON and submitted.modal in (Modal.DENY_REASON, Modal.REVIEW):
        return {}  # no command follows that an option could belong to
    return {} if wrong is None else modals.reason_wrong(wrong)


async def _say(ack: AsyncAck, said: Message) -> None:
    blocks = list(said.blocks) or None
    await ack(response_type="ephemeral", text=said.text, blocks=blocks)
