"""A proxy that gives each transaction a session of the server, like PgBouncer in transaction mode.

Each transaction gets the session that was idle longest, so that code that relies on its own session fails at once. It
refuses session settings, like PgBouncer.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator

SESSIONS = 3
_SSL, _CANCEL = 80877103, 80877102


class Pooler:
    """The proxy's sessions with the server, and its statistics."""

    def __init__(self, *, port: int) -> None:
        self._port = port
        self._resting: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._greeting = b""
        self.startups: list[dict[str, str]] = []
        self.transactions = 0
        self.named: list[bytes] = []

    async def fill(self, startup: bytes) -> None:
        """Open the sessions with the start-up message of the first client."""
        for _ in range(SESSIONS):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(startup)
            self._greeting = b""
            while not self._greeting.endswith(b"Z\0\0\0\5I"):
                kind, body = await _message(reader)
                self._greeting += kind + body
            self._resting.put_nowait((reader, writer))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it disconnects."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._greet(reader, writer)
            while True:
                await self._transaction(reader, writer)
        writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size, code = struct.unpack("!ii", await reader.readexactly(8))
        if code == _SSL:
            writer.write(b"N")
            return await self._greet(reader, writer)
        if code == _CANCEL:
            raise asyncio.IncompleteReadError(b"", None)
        rest = await reader.readexactly(size - 8)
        words = rest.decode().split("\0")
        self.startups.append(dict(zip(words[::2], words[1::2], strict=False)))
        if not self._greeting:
            await self.fill(struct.pack("!ii", size, code) + rest)
        writer.write(self._greeting)
        return None

    async def _transaction(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await _message(reader)
        if first[0] == b"X":
            raise asyncio.IncompleteReadError(b"", None)
        server = await self._resting.get()
        self.transactions += 1
        asking = asyncio.create_task(self._ask(first, reader, server[1]))
        try:
            while True:
                kind, body = await _message(server[0])
                writer.write(kind + body)
                if kind == b"Z" and body[-1:] == b"I":
                    break
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            self._resting.put_nowait(server)

    async def _ask(
        self, first: tuple[bytes, bytes], reader: asyncio.StreamReader, server: asyncio.StreamWriter
    ) -> None:
        kind, body = first
        while True:
            if kind == b"P" and body[4:5] != b"\0":
                self.named.append(body)
            server.write(kind + body)
            kind, body = await _message(reader)

    def close(self) -> None:
        """End the sessions."""
        while not self._resting.empty():
            self._resting.get_nowait()[1].close()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one message: its kind, and its length with its body."""
    kind, size = await reader.readexactly(1), await reader.readexactly(4)
    return kind, size + await reader.readexactly(struct.unpack("!i", size)[0] - 4)


@contextlib.asynccontextmanager
async def pooling(port: int) -> AsyncIterator[tuple[Pooler, int]]:
    """Run a proxy in front of the server on a port; yield it and its own port."""
    pooler = Pooler(port=port)
    listener = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    try:
        yield pooler, listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        pooler.close()
