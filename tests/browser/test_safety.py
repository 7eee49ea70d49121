"""Hostile texts wherever text from outside is shown: they stay text."""

from typing import Any, Final

import pytest
from playwright.async_api import Browser, expect

from bot.playground import world
from bot.playground.live.server import FlowSource, Output
from bot.playground.page import launch
from tests.browser.conftest import OpenWindow, messages, opens_thread, types

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

HOSTILE: Final = (
    "<img src=x onerror=window.pwned=1>",
    "<script>window.pwned=1</script>",
    "<svg/onload=window.pwned=1>",
    "<javascript:window.pwned=1|press me>",
    '<https://evil.example/" onclick="window.pwned=1|link>',
    "'\"><b onmouseover=window.pwned=1>b</b>",
    "\ue0000\ue001 *bold _both ~all~_* `code` <@U0BOB> <!channel>",
    "<!date^1^{time}^javascript:window.pwned=1|<img src=x onerror=window.pwned=1>>",
    "constructor __proto__ <!date^1^{constructor}|x>",
)


def _fill(playground: launch.Playground, number: int, text: str) -> None:
    """Put the text wherever a person, a cloud or a bot can put text."""
    workspace, live = playground.world.slack.workspace, playground.world.live
    sources, outputs = [FlowSource(name=text)], [Output(name=text)]
    live.add_flow(world.PROJECT_ID, f"cafe000{number}", text, region=text, sources=sources, outputs=outputs)
    mallory = workspace.add_person(f"U0MALLORY{number}", text).id
    workspace.join("C0INCIDENT", mallory)
    workspace.add_channel(f"C0EVIL{number}", text, ["U0ALICE"])
    workspace.post("C0INCIDENT", mallory, text)
    button = {"type": "button", "text": {"type": "plain_text", "text": text}, "action_id": text, "value": text}
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": text}, "accessory": button},
        {"type": text},
    ]
    workspace.post("C0INCIDENT", workspace.bot_user_id, text, blocks=blocks, bot_id=workspace.bot_id)


async def test_hostile_texts_stay_texts(playground: launch.Playground, open_window: OpenWindow) -> None:
    alice = await open_window("U0ALICE")
    buttons = messages(alice).get_by_role("button", name="Approve Stop")
    for number, text in enumerate(HOSTILE):
        _fill(playground, number, text)
        await types(alice, f"/flow stop cafe000{number} because {text}")
        await expect(buttons).to_have_count(number + 1)

    thread = await opens_thread(alice)
    await expect(thread.get_by_role("listitem")).to_have_count(2)
    for link in await alice.get_by_role("link").all():
        assert not str(await link.get_attribute("href")).startswith("javascript:")
    assert await alice.evaluate("window.pwned") is None
    assert await alice.locator("#messages script, #messages svg, #messages [onclick], #messages [onerror]").count() == 0


async def test_the_policy_of_the_page_stops_what_might_slip_in(
    chromium: Browser, playground: launch.Playground
) -> None:
    browsing = await chromium.new_context()
    page = await browsing.new_page()
    await page.goto(playground.url)

    thrown = await page.evaluate(
        """() => {
            try { document.getElementById("hint").innerHTML = "<img src=x onerror='window.pwned=1'>"; return ""; }
            catch (error) { return error.name; }
        }"""
    )

    assert thrown == "TypeError"
    assert await page.evaluate("window.pwned") is None
    await browsing.close()


async def test_the_page_asks_nobody_but_the_playground(chromium: Browser, playground: launch.Playground) -> None:
    asked: list[str] = []
    browsing = await chromium.new_context()
    page = await browsing.new_page()
    page.on("request", lambda request: asked.append(request.url))

    await page.goto(playground.url)
    await types(page, "/flow stop main-feed")
    await expect(messages(page).get_by_role("button", name="Approve Stop")).to_be_visible()

    assert len(asked) > 5
    assert [address for address in asked if not address.startswith(playground.url)] == []
    await browsing.close()


async def test_an_unknown_block_is_named(playground: launch.Playground, open_window: OpenWindow) -> None:
    alice = await open_window("U0ALICE")
    workspace = playground.world.slack.workspace

    workspace.post("C0INCIDENT", workspace.bot_user_id, "chart", blocks=[{"type": "chart"}], bot_id=workspace.bot_id)

    await expect(messages(alice)).to_contain_text("This page cannot show a block of type “chart”.")
