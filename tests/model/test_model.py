"""A state machine that lets everything happen in any order to the real service, worker and store.

It checks after each step whether every promise is kept (promises 1 to 5, 7, 8 and 10).

    FLOWBOT_MODEL=thorough pytest tests/model     many more and longer examples
    FLOWBOT_MODEL_SEED=17 pytest tests/model      other examples than the default; the same for the same seed
"""

import dataclasses
import os
from typing import Final

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from bot.commands import deliveries
from bot.commands.deliveries import Entry
from bot.policy import model
from bot.usecases import ports
from tests.model.bench import Bench
from tests.model.promises import Promises
from tests.model.rules import POLICIES
from tests.model.world import FLOWS, PEOPLE, WELL

THOROUGH: Final = os.environ.get("FLOWBOT_MODEL") == "thorough"

SEED: Final = int(os.environ.get("FLOWBOT_MODEL_SEED", "1"))

EXAMPLES, STEPS = (1500, 80) if THOROUGH else (int(os.environ.get("FLOWBOT_MODEL_EXAMPLES", "100")), 40)

PHASES: Final = (
    *(hypothesis.Phase.explicit, hypothesis.Phase.generate, hypothesis.Phase.target),
    *((hypothesis.Phase.shrink,) if os.environ.get("FLOWBOT_MODEL_SHRINK") else ()),
)
"""Failures are reported as found; with FLOWBOT_MODEL_SHRINK=1 they are shortened, which takes minutes."""

ANYBODY: Final = st.sampled_from(tuple(PEOPLE))
FULL_MEMBERS: Final = st.sampled_from(("ALICE", "BOB", "CAROL", "DAVE", "ERIN"))
REPLICAS: Final = st.integers(0, 1)
REQUESTS: Final = st.integers(0, 3)
BUTTONS: Final = st.sampled_from(
    ("approve", "approve", "approve", "confirm", "confirm", "deny", "withdraw", "emergency_first", "emergency_confirm")
)
SOME: Final = st.lists(st.sampled_from(("CAROL", "CAROL", "DAVE", "BOB", "ALICE")), min_size=1, max_size=3)
LATER: Final = st.sampled_from(("check_now", "ask_again", "review"))
TIMES: Final = st.sampled_from((0.5, 3.0, 3.0, 11.0, 31.0, 61.0, 121.0, 600.0, 2000.0))
STOP_TROUBLES: Final = st.sampled_from(
    ("429", "never sent", "lost", "lost, done", "5xx", "5xx, done", "slow", "slow, lost", "accepted", "401", "locked")
)
READ_TROUBLES: Final = st.sampled_from(("429", "never sent", "lost", "5xx", "401"))
SLACK_TROUBLES: Final = st.sampled_from(("refused", "unavailable", "limited", "copied", "copied"))
WRITE_TROUBLES: Final = st.sampled_from(("refused", "unconfirmed, not done", "unconfirmed, done"))
POINTS: Final = st.integers(1, 45)


