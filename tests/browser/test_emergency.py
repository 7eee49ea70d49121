"""Break-glass on the page: two presses on two versions of the card, and the review modal."""

import pytest
from playwright.async_api import expect

from bot.lifecycle.records import APART
from bot.playground.page import launch
from tests.browser.conftest import OpenWindow, messages, presses, stops, types

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_an_emergency_is_pressed_twice_and_reviewed(
    playground: launch.Playground, open_window: OpenWindow
) -> None:
    alice, carol = await open_window("U0ALICE"), await open_window("U0CAROL")

    await types(alice, "/flow stop main-feed --emergency because the encoder burns")
    await messages(alice).get_by_role("button", name="Emergency Stop", exact=True).click()
    dialog = alice.get_by_role("dialog")
    await expect(dialog).to_contain_text("EMERGENCY: Stop")
    await expect(dialog).to_contain_text("Skips the approval of: media-leads")
    await dialog.get_by_role("button", name="Emergency Stop").click()

    await expect(messages(alice)).to_contain_text("Pressed once by @alice")
    await playground.world.clock.sleep(APART)
    assert stops(playground) == 0
    await presses(alice, "Confirm Emergency Stop")
    await expect(messages(alice)).to_contain_text("Stopped main-feed (…1b2d) in hk: STANDBY")

    await messages(carol).get_by_role("button", name="Review").click()
    modal = carol.get_by_role("dialog", name="Review")
    await modal.get_by_role("button", name="Send").click()
    await expect(modal.get_by_role("radiogroup", name="Verdict")).to_have_accessible_description("Please fill this in.")
    await modal.get_by_role("radio", name="Not justified").check()
    await modal.get_by_label("Comment").fill("a restart would have done")
    await modal.get_by_role("button", name="Send").click()

    await expect(modal).to_have_count(0)
    await expect(messages(alice)).to_contain_text("Review: not justified, says @carol")
    await expect(messages(alice)).to_contain_text("a restart would have done")
    assert stops(playground) == 1
