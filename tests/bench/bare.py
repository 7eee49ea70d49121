"""What flowbot is measured against: bare Bolt apps as people write them, each a process of its own.

`plain` acknowledges with Bolt's usual runner, `direct` with `process_before_response=True`, `stop` makes the reads and
the call that a click leads to. It must not know flowbot's own way in, nor how anything is measured.
"""

import asyncio
import os
import sys
import time

import aiohttp
import httpx
import uvicorn
from pydantic import SecretStr
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.cloud import auth
from bot.playground import world
from bot.playground.live import server as live_server
from bot.playground.slack.server import BOT_TOKEN, SIGNING_SECRET
from bot.settings.credentials import AccessKey


def build(kind: str) -> AsyncApp:
    """Return an app that acknowledges every command, and every press of `approve`."""
    client = AsyncWebClient(token=BOT_TOKEN, base_url=os.environ["SLACK_API_URL"])
    app = AsyncApp(client=client, signing_secret=SIGNING_SECRET, process_before_response=kind == "direct")

    @app.command("/flow")
    async def command(ack: AsyncAck) -> None:
        await ack("Reading…")

    if kind == "stop":
        _stops(app)
    return app


def _stops(app: AsyncApp) -> None:
    project = world.PROJECT_ID
    keys = AccessKey(ak=SecretStr(live_server.AK), sk=SecretStr(live_server.SK))
    signer = auth.KeySigner(keys, project_id=project, now=time.time)
    cloud = httpx.AsyncClient(base_url=f"{os.environ['LIVE']}/v1/{project}/", auth=signer, trust_env=False)

    @app.action("approve")
    async def approve(ack: AsyncAck, body: dict[str, object], action: dict[str, str], client: AsyncWebClient) -> None:
        await ack()
        requester, flow = action["value"].split("/")
        clicker = str(body["user"]["id"])  # type: ignore[index]  # Slack's payload, as it comes
        if client.session is None:
            client.session = aiohttp.ClientSession()
        await asyncio.gather(client.users_info(user=clicker), client.users_info(user=requester))
        await cloud.get(f"flows/detail?flow_id={flow}")
        await cloud.put(f"flows/stop?flow_id={flow}")


def serve(kind: str, port: int) -> None:
    """Serve the app by Bolt's own adapter for Starlette."""
    handler = AsyncSlackRequestHandler(build(kind))

    async def endpoint(request: Request) -> Response:
        return await handler.handle(request)

    api = Starlette(routes=[Route("/slack/events", endpoint, methods=["POST"])])
    uvicorn.run(api, host="127.0.0.1", port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