class Everything(RuleBasedStateMachine):
    """Everything that people, the cloud, Slack, the database and the power supply may do."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.promises = Promises(self.bench)
        self.sent: list[Entry] = []

    # — people —

    @rule(
        who=ANYBODY,
        flow=st.sampled_from(("main-feed", "flow-1", "flow-1", "backup-feed", "no-such-flow")),
        dry_run=st.sampled_from((False, False, False, False, True)),
        at=REPLICAS,
    )
    def somebody_types(self, who: str, flow: str, dry_run: bool, at: int) -> None:
        """A command."""
        text = f"stop {flow}{' --dry-run' if dry_run else ''}"
        self._send(who, deliveries.Typed(text=text, channel="C0INCIDENT"), at)

    @rule(
        who=FULL_MEMBERS, approves=SOME, name=st.sampled_from(("usual", "each other", "strict", "alone")), at=REPLICAS
    )
    def some_agree(self, who: str, approves: list[str], name: str, at: int) -> None:
        """Like most conversations, under any of the policies."""
        self.bench.policy = name
        self._agree(who, approves, at)

    @rule(who=FULL_MEMBERS, approves=SOME, trouble=STOP_TROUBLES, at=REPLICAS)
    def some_agree_and_the_stop_meets(self, who: str, approves: list[str], trouble: str, at: int) -> None:
        """Trouble at the stop that they agree on."""
        self._agree(who, approves, at, trouble=trouble)

    @rule(who=FULL_MEMBERS, approves=SOME, point=POINTS, trouble=st.one_of(st.none(), STOP_TROUBLES), at=REPLICAS)
    def some_agree_and_a_replica_dies(
        self, who: str, approves: list[str], point: int, trouble: str | None, at: int
    ) -> None:
        """At any point after each press."""
        self._agree(who, approves, at, trouble=trouble, point=point)

    @rule(who=FULL_MEMBERS, approves=SOME, failure=WRITE_TROUBLES, after=st.integers(0, 8), at=REPLICAS)
    def some_agree_and_a_write_fails(self, who: str, approves: list[str], failure: str, after: int, at: int) -> None:
        """One of the writes after each press."""
        self._agree(who, approves, at, fails=(after, failure))

    @rule(who=FULL_MEMBERS, approves=SOME, failures=st.lists(WRITE_TROUBLES, min_size=1, max_size=3), at=REPLICAS)
    def some_agree_and_the_outcome_is_hard_to_write(
        self, who: str, approves: list[str], failures: list[str], at: int
    ) -> None:
        """An outcome that only one process knows, while the database is unavailable."""
        for replica in self.bench.replicas:
            replica.tap.outcomes_fail.extend(failures)
            self.bench.failed_writes += len(failures)
        self._agree(who, approves, at)

    def _agree(
        self,
        who: str,
        approves: list[str],
        at: int,
        *,
        trouble: str | None = None,
        point: int | None = None,
        fails: tuple[int, str] | None = None,
    ) -> None:
        """Let a person ask for a stop, and let them and others press until it is decided."""
        self.bench.cloud.status["flow-1"] = "ACTIVE"
        self._send(who, deliveries.Typed(text="stop flow-1", channel="C0INCIDENT"), at)
        self.bench.cloud.troubles["stop"].extend([trouble] if trouble else [])
        for one in (who, *approves):
            newest = self.bench.select("SELECT * FROM requests ORDER BY created_at DESC LIMIT 1")
            if newest and newest[0]["state"] == "pending":
                if point is not None:
                    self.a_replica_will_die(at, point)
                if fails is not None:
                    self.bench.failed_writes += 1
                    self.bench.replicas[at].tap.writes_fail.extend([*[WELL] * fails[0], fails[1]])
                needs = '"approvals":0' not in str(newest[0]["terms"])
                self._press(one, "approve" if needs else "confirm", newest[0]["id"], at)

    @rule(who=ANYBODY, button=BUTTONS, which=REQUESTS, at=REPLICAS)
    def somebody_presses(self, who: str, button: str, which: int, at: int) -> None:
        """A button of any of the newest cards."""
        if (request_id := self._request(which)) is not None:
            self._press(who, button, request_id, at)

    @rule(who=FULL_MEMBERS, button=LATER, which=REQUESTS, at=REPLICAS)
    def somebody_presses_later(self, who: str, button: str, which: int, at: int) -> None:
        """A button of a card whose outcome is unknown or failed, or was so a moment ago."""
        if (request_id := self._request(which)) is not None:
            self._press(who, button, request_id, at)

    @rule(
        who=st.sampled_from(("ALICE", "ALICE", "BOB", "CAROL")),
        second=st.sampled_from(("ALICE", "ALICE", "ALICE", "BOB", "CAROL", "ERIN")),
        seconds=st.sampled_from((2.0, 3.0, 3.0, 3.0, 40.0)),
        trouble=st.one_of(st.none(), SLACK_TROUBLES, st.integers(1, 45)),
        at=REPLICAS,
    )
    def somebody_passes_over_the_leads(
        self, who: str, second: str, seconds: float, trouble: str | int | None, at: int
    ) -> None:
        """An emergency, perhaps superseding a pending request, perhaps with trouble before the second press."""
        self.bench.policy = "usual"
        self.bench.cloud.status["flow-1"] = "ACTIVE"
        self.bench.chat.troubles.extend([trouble] if isinstance(trouble, str) else [])
        self._send(who, deliveries.Typed(text="stop flow-1 --emergency because it burns", channel="C0INCIDENT"), at)
        for presser, button in ((who, "emergency_first"), (second, "emergency_confirm"), (who, "emergency_confirm")):
            if (request_id := self._request(0)) is not None:
                if isinstance(trouble, int):
                    self.a_replica_will_die(at, trouble)
                self._press(presser, button, request_id, at)
                self.bench.clock.turn(seconds)

    @rule(
        first=st.sampled_from(("ALICE", "ALICE", "BOB", "ERIN")),
        other=st.sampled_from(("ALICE", "BOB", "BOB", "ERIN", "CAROL")),
        presses=st.integers(0, 2),
        late=st.sampled_from(("emergency_first", "emergency_confirm", "deny", "withdraw", "review")),
        point=st.one_of(st.none(), st.none(), POINTS),
        at=REPLICAS,
    )
    def an_emergency_meets_another(
        self, first: str, other: str, presses: int, late: str, point: int | None, at: int
    ) -> None:
        """One that was abandoned or is about to be carried out; its requester may press again."""
        self.bench.policy = "usual"
        self.bench.cloud.status["flow-1"] = "ACTIVE"
        asked = deliveries.Typed(text="stop flow-1 --emergency because it burns", channel="C0INCIDENT")
        self._send(first, asked, at)
        for button in ("emergency_first", "emergency_confirm")[:presses]:
            if (request_id := self._request(0)) is not None:
                self._press(first, button, request_id, at)
                self.bench.clock.turn(3.0)
        if point is not None:
            self.a_replica_will_die(at, point)
        self._send(other, asked, at)
        for which, presser, button in (
            (1, first, late),
            (0, other, "emergency_first"),
            (0, other, "emergency_confirm"),
        ):
            if (request_id := self._request(which)) is not None:
                self._press(presser, button, request_id, at)
                self.bench.clock.turn(3.0)

    @rule(who=ANYBODY, which=REQUESTS, verdict=st.sampled_from(tuple(deliveries.Verdict)), at=REPLICAS)
    def somebody_reviews(self, who: str, which: int, verdict: deliveries.Verdict, at: int) -> None:
        """An emergency."""
        if (request_id := self._request(which)) is not None:
            modal = deliveries.Modal.REVIEW
            sent = deliveries.Submitted(modal=modal, request_id=request_id, reason="I looked", verdict=verdict)
            self._send(who, sent, at)

    @rule(who=ANYBODY, which=REQUESTS, reason=st.sampled_from((None, "main audience")), at=REPLICAS)
    def somebody_says_why(self, who: str, which: int, reason: str | None, at: int) -> None:
        """A modal."""
        if (request_id := self._request(which)) is not None:
            modal = deliveries.Submitted(modal=deliveries.Modal.DENY_REASON, request_id=request_id, reason=reason)
            self._send(who, modal, at)

    @precondition(lambda self: self.sent)
    @rule(back=st.integers(0, 4), at=REPLICAS)
    def slack_delivers_again(self, back: int, at: int) -> None:
        """The same delivery, perhaps to another replica."""
        entry = self.sent[-1 - back % len(self.sent)]
        self._deliver(dataclasses.replace(entry, received_at=self.bench.clock.now()), at)

    # — time —

    @rule(seconds=TIMES)
    def time_passes(self, seconds: float) -> None:
        """Seconds to hours."""
        self.bench.clock.turn(seconds)
        self._look()

    # — what fails —

    @rule(trouble=STOP_TROUBLES)
    def the_next_stop_meets(self, trouble: str) -> None:
        """Trouble at the next stop."""
        self.bench.cloud.troubles["stop"].append(trouble)

    @rule(trouble=READ_TROUBLES)
    def the_next_reading_meets(self, trouble: str) -> None:
        """Trouble at the next reading."""
        self.bench.cloud.troubles["read"].append(trouble)

    @rule(unreadable=st.sampled_from((True, False, False)))
    def the_cloud_is_unreadable(self, unreadable: bool) -> None:
        """Every read fails, or none does any more."""
        self.bench.cloud.unreadable = unreadable

    @rule(flow=st.sampled_from(tuple(FLOWS)), status=st.sampled_from(("ACTIVE", "ACTIVE", "STANDBY")))
    def somebody_changes_the_flow_elsewhere(self, flow: str, status: str) -> None:
        """At the console."""
        self.bench.cloud.status[flow] = status

    @rule(troubles=st.lists(SLACK_TROUBLES, min_size=1, max_size=3))
    def slack_fails(self, troubles: list[str]) -> None:
        """The next messages."""
        self.bench.chat.troubles.extend(troubles)

    @rule(away=st.sampled_from((True, False, False, False)))
    def slack_says_nothing_of_people(self, away: bool) -> None:
        """Slack cannot be asked about people, or can be again."""
        self.bench.people.away = away

    @rule(troubles=st.lists(WRITE_TROUBLES, min_size=1, max_size=2), at=REPLICAS)
    def the_database_fails(self, troubles: list[str], at: int) -> None:
        """The next writes of a replica fail."""
        self.bench.failed_writes += len(troubles)
        self.bench.replicas[at].tap.writes_fail.extend(troubles)

    @rule(at=REPLICAS, point=POINTS)
    def a_replica_will_die(self, at: int, point: int) -> None:
        """At one of its next calls."""
        tap = self.bench.replicas[at].tap
        tap.dies_at = tap.calls + point

    # — rights —

    @rule(who=FULL_MEMBERS, member=st.sampled_from((True, True, False)))
    def rights_change(self, who: str, member: bool) -> None:
        """Somebody leaves, or comes back."""
        self.bench.people.kinds[PEOPLE[who]] = model.Kind.MEMBER if member else model.Kind.DEACTIVATED

    @rule(name=st.sampled_from((*POLICIES, "usual", "usual", "each other", "strict", "alone")))
    def the_policy_changes(self, name: str) -> None:
        """To a stricter or a laxer one."""
        self.bench.policy = name

    # — how —

    def _press(self, who: str, button: str, request_id: str, at: int) -> None:
        known = self.bench.select("SELECT card_ts FROM requests WHERE id = ?", request_id)
        pressed = deliveries.Clicked(
            button=deliveries.Button(button),
            request_id=request_id,
            channel="C0INCIDENT",
            message_ts=(known[0]["card_ts"] if known else None) or None,
        )
        self._send(who, pressed, at)

    def _send(self, who: str, arrival: deliveries.Arrival, at: int) -> None:
        number = len(self.sent) + 1
        entry = Entry(key=f"k{number:03}", actor=PEOPLE[who], arrival=arrival, received_at=self.bench.clock.now())
        self.sent.append(entry)
        self._deliver(entry, at)

    def _deliver(self, entry: Entry, at: int) -> None:
        recording = self.bench.deliver(at, entry)
        if recording in (ports.Recording.NEW, ports.Recording.REPEATED):
            self.promises.acknowledged.add(entry.key)
        self._look()

    def _request(self, which: int) -> str | None:
        rows = self.bench.select("SELECT id FROM requests ORDER BY created_at DESC LIMIT 4")
        return str(rows[which % len(rows)]["id"]) if rows else None

    def _look(self) -> None:
        try:
            self.bench.settle()
        except AssertionError:
            assert not self.promises.broken, "\n".join(self.promises.broken)
            raise
        self.promises.step()
        assert not self.promises.broken, "\n".join(self.promises.broken)

    def teardown(self) -> None:
        """Stop all failures, let hours pass, and check that everything comes to an end."""
        try:
            if not self.promises.broken:
                self._heal()
                for seconds in (1.0, 5.0, 31.0, 40.0, 61.0, 301.0, 301.0, *[400.0] * 14, 31.0, 31.0):
                    self.bench.clock.turn(seconds)
                    self._look()
                self.promises.end()
                assert not self.promises.broken, "\n".join(self.promises.broken)
        finally:
            self.bench.close()

    def _heal(self) -> None:
        bench = self.bench
        bench.cloud.unreadable, bench.people.away = False, False
        for troubles in (*bench.cloud.troubles.values(), bench.chat.troubles):
            troubles.clear()
        for replica in bench.replicas:
            replica.tap.writes_fail.clear()
            replica.tap.outcomes_fail.clear()
            replica.tap.dies_at = None


def test_promises_hold_whatever_happens_in_whatever_order() -> None:
    settings = hypothesis.settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        print_blob=True,
        phases=PHASES,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    machine = hypothesis.seed(SEED)(Everything)
    run_state_machine_as_test(machine, settings=settings)
