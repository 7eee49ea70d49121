"""Turns: no lane delays another lane, and no person another person."""

from hypothesis import given
from hypothesis import strategies as st

from bot.worker.turns import Turns


def turns(*, seats: int = 4, share: int = 2) -> Turns[str]:
    """Return empty turns."""
    return Turns(seats=seats, share=share)


def taken(of: Turns[str], lane: str) -> list[str]:
    """Take every free seat of a lane, and return the work."""
    found = []
    while (turn := of.take(lane)) is not None:
        found.append(turn[1])
    return found


def test_a_lane_that_is_full_holds_up_no_other() -> None:
    of = turns()
    for number in range(10):
        of.add(f"a{number}", lane="sick", person=f"U{number}")
    of.add("b", lane="healthy", person="U1")

    assert taken(of, "sick") == ["a0", "a1", "a2", "a3"]
    assert taken(of, "healthy") == ["b"]


def test_people_take_turns_however_much_one_of_them_sends() -> None:
    of = turns(seats=3, share=3)
    for number in range(100):
        of.add(f"flood{number}", lane="hk", person="U1")
    of.add("one", lane="hk", person="U2")

    assert taken(of, "hk") == ["flood0", "one", "flood1"]


def test_nobody_takes_more_than_a_share_of_the_seats() -> None:
    of = turns(seats=4, share=2)
    for number in range(4):
        of.add(f"hangs{number}", lane="hk", person="U1")
    assert taken(of, "hk") == ["hangs0", "hangs1"]

    of.add("late", lane="hk", person="U2")
    assert taken(of, "hk") == ["late"]
    of.leave("hk", "U1")
    assert taken(of, "hk") == ["hangs2"]


def test_a_person_s_work_is_taken_in_its_order() -> None:
    of = turns(seats=1, share=1)
    for number in range(3):
        of.add(str(number), lane="hk", person="U1")
    order = []
    while (turn := of.take("hk")) is not None:
        order.append(turn[1])
        of.leave("hk", turn[0])

    assert order == ["0", "1", "2"]


def test_what_waits_is_given_up_at_once_and_what_is_served_keeps_its_seat() -> None:
    of = turns(seats=1, share=1)
    for number in range(3):
        of.add(str(number), lane="hk", person="U1")
    assert taken(of, "hk") == ["0"]

    assert of.clear() == ["1", "2"]
    of.add("next", lane="hk", person="U2")
    assert taken(of, "hk") == []
    of.leave("hk", "U1")
    assert taken(of, "hk") == ["next"]


def test_a_lane_without_work_is_forgotten() -> None:
    of = turns()
    of.add("a", lane="hk", person="U1")
    taken(of, "hk")
    of.leave("hk", "U1")

    assert of._lanes == {}
    assert of.take("hk") is None


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), max_size=40), st.randoms())
def test_all_work_is_served_once_and_no_seat_stands_empty_while_somebody_may_have_it(
    arrivals: list[tuple[str, str]], chance: object
) -> None:
    of, served, seated = turns(seats=3, share=2), list[str](), list[tuple[str, str]]()
    for number, (lane, person) in enumerate(arrivals):
        of.add(f"{number}", lane=lane, person=person)
    while True:
        for lane in "ab":
            while (turn := of.take(lane)) is not None:
                seated.append((lane, turn[0]))
                served.append(turn[1])
                assert sum(each == lane for each, _ in seated) <= 3
                assert seated.count((lane, turn[0])) <= 2
        if not seated:
            break
        lane, person = seated.pop(chance.randrange(len(seated)))  # type: ignore[attr-defined]
        of.leave(lane, person)

    assert sorted(served) == sorted(map(str, range(len(arrivals))))
