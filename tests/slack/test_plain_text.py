"""Messages for a terminal: nothing of Slack's notation is left, and no word is lost."""

import pytest

from bot.slack import messages
from bot.slack.plain_text import plain
from tests.slack.messages import examples


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<@U0CAROL> approved", "@carol approved"),
        ("<@U0CAROL|carol-in-slack>, on the host", "@carol, on the host"),
        ("<@U0ERIN> approved", "@U0ERIN approved"),
        ("ask <!subteam^S0LEADS> or <!subteam^S0OTHER|@others>", "ask @S0LEADS or @S0OTHER"),
        ("in <#C0INCIDENT> and <#C0WAR|war>", "in #C0INCIDENT and #C0WAR"),
        ("see <https://x.example/a|the card>", "see the card (https://x.example/a)"),
        ("see <https://x.example/a>", "see https://x.example/a"),
        ("*Stopped* `main-feed`", "Stopped main-feed"),
        ("2*3*4 and a * b * c", "2*3*4 and a * b * c"),
        ("a &lt;b&gt; &amp; c", "a <b> & c"),
        ("&lt;@U0CAROL&gt;", "<@U0CAROL>"),
    ],
)
def test_notation_becomes_words(text: str, shown: str) -> None:
    assert plain(text, logins={"U0CAROL": "carol"}) == shown


def test_times_are_told_with_their_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        assert plain("until <!date^1700000000^{time}|14:13 UTC>.") == "until 2023-11-14 22:13:20 UTC."
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_card_has_nothing_of_slacks_notation_left() -> None:
    shown = plain(messages.card(examples.PENDING, workspace_url="https://x.slack.example/").text)
    assert not set("<>`*") & set(shown)
