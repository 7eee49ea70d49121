"""The composition root: builds the bot from its settings, runs it, and shuts it down in reverse."""

import asyncio
import contextlib
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import aiohttp
import prometheus_client
import structlog
import uvicorn
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bot import errors, ports
from bot.arrivals import Entry
from bot.asking import Asking
from bot.calling import Calling
from bot.cloud import auth
from bot.cloud import client as cloud
from bot.finding import Finder
from bot.gate import Gate
from bot.inbox import Inbox
from bot.ports import Recording
from bot.service import Service
from bot.settings import Settings
from bot.slack import app as slack_app
from bot.slack.directory import Directory
from bot.slack.guard import Guard
from bot.slack.installation import Installation
from bot.slack.listeners import Listeners
from bot.slack.notifier import Notifier
from bot.slack.returns import Returns
from bot.store import store
from bot.telling import Telling
from bot.worker import Worker

SLACK_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0, connect=5.0)

LEARN_WITHIN: Final = 1.5
"""Seconds that a delivery waits for Slack to say who we are, while that is unknown."""

DRAIN_WITHIN: Final = 9.0
"""Seconds that a shutdown waits for what is in flight."""

READY_WITHIN: Final = 2.0

log = structlog.get_logger()


class SystemClock:
    """ports.Clock on the machine's time."""

    def now(self) -> float:
        """Return the seconds since the epoch (UTC)."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)


class Bot:
    """The running bot: its ASGI app, and the tasks behind it."""

    def __init__(
        self, *, store: ports.Store, inbox: Inbox, worker: Worker, installation: Installation, app: Starlette
    ) -> None:
        self.app = app
        self.store = store
        self.installation = installation
        self._inbox = inbox
        self._worker = worker
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to write what arrives and to carry out what is due."""
        self._tasks = [asyncio.create_task(self._inbox.run()), asyncio.create_task(self._worker.run())]

    async def settle(self) -> None:
        """Return when nothing is left to do at this time."""
        await self._worker.settle()

    async def stop(self) -> None:
        """Take nothing more, finish what is in flight, and let go."""
        writing, looking = self._tasks
        self._inbox.close()
        await writing
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        try:
            async with asyncio.timeout(DRAIN_WITHIN):
                await self._worker.drain()
        except TimeoutError:
            log.warning("something was still in flight at the end; it is taken up again after the restart")


@contextlib.asynccontextmanager
async def build(settings: Settings, *, clock: ports.Clock | None = None) -> AsyncIterator[Bot]:
    """Build the bot, start it, and stop it when the context ends.

    Raises errors.StoreError when the database cannot be used, errors.RevisionMismatch when it is older than the code,
    and errors.ChatRefused when Slack does not know the token. Slack or the cloud being away keeps nobody from
    starting.
    """
    clock = clock or SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        database = await store.open_store(settings.database_url, clock=clock, replica=secrets.token_hex(8))
        stack.push_async_callback(database.close)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=SLACK_TIMEOUT))
        transport = await stack.enter_async_context(cloud.open_client())
        bot = assemble(
            settings, clock=clock, database=database, session=session, live=_live(settings, transport, clock)
        )
        await _introduce(bot.installation)
        bot.start()
        stack.push_async_callback(bot.stop)
        yield bot


