"""The control panel: the state of the cloud, Slack's API, the bot and its database, and switches that make them fail.

Owns the switches. It reads the bot's database and never writes to it; a lock that it takes is released without a
change.
"""

import asyncio
import contextlib
import dataclasses
import sqlite3
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from bot.playground.live import errors as live_errors
from bot.playground.live.errors import Trouble
from bot.playground.page import records
from bot.playground.page.changes import Changes
from bot.playground.process import BotProcess, NotStarted
from bot.playground.world import World
from bot.policy.file.problems import SettingsInvalid
from bot.serve.doctor import examination, settings_checks
from bot.serve.doctor.findings import Finding

Json = dict[str, Any]

SLOW: Final = 6.0
"""Seconds that a slow cloud takes for a stop: long enough for the bot to say “calling”, shorter than its timeout."""

KEPT_CALLS: Final = 60

SOON: Final = 0.03
LATER: Final = 0.4
"""Seconds after a change until the database must show its effects."""

CLOUD: Final = ("slow", "error", "throttled", "lost", "unreadable", "down")
SWITCHES: Final = (*CLOUD, "slack_limited", "slack_down", "locked")

BOT: Final = {"kill": BotProcess.kill, "start": BotProcess.start}


class Control:
    """The switches, and the state shown beside them."""

    def __init__(self, world: World, bot: BotProcess, changes: Changes) -> None:
        self._world = world
        self._bot = bot
        self._changes = changes
        self._on: set[str] = set()
        self._lock: sqlite3.Connection | None = None
        self._database = world.directory / "flowbot.db"
        self._records = records.Records()
        self._answered: dict[int, float] = {}
        self._findings: tuple[Finding, ...] = ()
        projects = world.settings().policy.projects
        self._projects = {project.project_id: name for name, project in projects.items()}
        self.known: Mapping[str, Callable[[Mapping[str, Any]], Awaitable[None]]] = {
            "switch": self._switch,
            "bot": self._run_bot,
            "person": self._change_person,
            "group": self._change_group,
            "flow": self._change_flow,
            "doctor": self._ask_doctor,
        }

    async def set(self, name: str, given: Mapping[str, Any]) -> Json:
        """Set a switch. Raises KeyError for an unknown one."""
        try:
            await self.known[name](given)
        except NotStarted as failure:
            return {"ok": False, "problems": [f"The bot did not start: {failure}"]}
        self._changes.tell()
        return {"ok": True}

    async def watch(self) -> None:
        """Read the database after each change, until cancelled.

        The database sends no notifications, but everything that the bot writes coincides with a call or an answer.
        """
        seen = -1
        while True:
            seen = await self._changes.after(seen)
            await asyncio.sleep(SOON)
            self._look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LATER):
                    await self._changes.after(seen)
                    continue
            self._look()

    def _look(self) -> None:
        found = records.read(self._database)
        if found is not None and found != self._records:
            self._records = found
            self._changes.tell()

    async def close(self) -> None:
        """Release everything that is held."""
        self._unlock()

    def seen(self) -> dict[str, Any]:
        """Return everything that the panel shows, by key."""
        seen: dict[str, Any] = {
            "flows": self._flows(),
            "switches": sorted(self._on),
            "bot": {"state": self._bot.state, "pid": self._bot.pid, "starts": self._bot.starts},
            "log": list(self._bot.log)[-KEPT_CALLS:],
            "requests": self._records.requests,
            "inbox": self._records.inbox,
            "audit": self._records.audit,
            "doctor": [dataclasses.asdict(each) for each in self._findings],
        }
        for number, call in enumerate(self._world.live.calls[-KEPT_CALLS:]):
            seen[f"c:{call.number:06d}"] = self._cloud_call(call) | {"order": number}
        first = max(0, len(self._world.slack.workspace.calls) - KEPT_CALLS)
        for number, made in enumerate(self._world.slack.workspace.calls[first:], first):
            error = "" if made.ok or not made.response else str(made.response.get("error", ""))
            seen[f"s:{number:06d}"] = {"method": made.method, "status": made.status, "at": made.at, "error": error}
        return seen

    def _flows(self) -> list[Json]:
        return [
            {
                "id": flow.flow_id,
                "project": self._projects.get(flow.project_id, flow.project_id),
                "projectId": flow.project_id,
                "name": flow.name,
                "status": flow.status,
                "outputs": len(flow.outputs),
            }
            for flow in self._world.live.flows.values()
        ]

    def _cloud_call(self, call: Any) -> Json:
        if call.status is not None:
            self._answered.setdefault(call.number, self._world.clock.now())
        ended = self._answered.get(call.number)
        return {
            "method": call.method,
            "path": call.path,
            "flow": call.query.get("flow_id", ""),
            "status": call.status,
            "at": call.at,
            "took": None if ended is None else round(ended - call.at, 3),
        }

    # Failures

    async def _switch(self, given: Mapping[str, Any]) -> None:
        name = str(given["name"])
        if name not in SWITCHES:
            raise KeyError(name)
        if given["on"]:
            self._on.add(name)
        else:
            self._on.discard(name)
        if name in CLOUD:
            await self._set_cloud()
        elif name == "locked":
            self._set_lock()
        else:
            self._set_slack()

    async def _set_cloud(self) -> None:
        live, on = self._world.live, self._on
        live.faults.clear()
        if on & {"slow", "error", "throttled", "lost"}:
            reply = live_errors.throttled() if "throttled" in on else None
            reply = live_errors.failing(500, "live") if "error" in on else reply
            trouble = Trouble(hold=SLOW if "slow" in on else None, effect=reply is None, reply=reply, drop="lost" in on)
            live.faults.add(trouble, times=None, method="PUT")
        if "unreadable" in on:
            live.faults.add(Trouble(reply=live_errors.failing(500, "live")), times=None, method="GET")
        if "down" in on:
            await live.down()
        else:
            await live.up()

    def _set_slack(self) -> None:
        faults = self._world.slack.faults
        faults.clear()
        if "slack_limited" in self._on:
            faults.ratelimit(times=None, retry_after=1)
        if "slack_down" in self._on:
            faults.down()

    def _set_lock(self) -> None:
        if "locked" not in self._on:
            self._unlock()
        elif self._lock is None:
            self._lock = sqlite3.connect(self._database, isolation_level=None, timeout=2)
            try:
                self._lock.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                self._on.discard("locked")
                self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            with contextlib.suppress(sqlite3.OperationalError):
                self._lock.execute("ROLLBACK")
            self._lock.close()
            self._lock = None

    async def _ask_doctor(self, given: Mapping[str, Any]) -> None:
        """Run the checks of `flowbot doctor` on the bot's settings, as they are now."""
        try:
            settings = self._world.settings()
        except SettingsInvalid as invalid:
            self._findings = settings_checks.invalid(invalid)
            return
        port = urllib.parse.urlsplit(self._world.slack.people.request_url).port
        settings = dataclasses.replace(settings, port=port or settings.port)
        self._findings = await examination.examine(settings, clock=self._world.clock)

    # Changes from outside

    async def _run_bot(self, given: Mapping[str, Any]) -> None:
        await BOT[str(given["do"])](self._bot)

    async def _change_person(self, given: Mapping[str, Any]) -> None:
        """Make somebody a member, a guest, or deactivated."""
        kind = str(given["kind"])
        flags = {"deleted": kind == "deactivated", "is_restricted": kind == "guest", "is_ultra_restricted": False}
        self._world.slack.workspace.change_person(str(given["user"]), **flags)

    async def _change_group(self, given: Mapping[str, Any]) -> None:
        """Add somebody to a user group, or remove them."""
        workspace = self._world.slack.workspace
        group, user = workspace.groups[str(given["group"])], str(given["user"])
        others = tuple(member for member in group.members if member != user)
        workspace.change_group(group.id, members=(*others, user) if given["in"] else others)

    async def _change_flow(self, given: Mapping[str, Any]) -> None:
        """Stop or start a flow, as somebody at the cloud's console would."""
        self._world.live.set_status(str(given["project"]), str(given["flow"]), str(given["status"]))
