"""The stand-in for Live against the vendor's own client: what it takes and answers is what that client sends and reads.

Needs huaweicloudsdklive, which is in `requirements-dev.txt`.
"""

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import pytest

from bot.playground.live import errors, server
from bot.playground.live.errors import Trouble
from bot.playground.live.server import LiveStandIn
from bot.serve.clock import SystemClock

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the vendor's package is older than the Pythons that we test on
    import huaweicloudsdklive.v1 as vendor
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.exceptions import exceptions

PROJECT: Final = "0123456789abcdef0123456789abcdef"
FLOW: Final = "ec897482-d24b-4d64-aa39-407980901b2d"

Call = Callable[[vendor.LiveClient], Any]


def lists(client: vendor.LiveClient) -> Any:
    """List the flows."""
    return client.list_flows(vendor.ListFlowsRequest(limit=5, offset=0))


def shows(client: vendor.LiveClient) -> Any:
    """Read the flow."""
    return client.show_flow_detail(vendor.ShowFlowDetailRequest(flow_id=FLOW))


def stops(client: vendor.LiveClient) -> Any:
    """Stop the flow."""
    return client.modify_flow_stop(vendor.ModifyFlowStopRequest(flow_id=FLOW))


def starts(client: vendor.LiveClient) -> Any:
    """Start the flow."""
    return client.modify_flow_start(vendor.ModifyFlowStartRequest(flow_id=FLOW))


@pytest.fixture
async def live() -> AsyncIterator[LiveStandIn]:
    """Run a Live with one flow."""
    async with LiveStandIn(clock=SystemClock()) as standin:
        standin.add_flow(PROJECT, FLOW, "main-feed")
        yield standin


async def asked(live: LiveStandIn, call: Call, *, sk: str = server.SK) -> Any:
    """Make a call with a client of its own, in a thread since the client blocks."""

    def made() -> Any:
        credentials = BasicCredentials(server.AK, sk, PROJECT)
        client = vendor.LiveClient.new_builder().with_credentials(credentials).with_endpoint(live.endpoint).build()
        return call(client)

    return await asyncio.to_thread(made)


async def refused(live: LiveStandIn, call: Call, *, sk: str = server.SK) -> exceptions.ServiceResponseException:
    """Make a call that is refused, and return the client's exception."""
    with pytest.raises(exceptions.ServiceResponseException) as caught:
        await asked(live, call, sk=sk)
    return caught.value


async def test_the_vendors_client_lists_shows_stops_and_starts(live: LiveStandIn) -> None:
    listed, shown = await asked(live, lists), await asked(live, shows)
    assert [(flow.flow_id, flow.name, flow.status) for flow in listed.flows] == [(FLOW, "main-feed", "ACTIVE")]
    assert (listed.total, shown.status, shown.sources[0].health_status) == (1, "ACTIVE", "CONNECTED")
    assert [output.name for output in shown.outputs] == ["out"]

    stopped = await asked(live, stops)
    assert (stopped.status_code, stopped.flow_id, stopped.status) == (200, FLOW, "STANDBY")
    assert (await asked(live, starts)).status == "ACTIVE"
    assert [call.status for call in live.calls] == [200] * 4


async def test_the_vendors_client_reads_every_refusal(live: LiveStandIn) -> None:
    await asked(live, stops)
    standby = await refused(live, stops)
    wrong_key = await refused(live, lists, sk="another" + server.SK)
    live.deny("live:ott:listFlow")
    denied = await refused(live, lists)
    too_many = errors.from_service(500, "LIVE.100011007", "Too many concurrent requests.")
    live.faults.add(Trouble(reply=too_many), method="GET", path="/flows/detail", times=1)
    broken = await refused(live, shows)
    gone = await refused(live, lambda client: client.show_flow_detail(vendor.ShowFlowDetailRequest(flow_id="gone")))

    client, service = exceptions.ClientRequestException, exceptions.ServerResponseException
    assert [(type(each), each.status_code, each.error_code) for each in (standby, wrong_key, denied, broken, gone)] == [
        (client, 400, "LIVE.100011001"),
        (client, 401, "APIGW.0301"),
        (client, 401, "LIVE.100011003"),
        (service, 500, "LIVE.100011007"),
        (client, 404, "LIVE.103011019"),
    ]
    assert standby.error_msg == "flow task is in standby status"
    assert [each.request_id for each in (standby, broken)] == ["live-000002", "live-000005"]


async def test_the_vendors_client_notices_a_dropped_connection(live: LiveStandIn) -> None:
    live.faults.add(Trouble(drop=True), method="PUT", path="/flows/stop", times=1)

    with pytest.raises(exceptions.ConnectionException):
        await asked(live, stops)
