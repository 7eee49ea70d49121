"""The composition root: builds the bot from its settings, runs it, and shuts it down in reverse."""

import asyncio
import contextlib
import functools
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import aiohttp
import prometheus_client
import structlog
from starlette.types import ASGIApp

from bot.cloud.client import LiveClient, open_client
from bot.cloud.credentials import CredentialSource
from bot.cloud.key_lock import LockedCloud
from bot.commands.deliveries import Entry
from bot.serve import web
from bot.serve.clock import SystemClock
from bot.settings.credentials import Credentials, IamUser
from bot.settings.loader import Settings
from bot.slack import app as slack_app
from bot.slack.directory.people import SlackDirectory
from bot.slack.installation import Installation
from bot.slack.listeners import Listeners
from bot.slack.notifier import Notifier
from bot.slack.pacing import Pacer
from bot.slack.reader import ReadLane
from bot.slack.reply_handles import ReplyHandles
from bot.slack.socket_mode import Sockets
from bot.slack.web_api import WebApi
from bot.store import opening
from bot.store.store import SqlStore
from bot.usecases import ports
from bot.usecases.clicks import UseCases
from bot.usecases.find_flow import FlowFinder
from bot.usecases.gate import Gate
from bot.usecases.open_request import RequestOpener
from bot.usecases.ports import Recording
from bot.usecases.queries import Queries
from bot.worker.audit_linker import AuditLinker
from bot.worker.call import Caller
from bot.worker.deliver import Deliverer
from bot.worker.inbox import Inbox
from bot.worker.policy_reload import ReloadedPolicy
from bot.worker.requests import Worker

SLACK_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0, connect=5.0)

SLACK_CONNECTIONS: Final = 1_000
"""More than what is due to be told, or is being decided, for all channels at a time; aiohttp's own limit is 100."""

DRAIN_WITHIN: Final = 7.0
"""Seconds from the start of a shutdown to wait for work in progress; the whole shutdown takes at most ten."""

log = structlog.get_logger()


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
        linker: AuditLinker,
        app: ASGIApp,
    ) -> None:
        self.app = app
        self.store = store
        self.installation = installation
        self.sockets = sockets
        self._listeners = listeners
        self._inbox = inbox
        self._worker = worker
        self._linker = linker
        self._tasks: list[asyncio.Task[None]] = []
        self._drain_by: float | None = None

    def start(self) -> None:
        """Start writing what arrives and carrying out what is due."""
        running = (self._inbox.run(), self._worker.run(), self._linker.run())
        self._tasks = [asyncio.create_task(one) for one in running]
        if self.sockets is not None:
            self.sockets.start()

    async def settle(self) -> None:
        """Return when nothing is due any more."""
        await self._worker.settle()

    def count_down(self) -> None:
        """Start the time limit of a shutdown now; otherwise it starts with `stop`."""
        if self._drain_by is None:
            self._drain_by = asyncio.get_running_loop().time() + DRAIN_WITHIN

    async def stop(self) -> None:
        """Accept nothing more, finish the work in progress, and release what it holds."""
        self.count_down()
        if self.sockets is not None:
            await self.sockets.stop()
        writing, *looking = self._tasks
        self._inbox.close()
        await writing
        for task in looking:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        try:
            async with asyncio.timeout_at(self._drain_by):
                await self._listeners.drain()
                await self._worker.drain()
        except TimeoutError:
            log.warning("work still in progress at shutdown; it resumes once its lease has expired")
        await self._worker.let_go()
        await self._linker.catch_up()


@contextlib.asynccontextmanager
async def build(settings: Settings, *, clock: ports.Clock | None = None) -> AsyncIterator[Bot]:
    """Build the bot, start it, and stop it when the context ends.

    Raises errors.StoreError if the database cannot be used, errors.RevisionMismatch if it is older than the code, and
    errors.SettingsInvalid if Slack rejects a token. It starts even while Slack or the cloud cannot be reached.
    """
    clock = clock or SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        database = await opening.open_store(settings.database_url, clock=clock, replica=secrets.token_hex(8))
        stack.push_async_callback(database.close)
        session = await stack.enter_async_context(open_session())
        transport = await stack.enter_async_context(open_client())
        live = _live(settings, transport, database, clock)
        bot = assemble(settings, clock=clock, database=database, session=session, live=live)
        await web.introduce(bot.installation)
        if bot.sockets is not None:
            await web.preflight(bot.sockets)
        bot.start()
        stack.push_async_callback(bot.stop)
        yield bot


def open_session() -> aiohttp.ClientSession:
    """Return the connections to Slack: so many that calls which hang keep none from another."""
    return aiohttp.ClientSession(timeout=SLACK_TIMEOUT, connector=aiohttp.TCPConnector(limit=SLACK_CONNECTIONS))


