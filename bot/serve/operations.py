"""The door on the host: writes one entry into the inbox, waits for its result, and shows requests.

Owns the wait, and what a command of the host prints. What an entry does is decided by the running bot, with the same
functions as for Slack. It must not decide anything itself.
"""

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from bot.commands.deliveries import Actor, Arrival, Button, Clicked, Entry, Modal, Submitted, Typed
from bot.lifecycle.records import Request
from bot.slack import messages
from bot.slack.plain_text import plain
from bot.store import opening, store
from bot.usecases import answers, ports

LOOK_EVERY: Final = 0.1
"""Seconds between two looks for the result."""

OPEN_AT_MOST: Final = 200
LATEST: Final = 50
"""How many requests a list shows: open ones of all projects, and with `--all` the latest of each."""

NOBODY: Final = "no running flowbot took it up, so it was withdrawn: nothing was done, and nothing will be done later"
UNDECIDED: Final = "flowbot has taken it up and not decided yet: look at it with `flowbot operations show` or `list`"

DONE: Final = (answers.Noted, answers.DenyReasonAsked, answers.AlreadySo)
"""Answers that are no "no": what was asked for is so."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """What a command of the host is told: whether it is done, the text, and the request that it is about.

    The text has Slack's notation.
    """

    is_done: bool
    text: str
    answer: str | None = None
    request: Request | None = None


def ask(url: str, arrival: Arrival, *, actor: Actor, wait: float, clock: ports.Clock) -> Told:
    """Hand an entry to the running bot, and return what became of it within `wait` seconds.

    Where no bot takes it up, it is withdrawn. Raises errors.StoreError.
    """
    return asyncio.run(_ask(url, arrival, actor, wait, clock))


def press(url: str, request_id: str, button: Button, *, actor: Actor, wait: float, clock: ports.Clock) -> Told:
    """Press a button of a request. An emergency is confirmed with two presses. Raises errors.StoreError."""

    async def pressed() -> Told:
        async with _opened(url, clock) as opened:
            request = await opened.load(request_id)
            clicked = Clicked(button=_of(request, button), request_id=request_id, channel="", message_ts=None)
            return await _hand_over(opened, clicked, actor, wait, clock)

    return asyncio.run(pressed())


def listed(url: str, *, projects: Sequence[str], everything: bool, clock: ports.Clock) -> list[Request]:
    """Return the open requests, or with `everything` the latest too, the newest first. Raises errors.StoreError."""

    async def read() -> list[Request]:
        async with _opened(url, clock) as opened:
            found = await opened.unsettled(limit=OPEN_AT_MOST)
            if everything:
                for project in projects:
                    found += await opened.history(project, limit=LATEST)
            by_id = {request.id: request for request in found}
            return sorted(by_id.values(), key=lambda request: -request.asked_at)

    return asyncio.run(read())


def found(url: str, request_id: str, *, clock: ports.Clock) -> Request | None:
    """Return a request, or None where there is none. Raises errors.StoreError."""

    async def read() -> Request | None:
        async with _opened(url, clock) as opened:
            return await opened.load(request_id)

    return asyncio.run(read())


def shown(request: Request) -> str:
    """Return a request as text with Slack's notation: its id, and what its card says."""
    first, *others = messages.outline(request).splitlines()
    return "\n    ".join((f"{request.id}  {first}", *others))


def readable(text: str, operators: Mapping[str, str]) -> str:
    """Return a text for a terminal; operators are shown by their logins."""
    return plain(text, logins={user: login for login, user in operators.items()})


