"""What people may type, how it must stand on record and be shown, and the stages on which many texts are played."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import pathlib
import shutil
import unicodedata
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, Literal, TypeAlias

from hypothesis import Phase, settings
from hypothesis import strategies as st

from bot.commands import grammar
from bot.playground import world
from bot.store import migrate
from tests import postgres
from tests.fakes import FakeClock
from tests.scenarios import policies
from tests.scenarios.conftest import Stage
from tests.scenarios.conftest import running as started

BITS: Final = (
    'log says \\u0000 \0\ud800<!channel> &amp; "\\`\n\u202e\u2800e\u0301\u0301\u0301\u0301',
    *("\\u0000", "\\\\u0000", "\\x00", "\\0", "%00", "&#0;", "\u2400", "\0", "\x1b[31m", "\x7f", "\x85", "\u2028"),
    *('{"a": "\\u0000"}', "[]", '"', "'", "\\", "\\ud800", "\ufffd", "\ufffe", "null", "payload={}", "command=/flow"),
    *("\ud800", "\udfff", "\ud83d", "%ED%A0%80", "\u202e", "\u2066", "\u200b", "\ufeff", "\u00ad", "\u2800", "\u3164"),
    *(
        "é",
        "e\u0301",
        "e\u0301\u0301\u0301\u0301\u0301",
        "𝔘",
        "👩‍👩‍👧",
        "한",
        "אב",
        "\U000e0041",
        "\n",
        "\r\n",
        "\t",
        "  ",
    ),
    *("<!channel>", "<@U0BOB>", "<http://a.example|b>", "&amp;", "&lt;", "&", "*", "_", "~", "`", "```", ">"),
    *("%s", "{0}", "{{x}}", "${HOME}", "'; DROP TABLE requests; --", "$1", ":1", "é" * 40, "x" * 60, "&" * 60),
)
"""What texts are made of that some layer on the way could take for something else; the first has the most of it."""

ANYTHING: Final = st.text(st.characters(exclude_categories=()), max_size=8)

LONGEST: Final = ('\\"`&👩é\0' * 72)[:500]

HIDDEN: Final = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters by category that nobody sees."""

ACCENTS: Final = 3
"""So many stand on one letter at most where a text is shown."""

Place: TypeAlias = Literal["http", "socket", "postgresql"]

PLACES: Final[tuple[Place, ...]] = ("http", "socket", "postgresql")
"""HTTP and Socket Mode on SQLite, and HTTP on PostgreSQL."""

DATABASE: Final = "typed"
"""On a server."""

