"""The promises of product.md §2, checked on the record of a play: `judge` returns the broken ones.

Reads the journal, the workspace, the cloud's journal and the database of a settled play. Changes nothing.
"""

import collections
import itertools
import json
import re
from collections.abc import Iterator
from typing import Final

from bot.playground.live.server import SK, LiveCall
from bot.playground.slack import transcript
from bot.playground.slack.records import PostedMessage
from bot.playground.world import PROJECT_ID, World
from bot.store import chain
from tests.crash.journal import Journal, Row, said_in, shown

BEGIN_WITHIN: Final = 120.0
REPEAT_WITHIN: Final = 60.0
BACKOFF_AT_MOST: Final = 30.0

SILENT: Final = ("noted", "deny_reason_asked")
"""Answers that send no message."""

UNCHANGED: Final = ("refused", "answered", "nothing opened")
"""Audit lines that do not belong to a new version of a request."""

UNLINKED: Final = {"seq": None, "prev": None, "hash": None}
"""What a line of the audit holds until it is linked."""

FIRST_LINES: Final = {
    "denied": r"Stop of .* denied by (policy|<@\w+>)",
    "expired": r"Stop of .* expired",
    "withdrawn": r"Stop of .* withdrawn by (flowbot|<@\w+>)",
    "failed": r"Stop of .* failed: .+",
    "succeeded": r"Stopped .*: STANDBY|Stop of .* not needed: already STANDBY|Stop(ped| of) .* but now ACTIVE"
    r"|Stop of .* passed every check",
}
"""The first line of a settled card, after the marks of dry runs and emergencies."""


def judge(world: World, journal: Journal) -> list[str]:
    """Return every promise that the play has broken."""
    return broken(Record(world, journal))


def broken(record: "Record") -> list[str]:
    """Return every promise that the record breaks."""
    checks = (
        *(record.lost, record.answered, record.calls, record.approvals, record.votes),
        *(record.cards, record.outcomes, record.replies, record.copies, record.audit, record.secrets),
    )
    return [*record.journal.wrong, *(problem for check in checks for problem in check())]


