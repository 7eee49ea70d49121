"""Deliver updates to Slack in order: the card, the replies, and the card's newest state.

Everything is recorded before it is delivered, so any delivery can be repeated. It decides nothing.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bot.commands.deliveries import Entry, Typed
from bot.lifecycle import records, schedule, transitions
from bot.lifecycle.records import Reply, ReplyKind, Request
from bot.lifecycle.states import Event
from bot.usecases import answers, commit, errors, ports, visibility
from bot.worker import unexpected

AGAIN: Final = 2.0
"""Seconds until Slack is tried again after a failure; doubled with each failure in a row."""

AGAIN_AT_MOST: Final = 7.0
"""So many at most: once Slack is back, it has all within ten."""

EDIT_AGAIN: Final = 60.0
"""Seconds before a card is edited again that Slack does not let us edit."""

ANSWER_AGAIN: Final = 5.0
"""Seconds until an answer that Slack did not accept is sent again."""

PLACE_WITHIN: Final = 2.0
"""Seconds after a command that an answer with a link to a card waits until the place of the card is recorded."""

SHARED: Final = "channel_is_shared"
"""Stands for a code of Slack's where other organisations would see a card."""

UNEXPECTED: Final = "unexpected_error"
"""Takes the place of Slack's error code if an unexpected error prevented a delivery."""

UNEXPECTED_TRIES: Final = 3
"""How often a delivery with unexpected errors is tried in a row."""

GONE: Final = (
    "message_not_found",
    "cant_update_message",
    "edit_window_closed",
    "is_archived",
    "invalid_blocks",
    UNEXPECTED,
)
"""Slack's error codes for a card that cannot be updated any more."""

EDIT_FOR: Final = 86_400.0
"""Seconds for which updates of a card that Slack refuses are tried."""

LEASE_NEEDED: Final = 21.0
"""Seconds that the lease must still hold before a delivery: ten in the channel's queue, and ten for Slack."""

ENDS: Final = (
    ReplyKind.OUTCOME,
    ReplyKind.CHANGED,
    ReplyKind.GIVEN_UP,
    ReplyKind.DENIED,
    ReplyKind.EXPIRED,
    ReplyKind.SUPERSEDED,
)
"""Replies that the requester must get, in a direct message if not in the channel."""

LeadsToCard = answers.Joined | answers.Blocked
"""Answers that link to the card of another request."""

log = structlog.get_logger()


