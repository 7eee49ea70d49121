"""How fast flowbot posts: about one message a second in a channel, as Slack asks; no channel waits for another.

Slack's documentation (rate limits, chat.postMessage) allows short bursts.
"""

from typing import Final

from bot.usecases import errors, ports
from bot.usecases.bounded_dict import BoundedDict

EVERY: Final = 1.0
"""Seconds between two messages in a channel."""

BURST: Final = 10
"""Messages that may follow each other at once after a pause."""

WAIT_AT_MOST: Final = 10.0
"""Seconds that a message waits in line; what would wait longer comes back later."""

REMEMBERED: Final = 10_000


class Pacer:
    """Gives each channel its own pace."""

    def __init__(self, *, clock: ports.Clock) -> None:
        self._clock = clock
        self._free_at: BoundedDict[str, float] = BoundedDict(REMEMBERED)  # when the next may leave after a burst

    async def turn(self, channel: str) -> None:
        """Return when a message may leave for the channel.

        Raises errors.ChatUnavailable, with the time to come back after, when the line is too long.
        """
        now = self._clock.now()
        start = max(self._free_at.get(channel, 0.0), now - EVERY * (BURST - 1))
        wait = start - now
        if wait > WAIT_AT_MOST:
            raise errors.ChatUnavailable("many messages wait for this channel", retry_after=wait)
        self._free_at[channel] = start + EVERY
        if wait > 0:
            await self._clock.sleep(wait)
