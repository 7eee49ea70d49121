"""What every message says about an emergency."""

import pytest

from bot.commands.deliveries import Button, Verdict
from bot.commands.verbs import Verb
from bot.slack.messages import emergencies

from . import examples


@pytest.mark.parametrize(
    ("dry_run", "emergency", "mark"),
    [
        (False, False, ""),
        (True, False, "Dry run: "),
        (False, True, "EMERGENCY: "),
        (True, True, "Dry run: EMERGENCY: "),
    ],
)
def test_dry_runs_and_emergencies_are_marked(dry_run: bool, emergency: bool, mark: str) -> None:
    assert emergencies.mark(dry_run=dry_run, emergency=emergency) == mark


def test_each_button_says_what_it_does() -> None:
    assert emergencies.label(Button.EMERGENCY_FIRST, Verb.START) == "Emergency Start"
    assert emergencies.label(Button.EMERGENCY_CONFIRM, Verb.STOP) == "Confirm Emergency Stop"


def test_who_asked_and_who_pressed_are_not_called_for_the_review() -> None:
    assert emergencies.concerned(examples.URGENT) == ("U0CAROL", "U0DAVE", "S0NOC")
    assert emergencies.concerned(examples.used(by=examples.DAVE)) == ("U0CAROL", "S0NOC")


def test_where_no_approval_is_skipped_the_other_members_may_deny() -> None:
    emergency = examples.NOBODYS.emergency
    assert emergency is not None
    assert "no approval is skipped" in emergencies.passed_over(emergency, workspace_url=examples.WORKSPACE)
    assert emergencies.against(emergency, workspace_url=examples.WORKSPACE) == "`media-leads`"


@pytest.mark.parametrize("name", ["pending one approval", "emergency", "emergency confirmed", "emergency denied"])
def test_an_unused_emergency_has_no_review(name: str) -> None:
    assert emergencies.review(examples.CARDS[name], workspace_url=examples.WORKSPACE) is None


def test_every_verdict_has_its_word() -> None:
    assert [emergencies.verdict(value) for value in Verdict] == ["justified", "not justified"]
