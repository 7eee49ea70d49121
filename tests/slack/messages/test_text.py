"""Escaping, shortening, and Slack's notations."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.messages import text

from . import examples


@pytest.mark.parametrize(
    ("hostile", "safe"),
    [
        ("<!here> & <@U1>", "&lt;!here&gt; &amp; &lt;@U1&gt;"),
        ("<http://evil|bank>", "&lt;http://evil|bank&gt;"),
        ("a `code` b", "a ˋcodeˋ b"),
        ("one\r\ntwo\u2028three\x00four", "one two three four"),
        ("abc\u202edcba\u200b\u2066\ufeff", "abcdcba"),
        ("\u3164 \u2800", ""),
        ("half \ud800 a character", "half a character"),
        ("z" + "\u0301" * 50, "z\u0301\u0301\u0301"),
    ],
)
def test_what_could_ping_link_or_break_the_line_is_made_harmless(hostile: str, safe: str) -> None:
    assert text.escape(hostile) == safe


def test_a_text_is_cut_with_an_ellipsis_and_never_inside_an_escape() -> None:
    assert text.escape("abcdefgh", most=5) == "abcd…"
    assert text.escape("abcdefgh", most=8) == "abcdefgh"
    assert text.escape("ab&cd", most=6) == "ab…"


def test_an_empty_value_is_said_to_be_empty() -> None:
    assert text.code("") == "(empty)"


def test_people_groups_and_channels_are_written_as_slack_writes_them() -> None:
    assert text.user("U0ALICE") == "<@U0ALICE>"
    assert text.mention("W0ALICE") == "<@W0ALICE>"
    assert text.mention("S0NOC") == "<!subteam^S0NOC>"
    assert text.channel("C0INCIDENT") == "<#C0INCIDENT>"


@pytest.mark.parametrize("odd", ["media-leads", "!here", "U1>", ""])
def test_what_is_no_id_pings_nobody(odd: str) -> None:
    for shown in (
        text.user(odd),
        text.mention(odd),
        text.channel(odd),
        text.quiet(odd, workspace_url=examples.WORKSPACE),
    ):
        assert "<" not in shown


def test_a_time_is_for_slack_to_localise_and_in_utc_elsewhere() -> None:
    assert text.date(examples.AT) == "<!date^1770000000^{time}|2026-02-02 02:40 UTC>"


@pytest.mark.parametrize("at", [253402300800.0, -62135596801.0, 1e300, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("say", [text.date, text.day])
def test_a_time_that_no_calendar_has_is_said_to_be_one(say: Callable[[float], str], at: float) -> None:
    assert say(at) == "(a date out of range)"


@given(st.floats())
def test_every_number_can_be_told_as_a_time(at: float) -> None:
    assert text.date(at)
    assert text.day(at)


def test_a_list_reads_as_one() -> None:
    assert text.listed(()) == ""
    assert text.listed(("a",)) == "a"
    assert text.listed(("a", "b")) == "a and b"
    assert text.listed(("a", "b", "c"), most=2, last="or") == "a, b or 1 more"


def test_a_short_id_is_the_end_of_it() -> None:
    assert text.short_id(examples.FLOW.flow_id) == "1b2d"
    assert text.short_id("a") == "a"
