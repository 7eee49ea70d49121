"""The record of a seed and its verdict: the journal and the judge of the crash suite, with a database server.

Once a seed has settled, its database is copied into a file for the judge. Until then, the workspace is compared with
the cloud only.
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
"""How people are told that a command may not have been recorded."""


class ServerJournal(Journal):
    """The journal of one seed."""

    clocks_differ = 20.0

    def __init__(self, built: world.World, *, channels: list[str]) -> None:
        self.channels = channels
        self.said_done: list[tuple[Shown, frozenset[str]]] = []
        super().__init__(built)

    async def keep_audit(self, stage: Stage) -> None:
        """Keep the current audit."""
        self.audits.append([dict(row) for row in await stage.fetch("SELECT * FROM audit ORDER BY id")])

    def _judge(self, message: PostedMessage) -> None:
        card = shown(message)
        if card is not None and card.says_standby:
            self.said_done.append((card, frozenset(self.stood_by)))


class ServerRecord(judge.Record):
    """The record of one seed."""

    journal: ServerJournal

    def copies(self) -> Iterator[str]:
        """Product.md §4; an answer from Slack that came too late counts as lost."""
        log = (self.world.directory / "stderr.log").read_text()
        self.journal.lost_answers += log.count("Slack failed; trying again later")
        yield from super().copies()

    def lost(self) -> Iterator[str]:
        """Promise 5, except for what people were told is unrecorded: each has its message, or died with its replica."""
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
        """Promise 4, for every version of a card."""
        yield from super().cards()
        flows = {request["id"]: request["flow_name"] for request in self.requests}
        for card, stood_by in self.journal.said_done:
            if flows.get(card.request_id) not in stood_by:
                yield f"promise 4: the card of {card.request_id} said STANDBY, and the cloud never did"

    def calls(self) -> Iterator[str]:
        """Promise 2 in its simplest form: no flow is stopped again after a stop that worked."""
        yield from super().calls()
        for request in self.requests:
            again = [call for call in self.world.live.calls_of("PUT", "/flows/stop") if call.status == 400]
            if any(call.query["flow_id"] == request["flow_id"] for call in again):
                yield f"promise 2: {request['flow_id']} was stopped again"


async def copy(stage: Stage) -> None:
    """Copy the database into the journal's file."""
    file = pathlib.Path(stage.world.directory) / "flowbot.db"
    engine = sa.create_engine(f"sqlite:///{file}")
    schema.metadata.create_all(engine)
    with engine.begin() as connection:
        for table in schema.metadata.sorted_tables:
            if rows := [dict(row) for row in await stage.fetch(f"SELECT * FROM {table.name}")]:  # noqa: S608 - our tables
                connection.execute(table.insert(), rows)
    engine.dispose()


def story(stage: Stage, journal: ServerJournal) -> str:
    """Return what happened, for debugging."""
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
