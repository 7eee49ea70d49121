"""The contract of the store, on both kinds of database."""

import asyncio
import dataclasses

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from sqlalchemy import exc

from bot.commands.deliveries import Actor, Entry, Typed, Verdict
from bot.commands.verbs import Door
from bot.lifecycle import records, schedule, transitions
from bot.lifecycle.states import Event, State
from bot.policy.file import keys
from bot.store import host_entries, store
from bot.usecases import answers, errors, ports

from . import examples, key_laws
from .conftest import Clock, Replicas, rows_of
from .examples import add, change

DAY = 86_400.0
ON_ONE_DATABASE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NOTED = answers.Noted(what="approved")
OF_HOST = Entry(
    key="h" * 64,
    actor=Actor(team="", user="U0ALICE", login="alice"),
    arrival=Typed(text="stop main-feed", channel="", door=Door.HOST, name="main-feed"),
    received_at=1_699_999_990.0,
    take_up_by=1_700_000_020.0,
)


class TestRequests:
    @ON_ONE_DATABASE
    @given(new=examples.any_request())
    async def test_what_is_added_is_loaded(self, mine: store.SqlStore, new: records.Request) -> None:
        await add(mine, new)
        assert await mine.load(new.id) == new

    @ON_ONE_DATABASE
    @given(new=examples.any_request(), later=examples.any_request())
    async def test_what_replaces_it_is_loaded_but_for_what_slack_shows(
        self, mine: store.SqlStore, new: records.Request, later: records.Request
    ) -> None:
        flow = dataclasses.replace(later.flow, flow_id=new.flow.flow_id)
        later = dataclasses.replace(later, id=new.id, version=2, flow=flow)
        await add(mine, new)
        await mine.commit(change(later))
        shown = dataclasses.replace(
            later,
            card=new.card,
            tell_failures=new.tell_failures,
            tell_at=new.tell_at,
            unsent=(*new.unsent, *later.unsent[len(new.unsent) :]),
        )
        assert await mine.load(new.id) == shown

    async def test_an_unknown_request_is_none(self, mine: store.SqlStore) -> None:
        assert await mine.load("r1") is None
        assert await mine.claim("r1") is None

    async def test_a_new_request_with_a_known_id_is_a_conflict(self, mine: store.SqlStore) -> None:
        await add(mine, examples.request(dry_run=True))
        with pytest.raises(errors.Conflict):
            await add(mine, examples.request(dry_run=True))

    async def test_a_version_that_leaves_one_out_is_a_conflict(self, mine: store.SqlStore) -> None:
        await add(mine, examples.request())
        skipped = dataclasses.replace(examples.request(), version=3)
        with pytest.raises(errors.Conflict):
            await mine.commit(change(skipped))

    async def test_of_twenty_commits_on_one_version_exactly_one_wins(
        self, mine: store.SqlStore, other: store.SqlStore
    ) -> None:
        await add(mine, examples.request())
        votes = [records.Vote(actor=dataclasses.replace(examples.BOB, user=f"U{i}"), at=float(i)) for i in range(20)]
        rivals = [transitions.approve(examples.request(), vote, needed=1) for vote in votes]
        # The other replica waits for SQLite's lock, not for its turn: one at a time there, or its patience ends.
        results = await asyncio.gather(
            *[(mine, other)[i == 0].commit(change(rival)) for i, rival in enumerate(rivals)], return_exceptions=True
        )
        won = [rival for rival, result in zip(rivals, results, strict=True) if result is None]
        assert len(won) == 1
        assert {type(result) for result in results if result is not None} <= {errors.Conflict, errors.NotRecorded}
        assert await mine.load("r1") == won[0]
        assert len(await rows_of(mine, "audit")) == 2


class TestHostEntries:
    """An entry of the host waits for any bot: it is either taken up or withdrawn."""

    async def test_it_is_claimed_by_a_bot_with_all_that_it_holds(
        self, mine: store.SqlStore, other: store.SqlStore
    ) -> None:
        await mine.submit(OF_HOST)
        assert await mine.result(OF_HOST.key) == host_entries.Result(is_decided=False)
        assert await other.claim_entries(limit=9) == [ports.Claimed(entry=OF_HOST)]
        assert await mine.claim_entries(limit=9) == []
        assert await mine.result(OF_HOST.key) == host_entries.Result(is_decided=False)

    async def test_its_answer_is_its_result(self, mine: store.SqlStore, other: store.SqlStore) -> None:
        await mine.submit(OF_HOST)
        await other.claim_entries(limit=9)
        await other.commit(ports.Change(entry=OF_HOST.key, answer=NOTED, audit=()))
        assert await mine.result(OF_HOST.key) == host_entries.Result(is_decided=True, answer=NOTED)
        await other.finish_entry(OF_HOST.key)
        assert await mine.result(OF_HOST.key) == host_entries.Result(is_decided=True, answer=NOTED)

    async def test_what_opened_a_request_has_no_answer(self, mine: store.SqlStore, other: store.SqlStore) -> None:
        await mine.submit(OF_HOST)
        await other.claim_entries(limit=9)
        await other.commit(ports.Change(request=examples.request(), entry=OF_HOST.key, audit=()))
        assert await mine.result(OF_HOST.key) == host_entries.Result(is_decided=True)

    async def test_withdrawn_it_is_gone(self, mine: store.SqlStore, other: store.SqlStore) -> None:
        await mine.submit(OF_HOST)
        assert await mine.withdraw_entry(OF_HOST.key)
        assert await other.claim_entries(limit=9) == []
        assert not await mine.withdraw_entry(OF_HOST.key)

    async def test_taken_up_it_is_not_withdrawn(self, mine: store.SqlStore, other: store.SqlStore) -> None:
        await mine.submit(OF_HOST)
        await other.claim_entries(limit=9)
        assert not await mine.withdraw_entry(OF_HOST.key)
        await other.commit(ports.Change(entry=OF_HOST.key, answer=NOTED, audit=()))
        assert not await mine.withdraw_entry(OF_HOST.key)

    async def test_of_taking_it_up_and_withdrawing_it_exactly_one_wins(
        self, mine: store.SqlStore, other: store.SqlStore
    ) -> None:
        keys = [f"{number:064d}" for number in range(20)]
        for key in keys:
            await mine.submit(dataclasses.replace(OF_HOST, key=key))
        withdrawn, claimed = await asyncio.gather(
            asyncio.gather(*(mine.withdraw_entry(key) for key in keys), return_exceptions=True),
            asyncio.gather(*(_claimed(other, limit=1) for _ in keys)),
        )
        gone = {key for key, was in zip(keys, withdrawn, strict=True) if was is True}
        taken = {each.entry.key for some in claimed for each in some}
        assert gone.isdisjoint(taken)
        left = {each.entry.key for each in await _claimed(other, limit=99)}
        assert gone | taken | left == set(keys)


