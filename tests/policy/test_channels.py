"""Which project a command in a channel is about, and where its card appears."""

from bot.policy import channels
from tests.policy.test_model import EU, HK, rules


def test_a_channel_leads_to_its_project_and_the_first_is_home() -> None:
    assert channels.project_of_channel(rules(), "C0WAR") == HK
    assert channels.project_of_channel(rules(), "C0EU") == EU
    assert channels.project_of_channel(rules(), "C0NONE") is None
    assert channels.home(HK) == "C0HOME"


def test_a_card_stands_where_it_was_asked_for_if_that_belongs_to_the_project_and_else_at_home() -> None:
    assert channels.card_channel(HK, "C0WAR") == "C0WAR"
    assert channels.card_channel(HK, "C0EU") == "C0HOME"


def test_the_project_named_is_meant_before_that_of_the_channel() -> None:
    assert channels.project_for(rules(), "eu", "C0HOME") == EU
    assert channels.project_for(rules(), None, "C0HOME") == HK


def test_where_nothing_tells_the_project_all_are_offered() -> None:
    unclear = channels.UnclearProject(typed=None, projects=("hk", "eu"))
    assert channels.project_for(rules(), None, "C0NONE") == unclear
    assert channels.project_for(rules(), "mars", "C0HOME") == channels.UnclearProject(
        typed="mars", projects=("hk", "eu")
    )
