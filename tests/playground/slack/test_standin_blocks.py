"""Block Kit's limits, one row each, on both sides of the limit."""

from typing import Any

import pytest
from slack_sdk.models import blocks as models

from bot.playground.slack import blocks

Json = dict[str, Any]


def plain(words: str) -> Json:
    return {"type": "plain_text", "text": words}


def mrkdwn(words: str) -> Json:
    return {"type": "mrkdwn", "text": words}


def section(**more: Any) -> Json:
    return {"type": "section", "text": mrkdwn("words"), **more}


def button(action_id: str = "press", **more: Any) -> Json:
    return {"type": "button", "action_id": action_id, "text": plain("Press"), **more}


def actions(*elements: Json, **more: Any) -> Json:
    return {"type": "actions", "elements": list(elements), **more}


def confirm(**more: Any) -> Json:
    return {"title": plain("t"), "text": mrkdwn("w"), "confirm": plain("Yes"), "deny": plain("No"), **more}


def menu(*options: Json, **more: Any) -> Json:
    return {"type": "static_select", "action_id": "menu", "options": list(options), **more}


def option(words: str = "words", value: str = "value", **more: Any) -> Json:
    return {"text": plain(words), "value": value, **more}


def an_input(**more: Any) -> Json:
    element = {"type": "plain_text_input", "action_id": "words"}
    return {"type": "input", "label": plain("Words"), "element": element, **more}


def modal(*inside: Json, **more: Any) -> Json:
    return {
        "type": "modal",
        "title": plain("Title"),
        "submit": plain("Go"),
        "blocks": list(inside) or [section()],
        **more,
    }


