"""Token authentication against the Live stand-in and its IAM, over real HTTP."""

import asyncio
import dataclasses
import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from bot.cloud import client, tokens
from bot.cloud.credentials import fixed
from bot.commands.verbs import Verb
from bot.lifecycle import call_outcome, records
from bot.lifecycle.cloud_failure import CloudFailure, Fault
from bot.playground.live import errors as live_errors
from bot.playground.live import server as live_server
from bot.playground.live.errors import Refusal, Trouble
from bot.policy.model import Project
from bot.settings import log
from bot.settings.credentials import AccessKey, Credentials
from bot.usecases import ports

from .conftest import FLOW_ID, NOON, PROJECT_ID, Rig, user
from .test_client import CloudContract, at, failed, free_port, page, peer

DAY = 24 * 3600.0


@pytest.fixture
def cloud(rig: Rig) -> client.LiveClient:
    """Return a client with an IAM user instead of a key."""
    return rig.client(held=user(rig.live.endpoint))


def shown(rig: Rig) -> list[str | None]:
    """Return the token of each call to Live, by the order in which IAM issued them."""
    given = rig.live.iam.tokens
    seen = [call.arrived.header("x-auth-token") for call in rig.live.calls]
    return [token if token not in given else str(given.index(token) + 1) for token in seen]


def succeeded(outcome: object) -> None:
    assert isinstance(outcome, records.Flow | call_outcome.Accepted), outcome


def answered(status: int, body: Mapping[str, object] | str = "", **headers: str) -> Trouble:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Trouble(reply=Refusal(status=status, body=body, headers=named))


class TestWithTokens(CloudContract):
    """A client with tokens, held to the contract."""

    @pytest.fixture
    def world(self, rig: Rig, cloud: client.LiveClient) -> tuple[ports.Cloud, Project]:
        return cloud, rig.project


async def test_a_token_is_asked_for_as_the_vendor_documents(rig: Rig, cloud: client.LiveClient) -> None:
    succeeded(await cloud.change(rig.project, FLOW_ID, Verb.STOP))
    (asked,) = rig.live.iam.calls
    assert asked.status == 201
    assert (asked.arrived.method, asked.arrived.query) == ("POST", b"nocatalog=true")
    assert json.loads(asked.arrived.body)["auth"]["scope"] == {"project": {"id": PROJECT_ID}}


async def test_a_call_shows_its_token_and_signs_nothing(rig: Rig, cloud: client.LiveClient) -> None:
    succeeded(await cloud.change(rig.project, FLOW_ID, Verb.STOP))
    (call,) = rig.live.calls
    assert call.arrived.header("x-auth-token") == rig.live.iam.tokens[0]
    assert call.arrived.header("authorization") is None
    assert (call.arrived.body, call.arrived.header("content-type")) == (b"", None)


async def test_without_an_endpoint_tokens_come_from_the_projects_region(rig: Rig) -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    async with peer(proxy) as address:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("HTTPS_PROXY", address)
            patched.setenv("https_proxy", address)
            async with client.open_client() as http:
                held = dataclasses.replace(user(""), endpoint=None)
                regional = client.LiveClient(http, credentials=lambda: {"hk": held}, now=rig.clock.now)
                failed(await regional.change(rig.project, FLOW_ID, Verb.STOP), Fault.NEVER_SENT)
    assert asked == [b"CONNECT iam.ap-southeast-3.myhuaweicloud.com:443 HTTP/1.1\r\n"]


# How long a token lasts


async def test_one_token_serves_all_calls_until_it_is_renewed(rig: Rig, cloud: client.LiveClient) -> None:
    for hours in (0, 1, 12, 22.9):
        rig.clock.time = NOON + hours * 3600
        succeeded(await cloud.flow(rig.project, FLOW_ID))
    assert shown(rig) == ["1"] * 4
    assert len(rig.live.iam.calls) == 1


