"""Who may do what, and what they are told: every kind of person, with every verb, under every outcome of the rules,
at every moment at which it is decided.

What is expected stands in the tables of this file and is worked out by nothing of the bot's.
"""

import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import pytest

from bot import answers, arrivals, commands, policy, ports
from bot.arrivals import Actor
from bot.finding import Finder
from bot.policy import Kind
from bot.reading import Reading
from bot.request import Flow, Request
from bot.slack import messages
from bot.verbs import Door, Verb
from tests.fakes import ALICE, CAROL, DAVE, MAIN, POLICY, Desk, in_order, open_desk, policy_of

HEAD: Final = POLICY.partition("[[rules]]")[0]
STUDIO: Final = Flow(flow_id="flow-2", name="studio-b", region="ap-southeast-3", status="STANDBY")

BARE: Final = "You may not do this here. Nothing was done."
NOT_ASKED: Final = "Slack could not be asked who you are"
NAMES: Final = ("sesame", "media", "U0", "S0MEDIAGRP", "rule", "main-feed", "studio")
"""What a bare refusal must not hold: names of rules, of sets, of people and groups, of flows."""

OUTSIDERS: Final = (Kind.GUEST, Kind.STRANGER, Kind.BOT, Kind.DEACTIVATED)
KINDS: Final = (Kind.MEMBER, *OUTSIDERS, Kind.UNREACHABLE)

TEXTS: Final = {
    Verb.STOP: "stop main-feed",
    Verb.START: "start studio-b",
    Verb.STATUS: "status main-feed",
    Verb.LIST: "list",
    Verb.PENDING: "pending",
    Verb.HISTORY: "history",
    Verb.WHOAMI: "whoami",
    Verb.HELP: "help",
}
CHANGES: Final = (Verb.STOP, Verb.START)
READS: Final = (Verb.STATUS, Verb.LIST, Verb.PENDING, Verb.HISTORY)


def rule(**keys: object) -> str:
    """Write the one rule that decides, "sesame"."""
    given = {"verbs": ["stop", "start"], "who": ["U0ALICE", "U0CAROL"], **keys}
    lines = [f"{key} = {value!r}".replace("'", '"') for key, value in given.items()]
    return "\n".join(["[[rules]]", 'name = "sesame"', *lines, ""])


ALONE: Final = rule()
POLICIES: Final = {
    "no rule": rule(who=["U0DAVE"]),
    "deny": ALONE.replace("sesame", "open")
    + rule(effect="deny", verbs=["stop", "start", "read"], who=["*"]).replace("]\n", ']\nexcept = ["U0DAVE"]\n', 1),
    "alone": ALONE,
    "approvals": rule(approvals=1, approvers=["media-leads", "U0BOB"]),
    "unsatisfiable": rule(approvals=3, approvers=["U0ALICE", "U0CAROL", "U0DAVE"]),
    "paused": ALONE,
}
"""What the rules say to Alice and Carol. Where they say no, Dave could do it."""


async def put(desk: Desk, outcome: str) -> None:
    """Let the rules have this outcome from now on."""
    desk.policy = policy_of(HEAD + POLICIES[outcome])
    if outcome == "paused":
        await desk.store.pause(ports.Pause(at=desk.clock.now(), reason="a drill", by="ops"))


@pytest.fixture
async def desk(tmp_path: pathlib.Path) -> AsyncIterator[Desk]:
    """Open a desk with a flow to stop and one to start."""
    async with open_desk(tmp_path) as opened:
        opened.cloud.there = {flow.flow_id: flow for flow in (MAIN, STUDIO)}
        yield opened


# — when asked —

