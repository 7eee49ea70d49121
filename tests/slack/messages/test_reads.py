"""Results of the read commands, and why there is none."""

import dataclasses
from collections.abc import Mapping
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from bot.commands.grammar import ReadCommand
from bot.commands.verbs import Door, Verb
from bot.lifecycle.records import Card
from bot.policy.model import Effect, Kind, Person
from bot.policy.rights import Belonging, Right
from bot.slack import messages
from bot.slack.messages import Message, flows, reads
from bot.usecases import answers, query_results
from bot.usecases.query_results import Row

from . import examples, limits
from .test_hostile import ATTACKS, failures, harmless, hostile, texts
from .test_hostile import flows as hostile_flows

IN_THREAD: Final = dataclasses.replace(
    examples.PENDING, card=Card(channel="C0INCIDENT", ts="1770000001.000100", shown=1, thread="1769999999.000200")
)
ROWS: Final = tuple(Row(request=seen) for seen in examples.CARDS.values())
LISTED: Final = query_results.ListedFlow(flow_id=examples.FLOW.flow_id, name="main-feed", status="ACTIVE")
PAGE: Final = query_results.Flows(
    project="hk",
    asked=ReadCommand(verb=Verb.LIST, about="feed", project="hk"),
    rows=(LISTED, dataclasses.replace(LISTED, flow_id="f-2", name="", status="STANDBY")),
    total=42,
    tally=(("ACTIVE", 40), ("STANDBY", 2)),
    page=2,
    pages=3,
    age=12.7,
)
STOPS: Final = Right(
    verb="stop", rule="on-call stops", effect=Effect.ALLOW, approvals=2, approvers=("media-leads", "U0ERIN")
)
ALICE: Final = query_results.Whoami(
    person=Person(actor=examples.ALICE, kind=Kind.MEMBER),
    belonging=Belonging(sets=("media-oncall",), groups=("S0NOC",), unknown=("S0FAR",)),
    standings=(
        query_results.ProjectRights(
            project="hk",
            rights=(
                STOPS,
                dataclasses.replace(STOPS, rule="freeze", effect=Effect.DENY, flows=("final-*", "main-feed")),
                dataclasses.replace(STOPS, verb="start", approvals=0, sure=False),
                dataclasses.replace(STOPS, verb="read", rule="secret", effect=Effect.DENY, flows=("secret-*",)),
            ),
        ),
        query_results.ProjectRights(
            project="eu",
            rights=(),
            emergencies=(STOPS, dataclasses.replace(STOPS, verb="start", approvals=0, flows=("main-*",), sure=False)),
        ),
    ),
)