@pytest.mark.parametrize(
    ("life", "renewed"), [(DAY, 23 * 3600.0), (3600.0, 3000.0), (2 * DAY, 23 * 3600.0), (600.0, 300.0)]
)
async def test_a_token_is_renewed_beside_the_call_before_it_expires(
    rig: Rig, cloud: client.LiveClient, life: float, renewed: float
) -> None:
    rig.live.iam.life = life
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    rig.clock.time = NOON + renewed - 1
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    assert len(rig.live.iam.calls) == 1
    rig.clock.time = NOON + renewed
    hold = asyncio.Event()
    rig.live.iam.faults.add(Trouble(hold=hold))
    succeeded(await cloud.flow(rig.project, FLOW_ID))  # however long IAM takes
    hold.set()
    await rig.live.until(lambda live: len(live.iam.calls) == 2 and live.iam.calls[1].status == 201)
    for _ in range(50):  # IAM's reply is on its way
        succeeded(await cloud.flow(rig.project, FLOW_ID))
    assert shown(rig)[-1] == "2"
    assert len(rig.live.iam.calls) == 2


async def test_a_token_is_used_to_its_end_while_iam_is_away(rig: Rig, cloud: client.LiveClient) -> None:
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    rig.live.iam.faults.add(answered(503), times=None)
    rig.clock.time = NOON + DAY - 1
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    rig.clock.time = NOON + DAY
    failed(await cloud.flow(rig.project, FLOW_ID), Fault.NEVER_SENT)
    assert shown(rig) == ["1", "1"]


async def test_a_token_that_has_expired_is_not_shown(rig: Rig, cloud: client.LiveClient) -> None:
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    rig.clock.time = NOON + DAY
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    assert shown(rig) == ["1", "2"]


@pytest.mark.parametrize("told", [None, "soon", 7, "2025-01-02T03:04:05Z", "2025-01-02T03:04:05", "9999-99-99"])
async def test_a_token_without_a_usable_end_is_used_for_a_minute(
    rig: Rig, cloud: client.LiveClient, told: object
) -> None:
    succeeded(await rig.client(held=user(rig.live.endpoint)).flow(rig.project, FLOW_ID))  # one that Live accepts
    reply = answered(201, {"token": {"expires_at": told}}, X_Subject_Token=rig.live.iam.tokens[0])
    rig.live.iam.faults.add(reply, times=2)
    for seconds in (0, 29):
        rig.clock.time = NOON + seconds
        succeeded(await cloud.flow(rig.project, FLOW_ID))
    assert len(rig.live.iam.calls) == 2
    rig.clock.time = NOON + 60
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    assert len(rig.live.iam.calls) == 3


async def test_an_end_without_a_zone_is_in_utc(rig: Rig, cloud: client.LiveClient) -> None:
    succeeded(await rig.client(held=user(rig.live.endpoint)).flow(rig.project, FLOW_ID))
    body = {"token": {"expires_at": "2025-01-02T05:04:05.000000"}}
    rig.live.iam.faults.add(answered(201, body, X_Subject_Token=rig.live.iam.tokens[0]))
    for seconds in (0, 6599):
        rig.clock.time = NOON + seconds
        succeeded(await cloud.flow(rig.project, FLOW_ID))
    assert len(rig.live.iam.calls) == 2


# Many calls, several projects


async def test_many_calls_wait_for_one_token(rig: Rig, cloud: client.LiveClient) -> None:
    hold = asyncio.Event()
    rig.live.iam.faults.add(Trouble(hold=hold))
    calls = [asyncio.create_task(cloud.flow(rig.project, FLOW_ID)) for _ in range(15)]
    await rig.live.until(lambda live: len(live.iam.calls) == 1)
    hold.set()
    for outcome in await asyncio.gather(*calls):
        succeeded(outcome)
    assert len(rig.live.iam.calls) == 1


