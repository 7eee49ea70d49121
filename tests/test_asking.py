"""How a request is opened, or why it is not: every answer, and what is on disk after it."""

import asyncio
import dataclasses
import pathlib
from collections.abc import AsyncIterator

import pytest

from bot import answers, asking, errors, policy, ports
from bot.arrivals import Typed
from bot.commands import Door, Verb
from bot.errors import CloudFailure, Fault
from bot.policy import Why
from bot.request import Said
from tests.fakes import ALICE, CAROL, DAVE, POLICY, STANDING, Desk, open_desk, policy_of

SECOND = """\
[projects.sg]
project_id = "fedcba9876543210fedcba9876543210"
region     = "ap-southeast-3"
endpoint   = "http://127.0.0.1:9"
channels   = ["C0SG"]

"""
REASON = POLICY.replace('verbs     = ["stop"]\n', 'verbs     = ["stop"]\nreason = "required"\n')


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk."""
    async with open_desk(tmp_path) as opened:
        yield opened


def audited(desk: Desk) -> list[str]:
    """Return what the audit tells of."""
    return [what for (what,) in desk.select("SELECT what FROM audit ORDER BY id")]


async def answer(desk: Desk, text: str = "stop main-feed", channel: str = "C0INCIDENT") -> answers.Answer:
    """Type something that opens nothing, and return the answer."""
    taken = await desk.take(desk.typed(text, channel=channel))
    assert taken.request_id is None
    assert taken.answer is not None
    return taken.answer


async def test_a_request_opens_with_its_lock_and_its_audit_in_one_change(desk: Desk) -> None:
    opened = await desk.opened("stop main-feed because it loops")

    assert (opened.reason, opened.version, opened.card.channel) == ("it loops", 1, "C0INCIDENT")
    assert [reply.said for reply in opened.unsent] == [Said.ASKED]
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
    assert [reply.said for reply in opened.unsent] == [Said.ASKED, Said.LINKED]


async def test_a_recent_denial_stands_on_the_new_card(desk: Desk) -> None:
    first = await desk.opened()
    await desk.take(desk.click("deny", DAVE, first.id))
    desk.clock.turn(asking.DENIED_LATELY - 1)
    assert (await desk.opened()).recently_denied_by == DAVE


async def test_an_old_denial_is_forgotten(desk: Desk) -> None:
    first = await desk.opened()
    await desk.take(desk.click("deny", DAVE, first.id))
    desk.clock.turn(asking.DENIED_LATELY + 1)
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


@pytest.mark.parametrize("kind", sorted(set(policy.Kind) - {policy.Kind.MEMBER}))
async def test_who_is_no_full_member_learns_nothing_of_the_flow(desk: Desk, kind: policy.Kind) -> None:
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
    assert asking.card_link(opened).thread == thread


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
