"""`flowbot pause` and `flowbot resume`, which write the pause to the database of a running bot.

Owns the sentences of both commands. The gate reads the pause and decides what it denies.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.store import opening
from bot.usecases import ports

Answered = TypeVar("Answered")


def pause(url: str, *, reason: str, by: str, clock: ports.Clock) -> str:
    """Deny every changing verb from now on, and return the confirmation. Raises errors.StoreError."""
    asyncio.run(_with(url, clock, lambda switch: switch.pause(ports.Pause(at=clock.now(), reason=reason, by=by))))
    return "paused: every stop and start is denied from now on, even if approved but not yet begun"


def resume(url: str, *, by: str, clock: ports.Clock) -> str:
    """End the pause, and return the confirmation. Raises errors.StoreError."""
    was_paused = asyncio.run(_with(url, clock, lambda switch: switch.resume(at=clock.now(), by=by)))
    return "resumed: the rules decide again" if was_paused else "flowbot was not paused"


async def _with(url: str, clock: ports.Clock, work: Callable[[ports.Switch], Awaitable[Answered]]) -> Answered:
    opened = await opening.open_store(url, clock=clock, replica=secrets.token_hex(8), exclusive=False)
    try:
        return await work(opened)
    finally:
        await opened.close()
