"""Logging: one way out for our own records and for those of every library, with secrets cut out on the way.

Owns the set-up of structlog and of the standard library's `logging`, and knows what a secret looks like. It must not
know where secrets or settings come from. Importing it does nothing. The ids of a request are bound once, with
`structlog.contextvars.bound_contextvars`, and then stand on every line.
"""

import collections
import contextlib
import json
import logging
import re
import sys
import types
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

import structlog

REDACTED: Final = "[redacted]"

SHORT: Final = 6
"""A secret of fewer characters is cut out only where it is a whole value: within text it could be any word."""

LEARNED: Final = 200
"""How many secrets are kept in mind that became known after the start."""

FLOORS: Final[Mapping[str, int]] = {
    # Bolt prints whole bodies: at INFO when a signature is wrong, at WARNING when its middleware does not answer.
    "slack_bolt": logging.ERROR,
    # Slack's SDK prints what it sends and gets at DEBUG, and response URLs at INFO.
    "slack_sdk": logging.WARNING,
    # Headers and addresses of every call to the cloud and to Slack.
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "aiohttp": logging.WARNING,
    # Statements with their parameters, which hold what people wrote.
    "sqlalchemy": logging.WARNING,
    "asyncio": logging.INFO,
    # Two lines at each start about where it found its own files.
    "alembic": logging.WARNING,
}
"""The least level at which a library is heard, however talkative we are told to be."""

_SENSITIVE: Final = (
    "authorization|proxy-authorization|x-auth-token|x-security-token|x-subject-token|x-slack-signature|cookie|set-cookie"
    "|trigger_id|response_url|token|securitytoken|password|client_secret|signing_secret"
)
_SENSITIVE_NAME: Final = re.compile(_SENSITIVE, re.IGNORECASE)

# What is a secret by its shape; safe on a rendered line too, since none reaches past a quote.
_SHAPES: Final = (
    (re.compile(r"(?:xox[a-z]|xapp|xwfp)-[\w.%-]+", re.IGNORECASE), REDACTED),
    (
        re.compile(r"(hooks\.slack(?:-gov)?\.com)(?:\\*/|%2F)(?:\\+/|[^\s\"'<>\\()\[\]{}&])+", re.IGNORECASE),
        rf"\1/{REDACTED}",
    ),
    (re.compile(r"\b\d{6,}\.\d{6,}\.[0-9a-f]{16,}\b", re.IGNORECASE), REDACTED),
)
# What is a secret by the name before it. Quoted, it ends with a quote that has as many backslashes as the first one: a
# `repr` may hold another. A header's value may hold spaces and commas, so without quotes it ends with its line.
_NAMED: Final = (
    (
        re.compile(
            rf"""(?<![\w-])((?:{_SENSITIVE})\\*["']?\s*[:=,]\s*b?(\\*["']))(?:(?!(?<!\\)\2).)*(?:\2|$)""",
            re.IGNORECASE | re.MULTILINE,
        ),
        rf"\1{REDACTED}\2",
    ),
    (re.compile(r"(authorization|x-\w+-token)(\s*[:=]\s*)(?![\s\"'\\])[^\r\n]+", re.IGNORECASE), rf"\1\2{REDACTED}"),
    (re.compile(r"(trigger_id|response_url)(\s*[:=]\s*)(?![\s\"'\\])[^\s&,;]+", re.IGNORECASE), rf"\1\2{REDACTED}"),
)

_MAX_DEPTH: Final = 8

Format: TypeAlias = Literal["json", "console"]

_in_force: "Redaction | None" = None


