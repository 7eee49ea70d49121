"""Finding flows: by id, by name, and when a text is both."""

import asyncio

import pytest

from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.lifecycle.records import Flow
from bot.policy import model
from bot.usecases import answers
from bot.usecases.find_flow import CANDIDATES, GUESS_BY, NAMES_FRESH, NAMES_FRESHEST, FlowFinder
from tests.fakes import MAIN, PATIENCE, POLICY, FakeClock, FakeCloud, policy_of, until

HK = policy_of(POLICY).projects["hk"]
AWAY = CloudFailure(fault=Fault.UNCERTAIN, http_status=503)


def flow(flow_id: str, name: str) -> Flow:
    """Return a flow."""
    return Flow(flow_id=flow_id, name=name, region="r", status="ACTIVE")


class Search:
    """A finder with its cloud and clock."""

    def __init__(self, *flows: Flow) -> None:
        self.cloud, self.clock = FakeCloud(*flows), FakeClock()
        self.finder = FlowFinder(cloud=self.cloud, clock=self.clock)

    async def find(self, typed: str) -> Flow | answers.NoSuchFlow | answers.Unreadable:
        """Find a flow."""
        return await self.finder.find(HK, typed)

    def lists(self) -> int:
        """Return how often the list was read."""
        return sum(method == "flows" for method, _ in self.cloud.calls)


async def test_an_id_finds_its_flow() -> None:
    assert await Search().find("flow-1") == MAIN


async def test_an_exact_name_finds_its_flow() -> None:
    assert await Search().find("main-feed") == MAIN


async def test_a_name_in_another_case_is_no_match_but_a_candidate() -> None:
    found = await Search().find("Main-Feed")

    assert isinstance(found, answers.NoSuchFlow)
    assert found.candidates == (("flow-1", "main-feed"),)


async def test_an_id_that_is_another_flows_name_shows_both() -> None:
    found = await Search(flow("a", "first"), flow("b", "a")).find("a")

    assert isinstance(found, answers.NoSuchFlow)
    assert found.ambiguous
    assert found.candidates == (("a", "first"), ("b", "a"))


async def test_an_id_that_is_also_its_own_name_is_no_doubt() -> None:
    assert await Search(flow("a", "a")).find("a") == flow("a", "a")


async def test_an_id_is_found_although_the_list_cannot_be_read() -> None:
    search = Search()
    search.cloud.will("flows", AWAY)

    assert await search.find("flow-1") == MAIN


async def test_a_name_that_two_flows_share_is_not_guessed() -> None:
    found = await Search(flow("a", "twin"), flow("b", "twin")).find("twin")

    assert isinstance(found, answers.NoSuchFlow)
    assert found.ambiguous
    assert found.candidates == (("a", "twin"), ("b", "twin"))


async def test_many_candidates_are_cut() -> None:
    twins = [flow(f"id{number}", "twin") for number in range(CANDIDATES + 3)]
    found = await Search(*twins, flow("twin", "other")).find("twin")

    assert isinstance(found, answers.NoSuchFlow)
    assert len(found.candidates) == CANDIDATES


@pytest.mark.parametrize("fault", [Fault.NOT_FOUND, Fault.REJECTED])
async def test_an_id_that_the_cloud_does_not_take_may_still_be_a_name(fault: Fault) -> None:
    search = Search(flow("b", "main"))
    search.cloud.will("flow", CloudFailure(fault=fault, http_status=400))

    assert await search.find("main") == flow("b", "main")


@pytest.mark.parametrize("fault", sorted(set(Fault) - {Fault.NOT_FOUND, Fault.REJECTED}))
async def test_a_failure_to_read_is_shown_as_it_came(fault: Fault) -> None:
    search, failure = Search(), CloudFailure(fault=fault, code="X")
    search.cloud.will("flow", failure)

    assert await search.find("main-feed") == answers.Unreadable(typed="main-feed", project="hk", failure=failure)


async def test_a_list_that_cannot_be_read_is_shown_as_unreadable() -> None:
    search = Search()
    search.cloud.will("flows", AWAY)

    assert await search.find("main-feed") == answers.Unreadable(typed="main-feed", project="hk", failure=AWAY)


async def test_a_flow_that_cannot_be_read_after_its_name_matched_is_unreadable() -> None:
    search = Search()
    search.cloud.will("flow", CloudFailure(fault=Fault.NOT_FOUND), AWAY)

    assert isinstance(await search.find("main-feed"), answers.Unreadable)


async def test_names_are_remembered_for_a_minute() -> None:
    search = Search()
    await search.find("main-feed")
    search.clock.turn(NAMES_FRESH - 0.1)
    await search.find("main-feed")
    assert search.lists() == 1

    search.clock.turn(0.1)
    await search.find("main-feed")
    assert search.lists() == 2


async def test_a_new_name_is_looked_for_in_a_fresh_list_before_no_is_said() -> None:
    search = Search()
    await search.find("main-feed")
    search.cloud.there["new"] = flow("new", "new-feed")
    search.clock.turn(NAMES_FRESHEST)

    assert await search.find("new-feed") == flow("new", "new-feed")


async def test_a_remembered_name_that_was_given_away_leads_to_the_new_owner() -> None:
    search = Search(flow("a", "feed"))
    await search.find("feed")
    search.cloud.there = {"a": flow("a", "old-feed"), "b": flow("b", "feed")}

    assert await search.find("feed") == flow("b", "feed")


