"""Who may do what, and what they are told: every kind of person, with every verb, under every outcome of the rules,
at every moment at which it is decided.

What is expected stands in the tables of this file and is worked out by nothing of the bot's.
"""

import json
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import pytest

from bot.commands import deliveries, grammar
from bot.commands.deliveries import Actor
from bot.commands.verbs import Door, Verb
from bot.lifecycle.records import Flow, Request
from bot.policy import model
from bot.policy.model import Kind
from bot.slack import messages
from bot.usecases import answers, ports, rate_limit
from bot.usecases.find_flow import FlowFinder
from bot.usecases.queries import Queries
from tests.fakes import ALICE, CAROL, DAVE, MAIN, POLICY, Desk, in_order, open_desk, policy_of

HEAD: Final = POLICY.partition("[[rules]]")[0]
STUDIO: Final = Flow(flow_id="flow-2", name="studio-b", region="ap-southeast-3", status="STANDBY")

BARE: Final = "You may not do this here. Nothing was done."
NOT_ASKED: Final = "I could not ask Slack who you are"
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
        "unsatisfiable": ("rule “sesame” needs 3 approvals from others, but only 2 people", "instead"),
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
    Kind.STRANGER: "from another organisation",
    Kind.BOT: "a bot",
    Kind.DEACTIVATED: "a deactivated user",
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
        self.reading = Queries(
            store=desk.store,
            finder=FlowFinder(cloud=desk.cloud, clock=desk.clock),
            gate=desk.gate,
            directory=desk.directory,
            clock=desk.clock,
        )

    async def told(self, verb: Verb, options: str = "", *, asker: Actor = ALICE) -> str:
        """Return the words that the asker reads; "opens" and the number of approvals where a request opened."""
        text = TEXTS[verb].replace(" ", f" {options}", 1)
        entry = self.desk.typed(text, asker)
        command = grammar.parse(text)
        if isinstance(command, grammar.ChangeCommand):
            taken = await self.desk.take(entry)
            if taken.request_id is not None:
                return f"opens {(await self.desk.now(taken.request_id)).terms.approvals}"
            assert taken.answer is not None
            return messages.answer(taken.answer, workspace_url="https://a.slack.com/").text
        assert isinstance(command, grammar.ReadCommand)
        typed = deliveries.Typed(text=text, channel="C0INCIDENT")
        shown = await self.reading.read(asker, typed, command)
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
            assert "I could not ask Slack who you are" in told
            assert usable == set(Verb)  # unsure, and said so: help is no right
        case _:
            assert told == f"You are {WHOAMI[kind]}: <@U0ALICE> (`U0ALICE`) of `T1`. You may not do anything here."
            assert usable == {Verb.WHOAMI, Verb.HELP}


TWO_OF_THREE: Final = rule(approvals=2, approvers=["U0DAVE", "U0BOB", "S0MEDIAGRP"])
ONE_LEAD: Final = rule(approvals=1, approvers=["U0DAVE"])


