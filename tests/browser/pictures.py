"""`poe pictures`: takes the README's pictures of the page, light and dark, identical at each run.

Times, process ids and request ids are fixed. Two machines may still differ in their fonts.
"""

import asyncio
import pathlib
import tempfile
from typing import Final

from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from bot.playground import rehearsal
from bot.playground.page import launch
from bot.serve import http_server
from tests.browser.conftest import ARGUMENTS, CHROMIUM, messages

PLACE: Final = pathlib.Path(__file__).with_name("pictures")

SIZES: Final[dict[str, ViewportSize]] = {
    "page": {"width": 1280, "height": 740},
    "phone": {"width": 360, "height": 640},
}

MOST_BYTES: Final = 150_000

ONE_WAY: Final = ("--disable-partial-raster", "--num-raster-threads=1", "--force-color-profile=srgb")
"""Without these, the edges of a few letters differ from run to run."""

STAND_STILL: Final = """() => {
    const write = (where, words) => document.querySelectorAll(where).forEach((one) => { one.textContent = words; });
    write("time", "10:42");
    write(".rows.cloud time", "10:42:07");
    write(".cloud small", "12 ms");
    write(".bot-row small", "process 4242 · inbox empty");
    write(".requests small", "alice · 0 votes · …7c1e v1");
    document.activeElement.blur();
}"""


async def take() -> None:
    """Take every picture."""
    PLACE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, http_server.listen("127.0.0.1", 0) as listener:
        scene = rehearsal.sample()
        async with (
            launch.playground(scene, pathlib.Path(directory), listener) as running,
            async_playwright() as playwright,
        ):
            people = running.world.slack.people
            await people.command("U0ALICE", "C0INCIDENT", "stop main-feed because the picture loops")
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *ONE_WAY])
            for name, size in SIZES.items():
                for scheme in ("light", "dark"):
                    path = PLACE / f"{name}-{scheme}.png"
                    await _take_one(browser, running.url, size, dark=scheme == "dark", path=path)
            await browser.close()


async def _take_one(browser: Browser, url: str, size: ViewportSize, *, dark: bool, path: pathlib.Path) -> None:
    context = await browser.new_context(
        viewport=size, color_scheme="dark" if dark else "light", reduced_motion="reduce", locale="en-GB"
    )
    page = await context.new_page()
    await page.goto(f"{url}?as=U0CAROL")
    await _is_complete(page)
    await page.evaluate(STAND_STILL)
    picture = await page.screenshot(path=path)
    assert len(picture) < MOST_BYTES, f"{path.name} has {len(picture)} bytes"
    await context.close()


async def _is_complete(page: Page) -> None:
    await expect(messages(page).get_by_role("button", name="Approve Stop")).to_be_visible()
    await expect(messages(page).get_by_role("button", name="1 reply")).to_be_visible()
    await expect(page.locator(".requests li")).to_have_count(1)
    await expect(page.locator(".bot-row")).to_contain_text("inbox empty")
    await expect(page.locator("#acting")).to_have_value("U0CAROL")


if __name__ == "__main__":
    asyncio.run(take())
