"""A real browser at the playground's page: Debian's chromium, one window per person.

A window collects everything that its console and its content policy report; a test that leaves any report fails.
"""

import os
import pathlib
import shutil
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Final, Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from bot.playground import rehearsal
from bot.playground.page import launch
from bot.serve import http_server
from tests.nursery import Nursery

CHROMIUM: Final = shutil.which("chromium")

ARGUMENTS: Final = (
    *("--no-sandbox", "--headless=new", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)

PATIENCE: Final = 60_000
"""Milliseconds for something to appear, on a machine that others use too."""

WATCH: Final = """
window.complaints = [];
document.addEventListener("securitypolicyviolation", (event) => window.complaints.push(event.violatedDirective));
"""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "browser: needs chromium")


class OpenWindow(Protocol):
    """Opens windows on the page."""

    def __call__(self, user: str, **context: Any) -> Awaitable[Page]:
        """Return the page as `user` sees it; `context` is for the browser, such as `color_scheme`."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Run the browser."""
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is missing: apt-get install chromium")
        pytest.skip("chromium is not installed")
    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def playground(tmp_path: pathlib.Path, nursery: Nursery) -> AsyncIterator[launch.Playground]:
    """Run the playground, with the real bot as a process of its own."""
    with http_server.listen("127.0.0.1", 0) as listener:
        async with launch.playground(rehearsal.sample(), tmp_path, listener, launch=nursery.launch) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="session")
async def open_window(chromium: Browser, playground: launch.Playground) -> AsyncIterator[OpenWindow]:
    """Return what opens windows, and check at the end that none reported anything."""
    pages: list[Page] = []
    complaints: list[str] = []

    async def opened(user: str, **context: Any) -> Page:
        browsing = await chromium.new_context(**{"viewport": {"width": 1380, "height": 860}} | context)
        await browsing.add_init_script(WATCH)
        page = await browsing.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"{playground.url}?as={user}")
        await expect(page.get_by_label("Acting as")).to_have_value(user)
        pages.append(page)
        return page

    yield opened
    for page in pages:
        complaints += await page.evaluate("window.complaints")
        await page.context.close()
    assert complaints == []


async def types(page: Page, text: str) -> None:
    """Type a line and send it."""
    await page.locator("#composer-input").fill(text)
    await page.locator("#composer-input").press("Enter")


def messages(page: Page) -> Locator:
    """Return the messages of the channel."""
    return page.locator("#messages")


async def presses(page: Page, button: str) -> None:
    """Press a button of the newest card, and confirm its dialog."""
    await messages(page).get_by_role("button", name=button).last.click()
    await page.get_by_role("dialog").get_by_role("button", name=button).click()


async def opens_thread(page: Page) -> Locator:
    """Open the thread of the newest card."""
    await messages(page).get_by_role("button", name="repl").last.click()
    return page.locator("#replies")


def stops(playground: launch.Playground) -> int:
    """Return the number of calls of the stop API."""
    return len(playground.world.live.calls_of("PUT", "/flows/stop"))