def as_json(request: Request) -> dict[str, Any]:
    """Return a request as documented in docs/operations.md; times are in seconds since the epoch."""
    outcome = request.operation.outcome
    failure = None if outcome is None else outcome.failure
    return {
        "id": request.id,
        "verb": request.verb.value,
        "project": request.project,
        "flow_id": request.flow.flow_id,
        "flow_name": request.flow.name,
        "state": request.state.value,
        "progress": request.operation.progress.value,
        "status": None if outcome is None else outcome.status,
        "error_code": None if failure is None else failure.code,
        "error_msg": None if failure is None else failure.message,
        "requester": _person(request.requester),
        "reason": request.reason,
        "dry_run": request.dry_run,
        "emergency": request.emergency is not None,
        "rule": request.terms.rule,
        "approvals": request.terms.approvals,
        "votes": [{**_person(vote.actor), "at": vote.at} for vote in request.votes],
        "asked_at": request.asked_at,
        "expires_at": request.expires_at,
        "card": {"channel": request.card.channel, "ts": request.card.ts or None},
    }


def _person(actor: Actor) -> dict[str, Any]:
    return {"user": actor.user, "door": "slack" if actor.login is None else "host", "login": actor.login}


def _of(request: Request | None, button: Button) -> Button:
    """Return the button that confirms a request: that of an emergency is another, and has two presses."""
    if request is None or request.emergency is None or button is not Button.CONFIRM:
        return button
    return Button.EMERGENCY_FIRST if request.emergency.first_at is None else Button.EMERGENCY_CONFIRM


async def _ask(url: str, arrival: Arrival, actor: Actor, wait: float, clock: ports.Clock) -> Told:
    async with _opened(url, clock) as opened:
        return await _hand_over(opened, arrival, actor, wait, clock)


async def _hand_over(opened: store.SqlStore, arrival: Arrival, actor: Actor, wait: float, clock: ports.Clock) -> Told:
    now = clock.now()
    entry = Entry(key=secrets.token_hex(32), actor=actor, arrival=arrival, received_at=now, take_up_by=now + wait)
    await opened.submit(entry)
    try:
        async with asyncio.timeout(wait):
            while not (result := await opened.result(entry.key)).is_decided:  # noqa: ASYNC110 - another process decides
                await asyncio.sleep(LOOK_EVERY)
    except TimeoutError:
        return await _give_up(opened, entry)
    except asyncio.CancelledError:  # Ctrl-C: what became of the entry is told before the command ends
        return await _give_up(opened, entry)
    return await _told(opened, entry, result.answer)


async def _give_up(opened: store.SqlStore, entry: Entry) -> Told:
    if await opened.withdraw_entry(entry.key):
        return Told(is_done=False, text=NOBODY)
    result = await opened.result(entry.key)
    return await _told(opened, entry, result.answer) if result.is_decided else Told(is_done=False, text=UNDECIDED)


async def _told(opened: store.SqlStore, entry: Entry, answer: answers.AnyAnswer | None) -> Told:
    """Return what the sender of an entry is told: its answer, or how its request stands now."""
    request = await opened.load(_request_of(entry, answer))
    if answer is None or isinstance(answer, answers.Noted | answers.DenyReasonAsked):
        text = "done" if request is None else shown(request)
    else:
        text = messages.answer(answer, workspace_url="").text
    first = isinstance(entry.arrival, Clicked) and entry.arrival.button is Button.EMERGENCY_FIRST
    is_done = answer is None or isinstance(answer, DONE) or (first and isinstance(answer, answers.SecondNeeded))
    return Told(is_done=is_done, text=text, answer=None if answer is None else answer.kind, request=request)


def _request_of(entry: Entry, answer: answers.AnyAnswer | None) -> str:
    """Return the id of the request that an entry is about; what leads to another request is about that."""
    if isinstance(answer, answers.Joined | answers.Blocked | answers.Settled):
        return answer.card.request_id
    return entry.key if isinstance(entry.arrival, Typed) else entry.arrival.request_id


@asynccontextmanager
async def _opened(url: str, clock: ports.Clock) -> AsyncIterator[store.SqlStore]:
    opened = await opening.open_store(url, clock=clock, replica=secrets.token_hex(8), exclusive=False)
    try:
        yield opened
    finally:
        await opened.close()


def denial(request_id: str, reason: str) -> Submitted:
    """Return a denial with its reason, as the modal submits it."""
    return Submitted(modal=Modal.DENY_REASON, request_id=request_id, reason=reason)
