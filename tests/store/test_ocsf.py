"""Rows of the audit as OCSF events, checked against OCSF's own schema of the class."""

import json
import pathlib
from typing import Any

import jsonschema
import pytest

from bot.store import chain, ocsf

from .test_chain import row

SCHEMA = json.loads((pathlib.Path(__file__).parent / "ocsf" / f"api_activity-{ocsf.VERSION}.json").read_text())


def event(**changed: Any) -> dict[str, Any]:
    (linked,) = chain.linked([{**row(facts={"reason": "it burns"}), **changed}], after=chain.ROOT)
    return ocsf.event(linked)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"actor_team": None, "actor_user": None},
        {"request_id": None},
        {"facts": {"person": "W0ALICE", "door": "host"}},
        {"facts": "not json"},
        {"actor_team": ""},
    ],
)
def test_every_row_makes_an_event_of_the_class(changed: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(event(**changed))


@pytest.mark.parametrize("missing", ["actor", "api", "time", "metadata", "src_endpoint"])
def test_the_schema_asks_for_what_the_class_requires(missing: str) -> None:
    found = event()
    del found[missing]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(found)


def test_it_says_who_did_what_to_which_request_and_where_in_the_chain_that_stands() -> None:
    found = event(facts={"person": "W0ALICE"})
    assert found["actor"] == {"user": {"uid": "U0ALICE", "domain": "T1", "uid_alt": "W0ALICE"}}
    assert (found["activity_name"], found["resources"]) == ("asked", [{"type": "request", "uid": "r1"}])
    assert (found["time"], found["metadata"]["sequence"], found["unmapped"]["prev"]) == (1500, 1, chain.ROOT.hash)


def test_a_line_is_the_event_as_json() -> None:
    (linked,) = chain.linked([row()], after=chain.ROOT)
    assert json.loads(ocsf.line(linked)) == ocsf.event(linked)
