"""Rate limit for posting: about one message per second and channel, as Slack asks.

Slack allows short bursts (docs: rate limits, chat.postMessage). No channel waits for another.
"""

from typing import Final

from bot.usecases import errors, ports
from bot.usecases.bounded_dict import BoundedDict

EVERY: Final = 1.0
"""Seconds between two messages in a channel."""

BURST: Final = 10
"""Messages that may be sent in a row after a pause."""

WAIT_AT_MOST: Final = 10.0
"""Seconds that a message waits in line; one that would wait longer is retried later."""

REMEMBERED: Final = 10_000


class Pacer:
    """Limits the rate of each channel."""

    def __init__(self, *, clock: ports.Clock) -> None:
        self._clock = clock
        self._free_at: BoundedDict[str, float] = BoundedDict(REMEMBERED)  # when the next may leave after a burst

    async def turn(self, channel: str) -> None:
        """Wait until a message may be sent to the channel.

        Raises errors.ChatUnavailable with `retry_after` if the line is too long.
        """
        now = self._clock.now()
        start = max(self._free_at.get(channel, 0.0), now - EVERY * (BURST - 1))
        wait = start - now
        if wait > WAIT_AT_MOST:
            raise errors.ChatUnavailable("many messages wait for this channel", retry_after=wait)
        self._free_at[channel] = start + EVERY
        if wait > 0:
            await self._clock.sleep(wait)
