"""How strict the Live stand-in is about signatures, limits and states, and what its faults do."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from bot.cloud import auth
from bot.playground.live import errors as live_errors
from bot.playground.live import server as live_server
from bot.playground.live.errors import Refusal, Trouble
from bot.settings.credentials import AccessKey

P = "0123456789abcdef0123456789abcdef"
F = "ec897482-d24b-4d64-aa39-407980902b1d"
NOON = 1_735_787_045.0
STOP = f"/v1/{P}/flows/stop?flow_id={F}"
START = f"/v1/{P}/flows/start?flow_id={F}"
DETAIL = f"/v1/{P}/flows/detail?flow_id={F}"


class TurnedClock:
    """A clock that only the test advances; a sleep advances it too."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rig:
    """A stand-in with one flow, and a plain HTTP client that signs on request and can tamper."""

    live: live_server.LiveStandIn
    clock: TurnedClock
    http: httpx.AsyncClient

    def request(
        self,
        method: str,
        target: str,
        *,
        ak: str = live_server.AK,
        sk: str = live_server.SK,
        token: str | None = None,
        project: str = P,
        skew: float = 0.0,
        **extra: Any,
    ) -> httpx.Request:
        held = AccessKey(ak=SecretStr(ak), sk=SecretStr(sk), security_token=SecretStr(token) if token else None)
        signer = auth.KeySigner(held, project_id=project, now=lambda: self.clock.time + skew)
        return next(signer.sync_auth_flow(httpx.Request(method, self.live.endpoint + target, **extra)))

    async def send(self, request: httpx.Request) -> httpx.Response:
        return await self.http.send(request)

    async def call(self, method: str, target: str, **extra: Any) -> httpx.Response:
        return await self.send(self.request(method, target, **extra))

    def status(self) -> str:
        return self.live.flows[P, F].status


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    clock = TurnedClock()
    async with live_server.LiveStandIn(clock=clock) as live, httpx.AsyncClient(trust_env=False) as http:
        live.add_flow(P, F, "main-feed")
        yield Rig(live=live, clock=clock, http=http)


def refused(response: httpx.Response, status: int, code: str, words: str = "") -> None:
    body = response.json()
    assert (response.status_code, body["error_code"]) == (status, code)
    assert words in body["error_msg"]
    assert response.headers["X-Request-Id"].startswith("live-")


# Signatures


async def test_a_good_signature_is_let_in(rig: Rig) -> None:
    response = await rig.call("PUT", STOP)
    assert (response.status_code, response.json()) == (200, {"status": "STANDBY", "flow_id": F})


async def test_a_request_without_authorization_is_refused(rig: Rig) -> None:
    response = await rig.http.put(rig.live.endpoint + STOP)
    refused(response, 401, "APIGW.0301", "x-auth-token not found")
    assert response.json()["request_id"] == response.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "value",
    [
        "Bearer x",
        f"SDK-HMAC-SHA256 Access={live_server.AK},SignedHeaders=host;x-sdk-date,Signature={'0' * 64}",
        f"SDK-HMAC-SHA256 Access={live_server.AK}, SignedHeaders=x-sdk-date;host, Signature={'0' * 64}",
        f"SDK-HMAC-SHA256 Access={live_server.AK}, SignedHeaders=host;host;x-sdk-date, Signature={'0' * 64}",
        f"SDK-HMAC-SHA256 Access={live_server.AK}, SignedHeaders=host;x-sdk-date, Signature={'0' * 63}",
    ],
)
async def test_a_malformed_authorization_is_refused(rig: Rig, value: str) -> None:
    request = rig.request("PUT", STOP)
    request.headers["Authorization"] = value
    refused(await rig.send(request), 401, "APIGW.0301")
    assert rig.status() == "ACTIVE"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", START),
        ("GET", STOP),
        ("PUT", STOP + "&x=1"),
        ("PUT", STOP.replace("ec89", "ec88")),
        ("PUT", STOP.replace(P, "f" * 32)),
    ],
)
async def test_what_was_tampered_with_after_signing_is_refused(rig: Rig, method: str, target: str) -> None:
    signed = rig.request("PUT", STOP)
    tampered = httpx.Request(method, rig.live.endpoint + target, headers=signed.headers)
    refused(await rig.send(tampered), 401, "APIGW.0301", f"canonicalRequest:{method}|/v1/")
    assert rig.status() == "ACTIVE"