async def test_candidates_are_those_that_contain_it_then_those_spelled_alike() -> None:
    found = await Search(flow("1", "main-feet"), flow("2", "the-main-feed"), flow("3", "studio")).find("main-feed")

    assert isinstance(found, answers.NoSuchFlow)
    assert found.candidates == (("2", "the-main-feed"), ("1", "main-feet"))


async def test_lists_of_projects_are_kept_apart() -> None:
    search = Search()
    other = model.Project(name="sg", project_id="p", region="r", endpoint="http://127.0.0.1:9", channels=("C0SG",))
    await search.find("main-feed")
    await search.finder.find(other, "main-feed")

    assert [about for method, about in search.cloud.calls if method == "flows"] == ["hk", "sg"]


async def test_many_who_ask_at_once_share_one_reading_of_the_names() -> None:
    search = Search()

    await asyncio.gather(*(search.find("nothing-like-it") for _ in range(20)))

    assert search.lists() == 1


async def test_what_is_looked_for_to_be_read_is_asked_for_as_such() -> None:
    search = Search(flow("f-1", "main"), flow("f-2", "backup"))

    await search.finder.find(HK, "main", purpose="read")
    await search.finder.find(HK, "f-2", purpose="read")
    await search.finder.listed(HK)
    assert set(search.cloud.purposes) == {"read"}
    await search.find("main")
    assert "stop" in search.cloud.purposes


async def test_the_list_says_when_it_was_read_and_serves_everybody_for_a_minute() -> None:
    search = Search(flow("f-1", "main"))

    first = await search.finder.listed(HK)
    search.clock.turn(NAMES_FRESH - 1)
    again = await search.finder.listed(HK)
    assert not isinstance(first, CloudFailure)
    assert first == again
    assert first.at == search.clock.now() - NAMES_FRESH + 1
    search.clock.turn(1)
    await search.finder.listed(HK)

    assert search.lists() == 2


async def test_a_list_that_cannot_be_read_is_a_failure_and_is_not_remembered() -> None:
    search = Search(flow("f-1", "main"))
    search.cloud.will("flows", AWAY)

    assert await search.finder.listed(HK) == AWAY
    assert not isinstance(await search.finder.listed(HK), CloudFailure)


async def test_a_stop_does_not_wait_for_a_list_that_somebody_looks_at() -> None:
    search = Search(flow("f-1", "main"))
    held = asyncio.Event()
    search.cloud.will("flows", held)
    looking = asyncio.create_task(search.finder.listed(HK))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    async with asyncio.timeout(PATIENCE):
        assert await search.find("main") == flow("f-1", "main")

    held.set()
    assert not isinstance(await looking, CloudFailure)


async def test_whoever_looks_at_the_list_shares_the_reading_of_a_stop() -> None:
    search = Search(flow("f-1", "main"))
    held = asyncio.Event()
    search.cloud.will("flows", held)
    stopping = asyncio.create_task(search.find("main"))
    await until(search.lists)
    looking = asyncio.create_task(search.finder.listed(HK))
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(stopping, looking)

    assert search.lists() == 1


async def test_somebody_who_only_looks_is_told_from_a_list_of_a_minute_that_there_is_none() -> None:
    search = Search(flow("f-1", "main"))
    await search.finder.listed(HK)
    search.clock.turn(30)

    found = await search.finder.find(HK, "mian", purpose="read", freshest=False)

    assert isinstance(found, answers.NoSuchFlow)
    assert search.lists() == 1


class TestGuessing:
    """Emergencies continue if the cloud cannot be read."""

    @staticmethod
    async def guess(search: Search, typed: str) -> Flow | answers.NoSuchFlow | answers.Unreadable:
        """Find a flow that cannot be read."""
        search.cloud.will("flow", AWAY)
        return await search.finder.find_or_guess(HK, typed)

    async def test_what_can_be_read_is_no_guess(self) -> None:
        assert await Search().finder.find_or_guess(HK, "main-feed") == MAIN

    @pytest.mark.parametrize("typed", ["flow-1", "main-feed"])
    async def test_the_names_say_which_flow_an_id_or_a_name_is(self, typed: str) -> None:
        found = await self.guess(Search(), typed)

        assert found == Flow(flow_id="flow-1", name="main-feed", region=HK.region, status="")

    @pytest.mark.parametrize(("age", "name"), [(GUESS_BY, "main-feed"), (GUESS_BY + 1, "")])
    async def test_names_of_an_hour_count_while_the_list_cannot_be_read_either(self, age: float, name: str) -> None:
        search = Search()
        await search.find("main-feed")
        search.clock.turn(age)
        search.cloud.will("flows", AWAY)

        assert await self.guess(search, "flow-1") == Flow(flow_id="flow-1", name=name, region=HK.region, status="")

    async def test_what_old_names_do_not_have_is_taken_for_an_id(self) -> None:
        search = Search()
        await search.find("main-feed")
        search.clock.turn(NAMES_FRESH)
        search.cloud.will("flows", AWAY)

        assert await self.guess(search, "flow-9") == Flow(flow_id="flow-9", name="", region=HK.region, status="")

    async def test_what_fresh_names_do_not_have_is_nowhere(self) -> None:
        found = await self.guess(Search(), "main")

        assert found == answers.NoSuchFlow(typed="main", project="hk", candidates=(("flow-1", "main-feed"),))

    async def test_an_id_that_is_another_flows_name_is_nobodys_guess(self) -> None:
        found = await self.guess(Search(flow("a", "first"), flow("b", "a")), "a")

        assert isinstance(found, answers.NoSuchFlow)
        assert (found.ambiguous, found.candidates) == (True, (("a", "first"), ("b", "a")))
