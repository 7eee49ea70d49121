"""A key that the cloud has locked is not used by any replica, and messages say until when."""

import asyncio
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from bot.cloud import key_lock
from bot.cloud.key_lock import BAD_TRIES, LOCKED_FOR, LockedCloud
from bot.commands.verbs import Verb
from bot.lifecycle import call_outcome
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.policy import model
from bot.usecases import errors
from bot.usecases.ports import KeyStanding
from tests.fakes import MAIN, Desk, FakeClock, FakeCloud, open_desk, until
from tests.store import key_laws

BAD = CloudFailure(fault=Fault.CREDENTIALS, http_status=401, code="APIGW.0301", message="verify aksk signature fail")
SAYS_SO = CloudFailure(
    fault=Fault.CREDENTIALS, http_status=401, message="AK access failed to reach the limit,forbidden"
)
OTHERS = [
    CloudFailure(fault=Fault.DENIED, http_status=401, code="LIVE.100011003"),
    CloudFailure(fault=Fault.DENIED, http_status=403),
    CloudFailure(fault=Fault.UNCERTAIN, http_status=500),
    CloudFailure(fault=Fault.CREDENTIALS, message="the project has no key"),
]


class FakeKeys:
    """ports.KeyStore in memory; `away` makes it fail."""

    def __init__(self) -> None:
        self.standings: dict[str, KeyStanding] = {}
        self.away = False

    async def key_standing(self, key: str) -> KeyStanding:
        """Return the state of the key."""
        if self.away:
            raise errors.StoreError("away")
        return self.standings.get(key, KeyStanding())

    async def bad_try(self, key: str, *, most: int, says_locked: bool, locked_until: float) -> KeyStanding:
        """Count a failed try."""
        if self.away:
            raise errors.NotRecorded("away")
        before = self.standings.get(key, KeyStanding())
        if says_locked or before.bad_tries + 1 >= most:
            standing = KeyStanding(locked_until=max(before.locked_until, locked_until))
        else:
            standing = dataclasses.replace(before, bad_tries=before.bad_tries + 1)
        self.standings[key] = standing
        return standing

    async def good_try(self, key: str) -> KeyStanding:
        """Reset the count of failed tries."""
        if self.away:
            raise errors.NotRecorded("away")
        if key in self.standings:
            self.standings[key] = dataclasses.replace(self.standings[key], bad_tries=0)
        return self.standings.get(key, KeyStanding())


@pytest.mark.parametrize("law", key_laws.LAWS, ids=lambda law: law.__name__)
async def test_the_fake_counts_as_the_real_stores_do(law: key_laws.Law) -> None:
    keys = FakeKeys()
    await law(keys, keys)


class Rig:
    """Replicas in front of one cloud, with one store of keys."""

    def __init__(self, project: model.Project) -> None:
        self.project, self.clock, self.cloud, self.keys = project, FakeClock(), FakeCloud(), FakeKeys()
        self.mine, self.theirs = self.replica(), self.replica()

    def replica(self, key: str = "hash") -> LockedCloud:
        """Return another replica."""
        return LockedCloud(cloud=self.cloud, keys=lambda _: key, store=self.keys, clock=self.clock)

    async def reads(self, *replies: object, by: LockedCloud | None = None) -> object:
        """Read a flow once per reply, or once; return the last result."""
        got: object = None
        for reply in replies or (None,):
            if reply is not None:
                self.cloud.will("flow", reply)
            got = await (by or self.mine).flow(self.project, "flow-1")
        return got

    async def refuses(self, by: LockedCloud | None = None) -> CloudFailure:
        """Return the refusal of a call that must not have reached the cloud."""
        before = len(self.cloud.calls)
        got = await self.reads(by=by)
        assert isinstance(got, CloudFailure)
        assert len(self.cloud.calls) == before
        return got


@pytest.fixture
async def rig(tmp_path: pathlib.Path) -> Rig:
    """Return a rig."""
    async with open_desk(tmp_path) as desk:
        return Rig(desk.policy.projects["hk"])


async def test_five_bad_tries_in_a_row_lock_the_key_for_five_minutes(rig: Rig) -> None:
    await rig.reads(*[BAD] * (BAD_TRIES - 1))
    assert await rig.reads(BAD) == BAD

    refused = await rig.refuses()

    assert (refused.fault, refused.http_status, refused.retry_after) == (Fault.CREDENTIALS, None, LOCKED_FOR)
    assert len(rig.cloud.calls) == BAD_TRIES
    rig.clock.turn(LOCKED_FOR - 0.1)
    await rig.refuses()
    rig.clock.turn(0.1)
    assert await rig.reads() == MAIN