@pytest.mark.parametrize("name", ["X-Sdk-Date", "X-Project-Id", "Host", "Content-Type"])
async def test_a_signed_header_that_was_changed_is_refused(rig: Rig, name: str) -> None:
    request = rig.request("PUT", STOP, headers={"Content-Type": "application/json"})
    request.headers[name] = "20250102T030406Z" if name == "X-Sdk-Date" else "other"
    refused(await rig.send(request), 401, "APIGW.0301", "verify aksk signature fail")


@pytest.mark.parametrize("name", ["X-Project-Id", "Content-Type"])
async def test_a_signed_header_that_is_missing_is_refused(rig: Rig, name: str) -> None:
    request = rig.request("PUT", STOP, headers={"Content-Type": "application/json"})
    del request.headers[name]
    refused(await rig.send(request), 401, "APIGW.0301", "signed headers are missing")


async def test_a_signature_that_leaves_the_host_out_is_refused(rig: Rig) -> None:
    request = rig.request("PUT", STOP)
    signed = {"X-Sdk-Date": request.headers["X-Sdk-Date"]}
    canonical = auth.canonical_request(method="PUT", target=STOP, headers=signed, body=b"")
    signature = auth.sign(canonical, date=signed["X-Sdk-Date"], sk=live_server.SK)
    request.headers["Authorization"] = auth.authorization(ak=live_server.AK, signed_headers=signed, signature=signature)
    refused(await rig.send(request), 401, "APIGW.0301", "signed headers are missing")


async def test_signed_headers_out_of_order_are_refused_however_well_signed(rig: Rig) -> None:
    request = rig.request("PUT", STOP)
    host, date = request.headers["Host"], request.headers["X-Sdk-Date"]
    canonical = auth.canonical_request(
        method="PUT", target=STOP, headers={"Host": host, "X-Sdk-Date": date}, body=b""
    ).replace(
        f"host:{host}\nx-sdk-date:{date}\n\nhost;x-sdk-date", f"x-sdk-date:{date}\nhost:{host}\n\nx-sdk-date;host"
    )
    signature = auth.sign(canonical, date=date, sk=live_server.SK)
    request.headers["Authorization"] = (
        f"SDK-HMAC-SHA256 Access={live_server.AK}, SignedHeaders=x-sdk-date;host, Signature={signature}"
    )
    refused(await rig.send(request), 401, "APIGW.0301")


async def test_a_date_that_is_missing_or_malformed_is_refused(rig: Rig) -> None:
    for date in (None, "2025-01-02T03:04:05Z"):
        request = rig.request("PUT", STOP)
        del request.headers["X-Sdk-Date"]
        if date:
            request.headers["X-Sdk-Date"] = date
        refused(await rig.send(request), 401, "APIGW.0301", "x-sdk-date")


async def test_a_body_that_was_added_after_signing_is_refused(rig: Rig) -> None:
    signed = rig.request("PUT", STOP)
    del signed.headers["Content-Length"]
    refused(await rig.send(httpx.Request("PUT", signed.url, headers=signed.headers, content=b"{}")), 401, "APIGW.0301")


async def test_a_plus_for_a_space_is_not_what_was_signed(rig: Rig) -> None:
    rig.live.add_flow(P, "a b", "odd")
    signed = rig.request("PUT", f"/v1/{P}/flows/stop?flow_id=a+b")
    refused(await rig.send(signed), 401, "APIGW.0301", "flow_id=a%20b")
    assert (await rig.call("PUT", f"/v1/{P}/flows/stop?flow_id=a%20b")).status_code == 200


@pytest.mark.parametrize("skew", [-901, 901])
async def test_a_date_more_than_fifteen_minutes_off_is_refused_with_both_times(rig: Rig, skew: float) -> None:
    response = await rig.call("PUT", STOP, skew=skew)
    refused(response, 401, "APIGW.0301", "signature expired, signature time:")
    assert "server time:20250102T030405Z" in response.json()["error_msg"]