@pytest.mark.parametrize(
    ("text", "changes", "members", "told"),
    [
        (ONE_LEAD, {}, (), "opens 1"),
        *((ONE_LEAD, {"U0DAVE": kind}, (), "needs 1 approval from others, but nobody") for kind in OUTSIDERS),
        (ONE_LEAD, {"U0DAVE": Kind.UNREACHABLE}, (), "opens 1"),
        (TWO_OF_THREE, {"U0DAVE": Kind.DEACTIVATED}, (), "needs 2 approvals from others, but only 1 person"),
        (TWO_OF_THREE, {"U0DAVE": Kind.DEACTIVATED}, ("U0ERIN",), "opens 2"),
        (TWO_OF_THREE, {"U0DAVE": Kind.DEACTIVATED, "U0ERIN": Kind.GUEST}, ("U0ERIN",), "but only 1 person could"),
        (TWO_OF_THREE, {"U0DAVE": Kind.DEACTIVATED, "U0ERIN": Kind.UNREACHABLE}, ("U0ERIN",), "opens 2"),
        (TWO_OF_THREE, {"U0DAVE": Kind.DEACTIVATED}, ("U0ALICE",), "but only 1 person could"),
        (TWO_OF_THREE, {"U0DAVE": Kind.DEACTIVATED}, None, "opens 2"),
        (TWO_OF_THREE, {}, None, "opens 2"),
        # more than are asked about: those beyond are taken to be there
        (TWO_OF_THREE, {"U0DAVE": Kind.DEACTIVATED, "U0BOB": Kind.GUEST}, tuple(map(str, range(60))), "opens 2"),
    ],
)
async def test_a_request_opens_only_where_enough_full_members_could_approve(
    desk: Desk, text: str, changes: dict[str, Kind], members: tuple[str, ...] | None, told: str
) -> None:
    desk.policy = policy_of(HEAD + text)
    desk.directory.kinds |= changes
    desk.directory.groups = {} if members is None else {"S0MEDIAGRP": frozenset(members)}

    assert told in await Asker(desk).told(Verb.STOP)


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


def words_of(answer: answers.AnyAnswer | None) -> str:
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
        assert "I could not ask Slack" in words_of(taken.answer)
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


# — one person with two ids —

OTHER_ID: Final = {name: name.replace("U0", "W0") for name in ("U0ALICE", "U0BOB", "U0CAROL", "U0DAVE")}
W_ALICE, W_CAROL, W_DAVE = (Actor(team="E1", user=OTHER_ID[actor.user]) for actor in (ALICE, CAROL, DAVE))


def both_known(desk: Desk) -> None:
    """Let Slack say of the people which ids are theirs."""
    desk.directory.one_id |= OTHER_ID | {person: person for person in OTHER_ID.values()}
    desk.directory.kinds |= dict.fromkeys(OTHER_ID.values(), Kind.MEMBER)


def other(text: str) -> str:
    """Return a text in which everybody goes by their other id."""
    for user, person in OTHER_ID.items():
        text = text.replace(user, person)
    return text


def plain(text: str) -> str:
    """Return a text in which everybody goes by their usual id."""
    for user, person in OTHER_ID.items():
        text = text.replace(person, user)
    return text


@pytest.mark.parametrize("outcome", POLICIES)
@pytest.mark.parametrize("verb", [*CHANGES, *READS])
@pytest.mark.parametrize("asker", [ALICE, W_ALICE], ids=["local", "global"])
async def test_two_ids_when_asked(desk: Desk, asker: Actor, verb: Verb, outcome: str) -> None:
    both_known(desk)
    for renamed in (str, other):
        desk.directory.kinds |= dict.fromkeys((*OTHER_ID, *OTHER_ID.values()), Kind.MEMBER)
        await put(desk, outcome)
        desk.policy = policy_of(renamed(HEAD + POLICIES[outcome]))

        told = plain(await Asker(desk).told(verb, "--dry-run " if verb in CHANGES else "", asker=asker))

        for words in ASKED["change" if verb in CHANGES else "read"][outcome]:
            assert words in told


@pytest.mark.parametrize("outcome", POLICIES)
@pytest.mark.parametrize("button", AT_THE_CLICK)
@pytest.mark.parametrize("renamed", [str, other], ids=["policy local", "policy global"])
@pytest.mark.parametrize("by", [str, other], ids=["pressed local", "pressed global"])
async def test_two_ids_at_the_click(
    desk: Desk, by: Callable[[str], str], renamed: Callable[[str], str], button: str, outcome: str
) -> None:
    both_known(desk)
    opened = await asked(desk, button)
    presser = Actor(team="T1", user=by(PRESSED_BY[button].user))
    await put(desk, outcome)
    desk.policy = policy_of(renamed(HEAD + POLICIES[outcome]))

    taken = await desk.take(desk.click(button, presser, opened.id))

    seen, (what, words) = await desk.now(opened.id), AT_THE_CLICK[button][outcome]
    assert words in words_of(taken.answer)
    assert seen.state.value == {COUNTS: BECOMES[button], ENDS: "denied", STAYS: "pending"}[what]