async def _claimed(opened: store.SqlStore, *, limit: int) -> list[ports.Claimed]:
    """Claim, and take a busy SQLite file for one that has nothing now."""
    try:
        return await opened.claim_entries(limit=limit)
    except errors.NotRecorded:
        return []


class TestFlows:
    async def test_a_second_open_request_for_a_flow_is_refused(self, mine: store.SqlStore) -> None:
        await add(mine, examples.request("r1"))
        with pytest.raises(errors.FlowHeld):
            await add(mine, examples.request("r2"))
        assert await mine.load("r2") is None
        holder = await mine.holder("live", "flow-1")
        assert holder == examples.request("r1")

    async def test_other_flows_and_other_projects_are_free(self, mine: store.SqlStore) -> None:
        elsewhere = dataclasses.replace(examples.request("r3"), project="test")
        await add(mine, examples.request("r1"), examples.request("r2", flow="flow-2"), elsewhere)
        assert await mine.holder("test", "flow-2") is None

    async def test_dry_runs_hold_nothing(self, mine: store.SqlStore) -> None:
        await add(mine, examples.request("r1", dry_run=True), examples.request("r2", dry_run=True))
        assert await mine.holder("live", "flow-1") is None
        await add(mine, examples.request("r3"), examples.request("r4", dry_run=True))

    async def test_a_request_that_ends_lets_go_of_its_flow(self, mine: store.SqlStore) -> None:
        await add(mine, examples.request("r1"))
        await mine.commit(change(examples.denied(examples.request("r1"))))
        assert await mine.holder("live", "flow-1") is None
        await add(mine, examples.request("r2"))

    async def test_a_running_operation_holds_its_flow_until_its_outcome(self, mine: store.SqlStore) -> None:
        step = examples.request()
        await add(mine, step)
        for following in (examples.approved, lambda seen: transitions.begin(seen, at=121.0)):
            step = following(step)
            await mine.commit(change(step))
            assert await mine.holder("live", "flow-1") == step
        outcome = records.Outcome(how=records.OutcomeKind.DONE, status="STANDBY")
        await mine.commit(change(transitions.finish(step, outcome, at=122.0)))
        assert await mine.holder("live", "flow-1") is None

    async def test_what_nobody_knows_holds_its_flow_while_it_is_read_back(self, mine: store.SqlStore) -> None:
        step = examples.request()
        await add(mine, step)
        unknown = transitions.finish(
            transitions.begin(examples.approved(step), at=121.0),
            records.Outcome(how=records.OutcomeKind.LOST),
            at=122.0,
            look_again_at=127.0,
        )
        for following in (examples.approved, lambda seen: transitions.begin(seen, at=121.0), lambda _: unknown):
            await mine.commit(change(step := following(step)))
        assert await mine.holder("live", "flow-1") == step
        with pytest.raises(errors.FlowHeld):
            await add(mine, examples.request("r2"))
        assert await mine.unsettled(limit=9) == [step]
        await mine.commit(change(transitions.give_up(step, at=3722.0)))
        assert await mine.holder("live", "flow-1") is None
        await add(mine, examples.request("r2"))

    async def test_the_last_denial_is_the_newest_that_somebody_gave(self, mine: store.SqlStore) -> None:
        for number, (at, actor) in enumerate([(130.0, examples.BOB), (230.0, examples.BOB), (330.0, None)]):
            new = dataclasses.replace(examples.request(f"r{number}"), asked_at=at - 10)
            await add(mine, new)
            await mine.commit(change(examples.denied(new, at=at, actor=actor)))
        newest = await mine.last_denial("live", "flow-1", since=130.0)
        assert newest is not None
        assert newest.id == "r1"
        assert await mine.last_denial("live", "flow-1", since=231.0) is None
        assert await mine.last_denial("live", "flow-2", since=0.0) is None

    async def test_a_denial_counts_however_long_the_request_was_pending(self, mine: store.SqlStore) -> None:
        new = dataclasses.replace(examples.request(), asked_at=1000.0, expires_at=1000.0 + keys.LONGEST)
        await add(mine, new)
        await mine.commit(change(examples.denied(new, at=new.expires_at)))
        newest = await mine.last_denial("live", "flow-1", since=new.expires_at)
        assert newest is not None
        assert newest.id == new.id


