"""Rights that change between any two steps: none ends in a call that the policy of that moment forbids.

The stands from which a call may follow come from the tables of `bot.lifecycle.states`; the points between two steps are
the questions and writes of a run in which nothing changes.
"""

import asyncio
import contextlib
import dataclasses
import itertools
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import pytest

from bot.lifecycle import records, schedule
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.lifecycle.records import Awaiting, Request
from bot.lifecycle.states import PROGRESS, TRANSITIONS, Progress, State
from bot.policy import model
from bot.usecases import clicks, errors, ports
from tests.fakes import ALICE, BURNS, CAROL, DAVE, ERIN, MAIN, POLICY, Desk, open_desk, policy_of, until

RULES = """
[people]
oncall = ["S0ONCALL"]
leads  = ["S0LEADS"]

[[rules]]
name      = "on-call with a lead"
verbs     = ["stop"]
who       = ["oncall"]
approvals = 1
approvers = ["leads"]
emergency = ["oncall"]

[[rules]]
name      = "leads alone"
verbs     = ["stop"]
who       = ["leads"]

[[rules]]
name      = "hands off"
effect    = "deny"
verbs     = ["stop"]
who       = ["*"]
flows     = ["prod-*"]
"""
BEFORE: Final = f"emergency_limit = 100\n{POLICY.partition('[people]')[0]}{RULES}"
FREEZE: Final = "freeze = [{ from = 2023-01-01T00:00:00Z, to = 2030-01-01T00:00:00Z, deny = true }]\n"
ONCALL: Final = 'who       = ["oncall"]\n'
LEADS: Final = 'who       = ["leads"]\n'
MEMBERS: Final = {"S0ONCALL": frozenset({"U0ALICE", "U0ERIN"}), "S0LEADS": frozenset({"U0CAROL", "U0DAVE"})}
THROTTLED: Final = CloudFailure(fault=Fault.THROTTLED, http_status=429)
LOST: Final = CloudFailure(fault=Fault.UNCERTAIN)

Change: TypeAlias = Callable[[Desk, str], Awaitable[None]]
Stand: TypeAlias = tuple[State, Progress, Awaiting]


def leading_to(table: dict[Any, Any], wanted: Any) -> set[Any]:
    """Return what leads to a row of a table of transitions, and the row itself."""
    found = {wanted}
    while more := {before for (before, _), after in table.items() if after in found} - found:
        found |= more
    return found


STANDS: Final[set[Stand]] = {
    (state, progress, awaiting)
    for state, progress, awaiting in itertools.product(
        leading_to(dict(TRANSITIONS), State.APPROVED), leading_to(dict(PROGRESS), Progress.RUNNING), Awaiting
    )
    if awaiting is not Awaiting.NOTHING
    and (progress is Progress.WAITING or state is State.APPROVED)
    and (progress is Progress.RUNNING or awaiting is Awaiting.TRY)
}
"""Where a request may stand that may still be called."""


