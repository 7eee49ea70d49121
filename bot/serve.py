"""The composition root: builds the bot from its settings, runs it, and shuts it down in reverse."""

import asyncio
import contextlib
import functools
import gc
import hashlib
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import aiohttp
import prometheus_client
import structlog
from starlette.types import ASGIApp

from bot import doors, errors, http_server, ports
from bot.arrivals import Entry
from bot.asking import Asking
from bot.calling import Calling
from bot.cloud import auth
from bot.cloud import client as cloud
from bot.cloud.credentials import CredentialSource
from bot.finding import Finder
from bot.gate import Gate
from bot.in_force import PolicyInForce
from bot.inbox import Inbox
from bot.keylock import LockedCloud
from bot.ports import Recording
from bot.reading import Reading
from bot.service import Service
from bot.settings import Settings
from bot.slack import app as slack_app
from bot.slack.directory import Directory
from bot.slack.installation import Installation
from bot.slack.listeners import Listeners
from bot.slack.notifier import Notifier
from bot.slack.pacing import Pacer
from bot.slack.reader import Reader
from bot.slack.returns import Returns
from bot.slack.socket import Sockets
from bot.slack.web_api import WebApi
from bot.store import store
from bot.telling import Telling
from bot.worker import Worker

SLACK_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0, connect=5.0)

DRAIN_WITHIN: Final = 7.0
"""Seconds from the beginning of a shutdown for which it waits for what is in flight: it ends within ten."""

Server = http_server.Server
listen = http_server.listen
server_config = http_server.config

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
        self,
        *,
        store: ports.Store,
        inbox: Inbox,
        worker: Worker,
        installation: Installation,
        sockets: Sockets | None,
        listeners: Listeners,
        app: ASGIApp,
    ) -> None:
        self.app = app
        self.store = store
        self.installation = installation
        self.sockets = sockets
        self._listeners = listeners
        self._inbox = inbox
        self._worker = worker
        self._tasks: list[asyncio.Task[None]] = []
        self._drain_by: float | None = None

    def start(self) -> None:
        """Begin to write what arrives and to carry out what is due."""
        self._tasks = [asyncio.create_task(self._inbox.run()), asyncio.create_task(self._worker.run())]
        if self.sockets is not None:
            self.sockets.start()

    async def settle(self) -> None:
        """Return when nothing is left to do at this time."""
        await self._worker.settle()

    def count_down(self) -> None:
        """Count the seconds of a shutdown from now on; without it they count from `stop`."""
        if self._drain_by is None:
            self._drain_by = asyncio.get_running_loop().time() + DRAIN_WITHIN

    async def stop(self) -> None:
        """Take nothing more, finish what is in flight, and let go."""
        self.count_down()
        if self.sockets is not None:
            await self.sockets.stop()
        writing, looking = self._tasks
        self._inbox.close()
        await writing
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        try:
            async with asyncio.timeout_at(self._drain_by):
                await self._listeners.drain()
                await self._worker.drain()
        except TimeoutError:
            log.warning("something was still in flight at the end; it is taken up again once its lease has lapsed")
        await self._worker.let_go()


@contextlib.asynccontextmanager
async def build(settings: Settings, *, clock: ports.Clock | None = None) -> AsyncIterator[Bot]:
    """Build the bot, start it, and stop it when the context ends.

    Raises errors.StoreError when the database cannot be used, errors.RevisionMismatch when it is older than the code,
    and errors.SettingsInvalid when Slack does not know a token. Slack or the cloud being away keeps nobody from
    starting.
    """
    clock = clock or SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        database = await store.open_store(settings.database_url, clock=clock, replica=secrets.token_hex(8))
        stack.push_async_callback(database.close)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=SLACK_TIMEOUT))
        transport = await stack.enter_async_context(cloud.open_client())
        live = _live(settings, transport, database, clock)
        bot = assemble(settings, clock=clock, database=database, session=session, live=live)
        await doors.introduce(bot.installation)
        if bot.sockets is not None:
            await doors.preflight(bot.sockets)
        bot.start()
        stack.push_async_callback(bot.stop)
        yield bot


