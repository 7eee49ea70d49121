"""The table of verbs: one row for each, and everything else asks it."""

import pytest

from bot import verbs
from bot.verbs import CHANGES, VERBS, Verb, Who


def test_every_verb_has_one_row_and_the_changing_ones_say_what_they_change() -> None:
    assert list(VERBS) == list(Verb)
    assert list(CHANGES) == [verb for verb in Verb if VERBS[verb].who is Who.CHANGES]
    assert all(CHANGES[verb] is VERBS[verb].change for verb in CHANGES)


@pytest.mark.parametrize("verb", CHANGES)
def test_no_two_verbs_ask_the_cloud_for_the_same_call(verb: Verb) -> None:
    row = CHANGES[verb]
    others = [other for name, other in CHANGES.items() if name is not verb]
    assert row.call not in [other.call for other in others]
    assert row.action not in [other.action for other in others]
    assert row.past not in [other.past for other in others]


@pytest.mark.parametrize("verb", CHANGES)
def test_the_opposite_leads_to_another_status(verb: Verb) -> None:
    row = CHANGES[verb]
    assert CHANGES[row.opposite].wanted != row.wanted


def test_a_rule_may_name_the_changing_verbs_and_reading() -> None:
    assert (*CHANGES, "read") == verbs.RIGHTS
    assert {verb: verbs.right_of(verb) for verb in Verb} == {
        verb: verb.value if verb in CHANGES else "read" for verb in Verb
    }
