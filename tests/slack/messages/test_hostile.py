"""Whatever people and the cloud write pings nobody, links nowhere and fits."""

import dataclasses
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.grammar import NotYet, ReadCommand, UsageError, UsageProblem
from bot.commands.verbs import Door, Verb
from bot.lifecycle.records import Flow, Part, Reply, Request
from bot.policy.model import Refuse, Why
from bot.slack import messages
from bot.slack.messages import Message
from bot.usecases import answers

from . import examples, limits

ATTACKS: Final = (
    "<!channel>",
    "<!here|here>",
    "<@U1>",
    "<#C1>",
    "<!subteam^S1>",
    "<https://evil.example|acme.slack.com>",
    "<!date^1^{time}|x>",
    "`",
    "```",
    "*_~",
    "\n> ",
    "&lt;!channel&gt;",
    "\u202e",
    "\u200b",
    "a" * 5_000,
    "<" * 3_000,
    "🧨" * 2_000,
    "",
)
texts = st.text(max_size=60) | st.lists(st.sampled_from(ATTACKS) | st.text(max_size=10), max_size=6).map("".join)
parts = st.builds(Part, name=texts, protocol=texts, health=texts)
flows = st.builds(
    Flow,
    flow_id=texts,
    name=texts,
    region=texts,
    status=texts,
    sources=st.lists(parts, max_size=12).map(tuple),
    outputs=st.lists(parts, max_size=12).map(tuple),
)


@st.composite
def requests(draw: st.DrawFn, names: tuple[str, ...] = tuple(examples.CARDS)) -> Request:
    return hostile(draw, examples.CARDS[draw(st.sampled_from(names))])


def hostile(draw: st.DrawFn, seen: Request) -> Request:
    """Return the request with hostile text from people, rules and the cloud."""
    rule = draw(texts)
    approvers = tuple(draw(st.lists(texts, max_size=12)))
    terms = dataclasses.replace(seen.terms, rule=rule, approvers=approvers, mentions=approvers)
    ending = seen.ending and dataclasses.replace(
        seen.ending,
        reason=draw(st.none() | texts),
        rule=draw(st.none() | texts),
        code=draw(st.none() | texts),
    )
    outcome = seen.operation.outcome
    if outcome is not None:
        failure = outcome.failure and dataclasses.replace(
            outcome.failure, code=draw(texts), message=draw(texts), request_id=draw(texts)
        )
        outcome = dataclasses.replace(outcome, status=draw(st.none() | texts), failure=failure)
    emergency = seen.emergency
    if emergency is not None:
        review = emergency.review and dataclasses.replace(emergency.review, comment=draw(st.none() | texts))
        over = st.lists(texts, max_size=12).map(tuple)
        emergency = dataclasses.replace(
            emergency, members=draw(over), passed_over=draw(over), announced_in=draw(st.none() | texts), review=review
        )
    return dataclasses.replace(
        seen,
        emergency=emergency,
        project=draw(texts),
        flow=draw(flows),
        reason=draw(st.none() | texts),
        terms=terms,
        ending=ending,
        operation=dataclasses.replace(seen.operation, outcome=outcome),
    )


@st.composite
def replies(draw: st.DrawFn) -> tuple[Request, Reply]:
    seen, reply = examples.REPLIES[draw(st.sampled_from(tuple(examples.REPLIES)))]
    return hostile(draw, seen), dataclasses.replace(reply, reason=reply.reason and draw(texts))


def harmless(message: Message) -> None:
    assert limits.problems(message) == []
    assert limits.foreign(message) == []
    assert all("\n\n" not in shown and "```" not in shown for shown in limits.texts(message))


@given(requests())
def test_a_card_pings_nobody_links_nowhere_and_fits(seen: Request) -> None:
    message = messages.card(seen, workspace_url=examples.WORKSPACE)
    harmless(message)
    people = {"@U0ALICE", "@U0BOB", "@U0CAROL", "@U0DAVE"}
    assert limits.pings(message) <= people


@given(replies())
def test_a_reply_links_nowhere_and_fits(pair: tuple[Request, Reply]) -> None:
    harmless(messages.reply(*pair, workspace_url=examples.WORKSPACE))