@pytest.mark.parametrize(
    ("button", "actor", "words"),
    [
        ("confirm", W_CAROL, None),
        ("confirm", W_DAVE, "<@U0ALICE>"),
        ("approve", W_ALICE, "is your own"),
        ("approve", W_DAVE, None),
        ("deny", W_ALICE, "is your own"),
        ("withdraw", W_DAVE, "<@U0ALICE> could do it instead"),
    ],
)
@pytest.mark.parametrize("kept", [True, False], ids=["of this version", "of an older one"])
async def test_two_ids_of_the_requester_and_others(
    desk: Desk, kept: bool, button: str, actor: Actor, words: str | None
) -> None:
    if kept:
        both_known(desk)
    opened = await asked(desk, button)
    assert opened.requester.person == ("W0ALICE" if kept else None)
    both_known(desk)

    taken = await desk.take(desk.click(button, actor, opened.id))

    if words is None:
        assert (await desk.now(opened.id)).state.value == "approved"
    else:
        assert words in words_of(taken.answer)
        assert await desk.now(opened.id) == opened


TWO: Final = rule(approvals=2, approvers=["U0DAVE", "W0DAVE", "U0CAROL", "U0BOB"])


@pytest.mark.parametrize("kept", [True, False], ids=["of this version", "of an older one"])
@pytest.mark.parametrize(("first", "second"), [(DAVE, W_DAVE), (W_DAVE, DAVE)], ids=["local first", "global first"])
async def test_two_ids_give_one_vote(desk: Desk, first: Actor, second: Actor, kept: bool) -> None:
    desk.directory.kinds["W0DAVE"] = Kind.MEMBER
    if kept:
        both_known(desk)
    desk.policy = policy_of(HEAD + TWO)
    opened = await desk.opened("stop main-feed")
    await desk.take(desk.click("approve", first, opened.id))
    both_known(desk)

    taken = await desk.take(desk.click("approve", second, opened.id))

    assert "counts each person once" in words_of(taken.answer)
    seen = await desk.now(opened.id)
    assert (seen.state.value, len(seen.votes)) == ("pending", 1)


async def test_two_votes_of_one_person_that_an_older_version_counted_do_not_let_anything_run(desk: Desk) -> None:
    desk.directory.kinds["W0DAVE"] = Kind.MEMBER
    desk.policy = policy_of(HEAD + TWO)
    opened = await desk.opened("stop main-feed")
    for actor in (DAVE, W_DAVE):
        await desk.take(desk.click("approve", actor, opened.id))
    approved = await desk.now(opened.id)
    assert approved.state.value == "approved"
    both_known(desk)

    await in_order(desk.calling.call(approved))

    seen = await desk.now(opened.id)
    assert (seen.state.value, [vote.actor for vote in seen.votes]) == ("pending", [DAVE])
    assert desk.cloud.stops() == 0


async def test_a_vote_of_the_requester_that_an_older_version_counted_does_not_let_anything_run(desk: Desk) -> None:
    desk.directory.kinds["W0ALICE"] = Kind.MEMBER
    desk.policy = policy_of(HEAD + rule(approvals=1, approvers=["W0ALICE", "U0DAVE"]))
    approved = await desk.approved("stop main-feed", by=W_ALICE)
    both_known(desk)

    await in_order(desk.calling.call(approved))

    seen = await desk.now(approved.id)
    assert (seen.state.value, seen.votes, desk.cloud.stops()) == ("pending", (), 0)


