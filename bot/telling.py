"""What Slack does not show yet, carried there in order: the card, the replies, the card's newest state.

Everything it tells is recorded already, so that any of it can be repeated. It decides nothing.
"""

from typing import Final

import structlog

from bot import answers, asking, due, errors, life, ports, request
from bot.arrivals import Entry, Typed
from bot.request import Card, Event, Reply, Request, Said

AGAIN: Final = 2.0
"""Seconds before Slack is tried again after a failure; doubled with each failure in a row."""

AGAIN_AT_MOST: Final = 60.0

ANSWER_AGAIN: Final = 5.0
"""Seconds before an answer that Slack did not take is tried again."""

log = structlog.get_logger()


class Telling:
    """Tells one request at a time, under its lease."""

    def __init__(self, *, store: ports.Store, chat: ports.Chat, clock: ports.Clock) -> None:
        self._store = store
        self._chat = chat
        self._clock = clock

    async def tell(self, request_id: str) -> None:
        """Tell all that is due. A failure that may pass is put off on the record; a definite no is not asked again."""
        while (seen := await self._store.load(request_id)) is not None:
            step = due.tell(seen, self._clock.now())
            if step is None:
                return
            try:
                await self._step(seen, step)
            except errors.ChatUnavailable as failure:
                await self._put_off(seen, failure)
                return
            except errors.ChatRefused as failure:
                await self._give_up(seen, step, failure)

    async def answer(self, entry: Entry, answer: answers.Answer) -> float | None:
        """Tell one person the answer to an entry; return when to try again, or None when it is done."""
        try:
            await self._chat.answer(entry, answer)
        except errors.ChatUnavailable as failure:
            again = self._clock.now() + (failure.retry_after or ANSWER_AGAIN)
            await self._store.postpone_entry(entry.key, until=again)
            return again
        except errors.ChatRefused as failure:
            log.warning("an answer reached nobody", entry=entry.key, code=failure.code)
        await self._store.finish_entry(entry.key)
        return None

    async def _step(self, seen: Request, step: due.Tell) -> None:
        match step:
            case due.Tell.POST_CARD:
                ts = await self._chat.post_card(seen)
                await self._shown(seen, ts=ts)
            case due.Tell.EDIT_CARD:
                await self._chat.edit_card(seen)
                await self._shown(seen, ts=seen.card.ts)
            case due.Tell.REPLY:
                reply = seen.unsent[0]
                await self._store.reply_sent(seen.id, seq=reply.seq, ts=await self._reply(seen, reply))
                if seen.tell_failures:
                    await self._store.told(life.shown(seen, seen.card))

    async def _reply(self, seen: Request, reply: Reply) -> str:
        if reply.said is not Said.LINKED:
            return await self._chat.reply(seen, reply)
        await self._chat.answer(_asked(seen), answers.Opened(card=asking.card_link(seen), dry_run=seen.dry_run))
        return ""

    async def _shown(self, seen: Request, *, ts: str | None) -> None:
        await self._store.told(life.shown(seen, Card(channel=seen.card.channel, ts=ts, shown=seen.version)))

    async def _put_off(self, seen: Request, failure: errors.ChatUnavailable) -> None:
        wait = failure.retry_after or min(AGAIN_AT_MOST, AGAIN * 2**seen.tell_failures)
        log.info("Slack is tried again later", request=seen.id, seconds=wait, reason=str(failure))
        await self._store.told(life.not_shown(seen, again_at=self._clock.now() + wait))

    async def _give_up(self, seen: Request, step: due.Tell, failure: errors.ChatRefused) -> None:
        log.warning("Slack refused", request=seen.id, step=step, code=failure.code)
        match step:
            case due.Tell.POST_CARD:
                await self._close_unshown(seen, failure.code)
            case due.Tell.EDIT_CARD:
                await self._shown(seen, ts=seen.card.ts)
            case due.Tell.REPLY:
                await self._store.reply_sent(seen.id, seq=seen.unsent[0].seq, ts="")

    async def _close_unshown(self, seen: Request, code: str) -> None:
        """End a request whose card nobody can see, and tell its requester how to mend that."""
        if not request.can_withdraw(seen):  # it has ended or runs: there is nothing to take back, only nothing to see
            return await self._shown(seen, ts="")
        at = self._clock.now()
        ended = life.end(seen, Event.WITHDRAW, request.Ending(actor=None, at=at, code=code), said=Said.WITHDRAWN)
        event = ports.AuditEvent(at=at, what="card refused by Slack", request_id=seen.id, facts={"code": code})
        answer = answers.CannotPost(channel=seen.card.channel, code=code, dry_run=seen.dry_run)
        await self._store.commit(ports.Change(request=ended, entry=seen.id, answer=answer, audit=(event,)))
        await self.answer(_asked(seen), answer)
        return None


def _asked(seen: Request) -> Entry:
    """Return the entry that asked for the request, as far as its answer needs it."""
    return Entry(
        key=seen.id, actor=seen.requester, arrival=Typed(text="", channel=seen.asked_in), received_at=seen.asked_at
    )
