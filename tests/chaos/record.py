"""What is written down of a seed, and judged: the journal and the judge of the crash suite, on a server.

Once a seed has settled, its database is copied into a file, where the judge looks. While it goes on, what is seen in
the workspace is held against the cloud alone.
"""

import json
import pathlib
from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from bot.playground import world
from bot.playground.slack import transcript
from bot.playground.slack.records import PostedMessage
from bot.store import schema
from tests.crash import judge
from tests.crash.journal import Journal, Row, Shown, shown
from tests.replicas.stage import Stage

NOT_RECORDED: Final = ("Nothing was recorded", "I could not confirm")
"""How somebody is told that an acknowledgement is none."""


class ServerJournal(Journal):
    """One seed, written down."""

    clocks_differ = 20.0

    def __init__(self, built: world.World, *, channels: list[str]) -> None:
        self.channels = channels
        self.said_done: list[tuple[Shown, frozenset[str]]] = []
        super().__init__(built)

    async def keep_audit(self, stage: Stage) -> None:
        """Write down what stands in the audit now."""
        self.audits.append([dict(row) for row in await stage.fetch("SELECT * FROM audit ORDER BY id")])

    def _judge(self, message: PostedMessage) -> None:
        card = shown(message)
        if card is not None and card.says_standby:
            self.said_done.append((card, frozenset(self.stood_by)))


class ServerRecord(judge.Record):
    """What a seed has left."""

    journal: ServerJournal

    def copies(self) -> Iterator[str]:
        """Product.md §4; an answer of Slack that came too late is lost as well."""
        log = (self.world.directory / "stderr.log").read_text()
        self.journal.lost_answers += log.count("Slack failed; trying again later")
        yield from super().copies()

    def lost(self) -> Iterator[str]:
        """Promise 5, but for what was told to be unrecorded: each has its message, or died with its replica."""
        missing = [one for one in self.journal.deliveries if one.ack.ok and one.key not in self.inbox]
        told = sum(words.plain.startswith(NOT_RECORDED) for words in self._private())
        if len(missing) > told + len(self.journal.deaths):
            yield f"promise 5: {len(missing)} deliveries were acknowledged and are not on disk; {told} were told so"
        kept = [one for one in self.journal.deliveries if one not in missing]
        self.journal.deliveries, everything = kept, self.journal.deliveries
        yield from super().lost()
        self.journal.deliveries = everything

    def _private(self) -> Iterator[PostedMessage]:
        for user in self.workspace.persons:
            yield from self.workspace.ephemerals(user)

    def cards(self) -> Iterator[str]:
        """Promise 4, also of every card that ever said so."""
        yield from super().cards()
        flows = {request["id"]: request["flow_name"] for request in self.requests}
        for card, stood_by in self.journal.said_done:
            if flows.get(card.request_id) not in stood_by:
                yield f"promise 4: the card of {card.request_id} said STANDBY, and the cloud never did"

    def calls(self) -> Iterator[str]:
        """Promise 2, and in the plainest words: no flow is stopped again after a stop that had its effect."""
        yield from super().calls()
        for request in self.requests:
            again = [call for call in self.world.live.calls_of("PUT", "/flows/stop") if call.status == 400]
            if any(call.query["flow_id"] == request["flow_id"] for call in again):
                yield f"promise 2: {request['flow_id']} was stopped again"


async def copy(stage: Stage) -> None:
    """Copy the database into the file where the journal looks."""
    file = pathlib.Path(stage.world.directory) / "flowbot.db"
    engine = sa.create_engine(f"sqlite:///{file}")
    schema.metadata.create_all(engine)
    with engine.begin() as connection:
        for table in schema.metadata.sorted_tables:
            if rows := [dict(row) for row in await stage.fetch(f"SELECT * FROM {table.name}")]:  # noqa: S608 - ours
                connection.execute(table.insert(), rows)
    engine.dispose()


def story(stage: Stage, journal: ServerJournal) -> str:
    """Tell what took place, for whoever has to find out why."""
    log = (stage.world.directory / "stderr.log").read_text()
    calls = [f"{one.at:.2f} {one.method} {one.path} {dict(one.query)} {one.status}" for one in stage.world.live.calls]
    audit: list[Row] = journal.select("SELECT at, what, actor_user, request_id, facts FROM audit ORDER BY id")
    lines = [
        *(f"{one.user} {one.what}: {one.ack.status} {one.ack.error}" for one in journal.deliveries),
        *(transcript.of(stage.world.slack.workspace), *calls),
        *(json.dumps(row) for row in audit),
        *(line for line in log.splitlines() if '"level": "debug"' not in line),
    ]
    return "\n".join(lines)
