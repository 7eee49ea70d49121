"""The replies in the card's thread."""

import dataclasses
from typing import Final

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.commands.verbs import Verb
from bot.lifecycle.cloud_failure import Fault
from bot.lifecycle.records import Outcome, OutcomeKind, Reply, ReplyKind, Request
from bot.lifecycle.states import Event
from bot.slack import messages
from bot.slack.messages import Message, outcomes

from . import examples, limits

every_reply = pytest.mark.parametrize("name", examples.REPLIES, ids=examples.slug)
OUTCOMES: Final = [name for name in examples.REPLIES if name.startswith("outcome")]


def show(pair: tuple[Request, Reply]) -> Message:
    return messages.reply(*pair, workspace_url=examples.WORKSPACE)


@every_reply
def test_a_reply_reads_as_it_should(name: str, snapshot: SnapshotAssertion) -> None:
    assert dataclasses.asdict(show(examples.REPLIES[name])) == snapshot


@every_reply
def test_a_reply_keeps_within_slacks_limits(name: str) -> None:
    message = show(examples.REPLIES[name])
    assert limits.problems(message) == []
    assert limits.foreign(message) == []


def test_everything_that_can_be_said_and_every_outcome_and_fault_has_a_reply() -> None:
    pairs = examples.REPLIES.values()
    found = [seen.operation.outcome for seen, _ in pairs if seen.operation.outcome]
    assert {reply.said for _, reply in pairs} == set(ReplyKind)
    assert {outcome.how for outcome in found} == set(OutcomeKind)
    assert {outcome.failure.fault for outcome in found if outcome.failure} == set(Fault)


def test_the_first_reply_mentions_the_approvers() -> None:
    assert limits.pings(show(examples.REPLIES["asked of two"])) == {
        "@U0CAROL",
        "@U0DAVE",
        "!subteam^S0NOC",
        "@U0ALICE",
    }


def test_no_more_than_ten_are_mentioned() -> None:
    crowd = dataclasses.replace(examples.ONE, mentions=tuple(f"U{number}" for number in range(30)))
    message = show((examples.needing(crowd), examples.REPLIES["asked"][1]))
    assert len(limits.pings(message) - {"@U0ALICE"}) == 10


@pytest.mark.parametrize("name", OUTCOMES)
def test_an_outcome_mentions_the_requester(name: str) -> None:
    assert "<@U0ALICE>" in show(examples.REPLIES[name]).text


@pytest.mark.parametrize("name", ["stopped", "already", "confirmed standby"])
def test_a_success_says_the_clouds_word(name: str) -> None:
    assert "STANDBY" in show(examples.REPLIES[f"outcome {name}"]).text


@pytest.mark.parametrize("name", [name for name in OUTCOMES if "refused" in name or "lost" in name or "active" in name])
def test_what_did_not_succeed_is_broadcast_and_never_says_standby(name: str) -> None:
    assert messages.broadcast(*examples.REPLIES[name])
    assert "STANDBY" not in show(examples.REPLIES[name]).text


@pytest.mark.parametrize("name", ["changed again", "given up"])
def test_what_did_not_last_and_what_stays_unknown_is_broadcast(name: str) -> None:
    assert messages.broadcast(*examples.REPLIES[name])
    assert "<@U0ALICE>" in show(examples.REPLIES[name]).text


WIDE: Final = (
    *(name for name in OUTCOMES if name != "outcome emergency"),
    *(
        "changed again",
        "given up",
        "emergency",
        "emergency over nobody",
        "emergency dry run",
        "emergency over the limit",
    ),
)


@pytest.mark.parametrize("name", [name for name in examples.REPLIES if name not in WIDE])
def test_what_is_no_outcome_stays_in_the_thread(name: str) -> None:
    assert not messages.broadcast(*examples.REPLIES[name])


@pytest.mark.parametrize("name", ["emergency", "announced"])
def test_an_emergency_mentions_those_passed_over_and_names_the_sets(name: str) -> None:
    message = show(examples.REPLIES[name])
    assert limits.pings(message) == {"@U0CAROL", "@U0DAVE", "!subteam^S0NOC", "@U0ALICE"}
    assert "skips the approval of `media-leads`" in message.text
    assert "Reason: “encoder loops" in message.text


def test_an_emergency_is_shown_in_its_channel_and_its_announcement_is_a_message_of_its_own() -> None:
    assert messages.broadcast(*examples.REPLIES["emergency"])
    assert not messages.broadcast(*examples.REPLIES["announced"])


def test_an_announcement_of_a_private_channels_card_has_neither_reason_nor_link() -> None:
    shown = limits.read(show(examples.REPLIES["announced of a private channel"]))
    assert "encoder" not in shown
    assert "archives" not in shown
    assert "archives" in limits.read(show(examples.REPLIES["announced"]))