SHOWN: Final[Mapping[str, query_results.Shown | query_results.NotShown]] = {
    "status": query_results.Status(
        project="hk",
        flow=examples.FLOW,
        holder=Row(request=IN_THREAD),
        last=(
            Row(request=examples.CARDS["denied with reason"], hidden=True),
            Row(request=examples.CARDS["expired unapproved"]),
        ),
    ),
    "status untouched": query_results.Status(project="hk", flow=examples.FLOW, holder=None, last=()),
    "list": PAGE,
    "list first page": dataclasses.replace(PAGE, page=1, age=0.3),
    "list last page": dataclasses.replace(PAGE, page=3),
    "list whole": dataclasses.replace(PAGE, asked=ReadCommand(verb=Verb.LIST), page=1, pages=1, total=2),
    "list nothing": dataclasses.replace(PAGE, rows=(), total=0, tally=(), page=1, pages=1),
    "list unread": query_results.FlowsUnread(project="hk", failure=examples.NO_RIGHT),
    "pending": query_results.Pending(
        deciding=(Row(request=examples.PENDING),), others=(Row(request=IN_THREAD, hidden=True),), more=3
    ),
    "pending emergencies": query_results.Pending(
        deciding=tuple(Row(request=examples.CARDS[name]) for name in ("emergency stopped", "emergency pressed")),
        others=(Row(request=examples.CARDS["emergency dry run"], hidden=True),),
    ),
    "history of emergencies": query_results.History(
        projects=("hk",),
        about=None,
        rows=tuple(Row(request=examples.CARDS[name]) for name in ("emergency justified", "superseded by somebody")),
    ),
    "pending for others": query_results.Pending(deciding=(), others=(Row(request=examples.PENDING),)),
    "pending nothing": query_results.Pending(deciding=(), others=()),
    "history": query_results.History(projects=("hk", "eu"), about=None, rows=ROWS[:4]),
    "history of a flow": query_results.History(projects=("hk",), about="main-feed", rows=ROWS[:1]),
    "history nothing": query_results.History(projects=("hk",), about="main-feed", rows=()),
    "whoami": ALICE,
    "whoami with two ids": dataclasses.replace(
        ALICE, person=dataclasses.replace(ALICE.person, actor=dataclasses.replace(ALICE.person.actor, person="W0ALICE"))
    ),
    "whoami in nothing": dataclasses.replace(ALICE, belonging=Belonging()),
    **{
        f"whoami {kind}": query_results.Whoami(
            person=Person(actor=examples.ALICE, kind=kind), belonging=Belonging(), standings=()
        )
        for kind in Kind
        if kind is not Kind.MEMBER
    },
    "refused": dataclasses.replace(examples.REFUSALS["deny rule"], action="read", flow="hk"),
    "refused outsider": dataclasses.replace(examples.REFUSALS["outsider"], action="read", flow=""),
    "no such flow": answers.NoSuchFlow(typed="main-fed", project="hk"),
    "no such flow but near": answers.NoSuchFlow(typed="main-fed", project="hk", candidates=(("f-1", "main-feed"),)),
    "ambiguous flow": answers.NoSuchFlow(typed="a", project="hk", candidates=(("a", "b"), ("c", "a")), ambiguous=True),
    "unreadable": answers.Unreadable(typed="main-feed", project="hk", failure=examples.NO_RIGHT),
    "which project": answers.WhichProject(typed=None, projects=("hk", "eu")),
}
every = pytest.mark.parametrize("name", SHOWN, ids=examples.slug)


def show(name: str, door: Door = Door.SLASH) -> Message:
    """Return the message for the named example."""
    return messages.show(SHOWN[name], door=door, workspace_url=examples.WORKSPACE)


@every
def test_what_is_shown_reads_as_it_should(name: str, snapshot: SnapshotAssertion) -> None:
    assert dataclasses.asdict(show(name)) == snapshot


@every
@pytest.mark.parametrize("door", Door)
def test_what_is_shown_keeps_within_slacks_limits(name: str, door: Door) -> None:
    assert limits.problems(show(name, door)) == []
    assert limits.foreign(show(name, door)) == []


@pytest.mark.parametrize("name", [name for name, value in SHOWN.items() if isinstance(value, query_results.NotShown)])
def test_reading_opens_nothing_and_says_nothing_of_it(name: str) -> None:
    assert "opened" not in show(name).text


def test_what_is_hidden_has_neither_reason_nor_link() -> None:
    row = Row(request=dataclasses.replace(examples.PENDING, reason=None), hidden=True)
    said = messages.show(
        query_results.Pending(deciding=(), others=(row,)), door=Door.SLASH, workspace_url=examples.WORKSPACE
    )
    assert reads.HIDDEN in said.text
    assert "archives" not in limits.read(said)
    assert "Reason" not in limits.read(said)


def test_the_longest_pages_fit() -> None:
    history = query_results.History(projects=("hk",), about=None, rows=ROWS[:10])
    pending = query_results.Pending(deciding=ROWS[:8], others=ROWS[8:15], more=100)
    long = dataclasses.replace(LISTED, name="<" * 200, flow_id="a" * 200, status="&" * 200)
    page = dataclasses.replace(PAGE, rows=(long,) * 20)
    for value in (history, pending, page):
        harmless(messages.show(value, door=Door.SLASH, workspace_url=examples.WORKSPACE))


