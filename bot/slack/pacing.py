"""Rate limit for posting: about one message per second and channel, as Slack asks.

Slack allows short bursts (docs: rate limits, chat.postMessage). No channel waits for another.
"""

import dataclasses
from typing import Final

from bot.usecases import errors, ports

EVERY: Final = 1.0
"""Seconds between two messages in a channel."""

BURST: Final = 10
"""Messages that may be sent in a row after a pause."""

WAIT_AT_MOST: Final = 10.0
"""Seconds that a message waits in line; one that would wait longer is retried later."""

REMEMBERED: Final = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Line:
    """When the next message may be sent, bursts aside."""

    free_at: float


class Pacer:
    """Limits the rate of each channel."""

    def __init__(self, *, clock: ports.Clock) -> None:
        self._clock = clock
        self._lines: dict[str, _Line] = {}

    async def turn(self, channel: str) -> None:
        """Wait until a message may be sent to the channel.

        Raises errors.ChatUnavailable with `retry_after` if the line is too long.
        """
        now = self._clock.now()
        line = self._lines.pop(channel, _Line(free_at=0.0))
        start = max(line.free_at, now - EVERY * (BURST - 1))
        wait = start - now
        if wait > WAIT_AT_MOST:
            self._lines[channel] = line
            raise errors.ChatUnavailable("many messages wait for this channel", retry_after=wait)
        self._lines[channel] = _Line(free_at=start + EVERY)
        if len(self._lines) > REMEMBERED:
            del self._lines[next(iter(self._lines))]
        if wait > 0:
            await self._clock.sleep(wait)
