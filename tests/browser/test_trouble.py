"""Failures switched on in the control panel: what people see, and what the bot does afterwards."""

import re

import pytest
from playwright.async_api import Page, expect

from bot.playground.page import launch
from tests.browser.conftest import OpenWindow, messages, presses, stops, types

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def _switch(page: Page, name: str, group: str = "The cloud") -> None:
    await page.get_by_role("group", name=group).get_by_role("switch", name=name).click()


async def test_a_lost_reply_is_never_told_as_done_on_a_guess(
    playground: launch.Playground, open_window: OpenWindow
) -> None:
    alice, carol = await open_window("U0ALICE"), await open_window("U0CAROL")
    await _switch(alice, "Lost reply")
    await types(alice, "/flow stop main-feed")

    await presses(carol, "Approve Stop")

    # It may say unknown until the flow, read back, says STANDBY; both are true.
    await expect(messages(alice)).to_contain_text(re.compile("unknown|STANDBY", re.IGNORECASE))
    calls = alice.get_by_label("Control panel").locator(".cloud")
    await expect(calls.get_by_role("listitem").filter(has_text="PUT")).to_contain_text("no answer")
    assert stops(playground) == 1


async def test_a_killed_bot_answers_nobody_and_goes_on_after_its_restart(
    playground: launch.Playground, open_window: OpenWindow
) -> None:
    alice, carol = await open_window("U0ALICE"), await open_window("U0CAROL")
    await types(alice, "/flow stop main-feed")
    await expect(messages(carol).get_by_role("button", name="Approve Stop")).to_be_visible()

    await alice.get_by_role("button", name="Kill the bot now").click()
    start = alice.get_by_role("button", name="Start the bot")
    await expect(start).to_be_visible()
    await types(alice, "/flow stop backup-feed")
    await expect(messages(alice)).to_contain_text("dispatch_failed")
    await presses(carol, "Approve Stop")
    await expect(messages(carol)).to_contain_text("This app did not respond")
    assert stops(playground) == 0

    await start.click()
    await expect(alice.get_by_role("button", name="Kill the bot now")).to_be_visible()
    await presses(carol, "Approve Stop")
    await expect(messages(alice)).to_contain_text("Stopped main-feed (…1b2d) in hk: STANDBY")
    assert stops(playground) == 1


async def test_a_slow_cloud_shows_as_calling(playground: launch.Playground, open_window: OpenWindow) -> None:
    carol = await open_window("U0CAROL")
    await _switch(carol, "Slow")
    await playground.world.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed")

    await presses(carol, "Approve Stop")

    await expect(carol.get_by_label("Control panel").locator(".requests")).to_contain_text("running")
    await expect(messages(carol)).to_contain_text("Stopped main-feed (…1b2d) in hk: STANDBY")


async def test_nothing_is_recorded_while_the_database_is_locked(
    playground: launch.Playground, open_window: OpenWindow
) -> None:
    alice = await open_window("U0ALICE")
    await _switch(alice, "Locked", "The database")

    await types(alice, "/flow stop main-feed")
    await expect(messages(alice)).to_contain_text(re.compile("Nothing was recorded|could not confirm"))
    await _switch(alice, "Locked", "The database")
    await types(alice, "/flow stop backup-feed")

    await expect(messages(alice).get_by_role("button", name="Approve Stop").last).to_be_visible()


async def test_slack_being_away_makes_the_answer_no(playground: launch.Playground, open_window: OpenWindow) -> None:
    alice = await open_window("U0ALICE")
    await _switch(alice, "Down", "Slack")

    await types(alice, "/flow stop main-feed")

    await expect(messages(alice)).to_contain_text("Reading main-feed")
    await expect(messages(alice).get_by_role("button", name="Approve Stop")).to_have_count(0)
    await _switch(alice, "Down", "Slack")
    await types(alice, "/flow stop backup-feed")
    await expect(messages(alice).get_by_role("button", name="Approve Stop")).to_be_visible()


async def test_rights_that_are_taken_away_are_gone_at_the_next_press(
    playground: launch.Playground, open_window: OpenWindow
) -> None:
    carol = await open_window("U0CAROL")
    await carol.get_by_text("People’s rights").click()
    await carol.get_by_label("Account type: carol").select_option("guest")
    # Before anybody asks: a request looks up its approvers, and a press may use that answer for five seconds.
    await playground.world.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed")

    await presses(carol, "Approve Stop")

    await expect(messages(carol)).to_contain_text("You may not do this here")
    assert stops(playground) == 0


async def test_a_flow_stopped_at_the_console_is_already_so(open_window: OpenWindow) -> None:
    alice = await open_window("U0ALICE")
    await alice.get_by_role("button", name="Set main-feed to STANDBY").click()
    await expect(alice.get_by_role("button", name="Set main-feed to ACTIVE")).to_be_visible()

    await types(alice, "/flow stop main-feed")

    await expect(messages(alice)).to_contain_text("already STANDBY")


async def test_the_doctor_names_what_is_wrong_and_what_to_do(
    playground: launch.Playground, open_window: OpenWindow
) -> None:
    alice = await open_window("U0ALICE")
    findings = alice.get_by_role("list", name="Findings of the doctor")
    ask = alice.get_by_role("button", name="Ask the doctor")
    await ask.press("Enter")
    await expect(alice.get_by_text("checks: 0 failed, 1 with a warning")).to_be_visible()
    await expect(findings.get_by_role("listitem").filter(has_text="channel C0INCIDENT")).to_contain_text("OK")
    await expect(ask).to_be_focused()

    playground.world.slack.workspace.leave("C0INCIDENT", "U0FLOWBOT")
    await alice.keyboard.press("Enter")

    channel = findings.get_by_role("listitem").filter(has_text="channel C0INCIDENT")
    await expect(channel).to_contain_text("Type /invite @flowbot in #incident.")
    await expect(channel).to_contain_text("Failed")
    await expect(alice.get_by_text("checks: 1 failed, 1 with a warning")).to_be_visible()
