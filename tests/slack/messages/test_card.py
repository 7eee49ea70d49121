"""The card, in every state of a request."""

import dataclasses
from typing import Final

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.commands.deliveries import Button
from bot.lifecycle import records
from bot.lifecycle.records import Flow, OutcomeKind, Part, Request
from bot.lifecycle.states import Progress, State
from bot.slack import messages
from bot.slack.messages import Message, headline

from . import examples, limits

every_card = pytest.mark.parametrize("name", examples.CARDS, ids=examples.slug)


def show(seen: Request) -> Message:
    return messages.card(seen, workspace_url=examples.WORKSPACE)


def buttons(message: Message) -> list[dict[str, object]]:
    rows = [block["elements"] for block in message.blocks if block["type"] == "actions"]
    return [button for row in rows if isinstance(row, list) for button in row]


@every_card
def test_a_card_reads_as_it_should(name: str, snapshot: SnapshotAssertion) -> None:
    message = show(examples.CARDS[name])
    assert dataclasses.asdict(message) == snapshot


@every_card
def test_a_card_keeps_within_slacks_limits(name: str) -> None:
    message = show(examples.CARDS[name])
    assert limits.problems(message) == []
    assert limits.foreign(message) == []


def test_every_state_progress_and_outcome_has_a_card() -> None:
    cards = examples.CARDS.values()
    assert {seen.state for seen in cards} == set(State)
    assert {seen.operation.progress for seen in cards} == set(Progress)
    assert {seen.operation.outcome.how for seen in cards if seen.operation.outcome} == set(OutcomeKind)


def test_the_first_line_is_the_decision() -> None:
    message = show(examples.PENDING)
    assert message.blocks[0]["text"] == {
        "type": "mrkdwn",
        "text": "*Stop `main-feed` (…1b2d) in hk: ACTIVE, 3 outputs*",
        "verbatim": True,
    }


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("pending one approval", [Button.APPROVE, Button.DENY, Button.WITHDRAW]),
        ("pending first of two", [Button.APPROVE, Button.DENY, Button.WITHDRAW]),
        ("pending confirmation", [Button.CONFIRM, Button.WITHDRAW]),
        ("approved", [Button.WITHDRAW]),
        ("approved held up", [Button.WITHDRAW]),
        ("confirmed", [Button.WITHDRAW]),
        ("running", []),
        ("running to be repeated", []),
        ("lost", [Button.CHECK_NOW]),
        ("lost for good", []),
        ("refused", [Button.ASK_AGAIN]),
        ("undone", [Button.ASK_AGAIN]),
        ("expired unapproved", [Button.ASK_AGAIN]),
        ("expired unbegun", [Button.ASK_AGAIN]),
        ("denied", []),
        ("stopped", []),
        ("emergency", [Button.EMERGENCY_FIRST, Button.DENY, Button.WITHDRAW]),
        ("emergency pressed", [Button.EMERGENCY_CONFIRM, Button.DENY, Button.WITHDRAW]),
        ("emergency for a second", [Button.EMERGENCY_CONFIRM, Button.DENY, Button.WITHDRAW]),
        ("emergency confirmed", [Button.WITHDRAW]),
        ("emergency stopped", [Button.REVIEW]),
        ("emergency refused", [Button.ASK_AGAIN, Button.REVIEW]),
        ("emergency lost", [Button.CHECK_NOW, Button.REVIEW]),
        ("emergency justified", []),
    ],
)
def test_a_card_offers_what_its_state_allows(name: str, actions: list[Button]) -> None:
    assert [button["action_id"] for button in buttons(show(examples.CARDS[name]))] == actions


@every_card
def test_the_buttons_go_once_nothing_can_be_decided(name: str) -> None:
    seen = examples.CARDS[name]
    shown = {str(button["action_id"]) for button in buttons(show(seen))}
    assert bool(shown - {Button.CHECK_NOW, Button.ASK_AGAIN, Button.REVIEW}) is records.can_withdraw(seen)
    assert (Button.CHECK_NOW in shown) is records.is_read_back(seen)
    assert (Button.ASK_AGAIN in shown) is records.may_be_asked_again(seen)
    assert (Button.REVIEW in shown) is records.is_review_open(seen)


@every_card
def test_a_button_carries_the_request_id_and_nothing_else(name: str) -> None:
    assert {button["value"] for button in buttons(show(examples.CARDS[name]))} <= {"req-1"}


