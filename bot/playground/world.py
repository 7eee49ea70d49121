"""A whole world on loopback: the real bot, built by `serve`, between the stand-ins for Slack and Live.

Owns the sample people, channels and policy. It does not reimplement any behaviour of the bot.
"""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, TypeAlias

from bot.playground.live import server as live_server
from bot.playground.slack.server import SlackStandIn
from bot.serve import build as bot_builder
from bot.serve import http_server
from bot.serve.clock import SystemClock
from bot.settings import loader
from bot.slack.socket_mode import SOCKETS
from bot.usecases import ports

PROJECT_ID: Final = "0123456789abcdef0123456789abcdef"

POLICY: Final = """\
[projects.hk]
project_id = "0123456789abcdef0123456789abcdef"
region     = "ap-southeast-3"
endpoint   = "{endpoint}"
channels   = ["C0INCIDENT"]

[people]
media-oncall = ["U0ALICE", "U0BOB", "S0MEDIAGRP"]
media-leads  = ["U0CAROL", "U0DAVE"]

[[rules]]
name      = "on-call stops, a lead approves"
verbs     = ["stop"]
who       = ["media-oncall"]
except    = ["media-leads"]
approvals = 1
approvers = ["media-leads"]

[[rules]]
name      = "leads confirm alone"
verbs     = ["stop"]
who       = ["media-leads"]
approvals = 0
"""
"""The sample policy; `{endpoint}` is the address of Live."""


Furnish: TypeAlias = Callable[[SlackStandIn, live_server.LiveStandIn], None]
"""Adds people, groups, channels and flows to the stand-ins."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
    """The stand-ins, and the settings that lead a bot to them."""

    slack: SlackStandIn
    live: live_server.LiveStandIn
    clock: ports.Clock
    directory: pathlib.Path
    environ: Mapping[str, str]

    def settings(self) -> loader.Settings:
        """Load the settings as a bot that starts now would."""
        return loader.load(self.environ, directory=self.directory)

    @contextlib.asynccontextmanager
    async def bot(self) -> AsyncIterator[bot_builder.Bot]:
        """Run the real bot and connect Slack to it until the context ends."""
        async with bot_builder.build(self.settings(), clock=self.clock) as bot, _listening(bot) as url:
            await self.connect(url)
            yield bot

    async def connect(self, url: str) -> None:
        """Point Slack at the bot, and wait until the bot has opened its sockets in Socket Mode."""
        self.deliver_to(url)
        if self.slack.people.by_socket:
            await self.slack.until(lambda _: len(self.slack.sockets.lines) >= SOCKETS)

    def deliver_to(self, url: str) -> None:
        """Deliver to the bot at this URL, or over its sockets in Socket Mode."""
        if "SLACK_APP_TOKEN" in self.environ:
            self.slack.connect_socket()
        else:
            self.slack.connect(f"{url}/slack/events")


def sample(slack: SlackStandIn, live: live_server.LiveStandIn) -> None:
    """Add the sample people, channels and flows."""
    settle(slack)
    live.add_flow(PROJECT_ID, "ec897482-d24b-4d64-aa39-407980901b2d", "main-feed")
    live.add_flow(PROJECT_ID, "7d1f0a53-6c1e-4a1c-8f0e-2b9d4c7a3e55", "backup-feed")
    live.add_flow(PROJECT_ID, "0b2c4d6e-8f10-4a3b-9c5d-7e9f1a2b3c4d", "studio-b", "STANDBY")


@contextlib.asynccontextmanager
async def build(
    directory: pathlib.Path,
    *,
    clock: ports.Clock | None = None,
    policy: str = POLICY,
    furnish: Furnish | None = None,
    socket: bool = False,
    **environ: str,
) -> AsyncIterator[World]:
    """Open a world with its files in `directory`: sample people, channels and flows, and no bot yet.

    `furnish` replaces the samples; `{endpoint}` in the policy becomes the address of Live; `socket` chooses Socket
    Mode.
    """
    clock = clock or SystemClock()
    async with SlackStandIn(clock=clock) as slack, live_server.LiveStandIn(clock=clock) as live:
        (furnish or sample)(slack, live)
        (directory / "flowbot.toml").write_text(policy.replace("{endpoint}", live.endpoint))
        variables = {
            "SLACK_BOT_TOKEN": slack.bot_token,
            **({"SLACK_APP_TOKEN": slack.app_token} if socket else {"SLACK_SIGNING_SECRET": slack.signing_secret}),
            "SLACK_API_URL": slack.api_url,
            "HUAWEICLOUD_SDK_AK": live_server.AK,
            "HUAWEICLOUD_SDK_SK": live_server.SK,
            "FLOWBOT_CONFIG": str(directory / "flowbot.toml"),
            "DATABASE_URL": f"sqlite:///{directory / 'flowbot.db'}",
        }
        yield World(slack=slack, live=live, clock=clock, directory=directory, environ=variables | environ)


def settle(slack: SlackStandIn) -> None:
    """Add the sample people, groups and channels to the workspace."""
    workspace = slack.workspace
    for person in ("alice", "bob", "carol", "dave", "erin"):
        workspace.add_person(f"U0{person.upper()}", person)
    workspace.add_person("U0GUEST", "gus-guest", is_restricted=True)
    workspace.add_person("U0SOLO", "solo-guest", is_restricted=True, is_ultra_restricted=True)
    workspace.add_person("U0OTHER", "olga-of-another-company", team_id="T0OTHER", is_stranger=True)
    workspace.add_person("U0ROBOT", "robot", is_bot=True)
    workspace.add_person("U0GONE", "greta-who-left", deleted=True)
    workspace.add_group("S0MEDIAGRP", "media-oncall", ["U0ERIN"])
    everybody = [person for person in workspace.persons if person.startswith("U0")]
    workspace.add_channel("C0INCIDENT", "incident", members=everybody)
    workspace.add_channel("C0RANDOM", "random", members=everybody)


@contextlib.asynccontextmanager
async def _listening(bot: bot_builder.Bot) -> AsyncIterator[str]:
    """Serve the bot's app on a loopback port."""
    listener = http_server.listen("127.0.0.1", 0)
    server = http_server.Server(http_server.config(bot.app))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.finish()
        await serving