@pytest.mark.parametrize("door", Door)
def test_a_button_of_the_list_leads_to_its_page_of_the_same_list(door: Door) -> None:
    buttons = show("list", door).blocks[-1]["elements"]
    assert isinstance(buttons, list)
    assert [flows.turned(button["value"]) for button in buttons] == [
        (1, door, "list feed --project hk"),
        (3, door, "list feed --project hk"),
    ]


def test_what_no_button_can_carry_has_no_pages() -> None:
    wide = dataclasses.replace(PAGE, asked=ReadCommand(verb=Verb.LIST, about="x" * 3000))
    said = messages.show(wide, door=Door.SLASH, workspace_url=examples.WORKSPACE)
    assert [block["type"] for block in said.blocks if block["type"] == "actions"] == []


@st.composite
def rows(draw: st.DrawFn) -> Row:
    seen = examples.CARDS[draw(st.sampled_from(tuple(examples.CARDS)))]
    return Row(request=hostile(draw, seen), hidden=draw(st.booleans()))


many = st.lists(rows(), max_size=5).map(tuple)
listed = st.builds(query_results.ListedFlow, flow_id=texts, name=texts, status=texts)
rights = st.builds(
    Right,
    verb=st.sampled_from(["stop", "start", "read"]),
    rule=texts,
    effect=st.sampled_from(Effect),
    flows=st.lists(texts, max_size=6).map(tuple),
    approvals=st.integers(0, 9),
    approvers=st.lists(texts, max_size=9).map(tuple),
    sure=st.booleans(),
)
hostile_values = st.one_of(
    st.builds(query_results.Status, project=texts, flow=hostile_flows, holder=st.none() | rows(), last=many),
    st.builds(
        query_results.Flows,
        project=texts,
        asked=st.builds(ReadCommand, verb=st.just(Verb.LIST), about=texts),
        rows=st.lists(listed, max_size=20).map(tuple),
        total=st.integers(0, 2_000),
        tally=st.lists(st.tuples(texts, st.integers(1, 9)), max_size=6).map(tuple),
        page=st.integers(1, 3),
        pages=st.integers(3, 9),
        age=st.floats(0, 60),
    ),
    st.builds(query_results.FlowsUnread, project=texts, failure=failures),
    st.builds(query_results.Pending, deciding=many, others=many, more=st.integers(0, 99)),
    st.builds(
        query_results.History,
        projects=st.lists(texts, min_size=1, max_size=8).map(tuple),
        about=st.none() | texts,
        rows=many,
    ),
    st.builds(
        query_results.Whoami,
        person=st.just(ALICE.person),
        belonging=st.builds(
            Belonging,
            sets=st.lists(texts, max_size=9).map(tuple),
            groups=st.lists(texts, max_size=9).map(tuple),
            unknown=st.lists(texts, max_size=9).map(tuple),
        ),
        standings=st.lists(
            st.builds(
                query_results.ProjectRights,
                project=texts,
                rights=st.lists(rights, max_size=4).map(tuple),
                emergencies=st.lists(rights, max_size=3).map(tuple),
            ),
            min_size=1,
            max_size=3,
        ).map(tuple),
    ),
)


@given(hostile_values, st.sampled_from(Door))
def test_what_people_and_the_cloud_wrote_links_nowhere_and_fits(value: query_results.Shown, door: Door) -> None:
    harmless(messages.show(value, door=door, workspace_url=examples.WORKSPACE))


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_known_attack_is_harmless_in_the_list(attack: str) -> None:
    row = query_results.ListedFlow(flow_id=attack, name=attack, status=attack)
    asked = ReadCommand(verb=Verb.LIST, about=attack or None)
    value = dataclasses.replace(PAGE, rows=(row,) * 20, asked=asked, tally=((attack, 20),))
    harmless(messages.show(value, door=Door.SLASH, workspace_url=examples.WORKSPACE))
