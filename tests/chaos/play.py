"""Plays one seed: people talk to two replicas while things go wrong.

They act as people do: what was not acknowledged, or had no effect, is tried again. Nothing is judged here.
"""

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, assert_never

from bot.playground import world
from bot.playground.live import errors as live_errors
from bot.playground.live.server import LiveStandIn
from bot.playground.slack.acks import Ack
from bot.playground.slack.errors import NotPossible
from bot.playground.slack.records import PostedMessage
from bot.playground.slack.server import SlackStandIn
from tests import postgres
from tests.chaos.plan import LEADS, ONCALL, Conversation, Event, Plan, Trouble
from tests.chaos.record import ServerJournal
from tests.crash.journal import shown
from tests.replicas import clocks
from tests.replicas.nursery import Replica
from tests.replicas.stage import Stage

RATE: Final = 5.0
"""Seconds of the bot's clock per real second."""

AT_ONCE: Final = 5
"""Conversations at the same time."""

PATIENCE: Final = 180.0
"""Real seconds for a seed, on a machine that others use too."""

SEEN_WITHIN: Final = 4.0
"""Real seconds after which somebody tries again."""

CALM: Final = 3
"""How many times in a row nothing must be owed."""

ROOMS: Final = [f"C0ROOM{number:02}" for number in range(20)]

POLICY: Final = world.POLICY.replace('["C0INCIDENT"]', str(["C0INCIDENT", *ROOMS]).replace("'", '"')).replace(
    '"S0MEDIAGRP"]', '"S0MEDIAGRP", ' + ", ".join(f'"{one}"' for one in ONCALL) + "]"
)

OWED: Final = (
    "SELECT 1 FROM inbox WHERE state <> 'done'"
    " UNION ALL SELECT 1 FROM requests WHERE due_at IS NOT NULL OR lease_owner IS NOT NULL"
)


PENDING: Final = (
    "SELECT requester_user, card_channel, card_ts FROM requests WHERE state = 'pending' AND lease_owner IS NULL"
)


def furnish(slack: SlackStandIn, live: LiveStandIn) -> None:
    """Add the people, channels and flows of a seed."""
    world.sample(slack, live)
    for user in ONCALL:
        slack.workspace.add_person(user, user.lower())
    everybody = [person for person in slack.workspace.persons if person.startswith("U0")]
    for room in ROOMS:
        slack.workspace.add_channel(room, room.lower(), members=everybody)
    for number in range(len(ONCALL)):
        live.add_flow(world.PROJECT_ID, f"feed-{number:02}", f"feed-{number:02}")


class Seat:
    """The place of one replica after another."""

    def __init__(self, name: str, play: "Play") -> None:
        self.name = name
        self.skew = f"{play.stage.clock.file} {name}"
        self.busy = asyncio.Lock()
        self.lives: Replica | None = None
        self._play = play
        self._born = 0
        self._ending = contextlib.AsyncExitStack()
        clocks.write(self.skew, 0.0)

    async def fill(self) -> None:
        """Start a replica here."""
        self._born += 1
        job = self._play.stage.job(f"{self.name}-{self._born}", skew=self.skew)
        self.lives = await self._ending.enter_async_context(self._play.stage.nursery.replica(job))
        self._play.seated()

    async def empty(self, how: signal.Signals) -> None:
        """End the replica here, and wait until it has ended."""
        assert self.lives is not None
        self.lives.meets(how)
        await self.lives.dead.wait()
        if how is signal.SIGTERM and not self.lives.ended:
            raise RuntimeError(f"SIGTERM did not end it well: {self.lives.failure}")
        self.lives = None
        self._play.seated()
        await self._ending.aclose()

    async def leave(self) -> None:
        """End the replica here, if any."""
        await self._ending.aclose()


