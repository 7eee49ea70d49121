"""The table of variables, and the example made from it."""

import pathlib

from bot.settings import variables

ROOT = pathlib.Path(__file__).parents[2]


def test_the_example_in_the_repository_is_what_the_table_says() -> None:
    assert (ROOT / ".env.example").read_text() == variables.env_example()


def test_every_variable_stands_in_the_table_once() -> None:
    names = [variable.name for variable in variables.VARIABLES]
    assert len(names) == len(set(names))
    assert variables.DEFAULTS["PORT"] == "3000"
