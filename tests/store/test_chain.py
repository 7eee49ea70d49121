"""The audit's hash chain: what a hash covers, and a law that no tampering goes unnoticed."""

import copy
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.store import chain
from bot.store.chain import BrokenLink, Link, Tampering

Rows = list[dict[str, Any]]


def row(what: str = "asked", at: float = 1.5, facts: object = None) -> dict[str, Any]:
    return {
        "at": at,
        "what": what,
        "actor_team": "T1",
        "actor_user": "U0ALICE",
        "request_id": "r1",
        "facts": {} if facts is None else facts,
    }


def rows(count: int) -> Rows:
    return list(chain.linked([row(f"event {number}", at=float(number)) for number in range(count)], after=chain.ROOT))


def verified(found: Iterable[dict[str, Any]], *, after: Link | None = chain.ROOT, head: Link | None = None) -> Any:
    verification = chain.Verification(after=after, head=head)
    for each in found:
        verification.take(each)
    return verification.finish()


def head_of(found: Rows) -> Link:
    return Link(seq=found[-1]["seq"], hash=found[-1]["hash"])


class TestHash:
    def test_the_canonical_form_is_json_with_sorted_keys_and_no_spaces(self) -> None:
        (first,) = chain.linked([row(facts={"b": 0.25, "a": "ü"})], after=chain.ROOT)
        assert chain.canonical(first).decode() == (
            '{"actor_team":"T1","actor_user":"U0ALICE","at":1.5,"facts":{"a":"ü","b":0.25},'
            f'"prev":"{"0" * 64}","request_id":"r1","seq":1,"what":"asked"}}'
        )
        assert first["hash"] == hashlib.sha256(chain.canonical(first)).hexdigest()

    def test_each_row_holds_the_hash_of_the_one_before(self) -> None:
        first, second, third = rows(3)
        assert [first["prev"], second["prev"], third["prev"]] == [chain.ROOT.hash, first["hash"], second["hash"]]
        assert [first["seq"], second["seq"], third["seq"]] == [1, 2, 3]

    @pytest.mark.parametrize("field", chain.FIELDS)
    def test_it_covers_every_field(self, field: str) -> None:
        (first,) = rows(1)
        assert chain.hash_of({**first, field: "else"}) != first["hash"]

    @pytest.mark.parametrize("text", ['{"a": 1}', "nonsense", '{"b":1,"a":2}', '{"a":1,"a":2}'])
    def test_facts_that_are_not_stored_canonically_are_taken_as_text(self, text: str) -> None:
        assert chain.facts_of(text) == text

    def test_facts_are_read_as_they_were_written(self) -> None:
        assert chain.facts_of('{"a":[1,2.5,null,"\\u0000"],"b":{}}') == {"a": [1, 2.5, None, "\x00"], "b": {}}


def edited(found: Rows) -> Rows:
    found[2]["what"] = "nothing"
    return found


def edited_with_its_hash(found: Rows) -> Rows:
    found[2]["what"] = "nothing"
    found[2]["hash"] = chain.hash_of(found[2])
    return found


def inserted(found: Rows) -> Rows:
    (forged,) = chain.linked([row("forged")], after=Link(seq=2, hash=found[1]["hash"]))
    return [*found[:2], forged, *found[2:]]


def repeated(found: Rows) -> Rows:
    return [*found[:3], found[2], *found[3:]]


def without_a_number(found: Rows) -> Rows:
    return [*found[:2], {**row("forged"), "seq": None, "prev": None, "hash": None}, *found[2:]]


def swapped(found: Rows) -> Rows:
    return [found[0], found[2], found[1], *found[3:]]


