"""The world outside, in a process of its own: the stand-ins for Slack and for Live, and the people who click.

Takes orders as lines of JSON on its standard input and answers each with one line. It must not know what is measured.
"""

import asyncio
import functools
import json
import pathlib
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlencode

from bot.playground import world
from bot.playground.live.errors import Trouble
from bot.playground.live.server import LiveStandIn
from bot.playground.slack import payloads
from bot.playground.slack.records import PostedMessage
from bot.playground.slack.server import SlackStandIn
from tests.bench import senders

CLICKS: Final = 400
"""Flows that can be stopped, each in a channel of its own with people of its own: nothing about them is remembered."""

HOME: Final = "C0INCIDENT"

HANGS: Final = 60.0
"""Seconds for which a call is not answered whose caller is killed."""

SETTLED: Final = 3.0
"""Seconds after which a second call would have come."""


def _ids(prefix: str) -> list[str]:
    return [f"{prefix}{number:03d}" for number in range(CLICKS)]


CHANNELS, ASKERS, LEADS, FLOWS = _ids("C0BENCH"), _ids("U0ASKER"), _ids("U0LEAD"), _ids("flow-")

POLICY: Final = f"""\
[projects.hk]
project_id = "{world.PROJECT_ID}"
region     = "ap-southeast-3"
endpoint   = "{{endpoint}}"
channels   = {json.dumps([HOME, *CHANNELS])}

[people]
media-oncall = {json.dumps(["U0ALICE", "U0BOB", *ASKERS])}
media-leads  = {json.dumps(["U0CAROL", *LEADS])}

[[rules]]
name      = "on-call stops, a lead approves"
verbs     = ["stop"]
who       = ["media-oncall"]
approvals = 1
approvers = ["media-leads"]
expires   = "24h"
"""


def furnish(slack: SlackStandIn, live: LiveStandIn) -> None:
    """Put the sample people there, and those who click."""
    world.sample(slack, live)
    for channel, asker, lead, flow in zip(CHANNELS, ASKERS, LEADS, FLOWS, strict=True):
        slack.workspace.add_person(asker, asker.lower())
        slack.workspace.add_person(lead, lead.lower())
        slack.workspace.add_channel(channel, channel.lower(), members=[asker, lead])
        live.add_flow(world.PROJECT_ID, flow, flow)


