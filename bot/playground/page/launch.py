"""`flowbot playground`: opens the world, runs the bot and the page, and shuts everything down again.

Owns the lifetime of the parts; what each does is in its own module.
"""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import signal
import socket
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import click

from bot.playground import process, rehearsal, world
from bot.playground.page import server
from bot.playground.page.actions import Actions
from bot.playground.page.changes import Changes
from bot.playground.page.control import Control
from bot.playground.page.sight import Sight
from bot.playground.process import BotProcess, Launch
from bot.playground.slack.workspace import SLACKBOT
from bot.policy.file.problems import Problem, SettingsInvalid
from bot.serve import http_server
from bot.settings import log

USUAL_PORT: Final = 4321


@dataclasses.dataclass(frozen=True, kw_only=True)
class Playground:
    """Everything that runs, for tests to inspect; `url` is the address of the page."""

    url: str
    world: world.World
    bot: BotProcess
    changes: Changes


def run(
    *, port: int | None, config: pathlib.Path | None, keep: pathlib.Path | None, by_socket: bool, opens: bool
) -> None:
    """Serve the page until Ctrl-C or SIGTERM. Raises errors.FlowbotError with a message for the user."""
    log.configure(fmt="console", level="error", secrets=())
    scene = _scene(config)
    with _listening(port) as listener, _state(keep) as directory:
        asyncio.run(_serve(scene, directory, listener, by_socket=by_socket, opens=opens))


async def _serve(
    scene: rehearsal.Scene, directory: pathlib.Path, listener: socket.socket, *, by_socket: bool, opens: bool
) -> None:
    ended = asyncio.Event()
    for stop in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop, ended.set)
    async with playground(scene, directory, listener, by_socket=by_socket) as running:
        if ended.is_set():
            return
        click.echo(f"The playground is at {running.url} — Ctrl-C ends it.")
        if opens and _has_browser():
            await asyncio.to_thread(webbrowser.open, running.url)
        await ended.wait()


def _has_browser() -> bool:
    """Tell whether there is a graphical desktop: a text browser would take over the terminal."""
    windows = sys.platform in ("darwin", "win32") or os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"}
    return sys.stdout.isatty() and bool(windows)


@contextlib.asynccontextmanager
async def playground(
    scene: rehearsal.Scene,
    directory: pathlib.Path,
    listener: socket.socket,
    *,
    by_socket: bool = False,
    launch: Launch = process.launch,
) -> AsyncIterator[Playground]:
    """Run the stand-ins, the bot and the page until the context ends; `by_socket` selects Socket Mode.

    Raises process.NotStarted.
    """
    changes = Changes()
    async with contextlib.AsyncExitStack() as stack:
        built = await stack.enter_async_context(
            world.build(directory, policy=scene.text, furnish=scene.furnish, socket=by_socket)
        )
        built.slack.workspace.watchers.append(changes.tell)
        bot = BotProcess(
            built.environ,
            directory=directory,
            changed=changes.tell,
            connected=built.deliver_to,
            launch=launch,
        )
        stack.push_async_callback(bot.stop)
        control = Control(built, bot, changes)
        stack.push_async_callback(control.close)
        await bot.start()
        for watching in (changes.follow(built.live), control.watch()):
            await stack.enter_async_context(_beside(asyncio.create_task(watching)))
        await stack.enter_async_context(_page(_app(scene, built, control, changes), listener, changes))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        yield Playground(url=url, world=built, bot=bot, changes=changes)


def _app(scene: rehearsal.Scene, built: world.World, control: Control, changes: Changes) -> Any:
    workspace = built.slack.workspace
    sight = Sight(workspace, sets=dict(scene.policy.people))
    actions = Actions(built.slack, sight)

    def people() -> tuple[str, ...]:
        return tuple(one.id for one in workspace.persons.values() if not one.is_bot and one.id != SLACKBOT)

    return server.app(
        snapshot=lambda user: {**sight.of(user), **control.seen(), **actions.words()},
        people=people,
        changes=changes,
        doors={"do": actions.do, "set": control.set},
    )


@contextlib.asynccontextmanager
async def _page(app: Any, listener: socket.socket, changes: Changes) -> AsyncIterator[None]:
    serving = http_server.Server(http_server.config(app))
    task = asyncio.create_task(serving.serve(sockets=[listener]))
    try:
        yield
    finally:
        changes.close()
        serving.finish()
        await task


@contextlib.asynccontextmanager
async def _beside(task: asyncio.Task[None]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _scene(config: pathlib.Path | None) -> rehearsal.Scene:
    if config is None:
        return rehearsal.sample()
    try:
        data = config.read_bytes()
    except OSError as error:
        raise _wrong("--config", f"{config} cannot be read: {error.strerror}") from error
    return rehearsal.of_file(data, name=str(config))


@contextlib.contextmanager
def _listening(port: int | None) -> Iterator[socket.socket]:
    """Open the port; without a number, the default one or, if that is taken, any free one."""
    try:
        listener = http_server.listen("127.0.0.1", USUAL_PORT if port is None else port)
    except OSError as error:
        if port is not None:
            raise _wrong("--port", f"cannot listen on port {port}: {os.strerror(error.errno or 0)}") from error
        listener = http_server.listen("127.0.0.1", 0)
    with listener:
        yield listener


@contextlib.contextmanager
def _state(keep: pathlib.Path | None) -> Iterator[pathlib.Path]:
    """Yield the directory for the bot's files: `keep`, which must be empty, or a temporary one."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="flowbot-") as directory:
            yield pathlib.Path(directory)
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise _wrong("--keep", f"{keep} is not empty; name a new directory")
    except OSError as error:
        raise _wrong("--keep", f"{keep} cannot be used: {error.strerror}") from error
    yield keep.resolve()


def _wrong(where: str, what: str) -> SettingsInvalid:
    return SettingsInvalid((Problem(where=where, what=what),))
