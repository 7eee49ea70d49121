"""The results of the read commands, with a real database and fakes of the cloud and Slack."""

import dataclasses
import pathlib
import re
from collections.abc import AsyncIterator

import pytest

from bot.commands import grammar
from bot.commands.deliveries import Actor, Modal, Submitted, Typed, Verdict
from bot.commands.verbs import VERBS, Verb
from bot.lifecycle import transitions
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.lifecycle.records import Flow, Request
from bot.policy.model import Kind, Why
from bot.usecases import answers, errors, ports, query_results
from bot.usecases.find_flow import FlowFinder
from bot.usecases.queries import HISTORY, OPEN_SHOWN, PAGE, Queries
from tests.fakes import ALICE, BOB, BURNS, CAROL, DAVE, EMERGENCY, ERIN, MAIN, POLICY, Desk, open_desk, policy_of

HERE, ELSEWHERE = "C0INCIDENT", "C0RANDOM"
SECOND = """\
[projects.sg]
project_id = "fedcba9876543210fedcba9876543210"
region     = "ap-southeast-3"
endpoint   = "http://127.0.0.1:9"
channels   = ["C0SG"]

"""


def deny(**keys: str) -> str:
    """Return the sample policy with a rule that denies reading."""
    given = {"name": '"closed"', "effect": '"deny"', "verbs": '["read"]', "who": '["*"]', **keys}
    return POLICY + "\n[[rules]]\n" + "\n".join(f"{key} = {value}" for key, value in given.items()) + "\n"


