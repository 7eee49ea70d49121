"""Logging: one output for our own records and those of every library, with secrets cut out.

Owns the configuration of structlog and of the standard library's `logging`, and knows what a secret looks like. It must
not know where secrets or settings come from. Importing it does nothing. The ids of a request are bound once, with
`structlog.contextvars.bound_contextvars`, and appear on every line.
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
"""A shorter secret is cut out only if it is a whole value: within text it could be any word."""

LEARNED: Final = 200
"""Maximum number of remembered secrets that became known after the start."""

FLOORS: Final[Mapping[str, int]] = {
    # Bolt logs whole bodies: at INFO for a wrong signature, at WARNING if its middleware does not answer.
    "slack_bolt": logging.ERROR,
    # Slack's SDK logs what it sends and receives at DEBUG, and response URLs at INFO.
    "slack_sdk": logging.WARNING,
    # Headers and URLs of every call to the cloud and to Slack.
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "aiohttp": logging.WARNING,
    # Statements with their parameters, which contain what people wrote.
    "sqlalchemy": logging.WARNING,
    "asyncio": logging.INFO,
    # Two lines at each start about the location of its own files.
    "alembic": logging.WARNING,
}
"""The minimum level for each library, whatever the configured level."""

_SENSITIVE: Final = (
    "authorization|proxy-authorization|x-auth-token|x-security-token|x-subject-token|x-slack-signature|cookie|set-cookie"
    "|trigger_id|response_url|token|securitytoken|password|client_secret|signing_secret"
)
_SENSITIVE_NAME: Final = re.compile(_SENSITIVE, re.IGNORECASE)

# Secrets recognised by their shape; safe on a rendered line too, since no match extends past a quote.
_SHAPES: Final = (
    (re.compile(r"(?:xox[a-z]|xapp|xwfp)-[\w.%-]+", re.IGNORECASE), REDACTED),
    (
        re.compile(r"(hooks\.slack(?:-gov)?\.com)(?:\\*/|%2F)(?:\\+/|[^\s\"'<>\\()\[\]{}&])+", re.IGNORECASE),
        rf"\1/{REDACTED}",
    ),
    (re.compile(r"\b\d{6,}\.\d{6,}\.[0-9a-f]{16,}\b", re.IGNORECASE), REDACTED),
)
# Secrets recognised by the name before them. A quoted one ends at a quote with as many backslashes as the first, since
# a `repr` may contain another. A header's value may contain spaces and commas, so unquoted it ends with its line.
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
    """Send every record of this process to stderr, and nowhere else.

    `level` is a name as in `logging`, in any case. Other handlers are removed: start uvicorn with `log_config=None`.
    Uncaught exceptions are logged too, rather than printed unredacted.
    """
    global _in_force  # noqa: PLW0603 - logging is global to the process, and so are the secrets that it hides
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
    """Limits repeated log lines, so that a flood of them does not fill the disk."""

    def __init__(self, *, every: float = 60.0) -> None:
        """Let the first line of each kind pass, and then one every `every` seconds."""
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
    """Cut these secrets out of every later record; for secrets that become known after the start."""
    if _in_force is not None:
        _in_force.learn(secrets)


class Redaction:
    """Cuts secrets out of anything that can be logged: given ones by value, others by shape or name."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._given = frozenset(secret for secret in secrets if secret)
        self._learned: collections.deque[str] = collections.deque(maxlen=LEARNED)
        self._prepare()

    def learn(self, secrets: Iterable[str]) -> None:
        """Cut these secrets out as well; beyond a limit the oldest are forgotten, since tokens are renewed for ever."""
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
        """Cut secrets out of a rendered line, and keep it well-formed."""
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
        """Return the value with secrets cut out of it and its contents; of other objects, their redacted `repr`."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value if self.text(str(value)) == str(value) else REDACTED
        if depth < _MAX_DEPTH and isinstance(value, Mapping):
            return {self.text(_name(name)): self._named(name, each, depth=depth + 1) for name, each in value.items()}
        if depth < _MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
            items = list(value)
            if len(items) == 2:  # a header in a list of headers
                return [self.value(items[0], depth=depth + 1), self._named(items[0], items[1], depth=depth + 1)]
            return [self.value(each, depth=depth + 1) for each in items]
        return self.text(repr(value))

    def event(self, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """Cut secrets out of a whole event."""
        return {self.text(str(name)): self._named(name, value, depth=0) for name, value in event.items()}

    def _named(self, name: object, value: object, *, depth: int) -> object:
        return REDACTED if _SENSITIVE_NAME.fullmatch(_name(name)) else self.value(value, depth=depth)


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Renders a record: redacts each value before rendering, and then the whole line."""

    def __init__(self, redaction: Redaction, chain: list[structlog.typing.Processor], fmt: Format) -> None:
        self._redaction = redaction
        renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
        if fmt == "console":
            # Pretty tracebacks would show local variables.
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
        # Before formatting: within the message, a short secret is a word like any other.
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
        """Report that a record was lost. The standard library would print its arguments, including secrets."""
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
    """Apply a library's minimum level, even if its loggers have a lower one: Bolt copies the root's to its own."""
    return record.levelno >= FLOORS.get(record.name.partition(".")[0], logging.NOTSET)


def _log_uncaught(kind: type[BaseException], problem: BaseException, traceback: types.TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.stdlib.get_logger(__name__).critical("uncaught", exc_info=(kind, problem, traceback))


def _forms(secret: str) -> Iterable[str]:
    """Return the secret as is, and as written in a URL, in JSON and in a `repr`."""
    as_bytes = secret.encode(errors="replace")
    in_a_url = urllib.parse.quote(as_bytes, safe=""), urllib.parse.quote_plus(as_bytes)
    return secret, *in_a_url, json.dumps(secret)[1:-1], repr(secret)[1:-1], repr(as_bytes)[2:-1]


def _name(name: object) -> str:
    return name.decode("latin-1") if isinstance(name, bytes) else str(name)