class TestEmergencies:
    async def test_what_gives_way_ends_as_the_emergency_takes_its_flow(self, mine: store.SqlStore) -> None:
        pending = examples.request("r1")
        await add(mine, pending)
        ending = records.Ending(actor=examples.BOB, at=130.0)
        ended = transitions.end(pending, Event.SUPERSEDE, ending, said=records.ReplyKind.SUPERSEDED)

        await mine.commit(dataclasses.replace(change(examples.emergency("r2")), superseded=ended))

        assert await mine.load("r1") == ended
        assert await mine.holder("live", "flow-1") == examples.emergency("r2")
        assert await mine.load("r2") == examples.emergency("r2")

    async def test_nothing_opens_where_what_should_give_way_has_moved_on(self, mine: store.SqlStore) -> None:
        pending = examples.request("r1")
        await add(mine, pending)
        await mine.commit(change(examples.approved(pending)))
        ending = records.Ending(actor=examples.BOB, at=130.0)
        ended = transitions.end(pending, Event.SUPERSEDE, ending, said=records.ReplyKind.SUPERSEDED)

        with pytest.raises(errors.Conflict):
            await mine.commit(dataclasses.replace(change(examples.emergency("r2")), superseded=ended))

        assert await mine.load("r1") == examples.approved(pending)
        assert await mine.load("r2") is None

    async def test_those_are_counted_that_one_person_let_run_lately(self, mine: store.SqlStore) -> None:
        for number, at in enumerate([120.0, 220.0, 320.0]):
            one = examples.emergency(f"r{number}", flow=f"flow-{number}")
            await add(mine, one)
            await mine.commit(change(examples.let_run(one, at=at)))
        rehearsed, plain = examples.emergency("r3", dry_run=True), examples.request("r4", flow="flow-4")
        await add(mine, rehearsed, plain, examples.emergency("r5", flow="flow-5"))
        await mine.commit(change(examples.let_run(rehearsed, at=420.0)))
        await mine.commit(change(examples.approved(plain)))

        counts = [await mine.emergencies("UALICE", since=since) for since in (0.0, 120.0, 121.0, 321.0)]
        assert counts == [3, 3, 2, 0]
        assert await mine.emergencies("UBOB", since=0.0) == 0

    async def test_those_of_one_person_are_counted_whichever_id_asked(self, mine: store.SqlStore) -> None:
        for number, (user, person) in enumerate([("UALICE", "WALICE"), ("WALICE", "WALICE"), ("UALICE", None)]):
            requester = Actor(team="T1", user=user, person=person)
            one = dataclasses.replace(examples.emergency(f"r{number}", flow=f"flow-{number}"), requester=requester)
            await add(mine, one)
            await mine.commit(change(examples.let_run(one, at=120.0)))
            found = await mine.load(one.id)
            assert found is not None
            assert found.requester == requester

        assert await mine.emergencies("WALICE", since=0.0) == 2
        # The last is of an older version, or of a workspace where people have one id.
        assert await mine.emergencies("UALICE", since=0.0) == 2

    async def test_one_is_unsettled_until_it_is_reviewed(self, mine: store.SqlStore) -> None:
        versions = [examples.emergency()]
        versions.append(examples.let_run(versions[-1]))
        versions.append(transitions.begin(versions[-1], at=121.0))
        versions.append(transitions.finish(versions[-1], records.Outcome(how=records.OutcomeKind.DONE), at=122.0))
        for version in versions:
            await mine.commit(change(version))
        await mine.release(versions[-1], due_at=schedule.at(versions[-1]))
        (found,) = await mine.unsettled(limit=9)
        assert found.id == "r1"

        review = records.Review(actor=examples.BOB, at=130.0, verdict=Verdict.NOT_JUSTIFIED, comment="no fire")
        await mine.commit(change(transitions.review(versions[-1], review)))

        assert await mine.unsettled(limit=9) == []
        seen = await mine.load("r1")
        assert seen is not None
        assert seen.emergency is not None
        assert seen.emergency.review == review


