"""Accessibility of the page: by keyboard alone, by screen reader, on a phone, light and dark."""

import pathlib
from typing import Final, Literal

import pytest
from playwright.async_api import Page, expect

from bot.playground.page import launch
from tests.browser.conftest import OpenWindow, messages, stops, types

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AUDIT: Final = pathlib.Path(__file__).with_name("audit.js").read_text(encoding="utf-8")

PHONE: Final = {"width": 360, "height": 640}

MOST_TABS: Final = 80


async def _tabs_to(page: Page, name: str) -> None:
    """Press Tab until the named control has the focus."""
    wanted = page.get_by_role("button", name=name).last
    for _ in range(MOST_TABS):
        await page.keyboard.press("Tab")
        if await wanted.evaluate("node => node === document.activeElement"):
            return
    pytest.fail(f"{MOST_TABS} presses of Tab do not lead to {name!r}")


async def test_a_stop_by_keyboard_alone(playground: launch.Playground, open_window: OpenWindow) -> None:
    page = await open_window("U0ALICE")

    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("#composer-input")).to_be_focused()
    await page.keyboard.type("/fl")
    await page.keyboard.press("Tab")
    await page.keyboard.type("st")
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("option", name="stop FLOW")).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("Enter")
    await page.keyboard.type("main")
    await page.keyboard.press("Tab")
    await expect(page.locator("#composer-input")).to_have_value("/flow stop main-feed ")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Enter")
    await expect(messages(page).get_by_role("button", name="Approve Stop")).to_be_visible()

    await page.get_by_label("Acting as").focus()
    await page.keyboard.type("carol")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Acting as")).to_have_value("U0CAROL")
    await expect(messages(page).get_by_role("button", name="Approve Stop")).to_be_visible()
    await _tabs_to(page, "Approve Stop")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Go Back")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")

    await expect(messages(page)).to_contain_text("Stopped main-feed (…1b2d) in hk: STANDBY")
    await expect(messages(page).get_by_role("listitem").last).to_be_focused()
    await _tabs_to(page, "3 replies")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Thread")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(messages(page).get_by_role("button", name="3 replies")).to_be_focused()
    assert stops(playground) == 1


async def test_the_focus_is_always_to_be_seen(open_window: OpenWindow) -> None:
    page = await open_window("U0ALICE")
    await types(page, "/flow stop main-feed")
    await expect(messages(page).get_by_role("button", name="Approve Stop")).to_be_visible()
    await page.locator("body").evaluate("() => document.activeElement.blur()")

    seen = 0
    for _ in range(MOST_TABS):
        await page.keyboard.press("Tab")
        style = await page.evaluate(
            "() => { const style = getComputedStyle(document.activeElement);"
            "return [document.activeElement.tagName, style.outlineStyle, parseFloat(style.outlineWidth)]; }"
        )
        if style[0] == "BODY":
            break
        seen += 1
        assert style[1] != "none", style
        assert style[2] >= 2, style
    assert seen > 15