ASKED: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    # what a full member is told of a change: the rule, what is missing, and who could do it instead
    "change": {
        "no rule": ("No rule lets you", "<@U0DAVE> could do it instead"),
        "deny": ("Rule “sesame” forbids you to", "could do it instead"),
        "alone": ("opens", "0"),
        "approvals": ("opens", "1"),
        "unsatisfiable": ("rule “sesame” asks for 3 approvals by others than you, but only 2 people", "instead"),
        "paused": ("flowbot is paused", "a drill", "flowbot resume"),
    },
    "read": {
        "no rule": ("shown",),
        "deny": ("Rule “sesame” forbids you to", "<@U0DAVE>"),
        "alone": ("shown",),
        "approvals": ("shown",),
        "unsatisfiable": ("shown",),
        "paused": ("shown",),
    },
}
WHOAMI: Final = {
    Kind.GUEST: "a guest",
    Kind.STRANGER: "somebody of another organisation",
    Kind.BOT: "a bot",
    Kind.DEACTIVATED: "somebody whose account is deactivated",
}
MAY_USE: Final = {
    # verbs that help shows to a full member; the others see `whoami` and `help`
    "no rule": {Verb.STATUS, Verb.LIST, Verb.PENDING, Verb.HISTORY},
    "deny": set[Verb](),
    "alone": {Verb.STOP, Verb.START, Verb.STATUS, Verb.LIST, Verb.PENDING, Verb.HISTORY},
    "approvals": {Verb.STOP, Verb.START, Verb.STATUS, Verb.LIST, Verb.PENDING, Verb.HISTORY},
    "unsatisfiable": {Verb.STOP, Verb.START, Verb.STATUS, Verb.LIST, Verb.PENDING, Verb.HISTORY},
    "paused": {Verb.STOP, Verb.START, Verb.STATUS, Verb.LIST, Verb.PENDING, Verb.HISTORY},
}


class Asker:
    """Somebody who types, and what they are told."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.reading = Reading(
            store=desk.store,
            finder=Finder(cloud=desk.cloud, clock=desk.clock),
            gate=desk.gate,
            directory=desk.directory,
            clock=desk.clock,
        )

    async def told(self, verb: Verb) -> str:
        """Return the words that Alice reads; "opens" and the number of approvals where a request opened."""
        entry = self.desk.typed(TEXTS[verb])
        command = commands.parse(TEXTS[verb])
        if isinstance(command, commands.Change):
            taken = await self.desk.take(entry)
            if taken.request_id is not None:
                return f"opens {(await self.desk.now(taken.request_id)).terms.approvals}"
            assert taken.answer is not None
            return messages.answer(taken.answer, workspace_url="https://a.slack.com/").text
        assert isinstance(command, commands.Read)
        typed = arrivals.Typed(text=TEXTS[verb], channel="C0INCIDENT")
        shown = await self.reading.read(ALICE, typed, command)
        words = messages.show(shown, door=Door.SLASH, workspace_url="https://a.slack.com/").text
        return words if isinstance(shown, answers.Refused) or verb is Verb.WHOAMI else f"shown {words}"

    async def may_use(self) -> set[Verb]:
        """Return the verbs that help shows to Alice."""
        return set((await self.reading.usable(ALICE, "C0INCIDENT")).verbs)


@pytest.mark.parametrize("outcome", POLICIES)
@pytest.mark.parametrize("kind", KINDS)
async def test_when_asked(desk: Desk, kind: Kind, outcome: str) -> None:
    await put(desk, outcome)
    desk.directory.kinds["U0ALICE"] = kind
    asker = Asker(desk)

    for verb in (*READS, *CHANGES):
        told = await asker.told(verb)

        if kind in OUTSIDERS:
            assert told == BARE, verb
        elif kind is Kind.UNREACHABLE:
            assert told.startswith(NOT_ASKED), verb
            assert_bare(told)
        else:
            for words in ASKED["change" if verb in CHANGES else "read"][outcome]:
                assert words in told, verb

    opened = desk.select("SELECT count(*) FROM requests")[0][0]
    assert opened == (2 if kind is Kind.MEMBER and outcome in ("alone", "approvals") else 0)
    assert [call for call in desk.cloud.calls if call[0] in ("stop", "start")] == []


def assert_bare(told: str) -> None:
    """Assert that words name no rule, no set, nobody and no flow."""
    assert [name for name in NAMES if name in told] == []


@pytest.mark.parametrize("outcome", POLICIES)
@pytest.mark.parametrize("kind", KINDS)
async def test_everybody_learns_who_they_are_and_what_they_may_use(desk: Desk, kind: Kind, outcome: str) -> None:
    await put(desk, outcome)
    desk.directory.kinds["U0ALICE"] = kind
    asker = Asker(desk)

    told, usable = await asker.told(Verb.WHOAMI), await asker.may_use()

    match kind:
        case Kind.MEMBER:
            assert "a full member" in told
            assert usable == MAY_USE[outcome] | {Verb.WHOAMI, Verb.HELP}
        case Kind.UNREACHABLE:
            assert "Slack could not be asked who you are" in told
            assert usable == set(Verb)  # unsure, and said so: help is no right
        case _:
            assert told == f"I take you for {WHOAMI[kind]}: <@U0ALICE> (`U0ALICE`) of `T1`. You may do nothing here."
            assert usable == {Verb.WHOAMI, Verb.HELP}


# — at the click —

COUNTS, ENDS, STAYS = "counts", "denied by policy", "stays"
AT_THE_CLICK: Final = {
    "confirm": {
        "no rule": (ENDS, "denied by policy"),
        "deny": (ENDS, "denied by policy"),
        "alone": (COUNTS, ""),
        "approvals": (STAYS, "Under rule “sesame”, you may not confirm"),
        "unsatisfiable": (ENDS, "denied by policy"),
        "paused": (STAYS, "flowbot is paused"),
    },
    "approve": {
        "no rule": (ENDS, "denied by policy"),
        "deny": (ENDS, "denied by policy"),
        "alone": (COUNTS, ""),
        "approvals": (COUNTS, ""),
        "unsatisfiable": (ENDS, "denied by policy"),
        "paused": (STAYS, "flowbot is paused"),
    },
    "deny": {
        "no rule": (ENDS, "denied by policy"),
        "deny": (ENDS, "denied by policy"),
        "alone": (COUNTS, ""),
        "approvals": (COUNTS, ""),
        "unsatisfiable": (ENDS, "denied by policy"),
        "paused": (COUNTS, ""),  # whoever is against it may still say so
    },
    "withdraw": dict.fromkeys(POLICIES, (COUNTS, "")),  # one's own request, whatever the rules say by now
}
PRESSED_BY: Final = {"confirm": ALICE, "approve": DAVE, "deny": DAVE, "withdraw": ALICE}
BECOMES: Final = {"confirm": "approved", "approve": "approved", "deny": "denied", "withdraw": "withdrawn"}


async def asked(desk: Desk, button: str) -> Request:
    """Return Alice's request on which the button stands."""
    await put(desk, "alone" if button == "confirm" else "approvals")
    return await desk.opened("stop main-feed")