async def test_one_who_stops_waiting_does_not_take_the_token_from_others(rig: Rig, cloud: client.LiveClient) -> None:
    hold = asyncio.Event()
    rig.live.iam.faults.add(Trouble(hold=hold))
    first, second = (asyncio.create_task(cloud.flow(rig.project, FLOW_ID)) for _ in range(2))
    await rig.live.until(lambda live: len(live.iam.calls) == 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    hold.set()
    succeeded(await second)
    assert len(rig.live.iam.calls) == 1


async def test_each_project_has_a_token_of_its_own(rig: Rig) -> None:
    held = user(rig.live.endpoint)
    cloud, other = rig.client(held=held, sg=held), dataclasses.replace(rig.project, name="sg", project_id="f" * 32)
    rig.live.add_flow("f" * 32, FLOW_ID, "other-feed")
    for project in (rig.project, other, rig.project, other):
        succeeded(await cloud.flow(project, FLOW_ID))
    scopes = [json.loads(asked.arrived.body)["auth"]["scope"]["project"]["id"] for asked in rig.live.iam.calls]
    assert scopes == [PROJECT_ID, "f" * 32]
    assert shown(rig) == ["1", "2", "1", "2"]


# A token that is refused


REFUSALS = [
    pytest.param(live_errors.token_must_be_updated(), id="must be updated"),
    pytest.param(live_errors.not_authenticated("token expires, expires_at: 2025-01-02T03:00:00Z"), id="expires"),
    pytest.param(live_errors.not_authenticated("decrypt token fail"), id="decrypt"),
]


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_stop_whose_token_was_refused_is_sent_once_more_with_a_new_one(
    rig: Rig, cloud: client.LiveClient, refusal: Refusal
) -> None:
    rig.live.faults.add(Trouble(reply=refusal))
    accepted = await cloud.change(rig.project, FLOW_ID, Verb.STOP)
    assert isinstance(accepted, call_outcome.Accepted)
    assert (accepted.status, accepted.request_id) == ("STANDBY", "live-000002")
    assert shown(rig) == ["1", "2"]


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refused_new_token_is_not_replaced_again(rig: Rig, cloud: client.LiveClient, refusal: Refusal) -> None:
    rig.live.faults.add(Trouble(reply=refusal), times=None)
    outcome = failed(await cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.CREDENTIALS)
    assert (outcome.http_status, outcome.request_id) == (401, "live-000002")
    assert len(rig.live.calls_of("PUT", "/flows/stop")) == 2
    assert rig.status() == "ACTIVE"


async def test_tokens_that_the_cloud_ended_early_are_replaced(rig: Rig, cloud: client.LiveClient) -> None:
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    rig.live.revoke_tokens()
    succeeded(await cloud.change(rig.project, FLOW_ID, Verb.STOP))
    assert shown(rig) == ["1", "1", "2"]


async def test_many_calls_that_are_refused_at_once_fetch_one_token(rig: Rig, cloud: client.LiveClient) -> None:
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    rig.live.revoke_tokens()
    for outcome in await asyncio.gather(*(cloud.flow(rig.project, FLOW_ID) for _ in range(15))):
        succeeded(outcome)
    assert len(rig.live.iam.calls) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        live_errors.not_authenticated("Unauthorized"),
        live_errors.wrong_project(),
        live_errors.denied("live:ott:updateFlowStatusStop", 401),
        live_errors.denied("live:ott:updateFlowStatusStop", 403),
        live_errors.from_gateway(403, "APIGW.0307", "The token must be updated."),
        Refusal(status=401, body=""),
        live_errors.failing(503, "gateway"),
    ],
)
async def test_other_refusals_do_not_replace_the_token(rig: Rig, cloud: client.LiveClient, refusal: Refusal) -> None:
    rig.live.faults.add(Trouble(reply=refusal))
    assert isinstance(await cloud.change(rig.project, FLOW_ID, Verb.STOP), CloudFailure)
    assert (len(rig.live.calls), len(rig.live.iam.calls)) == (1, 1)


async def test_a_call_with_a_key_is_never_repeated(rig: Rig) -> None:
    for refusal in (live_errors.token_must_be_updated(), live_errors.not_authenticated("decrypt token fail")):
        rig.live.faults.add(Trouble(reply=refusal))
        failed(await rig.cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.CREDENTIALS)
    assert len(rig.live.calls) == 2


async def test_the_call_that_is_repeated_counts_twice(rig: Rig, cloud: client.LiveClient) -> None:
    for _ in range(39):
        succeeded(await cloud.flow(rig.project, FLOW_ID, purpose="read"))
    rig.live.revoke_tokens()
    failed(await cloud.flow(rig.project, FLOW_ID, purpose="read"), Fault.THROTTLED)
    assert len(rig.live.calls) == 40