class Deliverer:
    """Delivers the updates of one request at a time, under its lease."""

    def __init__(
        self,
        *,
        store: ports.Store,
        chat: ports.Chat,
        clock: ports.Clock,
        may_show: Callable[[Request], Awaitable[bool | None]],
        count: Callable[[unexpected.Doing], None] = lambda doing: None,
    ) -> None:
        self._store = store
        self._chat = chat
        self._clock = clock
        self._may_show = may_show
        self._commits = commit.Commits(store=store, clock=clock)
        self._unexpected = unexpected.Errors(count=count)
        self._awaiting_card: dict[str, tuple[Entry, LeadsToCard]] = {}

    async def tell(self, request_id: str, *, announced: Callable[[], None] = lambda: None) -> None:
        """Deliver everything that is due. Temporary failures are postponed in the record; refusals are not retried.

        `announced` is called when no call has to wait for an announcement any more.
        Raises errors.LeaseLost if another replica may have taken over.
        """
        while (request := await self._store.load(request_id)) is not None:
            step = schedule.tell(request, self._clock.now())
            if step is None:
                await self._lead_to_card(request)
                return
            if self._store.lease_left(request_id) < LEASE_NEEDED:
                raise errors.LeaseLost(f"another replica may have taken over {request_id}: nothing was delivered")
            try:
                await self._step_or_give_up(request, step)
            except errors.ChatUnavailable as failure:
                await self._put_off(request, failure)
                return
            except errors.StoreError:
                raise
            except Exception as error:  # noqa: BLE001 - noted, and its requester is told
                if not await self._after_unexpected(request, step, error):
                    return
            if step is schedule.Tell.REPLY and request.unsent[0].said in schedule.ANNOUNCEMENTS:
                announced()

    async def show_card(self, request: Request) -> None:
        """Try once to update the card out of turn; on failure, the regular update follows."""
        try:
            await self._chat.edit_card(request)
        except errors.ChatError:
            return
        except Exception as error:  # noqa: BLE001 - noted
            self._unexpected.note(error, doing="telling", error_id=unexpected.id_of(request.id))
            return
        await self._store.card_shown(request.id, version=request.version)

    async def _step_or_give_up(self, request: Request, step: schedule.Tell) -> None:
        try:
            await self._step(request, step)
        except errors.ChatRefused as failure:
            await self._give_up(request, step, failure)

    async def _after_unexpected(self, request: Request, step: schedule.Tell, error: Exception) -> bool:
        """Postpone a delivery with an unexpected error, or give it up; return whether the next may follow at once."""
        error_id = unexpected.id_of(request.id)
        self._unexpected.note(error, doing="telling", error_id=error_id)
        if request.tell_failures + 1 < UNEXPECTED_TRIES:
            await self._put_off(request, errors.ChatUnavailable(UNEXPECTED))
            return False
        facts = {"error_id": error_id, "error": type(error).__name__, "doing": step}
        await self._commits.write(ports.Change(), "given up after an unexpected error", facts=facts, about=request)
        await self._give_up(request, step, errors.ChatRefused(UNEXPECTED))
        await self.tell_unexpected(request)
        return True

    async def tell_unexpected(self, request: Request) -> None:
        """Tell the requester in a direct message what was given up after an unexpected error; tried once."""
        error_id = unexpected.id_of(request.id)
        try:
            await self._chat.answer(_in_a_dm(request), answers.Unexpected(error_id=error_id, dry_run=request.dry_run))
        except Exception as error:  # noqa: BLE001 - noted; it is recorded already
            self._unexpected.note(error, doing="telling", error_id=error_id)

    async def answer(self, entry: Entry, answer: answers.AnyAnswer) -> float | None:
        """Tell one person the answer to an entry; return when to try again, or None when it is done.

        Whoever waits on the host reads the answer from the row of the inbox.
        """
        if entry.take_up_by is not None:
            await self._store.finish_entry(entry.key)
            return None
        if isinstance(answer, LeadsToCard) and answer.card.ts is None:
            self._keep_for_card(entry, answer)
            answer = await self._placed(answer)
            until = entry.received_at + PLACE_WITHIN
            if answer.card.ts is None and self._clock.now() < until:
                await self._store.postpone_entry(entry.key, until=until)
                return until
            if self._awaiting_card.pop(entry.key, None) is None:
                return None  # already sent, since the card was placed in between
        try:
            await self._chat.answer(entry, answer)
        except errors.ChatUnavailable as failure:
            again = self._clock.now() + (failure.retry_after or ANSWER_AGAIN)
            await self._store.postpone_entry(entry.key, until=again)
            return again
        except errors.ChatRefused as failure:
            log.warning("answer could not be delivered", entry=entry.key, code=failure.code)
        await self._store.finish_entry(entry.key)
        return None

    def _keep_for_card(self, entry: Entry, answer: LeadsToCard) -> None:
        """Remember an answer with a link to a card that has not been posted yet."""
        too_old = self._clock.now() - PLACE_WITHIN
        self._awaiting_card = {key: each for key, each in self._awaiting_card.items() if each[0].received_at >= too_old}
        self._awaiting_card[entry.key] = (entry, answer)

    async def _placed(self, answer: LeadsToCard) -> LeadsToCard:
        """Return the answer with the current place of its card."""
        request = await self._store.load(answer.card.request_id)
        return answer if request is None else dataclasses.replace(answer, card=visibility.card_link(request))

    async def _lead_to_card(self, request: Request) -> None:
        """Answer those who asked for the same while the card was being posted."""
        if self._awaiting_card and request.card.ts is not None:
            waiting = [each for each in self._awaiting_card.values() if each[1].card.request_id == request.id]
            await asyncio.gather(*(self.answer(entry, answer) for entry, answer in waiting))

    async def _step(self, request: Request, step: schedule.Tell) -> None:
        match step:
            case schedule.Tell.POST_CARD:
                await self._hold_to_own_channel(request)
                await self._posted(request, await self._chat.post_card(request))
            case schedule.Tell.NEVER_SHOWN:
                unshown = answers.NeverShown(
                    card=visibility.card_link(request), state=request.state, dry_run=request.dry_run
                )
                await self._chat.answer(_in_a_dm(request), unshown)
                await self._shown(request, ts=schedule.NO_CARD)
            case schedule.Tell.EDIT_CARD:
                await self._chat.edit_card(request)
                await self._shown(request, ts=request.card.ts)
            case schedule.Tell.REPLY:
                reply = request.unsent[0]
                await self._store.reply_sent(request.id, seq=reply.seq, ts=await self._reply(request, reply))
                if request.tell_failures and request.card.shown == request.version:
                    await self._store.told(transitions.shown(request, request.card))

    async def _hold_to_own_channel(self, request: Request) -> None:
        """Keep the card of a request from the host out of a channel that others see: Slack was perhaps not asked yet.

        Raises errors.ChatRefused, or errors.ChatUnavailable where Slack cannot be asked.
        """
        if request.requester.login is None:
            return
        match await self._may_show(request):
            case True:
                return
            case False:
                raise errors.ChatRefused(SHARED)
            case None:
                raise errors.ChatUnavailable("nobody knows yet who sees the channel")

    async def _reply(self, request: Request, reply: Reply) -> str:
        if reply.said is not ReplyKind.LINKED:
            return await self._chat.reply(request, reply)
        opened = answers.Opened(card=visibility.card_link(request), dry_run=request.dry_run)
        await self._chat.answer(await self._asked(request), opened)
        return ""

    async def _shown(self, request: Request, *, ts: str | None) -> None:
        await self._store.told(
            transitions.shown(request, dataclasses.replace(request.card, ts=ts, shown=request.version))
        )

    async def _put_off(self, request: Request, failure: errors.ChatUnavailable) -> None:
        wait = failure.retry_after or min(_most(request), AGAIN * 2 ** min(request.tell_failures, 10))
        log.info("Slack failed; trying again later", request=request.id, seconds=wait, reason=str(failure))
        await self._store.told(transitions.not_shown(request, again_at=self._clock.now() + wait))

    async def _posted(self, request: Request, ts: str) -> None:
        """Record the place of the card; if an earlier post was recorded meanwhile, this one is a copy."""
        await self._shown(request, ts=ts)
        newest = await self._store.load(request.id)
        if newest is not None and newest.card.ts != ts:
            with contextlib.suppress(errors.ChatError):  # a click on the copy tries this again
                await self._chat.retire_copy(request.card.channel, ts, visibility.card_link(newest))

    async def _give_up(self, request: Request, step: schedule.Tell, failure: errors.ChatRefused) -> None:
        log.warning("Slack refused", request=request.id, step=step, code=failure.code)
        match step:
            case schedule.Tell.POST_CARD:
                await self._close_unshown(request, failure.code)
            case schedule.Tell.NEVER_SHOWN:
                await self._shown(request, ts=schedule.NO_CARD)
            case schedule.Tell.EDIT_CARD:
                await self._edit_later(request, failure)
            case schedule.Tell.REPLY:
                await self._tell_elsewhere(request, request.unsent[0], failure)

    async def _edit_later(self, request: Request, failure: errors.ChatRefused) -> None:
        """Try the card again for a day: flowbot may be invited back to the channel."""
        if failure.code in GONE or self._clock.now() - request.asked_at > EDIT_FOR:
            await self._shown(request, ts=request.card.ts)
        else:
            await self._put_off(request, errors.ChatUnavailable(failure.code, retry_after=EDIT_AGAIN))

    async def _tell_elsewhere(self, request: Request, reply: Reply, failure: errors.ChatRefused) -> None:
        """Send the end of a request to its requester directly, if the channel refuses the reply.

        A refused announcement is written to the audit.
        """
        if reply.said in ENDS and failure.code != UNEXPECTED:  # otherwise, the text could not be composed
            with contextlib.suppress(errors.ChatRefused):
                await self._chat.reply_privately(request, reply)
        if reply.said in schedule.ANNOUNCEMENTS:
            await self._note_unannounced(request, reply, failure)
        await self._store.reply_sent(request.id, seq=reply.seq, ts="")

    async def _note_unannounced(self, request: Request, reply: Reply, failure: errors.ChatRefused) -> None:
        home = request.emergency.announced_in if request.emergency is not None else None
        channel = home if reply.said is ReplyKind.ANNOUNCED else request.card.channel
        facts = {"channel": channel, "code": failure.code}
        await self._commits.write(ports.Change(), "announcement refused by Slack", facts=facts, about=request)

    async def _close_unshown(self, request: Request, code: str) -> None:
        """End a request whose card cannot be posted, and tell its requester what to do."""
        if not records.can_withdraw(request):  # it has ended or its call has begun, so it cannot be cancelled
            return await self._shown(request, ts="")
        at = self._clock.now()
        ended = transitions.end(
            request, Event.WITHDRAW, records.Ending(actor=None, at=at, code=code), said=ReplyKind.WITHDRAWN
        )
        change, what, facts = ports.Change(request=ended), "card refused by Slack", {"code": code}
        if code == UNEXPECTED:  # the caller tells the requester
            await self._commits.write(change, what, facts=facts, at=at)
            return None
        answer = answers.CannotPost(channel=request.card.channel, code=code, dry_run=request.dry_run)
        change = dataclasses.replace(change, entry=request.id, answer=answer, reopens=True)
        await self._commits.write(change, what, facts=facts, at=at)
        await self.answer(await self._asked(request), answer)
        return None

    async def _asked(self, request: Request) -> Entry:
        """Return the entry that asked for the request: its answer goes where the command was typed."""
        if request.requester.login is not None:
            return _in_a_dm(request)
        typed = Typed(text="", channel=request.asked_in)
        asked = Entry(key=request.id, actor=request.requester, arrival=typed, received_at=request.asked_at)
        return await self._store.entry(request.id) or asked


def _most(request: Request) -> float:
    """Return the maximum backoff: shorter for an emergency, which needs its announcements and its next button."""
    return AGAIN if request.emergency is not None and records.can_withdraw(request) else AGAIN_AT_MOST


def _in_a_dm(request: Request) -> Entry:
    """Return an entry whose answer goes to the requester directly: the command is too old for a reply handle."""
    return Entry(key="", actor=request.requester, arrival=Typed(text="", channel=""), received_at=request.asked_at)