@pytest.mark.parametrize("skew", [-900, 900])
async def test_fifteen_minutes_off_is_still_good(rig: Rig, skew: float) -> None:
    assert (await rig.call("PUT", STOP, skew=skew)).status_code == 200


async def test_an_unknown_key_is_refused_by_name(rig: Rig) -> None:
    response = await rig.call("PUT", STOP, ak="AKEXAMPLEUNKNOWN0000")
    refused(response, 401, "APIGW.0301", "ak:AKEXAMPLEUNKNOWN0000,err:ak not exist")


async def test_a_temporary_key_needs_its_own_token(rig: Rig) -> None:
    rig.live.add_key(ak="AKEXAMPLETEMPORARY00", sk=live_server.SK, security_token="TOKENEXAMPLE")
    for token, words in ((None, "signed headers are missing"), ("TOKENOTHER", "decrypt token fail")):
        response = await rig.call("PUT", STOP, ak="AKEXAMPLETEMPORARY00", token=token)
        refused(response, 401, "APIGW.0301", words)
    assert (await rig.call("PUT", STOP, ak="AKEXAMPLETEMPORARY00", token="TOKENEXAMPLE")).status_code == 200


async def test_a_key_that_is_not_temporary_takes_no_token(rig: Rig) -> None:
    refused(await rig.call("PUT", STOP, token="TOKENEXAMPLE"), 401, "APIGW.0301", "decrypt token fail")


async def test_a_project_header_that_is_not_the_paths_is_refused(rig: Rig) -> None:
    refused(await rig.call("PUT", STOP, project="f" * 32), 401, "LIVE.100011015", "Project ID verification failed.")
    assert rig.status() == "ACTIVE"


async def test_a_key_of_one_project_neither_reads_nor_changes_another(rig: Rig) -> None:
    other = "f" * 32
    rig.live.add_flow(other, F, "other-feed")
    rig.live.add_key(ak="AKEXAMPLEOTHER000000", sk="SKEXAMPLEOTHER", projects=[other])
    own = {"ak": "AKEXAMPLEOTHER000000", "sk": "SKEXAMPLEOTHER"}

    for method, target in (("GET", DETAIL), ("GET", f"/v1/{P}/flows"), ("PUT", STOP)):
        refused(await rig.call(method, target, **own), 401, "LIVE.100011015", "Project ID verification failed.")
        assert (await rig.call(method, target.replace(P, other), project=other, **own)).status_code == 200
    assert rig.status() == "ACTIVE"


# Tokens


def question(**changed: Any) -> dict[str, Any]:
    """Return the documented body; `changed` replaces parts of the user, or the `scope`."""
    user = {
        "name": live_server.IAM_USER,
        "password": live_server.IAM_PASSWORD,
        "domain": {"name": live_server.IAM_DOMAIN},
    }
    scope = changed.pop("scope", {"project": {"id": P}})
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": user | changed}}, "scope": scope}}


async def ask(
    rig: Rig,
    *,
    target: str = "/v3/auth/tokens?nocatalog=true",
    kind: str = "application/json;charset=utf8",
    body: object = None,
    method: str = "POST",
    **changed: Any,
) -> httpx.Response:
    content = json.dumps(question(**changed) if body is None else body).encode()
    headers = {"Content-Type": kind} if kind else {}
    return await rig.http.request(method, rig.live.endpoint + target, content=content, headers=headers)


async def show(rig: Rig, token: str, *, method: str = "GET", target: str = DETAIL, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await rig.http.request(method, rig.live.endpoint + target, headers={"X-Auth-Token": token, **named})


def refused_by_iam(response: httpx.Response, status: int, words: str) -> None:
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, status)
    assert words in error["message"]
    assert response.headers["X-IAM-Trace-Id"].startswith("iam-")
    assert "X-Subject-Token" not in response.headers


