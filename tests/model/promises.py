"""The promises of product.md §2, checked against the database, the calls to the cloud and the messages to people.

Broken promises are collected in `broken`. This is the only place that judges. It reads the database itself and uses
none of the bot's own functions.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from bot.commands.deliveries import Entry, Typed
from bot.lifecycle import records
from bot.lifecycle.records import OutcomeKind, ReplyKind
from bot.lifecycle.states import Progress
from bot.policy import model
from bot.usecases import answers
from tests.model.bench import Bench
from tests.model.rules import LIMIT, POLICIES
from tests.model.world import Told

Row = dict[str, Any]

BEGIN_WITHIN, REPEAT_WITHIN, TAKE_UP_WITHIN, ASKED_FOR = 120.0, 60.0, 60.0, 3600.0
APART, ANNOUNCE_WITHIN, DAY = 3.0, 10.0, 86_400.0

UNSTORED: Final = ("checking", "never_shown", "opened", "cannot_post")
"""Answers without a decision on disk, or sent before it."""

SILENT: Final = ("noted",)

UNCHANGED: Final = ("refused", "answered", "nothing opened", "announcement refused by Slack")
"""Audit events without a new version of a request."""

BESIDES: Final = ("expired", "superseded")
"""Audit events in addition to the one for the result of an entry."""

AFTER: Final = {
    "pending": {"pending", "approved", "denied", "expired", "withdrawn", "superseded"},
    "approved": {"approved", "pending", "denied", "expired", "withdrawn", "superseded"},
    **{ended: {ended} for ended in ("denied", "expired", "withdrawn", "superseded")},
}
THEN: Final = {
    "waiting": {"waiting", "running", "succeeded", "failed", "unknown", "cancelled"},
    "running": {"running", "succeeded", "failed", "unknown"},
    "unknown": {"unknown", "succeeded", "failed"},
    **{ended: {ended} for ended in ("succeeded", "failed", "cancelled")},
}
"""The states in which a request, and an operation, may be found later."""


class Promises:
    """Checks the promises from the first step to the last."""

    def __init__(self, bench: Bench) -> None:
        self.broken: list[str] = []
        self.acknowledged: set[str] = set()
        self._bench = bench
        self._stops: list[tuple[str, int]] = []
        self._trail: list[Row] = []
        self._before: dict[str, Row] = {}
        bench.cloud.calls_stop = self.stops
        bench.chat.sees = self.sees
        bench.chat.answers = self.answers

    # — at the moment —

    def stops(self, flow: str) -> str | None:
        """Check a stop that is about to happen; return its request."""
        found = self._requests("flow_id = ? AND progress = 'running' AND NOT dry_run", flow)
        running = [one for one in found if json.loads(one["record"])["awaiting"] == "reply"]
        if len(running) != 1:
            self.broken.append(f"promise 1: a stop of {flow} that {len(running)} requests have claimed")
            return None
        (one,) = running
        if sum(replica.tap.under_way[flow] for replica in self._bench.replicas if not replica.tap.dead) > 1:
            self.broken.append(f"promise 2: a stop of {flow} while another one is under way")
        record = json.loads(one["record"])
        self.broken += self._first(one) if record["tries"] == 1 else self._further(one, record)
        self._stops.append((one["id"], len(self._bench.cloud.told)))
        return str(one["id"])

    def _first(self, one: Row) -> Iterator[str]:
        """Check a first try: enough votes by people who may vote now, and not too late."""
        bench, now = self._bench, self._bench.clock.now()
        if any(request_id == one["id"] for request_id, _ in self._stops):
            yield f"promise 2: {one['id']} has two first tries"
        if now > one["decided_at"] + BEGIN_WITHIN:
            yield f"promise 10: {one['id']} begins {now - one['decided_at']:.0f} s after its approval"
        if one["emergency"] is not None:
            yield from self._passing_over(one)
            return
        requester, terms = one["requester_user"], json.loads(one["terms"])
        needs = POLICIES[bench.policy].needs.get(requester)
        members = {actor.user for actor, kind in bench.people.kinds.items() if kind is model.Kind.MEMBER}
        if needs is None or requester not in members:
            yield f"promise 7: {one['id']} begins though {requester} may not stop anything now"
            return
        voters = {vote["actor"]["user"] for vote in json.loads(one["votes"])} & members
        needed = max(terms["approvals"], needs.approvals)
        may = needs.approvers or voters
        counted = (voters & may) - {requester} if needed else voters
        if len(counted) < max(needed, 1):
            yield f"promise 1: {one['id']} begins with {sorted(counted)}, and it needs {needed}"

    def _passing_over(self, one: Row) -> Iterator[str]:
        """Check a first try without approvals: announced, and pressed twice, apart, by people who may do so now."""
        bench, requester, decided_at = self._bench, one["requester_user"], one["decided_at"]
        members = {actor.user for actor, kind in bench.people.kinds.items() if kind is model.Kind.MEMBER}
        first, second = ((vote["actor"]["user"], vote["at"]) for vote in json.loads(one["votes"]))
        if not {requester, second[0]} <= POLICIES[bench.policy].emergency & members:
            yield f"promise 7: {one['id']} begins, pressed by {first} and {second}, who may not do that now"
        if first[0] != requester or second[1] < first[1] + APART:
            yield f"§6: {one['id']} of {requester} was pressed by {first} and {second}"
        since = (requester, decided_at - DAY, decided_at, one["id"])
        query = (
            "emergency IS NOT NULL AND NOT dry_run AND requester_user = ? AND decided_at BETWEEN ? AND ? AND id <> ?"
        )
        if len(self._requests(query, *since)) >= LIMIT and second[0] == requester:
            yield f"§6: {one['id']} begins without a second person, over the limit"
        unsaid = "SELECT 1 FROM replies WHERE request_id = ? AND said IN ('emergency', 'announced') AND ts IS NULL"
        if bench.select(unsaid, one["id"]) and bench.clock.now() < decided_at + ANNOUNCE_WITHIN:
            yield f"§6: {one['id']} begins before anybody has heard of it"

    def _further(self, one: Row, record: Row) -> Iterator[str]:
        """Check a retry: only after a definite refusal, or after reading the flow back showed no effect."""
        bench, now = self._bench, self._bench.clock.now()
        since = max(at for request_id, at in self._stops if request_id == one["id"])
        told = [each for each in bench.cloud.told[since:] if each.flow == one["flow_id"]]
        refused = any(each.what == "stop" and each.heard in ("throttled", "never_sent") for each in told)
        readings = [each.heard for each in told if each.what == "read" and each.heard in ("ACTIVE", "STANDBY")]
        if refused and now <= one["decided_at"] + BEGIN_WITHIN:
            return
        if not readings or readings[-1] != "ACTIVE":
            yield f"promise 2: {one['id']} is called again, and the readings since were {readings}"
        if now > record["begun_at"] + REPEAT_WITHIN:
            yield f"§5: {one['id']} is called again {now - record['begun_at']:.0f} s after its first try"

    def sees(self, seen: records.Request, reply: records.Reply | None) -> None:
        """Check a message about a request before it is sent."""
        found = self._requests("id = ?", seen.id)
        if not found or found[0]["version"] < seen.version:
            self.broken.append(f"promise 4: version {seen.version} of {seen.id} is told before it is recorded")
            return
        if reply is not None and found[0]["next_seq"] <= reply.seq:
            self.broken.append(f"promise 4: reply {reply.seq} of {seen.id} is told before it is recorded")
        if reply is not None and reply.said is ReplyKind.OUTCOME and found[0]["progress"] in ("waiting", "running"):
            self.broken.append(f"promise 4: an outcome of {seen.id} is told, and none is recorded")
        self.broken += self._true(seen)

    def _true(self, seen: records.Request) -> Iterator[str]:
        """Check the claims of a card or a reply."""
        operation, outcome = seen.operation, seen.operation.outcome
        if outcome is None or seen.dry_run:
            return
        since = max((at for request_id, at in self._stops if request_id == seen.id), default=0)
        told = [each for each in self._bench.cloud.told if each.flow == seen.flow.flow_id and each.at >= seen.asked_at]
        after = [each for each in self._bench.cloud.told[since:] if each.flow == seen.flow.flow_id]
        if operation.progress is Progress.SUCCEEDED and not any(each.heard == "STANDBY" for each in told):
            yield f"promise 4: {seen.id} is told to be done, and the cloud never said so"
        if outcome.how is OutcomeKind.UNDONE and not any(
            each.heard == "ACTIVE" and each.what == "read" for each in after
        ):
            yield f"promise 4: {seen.id} is told to be undone, and nobody has read it"
        refusals = ("throttled", "never_sent", "credentials", "rejected", "denied", "not_found")
        locked = outcome.failure is not None and outcome.failure.retry_after is not None
        if outcome.how is OutcomeKind.REFUSED and not locked and not any(each.heard in refusals for each in after):
            yield f"promise 4: {seen.id} is told to be refused, and the cloud never did"
        if outcome.how is OutcomeKind.LOST and not self._was_asked(after):
            yield f"§5: {seen.id} is told to be unknown, and nobody has tried to read it"

    def _since_last_stop(self, one: Row) -> list[Told]:
        since = max((at for request_id, at in self._stops if request_id == one["id"]), default=0)
        return [each for each in self._bench.cloud.told[since:] if each.flow == one["flow_id"]]

    def _was_asked(self, after: list[Told]) -> bool:
        locked = self._bench.select("SELECT 1 FROM keys WHERE locked_until > 0")
        return bool(locked) or any(each.what == "read" for each in after)

    def answers(self, entry: Entry, answer: answers.AnyAnswer) -> None:
        """Check an answer before it is sent."""
        rows = self._bench.select("SELECT answer FROM inbox WHERE key = ?", entry.key)
        if answer.kind not in UNSTORED and (not rows or rows[0]["answer"] is None):
            self.broken.append(f"promise 8: {answer.kind} is told to {entry.key} before it is recorded")
        if isinstance(answer, answers.Joined) and answer.card.request_id != entry.key:
            self.broken += self._met(entry, answer.card.request_id)

    def _met(self, entry: Entry, met: str) -> Iterator[str]:
        """Check the request that an emergency was linked to instead of superseding it."""
        urgent = isinstance(entry.arrival, Typed) and "--emergency" in entry.arrival.text
        waiting = self._requests("r.id = ? AND progress IN ('waiting', 'cancelled')", met)
        if urgent and waiting:
            yield f"§6: {entry.key} is led to {met}, which has not begun"

    # — after each step —

    def step(self) -> None:
        """Check what is on disk now."""
        requests = self._requests("1")
        inbox = {row["key"]: row for row in self._bench.select("SELECT * FROM inbox")}
        self.broken += [f"promise 5: {key} was acknowledged and is gone" for key in self.acknowledged - inbox.keys()]
        held = Counter(row["flow_id"] for row in requests if row["holds"])
        self.broken += [f"§5: {count} requests hold {flow}" for flow, count in held.items() if count > 1]
        for one in requests:
            self.broken += self._votes(one)
            self.broken += self._superseded(one)
            self.broken += self._moved(one)
            entry = inbox.get(one["id"])
            if entry is None or one["created_at"] - entry["received_at"] > TAKE_UP_WITHIN + 30.0:
                self.broken.append(f"§5: {one['id']} was opened long after it was asked for, or by nobody")
        self._audited(requests, inbox)

    def _votes(self, one: Row) -> Iterator[str]:
        votes = json.loads(one["votes"])
        users = [vote["actor"]["user"] for vote in votes]
        if len(set(users)) < len(users) and one["emergency"] is None:
            yield f"promise 2: somebody votes twice on {one['id']}: {users}"
        if any(vote["at"] >= one["expires_at"] for vote in votes):
            yield f"§5: a vote on {one['id']} came after its time"
        strangers = {"U0GUEST", "U0GONE", "U0OTHER"}
        if strangers & {*users, one["requester_user"]}:
            yield f"promise 7: {users} on {one['id']} by {one['requester_user']}"

    def _superseded(self, one: Row) -> Iterator[str]:
        """Check a superseded request: never called, never reviewed, and superseded by an emergency."""
        if one["state"] != "superseded":
            return
        if one["progress"] != "cancelled" or any(request_id == one["id"] for request_id, _ in self._stops):
            yield f"§6: {one['id']} gave way and is {one['progress']}"
        if one["emergency"] is not None and json.loads(one["emergency"])["review"] is not None:
            yield f"§6: {one['id']} gave way, and is reviewed"
        if self._bench.select("SELECT 1 FROM replies WHERE request_id = ? AND said = 'review_open'", one["id"]):
            yield f"§6: {one['id']} gave way, and a review is asked for"
        query = "SELECT facts FROM audit WHERE what = 'superseded' AND request_id = ?"
        by = [json.loads(line["facts"])["by"] for line in self._bench.select(query, one["id"])]
        if len(by) != 1 or not self._requests("r.id = ? AND emergency IS NOT NULL AND NOT dry_run", by[0]):
            yield f"§6: {one['id']} gave way to {by}"

    def _moved(self, one: Row) -> Iterator[str]:
        before, self._before[one["id"]] = self._before.get(one["id"], one), one
        if one["version"] < before["version"]:
            yield f"{one['id']} went back from version {before['version']} to {one['version']}"
        if one["state"] not in AFTER[before["state"]] or one["progress"] not in THEN[before["progress"]]:
            yield f"{one['id']} went from {before['state']}, {before['progress']} to {one['state']}, {one['progress']}"

    def _audited(self, requests: list[Row], inbox: dict[str, Row]) -> None:
        trail = self._bench.select("SELECT * FROM audit ORDER BY id")
        if trail[: len(self._trail)] != self._trail:
            self.broken.append("promise 8: the audit was changed where it stood")
        self._trail = trail
        lines = Counter(row["request_id"] for row in trail if row["what"] not in UNCHANGED)
        for one in requests:
            if lines[one["id"]] != one["version"]:
                self.broken.append(
                    f"promise 8: {lines[one['id']]} lines for version {one['version']} of {one['id']}: "
                    f"{[row['what'] for row in trail if row['request_id'] == one['id']]}"
                )
        acted = sum(row["actor_user"] is not None and row["what"] not in BESIDES for row in trail)
        decided = sum(row["state"] != "received" for row in inbox.values())
        # A decision that is on disk, although the database did not confirm it, is made once more at present.
        if not decided <= acted <= decided + self._bench.failed_writes:
            self.broken.append(f"promise 8: {acted} lines tell of {decided} entries that were decided")

    # — at the end —

    def end(self) -> None:
        """Check what is left when everything has settled and nothing fails any more."""
        for row in self._bench.select("SELECT * FROM inbox"):
            self.broken += self._answered(row)
        for one in self._requests("1"):
            self.broken += self._ended(one)
            self.broken += self._shown(one)
        cards = {one["card_ts"] for one in self._requests("1")}
        copies = len(set(self._bench.chat.cards) - cards)
        allowed = self._bench.chat.copies_allowed + self._bench.deaths + self._bench.failed_writes
        if copies > allowed:
            self.broken.append(f"§4: {copies} copies of cards, where {allowed} answers of Slack could be lost")

    def _answered(self, row: Row) -> Iterator[str]:
        if row["state"] != "done":
            yield f"promise 5: {row['key']} was left {row['state']}"
        kind = json.loads(row["answer"])["kind"] if row["answer"] else None
        told, chat = self._bench.chat.answered[row["key"]], self._bench.chat
        if kind is not None and kind not in SILENT and not told and row["key"] not in chat.refused:
            yield f"promise 3: {row['key']} was never told its answer, {kind}"
        if kind is None and not self._bench.select("SELECT 1 FROM audit WHERE actor_user = ?", row["actor_user"]):
            yield f"promise 5: {row['key']} is done, and nothing came of it"

    def _ended(self, one: Row) -> Iterator[str]:
        due = one["due_at"] is not None and not _waits_for_review(one)
        if due or one["state"] == "pending" or one["progress"] in ("waiting", "running"):
            yield f"promise 5: {one['id']} was left {one['state']}, {one['progress']}, due at {one['due_at']}"
        if one["progress"] == "unknown" and not self._was_asked(self._since_last_stop(one)):
            yield f"§5: {one['id']} was left unknown, and nobody has tried to read it"
        record = json.loads(one["record"])
        if one["progress"] == "unknown" and self._bench.clock.now() < record["unknown_since"] + ASKED_FOR:
            yield f"§5: {one['id']} was left unknown before the hour was over"
        if (
            self._bench.select("SELECT 1 FROM replies WHERE request_id = ? AND ts IS NULL", one["id"])
            and one["card_ts"]
        ):
            yield f"promise 5: replies of {one['id']} were never told"
        said = [seq for seq, _ in self._bench.chat.said.get(one["id"], [])]
        if said != sorted(said):
            yield f"§4: the replies of {one['id']} came as {said}"

    def _shown(self, one: Row) -> Iterator[str]:
        if not one["card_ts"]:
            return
        card = self._bench.chat.cards.get(one["card_ts"])
        if card is None or (card.version, str(card.state)) != (one["version"], one["state"]):
            shows = None if card is None else (card.version, str(card.state))
            yield f"promise 4: the card of {one['id']} shows {shows}, and it is {one['version']}, {one['state']}"

    def _requests(self, where: str, *values: object) -> list[Row]:
        query = f"SELECT o.*, r.* FROM requests r JOIN operations o ON o.request_id = r.id WHERE {where}"  # noqa: S608
        return self._bench.select(query.replace("flow_id =", "r.flow_id ="), *values)


def _waits_for_review(one: Row) -> bool:
    used = one["emergency"] is not None and not one["dry_run"] and one["progress"] in ("succeeded", "failed", "unknown")
    return used and json.loads(one["emergency"])["review"] is None