def assemble(
    settings: Settings, *, clock: ports.Clock, database: ports.Store, session: aiohttp.ClientSession, live: ports.Cloud
) -> Bot:
    """Wire the parts together."""
    client = AsyncWebClient(
        token=settings.slack_bot_token.get_secret_value(),
        base_url=settings.slack_api_url,
        session=session,
        retry_handlers=[],
    )
    installation = Installation(client=client)
    returns = Returns(clock=clock)
    notifier = Notifier(client=client, session=session, installation=installation, returns=returns)
    directory = Directory(client=client, installation=installation, clock=clock)
    gate = Gate(policy_in_force=lambda: settings.policy, directory=directory)
    asking = Asking(store=database, finder=Finder(cloud=live, clock=clock), gate=gate, clock=clock)
    worker = Worker(
        store=database,
        service=Service(store=database, gate=gate, asking=asking, clock=clock),
        calling=Calling(store=database, cloud=live, gate=gate, clock=clock),
        telling=Telling(store=database, chat=notifier, clock=clock),
        chat=notifier,
        clock=clock,
    )
    registry = prometheus_client.CollectorRegistry()
    inbox = Inbox(database, recorded=worker.wake_entry)
    listeners = Listeners(
        record=_counted(inbox, registry),
        returns=returns,
        notifier=notifier,
        clock=clock,
        api_url=settings.slack_api_url,
    )
    bolt = slack_app.build(client=client, installation=installation, listeners=listeners)
    guard = Guard(
        signing_secret=settings.slack_signing_secret.get_secret_value(),
        installation=installation,
        clock=clock,
        dispatch=lambda payload: slack_app.dispatch(bolt, payload),
        is_ready=lambda: _is_ready(installation),
    )
    app = _routes(guard, database, registry)
    return Bot(store=database, inbox=inbox, worker=worker, installation=installation, app=app)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises what `build` raises."""
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    listener = _listen(settings)
    early = asyncio.Event()
    _on_signals(early.set)
    async with build(settings) as bot:
        server = Server(server_config(bot.app))
        _on_signals(server.finish)
        if early.is_set():
            server.finish()
        log.info("serving", host=settings.host, port=listener.getsockname()[1])
        await server.serve(sockets=[listener])


def _on_signals(stop: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def _listen(settings: Settings) -> socket.socket:
    """Open the port before anything else, so that a wrong one is a sentence and not a half-started bot."""
    try:
        return listen(settings.host, settings.port)
    except OSError as error:
        what = f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; choose another HOST or PORT"
        raise errors.SettingsInvalid((errors.Problem(where="PORT", what=what),)) from error


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    asyncio sets TCP_NODELAY only on sockets that it makes; without it an answer in two writes waits 40 ms for an ack.
    """
    listener = socket.create_server((host, port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def server_config(app: Starlette) -> uvicorn.Config:
    """Return how uvicorn serves the app: its C parser, our logging, and the plain loop (uvloop's p99 was far longer)."""
    return uvicorn.Config(
        app,
        http="httptools",
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )


class Server(uvicorn.Server):
    """uvicorn, with signals left to us: it would end the process with the signal's own exit code."""

    def finish(self) -> None:
        """Stop accepting and answer what is in flight."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def _live(settings: Settings, transport: Any, clock: ports.Clock) -> cloud.LiveClient:
    credentials = {
        name: auth.Credentials(**settings.credentials_for(name)._asdict()) for name in settings.policy.projects
    }
    return cloud.LiveClient(transport, credentials=credentials, now=clock.now)


def _counted(inbox: Inbox, registry: prometheus_client.CollectorRegistry) -> Any:
    recordings = prometheus_client.Counter(
        "flowbot_recordings", "Deliveries of the durable lane, by what became of them.", ["result"], registry=registry
    )

    counters = {recording: recordings.labels(result=recording) for recording in Recording}

    async def record(entry: Entry) -> Recording:
        recording = await inbox.record(entry)
        counters[recording].inc()
        return recording

    return record


async def _introduce(installation: Installation) -> None:
    try:
        identity = await installation.learn()
    except errors.ChatRefused as refused:
        what = (
            f"Slack does not accept it ({refused.code}); copy the bot token from the app's page “OAuth & Permissions”"
        )
        raise errors.SettingsInvalid((errors.Problem(where="SLACK_BOT_TOKEN", what=what),)) from refused
    except errors.ChatUnavailable as failure:
        log.warning("Slack is not to be reached yet; flowbot asks again with the next delivery", reason=str(failure))
    else:
        log.info("connected to Slack", team=identity.team, bot_user=identity.bot_user)


async def _is_ready(installation: Installation) -> bool:
    if installation.identity is None:
        with contextlib.suppress(errors.ChatError, TimeoutError):
            async with asyncio.timeout(LEARN_WITHIN):
                await installation.learn()
    return installation.identity is not None


def _routes(guard: Guard, database: ports.Store, registry: prometheus_client.CollectorRegistry) -> Starlette:
    async def alive(_: Request) -> Response:
        return PlainTextResponse("alive")

    async def ready(_: Request) -> Response:
        try:
            async with asyncio.timeout(READY_WITHIN):
                await database.next_due_at()
        except (errors.StoreError, TimeoutError):
            return JSONResponse({"database": "away"}, status_code=503)
        return JSONResponse({"database": "answers"})

    async def metrics(_: Request) -> Response:
        written = prometheus_client.generate_latest(registry)
        return Response(written, media_type=prometheus_client.CONTENT_TYPE_PLAIN_0_0_4)

    return Starlette(
        routes=[
            Route("/slack/events", guard.receive, methods=["POST"]),
            Route("/healthz", alive),
            Route("/readyz", ready),
            Route("/metrics", metrics),
        ]
    )
