"""Run the bot: listen, serve until a signal, drain."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable

import structlog

from bot.policy.file.problems import Problem, SettingsInvalid
from bot.serve import http_server
from bot.serve.build import build
from bot.settings.loader import Settings

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises what `build` raises."""
    http_server.raise_descriptor_limit()
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    listener = _listen(settings)
    early = asyncio.Event()
    _on_signals(early.set)
    async with build(settings) as bot:
        server = http_server.Server(http_server.config(bot.app))

        def finish() -> None:
            bot.count_down()
            server.finish()

        _on_signals(finish)
        if early.is_set():
            finish()
        gc.collect()
        gc.freeze()  # exempts what was built from garbage collection: full collections caused the slowest answers
        log.info("serving", host=settings.host, port=listener.getsockname()[1])
        await server.serve(sockets=[listener])


def _on_signals(stop: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def _listen(settings: Settings) -> socket.socket:
    """Open the port first, so that a wrong one is an error message and not a half-started bot."""
    try:
        return http_server.listen(settings.host, settings.port)
    except OSError as error:
        what = f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; choose another HOST or PORT"
        raise SettingsInvalid((Problem(where="PORT", what=what),)) from error
