"""What apps other than flowbot can show: menus, stacked modals, direct messages, rich text, links."""

from typing import Any

import pytest
from playwright.async_api import expect

from bot.playground.page import launch
from bot.playground.slack.records import Json
from tests.browser.conftest import OpenWindow, messages, types

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def _options(*names: str) -> list[Json]:
    return [{"text": _plain(name), "value": name} for name in names]


def _view(title: str, *blocks: Json) -> Json:
    return {
        "type": "modal",
        "title": _plain(title),
        "submit": _plain("Send"),
        "close": _plain("Back"),
        "blocks": blocks,
    }


def _input(label: str, element: Json, **more: Any) -> Json:
    return {
        "type": "input",
        "block_id": label,
        "label": _plain(label),
        "element": {"action_id": label, **element},
        **more,
    }


async def test_menus_are_controls_with_names(playground: launch.Playground, open_window: OpenWindow) -> None:
    alice = await open_window("U0ALICE")
    workspace = playground.world.slack.workspace
    menu = {
        "type": "static_select",
        "action_id": "pick",
        "placeholder": _plain("Which flow"),
        "options": _options("a", "b"),
    }
    person = {"type": "users_select", "action_id": "who", "placeholder": _plain("Which person")}
    more = {"type": "overflow", "action_id": "more", "options": _options("copy", "hide")}
    blocks: list[Json] = [{"type": "actions", "elements": [menu, person, more]}]

    workspace.post("C0INCIDENT", workspace.bot_user_id, "menus", blocks=blocks, bot_id=workspace.bot_id)

    await expect(messages(alice).get_by_label("Which flow").get_by_role("option")).to_have_text(
        ["Which flow", "a", "b"]
    )
    await messages(alice).get_by_label("Which flow").select_option("b")
    await messages(alice).get_by_label("Which person").select_option(label="carol")
    await messages(alice).get_by_label("More actions").select_option("hide")
    await expect(alice.locator("#toast")).to_be_empty()


async def test_modals_stand_on_each_other_and_keep_what_was_typed(
    playground: launch.Playground, open_window: OpenWindow
) -> None:
    alice = await open_window("U0ALICE")
    workspace = playground.world.slack.workspace
    name = _input("Name", {"type": "plain_text_input"}, hint=_plain("as the cloud has it"))
    choice = _input("Kind", {"type": "radio_buttons", "options": _options("live", "test")}, optional=True)
    first = workspace.open_view("U0ALICE", _view("First", name, choice))
    await expect(alice.get_by_role("dialog", name="First").get_by_label("Name")).to_be_focused()
    await alice.get_by_role("dialog", name="First").get_by_role("button", name="Send").click()
    await expect(alice.get_by_label("Name")).to_have_accessible_description("as the cloud has it Please fill this in.")
    await expect(alice.get_by_label("Name")).to_be_focused()
    await alice.get_by_label("Name").fill("main")

    workspace.change_view(first, errors={"Name": "there are two of them"})
    await expect(alice.get_by_label("Name")).to_have_accessible_description("as the cloud has it there are two of them")
    await expect(alice.get_by_label("Name")).to_have_value("main")
    workspace.push_view("U0ALICE", _view("Second", choice))
    await expect(alice.get_by_role("dialog", name="Second")).to_contain_text("2 dialogs are open")
    await alice.get_by_role("button", name="Back", exact=True).click()

    await expect(alice.get_by_role("dialog", name="First")).to_be_visible()
    await alice.keyboard.press("Escape")
    await expect(alice.get_by_role("dialog")).to_have_count(0)
    assert workspace.views("U0ALICE") == ()