async def test_when_no_new_token_is_to_be_had_the_refused_call_was_never_sent(
    rig: Rig, cloud: client.LiveClient
) -> None:
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    rig.live.revoke_tokens()
    rig.live.iam.faults.add(answered(503))
    failed(await cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.NEVER_SENT)
    assert rig.status() == "ACTIVE"


# IAM refuses, or does not answer


def iam_says(status: int, message: str) -> Trouble:
    return Trouble(reply=live_errors.from_iam(status, message, "Title"))


ANSWERS = [
    pytest.param(iam_says(400, "Bad"), Fault.CREDENTIALS, "IAM gave no token: Bad", id="400"),
    pytest.param(iam_says(401, "Wrong"), Fault.CREDENTIALS, "IAM gave no token: Wrong", id="401"),
    pytest.param(iam_says(403, "No"), Fault.DENIED, "IAM gave no token: No", id="403"),
    pytest.param(iam_says(404, "Gone"), Fault.CREDENTIALS, "IAM gave no token: Gone", id="404"),
    pytest.param(iam_says(500, "Oh"), Fault.NEVER_SENT, "IAM gave no token: Oh", id="500"),
    pytest.param(answered(503, "<b>busy</b>"), Fault.NEVER_SENT, "IAM gave no token: busy", id="503"),
    pytest.param(answered(307, Location="/x"), Fault.NEVER_SENT, "IAM gave no token", id="a redirect"),
    pytest.param(answered(200, "<b>hotel</b>"), Fault.NEVER_SENT, "IAM gave no token", id="a captive portal"),
    pytest.param(answered(201, {"token": {}}), Fault.NEVER_SENT, "IAM gave no token", id="201 without a header"),
    pytest.param(answered(201, X_Subject_Token="a b"), Fault.NEVER_SENT, "IAM gave no token", id="no token's letters"),
    pytest.param(Trouble(drop=True), Fault.NEVER_SENT, "IAM gave no token: RemoteProtocolError", id="hangs up"),
]


@pytest.mark.parametrize(("trouble", "fault", "message"), ANSWERS)
async def test_failures_of_iam_become_failures_of_the_call(
    rig: Rig, cloud: client.LiveClient, trouble: Trouble, fault: Fault, message: str
) -> None:
    rig.live.iam.faults.add(trouble)
    outcome = failed(await cloud.change(rig.project, FLOW_ID, Verb.STOP), fault)
    assert outcome.message.startswith(message)
    assert outcome.http_status == (trouble.reply.status if trouble.reply else None)
    assert outcome.request_id == ("iam-000001" if trouble.reply else None)
    assert rig.live.calls == ()


async def test_iam_may_ask_to_wait(rig: Rig, cloud: client.LiveClient) -> None:
    rig.live.iam.faults.add(answered(429, {"error": {"code": 429, "message": "slow"}}, Retry_After="7"))
    outcome = failed(await cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.THROTTLED)
    assert outcome.retry_after == 7.0


async def test_iam_that_is_not_there_means_never_sent(rig: Rig) -> None:
    nowhere = rig.client(held=user(f"http://127.0.0.1:{free_port()}"))
    outcome = failed(await nowhere.change(rig.project, FLOW_ID, Verb.STOP), Fault.NEVER_SENT)
    assert outcome.message.startswith("IAM gave no token: ConnectError")


async def test_waiting_for_a_token_is_part_of_the_try(rig: Rig) -> None:
    hold = asyncio.Event()
    rig.live.iam.faults.add(Trouble(hold=hold))
    cloud = rig.client(held=user(rig.live.endpoint), timeout=0.3)
    loop = asyncio.get_running_loop()
    began = loop.time()
    outcome = failed(await cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.NEVER_SENT)
    assert 0.25 < loop.time() - began < 2
    assert outcome.message == "IAM gave no token: no answer within 0.3 seconds"
    assert rig.live.calls == ()
    hold.set()


async def test_a_token_that_comes_late_leaves_the_call_what_is_left_of_the_try(rig: Rig) -> None:
    cloud = rig.client(held=user(rig.live.endpoint), timeout=0.6)
    loop, late, never = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    rig.live.iam.faults.add(Trouble(hold=late))
    rig.live.faults.add(Trouble(hold=never))
    began = loop.time()
    loop.call_later(0.4, late.set)
    failed(await cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.UNCERTAIN)  # it may have been carried out
    assert loop.time() - began < 0.85
    never.set()