def words_of(answer: answers.Answer | None) -> str:
    """Return what whoever clicked is told."""
    return "" if answer is None else messages.answer(answer, workspace_url="https://a.slack.com/").text


@pytest.mark.parametrize("outcome", POLICIES)
@pytest.mark.parametrize("button", AT_THE_CLICK)
@pytest.mark.parametrize("kind", KINDS)
async def test_at_the_click(desk: Desk, kind: Kind, button: str, outcome: str) -> None:
    opened = await asked(desk, button)
    presser = PRESSED_BY[button]
    await put(desk, outcome)
    desk.directory.kinds[presser.user] = kind

    taken = await desk.take(desk.click(button, presser, opened.id))

    seen, told = await desk.now(opened.id), words_of(taken.answer)
    if kind is Kind.MEMBER:
        what, words = AT_THE_CLICK[button][outcome]
        assert words in told
        assert seen.state.value == {COUNTS: BECOMES[button], ENDS: "denied", STAYS: "pending"}[what]
        assert (seen.ending is not None and seen.ending.actor is None) == (what == ENDS)
        return
    assert told == BARE if kind in OUTSIDERS else told.startswith(NOT_ASKED)
    assert_bare(told)
    assert seen == opened


@pytest.mark.parametrize("button", ["approve", "deny"])
@pytest.mark.parametrize("kind", [*OUTSIDERS, Kind.UNREACHABLE])
async def test_a_requester_who_is_no_full_member_by_the_click(desk: Desk, kind: Kind, button: str) -> None:
    opened = await asked(desk, button)
    desk.directory.kinds["U0ALICE"] = kind

    taken = await desk.take(desk.click(button, DAVE, opened.id))

    seen = await desk.now(opened.id)
    if kind is Kind.UNREACHABLE:
        assert "Slack could not be asked" in words_of(taken.answer)
        assert seen == opened
    else:
        assert "denied by policy" in words_of(taken.answer)
        assert seen.state.value == "denied"


