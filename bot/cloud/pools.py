"""HTTP clients to the cloud, one per party, so that calls that hang use up no other party's connections.

The caller decides what a party is.
"""

import types
from collections.abc import Callable, Hashable

import httpx


class Pools:
    """Clients that are opened on first use and closed together."""

    def __init__(self, open_one: Callable[[], httpx.AsyncClient]) -> None:
        self._open_one = open_one
        self._clients: dict[Hashable, httpx.AsyncClient] = {}

    def of(self, *party: Hashable) -> httpx.AsyncClient:
        """Return the client of a party."""
        if party not in self._clients:
            self._clients[party] = self._open_one()
        return self._clients[party]

    async def __aenter__(self) -> "Pools":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        for client in self._clients.values():
            await client.aclose()
