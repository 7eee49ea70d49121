"""People on the page: who asks, who approves, who is refused, and what each of them sees."""

import pytest
from playwright.async_api import expect

from bot.playground.page import launch
from tests.browser.conftest import OpenWindow, messages, opens_thread, presses, stops, types

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_two_people_in_two_windows_stop_a_flow(playground: launch.Playground, open_window: OpenWindow) -> None:
    alice, carol = await open_window("U0ALICE"), await open_window("U0CAROL")

    await types(alice, "/flow stop main-feed because the picture loops")
    await presses(carol, "Approve Stop")

    for page in (alice, carol):
        await expect(messages(page)).to_contain_text("Stopped main-feed (…1b2d) in hk: STANDBY")
        await expect(messages(page).get_by_role("button", name="Approve Stop")).to_have_count(0)
    thread = await opens_thread(alice)
    await expect(thread).to_contain_text("@carol approved the stop of main-feed")
    await expect(thread).to_contain_text("main-feed is now STANDBY")
    await expect(alice.get_by_label("Control panel").locator(".flows")).to_contain_text("STANDBY")
    assert stops(playground) == 1


async def test_backing_out_of_the_dialog_sends_nothing(playground: launch.Playground, open_window: OpenWindow) -> None:
    carol = await open_window("U0CAROL")
    await playground.world.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed")

    await messages(carol).get_by_role("button", name="Approve Stop").click()
    dialog = carol.get_by_role("dialog", name="Approve this stop?")
    await expect(dialog).to_contain_text("Stop `main-feed` (…1b2d) in hk: ACTIVE, 3 outputs")
    await dialog.get_by_role("button", name="Go Back").click()

    await expect(dialog).to_have_count(0)
    await expect(messages(carol).get_by_role("button", name="Approve Stop")).to_be_focused()
    assert stops(playground) == 0


async def test_the_wrong_person_is_refused_and_nobody_else_sees_it(
    playground: launch.Playground, open_window: OpenWindow
) -> None:
    alice, carol = await open_window("U0ALICE"), await open_window("U0CAROL")
    await types(alice, "/flow stop main-feed")

    await presses(alice, "Approve Stop")

    refusal = messages(alice).get_by_role("listitem").filter(has_text="you may not approve it")
    await expect(refusal).to_contain_text("Only visible to you")
    await expect(messages(carol).get_by_role("button", name="Approve Stop")).to_be_visible()
    await expect(messages(carol)).not_to_contain_text("Only visible to you")
    assert stops(playground) == 0


async def test_a_guest_is_refused_and_learns_no_rule(open_window: OpenWindow) -> None:
    guest = await open_window("U0GUEST")

    await types(guest, "/flow stop main-feed")

    await expect(messages(guest)).to_contain_text("You may not do this here")
    await expect(messages(guest)).not_to_contain_text("on-call")


async def test_a_deactivated_person_has_no_client(open_window: OpenWindow) -> None:
    greta = await open_window("U0GONE")

    await expect(greta.locator("#composer-input")).to_be_disabled()
    await expect(greta.locator("#composer-input")).to_have_accessible_name(
        "greta-who-left is deactivated and can no longer use Slack"
    )


async def test_a_person_of_another_company_does_not_know_the_command(open_window: OpenWindow) -> None:
    olga = await open_window("U0OTHER")

    await types(olga, "/flow stop main-feed")

    await expect(olga.locator("#toast")).to_contain_text("of another organisation")


async def test_two_presses_at_once_make_one_stop(playground: launch.Playground, open_window: OpenWindow) -> None:
    carol, again = await open_window("U0CAROL"), await open_window("U0CAROL")
    await playground.world.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed")
    dialogs = []
    for page in (carol, again):
        await messages(page).get_by_role("button", name="Approve Stop").click()
        dialogs.append(page.get_by_role("dialog").get_by_role("button", name="Approve Stop"))

    for dialog in dialogs:
        await dialog.click()

    await expect(messages(again)).to_contain_text("Stopped main-feed (…1b2d) in hk: STANDBY")
    await expect(messages(again)).to_contain_text("Only visible to you")
    assert stops(playground) == 1


async def test_a_double_click_withdraws_once(playground: launch.Playground, open_window: OpenWindow) -> None:
    alice = await open_window("U0ALICE")
    await types(alice, "/flow stop main-feed")

    await messages(alice).get_by_role("button", name="Withdraw").dblclick()

    await expect(messages(alice)).to_contain_text("withdrawn by @alice")
    await expect(messages(alice).get_by_role("button", name="Withdraw")).to_have_count(0)
    thread = await opens_thread(alice)
    await expect(thread.get_by_text("withdrew the request")).to_have_count(1)


async def test_who_is_called_finds_a_mark_and_loses_it_by_looking(
    playground: launch.Playground, open_window: OpenWindow
) -> None:
    alice = await open_window("U0ALICE")
    await types(alice, "/flow stop main-feed")
    await expect(alice.get_by_label("Acting as").get_by_role("option", name="dave")).to_contain_text("1 new")

    await alice.get_by_role("button", name="Act as dave, who was mentioned").click()

    await expect(alice.get_by_label("Acting as")).to_have_value("U0DAVE")
    await expect(messages(alice).get_by_role("button", name="Deny")).to_be_visible()
    await expect(alice.get_by_label("Acting as").get_by_role("option", name="dave")).not_to_contain_text("new")


async def test_a_channel_that_one_does_not_look_at_counts_what_is_new(
    playground: launch.Playground, open_window: OpenWindow
) -> None:
    alice = await open_window("U0ALICE")
    await alice.get_by_role("navigation", name="Channels").get_by_role("button", name="random").click()

    playground.world.slack.workspace.post("C0INCIDENT", "U0BOB", "who is at the desk?")

    incident = alice.get_by_role("navigation", name="Channels").get_by_role("button", name="incident")
    await expect(incident).to_have_accessible_name("incident 1 unread")
    await incident.click()
    await expect(incident).to_have_accessible_name("incident")
    await expect(messages(alice).get_by_text("New", exact=True)).to_be_visible()


async def test_a_denial_asks_for_its_reason_in_a_modal(playground: launch.Playground, open_window: OpenWindow) -> None:
    dave = await open_window("U0DAVE")
    await playground.world.slack.people.command("U0ALICE", "C0INCIDENT", "stop main-feed")
    await messages(dave).get_by_role("button", name="Deny").click()
    modal = dave.get_by_role("dialog", name="Say Why")

    await modal.get_by_label("Reason").fill("it carries the main audience")
    await modal.get_by_role("button", name="Send").click()

    await expect(modal).to_have_count(0)
    await expect(messages(dave)).to_contain_text("denied by @dave")
    await expect(messages(dave)).to_contain_text("it carries the main audience")
