"""The Live stand-in with one flow, and a client that talks to it."""

import dataclasses
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from bot.cloud import client
from bot.cloud.credentials import fixed
from bot.cloud.pools import Pools
from bot.playground.live import server as live_server
from bot.policy.model import Project
from bot.settings.credentials import AccessKey, Credentials, IamUser

PROJECT_ID = "0123456789abcdef0123456789abcdef"
FLOW_ID = "ec897482-d24b-4d64-aa39-407980902b1d"
NOON = 1_735_787_045.0  # 2025-01-02T03:04:05Z
TOKEN = "SECURITYTOKENEXAMPLE/0+1=="


class TurnedClock:
    """A clock that only the test advances; a sleep advances it too."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


def credentials(*, sk: str = live_server.SK, token: str | None = TOKEN) -> AccessKey:
    return AccessKey(
        ak=SecretStr(live_server.AK), sk=SecretStr(sk), security_token=None if token is None else SecretStr(token)
    )


def user(endpoint: str, *, password: str = live_server.IAM_PASSWORD) -> IamUser:
    return IamUser(
        name=live_server.IAM_USER, password=SecretStr(password), domain=live_server.IAM_DOMAIN, endpoint=endpoint
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rig:
    """A stand-in with the flow `main-feed`, the project as in the policy, and a client over real HTTP."""

    live: live_server.LiveStandIn
    clock: TurnedClock
    project: Project
    http: Pools
    cloud: client.LiveClient

    def client(
        self, *, held: Credentials | None = None, timeout: float = 10.0, **others: Credentials
    ) -> client.LiveClient:
        source = fixed({"hk": held or credentials(), **others})
        return client.LiveClient(self.http, credentials=source, now=self.clock.now, timeout=timeout)

    def status(self) -> str:
        return self.live.flows[PROJECT_ID, FLOW_ID].status


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    clock = TurnedClock()
    async with live_server.LiveStandIn(clock=clock, security_token=TOKEN) as live, client.open_client() as http:
        live.add_flow(PROJECT_ID, FLOW_ID, "main-feed")
        project = Project(
            name="hk", project_id=PROJECT_ID, region="ap-southeast-3", endpoint=live.endpoint, channels=("C0INCIDENT",)
        )
        cloud = client.LiveClient(http, credentials=fixed({"hk": credentials()}), now=clock.now)
        yield Rig(live=live, clock=clock, project=project, http=http, cloud=cloud)