FITS_AND_NOT: dict[str, tuple[list[Json], list[Json]]] = {
    "50 blocks": ([section()] * 50, [section()] * 51),
    "section text of 3000": ([section(text=mrkdwn("x" * 3000))], [section(text=mrkdwn("x" * 3001))]),
    "10 fields": (
        [{"type": "section", "fields": [mrkdwn("f")] * 10}],
        [{"type": "section", "fields": [mrkdwn("f")] * 11}],
    ),
    "field of 2000": ([section(fields=[mrkdwn("x" * 2000)])], [section(fields=[mrkdwn("x" * 2001)])]),
    "header of 150": ([{"type": "header", "text": plain("x" * 150)}], [{"type": "header", "text": plain("x" * 151)}]),
    "header in plain text": ([{"type": "header", "text": plain("x")}], [{"type": "header", "text": mrkdwn("x")}]),
    "10 in a context": (
        [{"type": "context", "elements": [mrkdwn("x")] * 10}],
        [{"type": "context", "elements": [mrkdwn("x")] * 11}],
    ),
    "25 in a row": (
        [actions(*(button(f"b{n}") for n in range(25)))],
        [actions(*(button(f"b{n}") for n in range(26)))],
    ),
    "a row is not empty": ([actions(button())], [actions()]),
    "button text of 75": ([actions(button(text=plain("x" * 75)))], [actions(button(text=plain("x" * 76)))]),
    "button in plain text": ([actions(button(text=plain("x")))], [actions(button(text=mrkdwn("x")))]),
    "button value of 2000": ([actions(button(value="x" * 2000))], [actions(button(value="x" * 2001))]),
    "button value is a string": ([actions(button(value="1"))], [actions(button(value=1))]),
    "button url of 3000": ([actions(button(url="x" * 3000))], [actions(button(url="x" * 3001))]),
    "label of 75 for screen readers": (
        [actions(button(accessibility_label="x" * 75))],
        [actions(button(accessibility_label="x" * 76))],
    ),
    "button style": ([actions(button(style="danger"))], [actions(button(style="default"))]),
    "action_id of 255": ([actions(button("x" * 255))], [actions(button("x" * 256))]),
    "action_id once in a row": ([actions(button("a"), button("b"))], [actions(button("a"), button("a"))]),
    "action_id once in a message": (
        [actions(button("a")), section(accessory=button("b"))],
        [actions(button("a")), section(accessory=button("a"))],
    ),
    "block_id of 255": ([section(block_id="x" * 255)], [section(block_id="x" * 256)]),
    "block_id once": (
        [section(block_id="a"), section(block_id="b")],
        [section(block_id="a"), section(block_id="a")],
    ),
    "confirm title of 100": (
        [actions(button(confirm=confirm(title=plain("x" * 100))))],
        [actions(button(confirm=confirm(title=plain("x" * 101))))],
    ),
    "confirm text of 300": (
        [actions(button(confirm=confirm(text=mrkdwn("x" * 300))))],
        [actions(button(confirm=confirm(text=mrkdwn("x" * 301))))],
    ),
    "confirm label of 30": (
        [actions(button(confirm=confirm(confirm=plain("x" * 30))))],
        [actions(button(confirm=confirm(confirm=plain("x" * 31))))],
    ),
    "deny label of 30": (
        [actions(button(confirm=confirm(deny=plain("x" * 30))))],
        [actions(button(confirm=confirm(deny=plain("x" * 31))))],
    ),
    "confirm style": (
        [actions(button(confirm=confirm(style="primary")))],
        [actions(button(confirm=confirm(style="warning")))],
    ),
    "confirm has all its parts": (
        [actions(button(confirm=confirm()))],
        [actions(button(confirm={"title": plain("t"), "text": mrkdwn("w"), "deny": plain("No")}))],
    ),
    "option text of 75": ([actions(menu(option("x" * 75)))], [actions(menu(option("x" * 76)))]),
    "option value of 150": ([actions(menu(option(value="x" * 150)))], [actions(menu(option(value="x" * 151)))]),
    "option description of 75": (
        [actions(menu(option(description=plain("x" * 75))))],
        [actions(menu(option(description=plain("x" * 76))))],
    ),
    "100 options": ([actions(menu(*[option()] * 100))], [actions(menu(*[option()] * 101))]),
    "a menu has options": ([actions(menu(option()))], [actions(menu())]),
    "groups of options": (
        [actions(menu(option_groups=[{"label": plain("g"), "options": [option()]}]))],
        [actions(menu(option_groups=[{"label": mrkdwn("g"), "options": [option()]}]))],
    ),
    "10 radio buttons": (
        [actions(menu(*[option()] * 10, type="radio_buttons"))],
        [actions(menu(*[option()] * 11, type="radio_buttons"))],
    ),
    "5 in an overflow menu": (
        [section(accessory=menu(*[option()] * 5, type="overflow"))],
        [section(accessory=menu(*[option()] * 6, type="overflow"))],
    ),
    "placeholder of 150": (
        [actions(menu(option(), placeholder=plain("x" * 150)))],
        [actions(menu(option(), placeholder=plain("x" * 151)))],
    ),
    "12,000 characters in all": (
        [section(text=mrkdwn("x" * 3000))] * 4,
        [*[section(text=mrkdwn("x" * 3000))] * 4, section(text=mrkdwn("x"))],
    ),
    "text is not empty": ([section(text=mrkdwn("x"))], [section(text=mrkdwn(""))]),
    "text object of a known type": ([section(text=plain("x"))], [section(text={"type": "markdown", "text": "x"})]),
    "section says something": ([section()], [{"type": "section"}]),
    "context takes images": (
        [{"type": "context", "elements": [{"type": "image", "image_url": "https://x", "alt_text": "x"}]}],
        [{"type": "context", "elements": [{"type": "image", "image_url": "https://x"}]}],
    ),
    "rows take no text": ([actions(button())], [actions(mrkdwn("x"))]),
    "messages take inputs": ([an_input()], [an_input(label=mrkdwn("x"))]),
    "input hint in plain text": ([an_input(hint=plain("x"))], [an_input(hint=mrkdwn("x"))]),
    "markdown of 12,000": ([{"type": "markdown", "text": "x" * 12_000}], [{"type": "markdown", "text": "x" * 12_001}]),
    "rich text loosely": ([{"type": "rich_text", "elements": [{"anything": 1}]}], [{"type": "rich_text"}]),
    "no key that a block does not have": ([section(expand=True)], [section(txt="x")]),
    "no key that an element does not have": ([actions(button())], [actions(button(label="x"))]),
    "no key that a text does not have": (
        [section(text={**mrkdwn("x"), "verbatim": True})],
        [section(text={**mrkdwn("x"), "bold": True})],
    ),
    "no key that a dialog does not have": (
        [actions(button(confirm=confirm()))],
        [actions(button(confirm=confirm(cancel=plain("No"))))],
    ),
    "no key that an option does not have": ([actions(menu(option()))], [actions(menu(option(label="x")))]),
    "divider": ([{"type": "divider"}], [{"type": "dividers"}]),
    "image block": (
        [{"type": "image", "image_url": "https://x", "alt_text": "x", "title": plain("x")}],
        [{"type": "image", "alt_text": "x"}],
    ),
}


@pytest.mark.parametrize("rule", FITS_AND_NOT)
def test_what_fits_is_accepted(rule: str) -> None:
    assert blocks.problems(FITS_AND_NOT[rule][0]) == []


@pytest.mark.parametrize("rule", FITS_AND_NOT)
def test_what_does_not_fit_is_named_once(rule: str) -> None:
    assert len(blocks.problems(FITS_AND_NOT[rule][1])) == 1


@pytest.mark.parametrize("value", [None, "[]", {}, [None], ["text"]])
def test_what_is_no_list_of_objects_is_refused(value: object) -> None:
    assert blocks.problems(value)


def test_an_unknown_block_is_named_with_its_place() -> None:
    assert blocks.problems([section(), {"type": "sektion"}]) == ["blocks[1].type 'sektion' is not a known block"]