async def test_a_choice_that_is_missing_is_asked_for_and_one_that_was_made_stays(
    playground: launch.Playground, open_window: OpenWindow
) -> None:
    alice = await open_window("U0ALICE")
    workspace = playground.world.slack.workspace
    choice = _input("Kind", {"type": "radio_buttons", "options": _options("live", "test")})
    view = workspace.open_view("U0ALICE", _view("First", choice))
    kind = alice.get_by_role("radiogroup", name="Kind")

    await alice.get_by_role("dialog").get_by_role("button", name="Send").click()
    await expect(kind).to_have_accessible_description("Please fill this in.")
    await expect(kind.get_by_role("radio", name="live")).to_be_focused()

    await kind.get_by_role("radio", name="test").check()
    workspace.change_view(view, errors={"Kind": "not that one"})
    await expect(kind).to_have_accessible_description("not that one")
    await expect(kind.get_by_role("radio", name="test")).to_be_checked()

    workspace.close_view(workspace.views("U0ALICE")[-1])
    await expect(alice.get_by_role("dialog")).to_have_count(0)


async def test_a_direct_message_has_its_own_place(playground: launch.Playground, open_window: OpenWindow) -> None:
    alice = await open_window("U0ALICE")
    workspace = playground.world.slack.workspace

    workspace.post(workspace.open_dm("U0ALICE").id, workspace.bot_user_id, "for *you* alone", bot_id=workspace.bot_id)

    place = alice.get_by_role("navigation", name="Channels").get_by_role("button", name="flowbot")
    await expect(place).to_have_accessible_name("flowbot 1 for you")
    await place.click()
    await expect(alice.get_by_role("heading", level=1)).to_have_text("flowbot")
    await expect(messages(alice).locator("strong")).to_have_text("you")


async def test_words_read_as_slack_shows_them(playground: launch.Playground, open_window: OpenWindow) -> None:
    alice = await open_window("U0ALICE", timezone_id="Asia/Hong_Kong")
    workspace = playground.world.slack.workspace
    text = (
        "*bold* _italic_ ~gone~ `code *not bold*` 2*3*4 snake_case_name <@U0BOB> <!subteam^S0MEDIAGRP> <#C0RANDOM> "
        "<https://example.com|a &amp; b> <!date^1767225600^{date_num} {time}|later> &lt;b&gt; :wave:\n"
        "&gt; quoted\n```pre```"
    )

    workspace.post("C0INCIDENT", "U0BOB", text)

    row = messages(alice).get_by_role("listitem").last
    await expect(row).to_contain_text("2*3*4 snake_case_name @bob @media-oncall #random a & b 2026-01-01 08:00 <b> 👋")
    await expect(row.locator("strong, em, s, code, blockquote, pre")).to_have_text(
        ["bold", "italic", "gone", "code *not bold*", "quoted", "pre"]
    )
    await expect(row.get_by_role("link", name="a & b")).to_have_attribute("href", "https://example.com")


async def test_rich_text_lists_and_fields(playground: launch.Playground, open_window: OpenWindow) -> None:
    alice = await open_window("U0ALICE")
    workspace = playground.world.slack.workspace
    item = {"type": "rich_text_section", "elements": [{"type": "text", "text": "one", "style": {"bold": True}}]}
    rich = {"type": "rich_text", "elements": [{"type": "rich_text_list", "style": "bullet", "elements": [item]}]}
    fields = {"type": "section", "fields": [{"type": "mrkdwn", "text": "*Region*\nhk"}, _plain("plain *text*")]}
    blocks: list[Json] = [{"type": "header", "text": _plain("A head")}, rich, {"type": "divider"}, fields]

    workspace.post("C0INCIDENT", workspace.bot_user_id, "rich", blocks=blocks, bot_id=workspace.bot_id)

    row = messages(alice).locator("> li").last
    await expect(row.get_by_role("heading", name="A head")).to_be_visible()
    await expect(row.locator("li strong")).to_have_text("one")
    await expect(row).to_contain_text("plain *text*")


async def test_the_link_in_an_answer_leads_to_the_card(open_window: OpenWindow) -> None:
    alice = await open_window("U0ALICE")
    await types(alice, "/flow stop main-feed")
    await expect(messages(alice).get_by_role("button", name="Approve Stop")).to_be_visible()
    await alice.get_by_role("navigation", name="Channels").get_by_role("button", name="random").click()
    await types(alice, "/flow stop main-feed")

    await messages(alice).get_by_role("button", name="its card").click()

    await expect(alice.get_by_role("heading", level=1)).to_have_text("#incident")
    await expect(messages(alice).locator("li:has-text('Approve Stop')")).to_be_focused()