@pytest.mark.parametrize("name", ["pending one approval", "pending confirmation"])
def test_deciding_on_a_stop_is_dangerous_and_its_dialog_repeats_the_first_line(name: str) -> None:
    decide, *others = buttons(show(examples.CARDS[name]))
    dialog = decide["confirm"]
    assert isinstance(dialog, dict)
    assert (decide["style"], dialog["style"]) == ("danger", "danger")
    assert dialog["text"]["text"] == "Stop `main-feed` (…1b2d) in hk: ACTIVE, 3 outputs"
    assert not any("style" in other or "confirm" in other for other in others)


def test_every_version_has_block_ids_of_its_own() -> None:
    first, second = (
        {block["block_id"] for block in show(dataclasses.replace(examples.PENDING, version=version)).blocks}
        for version in (1, 2)
    )
    assert len(first) == 5
    assert first.isdisjoint(second)


def lines(message: Message) -> tuple[str, str]:
    """Return the first line of a card and its state line, as shown."""
    first, below, *_ = (text for text in limits.read(message).split("\n") if text)
    return first.strip("*"), below


OPEN: Final = [name for name, seen in examples.CARDS.items() if records.is_open(seen)]


@every_card
def test_a_card_says_its_point_without_blocks(name: str) -> None:
    seen = examples.CARDS[name]
    message = show(seen)
    first, _ = lines(message)
    assert first == headline.headline(seen)
    assert message.text.startswith(f"{first}. ")
    assert f"`{seen.flow.called}` (…1b2d) in hk" in first


@pytest.mark.parametrize("name", OPEN)
def test_an_open_card_leads_with_the_decision_and_says_its_state_without_blocks(name: str) -> None:
    seen = examples.CARDS[name]
    message = show(seen)
    first, below = lines(message)
    assert f"{seen.verb.capitalize()} `{seen.flow.called}` (…1b2d) in hk: {seen.flow.status}" in first
    assert f". {below.split('*')[1]}" in message.text


@pytest.mark.parametrize("name", ["refused", "denied", "expired unapproved", "stopped"])
def test_a_settled_card_keeps_its_facts_and_is_shorter_than_before(name: str) -> None:
    settled, before = limits.read(show(examples.CARDS[name])), limits.read(show(examples.approved()))
    facts = (examples.FLOW.flow_id, "ap-southeast-3", "1 source, 3 outputs", "<@U0ALICE>", examples.ONE.rule)
    assert [fact for fact in (*facts, "encoder loops") if fact not in settled] == []
    assert len(settled) < len(before)
    assert "channels" in before


@pytest.mark.parametrize(
    "name", [name for name in examples.CARDS if name.startswith("pending") and "first" not in name]
)
def test_a_new_card_pings_nobody_but_its_requester(name: str) -> None:
    assert limits.pings(show(examples.CARDS[name])) == {"@U0ALICE"}


@pytest.mark.parametrize("name", [name for name in examples.CARDS if name.startswith("expired")])
def test_an_expired_request_is_never_shown_as_denied(name: str) -> None:
    shown = limits.read(show(examples.CARDS[name])).lower()
    assert "expired" in shown
    assert "denied" not in shown


@pytest.mark.parametrize("name", examples.CARDS)
def test_only_a_card_whose_flow_the_cloud_calls_standby_shows_standby(name: str) -> None:
    seen = examples.CARDS[name]
    succeeded = seen.operation.progress is Progress.SUCCEEDED and not seen.dry_run
    assert ("STANDBY" in limits.read(show(seen))) is (succeeded or seen.flow.status == "STANDBY")


def test_a_dry_run_is_marked_on_the_card_in_its_text_and_in_the_dialog() -> None:
    message = show(examples.DRY)
    marked = [text for text in limits.texts(message) if "Dry run: Stop" in text]
    assert len(marked) == 3


@pytest.mark.parametrize("name", [name for name in examples.CARDS if name.startswith("emergency")])
def test_an_emergency_is_marked_on_its_card_whom_it_skips_is_named_and_it_pings_no_approver(name: str) -> None:
    seen = examples.CARDS[name]
    message = show(seen)
    assert message.text.startswith("Dry run: EMERGENCY: " if seen.dry_run else "EMERGENCY: ")
    assert ("skips the approval of `media-leads`, " in limits.read(message)) is (seen != examples.NOBODYS)
    if name != "emergency over nobody":
        assert "announced in <#C0HOME> too" in limits.read(message)


@pytest.mark.parametrize(
    ("name", "label"), [("emergency", "Emergency Stop"), ("emergency pressed", "Confirm Emergency Stop")]
)
def test_each_press_of_an_emergency_is_dangerous_and_its_dialog_says_what_it_does(name: str, label: str) -> None:
    press, *others = buttons(show(examples.CARDS[name]))
    dialog = press["confirm"]
    assert isinstance(dialog, dict)
    assert (press["style"], dialog["style"], dialog["confirm"]["text"]) == ("danger", "danger", label)
    assert press["text"] == {"type": "plain_text", "text": label, "emoji": False}
    line, over = dialog["text"]["text"].split("\n")
    assert line == "EMERGENCY: Stop `main-feed` (…1b2d) in hk: ACTIVE, 3 outputs"
    assert over == "Skips the approval of: media-leads, U0ERIN and S0NOC"
    assert not any("style" in other or "confirm" in other for other in others)


