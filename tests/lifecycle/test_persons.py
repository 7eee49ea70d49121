"""The people behind the actors of a request: all actors are named, and only those asked about change."""

import dataclasses

from bot.commands.deliveries import Actor
from bot.lifecycle import persons, records
from tests.fakes import ALICE, CAROL, DAVE, ERIN
from tests.store import examples


def of(*actors: Actor, ended_by: Actor | None) -> records.Request:
    """Return a request by the first actor, with votes by the others."""
    votes = tuple(records.Vote(actor=actor, at=2.0) for actor in actors[1:])
    ending = records.Ending(actor=ended_by, at=3.0)
    return dataclasses.replace(examples.request(), requester=actors[0], votes=votes, ending=ending)


def person(actor: Actor, ident: str | None) -> Actor:
    """Return the actor with this person id."""
    return dataclasses.replace(actor, person=ident)


def test_everybody_who_acted_is_an_actor() -> None:
    assert persons.actors(of(ALICE, CAROL, DAVE, ended_by=ERIN)) == (ALICE, CAROL, DAVE, ERIN)
    assert persons.actors(of(ALICE, ended_by=None)) == (ALICE,)
    assert persons.actors(dataclasses.replace(of(ALICE, CAROL, ended_by=None), ending=None)) == (ALICE, CAROL)


def test_each_actor_gets_their_person_and_whoever_is_not_known_stays() -> None:
    seen = of(ALICE, CAROL, person(DAVE, "W0DAVE"), ended_by=ERIN)

    found = persons.identified(seen, {"U0ALICE": "W0ALICE", "U0ERIN": "W0ERIN"})

    assert found == of(person(ALICE, "W0ALICE"), CAROL, person(DAVE, "W0DAVE"), ended_by=person(ERIN, "W0ERIN"))
    assert persons.identified(seen, {}) == seen


def test_a_request_that_nobody_ended_keeps_no_ending() -> None:
    nobody = of(ALICE, ended_by=None)
    open_one = dataclasses.replace(nobody, ending=None)

    assert persons.identified(nobody, {"U0ALICE": None}) == nobody
    assert persons.identified(open_one, {"U0ALICE": None}) == open_one
