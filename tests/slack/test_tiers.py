"""How many calls of a method may be sent in a minute."""

from bot.slack.directory.tiers import Tier
from tests.fakes import FakeClock


def test_a_tenth_of_a_tier_is_kept_in_reserve() -> None:
    tier = Tier(per_minute=20, clock=FakeClock())

    for _ in range(18):
        assert tier.wait() == 0.0
        tier.count()

    assert tier.wait() == 60.0


def test_a_call_is_forgotten_after_a_minute() -> None:
    clock = FakeClock()
    tier = Tier(per_minute=2, clock=clock)
    tier.count()
    clock.turn(40)
    assert tier.wait() == 20.0
    clock.turn(20)
    assert tier.wait() == 0.0


def test_no_more_than_a_tier_leaves_in_any_minute() -> None:
    clock = FakeClock()
    tier = Tier(per_minute=100, clock=clock)
    left: list[float] = []
    for _ in range(1000):
        clock.turn(0.3)
        if tier.wait() == 0.0:
            tier.count()
            left.append(clock.now())

    assert all(sum(start <= each < start + 60 for each in left) <= 90 for start in left)
    assert len(left) >= 5 * 90