@pytest.mark.parametrize(
    ("button", "actor", "words"),
    [
        ("confirm", CAROL, None),  # a rule lets her do the same alone
        ("confirm", DAVE, "<@U0ALICE>"),
        ("approve", ALICE, "is your own"),
        ("approve", CAROL, None),
        ("approve", Actor(team="T1", user="U0ERIN"), "`media-leads`"),
        ("deny", ALICE, "is your own"),
        ("deny", Actor(team="T1", user="U0ERIN"), "`media-leads`"),
        ("withdraw", DAVE, "<@U0ALICE> could do it instead"),
    ],
)
async def test_promise_6_a_member_whose_click_does_not_count_learns_the_rule_and_who_could(
    desk: Desk, button: str, actor: Actor, words: str | None
) -> None:
    opened = await asked(desk, button)

    taken = await desk.take(desk.click(button, actor, opened.id))

    seen = await desk.now(opened.id)
    if words is None:
        assert seen.state.value == "approved"
        return
    assert words in words_of(taken.answer)
    assert "rule" in words_of(taken.answer)
    assert seen == opened


# — right before the call —

Change = Callable[[Desk], Awaitable[None]]


def becomes(user: str, kind: Kind) -> Change:
    """Return what makes somebody another kind of person."""

    async def change(desk: Desk) -> None:
        desk.directory.kinds[user] = kind

    return change


def rules(outcome: str) -> Change:
    """Return what lets the rules have another outcome."""

    async def change(desk: Desk) -> None:
        await put(desk, outcome)

    return change


BEFORE_THE_CALL: Final = [
    # (what the rule asked for, what changes, the state after it, stops)
    *(("approvals", becomes("U0ALICE", kind), "denied", 0) for kind in OUTSIDERS),
    *(("approvals", becomes("U0DAVE", kind), "pending", 0) for kind in OUTSIDERS),
    *(("alone", becomes("U0ALICE", kind), "denied", 0) for kind in OUTSIDERS),
    ("approvals", becomes("U0ALICE", Kind.UNREACHABLE), "approved", 0),
    ("approvals", becomes("U0DAVE", Kind.UNREACHABLE), "approved", 0),
    ("alone", becomes("U0ALICE", Kind.UNREACHABLE), "approved", 0),
    ("approvals", becomes("U0BOB", Kind.GUEST), "approved", 1),
    *((asked_for, rules(no), "denied", 0) for asked_for in ("alone", "approvals") for no in ("no rule", "deny")),
    *((asked_for, rules("unsatisfiable"), "denied", 0) for asked_for in ("alone", "approvals")),
    *((asked_for, rules("paused"), "denied", 0) for asked_for in ("alone", "approvals")),
    ("alone", rules("alone"), "approved", 1),
    ("approvals", rules("approvals"), "approved", 1),
    ("approvals", rules("alone"), "approved", 1),
    ("alone", rules("approvals"), "pending", 0),
]


@pytest.mark.parametrize(("asked_for", "change", "state", "stops"), BEFORE_THE_CALL)
async def test_promise_7_right_before_the_call(
    desk: Desk, asked_for: str, change: Change, state: str, stops: int
) -> None:
    await put(desk, asked_for)
    approved = await desk.approved("stop main-feed", by=DAVE)
    assert approved.state.value == "approved"
    await change(desk)

    await in_order(desk.calling.call(approved))

    seen = await desk.now(approved.id)
    assert (seen.state.value, desk.cloud.stops()) == (state, stops)
    if state == "pending":
        assert seen.votes == ()


def test_the_tables_know_every_kind_verb_and_button() -> None:
    assert set(KINDS) == set(Kind)
    assert set(TEXTS) == set(Verb)
    assert {*CHANGES, *READS, Verb.WHOAMI, Verb.HELP} == set(Verb)
    assert set(AT_THE_CLICK) < {button.value for button in arrivals.Button}
    assert set(policy.Effect) == {policy.Effect.ALLOW, policy.Effect.DENY}