class Run:
    """One request on its way, which notes each question and write, and lets something change before one of them."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.trail: list[str] = []
        self.change_at: int | None = None
        self.change: Callable[[], Awaitable[None]] | None = None
        for port, names in (
            (desk.cloud, ("flow", "change")),
            (desk.directory, ("person", "members")),
            (desk.store, ("paused", "commit")),
        ):
            for name in names:
                setattr(port, name, self._noted(name, getattr(port, name)))

    def _noted(self, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def noted(*args: Any, **facts: Any) -> Any:
            change, at = self.change, len(self.trail)
            self.trail.append(args[0].audit[0].what if name == "commit" and args[0].audit else name)
            if change is not None and at == self.change_at:
                self.change = None
                await change()
            return await method(*args, **facts)

        return noted

    async def reach(self, stand: Stand, door: str, flow_id: str) -> Request:
        """Return a request that stands there."""
        desk = self.desk
        asker = CAROL if door == "confirm" else ALICE
        text = BURNS if door == "emergency" else "stop flow-1"
        text = text.replace("flow-1", flow_id)
        seen = await (desk.pressed_first(text, asker) if door == "emergency" else desk.opened(text, asker))
        if stand[0] is State.PENDING:
            return seen
        await self.press(seen, door)
        if stand[1] is Progress.RUNNING:
            await self.first_try(await desk.now(seen.id), stand[2])
        return await desk.now(seen.id)

    async def first_try(self, seen: Request, awaiting: Awaiting) -> None:
        """Make the first try, which fails; of one that awaits its reply, the reply comes with the next step."""
        desk = self.desk
        desk.clock.turn(max(0.0, schedule.call_at(seen) - desk.clock.now()))
        desk.cloud.will("stop", LOST if awaiting is Awaiting.READING else THROTTLED)
        if awaiting is not Awaiting.REPLY:
            return await desk.calling.call(seen)
        held, stops = asyncio.Event(), desk.cloud.stops()
        desk.cloud._script["stop"].appendleft(held)
        self.calling, self.held = asyncio.create_task(desk.calling.call(seen)), held
        await until(lambda: desk.cloud.stops() > stops)
        return None

    async def press(self, seen: Request, door: str) -> None:
        """Press what lets it run."""
        button = {"approve": "approve", "confirm": "confirm", "emergency": "emergency_confirm"}[door]
        by = {"approve": DAVE, "confirm": CAROL, "emergency": ALICE}[door]
        await self.desk.take(self.desk.click(button, by, seen.id))

    async def go_on(self, seen: Request, door: str) -> Request:
        """Carry out all that may follow, by the clock."""
        desk = self.desk
        if seen.operation.awaiting is Awaiting.REPLY:
            await desk.store.paused()  # the point at which the reply is on its way
            self.held.set()
            await self.calling
        if seen.state is State.PENDING:
            await self.press(seen, door)
        for _ in range(40):
            seen = await desk.now(seen.id)
            if seen.state is State.PENDING or not records.is_open(seen):
                return seen
            with contextlib.suppress(errors.Conflict):
                await self._act(seen)
        raise AssertionError(f"{seen} goes on for ever")

    async def _act(self, seen: Request) -> None:
        desk = self.desk
        match schedule.act(seen, desk.clock.now()):
            case None:
                desk.clock.turn(
                    max(0.1, (schedule.at(seen) or 0.0) - desk.clock.now(), schedule.call_at(seen) - desk.clock.now())
                )
            case schedule.Act.CALL:
                await desk.calling.call(seen)
            case schedule.Act.CALL_AGAIN:
                await desk.calling.call_again(seen)
            case schedule.Act.READ:
                await desk.calling.read(seen)
            case _:
                await desk.calling.save(clicks.expired(seen, at=desk.clock.now()), "expired")


async def pauses(desk: Desk, _flow_id: str) -> None:
    """Pause every changing verb."""
    await desk.store.pause(ports.Pause(at=desk.clock.now(), reason="maintenance", by="root"))


def reloads(*edits: tuple[str, str]) -> Change:
    """Return a change of the policy file."""

    async def reload(desk: Desk, _flow_id: str) -> None:
        text = BEFORE
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        desk.policy = policy_of(text)

    return reload


async def moves_the_project(desk: Desk, _flow_id: str) -> None:
    """Take the project out of the policy: moving one is taking it away, and adding another."""
    desk.policy = dataclasses.replace(desk.policy, projects={})


async def leave_their_groups(desk: Desk, _flow_id: str) -> None:
    """Let others take the places of those who asked and decided."""
    desk.directory.groups |= {"S0ONCALL": frozenset({"U0ERIN"}), "S0LEADS": frozenset({"U0BOB"})}


async def are_deactivated(desk: Desk, _flow_id: str) -> None:
    """Deactivate whoever asked or decided."""
    for actor in (ALICE, CAROL, DAVE):
        desk.directory.kinds[actor.user] = model.Kind.DEACTIVATED


async def renames_the_flow(desk: Desk, flow_id: str) -> None:
    """Give the flow a name that a deny matches."""
    desk.cloud.there[flow_id] = dataclasses.replace(desk.cloud.there[flow_id], name="prod-1")


CHANGES: Final[dict[str, tuple[Change, str]]] = {
    "pause": (pauses, "call begins"),
    "deny": (reloads(('flows     = ["prod-*"]', "")), "call begins"),
    "freeze": (reloads((ONCALL, ONCALL + FREEZE), (LEADS, LEADS + FREEZE)), "call begins"),
    "removed rule": (reloads((RULES[RULES.index("[[rules]]") :], "")), "call begins"),
    "renamed set": (reloads(('["S0ONCALL"]', '["U0ERIN"]'), ('["S0LEADS"]', '["U0BOB"]')), "call begins"),
    "moved project": (moves_the_project, "call begins"),
    "left group": (leave_their_groups, "flow"),
    "deactivated": (are_deactivated, "flow"),
    "renamed flow": (renames_the_flow, "flow"),
}
"""What changes, and the last question or write of a try before which it forbids that try."""


@pytest.fixture
async def run(tmp_path: pathlib.Path) -> AsyncIterator[Run]:
    """Return a run on a desk of its own."""
    async with open_desk(tmp_path) as desk:
        yield Run(desk)


async def play(run: Run, stand: Stand, door: str, *, change: Change | None, at: int) -> tuple[list[str], Request]:
    """Play one request from a stand on, with a change before one question or write; return what happened since."""
    desk = run.desk
    desk.policy, flow_id = policy_of(BEFORE), f"flow-{len(run.trail)}"
    desk.clock.turn(100.0)
    await desk.store.resume(at=desk.clock.now(), by="root")
    desk.directory.groups = dict(MEMBERS)
    desk.directory.kinds = {actor.user: model.Kind.MEMBER for actor in (ALICE, CAROL, DAVE, ERIN)}
    desk.cloud.there[flow_id] = dataclasses.replace(MAIN, flow_id=flow_id, name=f"scratch-{flow_id}")
    seen = await run.reach(stand, door, flow_id)
    assert (seen.state, seen.operation.progress, seen.operation.awaiting) == stand
    begun = len(run.trail)
    run.change_at = begun + at
    run.change = None if change is None else lambda: change(desk, flow_id)
    ended = await run.go_on(seen, door)
    run.change = None
    return run.trail[begun:], ended


def test_the_tables_lead_to_a_call_from_five_stands() -> None:
    assert len(STANDS) == 5


@pytest.mark.parametrize("door", ["approve", "confirm", "emergency"])
@pytest.mark.parametrize("stand", sorted(STANDS))
async def test_what_the_policy_forbids_by_then_is_not_called(run: Run, stand: Stand, door: str) -> None:
    usual, ended = await play(run, stand, door, change=None, at=0)
    assert ended.operation.progress is Progress.SUCCEEDED
    last = len(usual) - 1 - usual[::-1].index("change")
    for (name, (change, decisive)), at in itertools.product(CHANGES.items(), range(last)):
        if at > 0 and usual[at] == usual[at - 1]:
            continue  # between two questions of one kind nothing else happens
        if decisive not in usual[at:last]:
            continue  # too late to forbid anything
        trail, ended = await play(run, stand, door, change=change, at=at)
        assert "change" not in trail[at:], f"{name} before {usual[at]} of {usual}: {trail}"
        assert ended.operation.progress is not Progress.SUCCEEDED