async def test_the_refusal_says_until_when_to_the_minute_after(rig: Rig) -> None:
    await rig.reads(SAYS_SO)  # at 22:13:20, until 22:18:20

    assert "it will be used again at 22:19 UTC" in (await rig.refuses()).message


async def test_a_good_try_forgets_the_bad_ones_before_it(rig: Rig) -> None:
    await rig.reads(*[BAD] * 4, MAIN, *[BAD] * 4)

    assert await rig.reads() == MAIN


@pytest.mark.parametrize("other", OTHERS)
async def test_no_other_failure_counts_as_a_bad_try(rig: Rig, other: CloudFailure) -> None:
    await rig.reads(*[other] * 9)

    assert await rig.reads() == MAIN


async def test_the_clouds_own_word_locks_the_key_at_once(rig: Rig) -> None:
    await rig.reads(SAYS_SO)

    await rig.refuses()


Call = Callable[[LockedCloud, model.Project], Awaitable[object]]


@pytest.mark.parametrize(
    "call",
    [
        lambda cloud, project: cloud.flow(project, "flow-1"),
        lambda cloud, project: cloud.flows(project),
        lambda cloud, project: cloud.change(project, "flow-1", Verb.STOP),
        lambda cloud, project: cloud.change(project, "flow-1", Verb.START),
    ],
    ids=["flow", "flows", "stop", "start"],
)
async def test_no_call_of_any_kind_goes_out_while_the_key_is_locked(rig: Rig, call: Call) -> None:
    await rig.reads(SAYS_SO)

    got = await call(rig.mine, rig.project)

    assert isinstance(got, CloudFailure)
    assert len(rig.cloud.calls) == 1


async def test_replicas_and_restarts_share_the_lock(rig: Rig) -> None:
    await rig.reads(SAYS_SO)

    await rig.refuses(by=rig.theirs)
    await rig.refuses(by=rig.replica())


async def test_a_replica_that_called_a_moment_ago_learns_of_the_lock_within_five_seconds(rig: Rig) -> None:
    await rig.reads(by=rig.theirs)
    await rig.reads(SAYS_SO)
    rig.clock.turn(key_lock.REFRESH + 0.1)

    await rig.refuses(by=rig.theirs)


async def test_another_key_is_not_locked(rig: Rig) -> None:
    await rig.reads(SAYS_SO)

    assert await rig.reads(by=rig.replica("other hash")) == MAIN


async def test_bad_tries_at_once_are_all_counted(rig: Rig) -> None:
    gate = asyncio.Event()
    rig.cloud.will("flow", *[gate, BAD] * BAD_TRIES)
    calls = [asyncio.create_task(rig.mine.flow(rig.project, "flow-1")) for _ in range(BAD_TRIES)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*calls)

    await rig.refuses()


@pytest.mark.parametrize("late", [MAIN, BAD], ids=["good", "bad"])
async def test_a_call_that_began_before_the_lock_does_not_end_it(rig: Rig, late: object) -> None:
    gate = asyncio.Event()
    await rig.reads(BAD)
    rig.cloud.will("flow", gate)
    straggler = asyncio.create_task(rig.mine.flow(rig.project, "flow-1"))
    await until(lambda: len(rig.cloud.calls) == 2)
    await rig.reads(SAYS_SO)
    rig.cloud.will("flow", late)
    gate.set()
    assert await straggler == late

    await rig.refuses()
    assert rig.keys.standings["hash"].locked_until == rig.clock.now() + LOCKED_FOR


async def test_a_database_that_is_away_costs_no_reply(rig: Rig) -> None:
    await rig.reads(BAD)
    rig.keys.away = True

    assert await rig.mine.change(rig.project, "flow-1", Verb.STOP) == call_outcome.Accepted(
        status="STANDBY", request_id="live-1"
    )


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk."""
    async with open_desk(tmp_path) as opened:
        yield opened


async def test_promise_9_the_key_itself_is_not_in_the_database(desk: Desk) -> None:
    await desk.store.bad_try("5e884898", most=5, says_locked=False, locked_until=1.0)

    assert desk.select("SELECT * FROM keys") == [("5e884898", 1, 0.0)]


async def test_bad_tries_of_two_replicas_add_up(rig: Rig) -> None:
    for _ in range(2):
        await rig.reads(BAD, by=rig.mine)
        await rig.reads(BAD, by=rig.theirs)
    await rig.reads(BAD, by=rig.mine)
    rig.clock.turn(key_lock.REFRESH + 0.1)

    await rig.refuses(by=rig.mine)
    await rig.refuses(by=rig.theirs)