def assemble(
    settings: Settings,
    *,
    clock: ports.Clock,
    database: store.SqlStore,
    session: aiohttp.ClientSession,
    live: ports.Cloud,
) -> Bot:
    """Wire the parts together."""
    client = _client(settings, session)
    installation = Installation(client=client)
    returns = Returns(clock=clock)
    registry = prometheus_client.CollectorRegistry()
    notifier = Notifier(
        client=client,
        session=session,
        installation=installation,
        returns=returns,
        pacer=Pacer(clock=clock),
        count=_copies(registry),
    )
    directory = Directory(client=client, installation=installation, clock=clock)
    in_force = PolicyInForce(settings)
    gate = Gate(policy_in_force=in_force, directory=directory, switch=database, clock=clock)
    finder = Finder(cloud=live, clock=clock)
    reading = Reading(store=database, finder=finder, gate=gate, directory=directory, clock=clock)
    worker = _worker(database, live, gate, finder, notifier, clock, in_force.look, _unexpected(registry))
    inbox = Inbox(database, recorded=worker.wake_entry)
    listeners = Listeners(
        record=_counted(inbox, registry),
        returns=returns,
        notifier=notifier,
        reader=Reader(reading=reading, notifier=notifier),
        installation=installation,
        clock=clock,
        api_url=settings.slack_api_url,
    )
    bolt = slack_app.build(client=client, installation=installation, listeners=listeners)
    dispatch = functools.partial(slack_app.dispatch, bolt)
    sockets = doors.sockets(settings, client, installation, clock, dispatch, registry)
    app = doors.routes(doors.guard(settings, installation, clock, dispatch), sockets, database, registry, client)
    return Bot(
        store=database,
        inbox=inbox,
        worker=worker,
        installation=installation,
        sockets=sockets,
        listeners=listeners,
        app=app,
    )


def _client(settings: Settings, session: aiohttp.ClientSession) -> WebApi:
    """Return slack_sdk's client without its retries, which would post twice; the worker repeats what was lost."""
    return WebApi(
        token=settings.slack_bot_token.get_secret_value(),
        base_url=settings.slack_api_url,
        session=session,
        retry_handlers=[],
    )


def _worker(
    database: store.SqlStore,
    live: ports.Cloud,
    gate: Gate,
    finder: Finder,
    notifier: Notifier,
    clock: ports.Clock,
    look_beside: Callable[[], Awaitable[None]],
    count: Callable[[str], None],
) -> Worker:
    asking = Asking(store=database, finder=finder, gate=gate, clock=clock)
    return Worker(
        store=database,
        service=Service(store=database, gate=gate, asking=asking, clock=clock),
        calling=Calling(store=database, cloud=live, gate=gate, clock=clock),
        telling=Telling(store=database, chat=notifier, clock=clock, count=count),
        chat=notifier,
        clock=clock,
        look_beside=look_beside,
        count=count,
    )


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises what `build` raises."""
    http_server.raise_descriptor_limit()
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    listener = _listen(settings)
    early = asyncio.Event()
    _on_signals(early.set)
    async with build(settings) as bot:
        server = Server(server_config(bot.app))

        def finish() -> None:
            bot.count_down()
            server.finish()

        _on_signals(finish)
        if early.is_set():
            finish()
        gc.collect()
        gc.freeze()  # what was built for good is never looked through again: full collections made the slowest answers
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


def _live(settings: Settings, transport: Any, database: store.SqlStore, clock: ports.Clock) -> ports.Cloud:
    source = CredentialSource(settings)
    client = cloud.LiveClient(transport, credentials=source, now=clock.now)
    return LockedCloud(cloud=client, keys=lambda project: _key_of(source()[project.name]), store=database, clock=clock)


def _key_of(held: auth.Held) -> str:
    """Return what a key, or an IAM user, goes by in the store: a hash, as it must not stand there."""
    named = f"{held.domain}/{held.name}" if isinstance(held, auth.IamUser) else held.ak.get_secret_value()
    return hashlib.sha256(named.encode()).hexdigest()


def _copies(registry: prometheus_client.CollectorRegistry) -> Callable[[str], None]:
    counter = prometheus_client.Counter(
        "flowbot_copies", "Posts whose answer was lost, and clicks on copies of cards.", ["what"], registry=registry
    )
    return lambda what: counter.labels(what=what).inc()


def _unexpected(registry: prometheus_client.CollectorRegistry) -> Callable[[str], None]:
    counter = prometheus_client.Counter(
        "flowbot_unexpected_errors", "Unexpected errors, by what flowbot was doing.", ["doing"], registry=registry
    )
    return lambda doing: counter.labels(doing=doing).inc()


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
