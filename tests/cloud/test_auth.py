"""Signatures, checked against fixed vectors and the vendor's own signer."""

import hashlib
import string
import warnings
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.cloud import auth
from bot.settings.credentials import AccessKey

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the vendor's package is older than our versions of Python
    from huaweicloudsdkcore.sdk_request import SdkRequest
    from huaweicloudsdkcore.signer.signer import Signer

AK = "AKEXAMPLE0000000000A"
SK = "SKEXAMPLE000000000000000000000000000000A"
DATE = "20250102T030405Z"
SECONDS = 1_735_787_045.0
HOST = "live.ap-southeast-1.myhuaweicloud.com"
P = "0123456789abcdef0123456789abcdef"
F = "ec897482-d24b-4d64-aa39-407980902b1d"
TOKEN = "SECURITYTOKENEXAMPLE"

PLAIN = {"Host": HOST, "X-Sdk-Date": DATE}
PROJECT = PLAIN | {"X-Project-Id": P}
JSON = PROJECT | {"Content-Type": "application/json"}
STOP = f"/v1/{P}/flows/stop?flow_id={F}"

VECTORS = [
    pytest.param(
        "PUT",
        STOP,
        PLAIN,
        SK,
        "ca9f619b175c6f2839b9c9311e9da447eb905b9191b752d6ee707b591c07d460",
        "c31bb9cd29efc5ba7382179187d4b1083f564db0478d71df8809cbcc61017363",
        id="A: host and date",
    ),
    pytest.param(
        "PUT",
        STOP,
        JSON,
        SK,
        "c1ab24472afd6a0f85f3b480d7a02e5232b2707c2c55e41d13ceebc15a5c6fb1",
        "7beea93383f80c06b715c30cf2986d9e5ea6042982216c834f0d81fa58ba90cf",
        id="B: type and project too",
    ),
    pytest.param(
        "PUT",
        STOP,
        JSON | {"X-Security-Token": TOKEN},
        SK,
        "3602c51282924d83c0c651d6835dec4c480d9fa1c7120aeda4cd5497a19d4e8b",
        "155a593cec87aca06726f9b0db1d50ee63716b8adbeec85e22ef18cd80c4e5d4",
        id="C: a temporary key",
    ),
    pytest.param(
        "GET",
        f"/v1/{P}/flows?offset=0&limit=100",
        PROJECT,
        SK,
        "ea1720f6e1e91da716d5d311c07756b94a7b11bc3bea8f55e0c6100d42a0e0a9",
        "dececf071691f99eab14f6b5d467d3cda9f30b69d66f39e0c1ddafc25c04b54a",
        id="D: a query out of order",
    ),
    pytest.param(
        "PUT",
        f"/v1/{P}/flows/stop?flow_id=a%20b%2Bc%2F%C3%A9~%2A",
        PROJECT,
        SK,
        "00bee16e0178817d25d9d295b3600bfbaca2ae33a4ba8a990e9b48b10cbfb22a",
        "3aa89eb975f68a3928b1e11c13e9bd5e1f950104fa9841201ca475c093fc86d9",
        id="E: an id to be encoded",
    ),
    pytest.param(
        "PUT",
        "/v1/PROJECT/flows/stop?flow_id=X",
        PLAIN,
        "SK",
        "616ea34782be2184f52dad42cedc44ccf97618c79e1212493d58e0f4dc52f683",
        "267a4837aa7d9a58e829303bf1dda8abec87a9da2ed5746c887e976c6234c95d",
        id="F: the shortest",
    ),
]


@pytest.mark.parametrize(("method", "target", "headers", "sk", "digest", "signature"), VECTORS)
def test_signs_as_the_vendor_does(
    method: str, target: str, headers: dict[str, str], sk: str, digest: str, signature: str
) -> None:
    canonical = auth.canonical_request(method=method, target=target, headers=headers, body=b"")
    assert hashlib.sha256(canonical.encode()).hexdigest() == digest
    assert auth.sign(canonical, date=DATE, sk=sk) == signature


def test_space_around_a_header_is_not_signed() -> None:
    padded = {name: f" {value}\t" for name, value in JSON.items()}
    plain, spaced = (
        auth.canonical_request(method="PUT", target=STOP, headers=headers, body=b"") for headers in (JSON, padded)
    )
    assert spaced == plain


def test_writes_the_whole_header_as_the_vendor_does() -> None:
    assert auth.authorization(ak=AK, signed_headers=JSON, signature="7bee") == (
        f"SDK-HMAC-SHA256 Access={AK}, SignedHeaders=content-type;host;x-project-id;x-sdk-date, Signature=7bee"
    )