async def test_a_refusal_that_comes_late_leaves_the_new_token_what_is_left_of_the_try(rig: Rig) -> None:
    cloud = rig.client(held=user(rig.live.endpoint), timeout=0.6)
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    loop, late, never = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    rig.live.faults.add(Trouble(hold=late, reply=live_errors.token_must_be_updated()))
    rig.live.iam.faults.add(Trouble(hold=never))
    began = loop.time()
    loop.call_later(0.4, late.set)
    failed(await cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.NEVER_SENT)  # Live has seen nothing
    assert loop.time() - began < 0.85
    never.set()


# A wrong password


async def test_a_wrong_password_is_told_once_and_not_tried_again_for_five_minutes(rig: Rig) -> None:
    wrong = rig.client(held=user(rig.live.endpoint, password="s3cr3t-but-wrong"))
    first = failed(await wrong.change(rig.project, FLOW_ID, Verb.STOP), Fault.CREDENTIALS)
    assert (first.http_status, first.message) == (401, "IAM gave no token: The username or password is wrong.")
    rig.clock.time += 100
    again = failed(await wrong.change(rig.project, FLOW_ID, Verb.STOP), Fault.CREDENTIALS)
    assert (again.http_status, again.retry_after) == (None, 200.0)
    assert again.message.startswith(first.message)
    assert len(rig.live.iam.calls) == 1
    rig.clock.time += 200
    assert failed(await wrong.change(rig.project, FLOW_ID, Verb.STOP), Fault.CREDENTIALS).http_status == 401
    assert len(rig.live.iam.calls) == 2


async def test_a_storm_of_calls_does_not_lock_the_user(rig: Rig) -> None:
    held = user(rig.live.endpoint, password="s3cr3t-but-wrong")
    names = [f"project-{number}" for number in range(8)]
    wrong = client.LiveClient(rig.http, credentials=fixed(dict.fromkeys(names, held)), now=rig.clock.now)
    projects = [dataclasses.replace(rig.project, name=name, project_id=name) for name in names]
    for outcome in await asyncio.gather(*(wrong.change(each, FLOW_ID, Verb.STOP) for each in projects * 3)):
        failed(outcome, Fault.CREDENTIALS)
    assert len(rig.live.iam.calls) == 1
    succeeded(await rig.client(held=user(rig.live.endpoint)).flow(rig.project, FLOW_ID))


async def test_another_password_is_tried_at_once(rig: Rig) -> None:
    held: dict[str, Credentials] = {"hk": user(rig.live.endpoint, password="s3cr3t-but-wrong")}
    cloud = client.LiveClient(rig.http, credentials=lambda: dict(held), now=rig.clock.now)
    failed(await cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.CREDENTIALS)
    held["hk"] = user(rig.live.endpoint)
    succeeded(await cloud.change(rig.project, FLOW_ID, Verb.STOP))


async def test_after_a_change_of_password_the_tokens_of_the_old_one_are_not_used(rig: Rig) -> None:
    held: dict[str, Credentials] = {"hk": user(rig.live.endpoint)}
    cloud = client.LiveClient(rig.http, credentials=lambda: dict(held), now=rig.clock.now)
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    rig.live.add_user(live_server.IAM_USER, "another", live_server.IAM_DOMAIN)
    held["hk"] = user(rig.live.endpoint, password="another")
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    assert shown(rig) == ["1", "2"]


async def test_from_a_user_to_a_key_and_back(rig: Rig) -> None:
    key = AccessKey(ak=SecretStr("AKEXAMPLEOTHER000000"), sk=SecretStr("SKEXAMPLEOTHER"))
    rig.live.add_key(ak="AKEXAMPLEOTHER000000", sk="SKEXAMPLEOTHER")
    held: dict[str, Credentials] = {"hk": user(rig.live.endpoint)}
    cloud = client.LiveClient(rig.http, credentials=lambda: dict(held), now=rig.clock.now)
    for each in (held["hk"], key, user(rig.live.endpoint)):
        held["hk"] = each
        succeeded(await cloud.flow(rig.project, FLOW_ID))
    assert shown(rig) == ["1", None, "1"]


# Secrets


