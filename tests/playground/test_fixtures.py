"""The stand-ins as a third party uses them: another Bolt app, with only the fixtures of tests/standins.py."""

import inspect
import pathlib
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond, AsyncSay
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.routing import Route

from bot.playground.live.server import IAM_DOMAIN, IAM_PASSWORD, IAM_USER, LiveStandIn
from bot.playground.slack.server import SlackStandIn

if TYPE_CHECKING:
    from tests.standins import Serving  # pytest must be the first to import a plugin

pytest_plugins = ["tests.standins"]

README: Final = pathlib.Path(__file__).parents[1] / "README.md"


def onair(slack: SlackStandIn, live: LiveStandIn) -> Starlette:
    """Return another app: its command shows a button that stops the flow."""
    app = AsyncApp(client=AsyncWebClient(slack.bot_token, slack.api_url), signing_secret=slack.signing_secret)

    @app.command("/onair")
    async def show(ack: AsyncAck, command: dict[str, Any], say: AsyncSay) -> None:
        await ack()
        await say(text="On air", blocks=[button(command["text"])])

    @app.action("standby")
    async def stop(ack: AsyncAck, action: dict[str, Any], respond: AsyncRespond) -> None:
        await ack()
        await respond(f"{action['value']} is {await stopped(live, action['value'])}", replace_original=True)

    return Starlette(routes=[Route("/slack/events", AsyncSlackRequestHandler(app).handle, methods=["POST"])])


def button(flow_id: str) -> dict[str, Any]:
    label = {"type": "plain_text", "text": "Take it off"}
    return {
        "type": "actions",
        "elements": [{"type": "button", "action_id": "standby", "text": label, "value": flow_id}],
    }


async def stopped(live: LiveStandIn, flow_id: str) -> str:
    """Stop a flow with a token, as documented by the vendor; return the status."""
    user = {"name": IAM_USER, "password": IAM_PASSWORD, "domain": {"name": IAM_DOMAIN}}
    identity = {"methods": ["password"], "password": {"user": user}}
    asked = {"auth": {"identity": identity, "scope": {"project": {"id": "p1"}}}}
    async with aiohttp.ClientSession(live.endpoint) as session:
        async with session.post("/v3/auth/tokens?nocatalog=true", json=asked) as given:
            token = {"X-Auth-Token": given.headers["X-Subject-Token"]}
        async with session.put("/v1/p1/flows/stop", params={"flow_id": flow_id}, headers=token) as answer:
            return str((await answer.json())["status"])


async def test_a_button_takes_a_flow_off_the_air(slack: SlackStandIn, live: LiveStandIn, serving: "Serving") -> None:
    slack.workspace.add_person("U0PAT", "pat")
    slack.workspace.add_channel("C0STUDIO", "studio", ["U0PAT"])
    live.add_flow("p1", "f1", "main-feed")
    slack.connect(f"{await serving(onair(slack, live))}/slack/events")

    assert (await slack.people.command("U0PAT", "C0STUDIO", "f1", command="/onair")).ok
    [card] = await slack.until(lambda workspace: workspace.messages("C0STUDIO"))
    assert (await slack.people.click("U0PAT", card, "standby")).ok
    await slack.until(lambda workspace: [one for one in workspace.messages("C0STUDIO") if "f1 is STANDBY" in one.text])

    assert live.flows["p1", "f1"].status == "STANDBY"
    assert [call.status for call in live.calls_of("PUT", "/flows/stop")] == [200]


async def test_the_foreign_app_turns_a_wrong_signature_away(
    slack: SlackStandIn, live: LiveStandIn, serving: "Serving"
) -> None:
    slack.connect(f"{await serving(onair(slack, live))}/slack/events")

    headers = {"Content-Type": "application/x-www-form-urlencoded", **slack.people.sign(b"command=%2Fonair")}

    assert (await slack.people.raw(b"command=%2Fother", headers)).status == 401


def test_the_example_in_the_readme_is_the_one_that_runs() -> None:
    example = inspect.getsource(test_a_button_takes_a_flow_off_the_air)

    assert f'```python\npytest_plugins = ["tests.standins"]\n\n\n{example}```\n' in README.read_text(encoding="utf-8")