async def test_a_token_is_given_in_a_header_with_its_end_in_the_body(rig: Rig) -> None:
    response = await ask(rig)
    assert response.status_code == 201
    assert rig.live.iam.tokens == (response.headers["X-Subject-Token"],)
    assert len(response.headers["X-Subject-Token"]) > 1000
    told = response.json()["token"]
    assert (told["issued_at"], told["expires_at"]) == ("2025-01-02T03:04:05.000000Z", "2025-01-03T03:04:05.000000Z")
    assert response.headers["X-Subject-Token"] not in response.text
    assert live_server.IAM_PASSWORD not in response.text


async def test_a_token_stands_in_for_a_signature(rig: Rig) -> None:
    token = (await ask(rig)).headers["X-Subject-Token"]
    response = await show(rig, token, method="PUT", target=STOP)
    assert (response.status_code, response.json()) == (200, {"status": "STANDBY", "flow_id": F})
    assert (await show(rig, token, X_Project_Id=P)).status_code == 200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": ""}, "Content-Type"),
        ({"kind": "text/plain"}, "Content-Type"),
        ({"target": "/v3/auth/tokens"}, "nocatalog"),
        ({"target": "/v3/auth/tokens?nocatalog=false"}, "nocatalog"),
        ({"body": []}, "body"),
        ({"body": {"auth": {}}}, "body"),
        ({"body": {**question(), "more": 1}}, "body"),
        ({"scope": {}}, "body"),
        ({"scope": {"project": {"name": "ap-southeast-3"}}}, "body"),
        ({"scope": {"domain": {"id": P}}}, "body"),
        ({"scope": {"project": {"id": P, "name": "x"}}}, "body"),
        ({"scope": {"project": {"id": ""}}}, "body"),
        ({"domain": "account"}, "body"),
        ({"password": 7}, "body"),
        ({"email": "x"}, "body"),
    ],
)
async def test_what_is_not_asked_to_the_letter_is_refused(rig: Rig, change: dict[str, Any], words: str) -> None:
    refused_by_iam(await ask(rig, **change), 400, words)
    assert rig.live.iam.tokens == ()


async def test_iam_takes_no_other_method_and_no_text_that_is_no_json(rig: Rig) -> None:
    refused_by_iam(await ask(rig, method="PUT"), 405, "not allowed")
    headers = {"Content-Type": "application/json"}
    url = rig.live.endpoint + "/v3/auth/tokens?nocatalog=true"
    refused_by_iam(await rig.http.post(url, content=b"{", headers=headers), 400, "body")


@pytest.mark.parametrize("change", [{"password": "other"}, {"name": "other"}, {"domain": {"name": "other"}}])
async def test_who_is_not_known_by_this_password_in_this_account_gets_none(rig: Rig, change: dict[str, Any]) -> None:
    refused_by_iam(await ask(rig, **change), 401, "The username or password is wrong.")
    assert rig.live.iam.tokens == ()


async def test_five_wrong_passwords_in_a_row_lock_the_user_for_a_while(rig: Rig) -> None:
    for _ in range(4):
        await ask(rig, password="wrong")
    assert (await ask(rig)).status_code == 201
    for _ in range(5):
        refused_by_iam(await ask(rig, password="wrong"), 401, "wrong")
    refused_by_iam(await ask(rig), 401, "locked")
    rig.clock.time += 15 * 60
    assert (await ask(rig)).status_code == 201


async def test_a_token_ends_by_the_clock(rig: Rig) -> None:
    rig.live.iam.life = 3600.0
    token = (await ask(rig)).headers["X-Subject-Token"]
    rig.clock.time += 3599
    assert (await show(rig, token)).status_code == 200
    rig.clock.time += 1
    refused(await show(rig, token), 401, "APIGW.0301", "token expires, expires_at: 2025-01-02T04:04:05")


async def test_a_token_that_was_revoked_must_be_updated_and_a_new_one_is_good(rig: Rig) -> None:
    first = (await ask(rig)).headers["X-Subject-Token"]
    rig.live.revoke_tokens()
    refused(await show(rig, first), 401, "APIGW.0307", "The token must be updated")
    second = (await ask(rig)).headers["X-Subject-Token"]
    assert (await show(rig, second)).status_code == 200


