"""A dict with a maximum size."""

from hypothesis import given
from hypothesis import strategies as st

from bot.usecases.bounded_dict import BoundedDict


def test_the_oldest_gives_way() -> None:
    known = BoundedDict[str, int](2)
    known["a"], known["b"], known["c"] = 1, 2, 3

    assert dict(known) == {"b": 2, "c": 3}


def test_what_is_written_again_is_the_newest() -> None:
    known = BoundedDict[str, int](2)
    known["a"], known["b"] = 1, 2
    known["a"] = 3
    known["c"] = 4

    assert list(known.items()) == [("a", 3), ("c", 4)]


@given(st.lists(st.integers(0, 9)), st.integers(1, 5))
def test_the_last_written_are_kept_whichever_way_they_were_written(keys: list[int], most: int) -> None:
    known = BoundedDict[int, int](most)
    for at, key in enumerate(keys):
        if at % 2:
            known.update({key: at})
        else:
            known[key] = at

    newest = list(dict.fromkeys(reversed(keys)))[:most]
    assert list(known)[::-1] == newest
