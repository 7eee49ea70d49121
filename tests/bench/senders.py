"""The load: many senders over raw sockets, with requests that were built and signed before.

A process of its own, and cheap: it must cost far less than what it measures. It knows nothing of what it sends.
"""

import asyncio
import json
import pathlib
import sys
import time
from collections.abc import Iterator

LENGTH = 4


def pack(requests: list[bytes]) -> bytes:
    """Write requests for `unpack`."""
    return b"".join(len(request).to_bytes(LENGTH, "big") + request for request in requests)


def unpack(packed: bytes) -> Iterator[bytes]:
    """Read what `pack` wrote."""
    at = 0
    while at < len(packed):
        length = int.from_bytes(packed[at : at + LENGTH], "big")
        yield packed[at + LENGTH : at + LENGTH + length]
        at += LENGTH + length


class Sender(asyncio.Protocol):
    """One connection that sends the next request when the answer to the last one is there."""

    def __init__(self, requests: Iterator[bytes], took: list[float], statuses: dict[str, int]) -> None:
        self._requests = requests
        self._took = took
        self._statuses = statuses
        self._buffer = b""
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self) -> None:
        """Send the next request, if any is left."""
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._took.append(time.perf_counter() - self._sent)
        status = head[9:12].decode()
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self._buffer = b""
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def send_all(port: int, requests: list[bytes], *, senders: int) -> dict[str, object]:
    """Send the requests and return how long each answer took, in seconds, and how long all of them."""
    left, took, statuses = iter(requests), list[float](), dict[str, int]()
    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: Sender(left, took, statuses), "127.0.0.1", port))[1]
        for _ in range(senders)
    ]
    started = time.perf_counter()
    for sender in made:
        sender.send()
    await asyncio.wait([sender.done for sender in made])
    return {"seconds": time.perf_counter() - started, "took": took, "statuses": statuses}


def main() -> None:
    """Send what a file holds and print the result."""
    port, senders, path = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
    print(json.dumps(asyncio.run(send_all(port, list(unpack(path.read_bytes())), senders=senders))))  # noqa: T201


if __name__ == "__main__":
    main()