class TestShowing:
    async def test_a_card_that_is_shown_out_of_its_turn_changes_nothing_else_and_goes_never_back(
        self, mine: store.SqlStore
    ) -> None:
        new = examples.request()
        await add(mine, new)
        put_off = dataclasses.replace(
            transitions.not_shown(new, again_at=500.0), card=dataclasses.replace(new.card, shown=2)
        )
        await mine.told(put_off)
        for version, shown in ((1, 2), (5, 5), (3, 5)):
            await mine.card_shown("r1", version=version)
            assert await mine.load("r1") == dataclasses.replace(
                put_off, card=dataclasses.replace(put_off.card, shown=shown)
            )

    async def test_where_a_card_was_seen_counts_unless_its_place_is_on_record(self, mine: store.SqlStore) -> None:
        new = examples.request()
        await add(mine, new)
        for ts in ("1.seen", "2.late"):
            await mine.card_seen(new.id, ts=ts)
            found = await mine.load(new.id)
            assert found is not None
            assert (found.card.ts, found.card.shown) == ("1.seen", 0)

    async def test_a_place_that_is_on_record_stays_whatever_is_told_of_another(self, mine: store.SqlStore) -> None:
        new = examples.request()
        await add(mine, new)
        await mine.card_seen(new.id, ts="1.seen")
        for stale in (
            transitions.shown(new, dataclasses.replace(new.card, ts="2.post", shown=new.version)),
            transitions.shown(new, dataclasses.replace(new.card, ts=schedule.NO_CARD, shown=new.version)),
            transitions.not_shown(new, again_at=500.0),
        ):
            await mine.told(stale)
            found = await mine.load(new.id)
            assert found is not None
            assert (found.card.ts, found.card.shown) == ("1.seen", 0)
            assert (found.tell_failures, found.tell_at) == (stale.tell_failures, stale.tell_at)

        await mine.told(transitions.shown(new, dataclasses.replace(new.card, ts="1.seen", shown=new.version)))
        found = await mine.load(new.id)
        assert found is not None
        assert (found.card.ts, found.card.shown) == ("1.seen", new.version)

    async def test_a_card_that_was_given_up_may_still_get_a_place(self, mine: store.SqlStore) -> None:
        new = examples.request()
        await add(mine, new)
        for ts in (schedule.NO_CARD, "1.post"):
            await mine.told(transitions.shown(new, dataclasses.replace(new.card, ts=ts, shown=new.version)))
            found = await mine.load(new.id)
            assert found is not None
            assert (found.card.ts, found.card.shown) == (ts, new.version)


class TestPausing:
    async def test_a_pause_is_seen_by_every_replica_until_it_ends(
        self, mine: store.SqlStore, other: store.SqlStore
    ) -> None:
        assert await mine.paused() is None
        for reason in ("a release", "a longer release"):
            pause = ports.Pause(at=5.0, reason=reason, by="root")
            await other.pause(pause)
            assert await mine.paused() == pause
        assert await mine.resume(at=6.0, by="root")
        assert not await other.resume(at=7.0, by="root")
        assert await other.paused() is None
        assert [row["what"] for row in await rows_of(mine, "audit")] == ["paused", "paused", "resumed"]

    async def test_what_must_not_begin_in_a_pause_is_a_conflict_and_writes_nothing(
        self, mine: store.SqlStore, other: store.SqlStore
    ) -> None:
        approved = examples.approved(examples.request())
        await add(mine, examples.request())
        await mine.commit(change(approved))
        begins = dataclasses.replace(change(transitions.begin(approved, at=131.0)), unless_paused=True)
        await other.pause(ports.Pause(at=5.0, reason="a release", by="root"))

        with pytest.raises(errors.Conflict):
            await mine.commit(begins)

        assert await mine.load("r1") == approved
        assert [row["what"] for row in await rows_of(mine, "audit")][-1] == "paused"
        await other.resume(at=6.0, by="root")
        await mine.commit(begins)
        assert await mine.load("r1") == begins.request


class TestLookingBack:
    """The queries of the read commands."""

    async def test_of_what_is_unsettled_something_may_still_come(self, mine: store.SqlStore) -> None:
        waits, rehearsal = examples.request("r1"), examples.request("r2", dry_run=True)
        voted, ended = examples.request("r3", flow="flow-3"), examples.request("r4", flow="flow-4")
        await add(mine, waits, rehearsal, voted, ended)
        await mine.commit(change(examples.approved(voted)))
        await mine.commit(change(examples.denied(ended)))
        await mine.release(examples.denied(ended), due_at=None)
        await mine.release(waits, due_at=1.0)

        found = await mine.unsettled(limit=9)

        assert {one.id for one in found} == {"r1", "r2", "r3"}

    async def test_an_ended_request_is_settled_though_slack_has_still_to_be_told(self, mine: store.SqlStore) -> None:
        await add(mine, examples.asked())
        await mine.commit(change(examples.denied(examples.asked())))

        assert await mine.unsettled(limit=9) == []

    async def test_an_approved_request_is_settled_once_its_outcome_is_known(self, mine: store.SqlStore) -> None:
        running = transitions.begin(examples.approved(examples.request()), at=130.0)
        done = transitions.finish(running, records.Outcome(how=records.OutcomeKind.DONE, status="STANDBY"), at=131.0)
        await add(mine, examples.request())
        for version in (examples.approved(examples.request()), running):
            await mine.commit(change(version))
        assert await mine.unsettled(limit=9) == [running]
        await mine.commit(change(done))
        assert await mine.unsettled(limit=9) == []

    async def test_the_newest_come_first_and_no_more_than_asked_for(self, mine: store.SqlStore) -> None:
        many = [
            dataclasses.replace(examples.request(f"r{number}", flow=f"flow-{number}"), asked_at=float(number))
            for number in range(5)
        ]
        await add(mine, *many)

        assert [one.id for one in await mine.unsettled(limit=2)] == ["r4", "r3"]
        assert [one.id for one in await mine.history("live", limit=3)] == ["r4", "r3", "r2"]

    async def test_history_is_of_one_project_and_of_one_flow_if_asked_so(self, mine: store.SqlStore) -> None:
        elsewhere = dataclasses.replace(examples.request("r2"), project="test")
        await add(mine, examples.request("r1"), elsewhere, examples.request("r3", flow="flow-3"))
        await mine.commit(change(examples.denied(examples.request("r1"))))

        assert {one.id for one in await mine.history("live", limit=9)} == {"r1", "r3"}
        assert [one.id for one in await mine.history("live", flow_id="flow-1", limit=9)] == ["r1"]
        assert await mine.history("live", flow_id="flow-9", limit=9) == []


