"""axe-core's rules, for everything that the page can show: no serious, critical or moderate violation.

What axe cannot check on this page is in `test_access` and `audit.js`.
"""

from typing import Final, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from bot.playground.page import launch
from tests.browser.conftest import OpenWindow, messages, opens_thread, presses, types

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AXE: Final = Axe()

PHONE: Final = {"width": 360, "height": 640}

SCHEMES: Final = ("light", "dark")

Scheme = Literal["light", "dark"]

BEHIND: Final = ("landmark-one-main", "page-has-heading-one")
"""On a phone these are in the chat, which is hidden while another tab is open."""


async def _finds(page: Page, *, but: tuple[str, ...] = ()) -> list[str]:
    """Return axe's violations, each with the rule, its impact and the first places."""
    found = await AXE.run(page, options={"resultTypes": ["violations"]})
    return [
        f"{one['impact']} {one['id']}: {one['help']}: {node['html'][:200]}: {node['failureSummary']}"
        for one in found.response["violations"]
        if one["id"] not in but
        for node in one["nodes"][:3]
    ]


async def _unfolds(page: Page) -> None:
    await page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing_at_a_card_its_thread_and_its_dialog(open_window: OpenWindow, scheme: Scheme) -> None:
    page = await open_window("U0ALICE", color_scheme=scheme)
    assert await _finds(page) == []

    await types(page, "/flow stop main-feed because the picture loops")
    thread = await opens_thread(page)
    await expect(thread.get_by_role("listitem")).to_have_count(2)
    await _unfolds(page)
    await page.get_by_role("switch", name="Lost reply").click()
    await expect(page.get_by_role("switch", name="Lost reply")).to_be_checked()
    await expect(page.locator(".requests li")).to_have_count(1)
    await page.get_by_role("button", name="Ask the doctor").click()
    await expect(page.get_by_text("checks: 0 failed")).to_be_visible()
    assert await _finds(page) == []

    await messages(page).get_by_role("button", name="Approve Stop").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert await _finds(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing_at_what_one_alone_sees(open_window: OpenWindow, scheme: Scheme) -> None:
    page = await open_window("U0ALICE", color_scheme=scheme)
    await types(page, "/flow list")
    await expect(messages(page)).to_contain_text("main-feed")
    await types(page, "/flow stop main-feed")
    await presses(page, "Approve Stop")
    await expect(messages(page)).to_contain_text("you may not approve it")
    await page.locator("#composer-input").fill("/flow ")
    await expect(page.get_by_role("listbox")).to_be_visible()

    assert await _finds(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing_at_a_modal_and_a_settled_card(
    playground: launch.Playground, open_window: OpenWindow, scheme: Scheme
) -> None:
    page = await open_window("U0DAVE", color_scheme=scheme)
    await playground.world.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed")
    await messages(page).get_by_role("button", name="Deny").click()
    modal = page.get_by_role("dialog", name="Say Why")
    await expect(modal).to_be_visible()
    assert await _finds(page) == []

    await modal.get_by_label("Reason").fill("it carries the main audience")
    await modal.get_by_role("button", name="Send").click()
    await expect(messages(page)).to_contain_text("denied by @dave")
    assert await _finds(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing_on_a_phone(open_window: OpenWindow, scheme: Scheme) -> None:
    page = await open_window("U0CAROL", viewport=PHONE, color_scheme=scheme, has_touch=True)
    alice = await open_window("U0ALICE", viewport=PHONE, color_scheme=scheme)
    await types(alice, "/flow stop main-feed because the picture loops")
    await expect(messages(page).get_by_role("button", name="Approve Stop")).to_be_visible()
    assert await _finds(page) == []

    await opens_thread(page)
    assert await _finds(page, but=BEHIND) == []
    await page.get_by_role("button", name="Close thread").click()
    await messages(page).get_by_role("button", name="Approve Stop").click()
    assert await _finds(page) == []
    await page.get_by_role("button", name="Go Back").click()
    await page.get_by_role("button", name="Panel", exact=True).click()
    await _unfolds(page)
    assert await _finds(page, but=BEHIND) == []