refusals = st.builds(
    answers.Refused,
    action=texts,
    flow=texts,
    decision=st.builds(
        Refuse,
        why=st.sampled_from(Why),
        rule=st.none() | texts,
        who_could=st.lists(texts, max_size=12).map(tuple),
        groups=st.lists(texts, max_size=12).map(tuple),
        approvals=st.integers(0, 99),
        candidates=st.integers(0, 99),
    ),
)
links = st.builds(
    answers.CardLink,
    request_id=texts,
    verb=st.sampled_from(Verb),
    flow=texts,
    channel=texts | st.just("C0INCIDENT"),
    ts=st.none() | texts | st.just("1770000001.000100"),
    thread=st.none() | texts | st.just("1769999999.000200"),
)
failures = st.builds(
    dataclasses.replace,
    st.sampled_from(tuple(examples.FAILURES.values())),
    code=texts,
    message=texts,
    request_id=texts,
)
hostile_answers = st.one_of(
    refusals,
    st.builds(answers.Opened, card=links),
    st.builds(answers.Joined, card=links),
    st.builds(answers.Blocked, verb=st.sampled_from(Verb), card=links),
    st.builds(
        answers.HeldInPrivate,
        verb=st.sampled_from(Verb),
        held_by=st.sampled_from(Verb),
        flow=texts,
        requester=texts,
        approvers=st.lists(texts, max_size=12).map(tuple),
    ),
    st.builds(
        answers.ReasonMissing, entry=st.just("entry-1"), verb=st.sampled_from(Verb), flow=texts, rule=texts, typed=texts
    ),
    st.builds(
        answers.NameMissing,
        entry=st.just("entry-1"),
        verb=st.sampled_from(Verb),
        flow=texts,
        rule=texts,
        typed=st.none() | texts,
        nameless=st.booleans(),
        reason_too=st.booleans(),
    ),
    st.builds(answers.AlreadySo, verb=st.sampled_from(Verb), project=texts, flow=flows),
    st.builds(
        answers.NoSuchFlow,
        typed=texts,
        project=texts,
        candidates=st.lists(st.tuples(texts, texts), max_size=12).map(tuple),
        ambiguous=st.booleans(),
    ),
    st.builds(answers.Unreadable, typed=texts, project=texts, failure=failures),
    st.builds(answers.WhichProject, typed=st.none() | texts, projects=st.lists(texts, max_size=12).map(tuple)),
    st.builds(answers.SharedChannel, channel=texts, project=texts),
    st.builds(answers.CannotPost, channel=texts, code=texts),
    st.builds(answers.Noted, what=texts),
    st.builds(answers.DenyReasonAsked, request_id=texts, flow=texts),
    st.builds(answers.TooSoon, flow=texts, wait=st.none() | st.floats(0, 3)),
    st.builds(
        answers.SecondNeeded,
        flow=texts,
        used=st.integers(1, 99),
        limit=st.integers(1, 99),
        who_could=st.lists(texts, max_size=12).map(tuple),
        people=st.lists(texts, max_size=12).map(tuple),
    ),
    st.builds(answers.ReviewAsked, request_id=texts, verb=st.sampled_from(Verb), flow=texts),
)


@given(hostile_answers)
def test_an_answer_links_nowhere_and_fits(value: answers.AnyAnswer) -> None:
    harmless(messages.answer(value, workspace_url=examples.WORKSPACE))


@given(texts, st.sampled_from(UsageProblem), st.none() | st.sampled_from(Verb))
def test_what_was_typed_comes_back_harmless(typed: str, problem: UsageProblem, verb: Verb | None) -> None:
    harmless(messages.reading(typed))
    harmless(messages.looking(ReadCommand(verb=Verb.STATUS, about=typed)))
    harmless(messages.not_yet(NotYet(what=typed)))
    harmless(messages.unexpected(typed))
    for door in Door:
        harmless(messages.usage(UsageError(verb=verb, problem=problem, detail=typed), door=door, in_thread=True))


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_known_attack_is_harmless_as_a_reason_and_as_a_name(attack: str) -> None:
    flow = dataclasses.replace(examples.FLOW, name=attack)
    seen = dataclasses.replace(examples.PENDING, reason=attack, flow=flow)
    harmless(messages.card(seen, workspace_url=examples.WORKSPACE))