async def test_tokens_and_passwords_are_cut_out_of_what_the_cloud_says(rig: Rig) -> None:
    held = user(rig.live.endpoint)
    cloud = rig.client(held=held)
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    rig.live.revoke_tokens()
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    for token in rig.live.iam.tokens:  # including the one just replaced
        rig.live.faults.add(Trouble(reply=live_errors.invalid(f"bad {token} and {live_server.IAM_PASSWORD}.")))
        outcome = failed(await cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.REJECTED)
        assert outcome.message == "bad [redacted] and [redacted]."
    rig.live.iam.faults.add(iam_says(400, f"{rig.live.iam.tokens[1]} {live_server.IAM_PASSWORD}!"))
    rig.clock.time += DAY
    outcome = failed(await cloud.change(rig.project, FLOW_ID, Verb.STOP), Fault.CREDENTIALS)
    assert outcome.message == "IAM gave no token: [redacted] [redacted]!"


async def test_a_key_that_was_just_replaced_is_still_cut_out(rig: Rig) -> None:
    first, second = (AccessKey(ak=SecretStr(f"AK-{n}-EXAMPLE"), sk=SecretStr(f"SK-{n}")) for n in (1, 2))
    for key in (first, second):
        rig.live.add_key(ak=key.ak.get_secret_value(), sk=key.sk.get_secret_value())
    held: dict[str, Credentials] = {"hk": first}
    cloud = client.LiveClient(rig.http, credentials=lambda: dict(held), now=rig.clock.now)
    hold = asyncio.Event()
    rig.live.faults.add(Trouble(hold=hold, reply=live_errors.invalid("AK-1-EXAMPLE is bad")))
    slow = asyncio.create_task(cloud.change(rig.project, FLOW_ID, Verb.STOP))
    await rig.live.until(lambda live: len(live.calls) == 1)
    held["hk"] = second
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    hold.set()
    assert failed(await slow, Fault.REJECTED).message == "[redacted] is bad"


async def test_nothing_prints_a_token_or_a_password(
    rig: Rig, cloud: client.LiveClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    succeeded(await cloud.flow(rig.project, FLOW_ID))
    rig.live.revoke_tokens()
    outcomes = [await cloud.change(rig.project, FLOW_ID, Verb.STOP)]
    rig.live.iam.faults.add(Trouble(drop=True), times=None)
    rig.live.revoke_tokens()
    outcomes.append(await cloud.change(rig.project, FLOW_ID, Verb.STOP))
    held: Any = cloud._tokens  # the cached values themselves
    texts = (repr(outcomes), repr(held._held), repr(held._former), repr(user("")), caplog.text)
    secrets = (*rig.live.iam.tokens, live_server.IAM_PASSWORD)
    assert [secret for secret in secrets for text in texts if secret in text] == []
    assert held.secrets()


def test_the_numbers_are_those_that_were_decided() -> None:
    assert (tokens.RENEW_BEFORE, tokens.RENEW_AFTER, tokens.SPARED) == (600.0, 82_800.0, 300.0)


async def test_an_endpoint_of_live_elsewhere_does_not_get_the_password(rig: Rig) -> None:
    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(65_536))

    heard: list[bytes] = []
    async with peer(hangs_up) as endpoint:
        outcome = await rig.client(held=user(rig.live.endpoint)).change(at(rig.project, endpoint), FLOW_ID, Verb.STOP)
    failed(outcome, Fault.UNCERTAIN)
    assert rig.live.iam.tokens[0].encode() in heard[0]
    assert b"password" not in heard[0]


async def test_lists_are_read_with_a_token_as_well(rig: Rig, cloud: client.LiveClient) -> None:
    rig.live.faults.add(page("a", "b", total=2))
    names = await cloud.flows(rig.project)
    assert isinstance(names, tuple)
    assert [name.flow_id for name in names] == ["a", "b"]


async def test_tokens_are_cut_out_of_the_log(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden: set[str] = set()
    monkeypatch.setattr(log, "hide_secrets", hidden.update)
    cloud = rig.client(held=user(rig.live.endpoint))
    succeeded(await cloud.flow(rig.project, FLOW_ID))

    assert hidden
    assert hidden == set(cloud._tokens.secrets())