async def test_new_messages_are_spoken_once(playground: launch.Playground, open_window: OpenWindow) -> None:
    carol = await open_window("U0CAROL")
    live = carol.get_by_role("log", name="New messages")

    await playground.world.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed")

    await expect(live).to_contain_text("flowbot: Stop main-feed (…1b2d) in hk: ACTIVE, 3 outputs. Approvals: 0 of 1")
    await expect(live).to_contain_text("@carol and @dave: @alice asks to stop main-feed")
    await expect(live.get_by_role("paragraph")).to_have_count(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_names_and_contrast(open_window: OpenWindow, scheme: Literal["light", "dark"]) -> None:
    page = await open_window("U0ALICE", color_scheme=scheme)
    await types(page, "/flow stop main-feed because the picture loops")
    await messages(page).get_by_role("button", name="reply").click()
    await page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    await page.get_by_role("switch", name="Lost reply").click()
    await expect(page.get_by_role("switch", name="Lost reply")).to_be_checked()
    await expect(page.locator(".requests li")).to_have_count(1)
    await page.get_by_role("button", name="Ask the doctor").click()
    await expect(page.get_by_text("checks: 0 failed")).to_be_visible()

    assert await page.evaluate(AUDIT) == []

    await messages(page).get_by_role("button", name="Approve Stop").click()
    assert await page.evaluate(AUDIT) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_decision_and_its_buttons_fit_a_phone(
    open_window: OpenWindow, scheme: Literal["light", "dark"]
) -> None:
    page = await open_window("U0CAROL", viewport=PHONE, color_scheme=scheme, has_touch=True)
    alice = await open_window("U0ALICE", viewport=PHONE)
    await types(alice, "/flow stop main-feed because the picture loops and nobody knows for how long already")

    for one in (page, alice):
        await expect(messages(one).get_by_role("button", name="Approve Stop")).to_be_in_viewport(ratio=1)
        await expect(messages(one).get_by_role("button", name="Withdraw")).to_be_in_viewport(ratio=1)
        await expect(messages(one).get_by_text("Stop main-feed (…1b2d) in hk: ACTIVE, 3 outputs")).to_be_in_viewport(
            ratio=1
        )
        await expect(one.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
        assert await one.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert await one.evaluate("document.documentElement.scrollHeight") <= PHONE["height"]
    assert await page.evaluate(AUDIT) == []


async def test_a_full_channel_scrolls_by_itself_and_the_page_stays_where_it_is(
    playground: launch.Playground, open_window: OpenWindow
) -> None:
    page = await open_window("U0DAVE", viewport=PHONE)
    for number in range(40):
        playground.world.slack.workspace.post("C0INCIDENT", "U0ALICE", f"still frozen, look {number}")
    await expect(messages(page)).to_contain_text("look 39")

    assert await page.evaluate("document.documentElement.scrollHeight") <= PHONE["height"]
    assert await messages(page).evaluate("node => node.scrollHeight > node.clientHeight")


async def test_the_control_panel_is_a_tab_on_a_phone(open_window: OpenWindow) -> None:
    page = await open_window("U0ALICE", viewport=PHONE)
    panel = page.get_by_role("complementary", name="Control panel")
    await expect(panel).to_be_hidden()

    await page.get_by_role("button", name="Panel", exact=True).click()

    await expect(panel.get_by_role("button", name="Kill the bot now")).to_be_in_viewport(ratio=1)
    await expect(messages(page)).to_be_hidden()
    await page.get_by_role("button", name="Chat", exact=True).click()
    await expect(messages(page)).to_be_visible()


async def test_the_control_panel_can_be_hidden(open_window: OpenWindow) -> None:
    page = await open_window("U0ALICE")
    toggle = page.get_by_role("button", name="Control panel")

    await toggle.click()

    await expect(page.get_by_role("complementary", name="Control panel")).to_be_hidden()
    await expect(toggle).to_have_attribute("aria-expanded", "false")


async def test_what_a_screen_reader_finds(open_window: OpenWindow) -> None:
    page = await open_window("U0CAROL")
    await expect(page.get_by_role("banner")).to_match_aria_snapshot(
        """
        - banner:
          - paragraph: flowbot playground
          - text: Acting as
          - combobox "Acting as"
          - link "Second window"
          - button "Control panel" [expanded]
        """
    )
    await expect(page.get_by_role("navigation", name="Channels")).to_match_aria_snapshot(
        """
        - navigation "Channels":
          - heading "Channels" [level=2]
          - button "incident"
          - button "random"
        """
    )

    await types(page, "/flow stop main-feed")

    await expect(page.get_by_role("main")).to_match_aria_snapshot(
        """
        - 'main "#incident"':
          - 'heading "#incident" [level=1]'
          - 'list "#incident"':
            - listitem:
              - paragraph: /main-feed shows/
            - listitem:
              - paragraph: Only visible to you
            - listitem:
              - button "Confirm Stop"
              - button "Withdraw this request"
          - form "Write a message":
            - 'combobox "Message #incident, or type /flow"'
            - button "Send"
        """
    )
