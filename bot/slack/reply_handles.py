"""Reply handles: the `response_url` and trigger id of each delivery, kept in memory only while Slack accepts them.

Both let anyone who has them act as the bot, so they are neither stored nor logged.
"""

import dataclasses
from typing import Final

from bot.usecases import ports
from bot.usecases.bounded_dict import BoundedDict

RESPONSE_LIVES: Final = 29 * 60.0
"""Seconds that a `response_url` is used; Slack's limit is 30 minutes."""

RESPONSE_USES: Final = 5

TRIGGER_LIVES: Final = 2.5
"""Seconds that a trigger id is used; Slack's limit is three."""

REMEMBERED: Final = 20_000


@dataclasses.dataclass(kw_only=True)
class ReplyHandle:
    """The reply handles of one delivery, received at `at`."""

    at: float
    response_url: str | None = dataclasses.field(repr=False)
    trigger_id: str | None = dataclasses.field(repr=False)
    uses: int = 0


class ReplyHandles:
    """Remembers reply handles by the key of their entry."""

    def __init__(self, *, clock: ports.Clock) -> None:
        self._clock = clock
        self._known: BoundedDict[str, ReplyHandle] = BoundedDict(REMEMBERED)

    def remember(self, key: str, *, response_url: str | None, trigger_id: str | None) -> None:
        """Remember the handles of a delivery that has just been received."""
        self._known[key] = ReplyHandle(at=self._clock.now(), response_url=response_url, trigger_id=trigger_id)

    def use_response_url(self, key: str) -> str | None:
        """Return the `response_url` while it may be used, and count the use."""
        known = self._known.get(key)
        if known is None or known.uses >= RESPONSE_USES or not 0 <= self._clock.now() - known.at <= RESPONSE_LIVES:
            return None
        known.uses += 1
        return known.response_url

    def take_trigger(self, key: str) -> str | None:
        """Return the trigger id while it may be used; it works once."""
        known = self._known.get(key)
        if known is None or not 0 <= self._clock.now() - known.at <= TRIGGER_LIVES:
            return None
        trigger, known.trigger_id = known.trigger_id, None
        return trigger
