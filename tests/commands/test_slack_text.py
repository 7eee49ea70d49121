"""Undoing what Slack clients do to typed text; tests of the grammar are in `test_grammar`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands import slack_text

INVISIBLE = "\u200b\u200c\u2060\ufeff\u200e\u202e\u00ad"


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("<@U0BOT> stop main-feed", "stop main-feed"),
        ("<@U0BOT|flowbot> stop main-feed", "stop main-feed"),
        ("<@U0BOT>: stop", "stop"),
        ("<@U0BOT> , stop\nmain-feed", "stop\nmain-feed"),
        (" \u200b<@U0BOT>stop", "stop"),
        ("<@U0BOT>", ""),
        ("<@U0BOT> <@U0BOB> stop", "<@U0BOB> stop"),
        ("hey <@U0BOT> stop", None),
        ("<@U0BOB> <@U0BOT> stop", None),
        ("<@U0BOTTOM> stop", None),
        ("&lt;@U0BOT&gt; stop", None),
        ("`<@U0BOT> stop`", None),
        ("", None),
    ],
)
def test_a_message_begins_with_a_mention_or_it_does_not(text: str, rest: str | None) -> None:
    assert slack_text.after_mention(text, "U0BOT") == rest


def test_nobody_is_mentioned_while_we_do_not_know_who_we_are() -> None:
    assert slack_text.after_mention("<@U0BOT> stop", "") is None


@given(st.text(max_size=40), st.text(INVISIBLE, max_size=3))
def test_law_what_follows_a_mention_is_what_was_typed(rest: str, unseen: str) -> None:
    found = slack_text.after_mention(f"{unseen}<@U0BOT>{unseen} a{rest}", "U0BOT")
    assert found is not None
    assert slack_text.read(found) == slack_text.read(f"a{rest}".strip())


@given(st.text(max_size=200))
def test_law_any_text_is_read_and_no_word_holds_a_space(text: str) -> None:
    read = slack_text.read(text)
    words = [piece.text if isinstance(piece, slack_text.Word) else piece.typed for piece in read.pieces]
    assert all(word and not any(each.isspace() for each in word) for word in words)
    assert read.reason is None or read.reason == read.reason.strip()


@given(st.text(max_size=200))
def test_law_an_address_names_a_flow_that_can_be_one_or_nothing(rest: str) -> None:
    found = slack_text.flow_in(f"https://{rest}")
    assert found is None or slack_text.FLOW.fullmatch(found)