def test_an_unknown_element_is_named_with_its_place() -> None:
    found = blocks.problems([actions({"type": "knob", "action_id": "turn"})])
    assert found == ["blocks[0].elements[0].type 'knob' is not an element allowed here"]


def test_several_problems_are_all_told() -> None:
    assert len(blocks.problems([section(text=mrkdwn("")), actions(button(style="loud"))])) == 2


VIEWS: dict[str, tuple[Json, Json]] = {
    "title of 24": (modal(title=plain("x" * 24)), modal(title=plain("x" * 25))),
    "title is there": (modal(), {"type": "modal", "blocks": [section()]}),
    "submit of 24": (modal(submit=plain("x" * 24)), modal(submit=plain("x" * 25))),
    "close of 24": (modal(close=plain("x" * 24)), modal(close=plain("x" * 25))),
    "private_metadata of 3000": (modal(private_metadata="x" * 3000), modal(private_metadata="x" * 3001)),
    "callback_id of 255": (modal(callback_id="x" * 255), modal(callback_id="x" * 256)),
    "100 blocks": (modal(*[section()] * 100), modal(*[section()] * 101)),
    "inputs need submit": (
        modal(an_input()),
        {"type": "modal", "title": plain("x"), "blocks": [an_input()]},
    ),
    "no limit for all text together": (modal(*[section(text=mrkdwn("x" * 3000))] * 5), modal(blocks={})),
    "one block at least": (modal(section()), modal(blocks=[])),
    "no key that a view does not have": (modal(notify_on_close=True), modal(hash="h")),
    "of type modal": (modal(), modal(type="home")),
}


@pytest.mark.parametrize("rule", VIEWS)
def test_a_view_that_fits_is_accepted_and_one_that_does_not_is_named(rule: str) -> None:
    fits, fits_not = VIEWS[rule]
    assert blocks.view_problems(fits) == []
    assert len(blocks.view_problems(fits_not)) == 1


def test_a_view_must_be_an_object() -> None:
    assert blocks.view_problems("modal") == ["view must be an object"]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "section", "text": "words"},
        {"type": "section", "fields": "words"},
        section(accessory="button"),
        actions(button(confirm="Sure?")),
        actions(menu("option")),  # type: ignore[arg-type]
        actions(menu(option_groups=["group"])),
        section(block_id=1),
    ],
)
def test_a_part_of_the_wrong_kind_is_named_and_never_crashes(block: Json) -> None:
    assert len(blocks.problems([block])) == 1


def test_suggested_options_may_be_none_at_all_but_not_too_many() -> None:
    assert blocks.option_problems([]) == []
    assert blocks.option_problems([option()] * 101)


def test_what_the_vendors_own_models_write_is_accepted() -> None:
    made = [
        models.HeaderBlock(text="Stop main-feed?"),
        models.SectionBlock(text="*words*", accessory=models.ButtonElement(text="Look", action_id="look")),
        models.DividerBlock(),
        models.ContextBlock(elements=[models.MarkdownTextObject(text="small")]),
        models.ActionsBlock(elements=[models.ExternalDataSelectElement(action_id="pick", placeholder="Pick")]),
    ]
    assert blocks.problems([block.to_dict() for block in made]) == []


def test_a_view_out_of_a_payload_cannot_be_sent_back_as_it_is() -> None:
    answered = modal(id="V1", hash="h", state={"values": {}})
    assert blocks.view_problems(answered) == ["view has hash, id, state, which a modal cannot have"]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("section", models.SectionBlock),
        ("header", models.HeaderBlock),
        ("context", models.ContextBlock),
        ("actions", models.ActionsBlock),
        ("divider", models.DividerBlock),
        ("input", models.InputBlock),
        ("plain_text", models.PlainTextObject),
        ("mrkdwn", models.MarkdownTextObject),
    ],
)
def test_the_keys_are_those_of_the_vendors_models(name: str, model: Any) -> None:
    assert set(blocks.KEYS[name].split()) == model.__new__(model).attributes


def test_elements_come_in_reading_order_with_their_blocks() -> None:
    made = [section(block_id="a", accessory=button("one")), actions(button("two"), button("three"), block_id="b")]
    found = [(block["block_id"], one["action_id"]) for block, one in blocks.elements(made)]
    assert found == [("a", "one"), ("b", "two"), ("b", "three")]
    assert blocks.find(made, "three") == (made[1], made[1]["elements"][1])
    assert blocks.find(made, "four") is None


def test_ids_that_the_app_left_out_are_given() -> None:
    ids = iter(["x", "y", "z"])
    made = [{"type": "actions", "elements": [{"type": "button", "text": plain("x")}]}, section(block_id="own")]
    given = blocks.identified(made, new_id=lambda prefix: prefix + next(ids))
    assert given[0]["elements"][0]["action_id"] == "ax"
    assert (given[0]["block_id"], given[1]["block_id"]) == ("by", "own")
