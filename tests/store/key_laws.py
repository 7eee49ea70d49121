"""The contract of every key store, including the fake; `mine` and `other` are the views of two replicas."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from bot.usecases import ports
from bot.usecases.ports import KeyStanding

Law = Callable[[ports.KeyStore, ports.KeyStore], Awaitable[None]]

MOST: Final = 5
UNTIL: Final = 1_700_000_300.5


async def bad(
    keys: ports.KeyStore, key: str = "hash", *, says_locked: bool = False, until: float = UNTIL
) -> KeyStanding:
    """Count a failed try."""
    return await keys.bad_try(key, most=MOST, says_locked=says_locked, locked_until=until)


async def a_key_that_nobody_has_tried_stands_well(mine: ports.KeyStore, other: ports.KeyStore) -> None:
    """Check the state of an unknown key."""
    assert await mine.key_standing("hash") == KeyStanding(bad_tries=0, locked_until=0.0)
    assert await mine.good_try("hash") == KeyStanding()


async def bad_tries_of_replicas_add_up_to_a_lock(mine: ports.KeyStore, other: ports.KeyStore) -> None:
    """Count in turns."""
    for number, keys in enumerate((mine, other, mine, other), start=1):
        assert await bad(keys) == KeyStanding(bad_tries=number)
    assert await bad(mine) == KeyStanding(bad_tries=0, locked_until=UNTIL)
    assert await other.key_standing("hash") == KeyStanding(locked_until=UNTIL)


async def none_of_many_at_once_is_lost(mine: ports.KeyStore, other: ports.KeyStore) -> None:
    """Count concurrently."""
    await asyncio.gather(*(bad(keys) for keys in (mine, other) * 2))
    assert await mine.key_standing("hash") == KeyStanding(bad_tries=4)


async def a_good_try_forgets_the_bad_ones_and_ends_no_lock(mine: ports.KeyStore, other: ports.KeyStore) -> None:
    """Count, reset, and lock."""
    await bad(mine)
    assert await other.good_try("hash") == KeyStanding()
    await bad(mine, says_locked=True)
    await bad(other)
    assert await mine.good_try("hash") == await other.key_standing("hash") == KeyStanding(locked_until=UNTIL)


async def the_clouds_word_locks_at_once(mine: ports.KeyStore, other: ports.KeyStore) -> None:
    """Lock a key without failed tries, and one with some."""
    assert await bad(mine, says_locked=True) == KeyStanding(locked_until=UNTIL)
    await bad(mine, "another")
    assert await bad(mine, "another", says_locked=True) == KeyStanding(locked_until=UNTIL)


async def a_lock_is_never_made_shorter(mine: ports.KeyStore, other: ports.KeyStore) -> None:
    """Lock again until an earlier time."""
    await bad(mine, says_locked=True)
    assert await bad(other, says_locked=True, until=UNTIL - 60) == KeyStanding(locked_until=UNTIL)


async def keys_stand_each_for_itself(mine: ports.KeyStore, other: ports.KeyStore) -> None:
    """Count for two keys."""
    await bad(mine, "one")
    await bad(mine, "two")
    await bad(mine, "two")
    assert (await mine.key_standing("one")).bad_tries == 1


LAWS: Final[tuple[Law, ...]] = (
    a_key_that_nobody_has_tried_stands_well,
    bad_tries_of_replicas_add_up_to_a_lock,
    none_of_many_at_once_is_lost,
    a_good_try_forgets_the_bad_ones_and_ends_no_lock,
    the_clouds_word_locks_at_once,
    a_lock_is_never_made_shorter,
    keys_stand_each_for_itself,
)