def test_nobody_who_pressed_is_asked_for_the_review() -> None:
    assert "@U0DAVE" in limits.pings(show(examples.REPLIES["review open"]))
    assert "@U0DAVE" not in limits.pings(show(examples.REPLIES["review open after a second"]))


def test_every_reply_to_an_emergency_says_so() -> None:
    for seen, reply in examples.REPLIES.values():
        text = show((seen, reply)).text.removeprefix("Dry run: ")
        assert text.startswith("EMERGENCY: ") is (seen.emergency is not None)


def test_what_is_said_of_an_emergency_is_not_made_up() -> None:
    for said in (ReplyKind.EMERGENCY, ReplyKind.REVIEWED):
        with pytest.raises(ValueError, match="req-1"):
            show((examples.PENDING, Reply(seq=1, said=said, at=examples.AT)))
    with pytest.raises(ValueError, match="req-1"):
        show((examples.URGENT, Reply(seq=1, said=ReplyKind.REVIEWED, at=examples.AT)))


def test_a_success_stays_in_the_thread() -> None:
    assert not messages.broadcast(*examples.REPLIES["outcome stopped"])


@pytest.mark.parametrize("name", examples.FAILURES)
def test_a_failure_is_told_as_the_cloud_told_it(name: str) -> None:
    failure = examples.FAILURES[name]
    text = show(examples.REPLIES[f"outcome refused {name}"]).text
    assert all(words in text for words in (failure.code, failure.message, failure.request_id) if words)


def test_a_missing_right_is_named_by_its_action() -> None:
    assert "`live:ott:updateFlowStatusStop`" in show(examples.REPLIES["outcome refused no right"]).text
    advice = outcomes.advice(examples.NO_RIGHT, verb=Verb.START, again="it")
    assert "`live:ott:updateFlowStatusStart`" in advice
    assert "`live:ott:getFlowDetail`" in outcomes.advice(examples.NO_RIGHT, verb=None, again="it")


@pytest.mark.parametrize("name", ["bad key", "locked key", "clock wrong"])
def test_a_bad_key_is_not_to_be_tried_again(name: str) -> None:
    assert "not retry" in show(examples.REPLIES[f"outcome refused {name}"]).text


def test_when_nobody_knows_the_reply_says_unknown_and_that_the_cloud_is_still_asked() -> None:
    text = show(examples.REPLIES["outcome lost"]).text
    assert "unknown" in text
    assert "No further call is made. I keep checking" in text
    assert "“Check Now” checks at once" in text


def test_when_nobody_will_know_the_reply_says_so_and_what_is_safe() -> None:
    text = show(examples.REPLIES["given up"]).text
    assert "it stays unknown" in text
    assert f"`/flow stop {examples.FLOW.flow_id}` again is safe" in text


def test_the_first_reply_calls_nobody_once_the_request_is_decided() -> None:
    assert limits.pings(show(examples.REPLIES["asked and decided"])) == {"@U0ALICE"}


def test_a_refusal_without_the_clouds_words_still_says_what_to_do() -> None:
    text = show(examples.told(examples.finished(OutcomeKind.REFUSED))).text
    assert "Check the flow in the Huawei Cloud console" in text


def test_the_wanted_word_of_a_start_is_active() -> None:
    assert "is now ACTIVE" in show(examples.told(examples.finished(OutcomeKind.DONE, seen=examples.STARTING))).text
    lost = show(examples.told(examples.finished(OutcomeKind.LOST, seen=examples.STARTING))).text
    assert "was started" in lost


def test_every_reply_of_a_dry_run_says_so() -> None:
    for seen, reply in examples.REPLIES.values():
        assert show((dataclasses.replace(seen, dry_run=True), reply)).text.startswith("Dry run: ")


def test_an_outcome_that_is_not_there_is_not_made_up() -> None:
    reply = Reply(seq=1, said=ReplyKind.OUTCOME, at=examples.AT)
    with pytest.raises(ValueError, match="req-1"):
        show((examples.PENDING, reply))
    with pytest.raises(ValueError, match="req-1"):
        outcomes.what_to_do(examples.PENDING)


def test_a_reply_whose_actor_is_not_known_says_somebody() -> None:
    seen, reply = examples.REPLIES["voted complete"]
    assert show((seen, dataclasses.replace(reply, actor=None))).text.startswith("Somebody approved")


def test_a_withdrawal_without_a_code_is_flowbots_own() -> None:
    seen = examples.ended(Event.WITHDRAW, ReplyKind.WITHDRAWN)
    assert "flowbot withdrew" in show(examples.told(seen)).text


def test_an_outcome_keeps_the_status_word_of_the_cloud() -> None:
    seen = examples.finished(OutcomeKind.NOT_DONE)
    odd = dataclasses.replace(
        seen,
        operation=dataclasses.replace(seen.operation, outcome=Outcome(how=OutcomeKind.NOT_DONE, status="DRAINING")),
    )
    assert "accepted, still DRAINING" in show(examples.told(odd)).text