def configure(*, fmt: Format, level: str, secrets: Iterable[str]) -> None:
    """Send every record of this process to stderr, and nothing anywhere else.

    `level` is a name as in `logging`, in any case. Handlers that others have installed are taken away: uvicorn is to be
    started with `log_config=None`. An exception that nobody catches is logged as well, rather than printed as it is.
    """
    global _in_force  # noqa: PLW0603 - logging is one for the process, and what it hides as well
    redaction = _in_force = Redaction(secrets)
    chain: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = _Handler()
    handler.setFormatter(_Formatter(redaction, chain, fmt))
    handler.addFilter(_is_heard)
    _take_over(handler, level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *chain,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    sys.excepthook = _log_uncaught


class Throttle:
    """Lets one of many like lines pass, so that a flood of them fills no disk."""

    def __init__(self, *, every: float = 60.0) -> None:
        """Let the first line of a kind pass, and then one in so many seconds."""
        self._every = every
        self._passed: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def passes(self, kind: str, *, now: float) -> int | None:
        """Return how many lines were suppressed since the last one that passed; None to suppress this one."""
        if kind in self._passed and 0 <= now - self._passed[kind] < self._every:
            self._suppressed[kind] += 1
            return None
        self._passed[kind] = now
        suppressed, self._suppressed[kind] = self._suppressed.get(kind, 0), 0
        return suppressed


def hide_secrets(secrets: Iterable[str]) -> None:
    """Cut these secrets out of every record from now on: for what is read or given after the start."""
    if _in_force is not None:
        _in_force.learn(secrets)


class Redaction:
    """Cuts secrets out of anything that can be logged: the given ones by value, others by their shape or name."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._given = frozenset(secret for secret in secrets if secret)
        self._learned: collections.deque[str] = collections.deque(maxlen=LEARNED)
        self._prepare()

    def learn(self, secrets: Iterable[str]) -> None:
        """Cut these secrets out as well; the oldest of very many are forgotten, since tokens are renewed for ever."""
        new = dict.fromkeys(secret for secret in secrets if secret and secret not in self._whole)
        if new:
            self._learned.extend(new)
            self._prepare()

    def _prepare(self) -> None:
        self._whole = self._given.union(self._learned)
        forms = {form for secret in self._whole if len(secret) >= SHORT for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def line(self, text: str) -> str:
        """Cut secrets out of a rendered line, and leave it well-formed."""
        text = self._values.sub(REDACTED, text)
        for shape, instead in _SHAPES:
            text = shape.sub(instead, text)
        return text

    def text(self, text: str) -> str:
        """Cut secrets out of one text."""
        if text in self._whole:
            return REDACTED
        for named, instead in _NAMED:
            text = named.sub(instead, text)
        return self.line(text)

    def value(self, value: object, *, depth: int = 0) -> object:
        """Return the value with secrets cut out of it and of whatever it holds; of objects, what `repr` shows."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value if self.text(str(value)) == str(value) else REDACTED
        if depth < _MAX_DEPTH and isinstance(value, Mapping):
            return {self.text(_name(name)): self._named(name, each, depth=depth + 1) for name, each in value.items()}
        if depth < _MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
            items = list(value)
            if len(items) == 2:  # a header, in a list of headers
                return [self.value(items[0], depth=depth + 1), self._named(items[0], items[1], depth=depth + 1)]
            return [self.value(each, depth=depth + 1) for each in items]
        return self.text(repr(value))

    def event(self, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """Cut secrets out of a whole event."""
        return {self.text(str(name)): self._named(name, value, depth=0) for name, value in event.items()}

    def _named(self, name: object, value: object, *, depth: int) -> object:
        return REDACTED if _SENSITIVE_NAME.fullmatch(_name(name)) else self.value(value, depth=depth)


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Renders a record: redacted before it is rendered, value by value, and once more as a line."""

    def __init__(self, redaction: Redaction, chain: list[structlog.typing.Processor], fmt: Format) -> None:
        self._redaction = redaction
        renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
        if fmt == "console":
            # Pretty tracebacks would show the local variables.
            plain = structlog.dev.plain_traceback
            renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
        processors: list[structlog.typing.Processor] = [
            self.remove_processors_meta,
            structlog.processors.format_exc_info,
            lambda _logger, _method, event: redaction.event(event),
            renderer,
        ]
        super().__init__(foreign_pre_chain=chain, processors=processors)

    def format(self, record: logging.LogRecord) -> str:
        copy = logging.makeLogRecord(record.__dict__)
        # As whole values: once they are in the message, a short secret is a word like any other.
        if isinstance(copy.args, Mapping):
            copy.args = {name: self._argument(value) for name, value in copy.args.items()}
        elif copy.args:
            copy.args = tuple(self._argument(value) for value in copy.args)
        return self._redaction.line(super().format(copy))

    def _argument(self, value: object) -> object:
        return self._redaction.text(value) if isinstance(value, str) else value


class _Handler(logging.StreamHandler[Any]):
    """Writes to stderr."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Tell that a record was lost. The standard library would print its arguments, secrets and all."""
        problem = sys.exc_info()[0]
        name = "an error" if problem is None else problem.__name__
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(f"a record of {record.name}, line {record.lineno}, could not be logged: {name}\n")


def _take_over(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    for library, floor in FLOORS.items():
        logging.getLogger(library).setLevel(max(floor, root.level))


def _is_heard(record: logging.LogRecord) -> bool:
    """Hold libraries to their floor whatever level their loggers have: Bolt gives each of its own the root's."""
    return record.levelno >= FLOORS.get(record.name.partition(".")[0], logging.NOTSET)


def _log_uncaught(kind: type[BaseException], problem: BaseException, traceback: types.TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.stdlib.get_logger(__name__).critical("uncaught", exc_info=(kind, problem, traceback))


def _forms(secret: str) -> Iterable[str]:
    """Return the secret as it is, and as it stands in a URL, in JSON and in a `repr`."""
    as_bytes = secret.encode(errors="replace")
    in_a_url = urllib.parse.quote(as_bytes, safe=""), urllib.parse.quote_plus(as_bytes)
    return secret, *in_a_url, json.dumps(secret)[1:-1], repr(secret)[1:-1], repr(as_bytes)[2:-1]


def _name(name: object) -> str:
    return name.decode("latin-1") if isinstance(name, bytes) else str(name)
