"""Each fault that the cloud can show is found by its own test, and a wrong key is tried at most twice."""

import asyncio
import dataclasses
from collections.abc import Callable

import pytest

from bot.playground import world
from bot.playground.live import server as live_server
from bot.playground.live.errors import Trouble, failing, invalid, no_such_api, throttled
from bot.serve.doctor.findings import Severity
from tests.serve.doctor.conftest import examined, policy

Break = Callable[[world.World], object]

OTHERS = "".join(
    f'[projects.p{number}]\nproject_id = "{number:032x}"\nregion = "ap-southeast-3"\nendpoint = "{{endpoint}}"\n'
    f'channels = ["C0P{number}"]\n\n'
    for number in range(1, 5)
)


def add_projects(built: world.World) -> None:
    """Add four projects with the same key."""
    policy(built, "[people]", OTHERS.replace("{endpoint}", built.live.endpoint) + "[people]")


def deny_both(built: world.World) -> None:
    """Take both rights to read away."""
    built.live.deny("live:ott:listFlow")
    built.live.deny("live:ott:getFlowDetail")


FAULTS: dict[str, tuple[Break, Severity, str, str]] = {
    "the secret key is wrong": (
        lambda built: built.live.add_key(ak=live_server.AK, sk="another"),
        *(Severity.FAIL, "the cloud does not accept the key: APIGW.0301", "Five wrong tries lock the key."),
    ),
    "the right to list is missing": (
        lambda built: built.live.deny("live:ott:listFlow"),
        *(Severity.FAIL, "they lack the right live:ott:listFlow", "Add live:ott:listFlow to the identity policy"),
    ),
    "the right to read a flow is missing": (
        lambda built: built.live.deny("live:ott:getFlowDetail", status=403),
        *(Severity.FAIL, "they lack the right live:ott:getFlowDetail", "Add live:ott:getFlowDetail to the identity"),
    ),
    "both rights are missing": (
        deny_both,
        *(
            Severity.FAIL,
            "they lack the right live:ott:listFlow and live:ott:getFlowDetail",
            "Add live:ott:listFlow and",
        ),
    ),
    "the region is another project's": (
        lambda built: built.live.add_key(ak=live_server.AK, sk=live_server.SK, projects=("another",)),
        *(Severity.FAIL, "project id and region do not belong together: LIVE.100011015", "[projects.hk]"),
    ),
    "the region has no flows": (
        lambda built: built.live.faults.add(Trouble(reply=no_such_api()), times=None),
        *(Severity.FAIL, "has no flows API: APIGW.0101", "each region has its own project id and host"),
    ),
    "the endpoint does not exist": (
        lambda built: policy(built, built.live.endpoint, "http://127.0.0.1:9"),
        *(Severity.FAIL, "http://127.0.0.1:9 cannot be reached: ConnectError", "Check the network"),
    ),
    "the gateway limits calls": (
        lambda built: built.live.faults.add(Trouble(reply=throttled()), times=None),
        *(Severity.WARN, "the cloud limits calls: APIGW.0308", "Run this again in a minute."),
    ),
    "the cloud fails": (
        lambda built: built.live.faults.add(Trouble(reply=failing(502, "html")), times=None),
        *(Severity.FAIL, "the cloud could not be asked: HTTP 502", "the cloud's status page"),
    ),
    "reading fails": (
        lambda built: built.live.faults.add(
            Trouble(reply=failing(500, "live")), times=None, method="GET", path="/flows/detail"
        ),
        *(Severity.FAIL, "the cloud could not be asked: LIVE.100011005", "Run this again."),
    ),
    "the request is refused": (
        lambda built: built.live.faults.add(Trouble(reply=invalid("no such thing")), times=None, path="/flows"),
        *(Severity.FAIL, "the cloud refuses to list flows: LIVE.100011001 no such thing", "[projects.hk]"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_cloud_is_found(built: world.World, fault: str) -> None:
    breaks, status, words, remedy = FAULTS[fault]
    breaks(built)

    finding = (await examined(built))["project hk"]

    assert (finding.status, words in finding.found, remedy in finding.remedy) == (status, True, True), finding
    assert "canonicalRequest" not in finding.found


async def test_an_endpoint_that_hangs_takes_the_time_of_nothing_else(built: world.World) -> None:
    built.live.faults.add(Trouble(hold=asyncio.Event(), drop=True), times=None)

    found = await examined(built, within=2.0)

    assert found["project hk"].found.startswith("the cloud could not be asked: no answer")
    assert found["database"].status is Severity.OK


async def test_a_read_that_hangs_is_no_proof_of_the_right(built: world.World) -> None:
    built.live.faults.add(Trouble(hold=asyncio.Event(), drop=True), times=None, path="/flows/detail")

    assert (await examined(built, within=2.0))["project hk"].found.startswith("the cloud could not be asked: no answer")


async def test_a_wrong_key_is_tried_twice_and_not_for_each_project(built: world.World) -> None:
    add_projects(built)
    built.live.add_key(ak=live_server.AK, sk="another")

    found = await examined(built)

    assert len(built.live.calls) == 2
    assert found["project p1"].found.startswith("the cloud does not accept the key")
    assert found["project p4"].found.startswith("not tried: its key is also another project's")


async def test_a_right_key_is_used_for_each_project_also_where_one_hangs(built: world.World) -> None:
    add_projects(built)
    policy(
        built,
        f'region     = "ap-southeast-3"\nendpoint   = "{built.live.endpoint}"',
        'region = "ap-southeast-3"\nendpoint = "http://127.0.0.1:9"',
    )

    found = await examined(built)

    assert {
        name: found[name].status for name in ("project p1", "project p2", "project p3", "project p4")
    } == dict.fromkeys(("project p1", "project p2", "project p3", "project p4"), Severity.OK)
    assert found["project hk"].status is Severity.FAIL


async def test_a_locked_key_is_left_alone(built: world.World) -> None:
    built.live.add_key(ak=live_server.AK, sk="another")
    for _ in range(5):
        await examined(built)

    found = (await examined(built))["project hk"]

    assert found.found.startswith("the key is locked after too many wrong tries")
    assert found.remedy.startswith("Wait five minutes")


async def test_an_iam_user_is_tried_once(built: world.World) -> None:
    add_projects(built)
    environ = {
        "HUAWEICLOUD_SDK_AK": "",
        "HUAWEICLOUD_SDK_SK": "",
        "HUAWEICLOUD_IAM_USER": live_server.IAM_USER,
        "HUAWEICLOUD_IAM_PASSWORD": "not the password",
        "HUAWEICLOUD_IAM_DOMAIN": live_server.IAM_DOMAIN,
        "HUAWEICLOUD_IAM_ENDPOINT": built.live.endpoint,
    }
    with_user = dataclasses.replace(built, environ={**built.environ, **environ})

    found = await examined(with_user)

    assert found["project hk"].found.startswith("the cloud does not accept the IAM user: 401 IAM gave no token")
    assert len(built.live.iam.calls) == 1

    right = await examined(with_user, HUAWEICLOUD_IAM_PASSWORD=live_server.IAM_PASSWORD)
    assert right["project hk"].status is Severity.OK


async def test_the_stop_itself_is_not_tried_and_said_to_be_so(built: world.World) -> None:
    found = (await examined(built))["stop"]

    assert found.status is Severity.WARN
    assert found.found.endswith("the right live:ott:updateFlowStatusStop")
    assert built.live.calls_of("PUT", "/flows/stop") == ()


@pytest.mark.parametrize("unknown", ["404", "400", "generic"])
async def test_a_project_without_flows_shows_the_right_to_read_all_the_same(
    built: world.World, unknown: live_server.UnknownFlow
) -> None:
    built.live.unknown_flow = unknown
    policy(built, "0123456789abcdef0123456789abcdef", "f" * 32)
    assert (await examined(built))["project hk"].status is Severity.OK

    built.live.deny("live:ott:getFlowDetail")
    assert "lack the right live:ott:getFlowDetail" in (await examined(built))["project hk"].found
