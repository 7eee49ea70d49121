"""A loopback port for the stand-in for Live, which can be closed and opened again.

Owns connections. Must not know requests or responses.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState


class LoopbackServer:
    """An HTTP/1.1 server on a loopback port that can be taken down and brought up again.

    It uses uvicorn's protocol without uvicorn's loop, which polls and handles signals.
    """

    def __init__(self, answer: Callable[[Request], Awaitable[Response | None]]) -> None:
        self.port = 0
        self._answer = answer
        self._state = ServerState()
        self._config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            interface="asgi3",
            proxy_headers=False,
        )
        self._server: asyncio.Server | None = None

    async def up(self) -> None:
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: H11Protocol(config=self._config, server_state=self._state, app_state={}), "127.0.0.1", self.port
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        if self._server is not None:
            self._server.close()
            for _ in range(4):  # a connection being accepted appears a few turns of the loop later
                self._cut(None)
                await asyncio.sleep(0)
            await self._server.wait_closed()
            self._server = None

    async def close(self) -> None:
        await self.down()
        tasks = tuple(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _cut(self, client: object) -> None:
        for connection in tuple(self._state.connections):
            if isinstance(connection, H11Protocol) and client in (None, connection.client):
                connection.transport.abort()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # only `close` cancels; uvicorn would log it as a crash
            response = await self._answer(Request(scope, receive))
            if response is not None:
                await response(scope, receive, send)
                return
            self._cut(scope["client"])
            while (await receive())["type"] != "http.disconnect":
                pass