async def test_a_new_token_does_not_end_the_old_one_but_a_new_password_does(rig: Rig) -> None:
    first = (await ask(rig)).headers["X-Subject-Token"]
    await ask(rig)
    assert (await show(rig, first)).status_code == 200
    rig.live.add_user(live_server.IAM_USER, "another", live_server.IAM_DOMAIN)
    refused(await show(rig, first), 401, "APIGW.0307")
    refused_by_iam(await ask(rig), 401, "wrong")
    assert (await ask(rig, password="another")).status_code == 201


async def test_a_text_that_is_no_token_cannot_be_decrypted(rig: Rig) -> None:
    refused(await show(rig, "MIIT"), 401, "APIGW.0301", "decrypt token fail")


async def test_a_token_is_good_for_its_project_alone(rig: Rig) -> None:
    token = (await ask(rig)).headers["X-Subject-Token"]
    refused(await show(rig, token, target=DETAIL.replace(P, "f" * 32)), 401, "LIVE.100011015")
    refused(await show(rig, token, X_Project_Id="f" * 32), 401, "LIVE.100011015")


async def test_who_signs_is_judged_by_the_signature_whatever_token_comes_with_it(rig: Rig) -> None:
    token = (await ask(rig)).headers["X-Subject-Token"]
    assert (await rig.call("GET", DETAIL, headers={"X-Auth-Token": "none"})).status_code == 200
    refused(await rig.call("GET", DETAIL, sk="wrong", headers={"X-Auth-Token": token}), 401, "APIGW.0301", "verify")


