"""Which project is meant where something is typed, and where the card stands."""

from bot import answers, placing
from tests.test_policy import EU, HK, rules


def test_a_channel_leads_to_its_project_and_the_first_is_home() -> None:
    assert placing.project_of_channel(rules(), "C0WAR") == HK
    assert placing.project_of_channel(rules(), "C0EU") == EU
    assert placing.project_of_channel(rules(), "C0NONE") is None
    assert placing.home(HK) == "C0HOME"


def test_a_card_stands_where_it_was_asked_for_if_that_belongs_to_the_project_and_else_at_home() -> None:
    assert placing.card_channel(HK, "C0WAR") == "C0WAR"
    assert placing.card_channel(HK, "C0EU") == "C0HOME"


def test_the_project_named_is_meant_before_that_of_the_channel() -> None:
    assert placing.project_for(rules(), "eu", "C0HOME") == EU
    assert placing.project_for(rules(), None, "C0HOME") == HK


def test_where_nothing_tells_the_project_all_are_offered() -> None:
    unclear = answers.WhichProject(typed=None, projects=("hk", "eu"))
    assert placing.project_for(rules(), None, "C0NONE") == unclear
    assert placing.project_for(rules(), "mars", "C0HOME") == answers.WhichProject(typed="mars", projects=("hk", "eu"))
