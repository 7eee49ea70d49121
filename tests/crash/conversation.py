"""A conversation of several people drawn from a seed, with troubles and deaths of the bot.

People act as people do: what was not acknowledged is pressed again, and what was not opened is asked for again. Nothing
is judged here.
"""

import asyncio
import dataclasses
import functools
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from bot.playground import world as worlds
from bot.playground.live.errors import Trouble, failing, throttled
from bot.playground.slack.acks import Ack
from bot.playground.slack.errors import NotPossible
from bot.playground.slack.faults import Faults
from bot.playground.slack.records import PostedMessage
from tests.crash.journal import HERE, Journal, shown
from tests.crash.nursery import Kill, Lives
from tests.scenarios import policies

MAIN: Final = "ec897482-d24b-4d64-aa39-407980901b2d"

LOOKS: Final = 6_000
"""How often something is looked for that has to come; where the machine is slow, each look takes longer."""

MOST_POINTS: Final = (110, 60, 40)
"""How many points a first, second and third life reach at most."""

CALM: Final = 3
"""How many times in a row nothing must be owed: a lease may be held for a moment just to find nothing to do."""

HELD: Final = (
    *("PUT", "lost PUT", "chat.postMessage", "chat.update", "users.info", "response_url", "auth.test"),
    *("PUT", "lost PUT", "chat.postMessage"),
)

