"""Opening a request, or the reason why not: every answer, and what is on disk afterwards."""

import asyncio
import dataclasses
import itertools
import json
import pathlib
from collections.abc import AsyncIterator, Iterator

import pytest

from bot.commands.deliveries import Actor, Modal, Submitted, Typed
from bot.commands.verbs import Door, Verb
from bot.lifecycle import records, transitions
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.lifecycle.records import ReplyKind
from bot.lifecycle.states import Progress, State
from bot.policy import model
from bot.policy.model import Why
from bot.store.store import SqlStore
from bot.usecases import answers, errors, open_request, ports, rate_limit, visibility
from tests.fakes import (
    ALICE,
    BOB,
    BURNS,
    CAROL,
    DAVE,
    EMERGENCY,
    MAIN,
    POLICY,
    STANDING,
    Desk,
    open_desk,
    policy_of,
    until,
)

SECOND = """\
[projects.sg]
project_id = "fedcba9876543210fedcba9876543210"
region     = "ap-southeast-3"
endpoint   = "http://127.0.0.1:9"
channels   = ["C0SG"]

"""
PROTECTED = POLICY.replace('verbs     = ["stop"]\n', 'verbs     = ["stop"]\nprotected = ["main-*"]\n')
GONE = CloudFailure(fault=Fault.UNCERTAIN, http_status=503)
REASON = POLICY.replace('verbs     = ["stop"]\n', 'verbs     = ["stop"]\nreason = "required"\n')


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk."""
    async with open_desk(tmp_path) as opened:
        yield opened


def audited(desk: Desk) -> list[str]:
    """Return the names of the audit events."""
    return [what for (what,) in desk.select("SELECT what FROM audit ORDER BY id")]


async def answer(desk: Desk, text: str = "stop main-feed", channel: str = "C0INCIDENT") -> answers.AnyAnswer:
    """Type a command that opens nothing, and return the answer."""
    taken = await desk.take(desk.typed(text, channel=channel))
    assert taken.request_id is None
    assert taken.answer is not None
    return taken.answer


async def test_a_request_opens_with_its_lock_and_its_audit_in_one_change(desk: Desk) -> None:
    opened = await desk.opened("stop main-feed because it loops")

    assert (opened.reason, opened.version, opened.card.channel) == ("it loops", 1, "C0INCIDENT")
    assert [reply.said for reply in opened.unsent] == [ReplyKind.ASKED]
    assert opened.terms.policy_hash == desk.policy.digest
    assert await desk.store.holder("hk", "flow-1") == opened
    assert audited(desk) == ["asked"]
    assert desk.select("SELECT state FROM inbox") == [("done",)]


async def test_a_request_that_needs_nobody_calls_nobody(desk: Desk) -> None:
    opened = await desk.opened(actor=CAROL)

    assert opened.terms.approvals == 0
    assert opened.unsent == ()


async def test_a_request_from_another_channel_stands_at_home_and_links_back(desk: Desk) -> None:
    taken = await desk.take(desk.typed(channel="C0RANDOM"))

    opened = await desk.now(str(taken.request_id))
    assert (opened.card.channel, opened.asked_in) == ("C0INCIDENT", "C0RANDOM")
    assert [reply.said for reply in opened.unsent] == [ReplyKind.ASKED, ReplyKind.LINKED]


async def test_a_recent_denial_stands_on_the_new_card(desk: Desk) -> None:
    first = await desk.opened()
    await desk.take(desk.click("deny", DAVE, first.id))
    desk.clock.turn(open_request.DENIED_LATELY - 1)
    assert (await desk.opened()).recently_denied_by == DAVE


async def test_an_old_denial_is_forgotten(desk: Desk) -> None:
    first = await desk.opened()
    await desk.take(desk.click("deny", DAVE, first.id))
    desk.clock.turn(open_request.DENIED_LATELY + 1)
    assert (await desk.opened()).recently_denied_by is None


@pytest.mark.parametrize(("late", "opens"), [(60.0, True), (60.1, False)])
async def test_a_command_must_be_taken_up_within_a_minute(desk: Desk, late: float, opens: bool) -> None:
    entry = desk.typed()
    desk.clock.turn(late)

    taken = await desk.take(entry)

    assert (taken.request_id is not None) is opens
    assert isinstance(taken.answer, answers.TooLate) is not opens


async def test_the_newcomer_is_led_to_the_open_request_before_the_cloud_is_asked(desk: Desk) -> None:
    opened = await desk.opened()
    desk.cloud.calls.clear()

    joined = await answer(desk, "stop flow-1")

    assert isinstance(joined, answers.Joined)
    assert joined.card.request_id == opened.id
    assert desk.cloud.calls == []


async def test_the_newcomer_is_led_to_the_open_request_by_name_too(desk: Desk) -> None:
    await desk.opened()

    assert isinstance(await answer(desk, "stop main-feed"), answers.Joined)


async def test_two_that_ask_at_once_get_one_request(desk: Desk) -> None:
    taken = await asyncio.gather(*(desk.take(desk.typed("stop flow-1")) for _ in range(8)))

    assert sum(one.request_id is not None for one in taken) == 1
    assert sum(isinstance(one.answer, answers.Joined) for one in taken) == 7
    assert desk.select("SELECT count(*) FROM requests") == [(1,)]


async def test_a_dry_run_neither_meets_nor_holds_the_lock(desk: Desk) -> None:
    await desk.opened()

    rehearsal = await desk.opened("stop flow-1 --dry-run")
    again = await desk.opened("stop flow-1 --dry-run")

    assert rehearsal.dry_run
    assert again.id != rehearsal.id


async def test_an_answer_to_a_dry_run_is_marked(desk: Desk) -> None:
    desk.cloud.there["flow-1"] = STANDING

    assert (await answer(desk, "stop flow-1 --dry-run")).dry_run


async def test_a_holder_that_ends_meanwhile_makes_it_look_again(desk: Desk) -> None:
    opened = await desk.opened()
    await desk.take(desk.click("withdraw", ALICE, opened.id))
    desk.store.before["commit"].append(errors.FlowHeld("held"))

    taken = await desk.take(desk.typed("stop flow-1"))

    assert taken.request_id is not None


HANDS_OFF = """
[[rules]]
name = "hands off"
effect = "deny"
verbs = ["stop"]
who = ["*"]
flows = ["prod-*"]
"""
ZED = Actor(team="T1", user="U0ZED")


@pytest.mark.parametrize("text", ["stop main-feed", "stop flow-1", "start flow-1 --dry-run", BURNS])
async def test_whoever_no_rule_lets_do_it_costs_the_cloud_nothing(desk: Desk, text: str) -> None:
    desk.directory.kinds[ZED.user] = model.Kind.MEMBER
    for _ in range(30):
        taken = await desk.take(desk.typed(text, ZED))
        assert isinstance(taken.answer, answers.Refused)

    assert desk.cloud.calls == []


@pytest.mark.parametrize("text", ["stop flow-1", BURNS])
async def test_whoever_may_stop_any_flow_does_not_wait_behind_those_who_look(desk: Desk, text: str) -> None:
    desk.policy = policy_of(EMERGENCY)
    await desk.opened(text)

    assert set(desk.cloud.purposes) == {"stop"}


@pytest.mark.parametrize("text", ["stop flow-1", "stop main-feed", BURNS])
async def test_until_rights_are_known_the_flow_is_read_as_one_of_those_who_look(desk: Desk, text: str) -> None:
    desk.policy = policy_of(EMERGENCY + HANDS_OFF)
    await desk.take(desk.typed(text))

    assert set(desk.cloud.purposes) == {"read"}


def ever_new() -> Iterator[model.Policy]:
    """Yield a new policy at each read, with a number in the name of its rule."""
    for number in itertools.count():
        yield policy_of(EMERGENCY.replace("on-call stops, a lead approves", f"rule {number}"))


@pytest.mark.parametrize("text", ["stop flow-1", BURNS])
async def test_a_request_keeps_rule_and_hash_of_one_policy(desk: Desk, text: str) -> None:
    policies, read = ever_new(), list[model.Policy]()

    def newest() -> model.Policy:
        read.append(next(policies))
        return read[-1]

    desk.gate._current_policy = newest
    terms = (await desk.opened(text)).terms

    (kept,) = (one for one in read if one.digest == terms.policy_hash)
    assert terms.rule in {rule.name for rule in kept.rules}


async def test_a_flow_in_standby_opens_nothing(desk: Desk) -> None:
    desk.cloud.there["flow-1"] = STANDING

    assert await answer(desk) == answers.AlreadySo(verb=Verb.STOP, project="hk", flow=STANDING)
    assert audited(desk) == ["nothing opened"]


async def test_rights_are_told_before_the_state(desk: Desk) -> None:
    desk.cloud.there["flow-1"] = STANDING
    desk.policy = policy_of(POLICY.replace('"U0ALICE", ', ""))

    refused = await answer(desk)

    assert isinstance(refused, answers.Refused)
    assert refused.decision.why is Why.NO_RULE


@pytest.mark.parametrize("kind", sorted(set(model.Kind) - {model.Kind.MEMBER}))
async def test_who_is_no_full_member_learns_nothing_of_the_flow(desk: Desk, kind: model.Kind) -> None:
    desk.directory.kinds["U0ALICE"] = kind

    refused = await answer(desk, "stop no-such-flow")

    assert isinstance(refused, answers.Refused)
    assert refused.decision.kind is kind
    assert desk.cloud.calls == []


async def test_a_missing_reason_is_asked_for_and_opens_nothing(desk: Desk) -> None:
    desk.policy = policy_of(REASON)

    missing = await answer(desk, "stop main-feed --dry-run")

    assert isinstance(missing, answers.ReasonMissing)
    assert "main-feed" in missing.typed
    assert missing.dry_run
    assert desk.select("SELECT count(*) FROM requests") == [(0,)]


async def test_a_protected_flow_needs_its_name_before_anything_opens(desk: Desk) -> None:
    desk.policy = policy_of(PROTECTED)
    entry = desk.typed("stop flow-1 --dry-run")

    missing = (await desk.take(entry)).answer

    assert missing == answers.NameMissing(
        entry=entry.key, verb=Verb.STOP, flow="main-feed", rule="on-call stops, a lead approves", dry_run=True
    )
    assert desk.select("SELECT count(*) FROM requests") == [(0,)]
    assert audited(desk) == ["nothing opened"]


async def test_a_missing_reason_is_asked_for_along_with_the_name(desk: Desk) -> None:
    desk.policy = policy_of(REASON.replace('reason = "required"', 'reason = "required"\nprotected = ["flow-?"]'))

    missing = await answer(desk)
    typed = await answer(desk, "stop main-feed because it loops")

    assert isinstance(missing, answers.NameMissing)
    assert isinstance(typed, answers.NameMissing)
    assert (missing.reason_too, typed.reason_too) == (True, False)


async def test_who_is_refused_or_led_to_a_card_is_asked_for_no_name(desk: Desk) -> None:
    opened = await desk.opened()
    desk.policy = policy_of(PROTECTED)

    joined = await answer(desk)
    assert isinstance(joined, answers.Joined)
    assert joined.card.request_id == opened.id
    desk.policy = policy_of(PROTECTED.replace('"U0ALICE", ', ""))
    assert isinstance(await answer(desk), answers.Refused)


@pytest.mark.parametrize(
    ("name", "typed", "opens"),
    [
        ("main-feed", "main-feed", True),
        (" main-feed", "main-feed ", True),
        ("main-feed", "flow-1", False),
        ("main-feed", "", False),
        ("main-feed", None, False),
        ("main-feed", "MAIN-FEED", False),
        ("", "flow-1", True),
        ("", "", False),
        (" ", "flow-1", True),
    ],
)
async def test_the_name_is_the_clouds_or_the_id_where_there_is_none(
    desk: Desk, name: str, typed: str | None, opens: bool
) -> None:
    desk.policy = policy_of(PROTECTED.replace("main-*", "flow-1"))
    desk.cloud.there["flow-1"] = dataclasses.replace(MAIN, name=name)
    entry = desk.typed("stop flow-1")
    assert isinstance(entry.arrival, Typed)
    await desk.store.record([entry])

    taken = await desk.opener.ask(entry, entry.arrival, request_id=entry.key, name=typed)

    assert (taken.request_id is not None) is opens
    assert isinstance(taken.answer, answers.NameMissing) is not opens
    if isinstance(taken.answer, answers.NameMissing):
        assert (taken.answer.typed, taken.answer.nameless) == (typed, not name.strip())


async def test_the_audit_tells_what_was_typed_as_the_name(desk: Desk) -> None:
    desk.policy = policy_of(PROTECTED)
    for name in ("flow-1", "main-feed"):
        entry = desk.typed("stop flow-1")
        assert isinstance(entry.arrival, Typed)
        await desk.store.record([entry])
        await desk.opener.ask(entry, entry.arrival, request_id=entry.key, name=name)

    (wrong,), (right,) = desk.select("SELECT facts FROM audit ORDER BY id")
    assert '"typed_name":"flow-1"' in wrong
    assert '"typed_name":"main-feed"' in right


async def test_who_sends_too_many_commands_opens_nothing_and_learns_when_to_go_on(desk: Desk) -> None:
    for _ in range(rate_limit.COMMANDS):
        await answer(desk, "stop nothing")
    desk.cloud.calls.clear()
    desk.directory.asked.clear()
    desk.clock.turn(20)

    assert await answer(desk, "stop main-feed --dry-run") == answers.TooMany(most=60, wait=40.0, dry_run=True)
    assert (desk.cloud.calls, desk.directory.asked) == ([], [])
    assert audited(desk)[-1] == "nothing opened"
    ((facts,),) = desk.select("SELECT facts FROM audit ORDER BY id DESC LIMIT 1")
    assert '"answer":"too_many"' in facts
    assert (await desk.opened(actor=CAROL)).requester == CAROL
    desk.clock.turn(40)
    assert (await desk.opened("stop main-feed --dry-run")).dry_run


async def test_clicks_and_what_completes_a_command_are_never_too_many(desk: Desk) -> None:
    opened = await desk.opened()
    desk.policy = policy_of(REASON)
    entry = desk.typed("stop flow-1 --dry-run")
    await desk.take(entry)
    desk.clock.turn(1800)
    await desk.take(desk.click("deny", DAVE, opened.id))  # too late: it has expired
    for _ in range(rate_limit.COMMANDS):
        await answer(desk, "stop nothing")

    completed = Submitted(modal=Modal.ADD_REASON, request_id=entry.key, reason="it loops")
    assert (await desk.take(desk.entry(completed))).request_id == entry.key
    again = await desk.take(desk.click("ask_again", ALICE, opened.id))
    assert isinstance(again.answer, answers.ReasonMissing)
    assert isinstance(await answer(desk, "stop nothing"), answers.TooMany)


async def test_an_unknown_flow_opens_nothing(desk: Desk) -> None:
    assert isinstance(await answer(desk, "stop nothing"), answers.NoSuchFlow)


async def test_an_unreadable_flow_opens_nothing(desk: Desk) -> None:
    failure = CloudFailure(fault=Fault.UNCERTAIN, http_status=503)
    desk.cloud.will("flow", failure)

    assert await answer(desk) == answers.Unreadable(typed="main-feed", project="hk", failure=failure)


@pytest.mark.parametrize(
    ("text", "channel", "named"),
    [("stop flow-1", "C0RANDOM", None), ("stop flow-1 --project nope", "C0INCIDENT", "nope")],
)
async def test_with_several_projects_one_must_be_meant(desk: Desk, text: str, channel: str, named: str | None) -> None:
    desk.policy = policy_of(SECOND + POLICY)

    assert await answer(desk, text, channel=channel) == answers.WhichProject(typed=named, projects=("sg", "hk"))


async def test_a_project_may_be_named_anywhere(desk: Desk) -> None:
    desk.policy = policy_of(SECOND + POLICY)

    taken = await desk.take(desk.typed("stop flow-1 --project sg", channel="C0RANDOM"))

    assert (await desk.now(str(taken.request_id))).card.channel == "C0SG"


async def test_the_channel_chooses_the_project(desk: Desk) -> None:
    desk.policy = policy_of(SECOND + POLICY)

    assert (await desk.opened()).project == "hk"


@pytest.mark.parametrize("text", ["status main-feed", "help", "nonsense"])
async def test_a_stored_text_that_is_no_command_here_opens_nothing(desk: Desk, text: str) -> None:
    assert await answer(desk, text) == answers.NoSuchRequest()


@pytest.mark.parametrize(("channel", "thread"), [("C0INCIDENT", "5.000100"), ("C0RANDOM", None)])
async def test_a_card_stands_in_the_thread_where_it_was_asked_for_and_not_in_another_channels(
    desk: Desk, channel: str, thread: str | None
) -> None:
    typed = Typed(text="stop main-feed", channel=channel, door=Door.MENTION, ts="5.000200", thread_ts="5.000100")

    taken = await desk.take(desk.entry(typed))

    assert taken.request_id is not None
    opened = await desk.now(taken.request_id)
    assert (opened.card.channel, opened.card.thread) == ("C0INCIDENT", thread)
    assert visibility.card_link(opened).thread == thread


async def test_a_missing_reason_is_asked_for_at_the_door_where_it_was_typed(desk: Desk) -> None:
    desk.policy = policy_of(REASON)
    typed = Typed(text="stop main-feed", channel="C0INCIDENT", door=Door.MENTION)

    answered = (await desk.take(desk.entry(typed))).answer

    assert isinstance(answered, answers.ReasonMissing)
    assert answered.door is Door.MENTION


async def test_the_audit_tells_at_which_door_something_was_refused(desk: Desk) -> None:
    await desk.take(desk.entry(Typed(text="stop no-such", channel="C0INCIDENT", door=Door.MENTION)))

    ((facts,),) = desk.select("SELECT facts FROM audit")
    assert '"door":"mention"' in facts


async def test_a_flow_that_runs_already_is_not_started(desk: Desk) -> None:
    desk.policy = policy_of(POLICY.replace('verbs     = ["stop"]', 'verbs     = ["stop", "start"]'))

    assert isinstance(await answer(desk, "start main-feed"), answers.AlreadySo)
    desk.cloud.there["flow-1"] = STANDING
    opened = await desk.opened("start main-feed")

    assert (opened.verb, opened.flow.status) == (Verb.START, "STANDBY")


async def test_an_entry_whose_request_is_there_already_opens_and_says_nothing(desk: Desk) -> None:
    entry = desk.typed("stop flow-1")
    await desk.take(entry)
    lines = desk.select("SELECT * FROM audit")

    with pytest.raises(errors.DecidedBefore):
        await desk.service.take(entry)

    assert desk.select("SELECT * FROM audit") == lines


async def test_another_verb_is_blocked_by_the_open_request(desk: Desk) -> None:
    opened = await desk.opened()
    starting = dataclasses.replace(opened, version=2, verb=Verb.START)
    await desk.store.commit(ports.Change(request=starting, audit=()))

    blocked = await answer(desk, "stop flow-1")

    assert isinstance(blocked, answers.Blocked)
    assert (blocked.verb, blocked.card.verb) == (Verb.STOP, Verb.START)


async def test_a_database_that_is_away_leaves_the_entry_as_it_is(desk: Desk) -> None:
    entry = desk.typed()
    await desk.store.record([entry])
    desk.store.away = True

    with pytest.raises(errors.StoreError):
        await desk.service.take(entry)

    assert desk.select("SELECT state FROM inbox") == [("received",)]


class TestEmergency:
    @pytest.fixture
    async def desk(self, desk: Desk) -> Desk:
        """Let people on call skip the leads."""
        desk.policy = policy_of(EMERGENCY)
        return desk

    async def test_it_opens_with_those_it_passes_over_and_its_mark_in_the_audit(self, desk: Desk) -> None:
        opened = await desk.opened(BURNS)

        leads = ("media-leads",)
        assert opened.emergency == records.Emergency(members=("media-oncall",), passed_over=leads, judges=leads)
        assert (opened.terms.approvals, opened.terms.approvers) == (0, ("media-leads",))
        assert opened.terms.mentions == ("U0CAROL", "U0DAVE")
        assert [(reply.said, reply.actor) for reply in opened.unsent] == [(ReplyKind.EMERGENCY, ALICE)]
        (facts,) = desk.select("SELECT facts FROM audit WHERE what = 'asked'")[0]
        assert json.loads(facts)["emergency"] is True
        assert json.loads(facts)["passed_over"] == ["media-leads"]

    async def test_asked_for_elsewhere_it_stands_at_home_and_is_announced_there_once(self, desk: Desk) -> None:
        taken = await desk.take(desk.typed(f"{BURNS}", channel="C0RANDOM"))

        assert taken.request_id is not None
        opened = await desk.now(taken.request_id)
        assert opened.card.channel == "C0INCIDENT"
        assert [reply.said for reply in opened.unsent] == [ReplyKind.EMERGENCY, ReplyKind.LINKED]

    async def test_in_another_channel_of_the_project_it_is_announced_at_home_too(self, desk: Desk) -> None:
        desk.policy = policy_of(EMERGENCY.replace('["C0INCIDENT"]', '["C0INCIDENT", "C0WAR"]'))

        taken = await desk.take(desk.typed(BURNS, channel="C0WAR"))

        assert taken.request_id is not None
        opened = await desk.now(taken.request_id)
        assert opened.emergency is not None
        assert (opened.card.channel, opened.emergency.announced_in) == ("C0WAR", "C0INCIDENT")
        assert [reply.said for reply in opened.unsent] == [ReplyKind.EMERGENCY, ReplyKind.ANNOUNCED]

    async def test_without_a_reason_it_is_asked_for_one(self, desk: Desk) -> None:
        told = await answer(desk, "stop flow-1 --emergency")

        assert isinstance(told, answers.ReasonMissing)
        assert told.typed == "stop flow-1 --emergency"
        completed = Submitted(modal=Modal.ADD_REASON, request_id=told.entry, reason="it burns")
        taken = await desk.take(desk.entry(completed))
        assert taken.request_id is not None
        assert (await desk.now(taken.request_id)).emergency is not None

    async def test_whoever_may_not_is_told_who_could(self, desk: Desk) -> None:
        taken = await desk.take(desk.typed(BURNS, CAROL))

        assert isinstance(taken.answer, answers.Refused)
        assert taken.answer.decision == model.Refuse(why=Why.NO_EMERGENCY, who_could=("media-oncall",))
        assert taken.answer.people == ("U0ALICE", "U0BOB", "S0MEDIAGRP")

    async def test_a_pause_wins(self, desk: Desk) -> None:
        await desk.store.pause(ports.Pause(at=desk.clock.now(), reason="maintenance", by="root"))

        told = await answer(desk, BURNS)

        assert isinstance(told, answers.Refused)
        assert told.decision.why is Why.PAUSED

    async def test_what_is_so_already_opens_nothing(self, desk: Desk) -> None:
        desk.cloud.there["flow-1"] = STANDING

        assert isinstance(await answer(desk, BURNS), answers.AlreadySo)

    @pytest.mark.parametrize("holder", ["stop flow-1", "start flow-2"])
    async def test_a_pending_request_gives_way_whatever_its_verb(self, desk: Desk, holder: str) -> None:
        desk.policy = policy_of(EMERGENCY.replace('["stop"]', '["stop", "start"]'))
        desk.cloud.there["flow-2"] = dataclasses.replace(STANDING, flow_id="flow-2", name="backup-feed")
        pending = await desk.opened(holder, BOB)
        flow = pending.flow.flow_id
        desk.cloud.there[flow] = dataclasses.replace(desk.cloud.there[flow], status="ACTIVE")

        taken = await desk.take(desk.typed(f"stop {flow} --emergency because it burns"))

        assert (taken.request_id is not None, taken.superseded_id) == (True, pending.id)
        ended = await desk.now(pending.id)
        assert ended.state is State.SUPERSEDED
        assert ended.ending == records.Ending(actor=ALICE, at=desk.clock.now())
        assert ended.unsent[-1].said is ReplyKind.SUPERSEDED
        opened = await desk.store.holder("hk", flow)
        assert opened is not None
        assert (opened.id, opened.emergency is not None) == (taken.request_id, True)
        assert audited(desk) == ["asked", "asked", "superseded"]

    async def test_a_request_that_is_approved_and_has_not_begun_gives_way_too(self, desk: Desk) -> None:
        approved = await desk.approved("stop flow-1", BOB)

        taken = await desk.take(desk.typed(BURNS))

        assert taken.superseded_id == approved.id
        ended = await desk.now(approved.id)
        assert (ended.state, ended.operation.progress) == (State.SUPERSEDED, Progress.CANCELLED)

    async def test_a_request_that_has_begun_does_not_give_way(self, desk: Desk) -> None:
        begun = transitions.begin(await desk.approved("stop flow-1", BOB), at=desk.clock.now())
        await desk.store.commit(ports.Change(audit=(), request=begun))

        assert await answer(desk, BURNS) == answers.Joined(card=visibility.card_link(begun))
        assert await desk.now(begun.id) == begun

    @pytest.mark.parametrize("asker", [ALICE, BOB])
    @pytest.mark.parametrize("presses", [0, 1, 2])
    async def test_another_emergency_gives_way_until_it_has_begun(self, desk: Desk, asker: Actor, presses: int) -> None:
        first = await (desk.opened, desk.pressed_first, desk.let_run)[presses](BURNS, BOB)

        taken = await desk.take(desk.typed(BURNS, asker))

        assert (taken.request_id is not None, taken.superseded_id) == (True, first.id)
        ended = await desk.now(first.id)
        assert (ended.state, ended.operation.progress) == (State.SUPERSEDED, Progress.CANCELLED)
        assert ended.ending == records.Ending(actor=asker, at=desk.clock.now())
        assert not records.is_review_open(ended)
        opened = await desk.now(str(taken.request_id))
        assert (opened.state, opened.emergency and opened.emergency.first_at) == (State.PENDING, None)

    async def test_without_the_option_it_is_led_to_the_emergency(self, desk: Desk) -> None:
        first = await desk.opened(BURNS, BOB)

        assert await answer(desk, "stop flow-1") == answers.Joined(card=visibility.card_link(first))
        assert await desk.now(first.id) == first

    async def test_who_may_not_use_it_ends_no_emergency(self, desk: Desk) -> None:
        first = await desk.opened(BURNS, BOB)

        assert isinstance((await desk.take(desk.typed(BURNS, CAROL))).answer, answers.Refused)
        assert await desk.now(first.id) == first

    async def test_a_rehearsed_emergency_neither_ends_another_nor_gives_way(self, desk: Desk) -> None:
        rehearsed = await desk.opened("stop flow-1 --dry-run --emergency because we rehearse", BOB)
        real = await desk.opened(BURNS, BOB)
        again = await desk.opened("stop flow-1 --dry-run --emergency because we rehearse")

        for seen in (rehearsed, real, again):
            assert await desk.now(seen.id) == seen

    async def test_of_two_at_once_the_later_one_stands(self, desk: Desk) -> None:
        asked = [desk.typed(BURNS, actor) for actor in (ALICE, BOB)]
        await desk.store.record(asked)

        taken = await asyncio.gather(*map(desk.service.take, asked))

        ids = [str(one.request_id) for one in taken]
        states = {ident: (await desk.now(ident)).state for ident in ids}
        holder = await desk.store.holder("hk", "flow-1")
        assert sorted(states.values()) == [State.PENDING, State.SUPERSEDED]
        assert holder is not None
        assert states[holder.id] is State.PENDING

    async def test_a_dry_run_ends_nothing(self, desk: Desk) -> None:
        pending = await desk.opened("stop flow-1", BOB)

        opened = await desk.opened("stop flow-1 --dry-run --emergency because we rehearse")

        assert (opened.emergency is not None, opened.dry_run) == (True, True)
        assert await desk.now(pending.id) == pending

    async def test_what_gives_way_may_have_begun_meanwhile(self, desk: Desk) -> None:
        approved = await desk.approved("stop flow-1", BOB)
        begun = transitions.begin(approved, at=desk.clock.now())
        asked, gate = desk.typed(BURNS), asyncio.Event()
        await desk.store.record([asked])
        desk.store.before["commit"].append(gate)
        asking_for_it = asyncio.create_task(desk.service.take(asked))
        await until(lambda: "asked" in desk.store.journal[-1:])

        await SqlStore.commit(desk.store, ports.Change(audit=(), request=begun))
        gate.set()

        assert (await asking_for_it).answer == answers.Joined(card=visibility.card_link(begun))
        assert await desk.now(approved.id) == begun

    async def test_what_gives_way_may_have_been_confirmed_meanwhile(self, desk: Desk) -> None:
        first = await desk.pressed_first(BURNS, BOB)
        confirmed = transitions.confirm_emergency(first, records.Vote(actor=BOB, at=desk.clock.now()))
        asked, gate = desk.typed(BURNS), asyncio.Event()
        await desk.store.record([asked])
        desk.store.before["commit"].append(gate)
        asking_for_it = asyncio.create_task(desk.service.take(asked))
        await until(lambda: "asked" in desk.store.journal[-1:])

        await SqlStore.commit(desk.store, ports.Change(audit=(), request=confirmed))
        gate.set()

        assert (await asking_for_it).superseded_id == first.id
        assert (await desk.now(first.id)).version == confirmed.version + 1

    async def test_what_held_nothing_a_moment_ago_gives_way_all_the_same(self, desk: Desk) -> None:
        asked, gate = desk.typed(BURNS), asyncio.Event()
        await desk.store.record([asked])
        desk.store.before["commit"].append(gate)
        asking_for_it = asyncio.create_task(desk.service.take(asked))
        await until(lambda: "asked" in desk.store.journal[-1:])
        pending = await desk.opened("stop flow-1", BOB)
        gate.set()

        assert (await asking_for_it).superseded_id == pending.id
        assert (await desk.now(pending.id)).state is State.SUPERSEDED

    @pytest.mark.parametrize("typed", ["flow-1", "main-feed"])
    async def test_where_the_flow_cannot_be_read_the_names_tell_which_is_meant(self, desk: Desk, typed: str) -> None:
        desk.cloud.will("flow", GONE)

        opened = await desk.opened(f"stop {typed} --emergency because it burns")

        assert opened.flow == records.Flow(flow_id="flow-1", name="main-feed", region="ap-southeast-3", status="")

    async def test_where_nothing_can_be_read_what_was_typed_is_the_id(self, desk: Desk) -> None:
        desk.cloud.will("flow", GONE)
        desk.cloud.will("flows", GONE)

        opened = await desk.opened(BURNS)

        assert opened.flow == records.Flow(flow_id="flow-1", name="", region="ap-southeast-3", status="")
        assert opened.flow.called == "flow-1"

    async def test_a_deny_by_name_holds_where_the_name_cannot_be_read(self, desk: Desk) -> None:
        deny = '\n[[rules]]\nname = "never"\neffect = "deny"\nverbs = ["stop"]\nwho = ["*"]\nflows = ["main-*"]\n'
        desk.policy = policy_of(EMERGENCY + deny)
        desk.cloud.will("flow", GONE)
        desk.cloud.will("flows", GONE)

        told = await answer(desk, BURNS)

        assert isinstance(told, answers.Refused)
        assert (told.decision.why, told.decision.rule) == (Why.DENY_RULE, "never")

    async def test_what_is_not_there_opens_nothing(self, desk: Desk) -> None:
        assert isinstance(await answer(desk, "stop nowhere --emergency because x"), answers.NoSuchFlow)
