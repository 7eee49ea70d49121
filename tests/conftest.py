"""What every test has: a log as plain as the bot's own, since tracebacks with all local variables cost seconds each."""

from typing import Final

import structlog

PLAIN: Final = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)

structlog.configure(processors=[*structlog.get_config()["processors"][:-1], PLAIN])
