"""Fakes that several tests share. The cloud and Slack are not among them: those are the stand-ins of `bot.playground`."""

import asyncio
import dataclasses


@dataclasses.dataclass(order=True)
class _Sleeper:
    until: float
    woken: asyncio.Event = dataclasses.field(compare=False)


class FakeClock:
    """ports.Clock whose hands only a test turns."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._sleepers: list[_Sleeper] = []

    def now(self) -> float:
        """Return the time that the hands show."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return once the hands have been turned that far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        sleeper = _Sleeper(until=self._now + seconds, woken=asyncio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper.woken.wait()
        finally:
            self._sleepers.remove(sleeper)

    def turn(self, seconds: float) -> None:
        """Turn the hands on; whoever slept until then wakes."""
        self._now += seconds
        for sleeper in self._sleepers:
            if sleeper.until <= self._now:
                sleeper.woken.set()