async def test_a_vote_does_not_count_while_slack_does_not_say_who_voted_before(desk: Desk) -> None:
    desk.policy = policy_of(HEAD + TWO)
    opened = await desk.opened("stop main-feed")
    await desk.take(desk.click("approve", CAROL, opened.id))
    both_known(desk)
    desk.directory.kinds["U0CAROL"] = Kind.UNREACHABLE

    taken = await desk.take(desk.click("approve", W_DAVE, opened.id))

    assert "I could not ask Slack about the people concerned" in words_of(taken.answer)
    assert len((await desk.now(opened.id)).votes) == 1


async def test_an_id_of_a_deny_that_slack_says_nothing_about_is_no_yes(desk: Desk) -> None:
    both_known(desk)
    desk.policy = policy_of(HEAD + ALONE + rule(effect="deny", who=["W0BOB"]).replace("sesame", "not bob"))
    desk.directory.kinds["W0BOB"] = Kind.UNREACHABLE

    told = await Asker(desk).told(Verb.STOP)

    assert told.startswith("I could not ask Slack about <@W0BOB>, which rule “not bob” needs")


@pytest.mark.parametrize(("first", "second"), [(ALICE, W_ALICE), (W_ALICE, ALICE)], ids=["local", "global"])
async def test_a_command_is_completed_by_its_sender_with_either_id(desk: Desk, first: Actor, second: Actor) -> None:
    both_known(desk)
    desk.policy = policy_of(HEAD + rule(reason="required"))
    typed = desk.typed("stop main-feed", first)
    missing = (await desk.take(typed)).answer
    assert isinstance(missing, answers.ReasonMissing)
    sent = deliveries.Submitted(modal=deliveries.Modal.ADD_REASON, request_id=typed.key, reason="it burns")

    assert (await desk.take(desk.entry(sent, W_DAVE))).answer == answers.NoSuchRequest()
    assert (await desk.take(desk.entry(sent, second))).request_id == typed.key


@pytest.mark.parametrize("kept", [True, False], ids=["of this version", "of an older one"])
async def test_a_denier_explains_with_either_id(desk: Desk, kept: bool) -> None:
    if kept:
        both_known(desk)
    opened = await asked(desk, "deny")
    await desk.take(desk.click("deny", DAVE, opened.id))
    both_known(desk)
    sent = deliveries.Submitted(modal=deliveries.Modal.DENY_REASON, request_id=opened.id, reason="not now")

    reasons = []
    for actor in (W_CAROL, W_DAVE):
        await desk.take(desk.entry(sent, actor))
        ending = (await desk.now(opened.id)).ending
        reasons.append(ending and ending.reason)

    assert reasons == [None, "not now"]


async def test_the_commands_of_a_minute_are_counted_by_person(desk: Desk) -> None:
    both_known(desk)
    for number in range(rate_limit.COMMANDS):
        await desk.take(desk.typed("stop nothing", (ALICE, W_ALICE)[number % 2]))

    for actor in (ALICE, W_ALICE):
        assert isinstance((await desk.take(desk.typed("stop main-feed", actor))).answer, answers.TooMany)
    assert (await desk.take(desk.typed("stop main-feed", CAROL))).request_id is not None


async def test_the_audit_names_the_person_where_another_id_acted(desk: Desk) -> None:
    both_known(desk)
    opened = await asked(desk, "approve")
    await desk.take(desk.click("approve", W_DAVE, opened.id))

    lines = desk.select("SELECT actor_user, facts FROM audit WHERE request_id = ? ORDER BY id", opened.id)

    assert [(user, json.loads(facts).get("person")) for user, facts in lines] == [
        ("U0ALICE", "W0ALICE"),
        ("W0DAVE", None),
    ]


def test_the_tables_know_every_kind_verb_and_button() -> None:
    assert set(KINDS) == set(Kind)
    assert set(TEXTS) == set(Verb)
    assert {*CHANGES, *READS, Verb.WHOAMI, Verb.HELP} == set(Verb)
    assert set(AT_THE_CLICK) < {button.value for button in deliveries.Button}
    assert set(model.Effect) == {model.Effect.ALLOW, model.Effect.DENY}