class Library:
    """A desk, and a person who reads there."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.reading = Queries(
            store=desk.store,
            finder=FlowFinder(cloud=desk.cloud, clock=desk.clock),
            gate=desk.gate,
            directory=desk.directory,
            clock=desk.clock,
        )

    async def ask(self, text: str, actor: Actor = ALICE, *, channel: str = HERE, page: int = 1) -> object:
        """Return the result of a command."""
        command = grammar.parse(text)
        assert isinstance(command, grammar.ReadCommand)
        return await self.reading.read(actor, Typed(text=text, channel=channel), command, page=page)

    async def history(
        self, text: str = "history", actor: Actor = ALICE, *, channel: str = HERE
    ) -> query_results.History:
        """Return the result of `history`."""
        found = await self.ask(text, actor, channel=channel)
        assert isinstance(found, query_results.History), found
        return found

    async def flows(self, text: str = "list", actor: Actor = ALICE, *, page: int = 1) -> query_results.Flows:
        """Return the result of `list`."""
        found = await self.ask(text, actor, page=page)
        assert isinstance(found, query_results.Flows), found
        return found

    async def pending(self, actor: Actor, *, channel: str = HERE) -> query_results.Pending:
        """Return the result of `pending`."""
        found = await self.ask("pending", actor, channel=channel)
        assert isinstance(found, query_results.Pending), found
        return found

    async def refused(self, text: str, actor: Actor = ALICE) -> answers.Refused:
        """Return the refusal of a command."""
        found = await self.ask(text, actor)
        assert isinstance(found, answers.Refused), found
        return found


@pytest.fixture
async def library(tmp_path: pathlib.Path) -> AsyncIterator[Library]:
    """Open a library."""
    async with open_desk(tmp_path) as desk:
        yield Library(desk)


def named(rows: tuple[query_results.Row, ...]) -> list[str]:
    """Return the ids of the shown requests."""
    return [row.request.id for row in rows]


def many(desk: Desk, number: int) -> None:
    """Create flows in the cloud."""
    for n in range(number):
        desk.cloud.there[f"f-{n:03}"] = Flow(flow_id=f"f-{n:03}", name=f"Feed {n:03}", region="r", status="ACTIVE")


async def test_status_shows_the_flow_its_holder_and_its_last_requests_apart(library: Library) -> None:
    denied = await library.desk.opened()
    await library.desk.take(library.desk.click("deny", CAROL, denied.id))
    library.desk.clock.turn(1)
    holder = await library.desk.opened()

    found = await library.ask("status main-feed", BOB)

    assert isinstance(found, query_results.Status)
    assert (found.project, found.flow) == ("hk", MAIN)
    assert found.holder is not None
    assert found.holder.request.id == holder.id
    assert named(found.last) == [denied.id]


@pytest.mark.parametrize("text", ["status main-feed", "status flow-1", "list", "history main-feed"])
async def test_looking_around_leaves_the_cloud_to_those_who_stop(library: Library, text: str) -> None:
    await library.ask(text)

    assert set(library.desk.cloud.purposes) == {"read"}


async def test_the_list_is_sorted_filtered_counted_and_paged(library: Library) -> None:
    many(library.desk, 45)

    first, last = await library.flows("list feed"), await library.flows("list FEED", page=3)

    assert [row.name for row in first.rows] == [f"Feed {n:03}" for n in range(PAGE)]
    assert (first.total, first.page, first.pages, first.tally) == (46, 1, 3, (("ACTIVE", 46),))
    assert first.asked == grammar.ReadCommand(verb=Verb.LIST, about="feed", project="hk")
    assert last.rows[-1].name == "main-feed"
    assert [row.flow_id for row in (await library.flows("list f-04")).rows] == [f"f-{n:03}" for n in range(40, 45)]


@pytest.mark.parametrize(("asked", "shown_page"), [(0, 1), (-5, 1), (2, 2), (99, 3)])
async def test_a_page_that_is_not_there_any_more_is_the_nearest_one(
    library: Library, asked: int, shown_page: int
) -> None:
    many(library.desk, 45)

    assert (await library.flows(page=asked)).page == shown_page


async def test_an_empty_list_has_one_page(library: Library) -> None:
    found = await library.flows("list zzz")

    assert (found.rows, found.total, found.page, found.pages) == ((), 0, 1, 1)


async def test_the_list_is_as_old_as_it_says(library: Library) -> None:
    await library.flows()
    library.desk.clock.turn(42)

    assert (await library.flows()).age == 42
    assert library.desk.cloud.purposes == ["read"]


async def test_what_the_cloud_does_not_say_is_told_as_a_failure(library: Library) -> None:
    away = CloudFailure(fault=Fault.UNCERTAIN, http_status=503)
    library.desk.cloud.will("flows", away)
    library.desk.cloud.will("flow", away)

    assert await library.ask("list") == query_results.FlowsUnread(project="hk", failure=away)
    assert await library.ask("status main-feed") == answers.Unreadable(typed="main-feed", project="hk", failure=away)


async def test_pending_puts_first_what_the_reader_may_decide(library: Library) -> None:
    many(library.desk, 2)
    mine = await library.desk.opened("stop flow-1", ALICE)
    alone = await library.desk.opened("stop f-001", CAROL)

    alice, carol, dave = [await library.pending(actor) for actor in (ALICE, CAROL, DAVE)]

    assert (named(alice.deciding), set(named(alice.others))) == ([], {mine.id, alone.id})
    assert set(named(carol.deciding)) == {mine.id, alone.id}
    assert set(named(dave.deciding)) == {mine.id, alone.id}
    await library.desk.take(library.desk.click("approve", DAVE, mine.id))
    assert mine.id in named((await library.pending(CAROL)).others)


async def test_what_a_rule_that_is_gone_asked_for_is_for_nobody_to_decide(library: Library) -> None:
    opened = await library.desk.opened()
    library.desk.policy = policy_of(POLICY.partition("[[rules]]")[0])

    found = await library.pending(CAROL)

    assert (found.deciding, named(found.others)) == ((), [opened.id])


async def test_more_open_requests_than_fit_are_counted(library: Library) -> None:
    many(library.desk, OPEN_SHOWN + 3)
    for number in range(OPEN_SHOWN + 3):
        await library.desk.opened(f"stop f-{number:03}")

    bob, carol = await library.pending(BOB), await library.pending(CAROL)

    assert (len(bob.others), bob.more) == (OPEN_SHOWN, 3)
    assert (len(carol.deciding), carol.more) == (OPEN_SHOWN, 3)


async def test_history_is_bounded_and_begins_with_the_newest(library: Library) -> None:
    opened: list[Request] = []
    for _ in range(HISTORY + 2):
        opened.append(await library.desk.opened("stop flow-1 --dry-run"))
        library.desk.clock.turn(1)

    found = await library.history()

    assert named(found.rows) == [one.id for one in reversed(opened)][:HISTORY]
    assert named((await library.history("history flow-1")).rows) == named(found.rows)
    assert library.desk.cloud.purposes.count("read") == 0


async def test_history_finds_a_name_in_the_cloud(library: Library) -> None:
    opened = await library.desk.opened()

    found = await library.history("history main-feed")

    assert (named(found.rows), found.about) == ([opened.id], "main-feed")
    assert isinstance(await library.ask("history mian-feed"), answers.NoSuchFlow)


async def test_history_without_a_project_is_of_all_that_may_be_read(library: Library) -> None:
    library.desk.policy = policy_of(SECOND + POLICY)
    opened = await library.desk.opened()

    assert (await library.history(channel=ELSEWHERE)).projects == ("sg", "hk")
    assert named((await library.history(channel=ELSEWHERE)).rows) == [opened.id]
    assert (await library.history("history --project sg")).rows == ()
    assert isinstance(await library.ask("history --project us", channel=ELSEWHERE), answers.WhichProject)
    assert isinstance(await library.ask("history main-feed", channel=ELSEWHERE), answers.WhichProject)
    library.desk.policy = policy_of(SECOND + deny(projects='["sg"]'))
    assert (await library.history(channel=ELSEWHERE)).projects == ("hk",)
    library.desk.policy = policy_of(SECOND + deny())
    assert isinstance(await library.ask("history", channel=ELSEWHERE), answers.Refused)


async def test_a_project_that_is_gone_from_the_policy_is_not_shown(library: Library) -> None:
    await library.desk.opened()
    library.desk.policy = policy_of(
        SECOND + POLICY.replace("[projects.hk]", "[projects.other]").replace('"hk"', '"other"')
    )

    found = await library.pending(CAROL)

    assert (found.deciding, found.others, found.more) == ((), (), 0)


# Rights to read


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.MEMBER, Kind.UNREACHABLE)])
@pytest.mark.parametrize("text", ["status main-feed", "list", "pending", "history"])
async def test_whoever_is_no_full_member_reads_nothing(library: Library, kind: Kind, text: str) -> None:
    library.desk.directory.kinds[ALICE.user] = kind

    refused = await library.refused(text)

    assert (refused.decision.why, refused.decision.rule, refused.people) == (Why.OUTSIDER, None, ())
    assert library.desk.cloud.calls == []


async def test_when_slack_cannot_be_asked_nobody_reads(library: Library) -> None:
    library.desk.directory.away = True

    assert (await library.refused("list")).decision.why is Why.UNREACHABLE


async def test_a_group_that_slack_cannot_be_asked_about_keeps_its_deny(library: Library) -> None:
    library.desk.policy = policy_of(deny(who='["S0FAR"]'))

    refused = await library.refused("list")

    assert (refused.decision.why, refused.decision.groups) == (Why.UNREACHABLE, ("S0FAR",))


async def test_pending_is_refused_to_whoever_may_read_of_no_project_and_to_nobody_else(library: Library) -> None:
    library.desk.policy = policy_of(SECOND + deny())
    assert (await library.refused("pending")).decision.why is Why.DENY_RULE

    library.desk.policy = policy_of(SECOND + deny(projects='["hk"]'))
    assert isinstance(await library.ask("pending"), query_results.Pending)
    library.desk.policy = policy_of(deny(flows='["main-*"]'))
    assert isinstance(await library.ask("pending"), query_results.Pending)


async def test_who_could_read_instead_is_whoever_the_deny_leaves_out(library: Library) -> None:
    library.desk.policy = policy_of(deny(**{"except": '["media-leads"]'}))
    spared = await library.refused("list")
    library.desk.policy = policy_of(deny(who='["U0ALICE"]'))
    others = await library.refused("list")

    assert (spared.decision.who_could, spared.people) == (("media-leads",), ("U0CAROL", "U0DAVE"))
    assert others.decision.who_could == ("*",)


async def test_flows_that_are_closed_are_neither_listed_nor_offered(library: Library) -> None:
    many(library.desk, 2)
    library.desk.policy = policy_of(deny(flows='["main-*", "f-000"]'))

    assert [row.flow_id for row in (await library.flows()).rows] == ["f-001"]
    found = await library.ask("status main-fed")
    assert isinstance(found, answers.NoSuchFlow)
    assert found.candidates == ()
    for text in ("status main-feed", "status flow-1", "history main-feed", "history flow-1"):
        assert (await library.refused(text)).flow == text.split()[1]


async def test_what_is_closed_is_not_told_apart_among_several(library: Library) -> None:
    library.desk.cloud.there["main-feed"] = dataclasses.replace(MAIN, flow_id="main-feed", name="twin")
    library.desk.policy = policy_of(deny(flows='["flow-1"]'))

    found = await library.ask("status main-feed")

    assert isinstance(found, answers.NoSuchFlow)
    assert found.candidates == (("main-feed", "twin"),)
    assert not found.ambiguous


async def test_requests_for_flows_that_are_closed_are_not_shown(library: Library) -> None:
    many(library.desk, 1)
    seen = await library.desk.opened("stop f-000")
    await library.desk.opened("stop flow-1")
    library.desk.policy = policy_of(deny(flows='["main-feed"]'))

    assert named((await library.pending(CAROL)).deciding) == [seen.id]
    assert named((await library.history()).rows) == [seen.id]
    closed = await library.refused("history flow-1")
    assert (closed.decision.rule, closed.flow) == ("closed", "flow-1")


async def test_of_a_flow_that_was_renamed_only_what_is_open_is_shown(library: Library) -> None:
    library.desk.cloud.there["flow-1"] = dataclasses.replace(MAIN, name="final")
    secret = await library.desk.opened("stop flow-1")
    await library.desk.take(library.desk.click("withdraw", ALICE, secret.id))
    library.desk.cloud.there["flow-1"] = MAIN
    library.desk.clock.turn(1)
    seen = await library.desk.opened("stop flow-1")
    library.desk.policy = policy_of(deny(flows='["final"]'))

    assert named((await library.history("history flow-1")).rows) == [seen.id]
    status = await library.ask("status flow-1")
    assert isinstance(status, query_results.Status)
    assert status.last == ()


READERS = [
    f"{verb} {about}" for verb in ("status", "history", "list") for about in ("fee", "flow-1", "main-feed", "twin")
]
ASKERS = [f"{verb} {about}" for verb in ("stop", "start") for about in ("fee", "flow-1", "main-feed", "twin")]


@pytest.mark.parametrize("emergency", [False, True])
@pytest.mark.parametrize("text", [*READERS, *ASKERS, "pending", "history", "list", "help", "whoami"])
async def test_who_may_not_read_about_a_flow_learns_no_name_and_no_id_of_it(
    library: Library, text: str, emergency: bool
) -> None:
    desk = library.desk
    desk.cloud.there["flow-2"] = dataclasses.replace(MAIN, flow_id="flow-2", name="twin")
    desk.cloud.there["twin"] = dataclasses.replace(MAIN, flow_id="twin", name="other-feed")
    await desk.opened("stop flow-1 because it loops")
    desk.policy = policy_of(deny(who='["U0ERIN"]').replace('"S0MEDIAGRP"', '"U0CAROL"'))
    command = grammar.parse(text)

    if isinstance(command, grammar.ReadCommand):
        found: object = await library.ask(text, ERIN)
    elif isinstance(command, grammar.ChangeCommand):
        how = " --emergency because it burns" if emergency else ""
        found = (await desk.take(desk.typed(f"{text}{how}", ERIN))).answer
    else:
        found = await library.reading.usable(ERIN, HERE)

    typed = text.partition(" ")[2]
    told = re.sub(rf"'{typed}'", "", repr(found))
    assert found is not None
    assert not [word for word in ("flow-1", "main-feed", "flow-2", "twin", "other-feed") if word in told]


# Reasons and links


@pytest.mark.parametrize(
    ("actor", "channel", "sees"),
    [
        (ALICE, ELSEWHERE, True),  # the requester
        (CAROL, ELSEWHERE, True),  # an approver
        (BOB, HERE, True),  # in the card's channel
        (BOB, ELSEWHERE, False),
        (ERIN, ELSEWHERE, False),
    ],
)
async def test_reasons_of_a_private_channel_are_for_who_has_to_know(
    library: Library, actor: Actor, channel: str, sees: bool
) -> None:
    library.desk.directory.private.add(HERE)
    opened = await library.desk.opened("stop flow-1 because of the buyer")
    await library.desk.take(library.desk.click("deny", CAROL, opened.id))

    (row,) = (await library.history(actor=actor, channel=channel)).rows

    assert row.hidden is not sees
    assert (row.request.reason is not None) is sees
    assert row.request.unsent == () or sees


async def test_an_approver_by_a_group_has_to_know(library: Library) -> None:
    library.desk.policy = policy_of(POLICY.replace('approvers = ["media-leads"]', 'approvers = ["S0MEDIAGRP"]'))
    library.desk.directory.private.add(HERE)
    await library.desk.opened("stop flow-1 because of the buyer")

    (erin,) = (await library.history(actor=ERIN, channel=ELSEWHERE)).rows
    (bob,) = (await library.history(actor=BOB, channel=ELSEWHERE)).rows

    assert (erin.hidden, bob.hidden) == (False, True)


async def test_a_public_channel_hides_nothing_and_an_unknown_one_everything(library: Library) -> None:
    await library.desk.opened("stop flow-1 because of the buyer")

    (public,) = (await library.history(actor=BOB, channel=ELSEWHERE)).rows
    library.desk.directory.unknown.add(HERE)
    (unknown,) = (await library.history(actor=BOB, channel=ELSEWHERE)).rows

    assert (public.hidden, unknown.hidden) == (False, True)


# whoami


async def test_whoami_is_about_the_project_of_the_channel_or_all_of_them(library: Library) -> None:
    library.desk.policy = policy_of(SECOND + POLICY)

    here, elsewhere = await library.ask("whoami", ERIN), await library.ask("whoami", ERIN, channel=ELSEWHERE)

    assert isinstance(here, query_results.Whoami)
    assert isinstance(elsewhere, query_results.Whoami)
    assert (here.belonging.sets, here.belonging.groups) == (("media-oncall",), ("S0MEDIAGRP",))
    assert [one.project for one in here.standings] == ["hk"]
    assert [one.project for one in elsewhere.standings] == ["sg", "hk"]
    assert [right.verb for right in here.standings[0].rights] == ["stop"]


async def test_whoami_tells_an_outsider_their_kind_and_asks_about_no_group(library: Library) -> None:
    library.desk.directory.kinds[ALICE.user] = Kind.GUEST

    found = await library.ask("whoami")

    assert isinstance(found, query_results.Whoami)
    assert (found.person.kind, found.standings, found.belonging.sets) == (Kind.GUEST, (), ())
    assert {about for about, _ in library.desk.directory.asked} == {ALICE.user}


async def test_the_verbs_that_somebody_may_use_are_named(library: Library) -> None:
    member = await library.reading.usable(ALICE, HERE)
    library.desk.directory.kinds[BOB.user] = Kind.GUEST
    guest = await library.reading.usable(BOB, HERE)
    library.desk.directory.away = True
    nobody_knows = await library.reading.usable(CAROL, HERE)

    assert member == query_results.Usable(verbs=frozenset(VERBS) - {Verb.START})
    assert guest == query_results.Usable(verbs=frozenset({Verb.HELP, Verb.WHOAMI}))
    assert nobody_knows == query_results.Usable(verbs=frozenset(VERBS), sure=False)


async def test_a_database_that_is_away_is_an_error_of_ours(library: Library) -> None:
    await library.desk.store.close()

    with pytest.raises(errors.StoreError):
        await library.ask("pending")


class TestEmergency:
    @pytest.fixture
    async def library(self, library: Library) -> Library:
        """Let people on call skip the leads."""
        library.desk.policy = policy_of(EMERGENCY)
        return library

    async def decides(self, library: Library, seen: Request) -> set[str]:
        """Return the people for whom a request is among those that they may decide."""
        people = (ALICE, BOB, CAROL, ERIN)
        found = {actor.user: await library.pending(actor) for actor in people}
        assert all(seen.id in (*named(one.deciding), *named(one.others)) for one in found.values())
        return {user for user, one in found.items() if seen.id in named(one.deciding)}

    async def test_a_pending_one_is_for_its_requester_and_for_those_passed_over(self, library: Library) -> None:
        assert await self.decides(library, await library.desk.opened(BURNS)) == {"U0ALICE", "U0CAROL"}
        library.desk.policy = policy_of(POLICY)
        assert await self.decides(library, (await library.pending(CAROL)).deciding[0].request) == {"U0CAROL"}

    async def test_one_that_needs_a_second_is_for_the_other_members(self, library: Library) -> None:
        seen = transitions.want_second(await library.desk.pressed_first())
        await library.desk.store.commit(ports.Change(audit=(), request=seen))

        assert await self.decides(library, seen) == {"U0BOB", "U0CAROL", "U0ERIN"}

    async def test_one_that_runs_is_for_nobody_and_one_that_is_over_for_its_reviewers(self, library: Library) -> None:
        let_run = await library.desk.let_run()
        assert await self.decides(library, let_run) == set()

        await library.desk.calling.call(let_run)

        assert await self.decides(library, let_run) == {"U0CAROL"}
        sent = Submitted(modal=Modal.REVIEW, request_id=let_run.id, reason=None, verdict=Verdict.JUSTIFIED)
        await library.desk.take(library.desk.entry(sent, DAVE))
        await library.desk.calling.read(await library.desk.now(let_run.id))
        assert await library.pending(CAROL) == query_results.Pending(deciding=(), others=())

    async def test_its_reasons_are_for_those_who_review_it(self, library: Library) -> None:
        alone = POLICY.replace("approvals = 0", 'emergency = ["media-leads"]')
        library.desk.policy = policy_of(alone)
        library.desk.directory.private.add(HERE)
        await library.desk.opened(BURNS, CAROL)

        for actor, hidden in ((DAVE, False), (BOB, True)):
            (row,) = (await library.history(actor=actor, channel=ELSEWHERE)).rows
            assert row.hidden is hidden

    async def test_a_rule_that_closes_reading_by_name_holds_for_what_could_not_be_read(self, library: Library) -> None:
        away = CloudFailure(fault=Fault.UNCERTAIN)
        library.desk.cloud.will("flow", away)
        library.desk.cloud.will("flows", away)
        opened = await library.desk.opened(BURNS)
        assert opened.flow.name == ""
        library.desk.policy = policy_of(deny(flows='["main-*"]'))

        assert await library.pending(CAROL) == query_results.Pending(deciding=(), others=())
        assert (await library.refused("history flow-1", CAROL)).decision.why is Why.DENY_RULE

    async def test_whoami_says_where_somebody_may_use_it(self, library: Library) -> None:
        found = {}
        for actor in (ALICE, CAROL):
            shows = await library.ask("whoami", actor)
            assert isinstance(shows, query_results.Whoami)
            found[actor.user] = [right.rule for right in shows.standings[0].emergencies]

        assert found == {"U0ALICE": ["on-call stops, a lead approves"], "U0CAROL": []}
