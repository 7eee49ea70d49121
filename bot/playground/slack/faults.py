"""Faults between the bot and Slack, which tests set for a Web API method, `response_url` or `handshake`.

`handshake` is that of a WebSocket, where the code of `error` is a status. A fault decides what happens before and after
the effect; it knows no method's meaning. The rate limits of "Rate limits" on docs.slack.dev are enforced only if
switched on.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from bot.usecases.rate_limit import SlidingWindow

EVERYTHING = "*"
RESPONSE_URL = "response_url"
HANDSHAKE = "handshake"

Kind = Literal["ratelimited", "server_error", "drop_before", "drop_after", "delay", "hold", "error", "lacks"]
PER_MINUTE: Mapping[str, int] = {
    **dict.fromkeys(("usergroups.list", "usergroups.users.list", "users.list"), 20),
    **dict.fromkeys(("chat.update", "chat.delete", "conversations.info", "conversations.open"), 50),
    **dict.fromkeys(("conversations.replies", "bots.info"), 50),
    **dict.fromkeys(("chat.postEphemeral", "users.info", "conversations.members"), 100),
    **dict.fromkeys(("views.open", "views.push", "views.update"), 100),
}
PER_SECOND = ("chat.postMessage", RESPONSE_URL)


@dataclass(frozen=True, kw_only=True)
class SlackFault:
    """One fault; `left` counts the calls that it still affects, None means until it is cleared.

    With a `place` it affects the calls about that channel only.
    """

    kind: Kind
    left: int | None = 1
    seconds: float = 0.0
    code: str = ""
    gate: asyncio.Event | None = None
    after: bool = False
    names: tuple[str, ...] = ()
    of: str = ""
    place: str = ""


class Faults:
    """All faults. Each affects the next calls of its method, in the order in which they were set."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        self.enforce_rate_limits = False
        self._now = now
        self._planned: dict[str, deque[SlackFault]] = defaultdict(deque)
        self._down = False
        self._spared: frozenset[str] = frozenset()
        self._called: dict[tuple[str, str], SlidingWindow] = {}

    def ratelimit(self, method: str = EVERYTHING, *, times: int | None = 1, retry_after: int = 1) -> None:
        """Answer 429 with Retry-After."""
        self._plan(method, SlackFault(kind="ratelimited", left=times, seconds=retry_after))

    def server_error(self, method: str = EVERYTHING, *, times: int | None = 1) -> None:
        """Answer 500, without an effect."""
        self._plan(method, SlackFault(kind="server_error", left=times))

    def error(self, method: str, code: str, *, times: int | None = 1) -> None:
        """Answer 200 with that error code, without an effect."""
        self._plan(method, SlackFault(kind="error", left=times, code=code))

    def drop_before(self, method: str = EVERYTHING, *, times: int | None = 1) -> None:
        """Close the connection, without an effect."""
        self._plan(method, SlackFault(kind="drop_before", left=times))

    def drop_after(self, method: str = EVERYTHING, *, times: int | None = 1) -> None:
        """Carry out the call, then close the connection without an answer."""
        self._plan(method, SlackFault(kind="drop_after", left=times))

    def delay(self, method: str, seconds: float, *, times: int | None = 1, after: bool = False) -> None:
        """Wait on the stand-in's clock before the effect, or between effect and answer."""
        self._plan(method, SlackFault(kind="delay", left=times, seconds=seconds, after=after))

    def hold(
        self, method: str, gate: asyncio.Event, *, times: int | None = 1, after: bool = False, place: str = ""
    ) -> None:
        """Wait until the test sets the event, before the effect or between effect and answer."""
        self._plan(method, SlackFault(kind="hold", left=times, gate=gate, after=after, place=place))

    def lacks(self, method: str, *names: str, of: str = "", times: int | None = 1) -> None:
        """Carry out the call, but leave these fields out of the answer, or only out of the object with the id `of`."""
        self._plan(method, SlackFault(kind="lacks", left=times, names=names, of=of))

    def down(self, *, but: Collection[str] = ()) -> None:
        """Close every connection without an effect, until `up`; those for these methods go on."""
        self._down = True
        self._spared = frozenset(but)

    def up(self) -> None:
        """End `down`; other faults stay set."""
        self._down = False

    def clear(self, method: str | None = None) -> None:
        """Remove the faults of one method, or all of them and `down` as well."""
        if method is not None:
            self._planned.pop(method, None)
            return
        self._planned.clear()
        self._down = False

    def take(self, method: str, *, place: str = "") -> SlackFault | None:
        """Return the fault for this call, and count it; `place` is the channel, for what is about one."""
        if self._down and method not in self._spared:
            return SlackFault(kind="drop_before")
        for name in (method, EVERYTHING):
            if self._planned[name] and self._planned[name][0].place in ("", place):
                return self._next(self._planned[name])
        if self.enforce_rate_limits and (wait := self._over_the_limit(method, place)):
            return SlackFault(kind="ratelimited", seconds=wait)
        return None

    def _plan(self, method: str, fault: SlackFault) -> None:
        self._planned[method].append(fault)

    def _next(self, planned: deque[SlackFault]) -> SlackFault:
        fault = planned[0]
        if fault.left is None:
            return fault
        if fault.left <= 1:
            planned.popleft()
        else:
            planned[0] = replace(fault, left=fault.left - 1)
        return fault

    def _over_the_limit(self, method: str, place: str) -> float:
        """Return the seconds to wait; 0 if the call is within its method's limit."""
        by_place = method in PER_SECOND
        if not by_place and method not in PER_MINUTE:
            return 0.0
        most, period = (1, 1.0) if by_place else (PER_MINUTE[method], 60.0)
        called = self._called.setdefault((method, place if by_place else ""), SlidingWindow(period))
        now = self._now()
        wait = called.wait(most, now=now)
        if not wait:
            called.add(now)
        return wait