def test_a_dialog_never_outgrows_slacks_limit() -> None:
    crowd = tuple(f"a-set-with-quite-a-long-name-{number}" for number in range(40))
    flow = dataclasses.replace(examples.FLOW, name="&" * 64, status="<" * 64, flow_id="&&&&")
    seen = dataclasses.replace(examples.urgent(passed_over=crowd), flow=flow, project="p" * 64, dry_run=True)
    assert limits.problems(show(seen)) == []


def test_a_card_says_how_its_review_stands() -> None:
    assert "Review: open; `media-leads`, " in show(examples.CARDS["emergency stopped"]).text
    justified = show(examples.CARDS["emergency justified"])
    assert "Review: justified, says <@U0CAROL>" in justified.text
    assert "Comment: “the encoder was on fire”" in limits.read(justified)
    assert "Review: not justified, says <@U0CAROL>" in show(examples.CARDS["emergency not justified"]).text
    dry = dataclasses.replace(examples.CARDS["emergency stopped"], dry_run=True)
    assert "Review" not in limits.read(show(dry))


def test_outputs_in_trouble_are_named_before_the_healthy_ones() -> None:
    shown = limits.read(show(examples.CARDS["pending many outputs"]))
    assert "10 outputs: `out-4` srt-caller DISCONNECTED, `out-7` srt-caller DISCONNECTED, `out-0`" in shown
    assert "and 7 more CONNECTED" in shown


def test_the_health_of_the_outputs_that_are_not_named_is_summed_up() -> None:
    troubled = tuple(Part(name=f"out-{number}", health="DISCONNECTED" if number % 2 else "") for number in range(10))
    seen = dataclasses.replace(examples.PENDING, flow=dataclasses.replace(examples.MANY, outputs=troubled))
    assert "and 7 more (4 DISCONNECTED, 3 unknown)" in limits.read(show(seen))


def test_outputs_whose_health_the_cloud_does_not_tell_are_summed_up_without_it() -> None:
    silent = tuple(dataclasses.replace(part, protocol="", health="") for part in examples.MANY.outputs)
    seen = dataclasses.replace(examples.PENDING, flow=dataclasses.replace(examples.MANY, outputs=silent))
    assert "10 outputs: `out-0`, `out-1`, `out-2` and 7 more\n" in limits.read(show(seen))


def test_a_flow_of_which_only_the_id_is_known_still_has_a_card() -> None:
    bare = Flow(flow_id="abc", name="", region="", status="")
    message = show(dataclasses.replace(examples.PENDING, flow=bare))
    assert "Stop `abc` (…abc) in hk: its state could not be read. " in message.text
    assert "output" not in limits.read(message).replace("Sources and outputs could not be read", "")
    assert limits.problems(message) == []


def test_an_operation_that_was_cancelled_claims_no_outcome() -> None:
    cancelled = dataclasses.replace(examples.approved().operation, progress=Progress.CANCELLED)
    shown = show(dataclasses.replace(examples.approved(), operation=cancelled)).text
    assert "ended without a call. The flow was not touched. Approved by <@U0CAROL>" in shown


def test_a_vote_of_the_requester_is_not_shown_as_counting() -> None:
    own = records.Vote(actor=examples.ALICE, at=examples.AT)
    assert "0 of 1 — waiting for `media-leads`. " in show(dataclasses.replace(examples.PENDING, votes=(own,))).text


def test_without_the_workspaces_address_a_person_stands_as_a_plain_id() -> None:
    message = messages.card(examples.CARDS["pending after a recent deny"], workspace_url="")
    assert "denied in the last hour, by `U0DAVE`" in limits.read(message)


def test_the_outline_has_what_the_card_says_and_no_buttons() -> None:
    assert messages.outline(examples.CARDS["pending for the host"]).splitlines() == [
        "Stop `main-feed` (…1b2d) in hk: ACTIVE, 3 outputs. Approvals: 0 of 1 — waiting for `media-leads`. "
        "Expires at <!date^1770001800^{time}|2026-02-02 03:10 UTC>",
        "Requested by <@U0ALICE> · rule “on-call stops, a lead approves”",
        "To be approved on the host only: `flowbot operations approve req-1`",
        "Reason: “encoder loops since 02:50, viewers see a frozen picture”",
    ]
