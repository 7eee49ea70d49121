"""The client against the Live stand-in, over real HTTP."""

import asyncio
import contextlib
import dataclasses
import functools
import importlib.abc
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from pydantic import SecretStr

from bot.cloud import client
from bot.cloud.credentials import fixed
from bot.cloud.pools import Pools
from bot.commands.verbs import CHANGES, Verb
from bot.lifecycle import call_outcome, records
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.playground.live import errors as live_errors
from bot.playground.live import server as live_server
from bot.playground.live.errors import Refusal, Trouble
from bot.policy.model import Project
from bot.settings.credentials import AccessKey
from bot.usecases import ports

from .conftest import FLOW_ID, PROJECT_ID, TOKEN, Rig, credentials

PUT_STOP = ("PUT", "/flows/stop")


def failed(outcome: object, fault: Fault) -> CloudFailure:
    assert isinstance(outcome, CloudFailure), outcome
    assert outcome.fault is fault, outcome
    return outcome


Speaker = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def peer(speak: Speaker) -> AsyncIterator[str]:
    """Run a server that handles each connection with `speak` and then closes it; return its base URL."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await speak(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.create_task(talk(reader, writer)))

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


class CloudContract:
    """What every `ports.Cloud` does.

    A subclass provides `world`: a cloud, and a project with the one flow `main-feed`, ACTIVE.
    """

    @pytest.fixture
    def world(self) -> tuple[ports.Cloud, Project]:
        raise NotImplementedError

    async def test_reads_a_flow(self, world: tuple[ports.Cloud, Project]) -> None:
        cloud, project = world
        flow = await cloud.flow(project, FLOW_ID)
        assert isinstance(flow, records.Flow)
        assert (flow.flow_id, flow.name, flow.status) == (FLOW_ID, "main-feed", "ACTIVE")

    async def test_lists_the_flows(self, world: tuple[ports.Cloud, Project]) -> None:
        cloud, project = world
        assert await cloud.flows(project) == (ports.FlowName(flow_id=FLOW_ID, name="main-feed", status="ACTIVE"),)

    async def test_a_stop_tells_the_new_status_and_is_seen_by_the_next_read(
        self, world: tuple[ports.Cloud, Project]
    ) -> None:
        cloud, project = world
        accepted = await cloud.change(project, FLOW_ID, Verb.STOP)
        assert isinstance(accepted, call_outcome.Accepted)
        assert accepted.status == "STANDBY"
        assert accepted.request_id
        flow = await cloud.flow(project, FLOW_ID)
        assert isinstance(flow, records.Flow)
        assert flow.status == "STANDBY"

    async def test_a_second_stop_is_refused_with_the_clouds_message(self, world: tuple[ports.Cloud, Project]) -> None:
        cloud, project = world
        await cloud.change(project, FLOW_ID, Verb.STOP)
        refused = failed(await cloud.change(project, FLOW_ID, Verb.STOP), Fault.REJECTED)
        assert (refused.http_status, refused.code) == (400, "LIVE.100011001")
        assert "standby" in refused.message
        assert refused.request_id

    async def test_an_unknown_flow_is_not_found(self, world: tuple[ports.Cloud, Project]) -> None:
        cloud, project = world
        failed(await cloud.flow(project, "nowhere"), Fault.NOT_FOUND)
        failed(await cloud.change(project, "nowhere", Verb.STOP), Fault.NOT_FOUND)


class TestLiveClient(CloudContract):
    """The client, held to the contract."""

    @pytest.fixture
    def world(self, rig: Rig) -> tuple[ports.Cloud, Project]:
        return rig.cloud, rig.project


async def test_a_stop_is_sent_without_a_body_and_signed_for_its_project(rig: Rig) -> None:
    await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP)
    (call,) = rig.live.calls_of(*PUT_STOP)
    arrived = call.arrived
    assert arrived.query == f"flow_id={FLOW_ID}".encode()
    assert arrived.body == b""
    assert (arrived.header("content-length"), arrived.header("content-type")) == ("0", None)
    assert arrived.header("transfer-encoding") is None
    assert arrived.header("x-project-id") == PROJECT_ID
    assert call.identity is not None
    assert call.identity.signed_headers == ("host", "x-project-id", "x-sdk-date", "x-security-token")


@pytest.mark.parametrize("flow_id", ["a b+c/é~*", "..", "%2e", "a&flow_id=b", "?#", "x" * 64])
async def test_any_flow_id_arrives_as_it_was(rig: Rig, flow_id: str) -> None:
    rig.live.add_flow(PROJECT_ID, flow_id, "odd")
    assert isinstance(await rig.cloud.flow(rig.project, flow_id), records.Flow)
    assert isinstance(await rig.cloud.change(rig.project, flow_id, Verb.STOP), call_outcome.Accepted)
    assert rig.status() == "ACTIVE"


async def test_keeps_of_a_flow_what_may_be_shown_and_never_its_passphrase(rig: Rig) -> None:
    rig.live.add_flow(
        PROJECT_ID,
        FLOW_ID,
        "main-feed",
        "STANDBY",
        region="cn-north-5",
        sources=[
            live_server.FlowSource(name="a", protocol="srt-caller", health="DISCONNECTED"),
            live_server.FlowSource(name="b"),
        ],
        outputs=[live_server.Output(name="o1"), live_server.Output(name="o2", type="other")],
    )
    flow = await rig.cloud.flow(rig.project, FLOW_ID)
    assert flow == records.Flow(
        flow_id=FLOW_ID,
        name="main-feed",
        region="cn-north-5",
        status="STANDBY",
        sources=(
            records.Part(name="a", protocol="srt-caller", health="DISCONNECTED"),
            records.Part(name="b", protocol="srt-listener", health="CONNECTED"),
        ),
        outputs=(records.Part(name="o1", protocol="srt-listener"), records.Part(name="o2", protocol="other")),
    )
    assert "not-for-anyone" not in repr(flow)


async def test_an_unknown_status_word_passes_through(rig: Rig) -> None:
    rig.live.add_flow(PROJECT_ID, FLOW_ID, "main-feed", "HIBERNATING")
    flow = await rig.cloud.flow(rig.project, FLOW_ID)
    assert isinstance(flow, records.Flow)
    assert flow.status == "HIBERNATING"


async def test_signs_each_try_anew_so_that_a_long_retry_is_not_too_old(rig: Rig) -> None:
    await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP)
    await rig.clock.sleep(16 * 60)
    failed(await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.REJECTED)
    first, second = (call.identity for call in rig.live.calls_of(*PUT_STOP))
    assert first is not None
    assert second is not None
    assert first.signature != second.signature


async def test_keys_go_by_project_and_a_project_without_one_is_never_called(rig: Rig) -> None:
    other = Project(name="sg", project_id="f" * 32, region="ap-southeast-3", endpoint=rig.live.endpoint, channels=())
    outcome = failed(await rig.cloud.change(other, FLOW_ID, Verb.STOP), Fault.CREDENTIALS)
    assert "sg" in outcome.message
    assert rig.live.calls == ()


async def test_a_start_tells_the_new_status_and_is_sent_the_way_a_stop_is(rig: Rig) -> None:
    rig.live.set_status(PROJECT_ID, FLOW_ID, "STANDBY")
    accepted = await rig.cloud.change(rig.project, FLOW_ID, Verb.START)
    assert isinstance(accepted, call_outcome.Accepted)
    assert (accepted.status, accepted.request_id) == ("ACTIVE", "live-000001")
    assert rig.status() == "ACTIVE"
    (call,) = rig.live.calls_of("PUT", "/flows/start")
    assert (call.arrived.query, call.arrived.body) == (f"flow_id={FLOW_ID}".encode(), b"")


@pytest.mark.parametrize("verb", CHANGES)
async def test_each_changing_verb_makes_the_call_of_its_row_and_no_other(rig: Rig, verb: Verb) -> None:
    row = CHANGES[verb]
    rig.live.set_status(PROJECT_ID, FLOW_ID, CHANGES[row.opposite].wanted)
    accepted = await rig.cloud.change(rig.project, FLOW_ID, verb)
    assert isinstance(accepted, call_outcome.Accepted)
    assert (accepted.status, rig.status()) == (row.wanted, row.wanted)
    assert rig.live.calls == rig.live.calls_of("PUT", f"/flows/{row.call}")


async def test_a_verb_that_changes_nothing_makes_no_call(rig: Rig) -> None:
    with pytest.raises(KeyError):
        await rig.cloud.change(rig.project, FLOW_ID, Verb.STATUS)
    assert rig.live.calls == ()


async def test_a_second_start_is_refused_with_the_clouds_message(rig: Rig) -> None:
    refused = failed(await rig.cloud.change(rig.project, FLOW_ID, Verb.START), Fault.REJECTED)
    assert (refused.code, refused.message) == ("LIVE.100011001", "flow task is in active status")


async def test_a_start_whose_reply_is_lost_is_uncertain(rig: Rig) -> None:
    rig.live.set_status(PROJECT_ID, FLOW_ID, "STANDBY")
    rig.live.faults.add(Trouble(drop=True, effect=True))
    failed(await rig.cloud.change(rig.project, FLOW_ID, Verb.START), Fault.UNCERTAIN)
    assert rig.status() == "ACTIVE"


# The share of reads


async def spend(rig: Rig, times: int, *, purpose: ports.Purpose, project: Project | None = None) -> list[object]:
    return [await rig.cloud.flow(project or rig.project, FLOW_ID, purpose=purpose) for _ in range(times)]


async def test_reading_commands_get_forty_calls_a_minute_and_then_hear_how_long_to_wait(rig: Rig) -> None:
    await spend(rig, 1, purpose="read")
    rig.clock.time += 20
    assert all(isinstance(found, records.Flow) for found in await spend(rig, 39, purpose="read"))
    (outcome,) = await spend(rig, 1, purpose="read")
    held_back = failed(outcome, Fault.THROTTLED)
    assert (held_back.http_status, held_back.retry_after) == (None, 40.0)
    assert held_back.message.startswith("flowbot's own limit")
    assert len(rig.live.calls) == 40
    rig.clock.time += 40
    assert isinstance((await spend(rig, 1, purpose="read"))[0], records.Flow)


async def test_a_stop_and_what_it_reads_go_out_whatever_was_spent(rig: Rig) -> None:
    await spend(rig, 40, purpose="read")
    assert isinstance(await rig.cloud.flow(rig.project, FLOW_ID), records.Flow)
    assert isinstance(await rig.cloud.flows(rig.project), tuple)
    assert isinstance(await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP), call_outcome.Accepted)
    assert isinstance(await rig.cloud.change(rig.project, FLOW_ID, Verb.START), call_outcome.Accepted)
    assert len(rig.live.calls) == 44


async def test_each_page_of_a_list_is_a_call_and_a_list_that_is_held_back_is_not_cut_short(rig: Rig) -> None:
    for number in range(1000):
        rig.live.add_flow(PROJECT_ID, f"flow-{number:03d}", f"name-{number:03d}", "STANDBY")
    for _ in range(3):
        assert len(await rig.cloud.flows(rig.project, purpose="read")) == 1001  # type: ignore[arg-type]
    failed(await rig.cloud.flows(rig.project, purpose="read"), Fault.THROTTLED)
    assert len(rig.live.calls) == 40


async def test_projects_with_the_same_key_share_one_account_and_others_do_not(rig: Rig) -> None:
    other = AccessKey(ak=SecretStr("AKEXAMPLEOTHER000000"), sk=SecretStr("SKEXAMPLEOTHER"))
    rig.live.add_key(ak="AKEXAMPLEOTHER000000", sk="SKEXAMPLEOTHER")
    shared = Rig(
        live=rig.live, clock=rig.clock, project=rig.project, http=rig.http, cloud=rig.client(sg=credentials(), eu=other)
    )
    sg, eu = dataclasses.replace(rig.project, name="sg"), dataclasses.replace(rig.project, name="eu")
    await spend(shared, 40, purpose="read", project=sg)
    failed((await spend(shared, 1, purpose="read"))[0], Fault.THROTTLED)
    assert isinstance((await spend(shared, 1, purpose="read", project=eu))[0], records.Flow)


async def test_promise_12_readings_for_one_project_keep_no_stop_of_another_with_the_same_account(rig: Rig) -> None:
    shared = dataclasses.replace(rig, cloud=rig.client(sg=credentials()))
    sg = dataclasses.replace(rig.project, name="sg")
    await spend(shared, 60, purpose="read", project=sg)

    assert isinstance(await shared.cloud.flow(rig.project, FLOW_ID), records.Flow)
    assert isinstance(await shared.cloud.change(rig.project, FLOW_ID, Verb.STOP), call_outcome.Accepted)
    assert len(rig.live.calls) == 42  # not even those for reading were all let out


async def test_a_call_that_was_refused_or_lost_counts_as_well(rig: Rig) -> None:
    rig.live.faults.add(Trouble(reply=live_errors.failing(503, "html")), times=39)
    rig.live.faults.add(Trouble(drop=True))
    for outcome in await spend(rig, 40, purpose="read"):
        failed(outcome, Fault.UNCERTAIN)
    failed((await spend(rig, 1, purpose="read"))[0], Fault.THROTTLED)


# Lists


async def test_reads_a_long_list_page_by_page(rig: Rig) -> None:
    for number in range(249):
        rig.live.add_flow(PROJECT_ID, f"flow-{number:03d}", f"name-{number:03d}", "STANDBY")
    rig.live.add_flow("f" * 32, "elsewhere", "elsewhere")
    names = await rig.cloud.flows(rig.project)
    assert isinstance(names, tuple)
    assert len(names) == 250
    assert names[-1] == ports.FlowName(flow_id="flow-248", name="name-248", status="STANDBY")
    assert [call.query["offset"] for call in rig.live.calls_of("GET", "/flows")] == ["0", "100", "200"]
    assert {call.query["limit"] for call in rig.live.calls_of("GET", "/flows")} == {"100"}


async def test_names_are_whole_however_long_they_are(rig: Rig) -> None:
    name = "long " * 100 + "final"
    rig.live.add_flow(PROJECT_ID, FLOW_ID, name)

    found, names = await rig.cloud.flow(rig.project, FLOW_ID), await rig.cloud.flows(rig.project)

    assert isinstance(found, records.Flow)
    assert found.name == name
    assert isinstance(names, tuple)
    assert [one.name for one in names] == [name]


async def test_a_project_without_flows_has_an_empty_list(rig: Rig) -> None:
    rig.live.add_key(ak=live_server.AK, sk=live_server.SK, security_token=TOKEN)
    empty = Project(name="hk", project_id="e" * 32, region="r", endpoint=rig.live.endpoint, channels=())
    assert await rig.cloud.flows(empty) == ()
    assert len(rig.live.calls) == 1


def page(*ids: object, total: object = None) -> Trouble:
    rows = [{"flow_id": flow_id, "name": "n", "status": "ACTIVE"} for flow_id in ids]
    return Trouble(reply=Refusal(status=200, body={"total": total, "flows": [*rows, "no row"]}))


async def test_a_list_without_a_total_ends_with_a_page_that_brings_nothing_new(rig: Rig) -> None:
    for trouble in (page("a", "b"), page("b", "c"), page("c")):
        rig.live.faults.add(trouble)
    names = await rig.cloud.flows(rig.project)
    assert isinstance(names, tuple)
    assert [name.flow_id for name in names] == ["a", "b", "c"]
    assert len(rig.live.calls) == 3


async def test_rows_that_name_no_flow_are_left_out(rig: Rig) -> None:
    rig.live.faults.add(page("a", None, "", 7, total=4))
    names = await rig.cloud.flows(rig.project)
    assert isinstance(names, tuple)
    assert [name.flow_id for name in names] == ["a"]


async def test_a_list_that_does_not_end_is_a_failure_and_no_short_list(rig: Rig) -> None:
    for number in range(client.MAX_PAGES):
        rig.live.faults.add(page(f"flow-{number}", total=1_000_000))
    outcome = failed(await rig.cloud.flows(rig.project), Fault.UNCERTAIN)
    assert "did not end" in outcome.message
    assert len(rig.live.calls) == client.MAX_PAGES


async def test_a_page_that_fails_fails_the_list(rig: Rig) -> None:
    rig.live.faults.add(page("a", total=200))
    rig.live.faults.add(Trouble(reply=live_errors.failing(503, "html")))
    failed(await rig.cloud.flows(rig.project), Fault.UNCERTAIN)


# Refusals


@pytest.mark.parametrize("variant", ["404", "400", "generic"])
async def test_an_unknown_flow_is_not_found_however_the_cloud_says_it(
    rig: Rig, variant: live_server.UnknownFlow
) -> None:
    rig.live.unknown_flow = variant
    failed(await rig.cloud.change(rig.project, "nowhere", Verb.STOP), Fault.NOT_FOUND)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_missing_right_is_a_denial_and_no_matter_of_the_key(rig: Rig, status: int) -> None:
    rig.live.deny("live:ott:updateFlowStatusStop", status=401 if status == 401 else 403)
    denied = failed(await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.DENIED)
    assert denied.http_status == status
    assert rig.status() == "ACTIVE"


async def test_a_wrong_key_is_told_and_locks_after_five_tries(rig: Rig) -> None:
    wrong = rig.client(held=credentials(sk="SKEXAMPLEWRONG00000000000000000000000000"))
    for _ in range(5):
        outcome = failed(await wrong.change(rig.project, FLOW_ID, Verb.STOP), Fault.CREDENTIALS)
        assert outcome.code == "APIGW.0301"
        assert "canonicalRequest:PUT|/v1/" in outcome.message
        assert "x-security-token:[redacted]" in outcome.message
        assert TOKEN not in outcome.message
    outcome = failed(await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.CREDENTIALS)
    assert "forbidden" in outcome.message


async def test_a_project_other_than_the_paths_is_a_credentials_failure(rig: Rig) -> None:
    rig.live.faults.add(Trouble(reply=live_errors.wrong_project()))
    failed(await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.CREDENTIALS)


async def test_throttling_says_how_long_to_wait(rig: Rig) -> None:
    rig.live.faults.add(Trouble(reply=live_errors.throttled(200, "5 minute")))
    throttled = failed(await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.THROTTLED)
    assert (throttled.http_status, throttled.code, throttled.retry_after) == (429, "APIGW.0308", 300.0)
    assert throttled.request_id == "live-000001"
    assert rig.status() == "ACTIVE"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("shape", ["live", "gateway", "html", "empty"])
@pytest.mark.parametrize("effect", [False, True])
async def test_a_5xx_is_uncertain_and_keeps_the_request_id(
    rig: Rig, status: int, shape: live_errors.Shape, effect: bool
) -> None:
    rig.live.faults.add(Trouble(reply=live_errors.failing(status, shape), effect=effect))
    outcome = failed(await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.UNCERTAIN)
    assert (outcome.http_status, outcome.request_id) == (status, "live-000001")
    assert rig.status() == ("STANDBY" if effect else "ACTIVE")


async def test_a_redirect_is_not_followed(rig: Rig) -> None:
    elsewhere = {"Location": f"{rig.live.endpoint}/v1/elsewhere"}
    rig.live.faults.add(Trouble(reply=Refusal(status=307, body="", headers=elsewhere)))
    failed(await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.UNCERTAIN)
    assert len(rig.live.calls) == 1


# Lost and malformed replies


async def test_nobody_listening_means_never_sent(rig: Rig) -> None:
    await rig.cloud.flow(rig.project, FLOW_ID)  # leaves a connection in the pool, which is cut as well
    await rig.live.down()
    outcome = failed(await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.NEVER_SENT)
    assert outcome.http_status is None
    await rig.live.up()
    assert isinstance(await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP), call_outcome.Accepted)
    assert len(rig.live.calls_of(*PUT_STOP)) == 1


@pytest.mark.parametrize("effect", [False, True])
async def test_a_connection_that_is_cut_after_sending_is_uncertain(rig: Rig, effect: bool) -> None:
    rig.live.faults.add(Trouble(drop=True, effect=effect))
    outcome = failed(await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.UNCERTAIN)
    assert outcome.http_status is None
    assert rig.status() == ("STANDBY" if effect else "ACTIVE")
    assert len(rig.live.calls) == 1  # httpx repeated nothing


async def test_a_read_that_is_cut_is_uncertain_too(rig: Rig) -> None:
    rig.live.faults.add(Trouble(drop=True))
    failed(await rig.cloud.flow(rig.project, FLOW_ID), Fault.UNCERTAIN)


async def test_no_answer_in_time_is_uncertain_and_the_call_may_still_be_carried_out(rig: Rig) -> None:
    await rig.cloud.flow(
        rig.project, FLOW_ID
    )  # connects first, so that a slow machine does not run out of time before the call
    gate = asyncio.Event()
    rig.live.faults.add(Trouble(hold=gate, effect=True))
    outcome = failed(await rig.client(timeout=0.3).change(rig.project, FLOW_ID, Verb.STOP), Fault.UNCERTAIN)
    assert outcome.http_status is None
    assert rig.status() == "ACTIVE"
    gate.set()
    await rig.live.until(lambda live: live.flows[PROJECT_ID, FLOW_ID].status == "STANDBY")


async def test_an_answer_in_drips_is_cut_off_by_the_deadline_of_the_whole_try(rig: Rig) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:  # each read is fast; only the sum is too long
            writer.write(b" ")
            await asyncio.sleep(0)

    async with peer(drip) as endpoint:
        failed(await rig.client(timeout=0.7).change(at(rig.project, endpoint), FLOW_ID, Verb.STOP), Fault.UNCERTAIN)


async def test_a_peer_that_speaks_no_http_is_uncertain(rig: Rig) -> None:
    async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")

    async with peer(banner) as endpoint:
        outcome = failed(await rig.cloud.change(at(rig.project, endpoint), FLOW_ID, Verb.STOP), Fault.UNCERTAIN)
    assert "RemoteProtocolError" in outcome.message or "ReadError" in outcome.message


async def test_a_host_that_does_not_speak_tls_was_never_sent_a_call(rig: Rig) -> None:
    project = at(rig.project, rig.live.endpoint.replace("http:", "https:"))
    failed(await rig.cloud.change(project, FLOW_ID, Verb.STOP), Fault.NEVER_SENT)
    assert rig.live.calls == ()


@pytest.mark.parametrize("endpoint", ["gopher://127.0.0.1", "http://127.0.0.1:notaport"])
async def test_an_endpoint_that_cannot_be_called_was_never_sent_a_call(rig: Rig, endpoint: str) -> None:
    failed(await rig.cloud.change(at(rig.project, endpoint), FLOW_ID, Verb.STOP), Fault.NEVER_SENT)


async def test_a_key_with_a_stray_newline_is_not_quoted(rig: Rig) -> None:
    broken = rig.client(held=credentials(token="SECURITYTOKEN\nEXAMPLE"))
    outcome = failed(await broken.change(rig.project, FLOW_ID, Verb.STOP), Fault.UNCERTAIN)
    assert "SECURITYTOKEN" not in outcome.message


STRANGE = [
    pytest.param(b"", "", id="nothing"),
    pytest.param(b"<html>welcome to the hotel</html>", "welcome to the hotel", id="a captive portal"),
    pytest.param(b'{"flow_id":"x"', '{"flow_id":"x"', id="cut short"),
    pytest.param(b'{"flow_id":"ec89"}', '{"flow_id":"ec89"}', id="no status"),
    pytest.param(b'{"status":7}', '{"status":7}', id="a status that is no word"),
    pytest.param(b'["STANDBY"]', '["STANDBY"]', id="no object"),
    pytest.param(
        b'{"status":"STANDBY","flow_id":"another"}', '{"status":"STANDBY","flow_id":"another"}', id="another flow"
    ),
]


@pytest.mark.parametrize(("body", "message"), STRANGE)
async def test_a_200_that_does_not_say_what_happened_is_uncertain(rig: Rig, body: bytes, message: str) -> None:
    stop = functools.partial(rig.cloud.change, verb=Verb.STOP)
    for call in (stop, rig.cloud.flow):
        rig.live.faults.add(Trouble(reply=Refusal(status=200, body=body.decode())))
        outcome = failed(await call(rig.project, FLOW_ID), Fault.UNCERTAIN)
        assert (outcome.http_status, outcome.message) == (200, message)
        assert outcome.request_id


async def test_a_reply_without_a_list_is_uncertain(rig: Rig) -> None:
    rig.live.faults.add(Trouble(reply=Refusal(status=200, body={"flows": None})))
    failed(await rig.cloud.flows(rig.project), Fault.UNCERTAIN)


async def test_an_unreadable_detail_does_not_give_its_passphrase_away(rig: Rig) -> None:
    body = json.dumps({"sources": [{"decryption": {"passphrase": "not-for-anyone"}}]})
    rig.live.faults.add(Trouble(reply=Refusal(status=200, body=body)))
    outcome = failed(await rig.cloud.flow(rig.project, FLOW_ID), Fault.UNCERTAIN)
    assert "not-for-anyone" not in repr(outcome)


async def test_a_200_with_active_is_accepted_as_it_stands(rig: Rig) -> None:
    rig.live.faults.add(Trouble(status="ACTIVE"))
    accepted = await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP)
    assert isinstance(accepted, call_outcome.Accepted)
    assert (accepted.status, accepted.request_id) == ("ACTIVE", "live-000001")


async def test_an_answer_in_capitals_is_about_the_same_flow(rig: Rig) -> None:
    reply = Refusal(status=200, body={"status": "STANDBY", "flow_id": FLOW_ID.upper()})
    rig.live.faults.add(Trouble(reply=reply))
    assert isinstance(await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP), call_outcome.Accepted)


async def test_an_endless_answer_is_not_read_to_its_end(rig: Rig) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" " * 65_536)
            await writer.drain()

    async with peer(flood) as endpoint:
        outcome = failed(await rig.cloud.change(at(rig.project, endpoint), FLOW_ID, Verb.STOP), Fault.UNCERTAIN)
    assert outcome.http_status == 200  # only reading the reply stopped, not the call


# Proxies


def at(project: Project, endpoint: str) -> Project:
    return Project(
        name=project.name,
        project_id=project.project_id,
        region=project.region,
        endpoint=endpoint,
        channels=project.channels,
    )


async def test_loopback_and_plain_http_go_past_the_proxy_and_the_cloud_goes_through_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    async with peer(proxy) as address:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, address)
            monkeypatch.setenv(name.lower(), address)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with client.open_client() as http:
            cloud = client.LiveClient(http, credentials=fixed({"hk": credentials()}), now=rig.clock.now)
            assert isinstance(await cloud.change(rig.project, FLOW_ID, Verb.STOP), call_outcome.Accepted)
            port = free_port()
            for endpoint in (f"http://127.0.0.2:{port}", f"https://localhost:{port}", f"https://127.0.0.1:{port}"):
                failed(await cloud.flow(at(rig.project, endpoint), FLOW_ID), Fault.NEVER_SENT)
            assert asked == []
            outcome = await cloud.flow(at(rig.project, "https://live.cn-north-4.example"), FLOW_ID)
            failed(outcome, Fault.NEVER_SENT)  # the proxy refused to connect: the cloud has seen nothing
    assert asked == [b"CONNECT live.cn-north-4.example:443 HTTP/1.1\r\n"]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


async def test_a_pool_with_no_free_connection_means_never_sent(rig: Rig) -> None:
    gate = asyncio.Event()
    rig.live.faults.add(Trouble(hold=gate, effect=True))
    async with Pools(lambda: httpx.AsyncClient(limits=httpx.Limits(max_connections=1))) as http:
        patient = client.LiveClient(http, credentials=fixed({"hk": credentials()}), now=rig.clock.now)
        hurried = client.LiveClient(http, credentials=fixed({"hk": credentials()}), now=rig.clock.now, timeout=0.1)
        first = asyncio.create_task(patient.change(rig.project, FLOW_ID, Verb.STOP))
        await rig.live.until(lambda live: len(live.calls) == 1)
        failed(await hurried.change(rig.project, FLOW_ID, Verb.STOP), Fault.NEVER_SENT)
        gate.set()
        assert isinstance(await first, call_outcome.Accepted)
    assert len(rig.live.calls) == 1


class _Searches(importlib.abc.MetaPathFinder):
    """Notes which modules are searched for, and finds none."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        self.names.append(fullname)


async def test_a_call_searches_for_no_module(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.cloud.flow(rig.project, FLOW_ID)
    searches = _Searches()
    monkeypatch.setattr(sys, "meta_path", [searches, *sys.meta_path])
    await rig.cloud.flow(rig.project, FLOW_ID)
    await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP)
    assert searches.names == []
