"""Answers to one person."""

import dataclasses
import typing

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.commands.deliveries import Button
from bot.lifecycle.states import Progress, State
from bot.policy.model import Why
from bot.slack import messages
from bot.slack.messages import Message
from bot.usecases import answers

from . import examples, limits

every_answer = pytest.mark.parametrize("name", examples.ANSWERS, ids=examples.slug)


def show(value: answers.AnyAnswer) -> Message:
    return messages.answer(value, workspace_url=examples.WORKSPACE)


@every_answer
def test_an_answer_reads_as_it_should(name: str, snapshot: SnapshotAssertion) -> None:
    assert dataclasses.asdict(show(examples.ANSWERS[name])) == snapshot


@every_answer
def test_an_answer_keeps_within_slacks_limits(name: str) -> None:
    message = show(examples.ANSWERS[name])
    assert limits.problems(message) == []
    assert limits.foreign(message) == []


def test_every_kind_of_answer_and_every_reason_of_a_refusal_has_its_words() -> None:
    kinds = typing.get_args(typing.get_args(answers.AnyAnswer)[0])
    assert {type(value) for value in examples.ANSWERS.values()} == set(kinds)
    assert {value.decision.why for value in examples.REFUSALS.values()} == set(Why)
    settled = [value for value in examples.ANSWERS.values() if isinstance(value, answers.Settled)]
    assert {value.state for value in settled} == set(State)
    assert {value.progress for value in settled} == set(Progress)


@pytest.mark.parametrize("name", [name for name, value in examples.REFUSALS.items() if value.decision.rule])
def test_a_refusal_names_its_rule_and_who_could_do_it_instead(name: str) -> None:
    decision = examples.REFUSALS[name].decision
    text = show(examples.REFUSALS[name]).text
    assert f"rule “{decision.rule}”" in text.replace("Rule", "rule")
    assert all(entry in text for entry in decision.who_could)


@pytest.mark.parametrize("name", ["outsider", "unreachable person"])
def test_whoever_may_be_an_outsider_learns_neither_rule_nor_names(name: str) -> None:
    known = dataclasses.replace(
        examples.REFUSALS[name].decision, rule="on-call stops, a lead approves", who_could=("media-leads",)
    )
    text = show(dataclasses.replace(examples.REFUSALS[name], decision=known)).text
    assert "on-call" not in text
    assert "media-leads" not in text
    assert "main-feed" not in text


def test_where_slack_could_not_be_asked_the_answer_is_no_and_says_so() -> None:
    for name in ("unreachable person", "unreachable group", "unreachable at the click"):
        text = show(examples.REFUSALS[name]).text
        assert text.startswith("I could not ask Slack")
        assert "so the answer is no" in text


def test_a_missing_reason_can_be_added_by_a_button_or_typed() -> None:
    message = show(examples.ANSWERS["reason missing"])
    button = message.blocks[-1]["elements"]
    assert isinstance(button, list)
    assert (button[0]["action_id"], button[0]["value"]) == (Button.ADD_REASON, "entry-1")
    assert "`/flow stop main-feed because …`" in message.text


@pytest.mark.parametrize(
    ("name", "block_id"), [("name missing", None), ("name wrong", None), ("name and reason missing", "name_and_reason")]
)
def test_a_missing_name_is_typed_behind_a_button_that_tells_whether_a_reason_is_missing_too(
    name: str, block_id: str | None
) -> None:
    row = show(examples.ANSWERS[name]).blocks[-1]
    button = row["elements"]
    assert isinstance(button, list)
    assert (button[0]["action_id"], button[0]["value"]) == (Button.TYPE_NAME, "entry-1")
    assert row.get("block_id") == block_id


def test_a_wrong_name_is_told_with_what_was_typed_and_that_nothing_opened() -> None:
    text = show(examples.ANSWERS["name wrong"]).text
    assert "`premium-2`" in text
    assert "nothing was opened" in text


@pytest.mark.parametrize("name", ["opened", "joined", "blocked", "settled denied"])
def test_an_answer_about_a_card_links_it(name: str) -> None:
    text = show(examples.ANSWERS[name]).text
    assert "<https://acme.slack.com/archives/C0INCIDENT/p1770000001000100|its card>" in text


@pytest.mark.parametrize("workspace_url", ["", "javascript:alert(1)", "https://acme.slack.com/|x>"])
def test_a_card_without_an_address_is_named_by_its_channel(workspace_url: str) -> None:
    text = messages.answer(examples.ANSWERS["opened"], workspace_url=workspace_url).text
    assert text.endswith("is open: its card in <#C0INCIDENT>.")


def test_near_misses_are_offered() -> None:
    text = show(examples.ANSWERS["no such flow but near"]).text
    assert "did you mean" in text.lower()
    assert "`main-feed-b`" in text


def test_a_channel_without_the_bot_is_answered_with_how_to_invite_it() -> None:
    assert "`/invite @flowbot`" in show(examples.ANSWERS["cannot post"]).text
    assert "/invite" not in show(examples.ANSWERS["cannot post archived"]).text


def test_a_late_click_learns_what_the_request_is_now() -> None:
    text = show(examples.ANSWERS["settled denied"]).text
    assert "denied by <@U0CAROL>" in text


def test_the_second_press_says_for_how_long_to_wait_and_who_else_is_needed() -> None:
    assert "press again in 2 seconds" in show(examples.ANSWERS["too soon"]).text
    soon = show(examples.ANSWERS["too soon by a second"]).text
    assert soon.startswith("Dry run: EMERGENCY: ")
    assert "press again in 1 second." in soon
    second = show(examples.ANSWERS["second needed"]).text
    assert "another of `media-leads`: <@U0CAROL> or <@U0DAVE>" in second
    assert "must come from another of <@U0CAROL>." in show(examples.ANSWERS["second needed of one"]).text
