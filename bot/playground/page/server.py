"""The page's HTTP server, for this machine only: files, a stream of changes, and the actions of people.

Owns the routes and what a browser may do with the page. It must not know what an action or a switch means.
"""

import asyncio
import json
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.playground.page.changes import Changes

STATIC: Final = pathlib.Path(__file__).with_name("static")

TOGETHER: Final = 0.015
"""Seconds over which changes are collected into one event."""

MOST_BYTES: Final = 64 * 1024

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Snapshot = Callable[[str], dict[str, Any]]
Doing = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]


def app(
    *, snapshot: Snapshot, people: Callable[[], tuple[str, ...]], changes: Changes, doors: Mapping[str, Doing]
) -> ASGIApp:
    """Return the app.

    `snapshot` returns everything that somebody sees, by key; `people` are those whose view can be shown, starting with
    the default; `doors` handle what the browser posts to /DOOR/NAME and raise KeyError, TypeError or ValueError for
    invalid requests.
    """

    async def index(request: Request) -> Response:
        if request.query_params.get("as") not in people():
            return RedirectResponse(f"/?as={people()[0]}")
        return Response((STATIC / "index.html").read_bytes(), media_type="text/html")

    async def events(request: Request) -> Response:
        user = request.query_params.get("as", "")
        if user not in people():
            return PlainTextResponse("no person has this id", status_code=404)
        return StreamingResponse(_news(lambda: snapshot(user), changes), media_type="text/event-stream")

    async def take(request: Request) -> Response:
        return await _take(request, doors[request.path_params["door"]])

    routes = [
        Route("/", index),
        Route("/events", events),
        Route("/{door}/{name}", take, methods=["POST"]),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    return _Fenced(Starlette(routes=routes), doors=frozenset(doors))


async def _take(request: Request, door: Doing) -> Response:
    body = await request.body()
    if len(body) > MOST_BYTES:
        return PlainTextResponse("too large", status_code=413)
    try:
        given = json.loads(body)
        return JSONResponse(await door(request.path_params["name"], dict(given)))
    except (KeyError, TypeError, ValueError) as error:
        return PlainTextResponse(f"invalid request: {error!r}", status_code=400)


async def _news(snapshot: Callable[[], dict[str, Any]], changes: Changes) -> AsyncIterator[str]:
    """Yield everything that is visible first, then only changes, until the end."""
    seen: dict[str, Any] = {}
    while not changes.closed:
        count = changes.count
        now = snapshot()
        new = {key: value for key, value in now.items() if key not in seen or seen[key] != value}
        gone = [key for key in seen if key not in now]
        if new or gone:
            yield f"data: {json.dumps({'set': new, 'gone': gone}, separators=(',', ':'))}\n\n"
        seen = now
        await changes.after(count)
        await asyncio.sleep(TOGETHER)


class _Fenced:
    """Lets in only this page: no other host name for this machine, and no post from another site."""

    def __init__(self, inner: ASGIApp, *, doors: frozenset[str]) -> None:
        self._inner = inner
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((k.lower().encode(), v.encode()) for k, v in HEADERS.items()),
                ]
            await send(message)

        refused = self._refusal(request)
        await (refused or self._inner)(scope, receive, dressed)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if host.rpartition(":")[0] not in ("127.0.0.1", "localhost"):
            return PlainTextResponse("this page is available on this machine only", status_code=403)
        if request.method != "POST":
            return None
        if (
            request.headers.get("origin") != f"http://{host}"
            or request.headers.get("content-type") != "application/json"
        ):
            return PlainTextResponse("requests from other sites are not allowed", status_code=403)
        known = request.url.path.split("/")[1] in self._doors
        return None if known else PlainTextResponse("not found", status_code=404)
