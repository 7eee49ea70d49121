"""Help, usage, and how a delivery went."""

import dataclasses
from collections.abc import Mapping
from typing import Final

import pytest
from syrupy.assertion import SnapshotAssertion

from bot import commands
from bot.commands import NotYet, Problem, UsageError, Verb
from bot.ports import Recording
from bot.slack import messages
from bot.slack.messages import Message

from . import examples, limits

DETAILS: Final = {
    Problem.UNKNOWN_VERB: "stpo",
    Problem.BAD_FLOW: "main/feed",
    Problem.SEVERAL_FLOWS: "feed-1 feed-2",
    Problem.STRAY_WORDS: "it is broken",
    Problem.UNKNOWN_OPTION: "--force",
    Problem.REPEATED_OPTION: "--project",
    Problem.OPTION_WITHOUT_VALUE: "--project",
    Problem.OPTION_WITH_VALUE: "--dry-run",
    Problem.BAD_PROJECT: "h/k",
    Problem.OPTION_IN_REASON: "--dry-run",
}
SHOWN: Final[Mapping[str, Message | None]] = {
    "help": messages.help_text(None),
    **{f"help {verb}": messages.help_text(verb) for verb in Verb},
    **{
        f"usage {problem}": messages.usage(UsageError(verb=Verb.STOP, problem=problem, detail=DETAILS.get(problem, "")))
        for problem in Problem
    },
    "usage without a verb": messages.usage(UsageError(verb=None, problem=Problem.UNKNOWN_VERB, detail="xyzzy")),
    "usage of a later verb": messages.usage(UsageError(verb=Verb.START, problem=Problem.UNKNOWN_VERB, detail="strat")),
    "usage of help": messages.usage(UsageError(verb=Verb.HELP, problem=Problem.STRAY_WORDS, detail="me please")),
    "not yet a verb": messages.not_yet(NotYet(what="start")),
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


@pytest.mark.parametrize("problem", Problem)
def test_what_cannot_be_understood_gets_the_usage_of_the_nearest_verb(problem: Problem) -> None:
    text = shown(f"usage {problem}").text
    assert commands.usage(Verb.STOP) in text
    assert DETAILS.get(problem, "") in text
    assert "Nothing was done." in text


def test_help_shows_the_verbs_of_this_version() -> None:
    text = shown("help").text
    assert all((commands.usage(verb) in text) is entry.built for verb, entry in commands.VERBS.items())