def assemble(
    settings: Settings,
    *,
    clock: ports.Clock,
    database: SqlStore,
    session: aiohttp.ClientSession,
    live: ports.Cloud,
) -> Bot:
    """Connect the parts."""
    client, registry = _client(settings, session), prometheus_client.CollectorRegistry()
    installation, reply_handles = Installation(client=client), ReplyHandles(clock=clock)
    notifier = Notifier(
        client=client,
        session=session,
        installation=installation,
        reply_handles=reply_handles,
        pacer=Pacer(clock=clock),
        count=_copies(registry),
    )
    directory, policy = SlackDirectory(client=client, installation=installation, clock=clock), ReloadedPolicy(settings)
    gate = Gate(current_policy=policy, directory=directory, switch=database, clock=clock)
    finder = FlowFinder(cloud=live, clock=clock)
    queries = Queries(store=database, finder=finder, gate=gate, directory=directory, clock=clock)
    worker = _worker(database, live, gate, finder, notifier, clock, policy.look, _unexpected(registry))
    inbox = Inbox(database, recorded=worker.wake_entry)
    listeners = Listeners(
        record=_counted(inbox, registry),
        reply_handles=reply_handles,
        notifier=notifier,
        reader=ReadLane(queries=queries, notifier=notifier),
        installation=installation,
        clock=clock,
        api_url=settings.slack_api_url,
    )
    bolt = slack_app.build(client=client, installation=installation, listeners=listeners)
    dispatch = functools.partial(slack_app.dispatch, bolt)
    sockets = web.sockets(settings, client, installation, clock, dispatch, registry)
    app = web.routes(web.guard(settings, installation, clock, dispatch), sockets, database, registry, client)
    return Bot(
        store=database,
        inbox=inbox,
        worker=worker,
        installation=installation,
        sockets=sockets,
        listeners=listeners,
        linker=AuditLinker(link=database.link_audit, clock=clock),
        app=app,
    )


def _notifier(
    client: WebApi,
    session: aiohttp.ClientSession,
    installation: Installation,
    reply_handles: ReplyHandles,
    clock: ports.Clock,
    count: Callable[[str], None],
) -> Notifier:
    return Notifier(
        client=client,
        session=session,
        installation=installation,
        reply_handles=reply_handles,
        pacer=Pacer(clock=clock),
        count=count,
    )


def _client(settings: Settings, session: aiohttp.ClientSession) -> WebApi:
    """Return slack_sdk's client without its retries, which would post twice; the worker retries instead."""
    return WebApi(
        token=settings.slack_bot_token.get_secret_value(),
        base_url=settings.slack_api_url,
        session=session,
        retry_handlers=[],
    )


def _worker(
    database: SqlStore,
    live: ports.Cloud,
    gate: Gate,
    finder: FlowFinder,
    notifier: Notifier,
    clock: ports.Clock,
    look_beside: Callable[[], Awaitable[None]],
    count: Callable[[str], None],
) -> Worker:
    opener = RequestOpener(store=database, finder=finder, gate=gate, clock=clock)
    return Worker(
        store=database,
        use_cases=UseCases(store=database, gate=gate, opener=opener, clock=clock),
        caller=Caller(store=database, cloud=live, gate=gate, clock=clock),
        deliverer=Deliverer(store=database, chat=notifier, clock=clock, may_show=gate.may_show, count=count),
        chat=notifier,
        clock=clock,
        look_beside=look_beside,
        count=count,
    )


def _live(settings: Settings, transport: Any, database: SqlStore, clock: ports.Clock) -> ports.Cloud:
    source = CredentialSource(settings)
    client = LiveClient(transport, credentials=source, now=clock.now)
    return LockedCloud(cloud=client, keys=lambda project: _key_of(source()[project.name]), store=database, clock=clock)


def _key_of(held: Credentials) -> str:
    """Return the store's name for a key or IAM user: a hash, because the original must not be stored."""
    named = f"{held.domain}/{held.name}" if isinstance(held, IamUser) else held.ak.get_secret_value()
    return hashlib.sha256(named.encode()).hexdigest()


def _copies(registry: prometheus_client.CollectorRegistry) -> Callable[[str], None]:
    counter = prometheus_client.Counter(
        "flowbot_copies", "Posts whose response was lost, and clicks on copies of cards.", ["what"], registry=registry
    )
    return lambda what: counter.labels(what=what).inc()


def _unexpected(registry: prometheus_client.CollectorRegistry) -> Callable[[str], None]:
    counter = prometheus_client.Counter(
        "flowbot_unexpected_errors", "Unexpected errors, by what flowbot was doing.", ["doing"], registry=registry
    )
    return lambda doing: counter.labels(doing=doing).inc()


def _counted(inbox: Inbox, registry: prometheus_client.CollectorRegistry) -> Any:
    recordings = prometheus_client.Counter(
        "flowbot_recordings", "Deliveries of the durable lane, by result.", ["result"], registry=registry
    )

    counters = {recording: recordings.labels(result=recording) for recording in Recording}

    async def record(entry: Entry) -> Recording:
        recording = await inbox.record(entry)
        counters[recording].inc()
        return recording

    return record