async def test_rights_and_limits_hold_for_tokens_too() -> None:
    clock = TurnedClock()
    async with (
        live_server.LiveStandIn(clock=clock, limit_per_minute=2) as live,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        rig = Rig(live=live, clock=clock, http=http)
        live.add_flow(P, F, "main-feed")
        live.deny("live:ott:updateFlowStatusStop")
        token = (await ask(rig)).headers["X-Subject-Token"]
        refused(await show(rig, token, method="PUT", target=STOP), 401, "LIVE.100011003")
        assert (await show(rig, token)).status_code == 200
        refused(await show(rig, token), 429, "APIGW.0308")


async def test_iam_has_a_journal_and_faults_of_its_own(rig: Rig) -> None:
    rig.live.faults.add(Trouble(reply=live_errors.failing(500, "live")))
    rig.live.iam.faults.add(Trouble(reply=live_errors.from_iam(503, "busy", "Service Unavailable")))
    rig.live.iam.faults.add(Trouble(drop=True))
    rig.live.iam.faults.add(Trouble(hold=30.0))
    refused_by_iam(await ask(rig), 503, "busy")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await ask(rig)
    assert (await ask(rig)).status_code == 201
    assert [(call.at - NOON, call.status) for call in rig.live.iam.calls] == [(0, 503), (0, None), (0, 201)]
    assert rig.clock.time == NOON + 30
    assert rig.live.calls == ()


# The lock


async def fail(rig: Rig, times: int) -> None:
    for _ in range(times):
        refused(await rig.call("PUT", STOP, sk="SKEXAMPLEWRONG"), 401, "APIGW.0301", "verify aksk signature fail")


async def test_five_failures_in_a_row_lock_the_key_for_five_minutes(rig: Rig) -> None:
    await fail(rig, 5)
    rig.clock.time += 299
    refused(await rig.call("PUT", STOP), 401, "APIGW.0301", "AK access failed to reach the limit,forbidden")
    assert rig.status() == "ACTIVE"
    rig.clock.time += 1
    assert (await rig.call("PUT", STOP)).status_code == 200


async def test_a_success_in_between_starts_the_count_again(rig: Rig) -> None:
    await fail(rig, 4)
    assert (await rig.call("GET", DETAIL)).status_code == 200
    await fail(rig, 4)
    assert (await rig.call("GET", DETAIL)).status_code == 200


async def test_after_the_lock_the_count_starts_again(rig: Rig) -> None:
    await fail(rig, 5)
    rig.clock.time += 300
    await fail(rig, 4)
    assert (await rig.call("GET", DETAIL)).status_code == 200


async def test_the_lock_of_one_key_leaves_others_alone(rig: Rig) -> None:
    rig.live.add_key(ak="AKEXAMPLEOTHER000000", sk="SKEXAMPLEOTHER")
    await fail(rig, 5)
    assert (await rig.call("PUT", STOP, ak="AKEXAMPLEOTHER000000", sk="SKEXAMPLEOTHER")).status_code == 200


# Endpoints and states


async def test_a_stop_in_standby_is_refused_with_the_generic_code(rig: Rig) -> None:
    await rig.call("PUT", STOP)
    refused(await rig.call("PUT", STOP), 400, "LIVE.100011001", "flow task is in standby status")


async def test_a_flow_can_be_started_again_and_not_twice(rig: Rig) -> None:
    await rig.call("PUT", STOP)
    assert (await rig.call("PUT", START)).json() == {"status": "ACTIVE", "flow_id": F}
    refused(await rig.call("PUT", START), 400, "LIVE.100011001", "active")


@pytest.mark.parametrize(
    ("variant", "status", "code"),
    [("404", 404, "LIVE.103011019"), ("400", 400, "LIVE.103011019"), ("generic", 400, "LIVE.100011001")],
)
async def test_an_unknown_flow_is_refused_as_chosen(
    rig: Rig, variant: live_server.UnknownFlow, status: int, code: str
) -> None:
    rig.live.unknown_flow = variant
    refused(await rig.call("PUT", STOP.replace("ec89", "ec88")), status, code)


async def test_flows_of_another_project_are_not_there(rig: Rig) -> None:
    target = STOP.replace(P, "f" * 32)
    refused(await rig.call("PUT", target, project="f" * 32), 404, "LIVE.103011019")


async def test_detail_is_flat_and_carries_a_passphrase_as_the_real_one_does(rig: Rig) -> None:
    body = (await rig.call("GET", DETAIL)).json()
    assert (body["name"], body["status"], body["region"], body["flow_id"]) == (
        "main-feed",
        "ACTIVE",
        "ap-southeast-3",
        F,
    )
    assert body["sources"][0]["decryption"]["passphrase"] == "not-for-anyone"
    assert body["outputs"] == [{"name": "out", "type": "srt-listener"}]


@pytest.mark.parametrize(
    ("query", "first", "count"),
    [("", 0, 10), ("?limit=100", 0, 25), ("?limit=7&offset=20", 20, 5), ("?offset=25", 0, 0)],
)
async def test_lists_are_paged(rig: Rig, query: str, first: int, count: int) -> None:
    for number in range(24):
        rig.live.add_flow(P, f"flow-{number}", f"name-{number}")
    body = (await rig.call("GET", f"/v1/{P}/flows{query}")).json()
    assert (body["total"], len(body["flows"])) == (25, count)
    if count:
        assert body["flows"][0]["flow_id"] == ([F] + [f"flow-{number}" for number in range(24)])[first]
        assert set(body["flows"][0]) == {"name", "region", "flow_id", "status", "description", "protocol"}


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=ten", "offset=-1"])
async def test_limits_out_of_range_are_refused(rig: Rig, query: str) -> None:
    refused(await rig.call("GET", f"/v1/{P}/flows?{query}"), 400, "LIVE.100011001")


@pytest.mark.parametrize(
    "target", ["/", "/v1", f"/v1/{P}", f"/v1/{P}/", f"/v2/{P}/flows", f"/v1/{P}/flows/halt", f"{STOP.split('?')[0]}/"]
)
async def test_an_unknown_path_is_no_api(rig: Rig, target: str) -> None:
    refused(await rig.call("PUT", target), 404, "APIGW.0101")


@pytest.mark.parametrize(("method", "target"), [("GET", STOP), ("POST", STOP), ("PUT", DETAIL), ("DELETE", STOP)])
async def test_a_known_path_takes_no_other_method(rig: Rig, method: str, target: str) -> None:
    refused(await rig.call(method, target), 400, "LIVE.100011011")
    assert rig.status() == "ACTIVE"


async def test_a_right_that_was_taken_is_refused_until_it_is_given_back(rig: Rig) -> None:
    rig.live.deny("live:ott:updateFlowStatusStop")
    refused(await rig.call("PUT", STOP), 401, "LIVE.100011003")
    rig.live.deny("live:ott:updateFlowStatusStop", status=403)
    response = await rig.call("PUT", STOP)
    refused(response, 403, "PAP5.0001", "no identity-based policy allows the live:ott:updateFlowStatusStop action")
    assert "encoded_authorization_message" in response.json()
    assert (await rig.call("GET", DETAIL)).status_code == 200
    rig.live.allow("live:ott:updateFlowStatusStop")
    assert (await rig.call("PUT", STOP)).status_code == 200


async def test_a_denied_right_does_not_count_towards_the_lock(rig: Rig) -> None:
    rig.live.deny("live:ott:updateFlowStatusStop")
    for _ in range(6):
        refused(await rig.call("PUT", STOP), 401, "LIVE.100011003")


async def test_throttles_by_the_clock_where_it_is_switched_on() -> None:
    clock = TurnedClock()
    async with (
        live_server.LiveStandIn(clock=clock, limit_per_minute=3) as live,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        rig = Rig(live=live, clock=clock, http=http)
        live.add_flow(P, F, "main-feed")
        for _ in range(3):
            assert (await rig.call("GET", DETAIL)).status_code == 200
        refused(await rig.call("PUT", STOP), 429, "APIGW.0308", "policy user over ratelimit,limit:3,time:1 minute")
        assert rig.status() == "ACTIVE"
        clock.time += 60
        assert (await rig.call("PUT", STOP)).status_code == 200


# The journal


async def test_the_journal_tells_what_arrived(rig: Rig) -> None:
    await rig.call("PUT", STOP)
    await rig.http.get(rig.live.endpoint + DETAIL)
    stop, detail = rig.live.calls
    assert (stop.method, stop.path, stop.query, stop.status) == ("PUT", f"/v1/{P}/flows/stop", {"flow_id": F}, 200)
    assert stop.at == NOON
    assert stop.identity is not None
    assert stop.identity.ak == live_server.AK
    assert (detail.status, detail.identity) == (401, None)
    assert rig.live.calls_of("PUT", "/flows/stop") == (stop,)
    assert rig.live.calls_of("GET", "/flows") == ()


async def test_until_returns_at_the_change_that_fits(rig: Rig) -> None:
    waiting = asyncio.create_task(rig.live.until(lambda live: live.flows[P, F].status == "STANDBY"))
    await rig.call("GET", DETAIL)
    assert not waiting.done()
    rig.live.set_status(P, F, "STANDBY")
    await waiting


async def test_until_gives_up_with_the_journal(rig: Rig) -> None:
    await rig.call("GET", DETAIL)
    with pytest.raises(TimeoutError, match=rf"GET /v1/{P}/flows/detail -> 200"):
        await rig.live.until(lambda live: False, timeout=0.01)


# Faults


@pytest.mark.parametrize("effect", [False, True])
async def test_a_reply_can_be_replaced_before_or_after_the_effect(rig: Rig, effect: bool) -> None:
    rig.live.faults.add(Trouble(reply=live_errors.throttled(), effect=effect))
    refused(await rig.call("PUT", STOP), 429, "APIGW.0308")
    assert rig.status() == ("STANDBY" if effect else "ACTIVE")


@pytest.mark.parametrize(
    ("shape", "text"),
    [("live", "LIVE.100011005"), ("gateway", "APIGW.0201"), ("html", "<html>"), ("empty", "")],
)
async def test_a_5xx_has_the_shape_that_was_chosen(rig: Rig, shape: live_errors.Shape, text: str) -> None:
    rig.live.faults.add(Trouble(reply=live_errors.failing(502, shape)))
    response = await rig.call("PUT", STOP)
    assert response.status_code == 502
    assert text in response.text
    assert bool(response.text) == bool(text)


async def test_a_fault_meets_the_calls_that_it_is_for_as_often_as_it_says(rig: Rig) -> None:
    rig.live.faults.add(Trouble(reply=live_errors.failing(503, "empty")), times=2, method="PUT", path="/flows/stop")
    targets = (("GET", DETAIL), ("PUT", STOP), ("PUT", STOP), ("PUT", STOP))
    assert [(await rig.call(*target)).status_code for target in targets] == [200, 503, 503, 200]


async def test_a_fault_without_a_count_lasts_until_it_is_cleared(rig: Rig) -> None:
    rig.live.faults.add(Trouble(reply=live_errors.failing(503, "empty")), times=None)
    assert [(await rig.call("GET", DETAIL)).status_code for _ in range(3)] == [503, 503, 503]
    rig.live.faults.clear()
    assert (await rig.call("GET", DETAIL)).status_code == 200


async def test_faults_come_in_the_order_in_which_they_were_switched_on(rig: Rig) -> None:
    for status in (500, 502):
        rig.live.faults.add(Trouble(reply=live_errors.failing(status, "empty")))
    assert [(await rig.call("GET", DETAIL)).status_code for _ in range(3)] == [500, 502, 200]


async def test_a_fault_does_not_let_the_unsigned_in(rig: Rig) -> None:
    rig.live.faults.add(Trouble(status="ACTIVE"))
    refused(await rig.http.put(rig.live.endpoint + STOP), 401, "APIGW.0301")


@pytest.mark.parametrize("effect", [False, True])
async def test_a_connection_can_be_cut_before_or_after_the_effect(rig: Rig, effect: bool) -> None:
    rig.live.faults.add(Trouble(drop=True, effect=effect))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await rig.call("PUT", STOP)
    assert rig.status() == ("STANDBY" if effect else "ACTIVE")
    assert [call.status for call in rig.live.calls] == [None]


async def test_a_200_can_say_active_whether_it_stopped_or_not(rig: Rig) -> None:
    rig.live.faults.add(Trouble(status="ACTIVE"))
    assert (await rig.call("PUT", STOP)).json()["status"] == "ACTIVE"
    assert rig.status() == "ACTIVE"
    rig.live.faults.add(Trouble(status="ACTIVE", effect=True))
    assert (await rig.call("PUT", STOP)).json()["status"] == "ACTIVE"
    assert rig.status() == "STANDBY"


async def test_a_call_can_be_held_by_the_clock_or_by_an_event(rig: Rig) -> None:
    rig.live.faults.add(Trouble(hold=30.0, effect=True))
    await rig.call("GET", DETAIL)
    assert rig.clock.time == NOON + 30
    gate = asyncio.Event()
    rig.live.faults.add(Trouble(hold=gate, effect=True))
    held = asyncio.create_task(rig.call("PUT", STOP))
    await rig.live.until(lambda live: len(live.calls) == 2)
    assert rig.status() == "ACTIVE"
    gate.set()
    assert (await held).status_code == 200


async def test_a_held_call_does_not_keep_the_stand_in_from_leaving() -> None:
    clock = TurnedClock()
    async with httpx.AsyncClient(trust_env=False) as http:
        async with live_server.LiveStandIn(clock=clock) as live:
            rig = Rig(live=live, clock=clock, http=http)
            live.add_flow(P, F, "main-feed")
            live.faults.add(Trouble(hold=asyncio.Event(), effect=True))
            held = asyncio.create_task(rig.call("PUT", STOP))
            await live.until(lambda live: len(live.calls) == 1)
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await held
    assert rig.status() == "ACTIVE"


async def test_it_refuses_connections_while_it_is_down_and_comes_back_at_the_same_place(rig: Rig) -> None:
    endpoint = rig.live.endpoint
    await rig.call("GET", DETAIL)
    await rig.live.down()
    await rig.live.down()
    with pytest.raises(httpx.ConnectError):
        await rig.call("GET", DETAIL)
    await rig.live.up()
    await rig.live.up()
    assert rig.live.endpoint == endpoint
    assert (await rig.call("GET", DETAIL)).status_code == 200


async def test_any_reply_can_be_given(rig: Rig) -> None:
    rig.live.faults.add(Trouble(reply=Refusal(status=503, body={"a": 1}, headers={"Retry-After": "7"})))
    response = await rig.call("GET", DETAIL)
    assert (response.status_code, json.loads(response.content)) == (503, {"a": 1})
    assert response.headers["Retry-After"] == "7"
