"""A load balancer for the replicas: it passes each delivery to one of them, and to the next if that is down.

It reads nothing but the length. Nothing is lost in it: a delivery without a single byte of answer goes to another
replica, and a replica recognises a delivery that it already has.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Final

ANSWER_WITHIN: Final = 2.0
"""Real seconds for a replica to answer; one that hangs is skipped."""

_GONE: Final = (OSError, asyncio.IncompleteReadError)


class Balancer:
    """A loopback port in front of the replicas; `ports` can be changed at any time, and their order matters.

    With `turns`, the deliveries rotate through them.
    """

    def __init__(self) -> None:
        self.ports: Sequence[int] = ()
        self.turns = True
        self.passed_over = 0
        self._count = itertools.count()
        self._url = ""

    @property
    def url(self) -> str:
        """The URL for Slack."""
        return f"{self._url}/slack/events"

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Balancer"]:
        """Accept deliveries until the context ends."""
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self._url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_GONE):  # the sender may have given up
            delivery = await _whole(reader)
            for port in self._in_turn():
                answer = await _asked(port, delivery)
                if answer:
                    writer.write(answer)
                    await writer.drain()
                    break
                self.passed_over += 1
        writer.close()

    def _in_turn(self) -> Sequence[int]:
        ports = list(self.ports)
        first = next(self._count) % len(ports) if self.turns and ports else 0
        return ports[first:] + ports[:first]


async def _whole(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    last = head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")  # so that the answer ends with its connection
    return last + await reader.readexactly(int(lengths[0]) if lengths else 0)


async def _asked(port: int, delivery: bytes) -> bytes:
    """Return a replica's answer; empty if it is down."""
    with contextlib.suppress(*_GONE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                writer.write(delivery)
                await writer.drain()
                return await reader.read(-1)
        finally:
            writer.close()
    return b""