class Outside:
    """Carries out orders."""

    def __init__(self, built: world.World) -> None:
        self.slack = built.slack
        self.live = built.live
        self.environ = dict(built.environ)

    async def obey(self, order: dict[str, Any]) -> object:
        """Carry out one order and return its answer."""
        named: dict[str, Callable[..., Awaitable[object]]] = {
            "ask": self._ask,
            "approve": self._approve,
            "click": self._click,
            "click_bare": self._click_bare,
            "press_both": self._press_both,
            "hang": self._hang,
            "read_back": self._read_back,
            "burst": self._burst,
        }
        match order.pop("order"):
            case "environ":
                return {**self.environ, "LIVE": self.live.endpoint}
            case "deliveries":
                return self._deliveries(**order)
            case name:
                return await named[name](**order)

    def _deliveries(self, *, path: str, count: int, text: str, user: str = "U0ALICE") -> int:
        """Write signed commands of one person, ready for the wire."""
        workspace = self.slack.workspace
        person, channel = workspace.persons[user], workspace.channels[HOME]
        grants = [self.slack.people._grants(person, HOME, None) for _ in range(count)]
        forms = [
            payloads.command(workspace, person, channel, name="/flow", text=text.format(n=number), grants=each)
            for number, each in enumerate(grants)
        ]
        written = senders.pack([self._wire(urlencode(form).encode()) for form in forms])
        return pathlib.Path(path).write_bytes(written)

    def _wire(self, body: bytes) -> bytes:
        headers = {
            "Host": "127.0.0.1",
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "Accept": "*/*",
            "Content-Type": "application/x-www-form-urlencoded",
            "Content-Length": str(len(body)),
            **self.slack.people.sign(body),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST /slack/events HTTP/1.1\r\n{head}\r\n".encode() + body

    async def _ask(self, *, url: str, first: int, count: int) -> int:
        """Open requests, and wait until each card and the reply that calls the approvers stand."""
        self.slack.connect(f"{url}/slack/events")
        for number in range(first, first + count):
            ack = await self.slack.people.command(ASKERS[number], CHANNELS[number], f"stop {FLOWS[number]}")
            assert ack.ok, ack
            await self.slack.until(functools.partial(self._has_thread, number), timeout=30)
        return count

    def _card(self, number: int) -> PostedMessage | None:
        posted = self.slack.workspace.messages(CHANNELS[number])
        return next((message for message in posted if message.buttons), None)

    def _has_thread(self, number: int, _: object) -> bool | None:
        return bool(self._thread(number)) or None

    def _thread(self, number: int) -> list[PostedMessage]:
        card = self._card(number)
        return [] if card is None else list(self.slack.workspace.thread(card))

    async def _click(self, *, url: str, number: int) -> float:
        """Press `approve`; return the seconds until the PUT arrived."""
        self.slack.connect(f"{url}/slack/events")
        card = self._card(number)
        assert card is not None
        return await self._timed(number, card, card.blocks)

    async def _approve(self, *, url: str, first: int, count: int) -> int:
        """Press `approve` on each, one after the other, and wait until the thread tells what came of it."""
        for number in range(first, first + count):
            card = self._card(number)
            assert card is not None
            await self._click(url=url, number=number)
            await self.slack.until(functools.partial(self._has_outcome, card), timeout=30)
        return count

    def _has_outcome(self, card: PostedMessage, _: object) -> bool | None:
        return any("STANDBY" in reply.text for reply in self.slack.workspace.thread(card)) or None

    async def _click_bare(self, *, url: str, number: int) -> float:
        """Press the button of a bare app that does the same."""
        self.slack.connect(f"{url}/slack/events")
        label = {"type": "plain_text", "text": "Approve"}
        value = f"{ASKERS[number]}/{FLOWS[number]}"
        button = {"type": "button", "action_id": "approve", "value": value, "text": label}
        row = {"type": "actions", "block_id": "votes", "elements": [button]}
        workspace = self.slack.workspace
        card = workspace.post(CHANNELS[number], workspace.bot_user_id, "Stop it?", blocks=[row])
        return await self._timed(number, card, [row])

    async def _timed(self, number: int, card: PostedMessage, blocks: Any) -> float:
        began = time.time()
        ack = await self.slack.people.click(LEADS[number], card, "approve", stale=blocks, forged=True)
        assert ack.ok, ack
        return await self._arrived(number) - began

    async def _arrived(self, number: int) -> float:
        await self.live.until(lambda _: bool(self._calls("PUT", "/flows/stop", number)), timeout=30)
        return self._calls("PUT", "/flows/stop", number)[0]

    def _calls(self, method: str, path: str, number: int) -> list[float]:
        """Return when the calls for a flow arrived."""
        flow = f"flow_id={FLOWS[number]}".encode()
        return [call.at for call in self.live.calls_of(method, path) if call.arrived.query == flow]

    async def _press_both(self, *, urls: list[str], first: int, count: int) -> list[int]:
        """Press each button at one replica and at once at the other; return how often each flow was stopped."""
        for number in range(first, first + count):
            card = self._card(number)
            assert card is not None
            for url in urls:
                self.slack.connect(f"{url}/slack/events")
                ack = await self.slack.people.click(LEADS[number], card, "approve", stale=card.blocks, forged=True)
                assert ack.ok, ack
        for number in range(first, first + count):
            await self._arrived(number)
        await asyncio.sleep(SETTLED)
        return [len(self._calls("PUT", "/flows/stop", number)) for number in range(first, first + count)]

    async def _hang(self, *, url: str, number: int) -> float:
        """Press the button, and let the call arrive and be answered by nobody."""
        self.live.faults.add(Trouble(hold=HANGS, effect=True), method="PUT", path="/flows/stop")
        return await self._click(url=url, number=number)

    async def _read_back(self, *, number: int, since: float) -> float:
        """Wait until a flow is read after that time, and return when."""

        def readings() -> list[float]:
            return [at for at in self._calls("GET", "/flows/detail", number) if at > since]

        await self.live.until(lambda _: bool(readings()), timeout=90)
        return readings()[0]

    async def _burst(self, *, url: str, first: int, count: int, seconds: float) -> list[float]:
        """Let so many people press at an even pace; return the seconds until each PUT."""

        async def press(number: int) -> float:
            await asyncio.sleep((number - first) * seconds / count)
            return await self._click(url=url, number=number)

        return list(await asyncio.gather(*(press(number) for number in range(first, first + count))))


async def main(directory: pathlib.Path) -> None:
    """Open the world and obey until standard input ends."""
    reader = asyncio.StreamReader(limit=2**22)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with world.build(directory, policy=POLICY, furnish=furnish) as built:
        outside = Outside(built)
        while line := await reader.readline():
            answer = await outside.obey(json.loads(line))
            print(json.dumps(answer), flush=True)  # noqa: T201 - the way it answers


if __name__ == "__main__":
    asyncio.run(main(pathlib.Path(sys.argv[1])))
