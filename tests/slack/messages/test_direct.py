"""Help, usage, and whether a delivery was recorded."""

import dataclasses
from collections.abc import Mapping
from typing import Final

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.commands import verbs
from bot.commands.grammar import NotYet, ReadCommand, UsageError, UsageProblem
from bot.commands.verbs import Audience, Door, Verb
from bot.slack import messages
from bot.slack.messages import Message
from bot.slack.messages.direct import EVERY_VERB
from bot.usecases.ports import Recording

from . import examples, limits

DETAILS: Final = {
    UsageProblem.UNKNOWN_VERB: "stpo",
    UsageProblem.BAD_FLOW: "main/feed",
    UsageProblem.BAD_ADDRESS: "https://console.example/flows",
    UsageProblem.SEVERAL_FLOWS: "feed-1 feed-2",
    UsageProblem.STRAY_WORDS: "it is broken",
    UsageProblem.UNKNOWN_OPTION: "--force",
    UsageProblem.REPEATED_OPTION: "--project",
    UsageProblem.OPTION_WITHOUT_VALUE: "--project",
    UsageProblem.OPTION_WITH_VALUE: "--dry-run",
    UsageProblem.BAD_PROJECT: "h/k",
    UsageProblem.OPTION_IN_REASON: "--dry-run",
}
READS: Final = dataclasses.replace(
    EVERY_VERB, verbs=frozenset(verb for verb, entry in verbs.VERBS.items() if entry.who is not Audience.CHANGES)
)
SHOWN: Final[Mapping[str, Message | None]] = {
    "help": messages.help_text(None),
    **{f"help {verb}": messages.help_text(verb) for verb in Verb},
    **{
        f"usage {problem}": messages.usage(UsageError(verb=Verb.STOP, problem=problem, detail=DETAILS.get(problem, "")))
        for problem in UsageProblem
    },
    "usage without a verb": messages.usage(UsageError(verb=None, problem=UsageProblem.UNKNOWN_VERB, detail="xyzzy")),
    "usage of another verb": messages.usage(
        UsageError(verb=Verb.START, problem=UsageProblem.UNKNOWN_VERB, detail="strat")
    ),
    "usage of a verb that reads": messages.usage(UsageError(verb=Verb.STATUS, problem=UsageProblem.NO_FLOW)),
    "usage of a mention": messages.usage(UsageError(verb=Verb.STOP, problem=UsageProblem.NO_FLOW), door=Door.MENTION),
    "usage in a thread": messages.usage(
        UsageError(verb=None, problem=UsageProblem.NO_VERB), door=Door.MENTION, in_thread=True
    ),
    "help for who may only read": messages.help_text(None, usable=READS),
    "help of a verb that may not be used": messages.help_text(Verb.STOP, usable=READS, door=Door.MENTION),
    "help unsure": messages.help_text(Verb.STOP, usable=dataclasses.replace(EVERY_VERB, sure=False)),
    "help in a thread": messages.help_text(None, door=Door.MENTION, in_thread=True),
    **{f"looking {verb}": messages.looking(ReadCommand(verb=verb)) for verb in (Verb.LIST, Verb.PENDING, Verb.HISTORY)},
    "looking whoami": messages.looking(ReadCommand(verb=Verb.WHOAMI)),
    "looking at a flow": messages.looking(ReadCommand(verb=Verb.STATUS, about="main-feed")),
    "too many": messages.too_many(),
    "unreadable": messages.unreadable(),
    "recording unconfirmed by mention": messages.recording(Recording.UNCONFIRMED, door=Door.MENTION),
    "usage of help": messages.usage(UsageError(verb=Verb.HELP, problem=UsageProblem.STRAY_WORDS, detail="me please")),
    "not yet an option": messages.not_yet(NotYet(what="--emergency")),
    "reading": messages.reading("main-feed"),
    "recording full": messages.recording(Recording.FULL),
    "recording not_recorded": messages.recording(Recording.NOT_RECORDED),
    "recording unconfirmed": messages.recording(Recording.UNCONFIRMED),
    "checking": messages.checking(),
    "modal not opened": messages.modal_not_opened(),
    "starting up": messages.starting_up(),
    "unexpected": messages.unexpected("e-4711"),
}
every_message = pytest.mark.parametrize("name", SHOWN, ids=examples.slug)


def shown(name: str) -> Message:
    message = SHOWN[name]
    assert message is not None
    return message


@every_message
def test_a_direct_answer_reads_as_it_should(name: str, snapshot: SnapshotAssertion) -> None:
    assert dataclasses.asdict(shown(name)) == snapshot


@every_message
def test_a_direct_answer_keeps_within_slacks_limits(name: str) -> None:
    assert limits.problems(shown(name)) == []
    assert limits.foreign(shown(name)) == []


@pytest.mark.parametrize("recording", Recording)
def test_only_what_was_recorded_for_sure_needs_no_words(recording: Recording) -> None:
    message = messages.recording(recording)
    assert (message is None) is (recording in (Recording.NEW, Recording.REPEATED))
    assert message == SHOWN.get(f"recording {recording}")


def test_only_a_write_that_did_not_happen_is_called_not_recorded() -> None:
    assert "othing was recorded" in shown("recording full").text
    assert "othing was recorded" in shown("recording not_recorded").text
    assert shown("recording unconfirmed").text == (
        "I could not confirm it; look at `/flow pending`; asking again is safe."
    )


def test_reading_is_told_with_the_flow_as_typed() -> None:
    assert shown("reading").text == "Reading `main-feed`…"
    assert messages.reading("main-feed", dry_run=True).text == "Dry run: Reading `main-feed`…"


@pytest.mark.parametrize("problem", UsageProblem)
def test_what_cannot_be_understood_gets_the_usage_of_the_nearest_verb(problem: UsageProblem) -> None:
    text = shown(f"usage {problem}").text
    assert verbs.usage(Verb.STOP) in text
    assert DETAILS.get(problem, "") in text
    assert "Nothing was done." in text


def test_help_shows_the_verbs_that_its_reader_may_use() -> None:
    text = shown("help for who may only read").text
    assert all((verbs.usage(verb) in text) is (verb in READS.verbs) for verb in Verb)
    assert "No rule lets you use `stop`, `start` here." in text


@pytest.mark.parametrize("name", [name for name in SHOWN if "thread" in name or "mention" in name])
def test_what_was_mentioned_is_answered_with_mentions(name: str) -> None:
    assert "@flowbot" in shown(name).text
    assert "/flow" not in shown(name).text


def test_only_in_a_thread_it_is_told_that_slash_commands_do_not_work_there() -> None:
    told = {name for name, said in SHOWN.items() if said is not None and "no slash commands in threads" in said.text}
    assert told == {"usage in a thread", "help in a thread"}
