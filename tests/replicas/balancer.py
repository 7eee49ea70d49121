"""What stands before the replicas, as in earnest: it gives each delivery to one of them, and to the next if it is gone.

It passes bytes on and reads none of them but the length. Nothing is lost in it: a delivery that no replica has answered
with a single byte goes to another one, and a replica knows a delivery that it has already.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Final

ANSWER_WITHIN: Final = 2.0
"""Real seconds that a replica may take to answer; one that hangs is passed over."""

_GONE: Final = (OSError, asyncio.IncompleteReadError)


class Balancer:
    """A port of loopback before the ports of the replicas; `ports` can be changed at any time, and their order counts.

    With `turns`, each delivery begins with another one.
    """

    def __init__(self) -> None:
        self.ports: Sequence[int] = ()
        self.turns = True
        self.passed_over = 0
        self._count = itertools.count()
        self._url = ""

    @property
    def url(self) -> str:
        """Where Slack delivers to."""
        return f"{self._url}/slack/events"

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Balancer"]:
        """Take deliveries until the context ends."""
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self._url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_GONE):  # whoever sends may have given up
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
    last = head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")  # so that an answer ends with its connection
    return last + await reader.readexactly(int(lengths[0]) if lengths else 0)


async def _asked(port: int, delivery: bytes) -> bytes:
    """Return what a replica answers; nothing where it is gone."""
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
