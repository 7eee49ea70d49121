"""The journal of a play: what people sent and how it was answered, every death, and the state at the time.

The state is that of the disk, the workspace and the cloud. Each change of the workspace is checked as it happens,
because what was false for a moment was false. Only such momentary checks are made here; `judge` makes the others.
"""

import contextlib
import dataclasses
import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from bot.playground.slack.acks import Ack
from bot.playground.slack.records import PostedMessage
from bot.playground.slack.workspace import Workspace
from bot.playground.world import World
from bot.slack import payloads

HERE: Final = "C0INCIDENT"

_VERSIONED: Final = re.compile(r"(?P<id>.+)\.v(?P<version>\d+)\.flow")
_SAYS_DONE: Final = re.compile(r"is (now )?`?STANDBY")

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delivery:
    """Something that a person typed or pressed, and how it was answered."""

    user: str
    what: str
    ack: Ack

    @property
    def key(self) -> str:
        """The key of its row in the inbox."""
        assert self.ack.sent is not None
        payload = payloads.parse(self.ack.sent.body, self.ack.sent.headers["Content-Type"])
        kind = "command" if "command" in payload else "submission" if payload["type"] == "view_submission" else "click"
        return payloads.key(kind, payload)

    def grants(self) -> set[str]:
        """Return its `response_url` and trigger id."""
        assert self.ack.sent is not None
        fields = {name: values[0] for name, values in parse_qs(self.ack.sent.body.decode()).items()}
        carried = json.loads(fields["payload"]) if "payload" in fields else fields
        found = {carried.get("response_url"), carried.get("trigger_id")}
        return {str(one) for one in found if one} | {self.ack.sent.headers["X-Slack-Signature"]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shown:
    """What a message says about a request: its id, its version, and its first line."""

    request_id: str
    version: int
    first: str

    @property
    def says_standby(self) -> bool:
        """Whether it says that the flow is STANDBY now, apart from the decision line."""
        return self.first.endswith((": STANDBY", ": already STANDBY"))


def shown(message: PostedMessage) -> Shown | None:
    """Return what a card shows; None if the message is not a card."""
    for block in message.blocks:
        found = _VERSIONED.fullmatch(str(block.get("block_id")))
        if found is not None:
            text: Any = block["text"]
            return Shown(request_id=found["id"], version=int(found["version"]), first=str(text["text"]).strip("*"))
    return None


def said_in(workspace: Workspace, channel: str) -> list[PostedMessage]:
    """Return the messages in a channel and its threads."""
    roots = [one for one in workspace.messages(channel) if not one.thread_ts]
    return [*roots, *(reply for root in roots for reply in workspace.thread(root))]


class Journal:
    """The journal of one play; `wrong` lists what was false at some moment."""

    channels: Sequence[str] = (HERE,)
    """The channels of the play."""

    clocks_differ = 0.0
    """Seconds by which the clocks of two processes may differ."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.deliveries: list[Delivery] = []
        self.deaths: list[str] = []
        self.audits: list[list[Row]] = []
        self.wrong: list[str] = []
        self.stood_by: set[str] = set()
        self.lost_answers = 0
        self.meddled = False
        self.troubles: tuple[str, ...] = ()
        self._known: dict[str, PostedMessage] = {}
        world.slack.workspace.watchers.append(self.look)

    def note(self, user: str, what: str, ack: Ack) -> None:
        """Note what somebody sent."""
        self.deliveries.append(Delivery(user=user, what=what, ack=ack))

    def died(self) -> None:
        """Note what a dead bot has left in the audit."""
        self.audits.append(self.select("SELECT * FROM audit ORDER BY id"))

    def look(self) -> None:
        """Check what has changed in the workspace."""
        self.look_at_flows()
        workspace = self.world.slack.workspace
        for message in (one for channel in self.channels for one in said_in(workspace, channel)):
            if message.user == workspace.bot_user_id and self._known.get(message.ts) != message:
                self._known[message.ts] = message
                self._judge(message)

    def look_at_flows(self) -> None:
        """Note which flows are in STANDBY, before anybody starts them again."""
        self.stood_by |= {flow.name for flow in self.world.live.flows.values() if flow.status == "STANDBY"}

    def select(self, query: str, *values: object) -> list[Row]:
        """Query the database, to which a bot may be writing."""
        path = self.world.directory / "flowbot.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, values)]

    def _judge(self, message: PostedMessage) -> None:
        card = shown(message)
        if card is not None:
            self._judge_card(card)
        elif message.thread_ts and _SAYS_DONE.search(message.plain.replace("*", "")):
            self._judge_done(f"a reply says {message.plain!r}")

    def _judge_card(self, card: Shown) -> None:
        stored = self.select(
            "SELECT version, flow_name FROM requests JOIN operations ON request_id = id WHERE id = ?",
            card.request_id,
        )
        if not stored or stored[0]["version"] < card.version:
            self.wrong.append(
                f"promise 4: version {card.version} of {card.request_id} was shown before it was recorded"
            )
        elif card.says_standby and stored[0]["flow_name"] not in self.stood_by:
            self.wrong.append(f"promise 4: the card of {card.request_id} says STANDBY, and the cloud never did")

    def _judge_done(self, what: str) -> None:
        if not self.stood_by - {"studio-b"}:
            self.wrong.append(f"promise 4: {what}, and the cloud never did")
        if not self.select("SELECT 1 FROM operations WHERE progress = 'succeeded'"):
            self.wrong.append(f"promise 4: {what}, and nothing of the kind is recorded")
