"""What README tells a newcomer to do: run the command, open the printed URL, click three times."""

import asyncio
import contextlib
import os
import pathlib
import re
import signal
import sys
from collections.abc import AsyncIterator
from typing import Final

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import messages, opens_thread, types

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

README: Final = (pathlib.Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

COMMAND: Final = "\n.venv/bin/flowbot playground\n"

STARTS_WITHIN: Final = 60.0

FIRST_CARD: Final = """
document.addEventListener("keydown", (pressed) => {
    if (pressed.key !== "Enter") return;
    new MutationObserver((_, observer) => {
        if (!document.querySelector("#messages [data-key] button.danger")) return;
        window.firstCardAfter = performance.now() - pressed.timeStamp;
        observer.disconnect();
    }).observe(document, { childList: true, subtree: true });
}, { capture: true, once: true });
"""


@contextlib.asynccontextmanager
async def _as_told(directory: pathlib.Path) -> AsyncIterator[str]:
    """Run README's command until Ctrl-C, and return the URL that it prints."""
    assert README.count(COMMAND) == 1
    flowbot = pathlib.Path(sys.executable).with_name("flowbot")
    process = await asyncio.create_subprocess_exec(
        flowbot, *COMMAND.split()[1:], cwd=directory, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(STARTS_WITHIN):
            printed = (await process.stdout.readline()).decode()
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+/", printed)
        yield address
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(STARTS_WITHIN):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_newcomer_stops_a_flow_with_approval(chromium: Browser, tmp_path: pathlib.Path) -> None:
    (typed,) = re.findall(r"Type `(/flow stop [^`]+)` and send it", README)
    (button,) = re.findall(r"Press \*(Approve Stop)\* on the card, and once more in the dialog", README)
    browsing = await chromium.new_context()
    page = await browsing.new_page()
    async with _as_told(tmp_path) as address:
        await page.goto(address)
        await expect(page.get_by_label("Acting as")).to_have_value("U0ALICE")

        await page.evaluate(FIRST_CARD)
        await types(page, typed)
        await expect(messages(page).get_by_role("button", name=button)).to_be_visible()
        print(f"first card {await page.evaluate('window.firstCardAfter'):.0f} ms after Enter")  # noqa: T201 - a measurement
        await page.get_by_label("Acting as").select_option("U0CAROL")
        await expect(page.get_by_label("Acting as")).to_have_value("U0CAROL")
        await messages(page).get_by_role("button", name=button).click()
        await page.get_by_role("dialog").get_by_role("button", name=button).click()

        await expect(messages(page)).to_contain_text("Stopped main-feed (…1b2d) in hk: STANDBY")
        await expect(messages(page)).to_contain_text("Approved by @carol")
        await expect(await opens_thread(page)).to_contain_text("main-feed is now STANDBY")
        await browsing.close()
    assert os.listdir(tmp_path) == []