class Record:
    """The record of a play, with one check per promise."""

    def __init__(self, world: World, journal: Journal) -> None:
        self.world, self.journal = world, journal
        self.workspace = world.slack.workspace
        self.requests = journal.select("SELECT * FROM requests JOIN operations ON request_id = id ORDER BY created_at")
        self.inbox = {row["key"]: row for row in journal.select("SELECT * FROM inbox")}
        self.trail = journal.select("SELECT * FROM audit ORDER BY id")
        (self.chain,) = journal.select("SELECT * FROM chain")

    def lost(self) -> Iterator[str]:
        """Promise 5: what was acknowledged is on disk, and carried out."""
        for one in self.journal.deliveries:
            if one.ack.ok and (row := self.inbox.get(one.key)) is None:
                yield f"promise 5: {one.user}'s {one.what!r} was acknowledged and is not on disk"
            elif one.ack.ok and row is not None and row["state"] != "done":
                yield f"promise 5: {one.user}'s {one.what!r} was acknowledged and is {row['state']}"
        for row in self.inbox.values():
            if row["state"] == "done" and row["answer"] is None and not self._acted(row):
                yield f"promise 5: the entry {row['key']} of {row['actor_user']} is done, and nothing came of it"
        for each in self.requests:
            if each["due_at"] is not None or each["lease_owner"] is not None or each["state"] == "pending":
                yield f"promise 5: request {each['id']} was left {each['state']}, {each['progress']}"

    def _acted(self, row: Row) -> bool:
        return any(event["actor_user"] == row["actor_user"] and event["request_id"] for event in self.trail)

    def answered(self) -> Iterator[str]:
        """Promise 3: every command and click is answered."""
        for one in self.journal.deliveries:
            if one.ack.status is not None and not one.ack.ok:
                yield f"promise 3: {one.user}'s {one.what!r} was answered with {one.ack.status} {one.ack.body!r}"
        owed: collections.Counter[str] = collections.Counter()
        for row in self.inbox.values():
            if row["answer"] is not None and json.loads(row["answer"])["kind"] not in SILENT:
                owed[row["actor_user"]] += 1
        for user, answers in owed.items():
            own = [*self.workspace.ephemerals(user), *self.workspace.messages(f"D{user[1:]}")]
            heard = [one for one in own if not one.plain.removeprefix("Dry run: ").startswith("Reading ")]
            if len(heard) < answers:
                yield f"promise 3: {user} is owed {answers} answers and heard {len(heard)}"

    def calls(self) -> Iterator[str]:
        """Promise 2: another stop follows only a definite refusal or a read."""
        by_flow: dict[str, list[LiveCall]] = collections.defaultdict(list)
        for call in self.world.live.calls:
            by_flow[call.query.get("flow_id", "")].append(call)
        for flow, calls in by_flow.items():
            stops = [call for call in calls if call.method == "PUT"]
            for before, again in itertools.pairwise(stops):
                if before.status == 429 or self._begun_by(flow, before) != self._begun_by(flow, again):
                    continue
                between = [call for call in calls if before.number < call.number < again.number]
                if not any(call.method == "GET" and call.status == 200 for call in between):
                    yield f"promise 2: stop {again.number} of {flow} follows {before.number} ({before.status}) unread"
                if again.status == 400 and not self.journal.meddled:
                    yield f"promise 2: stop {again.number} of {flow} was sent though it stood by"

    def _of(self, flow: str) -> list[Row]:
        return [one for one in self.requests if one["flow_id"] == flow]

    def _begun_by(self, flow: str, call: LiveCall) -> str | None:
        """Return the request that a stop belongs to: the last one decided before it."""
        own = [one for one in self._of(flow) if one["state"] == "approved" and not one["dry_run"]]
        before = [one for one in own if one["decided_at"] <= call.at + self.journal.clocks_differ]
        return max(before, key=lambda one: float(one["decided_at"]))["id"] if before else None

    def approvals(self) -> Iterator[str]:
        """Promises 1 and 10: no stop without its approvals, and none on an old approval."""
        begun: set[str] = set()
        for call in self.world.live.calls_of("PUT", "/flows/stop"):
            request_id = self._begun_by(call.query["flow_id"], call)
            if request_id is None:
                yield f"promise 1: stop {call.number} belongs to no approved request"
                continue
            (request,) = (one for one in self.requests if one["id"] == request_id)
            if (
                request_id not in begun
                and call.at > request["decided_at"] + BEGIN_WITHIN + 1.0 + self.journal.clocks_differ
            ):
                yield f"promise 10: {request_id} began {call.at - request['decided_at']:.0f} s after its approval"
            begun.add(request_id)
            yield from self._short(request)

    def _short(self, request: Row) -> Iterator[str]:
        needed = json.loads(request["terms"])["approvals"]
        users = {vote["actor"]["user"] for vote in json.loads(request["votes"])}
        counted = users - {request["requester_user"]} if needed else users
        if len(counted) < max(needed, 1):
            yield f"promise 1: {request['id']} was called with {sorted(users)} of {needed}"
        pressed = {one.user for one in self.journal.deliveries if one.what in ("approve", "confirm")}
        if users - pressed:
            yield f"promise 1: {sorted(users - pressed)} approved {request['id']} without a press"

    def votes(self) -> Iterator[str]:
        """Promise 2: nobody votes twice."""
        for request in self.requests:
            users = [vote["actor"]["user"] for vote in json.loads(request["votes"])]
            said = self.journal.select(
                "SELECT actor_user FROM replies WHERE request_id = ? AND said = 'voted'", request["id"]
            )
            for names in (users, [row["actor_user"] for row in said]):
                if len(set(names)) < len(names):
                    yield f"promise 2: somebody voted twice on {request['id']}: {names}"

    def cards(self) -> Iterator[str]:
        """Promise 4: the card shows the newest version, and it is true."""
        for request in self.requests:
            standing = self.workspace.message(str(request["card_channel"]), str(request["card_ts"]))
            card = shown(standing) if standing is not None else None
            if card is None:
                yield f"promise 4: {request['id']} has no card"
                continue
            if card.version != request["version"] or card.request_id != request["id"]:
                yield f"promise 4: the card of {request['id']} shows {card.version}, not {request['version']}"
            wanted = request["progress"] if request["state"] == "approved" else request["state"]
            if not re.fullmatch(f"(Dry run: )?(EMERGENCY: )?({FIRST_LINES.get(wanted, 'nothing')})", card.first):
                yield f"promise 4: the card of {request['id']} says {card.first!r} when it is {wanted}"
            flow = self.world.live.flows[PROJECT_ID, request["flow_id"]]
            if card.says_standby and not self.journal.meddled and flow.status != "STANDBY":
                yield f"promise 4: the card of {request['id']} says STANDBY, and it is {flow.status}"

    def outcomes(self) -> Iterator[str]:
        """Product.md §5: an approved stop is carried out, unless its time was over or the cloud refused."""
        for request in self.requests:
            if request["state"] != "approved" or request["progress"] == "succeeded" or self.journal.meddled:
                continue
            record = json.loads(request["record"])
            how = record["outcome"]["how"] if record["outcome"] else None
            spent = (record["ended_at"] or 0.0) - (record["begun_at"] or 0.0) + BACKOFF_AT_MOST
            # An unknown outcome whose flow could not be read either is not called again later.
            undone = how == "undone" and (spent >= REPEAT_WITHIN or record["unknown_since"] is not None)
            limited = how == "refused" and "PUT 429" in self.journal.troubles
            too_late = (
                record["ended_at"] is not None
                and record["ended_at"] + BACKOFF_AT_MOST >= request["decided_at"] + BEGIN_WITHIN
            )
            if not (undone or (limited and too_late)):  # a machine so busy that its time was over
                yield f"§5: {request['id']} was approved and is {request['progress']}; nothing kept it from succeeding"

    def replies(self) -> Iterator[str]:
        """Product.md §4: the replies are complete and in order."""
        for request in self.requests:
            rows = self.journal.select("SELECT * FROM replies WHERE request_id = ? ORDER BY seq", request["id"])
            places = [str(row["ts"]) for row in rows if row["ts"]]
            if any(row["ts"] is None for row in rows):
                yield f"§4: replies of {request['id']} were never told"
            if places != sorted(places) or [row["seq"] for row in rows] != list(range(1, len(rows) + 1)):
                yield f"§4: the replies of {request['id']} stand out of order: {places}"
            if missing := [ts for ts in places if self.workspace.message(request["card_channel"], ts) is None]:
                yield f"§4: replies {missing} of {request['id']} do not stand there"

    def copies(self) -> Iterator[str]:
        """Product.md §4: a copy is possible only if Slack's answer was lost."""
        known = {row["ts"] for row in self.journal.select("SELECT ts FROM replies")}
        known |= {request["card_ts"] for request in self.requests}
        copies = [one for one in self._said() if one.ts not in known]
        allowed = len(self.journal.deaths) * max(len(self.requests), 1) + self.journal.lost_answers
        if len(copies) > allowed:
            yield f"§4: {len(copies)} copies where {allowed} answers of Slack could be lost"

    def _said(self) -> list[PostedMessage]:
        said = [one for channel in self.journal.channels for one in said_in(self.workspace, channel)]
        return [one for one in said if one.user == self.workspace.bot_user_id]

    def audit(self) -> Iterator[str]:
        """Promise 8: every change has its audit line, and no line ever changes."""
        kept = {row["id"]: row for row in self.trail}
        for row in (row for snapshot in self.journal.audits for row in snapshot):
            now = kept.get(row["id"])
            if now is None or {**now, **({} if row["hash"] else UNLINKED)} != row:
                yield f"promise 8: line {row['id']} of the audit was changed where it stood"
        for request in self.requests:
            lines = [row for row in self.trail if row["request_id"] == request["id"] and row["what"] not in UNCHANGED]
            if len(lines) != request["version"]:
                yield f"promise 8: {len(lines)} lines tell of the {request['version']} versions of {request['id']}"
        for broken in self._broken_links():
            yield f"promise 8: line {broken.seq} of the audit is {broken.what}: {broken.shows}"
        acted = [row for row in self.trail if row["actor_user"] is not None and row["what"] != "expired"]
        done = [row for row in self.inbox.values() if row["state"] == "done"]
        if len(acted) != len(done):
            yield f"promise 8: {len(acted)} lines tell of {len(done)} commands and clicks"

    def _broken_links(self) -> Iterator[chain.BrokenLink]:
        """Verify the audit's chain, which is cut off nowhere: a play is shorter than retention."""
        verification = chain.Verification(after=chain.ROOT)
        for row in sorted((row for row in self.trail if row["hash"]), key=lambda row: int(row["seq"])):
            verification.take({**row, "facts": chain.facts_of(row["facts"])})
        verification.end_at(chain.Link(seq=self.chain["seq"], hash=self.chain["hash"]))
        if (broken := verification.finish()) is not None:
            yield broken

    def secrets(self) -> Iterator[str]:
        """Promise 9: no secret is in the database, the log or a message."""
        slack = self.world.slack
        files = [*self.world.directory.glob("flowbot.db*"), self.world.directory / "stderr.log"]
        written = b"".join(file.read_bytes() for file in files if file.exists()).decode("latin-1")
        places = {"the files": written, "a message": transcript.of(self.workspace)}
        ours = {slack.bot_token, slack.signing_secret, SK, "not-for-anyone"}
        ours |= {grant for one in self.journal.deliveries for grant in one.grants()}
        for place, text in places.items():
            for secret in sorted(one for one in ours if one in text):
                yield f"promise 9: {secret!r} stands in {place}"