class Play:
    """The people of a seed, and its troubles."""

    def __init__(self, plan: Plan, stage: Stage, journal: ServerJournal, server: postgres.Server) -> None:
        self.plan, self.stage, self.journal, self.server = plan, stage, journal, server
        self.slack, self.live = stage.world.slack, stage.world.live
        self.seats = (Seat("one", self), Seat("two", self))
        self._begun = 0
        self._begins = asyncio.Condition()
        self._chance = random.Random(plan.seed)

    def seated(self) -> None:
        """Let Slack deliver to the running replicas."""
        self.stage.balancer.ports = [seat.lives.port for seat in self.seats if seat.lives is not None]

    @contextlib.asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Run two replicas until the context ends."""
        try:
            await asyncio.gather(*(seat.fill() for seat in self.seats))
            yield
        finally:
            for seat in self.seats:
                await seat.leave()

    async def takes_place(self) -> None:
        """Play to the end, and return once nothing is owed. Raises TimeoutError."""
        waiting = asyncio.Queue[Conversation]()
        for conversation in self.plan.conversations:
            waiting.put_nowait(conversation)
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as together:
            for event in self.plan.events:
                together.create_task(self._meets(event))
            for _ in range(AT_ONCE):
                together.create_task(self._talk(waiting))
        async with asyncio.timeout(PATIENCE):
            await self._settles()

    # People

    async def _talk(self, waiting: "asyncio.Queue[Conversation]") -> None:
        while not waiting.empty():
            conversation = waiting.get_nowait()
            async with self._begins:
                self._begun += 1
                self._begins.notify_all()
            await self._converse(conversation)

    async def _converse(self, one: Conversation) -> None:
        card = await self._asks(one)
        if one.bystander is not None:
            forged = one.bystander == "U0GUEST"
            await self._press(one, one.bystander, card, "approve", forged=forged)
        while self._buttons(card):
            match one.ending:
                case "approve":
                    await self._press(one, self._chance.choice(LEADS), card, "approve")
                case "race":
                    await asyncio.gather(
                        *(self._press(one, lead, card, "approve") for lead in LEADS),
                        self._press(one, one.requester, card, "withdraw"),
                    )
                case "deny":
                    await self._press(one, LEADS[0], card, "deny")
                    await self._says_why(LEADS[0])
                case _:
                    await self._press(one, one.requester, card, "withdraw")
            await self._seen(lambda: not self._buttons(card))

    async def _asks(self, one: Conversation) -> PostedMessage:
        """Type until a card appears."""
        text = f"stop {one.flow}"
        room = ROOMS[one.number % len(ROOMS)]
        while (card := self._card(room, one.flow)) is None:
            await self._insists(one, one.requester, text, lambda: self.slack.people.command(one.requester, room, text))
            await self._seen(lambda: self._card(room, one.flow) is not None)
        return card

    async def _press(
        self, one: Conversation, user: str, card: PostedMessage, button: str, *, forged: bool = False
    ) -> None:
        presses = [
            self._insists(one, user, button, lambda: self.slack.people.click(user, card, button, forged=forged))
            for _ in range(2 if one.doubles else 1)
        ]
        await asyncio.gather(*presses)

    async def _insists(self, one: Conversation, user: str, what: str, act: Callable[[], Awaitable[Ack]]) -> None:
        """Type or press until it is acknowledged, or no longer possible."""
        while True:
            try:
                ack = await act()
            except NotPossible:
                return
            self.journal.note(user, what, ack)
            if ack.ok:
                break
            await asyncio.sleep(0.05)
        if one.repeats:
            await self.slack.people.replay(ack)  # Slack may do so, whatever the bot answered

    async def _says_why(self, user: str) -> None:
        """Close the modal if it is open; the reason is optional."""
        while (view := self.slack.workspace.top_view(user)) is not None:
            with contextlib.suppress(NotPossible):
                self.journal.note(
                    user, "says why", await self.slack.people.submit(user, view, dict.fromkeys(view.buttons, "no"))
                )
            self.slack.workspace.clear_views(user)

    async def _seen(self, happened: Callable[[], bool]) -> None:
        """Wait a while for something to appear."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEEN_WITHIN):
                while not happened():  # noqa: ASYNC110 - several things may cause it
                    await asyncio.sleep(0.02)

    def _card(self, room: str, flow: str) -> PostedMessage | None:
        standing = [one for one in self.slack.workspace.messages(room) if shown(one) is not None]
        return next((one for one in standing if f"`{flow}`" in one.plain), None)

    def _buttons(self, card: PostedMessage) -> list[str]:
        standing = self.slack.workspace.message(card.channel, card.ts)
        return (
            [] if standing is None else [each for each in standing.buttons if each in ("approve", "deny", "withdraw")]
        )

    async def _settles(self) -> None:
        """Return once nothing is owed; undecided requests are withdrawn by their requesters."""
        calm = 0
        while calm < CALM:
            calm = 0 if await self.stage.fetch(OWED) else calm + 1
            await asyncio.sleep(0.05)
            pending = await self.stage.fetch(PENDING)
            for row in pending:
                card = self.slack.workspace.message(row["card_channel"], row["card_ts"] or "")
                one = next(each for each in self.plan.conversations if each.requester == row["requester_user"])
                if card is not None and "withdraw" in card.buttons:
                    await self._press(one, one.requester, card, "withdraw")

    # Troubles

    async def _meets(self, event: Event) -> None:
        async with self._begins:
            await self._begins.wait_for(lambda: self._begun >= event.after)
        seat, seconds = self.seats[event.replica], event.seconds / RATE
        match event.trouble:
            case Trouble.KILL | Trouble.RESTART:
                async with seat.busy:
                    await self._replace(seat, signal.SIGKILL if event.trouble is Trouble.KILL else signal.SIGTERM)
            case Trouble.STOP:
                async with seat.busy:
                    await self._stop(seat, seconds)
            case Trouble.DATABASE:
                self._happened(event)
                await asyncio.to_thread(self._restart_database)
            case Trouble.CLOCK:
                clocks.write(seat.skew, self._chance.uniform(-8.0, 8.0))
            case _:
                await self._away(event, seconds)

    async def _away(self, event: Event, seconds: float) -> None:
        match event.trouble:
            case Trouble.SLACK_AWAY:
                self.slack.faults.down()
                await asyncio.sleep(seconds)
                self.slack.faults.up()
            case Trouble.SLACK_LOST:
                self.journal.lost_answers += 1
                self.slack.faults.drop_after("chat.postMessage")
            case Trouble.CLOUD_AWAY:
                await self.live.down()
                await asyncio.sleep(seconds)
                await self.live.up()
            case Trouble.CLOUD_LOST | Trouble.CLOUD_CUT:
                lost = live_errors.Trouble(drop=True, effect=event.trouble is Trouble.CLOUD_LOST)
                self.live.faults.add(lost, method="PUT", path="/flows/stop")
            case _:
                assert_never(event.trouble)  # type: ignore[arg-type]

    async def _replace(self, seat: Seat, how: signal.Signals) -> None:
        self.journal.deaths.append(f"{seat.name}: {how.name}")
        await seat.empty(how)
        await self.journal.keep_audit(self.stage)
        await seat.fill()

    async def _stop(self, seat: Seat, seconds: float) -> None:
        assert seat.lives is not None
        self.journal.deaths.append(f"{seat.name}: SIGSTOP for {seconds:.1f} s")
        seat.lives.meets(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        seat.lives.meets(signal.SIGCONT)

    def _happened(self, event: Event) -> None:
        self.journal.deaths.append(event.trouble.value)

    def _restart_database(self) -> None:
        self.server.stop()
        self.server.start()
