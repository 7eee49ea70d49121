"""The first line of a card: the decision, then what came of it."""

from typing import Final

import pytest

from bot.lifecycle import records
from bot.lifecycle.records import OutcomeKind
from bot.slack.messages import headline

from . import examples

OUTCOMES: Final = {
    "stopped": "Stopped `main-feed` (…1b2d) in hk: STANDBY",
    "read back": "Stopped `main-feed` (…1b2d) in hk: STANDBY",
    "confirmed standby": "Stopped `main-feed` (…1b2d) in hk: STANDBY",
    "already": "Stop of `main-feed` (…1b2d) in hk not needed: already STANDBY",
    "changed again": "Stopped `main-feed` (…1b2d) in hk, but now ACTIVE",
    "rehearsed": "Dry run: Stop of `main-feed` (…1b2d) in hk passed every check",
    "refused": "Stop of `main-feed` (…1b2d) in hk failed: `LIVE.100011003`",
    "unreadable": "Stop of `main-feed` (…1b2d) in hk failed: `LIVE.100011003`",
    "still active": "Stop of `main-feed` (…1b2d) in hk failed: not stopped",
    "undone": "Stop of `main-feed` (…1b2d) in hk failed: not stopped",
    "too few votes before another try": "Stop of `main-feed` (…1b2d) in hk failed: nothing was sent",
    "lost": "Stop of `main-feed` (…1b2d) in hk unknown: checking",
    "lost for good": "Stop of `main-feed` (…1b2d) in hk unknown",
    "denied": "Stop of `main-feed` (…1b2d) in hk denied by <@U0CAROL>",
    "denied by policy": "Stop of `main-feed` (…1b2d) in hk denied by policy",
    "denied by a pause": "Stop of `main-feed` (…1b2d) in hk denied by policy",
    "expired unapproved": "Stop of `main-feed` (…1b2d) in hk expired",
    "withdrawn": "Stop of `main-feed` (…1b2d) in hk withdrawn by <@U0ALICE>",
    "withdrawn by Slack": "Stop of `main-feed` (…1b2d) in hk withdrawn by flowbot",
    "superseded": "Stop of `main-feed` (…1b2d) in hk superseded by an emergency request",
    "superseded by somebody": "Stop of `main-feed` (…1b2d) in hk superseded by an emergency request of <@U0BOB>",
    "emergency stopped": "EMERGENCY: Stopped `main-feed` (…1b2d) in hk: STANDBY",
    "emergency lost": "EMERGENCY: Stop of `main-feed` (…1b2d) in hk unknown: checking",
}

OPEN: Final = [name for name, seen in examples.CARDS.items() if records.is_open(seen)]
SETTLED: Final = [name for name in examples.CARDS if name not in OPEN]


@pytest.mark.parametrize("name", OPEN)
def test_while_a_request_is_open_it_is_the_decision(name: str) -> None:
    seen = examples.CARDS[name]
    assert headline.headline(seen) == headline.decision(seen)


@pytest.mark.parametrize("name", OUTCOMES)
def test_once_a_request_is_settled_it_is_what_came_of_it(name: str) -> None:
    assert headline.headline(examples.CARDS[name]) == OUTCOMES[name]


@pytest.mark.parametrize("name", [name for name in SETTLED if name != "changed again"])
def test_once_a_request_is_settled_it_never_goes_on_saying_active(name: str) -> None:
    assert "ACTIVE" not in headline.headline(examples.CARDS[name])


def test_a_start_that_is_done_says_so() -> None:
    started = examples.finished(OutcomeKind.DONE, seen=examples.STARTING)
    assert headline.headline(started) == "Started `main-feed` (…1b2d) in hk: ACTIVE"