TYPED: Final = settings(max_examples=max(1, settings().max_examples // 60), phases=(Phase.explicit, Phase.generate))
"""For laws whose example is a whole conversation: every day one, the text that has the most of it, and many in
`poe laws`. What fails is not made smaller, since a bot that falls silent is waited for each time."""

RULES: Final = (
    policies.rule(
        "on-call \u202e“stops” \0 \\u0000 & <!channel>, a lead approves",
        who=["media-oncall"],
        excluded=["media-leads"],
        approvals=1,
        approvers=["media-leads"],
        emergency=["media-oncall"],
        emergency_limit=100,
    ),
    policies.rule("leads confirm alone", who=["media-leads"]),
    policies.rule("say why", flows=["why-*"], reason="required", **policies.ONE_LEAD),
    policies.rule("mind the name", flows=["guarded-*"], protected=["guarded-*"], **policies.ONE_LEAD),
)
POLICY: Final = policies.HEAD + "".join(RULES)


def escaped(text: str) -> str:
    """Return a text as Slack's client sends it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def visible(text: str) -> str:
    """Return how a text stands on record: on one line, without what nobody sees or no database can hold."""
    kept = (each for each in text if each.isspace() or unicodedata.category(each) not in ("Cc", "Cf", "Cs"))
    return "".join(" " if each.isspace() else each for each in kept).strip()


def shown(text: str, *, most: int) -> str:
    """Return how a text on record is shown in a message, as people read it: one space at a time, backticks as accents.

    Of a text that is longer than `most` in Slack's notation the beginning is shown.
    """
    marks, kept = 0, ""
    for each in text:
        marks = marks + 1 if unicodedata.category(each).startswith("M") else 0
        kept += each if each not in HIDDEN and marks <= ACCENTS else ""
    line = " ".join(kept.split()).replace("`", "ˋ")
    if len(escaped(line)) <= most:
        return line
    while len(escaped(line)) >= most:
        line = line[:-1]
    return f"{line.rstrip()}…"


def read(markdown: str) -> str:
    """Return what people read where a message has this."""
    return markdown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def is_reason(text: str) -> bool:
    """Tell whether a command takes a text as its reason."""
    parsed = grammar.parse(f"stop flow because {escaped(text)}")
    return isinstance(parsed, grammar.ChangeCommand) and parsed.reason is not None


texts: Final = (
    st.lists(st.sampled_from(BITS) | ANYTHING, min_size=1, max_size=6).map("".join).map(lambda text: text[:500])
)

reasons: Final = texts.filter(is_reason)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Played:
    """A stage on which one text after the other is played; `select` looks into its database, of either kind."""

    stage: Stage
    select: Callable[[str], list[tuple[Any, ...]]]
    run: Callable[[Awaitable[None]], None]
    numbers: Iterator[int] = dataclasses.field(default_factory=itertools.count)

    def new_flow(self, kind: str = "typed", name: str = "") -> str:
        """Put a flow of its own into the cloud, and return its id."""
        flow = f"{kind}-{next(self.numbers):04d}"
        self.stage.live.add_flow(world.PROJECT_ID, flow, name or f"feed {flow}")
        return flow

    def request(self, flow: str) -> tuple[str, str, str | None]:
        """Return id, state and reason of the newest request for a flow."""
        wanted = f"SELECT id, state, reason FROM requests WHERE flow_id = '{flow}' ORDER BY created_at DESC"  # noqa: S608
        found: tuple[str, str, str | None] = self.select(wanted)[0]
        return found

    def audited(self, flow: str, what: str) -> dict[str, Any]:
        """Return the facts of one line of the audit about the newest request for a flow."""
        id, _, _ = self.request(flow)
        wanted = f"SELECT facts FROM audit WHERE request_id = '{id}' AND what = '{what}'"  # noqa: S608
        ((facts,),) = self.select(wanted)
        found: dict[str, Any] = json.loads(facts)
        return found


class SharedClock(FakeClock):
    """A clock that a server of PostgreSQL has too, in a file."""

    def __init__(self, file: pathlib.Path) -> None:
        super().__init__()
        self._file = file
        self.turn(0.0)

    def turn(self, seconds: float) -> None:
        """Turn the hands on, the server's as well."""
        super().turn(seconds)
        self._file.write_text(repr(self.now()))


@contextlib.contextmanager
def played(
    place: Place, directory: pathlib.Path, database: pathlib.Path, server: postgres.Server | None
) -> Iterator[Played]:
    """Run the bot in a world of its own, on an event loop that goes on while something is played."""
    environ: dict[str, Any] = {} if server is None else {"DATABASE_URL": server.url(DATABASE)}
    clock = FakeClock() if server is None else SharedClock(server.clock_of(DATABASE))
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = contextlib.AsyncExitStack()

        async def opened() -> Stage:
            built = world.build(directory, clock=clock, policy=POLICY, socket=place == "socket", **environ)
            shutil.copy(database, directory / "flowbot.db")
            return await stack.enter_async_context(started(await stack.enter_async_context(built)))

        async def awaited(work: Awaitable[None]) -> None:
            await work

        stage = runner.run(opened())
        try:
            yield Played(
                stage=stage,
                select=stage.select if server is None else _selecting(server),
                run=lambda work: runner.run(awaited(work)),
            )
        finally:
            runner.run(stack.aclose())


@contextlib.contextmanager
def served() -> Iterator[postgres.Server]:
    """Run a server with an empty database."""
    with postgres.running() as running:
        running.execute(f"CREATE DATABASE {DATABASE}")
        migrate.migrate(running.url(DATABASE))
        running.follow_clock(DATABASE)
        yield running


def _selecting(server: postgres.Server) -> Callable[[str], list[tuple[Any, ...]]]:
    def select(query: str) -> list[tuple[Any, ...]]:
        found = server.run(DATABASE, lambda connection: connection.fetch(query))
        return [tuple(row.values()) for row in found]

    return select