def signed(url: str, *, token: str | None = None, at: float = SECONDS, **request: Any) -> httpx.Request:
    """Return a request as the signer sends it."""
    held = AccessKey(ak=SecretStr(AK), sk=SecretStr(SK), security_token=SecretStr(token) if token else None)
    signer = auth.KeySigner(held, project_id=P, now=lambda: at)
    return next(signer.sync_auth_flow(httpx.Request(request.pop("method", "PUT"), url, **request)))


def test_a_request_carries_project_date_and_signature() -> None:
    request = signed(f"https://{HOST}{STOP}")
    assert request.headers["X-Project-Id"] == P
    assert request.headers["X-Sdk-Date"] == DATE
    assert "SignedHeaders=host;x-project-id;x-sdk-date," in request.headers["Authorization"]
    assert "X-Security-Token" not in request.headers


def test_a_temporary_key_sends_and_signs_its_token() -> None:
    request = signed(f"https://{HOST}{STOP}", token=TOKEN, headers={"Content-Type": "application/json"})
    assert request.headers["X-Security-Token"] == TOKEN
    assert request.headers["Authorization"].endswith(
        "Signature=155a593cec87aca06726f9b0db1d50ee63716b8adbeec85e22ef18cd80c4e5d4"
    )


def test_headers_that_a_proxy_may_change_are_not_signed() -> None:
    request = signed(f"https://{HOST}{STOP}", headers={"User-Agent": "flowbot", "Accept": "*/*", "X-Other": "1"})
    assert "SignedHeaders=host;x-project-id;x-sdk-date," in request.headers["Authorization"]


def test_a_body_is_part_of_the_signature() -> None:
    with_body, without = signed(f"https://{HOST}{STOP}", content=b"{}"), signed(f"https://{HOST}{STOP}")
    assert with_body.headers["Authorization"] != without.headers["Authorization"]


def test_each_try_is_signed_anew() -> None:
    first, second = signed(f"https://{HOST}{STOP}"), signed(f"https://{HOST}{STOP}", at=SECONDS + 1)
    assert second.headers["X-Sdk-Date"] == "20250102T030406Z"
    assert first.headers["Authorization"] != second.headers["Authorization"]


def test_a_port_that_is_not_the_default_is_signed() -> None:
    request = signed(f"http://127.0.0.1:8080{STOP}")
    canonical = auth.canonical_request(
        method="PUT", target=STOP, headers=PROJECT | {"Host": "127.0.0.1:8080"}, body=b""
    )
    assert request.headers["Authorization"].endswith(auth.sign(canonical, date=DATE, sk=SK))


def test_a_token_goes_out_as_it_is_with_its_project_and_no_signature() -> None:
    bearer = auth.TokenBearer(SecretStr(TOKEN), project_id=P)
    request = next(bearer.sync_auth_flow(httpx.Request("PUT", f"https://{HOST}{STOP}")))
    assert (request.headers["X-Auth-Token"], request.headers["X-Project-Id"]) == (TOKEN, P)
    assert "Authorization" not in request.headers
    assert TOKEN not in repr(bearer)


class VendorKey:
    """The credentials object that the vendor's signer expects."""

    ak = AK
    sk = SK


def vendor_signature(method: str, path: str, query: list[tuple[str, str]], headers: dict[str, str], body: bytes) -> str:
    request = SdkRequest(
        method=method,
        schema="https",
        host=HOST,
        resource_path=path,
        uri=path,
        query_params=query,
        header_params=dict(headers),
        body=body,
        stream=False,
    )
    return str(Signer(VendorKey()).sign(request).header_params["Authorization"])


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUE = st.text(string.ascii_letters + string.digits + "-_./+= ", min_size=1, max_size=40).map(str.strip).filter(bool)


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
    segment=st.text(string.ascii_letters + string.digits + "-_.~", min_size=1),
    query=st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=4),
    token=st.none() | VALUE,
    body=st.binary(max_size=30),
)
def test_agrees_with_the_vendors_signer(
    method: str, segment: str, query: list[tuple[str, str]], token: str | None, body: bytes
) -> None:
    path = f"/v1/{P}/{segment}/"
    encoded = "&".join(f"{hexed(name)}={hexed(value)}" for name, value in query)
    headers = JSON | ({"X-Security-Token": token} if token else {})
    canonical = auth.canonical_request(
        method=method, target=f"{path}?{encoded}" if encoded else path, headers=headers, body=body
    )
    ours = auth.authorization(ak=AK, signed_headers=headers, signature=auth.sign(canonical, date=DATE, sk=SK))
    assert ours == vendor_signature(method, path, query, headers, body)


def hexed(text: str) -> str:
    """Percent-encode every byte: the signature must not depend on how the query is spelled."""
    return "".join(f"%{byte:02x}" for byte in text.encode())