class TestVerification:
    def test_what_was_not_touched_fits(self) -> None:
        found = rows(6)
        assert verified(found) is None
        assert verified(found, head=head_of(found)) is None
        assert verified(found, head=head_of(found[:3])) is None
        assert verified([]) is None
        assert verified([], head=chain.ROOT) is None

    @pytest.mark.parametrize(
        ("tamper", "seq", "what"),
        [
            (edited, 3, Tampering.EDITED),
            (edited_with_its_hash, 4, Tampering.EDITED),
            (lambda found: [*found[:2], *found[3:]], 3, Tampering.MISSING),
            (lambda found: found[2:], 1, Tampering.MISSING),
            (inserted, 3, Tampering.INSERTED),
            (repeated, 3, Tampering.INSERTED),
            (without_a_number, 3, Tampering.INSERTED),
            (swapped, 2, Tampering.REORDERED),
        ],
    )
    def test_the_first_row_that_does_not_fit_is_named(
        self, tamper: Callable[[Rows], Rows], seq: int, what: Tampering
    ) -> None:
        broken = verified(tamper(rows(6)))
        assert isinstance(broken, BrokenLink)
        assert (broken.seq, broken.what) == (seq, what)

    def test_rows_that_are_cut_off_are_found_against_a_saved_head(self) -> None:
        found = rows(6)
        broken = verified(found[:4], head=head_of(found))
        assert (broken.seq, broken.what) == (5, Tampering.CUT_OFF)
        assert verified(found[:4]) is None

    def test_a_chain_that_was_written_anew_is_found_against_a_saved_head(self) -> None:
        found = rows(6)
        forged = list(chain.linked([{**each, "what": "forged"} for each in found], after=chain.ROOT))
        assert verified(forged) is None
        broken = verified(forged, head=head_of(found[:4]))
        assert (broken.seq, broken.what) == (4, Tampering.EDITED)

    def test_what_begins_later_is_taken_from_its_first_row_and_held_to_what_is_before(self) -> None:
        found = rows(6)
        assert verified(found[3:], after=None) is None
        assert verified(found[3:], after=None, head=head_of(found[:3])) is None
        forged = Link(seq=3, hash="f" * 64)
        assert verified(found[3:], after=None, head=forged).what is Tampering.EDITED
        assert verified(found[3:], after=forged).what is Tampering.EDITED
        before = verified(found[3:], after=None, head=head_of(found[:2]))
        assert (before.what, before.shows) == (Tampering.CUT_OFF, "the rows begin after 3, the head is 2")

    def test_the_end_that_the_database_knows_is_where_the_rows_end(self) -> None:
        found = rows(6)
        for end, broken in (
            (head_of(found), None),
            (head_of(found[:4]), (5, Tampering.INSERTED)),
            (Link(seq=7, hash="f" * 64), (7, Tampering.CUT_OFF)),
            (Link(seq=6, hash="f" * 64), (6, Tampering.EDITED)),
        ):
            verification = chain.Verification(after=chain.ROOT)
            for each in found:
                verification.take(each)
            verification.end_at(end)
            result = verification.finish()
            assert (result and (result.seq, result.what)) == broken


class TestLines:
    def test_a_line_is_read_back(self) -> None:
        (first,) = chain.linked([row(facts={"reason": "\U0001f4a5 “é”"})], after=chain.ROOT)
        assert chain.read_line(chain.line(first)) == (first, False)
        assert chain.read_line(chain.line(first, begins=True)) == (first, True)

    @pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense", '{"seq":1,"seq":2}'])
    def test_a_line_that_is_no_row_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r".*"):
            chain.read_line(text)

    def test_a_key_that_no_hash_covers_is_refused(self) -> None:
        (first,) = rows(1)
        with pytest.raises(ValueError, match="not the keys"):
            chain.read_line(json.dumps({**first, "note": "forged"}))


texts = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
some_rows = st.lists(
    st.builds(row, texts, st.floats(0, 1e12), st.dictionaries(texts, values, max_size=3)), min_size=1, max_size=8
).map(lambda found: list(chain.linked(found, after=chain.ROOT)))


@st.composite
def tampered(draw: st.DrawFn) -> tuple[Rows, Rows]:
    """Draw rows, and the same rows after one kind of tampering."""
    found = draw(some_rows)
    place = draw(st.integers(0, len(found) - 1))
    changed = copy.deepcopy(found)
    match draw(st.sampled_from(["edit", "delete", "insert", "move"])):
        case "edit":
            field = draw(st.sampled_from([*chain.FIELDS, "hash"]))
            changed[place][field] = draw(values)
        case "delete":
            del changed[place]
        case "insert":
            forged = {**draw(st.sampled_from(found)), "what": draw(texts)}
            forged["hash"] = chain.hash_of(forged) if draw(st.booleans()) else forged["hash"]
            changed.insert(place, forged)
        case _:
            changed.insert(draw(st.integers(0, len(found) - 1)), changed.pop(place))
    return found, changed


@given(tampered())
def test_whatever_is_done_to_a_row_is_found_against_a_saved_head(found: tuple[Rows, Rows]) -> None:
    before, after = found
    same = [chain.line(each) for each in before] == [chain.line(each) for each in after]
    broken = verified(after, head=head_of(before))
    assert (broken is None) == same


@given(some_rows)
def test_lines_carry_rows_whole(found: Rows) -> None:
    assert [chain.read_line(chain.line(each))[0] for each in found] == found
    assert verified(chain.read_line(chain.line(each))[0] for each in found) is None
