"""The verb table: one row for each verb."""

import dataclasses
import pathlib

import pytest

from bot.commands import verbs
from bot.commands.verbs import CHANGES, VERBS, Audience, Verb
from tests.fakes import CAROL, open_desk


def test_every_verb_has_one_row_and_the_changing_ones_say_what_they_change() -> None:
    assert list(VERBS) == list(Verb)
    assert list(CHANGES) == [verb for verb in Verb if VERBS[verb].who is Audience.CHANGES]
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


@pytest.mark.parametrize("verb", CHANGES)
async def test_what_was_asked_for_is_what_is_called(verb: Verb, tmp_path: pathlib.Path) -> None:
    row = CHANGES[verb]
    async with open_desk(tmp_path) as desk:
        rules = tuple(dataclasses.replace(rule, verbs=verbs.RIGHTS) for rule in desk.policy.rules)
        desk.policy = dataclasses.replace(desk.policy, rules=rules)
        flow = desk.cloud.there["flow-1"]
        desk.cloud.there["flow-1"] = dataclasses.replace(flow, status=CHANGES[row.opposite].wanted)

        await desk.calling.call(await desk.approved(f"{verb} flow-1", CAROL))

    assert [method for method, _ in desk.cloud.calls if method not in ("flow", "flows")] == [row.call]
    assert desk.cloud.there["flow-1"].status == row.wanted