class TestRequestLeases:
    async def test_a_committed_request_stays_claimed_until_its_lease_lapses(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        await add(mine, examples.request())
        assert await other.claim("r1") is None
        assert await other.claim_due(limit=9) == []
        clock.time += store.LEASE
        assert await other.claim("r1") == examples.request()
        assert await mine.claim("r1") is None

    async def test_a_commit_that_no_release_follows_is_due_when_the_lease_lapses(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        await add(mine, examples.request())
        clock.time += store.LEASE
        assert await other.claim_due(limit=9) == [examples.request()]

    async def test_a_replica_may_claim_again_what_it_has(self, mine: store.SqlStore, clock: Clock) -> None:
        await add(mine, examples.request())
        clock.time += store.LEASE - 1
        assert await mine.claim("r1") == examples.request()
        assert await mine.claim_due(limit=9) == []
        assert await mine.next_due_at() is None

    async def test_claiming_again_renews_the_lease(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        await add(mine, examples.request())
        clock.time += store.LEASE - 1
        await mine.claim("r1")
        clock.time += store.LEASE - 1
        assert await other.claim("r1") is None

    async def test_a_replacement_claims_the_request_for_its_replica_where_nobody_holds_it(
        self, mine: store.SqlStore, other: store.SqlStore
    ) -> None:
        await add(mine, examples.request())
        await mine.release(examples.request(), due_at=0.0)
        await other.commit(change(examples.approved(examples.request())))
        assert await mine.claim("r1") is None
        assert await other.claim("r1") == examples.approved(examples.request())

    async def test_a_replacement_leaves_the_request_to_the_replica_that_holds_it(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        await add(mine, examples.request())
        approved = examples.approved(examples.request())
        await other.commit(change(approved))
        assert await other.claim("r1") is None
        assert other.lease_left("r1") == 0
        assert not await mine.release(examples.request(), due_at=None)
        assert await mine.claim("r1") == approved
        assert await mine.release(approved, due_at=clock.time)
        assert await other.claim_due(limit=9) == [approved]

    async def test_what_a_replica_left_to_one_that_died_is_due_when_the_lease_lapses(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        await add(mine, examples.request())
        clock.time += store.LEASE - 5
        approved = examples.approved(examples.request())
        await other.commit(change(approved))
        assert await other.claim_due(limit=9) == []
        clock.time += 5
        assert await other.claim_due(limit=9) == [approved]

    async def test_a_replica_whose_request_was_taken_over_and_moved_cannot_write_it(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        approved = examples.approved(examples.request())
        await add(mine, examples.request())
        await mine.commit(change(approved))
        clock.time += store.LEASE
        assert await other.claim("r1") == approved
        await other.commit(change(transitions.begin(approved, at=clock.time)))
        with pytest.raises(errors.Conflict):
            await mine.commit(change(transitions.begin(approved, at=clock.time)))
        assert mine.lease_left("r1") == 0
        assert other.lease_left("r1") == store.LEASE

    async def test_a_replica_whose_request_was_taken_over_gets_no_lease_by_writing_it(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        await add(mine, examples.request())
        clock.time += store.LEASE
        await other.claim("r1")
        await mine.commit(change(examples.approved(examples.request())))
        assert mine.lease_left("r1") == 0
        assert await mine.claim("r1") is None
        assert await other.claim("r1") == examples.approved(examples.request())

    async def test_whoever_learns_by_writing_that_another_replica_took_over_believes_in_no_lease_any_more(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        await add(mine, examples.request())
        clock.time += store.LEASE
        await other.claim("r1")
        mine._leases.given("r1", asked_at=mine._leases.now())  # like the late reply to an earlier write
        await mine.commit(change(examples.approved(examples.request())))
        assert mine.lease_left("r1") == 0

    async def test_what_an_entry_changes_is_leased_to_its_replica_unless_another_one_has_it(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        await mine.record([examples.entry("k1"), examples.entry("k2")])
        await add(mine, examples.request())
        assert await mine.release(examples.request(), due_at=None)
        approved = examples.approved(examples.request())
        await mine.commit(change(approved, entry="k1"))
        assert mine.lease_left("r1") == store.LEASE
        assert await other.claim("r1") is None
        clock.time += store.LEASE
        assert await other.claim("r1") == approved
        await mine.commit(change(transitions.begin(approved, at=clock.time), entry="k2"))
        assert mine.lease_left("r1") == 0
        assert await mine.claim("r1") is None

    async def test_a_replica_knows_how_long_its_lease_still_holds(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        assert mine.lease_left("r1") == 0
        await add(mine, examples.request())
        assert mine.lease_left("r1") == store.LEASE
        clock.time += 10
        await mine.claim("r1")
        assert mine.lease_left("r1") == store.LEASE
        clock.time += 10
        await mine.commit(change(examples.approved(examples.request())))
        assert mine.lease_left("r1") == store.LEASE
        assert await mine.release(examples.approved(examples.request()), due_at=0.0)
        assert mine.lease_left("r1") == 0
        await other.claim_due(limit=9)
        assert other.lease_left("r1") == store.LEASE
        clock.time += store.LEASE
        assert other.lease_left("r1") == 0

    async def test_a_released_request_is_free_and_due_when_it_says(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        await add(mine, examples.request())
        assert await mine.release(examples.request(), due_at=clock.time + 5)
        assert await mine.next_due_at() == clock.time + 5
        assert await other.claim_due(limit=9) == []
        clock.time += 5
        assert await other.claim_due(limit=9) == [examples.request()]

    async def test_a_request_that_nothing_can_come_of_is_never_due(self, mine: store.SqlStore, clock: Clock) -> None:
        await add(mine, examples.request())
        assert await mine.release(examples.request(), due_at=None)
        clock.time += DAY
        assert await mine.claim_due(limit=9) == []
        assert await mine.next_due_at() is None

    async def test_a_request_that_moved_is_not_released(self, mine: store.SqlStore, other: store.SqlStore) -> None:
        await add(mine, examples.request())
        await mine.commit(change(examples.approved(examples.request())))
        assert not await mine.release(examples.request(), due_at=None)
        assert await other.claim("r1") is None

    async def test_a_lease_that_another_replica_took_is_not_released(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        await add(mine, examples.request())
        clock.time += store.LEASE
        await other.claim("r1")
        assert not await mine.release(examples.request(), due_at=None)
        assert await mine.claim("r1") is None

    async def test_the_most_overdue_come_first_and_no_more_than_asked_for(
        self, mine: store.SqlStore, clock: Clock
    ) -> None:
        for number, late in enumerate([1, 2, 4, 3]):
            new = examples.request(f"r{number}", flow=f"flow-{number}")
            await add(mine, new)
            await mine.release(new, due_at=clock.time - late)
        assert await mine.next_due_at() == clock.time - 4
        assert [found.id for found in await mine.claim_due(limit=3)] == ["r2", "r3", "r1"]
        assert [found.id for found in await mine.claim_due(limit=3)] == ["r0"]

    async def test_two_replicas_never_claim_the_same(self, mine: store.SqlStore, other: store.SqlStore) -> None:
        for number in range(10):
            new = examples.request(f"r{number}", flow=f"flow-{number}")
            await add(mine, new)
            await mine.release(new, due_at=0.0)
        both = await asyncio.gather(*[one.claim_due(limit=7) for one in (mine, other)])
        assert sorted(len(found) for found in both) == [3, 7]
        assert len({found.id for found in both[0] + both[1]}) == 10


class TestTelling:
    async def test_telling_saves_what_slack_shows_and_nothing_else(self, mine: store.SqlStore) -> None:
        await add(mine, examples.asked())
        shown = dataclasses.replace(
            examples.asked(),
            card=records.Card(channel="C9", ts="1.2", shown=1),
            tell_failures=3,
            tell_at=55.5,
        )
        await mine.told(dataclasses.replace(shown, reason="another", state=State.EXPIRED, votes=()))
        assert await mine.load("r1") == shown

    async def test_telling_does_not_disturb_a_newer_version(self, mine: store.SqlStore) -> None:
        await add(mine, examples.request())
        newer = examples.approved(examples.request())
        await mine.commit(change(newer))
        card = records.Card(channel="C2", ts="1.2", shown=1)
        await mine.told(dataclasses.replace(examples.request(), card=card))
        assert await mine.load("r1") == dataclasses.replace(newer, card=card)

    async def test_a_decision_does_not_undo_what_was_told_meanwhile(self, mine: store.SqlStore) -> None:
        await add(mine, examples.asked())
        card = records.Card(channel="C2", ts="1.2", shown=1)
        await mine.told(dataclasses.replace(examples.asked(), card=card, tell_failures=2, tell_at=9.0))
        await mine.reply_sent("r1", seq=1, ts="1.3")
        newer = examples.approved(examples.asked())
        await mine.commit(change(newer))
        found = await mine.load("r1")
        assert found == dataclasses.replace(newer, card=card, tell_failures=2, tell_at=9.0, unsent=newer.unsent[1:])

    async def test_sent_replies_are_gone_and_the_others_stay_in_order(self, mine: store.SqlStore) -> None:
        new = examples.asked()
        for said in (records.ReplyKind.REMINDED, records.ReplyKind.CALLING, records.ReplyKind.OUTCOME):
            new = transitions.say(new, said, at=101.0)
        await add(mine, new)
        await mine.reply_sent("r1", seq=2, ts="1.3")
        found = await mine.load("r1")
        assert found is not None
        assert [reply.seq for reply in found.unsent] == [1, 3, 4]


class TestInbox:
    @ON_ONE_DATABASE
    @given(received=examples.of(Entry))
    async def test_what_is_recorded_is_found(self, mine: store.SqlStore, received: Entry) -> None:
        received = dataclasses.replace(received, key=examples.new_key(), received_at=1.8e9)
        assert await mine.record([received]) == {received.key}
        assert await mine.entry(received.key) == received

    async def test_no_entry_is_none(self, mine: store.SqlStore) -> None:
        assert await mine.record([]) == frozenset()
        assert await mine.entry("k1") is None

    async def test_a_repeat_within_a_day_is_not_new(self, mine: store.SqlStore, other: store.SqlStore) -> None:
        first = examples.entry()
        again = examples.entry(received_at=first.received_at + DAY - 1, text="stop other")
        await mine.record([first])
        assert await other.record([again, examples.entry("k2")]) == {"k2"}
        assert await mine.entry("k1") == first

    async def test_a_repeat_inside_one_batch_counts_once(self, mine: store.SqlStore) -> None:
        first, again = examples.entry(text="stop one"), examples.entry(text="stop two")
        assert await mine.record([first, again]) == {"k1"}
        assert await mine.entry("k1") == first

    async def test_a_key_may_come_again_after_a_day(self, mine: store.SqlStore, clock: Clock) -> None:
        await mine.record([examples.entry()])
        await mine.commit(change(entry="k1", answer=NOTED))
        await mine.finish_entry("k1")
        clock.time += DAY
        assert await mine.entry("k1") is None
        again = examples.entry(received_at=clock.time, text="stop other")
        assert await mine.record([again]) == {"k1"}
        assert await mine.entry("k1") == again
        clock.time += store.LEASE
        assert await mine.claim_entries(limit=9) == [ports.Claimed(entry=again)]

    async def test_thousands_are_recorded_at_once(self, mine: store.SqlStore) -> None:
        many = [examples.entry(f"k{number}") for number in range(5000)]
        assert await mine.record(many) == {entry.key for entry in many}
        assert await mine.record([*many, examples.entry("new")]) == {"new"}


class TestInboxLeases:
    async def test_a_recorded_entry_is_claimed_until_its_lease_lapses(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        await mine.record([examples.entry()])
        assert await other.claim_entries(limit=9) == []
        clock.time += store.LEASE
        assert await other.claim_entries(limit=9) == [ports.Claimed(entry=examples.entry())]
        assert await mine.claim_entries(limit=9) == []

    async def test_the_oldest_entries_come_first_and_no_more_than_asked_for(
        self, mine: store.SqlStore, clock: Clock
    ) -> None:
        await mine.record([examples.entry(f"k{late}", received_at=clock.time - late) for late in (1, 3, 2)])
        clock.time += store.LEASE
        assert [found.entry.key for found in await mine.claim_entries(limit=2)] == ["k3", "k2"]
        assert [found.entry.key for found in await mine.claim_entries(limit=2)] == ["k1"]

    @ON_ONE_DATABASE
    @given(answer=examples.of(answers.AnyAnswer))
    async def test_a_decided_entry_comes_back_with_its_answer(
        self, mine: store.SqlStore, clock: Clock, answer: answers.AnyAnswer
    ) -> None:
        received = examples.entry(f"k{clock.time}", received_at=clock.time)
        await mine.record([received])
        await mine.commit(change(entry=received.key, answer=answer))
        assert await mine.claim_entries(limit=9) == []
        clock.time += store.LEASE
        assert await mine.claim_entries(limit=9) == [ports.Claimed(entry=received, answer=answer)]
        await mine.finish_entry(received.key)

    async def test_a_finished_entry_never_comes_back(self, mine: store.SqlStore, clock: Clock) -> None:
        await mine.record([examples.entry("k1"), examples.entry("k2")])
        await mine.commit(change(entry="k1"))
        await mine.commit(change(entry="k2", answer=NOTED))
        await mine.finish_entry("k2")
        clock.time += DAY - 1
        assert await mine.claim_entries(limit=9) == []
        assert await mine.entry("k1") == examples.entry("k1")

    async def test_a_postponed_entry_comes_back_when_it_says(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        await mine.record([examples.entry()])
        await mine.commit(change(entry="k1", answer=NOTED))
        await mine.postpone_entry("k1", until=clock.time + 5)
        assert await other.claim_entries(limit=9) == []
        clock.time += 5
        assert await other.claim_entries(limit=9) == [ports.Claimed(entry=examples.entry(), answer=NOTED)]

    async def test_an_entry_that_another_replica_took_is_not_postponed(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock
    ) -> None:
        await mine.record([examples.entry()])
        clock.time += store.LEASE
        await other.claim_entries(limit=9)
        await mine.postpone_entry("k1", until=clock.time)
        assert await mine.claim_entries(limit=9) == []


class TestLettingGo:
    async def test_what_a_replica_lets_go_is_free_at_once_and_what_it_keeps_is_not(
        self, mine: store.SqlStore, other: store.SqlStore
    ) -> None:
        await mine.record([examples.entry("k1"), examples.entry("k2")])
        await add(mine, examples.request("r1", flow="flow-1"), examples.request("r2", flow="flow-2"))
        await mine.let_go(keeping={"k1", "r1"})
        assert [each.entry.key for each in await other.claim_entries(limit=9)] == ["k2"]
        assert [each.id for each in await other.claim_due(limit=9)] == ["r2"]

    async def test_a_replica_lets_nothing_go_that_another_one_holds(
        self, mine: store.SqlStore, other: store.SqlStore
    ) -> None:
        await other.record([examples.entry()])
        await add(other, examples.request())
        await mine.let_go(keeping=())
        assert await mine.claim_entries(limit=9) == []
        assert await mine.claim_due(limit=9) == []


class TestOneTransaction:
    async def test_a_change_is_written_whole(self, mine: store.SqlStore) -> None:
        await mine.record([examples.entry()])
        await mine.commit(change(examples.asked(), entry="k1", answer=NOTED))
        assert await mine.load("r1") == examples.asked()
        assert [row["state"] for row in await rows_of(mine, "inbox")] == ["decided"]
        assert [row["request_id"] for row in await rows_of(mine, "audit")] == ["r1"]

    @pytest.mark.parametrize(
        ("refused", "failure"),
        [
            (examples.asked("r2"), errors.FlowHeld),
            (examples.request("r1"), errors.Conflict),
            (dataclasses.replace(examples.request("r1"), version=3), errors.Conflict),
        ],
    )
    async def test_a_change_that_is_refused_leaves_nothing(
        self, mine: store.SqlStore, refused: records.Request, failure: type[errors.StoreError], clock: Clock
    ) -> None:
        await add(mine, examples.request("r1"))
        await mine.record([examples.entry()])
        with pytest.raises(failure):
            await mine.commit(change(refused, entry="k1", answer=NOTED))
        assert await mine.load("r1") == examples.request("r1")
        assert await mine.load("r2") is None
        assert await rows_of(mine, "replies") == []
        assert len(await rows_of(mine, "audit")) == 1
        clock.time += store.LEASE
        assert await mine.claim_entries(limit=9) == [ports.Claimed(entry=examples.entry())]

    async def test_an_entry_that_is_done_may_still_get_an_answer(self, mine: store.SqlStore, clock: Clock) -> None:
        await mine.record([examples.entry()])
        await mine.commit(change(examples.request(), entry="k1"))
        again = ports.Change(entry="k1", answer=NOTED, reopens=True, audit=())
        await mine.commit(again)
        clock.time += store.LEASE
        assert await mine.claim_entries(limit=9) == [ports.Claimed(entry=examples.entry(), answer=NOTED)]

    @pytest.mark.parametrize("answer", [NOTED, None])
    async def test_an_entry_is_decided_once_whichever_replica_decides(
        self, mine: store.SqlStore, other: store.SqlStore, clock: Clock, answer: answers.AnyAnswer | None
    ) -> None:
        await mine.record([examples.entry()])
        clock.time += store.LEASE
        await other.claim_entries(limit=9)
        await other.commit(change(entry="k1", answer=answer))
        before = await rows_of(other, "inbox"), await rows_of(other, "audit")
        with pytest.raises(errors.DecidedBefore):
            await mine.commit(change(examples.request(), entry="k1", answer=NOTED))
        assert (await rows_of(mine, "inbox"), await rows_of(mine, "audit")) == before
        assert await mine.load("r1") is None

    async def test_a_caller_that_stops_waiting_does_not_stop_the_write(
        self, mine: store.SqlStore, replicas: Replicas
    ) -> None:
        writing = asyncio.create_task(mine.commit(change(examples.request())))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await mine.close()
        assert await (await replicas.open("next")).load("r1") == examples.request()

    async def test_a_closed_store_writes_and_reads_nothing(self, mine: store.SqlStore) -> None:
        await mine.close()
        with pytest.raises(errors.NotRecorded, match="closed"):
            await mine.record([examples.entry()])
        with pytest.raises(errors.StoreError, match="closed"):
            await mine.load("r1")


_NOTHING = "audit (id, at, what, facts) VALUES (1, 0, 'nothing', '{}')"
_REPLACING = {
    "sqlite": f"INSERT OR REPLACE INTO {_NOTHING}",
    "postgresql": f"INSERT INTO {_NOTHING} ON CONFLICT (id) DO UPDATE SET what = excluded.what",
}


class TestAudit:
    async def test_an_event_is_kept_with_its_facts_in_order(self, mine: store.SqlStore) -> None:
        events = (
            ports.AuditEvent(at=1.0, what="asked", actor=examples.ALICE, request_id="r1", facts={"b": [1], "a": "ü"}),
            ports.AuditEvent(at=2.0, what="started"),
        )
        await mine.commit(ports.Change(audit=events))
        nobody = {"actor_team": None, "actor_user": None, "request_id": None, "facts": "{}"}
        unchained = {"seq": None, "prev": None, "hash": None}
        assert await rows_of(mine, "audit") == [
            {
                "id": 1,
                "at": 1.0,
                "what": "asked",
                "actor_team": "T1",
                "actor_user": "UALICE",
                "request_id": "r1",
                "facts": '{"a":"ü","b":[1]}',
                **unchained,
            },
            {"id": 2, "at": 2.0, "what": "started", **nobody, **unchained},
        ]

    @pytest.mark.parametrize(
        "tampering",
        [
            "DELETE FROM audit",
            "UPDATE audit SET what = 'nothing'",
            "UPDATE audit SET facts = '{}'",
            "UPDATE audit SET at = 0",
            "replace",
        ],
    )
    async def test_an_event_cannot_be_changed(self, mine: store.SqlStore, tampering: str) -> None:
        await mine.commit(change())
        before = await rows_of(mine, "audit")

        def tamper(connection: sa.Connection) -> None:
            statement = _REPLACING[connection.dialect.name] if tampering == "replace" else tampering
            with pytest.raises(exc.IntegrityError, match="append-only"):
                connection.execute(sa.text(statement))
            connection.rollback()

        await mine.database.write(tamper)
        assert await rows_of(mine, "audit") == before

    async def test_an_event_is_linked_once(self, mine: store.SqlStore) -> None:
        await mine.commit(change())

        def twice(connection: sa.Connection) -> None:
            link = sa.text("UPDATE audit SET seq = 1, prev = '', hash = 'h'")
            connection.execute(link)
            with pytest.raises(exc.IntegrityError, match="append-only"):
                connection.execute(link)
            connection.rollback()

        await mine.database.write(twice)


class TestKeys:
    """The state of access keys."""

    @pytest.mark.parametrize("law", key_laws.LAWS, ids=lambda law: law.__name__)
    async def test_keys_are_counted(self, mine: store.SqlStore, other: store.SqlStore, law: key_laws.Law) -> None:
        await law(mine, other)
