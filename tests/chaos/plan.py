"""The plan of a seed: who asks for what, and what goes wrong when. Drawn, not played."""

import dataclasses
import enum
import random
from typing import Final

CONVERSATIONS: Final = 30

ONCALL: Final = [f"U0ONCALL{number:02}" for number in range(CONVERSATIONS)]
"""The requesters, a different one each time, so that each answer clearly belongs to one."""

LEADS: Final = ["U0CAROL", "U0DAVE"]

ENDINGS: Final = ("approve",) * 8 + ("deny", "withdraw", "race")


class Trouble(enum.StrEnum):
    """A kind of failure."""

    KILL = "kill -9, and a new process in its place"
    STOP = "SIGSTOP for a while, then SIGCONT"
    RESTART = "SIGTERM, and a new process in its place"
    DATABASE = "the database restarts"
    SLACK_AWAY = "Slack cuts every connection for a while"
    SLACK_LOST = "Slack's answer to a post is lost"
    CLOUD_AWAY = "the cloud takes no connections for a while"
    CLOUD_LOST = "the reply to a call is lost"
    CLOUD_CUT = "a call is cut before it has an effect"
    CLOCK = "the clock of a replica is wrong"


ALWAYS: Final = (Trouble.KILL, Trouble.STOP, Trouble.DATABASE)
SOMETIMES: Final = (
    *(Trouble.KILL, Trouble.STOP, Trouble.RESTART, Trouble.SLACK_AWAY, Trouble.SLACK_LOST),
    *(Trouble.CLOUD_AWAY, Trouble.CLOUD_LOST, Trouble.CLOUD_CUT, Trouble.CLOCK, Trouble.CLOCK),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conversation:
    """One request, and how people end it."""

    number: int
    ending: str
    doubles: bool
    repeats: bool
    bystander: str | None

    @property
    def requester(self) -> str:
        """Who asks."""
        return ONCALL[self.number]

    @property
    def flow(self) -> str:
        """The flow to stop."""
        return f"feed-{self.number:02}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """A trouble for a replica once this many conversations have begun, for `seconds` of the bot's clock."""

    trouble: Trouble
    after: int
    replica: int
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """One seed."""

    seed: int
    conversations: tuple[Conversation, ...]
    events: tuple[Event, ...]


def plan(seed: int) -> Plan:
    """Draw the plan of a seed."""
    chance = random.Random(seed)
    conversations = tuple(
        Conversation(
            number=number,
            ending=chance.choice(ENDINGS),
            doubles=chance.random() < 0.4,
            repeats=chance.random() < 0.3,
            bystander=chance.choice((None, None, "U0GUEST", "U0ERIN", "U0BOB")),
        )
        for number in range(CONVERSATIONS)
    )
    troubles = [*ALWAYS, *chance.choices(SOMETIMES, k=4)]
    chance.shuffle(troubles)
    return Plan(seed=seed, conversations=conversations, events=tuple(_event(chance, each) for each in troubles))


def _event(chance: random.Random, trouble: Trouble) -> Event:
    long = trouble is Trouble.STOP and chance.random() < 0.7
    return Event(
        trouble=trouble,
        after=chance.randint(1, CONVERSATIONS * 3 // 4),
        replica=chance.randrange(2),
        seconds=chance.uniform(31.0, 40.0) if long else chance.uniform(1.0, 10.0),
    )
