"""The modals, and the errors for submissions that cannot be accepted."""

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.commands.deliveries import Modal, Verdict
from bot.commands.grammar import MAX_REASON, UsageProblem
from bot.commands.verbs import Verb
from bot.playground.slack import blocks as block_kit
from bot.slack.messages import modals

from . import examples, limits

VIEWS = {
    "deny reason": modals.deny_reason("req-1", "main-feed"),
    "add reason alone": modals.add_reason("entry-1"),
    "add reason": modals.add_reason("entry-1", Verb.STOP, "main-feed"),
    "type name": modals.type_name("entry-1", reason_too=False),
    "type name and reason": modals.type_name("entry-1", reason_too=True),
    "review": modals.review("req-1", Verb.STOP, "main-feed"),
}


@pytest.mark.parametrize("name", VIEWS, ids=examples.slug)
def test_a_modal_reads_as_it_should(name: str, snapshot: SnapshotAssertion) -> None:
    assert VIEWS[name] == snapshot


@pytest.mark.parametrize("name", VIEWS)
def test_a_modal_keeps_within_slacks_limits(name: str) -> None:
    assert block_kit.view_problems(VIEWS[name]) == []


@pytest.mark.parametrize(
    ("name", "carried"), [(name, "req-1" if name in ("deny reason", "review") else "entry-1") for name in VIEWS]
)
def test_a_modal_carries_an_id_and_nothing_else(name: str, carried: str) -> None:
    assert VIEWS[name]["private_metadata"] == carried


@pytest.mark.parametrize(
    ("name", "optional"), [("deny reason", True), ("add reason", False), ("type name and reason", False)]
)
def test_only_a_denier_may_leave_the_reason_out(name: str, optional: bool) -> None:
    blocks = VIEWS[name]["blocks"]
    assert isinstance(blocks, list)
    field = blocks[-1]
    assert field["optional"] is optional
    assert (field["block_id"], field["element"]["action_id"]) == (modals.REASON_BLOCK, modals.REASON_ACTION)


@pytest.mark.parametrize(("name", "asked"), [("type name", ["name"]), ("type name and reason", ["name", "reason"])])
def test_one_modal_asks_for_all_that_is_missing(name: str, asked: list[str]) -> None:
    blocks = VIEWS[name]["blocks"]
    assert isinstance(blocks, list)
    assert [field["block_id"] for field in blocks if field["type"] == "input"] == asked
    assert not any(field.get("optional") for field in blocks)


def test_a_review_asks_for_a_verdict_and_takes_a_comment() -> None:
    blocks = VIEWS["review"]["blocks"]
    assert isinstance(blocks, list)
    _, choice, comment = blocks
    assert (choice["block_id"], choice["optional"]) == (modals.VERDICT_BLOCK, False)
    assert [option["value"] for option in choice["element"]["options"]] == list(Verdict)
    assert (comment["block_id"], comment["optional"]) == (modals.REASON_BLOCK, True)
    assert set(modals.verdict_missing()) == {modals.VERDICT_BLOCK}


@pytest.mark.parametrize("problem", UsageProblem)
def test_an_error_stands_at_the_reason(problem: UsageProblem) -> None:
    assert set(modals.reason_wrong(problem)) == {modals.REASON_BLOCK}


def test_a_reason_that_cannot_be_taken_is_told_why() -> None:
    assert modals.reason_wrong(UsageProblem.REASON_TOO_LONG) == {
        "reason": f"Please keep the reason within {MAX_REASON} characters."
    }
    assert "write one" in modals.reason_wrong(UsageProblem.EMPTY_REASON)["reason"]
    assert "--dry-run" in modals.reason_wrong(UsageProblem.OPTION_IN_REASON)["reason"]


@pytest.mark.parametrize("modal", Modal)
def test_a_submission_that_was_not_recorded_says_so_and_one_that_may_have_been_does_not(modal: Modal) -> None:
    first = "name" if modal is Modal.TYPE_NAME else "reason"
    assert "Nothing was recorded" in modals.not_recorded(modal)[first]
    assert "Nothing was recorded" not in modals.unconfirmed(modal)[first]


def test_a_hostile_name_stays_inside_the_modal() -> None:
    name = "`<!channel>" * 500
    for view in (modals.deny_reason("req-1", name), modals.review("req-1", Verb.STOP, name)):
        assert block_kit.view_problems(view) == []
        assert limits.foreign(view) == []