OF_SLACK: Final[Mapping[str, Callable[[Faults], None]]] = {
    "post lost": lambda faults: faults.drop_after("chat.postMessage"),
    "post limited": lambda faults: faults.ratelimit("chat.postMessage"),
    "edit failed": lambda faults: faults.server_error("chat.update"),
    "edit lost": lambda faults: faults.drop_after("chat.update"),
}
OF_THE_CLOUD: Final[Mapping[str, tuple[Trouble, int]]] = {
    "PUT lost": (Trouble(drop=True), 1),
    "PUT lost, done": (Trouble(drop=True, effect=True), 1),
    "PUT 503": (Trouble(reply=failing(503, "html")), 1),
    "PUT 504, done": (Trouble(reply=failing(504, "gateway"), effect=True), 1),
    "PUT 429": (Trouble(reply=throttled()), 2),
    "reading fails": (Trouble(reply=failing(500, "live")), 1),
}
TROUBLES: Final = (*OF_SLACK, *OF_THE_CLOUD, "started again")
"""What may go wrong besides the deaths; "started again" is somebody at the console, after the stop."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """One play, as drawn from its seed."""

    seed: int
    policy: str
    requester: str
    text: str
    helpers: tuple[str, ...]
    ending: str
    bystanders: tuple[tuple[str, str], ...]
    doubles: bool
    joined: bool
    repeats: bool
    second: bool
    troubles: tuple[str, ...]
    kills: tuple[Kill, ...]


def plan(seed: int) -> Plan:
    """Draw a play."""
    chance = random.Random(seed)
    requester = chance.choice(("U0ALICE", "U0ALICE", "U0BOB", "U0ERIN", "U0CAROL"))
    two = chance.random() < 0.25 and requester != "U0ERIN"
    alone = requester == "U0CAROL" and not two
    helpers = [one for one in ("U0CAROL", "U0DAVE", "U0BOB")[: 3 if two else 2] if one != requester]
    chance.shuffle(helpers)
    approving = "confirm" if alone else "approve"
    wrong = [
        ("U0ALICE", "approve"),
        ("U0BOB", "deny"),
        ("U0GUEST", "approve"),
        ("U0GONE", "deny"),
        (requester, approving),
    ]
    flow = chance.choice(("main-feed", "main-feed", MAIN))
    reason = chance.choice(("", " because the encoder loops"))
    return Plan(
        seed=seed,
        policy=policies.TWO_APPROVALS if two else worlds.POLICY,
        requester=requester,
        text=f"stop {flow}{' --dry-run' if chance.random() < 0.08 else ''}{reason}",
        helpers=(requester,) if alone else tuple(helpers),
        ending=chance.choice(("approve",) * 7 + ("deny", "deny with a reason", "withdraw", "race")),
        bystanders=(
            *chance.sample(wrong[: 4 if alone else 5], chance.choice((0, 0, 1, 2))),
            *(wrong[4:] if two else ()),
        ),
        doubles=chance.random() < 0.4,
        joined=chance.random() < 0.25,
        repeats=chance.random() < 0.3,
        second=chance.random() < 0.2,
        troubles=tuple(chance.sample(TROUBLES, chance.choice((0, 0, 0, 1, 1, 2)))),
        kills=_kills(chance),
    )


def _kills(chance: random.Random) -> tuple[Kill, ...]:
    """Draw how the lives end, each earlier than the previous one."""
    lives = chance.choice((1, 1, 1, 2, 2, 3))
    return tuple(_kill(chance, most) for most in MOST_POINTS[:lives])


def _kill(chance: random.Random, most: int) -> Kill:
    how = chance.random()
    if how < 0.65:
        return Kill(point=chance.randint(1, most))
    if how < 0.8:
        return Kill(seconds=chance.uniform(0.0, 0.3))
    return Kill(held=chance.choice(HELD))


class Play:
    """The people of one conversation."""

    def __init__(self, plan: Plan, lives: Lives, journal: Journal) -> None:
        self.plan, self.lives, self.journal = plan, lives, journal
        self.slack, self.live = lives.world.slack, lives.world.live
        self.button = "confirm" if plan.helpers == (plan.requester,) else "approve"
        self._chance = random.Random(plan.seed)

    async def takes_place(self) -> None:
        """Play to the end, and return once nothing is owed. Raises TimeoutError."""
        self.journal.troubles = self.plan.troubles
        for trouble in self.plan.troubles:
            self._meet(trouble)
        starting_again = asyncio.create_task(self._start_again())
        try:
            async with asyncio.TaskGroup() as together:
                together.create_task(self._conversation())
                if self.plan.second:
                    together.create_task(self._asks("U0BOB", "stop backup-feed"))
            await self._settles()
        finally:
            starting_again.cancel()

    async def _conversation(self) -> None:
        plan = self.plan
        await self._asks(plan.requester, plan.text)
        if plan.joined:
            await self._asks("U0BOB", "stop main-feed", opens=False)
        for user, button in plan.bystanders:
            await self._presses(user, button, forged=user in ("U0GUEST", "U0GONE"))
        match plan.ending:
            case "approve":
                await self._all_press(plan.helpers, self.button)
            case "withdraw":
                await self._presses(plan.requester, "withdraw")
            case "race":
                await asyncio.gather(
                    self._all_press(plan.helpers, self.button),
                    self._presses(plan.requester, "withdraw"),
                    self._presses("U0DAVE", "deny"),
                )
            case _:
                await self._presses("U0DAVE", "deny")
                if plan.ending == "deny with a reason":
                    await self._says_why("U0DAVE")

    async def _all_press(self, users: tuple[str, ...], button: str) -> None:
        for user in users:
            presses = [self._presses(user, button) for _ in range(2 if self.plan.doubles else 1)]
            await asyncio.gather(*presses)

    async def _asks(self, user: str, text: str, *, opens: bool = True) -> None:
        """Type until a card appears or somebody is told why not."""
        for _ in range(3):
            told = self._told(user)
            await self._insists(user, text, lambda: self.slack.people.command(user, HERE, text))
            if not opens:
                return
            await self._until(lambda told=told: self._cards() or self._told(user) > told)  # type: ignore[misc]
            if self._cards():
                return

    async def _presses(self, user: str, button: str, *, forged: bool = False) -> None:
        """Press until it is acknowledged, or the button is gone."""

        async def press() -> Ack:
            cards = self.slack.workspace.with_button(HERE, button)
            if not cards:
                raise NotPossible(button)
            return await self.slack.people.click(user, self._chance.choice(cards), button, forged=forged)

        await self._insists(user, button, press)

    async def _says_why(self, user: str) -> None:
        """Fill in the modal, if it opens."""
        for _ in range(50):
            if (view := self.slack.workspace.top_view(user)) is not None:
                said = dict.fromkeys(view.buttons, "main audience")
                submit = functools.partial(self.slack.people.submit, user, view, said)
                return await self._insists(user, "says why", submit)
            await asyncio.sleep(0.005)
        return None

    async def _insists(self, user: str, what: str, act: Callable[[], Awaitable[Ack]]) -> None:
        for _ in range(LOOKS):
            await self._until(self.lives.up.is_set)
            try:
                ack = await act()
            except NotPossible:
                return
            self.journal.note(user, what, ack)
            if ack.ok:
                if self.plan.repeats:
                    await self._delivers_again(ack)
                return
            await asyncio.sleep(0.005)
        raise TimeoutError(f"{user}'s {what!r} was never acknowledged")

    async def _delivers_again(self, ack: Ack) -> None:
        """Deliver exactly the same again, as Slack may; it must act only once, whatever the bot answers."""
        await self._until(self.lives.up.is_set)
        await self.slack.people.replay(ack)

    async def _settles(self) -> None:
        """Return once nothing is owed; undecided requests are denied by somebody."""
        calm = 0
        for _ in range(LOOKS):
            calm = calm + 1 if self._is_settled() else 0
            if calm >= CALM:
                return
            waits = self.journal.select("SELECT 1 FROM inbox WHERE state <> 'done'")
            pending = self.journal.select("SELECT 1 FROM requests WHERE state = 'pending' AND lease_owner IS NULL")
            if pending and not waits and self.lives.up.is_set():
                if self.slack.workspace.with_button(HERE, "deny"):
                    await self._presses("U0DAVE", "deny")
                else:
                    await self._presses(self.plan.requester, "withdraw")
            await asyncio.sleep(0.01)
        raise TimeoutError("something is owed still")

    def _is_settled(self) -> bool:
        if not self.lives.up.is_set():
            return False
        owed = self.journal.select(
            "SELECT 1 FROM inbox WHERE state <> 'done'"
            " UNION SELECT 1 FROM requests WHERE due_at IS NOT NULL OR lease_owner IS NOT NULL"
        )
        return not owed

    async def _until(self, happened: Callable[[], object]) -> None:
        for _ in range(LOOKS):
            if happened():
                return
            if self.lives.failure is not None:
                raise RuntimeError(self.lives.failure)
            await asyncio.sleep(0.005)
        raise TimeoutError("it never happened")

    def _cards(self) -> list[PostedMessage]:
        return [one for one in self.slack.workspace.messages(HERE) if shown(one) is not None]

    def _told(self, user: str) -> int:
        own = self.slack.workspace.ephemerals(user)
        return sum(not one.plain.removeprefix("Dry run: ").startswith("Reading ") for one in own)

    def _meet(self, trouble: str) -> None:
        self.journal.lost_answers += trouble == "post lost"
        if trouble in OF_THE_CLOUD:
            meets, times = OF_THE_CLOUD[trouble]
            where = ("GET", "/flows/detail") if trouble == "reading fails" else ("PUT", "/flows/stop")
            self.live.faults.add(meets, method=where[0], path=where[1], times=times)
        elif trouble in OF_SLACK:
            OF_SLACK[trouble](self.slack.faults)

    async def _start_again(self) -> None:
        """Start the flow again at the console, once it has been stopped."""
        if "started again" not in self.plan.troubles:
            return
        key = worlds.PROJECT_ID, MAIN
        while self.live.flows[key].status != "STANDBY":  # noqa: ASYNC110 - until the play ends
            await asyncio.sleep(0.005)
        await asyncio.sleep(self._chance.choice((0.0, 0.01, 0.1)))
        self.journal.look_at_flows()
        self.journal.meddled = True
        self.live.set_status(*key, "ACTIVE")
