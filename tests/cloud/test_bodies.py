"""Error bodies of every shape, and what must never be shown."""

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cloud import bodies
from bot.lifecycle.cloud_failure import CloudFailure, Fault

SECRETS = ("SKEXAMPLE000000000000000000000000000000A", "SECURITYTOKENEXAMPLE/0+1==")


def failure(status: int, body: object, **headers: str) -> CloudFailure:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return bodies.failure(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, raw, secrets=SECRETS
    )


def live(code: str, message: str = "Said the cloud.") -> dict[str, Any]:
    return {"error_code": code, "error_msg": message}


IAM = {"error": {"code": 401, "message": "The username or password is wrong.", "title": "Unauthorized"}}

SHAPES = [
    pytest.param(live("LIVE.1"), "LIVE.1", "Said the cloud.", id="A: two fields"),
    pytest.param(live("LIVE.1") | {"request_id": "r"}, "LIVE.1", "Said the cloud.", id="A: the gateway's three"),
    pytest.param(
        live("PAP5.0001") | {"encoded_authorization_message": "xyz"}, "PAP5.0001", "Said the cloud.", id="A+: IAM"
    ),
    pytest.param(IAM, "401", "The username or password is wrong.", id="B: nested, a number for a code"),
    pytest.param({"errorCode": "C.1", "errorMsg": "m"}, "C.1", "m", id="C: errorMsg"),
    pytest.param({"errorCode": "C.1", "errorMessage": "m"}, "C.1", "m", id="C: errorMessage"),
    pytest.param({"code": "C.1", "message": "m"}, "C.1", "m", id="C: code and message"),
    pytest.param({"result_code": "LIVE.2", "result_msg": "m"}, "LIVE.2", "m", id="D: result"),
    pytest.param(b"<html><h1>502 Bad\nGateway</h1></html>", None, "502 Bad Gateway", id="E: HTML"),
    pytest.param(b"", None, "", id="E: nothing"),
    pytest.param(b"no route", None, "no route", id="plain text"),
    pytest.param(b'{"error_code": "LI', None, '{"error_code": "LI', id="JSON cut short"),
    pytest.param(b"\xff\xfe oops", None, "\ufffd\ufffd oops", id="no UTF-8"),
    pytest.param(b'\xef\xbb\xbf{"error_code":"LIVE.1"}', "LIVE.1", "", id="a byte order mark"),
    pytest.param([], None, "[]", id="a list"),
    pytest.param({}, None, "", id="an empty object"),
    pytest.param({"error_code": None, "error_msg": ["x"]}, None, "", id="fields of other types"),
    pytest.param({"error_code": True, "code": 7, "message": ""}, "7", "", id="a bool is no code"),
    pytest.param(b"[" * 100_000, None, "[" * 499 + "…", id="nested beyond reason"),
    pytest.param(b'{"code":' + b"9" * 5_000 + b"}", None, '{"code":' + "9" * 492 + "…", id="a number beyond reason"),
]


@pytest.mark.parametrize(("body", "code", "message"), SHAPES)
def test_reads_every_shape(body: object, code: str | None, message: str) -> None:
    found = failure(502, body)
    assert (found.code, found.message, found.http_status) == (code, message, 502)


FAULTS = [
    (404, live("LIVE.103011019"), Fault.NOT_FOUND),
    (400, live("LIVE.103011019"), Fault.NOT_FOUND),
    (404, b"", Fault.NOT_FOUND),
    (404, live("APIGW.0101"), Fault.REJECTED),
    (404, live("APIG.0101"), Fault.REJECTED),
    (400, live("LIVE.100011001", "The flow does not exist"), Fault.NOT_FOUND),
    (400, live("LIVE.100011001", "flow task is in standby status"), Fault.REJECTED),
    (400, live("LIVE.100011001", "domain does not exist"), Fault.REJECTED),
    (400, b"", Fault.REJECTED),
    (400, live("LIVE.103011021"), Fault.UNCERTAIN),
    (405, live("APIGW.0501"), Fault.REJECTED),
    (408, b"", Fault.UNCERTAIN),
    (403, live("LIVE.100011003"), Fault.DENIED),
    (403, live("PAP5.0001"), Fault.DENIED),
    (403, b"<html>", Fault.DENIED),
    (403, live("LIVE.103011016"), Fault.REJECTED),
    (401, live("LIVE.100011003"), Fault.DENIED),
    (401, live("PAP5.0001"), Fault.DENIED),
    (401, live("LIVE.100011002"), Fault.CREDENTIALS),
    (401, live("LIVE.100011014"), Fault.CREDENTIALS),
    (401, live("LIVE.100011015"), Fault.CREDENTIALS),
    (401, live("APIGW.0301"), Fault.CREDENTIALS),
    (401, b"", Fault.CREDENTIALS),
    (429, live("APIGW.0308"), Fault.THROTTLED),
    (429, b"", Fault.THROTTLED),
    (500, live("LIVE.100011007"), Fault.THROTTLED),
    (500, live("LIVE.100011000"), Fault.UNCERTAIN),
    (500, live("LIVE.100011005"), Fault.UNCERTAIN),
    (502, b"<html>", Fault.UNCERTAIN),
    (503, live("APIGW.0613"), Fault.UNCERTAIN),
    (504, b"", Fault.UNCERTAIN),
    (301, b"", Fault.UNCERTAIN),
]


@pytest.mark.parametrize(("status", "body", "fault"), FAULTS)
def test_says_what_a_refusal_means(status: int, body: object, fault: Fault) -> None:
    assert failure(status, body).fault is fault


TOKENS = [
    (401, live("APIGW.0307", "The token must be updated."), True),
    (401, live("APIG.0307"), True),
    (401, live("APIGW.0301", "Incorrect IAM authentication information: token expires, expires_at: 2025"), True),
    (401, live("APIGW.0301", "Incorrect IAM authentication information: decrypt token fail"), True),
    (401, live("APIG.0301", "incorrect iam authentication information: Decrypt Token Fail"), True),
    (401, live("APIGW.0301", "Incorrect IAM authentication information: x-auth-token not found"), False),
    (401, live("APIGW.0301", "Incorrect IAM authentication information: verify aksk signature fail"), False),
    (401, live("LIVE.100011002", "token expires"), False),
    (401, b"token expires", False),
    (403, live("APIGW.0307"), False),
    (500, live("APIGW.0301", "decrypt token fail"), False),
]


@pytest.mark.parametrize(("status", "body", "refuses"), TOKENS)
def test_tells_a_refusal_of_the_token_from_all_others(status: int, body: object, refuses: bool) -> None:
    assert bodies.refuses_token(failure(status, body)) is refuses


def throttling(window: str) -> dict[str, Any]:
    return live("APIGW.0308", f"The throttling threshold has been reached: policy user over ratelimit,{window}")


THURSDAY = {"retry_after": "Thu, 02 Jan 2025 03:05:05 GMT", "date": "Thu, 02 Jan 2025 03:04:05 GMT"}

WAITS = [
    (429, throttling("limit:200,time:5 minute"), {}, 300.0),
    (429, throttling("limit:5,time:1 second"), {}, 1.0),
    (429, throttling("limit:5,time:2 hour"), {}, 7_200.0),
    (429, throttling("limit:5,time:1 day"), {}, 86_400.0),
    (429, throttling("limit:5,time:1 fortnight"), {}, None),
    (429, throttling("limit:5,time:1 minute"), {"retry_after": "7"}, 7.0),
    (429, b"", THURSDAY, 60.0),
    (429, b"", {"retry_after": THURSDAY["date"], "date": THURSDAY["retry_after"]}, 0.0),
    (429, b"", {"retry_after": THURSDAY["date"]}, None),
    (429, b"", {"retry_after": "soon"}, None),
    (429, b"", {"retry_after": "-1"}, None),
    (429, b"", {"retry_after": "nan"}, None),
    (429, b"", {"retry_after": "9" * 400}, None),
    (500, live("LIVE.100011007"), {}, None),
    (503, b"", {"retry_after": "3"}, 3.0),
    (400, throttling("limit:5,time:1 minute") | {"error_code": "LIVE.1"}, {}, None),
]


@pytest.mark.parametrize(("status", "body", "headers", "seconds"), WAITS)
def test_says_how_long_to_wait(status: int, body: object, headers: dict[str, str], seconds: float | None) -> None:
    told = failure(status, body, **headers)
    assert told.retry_after == seconds
    assert told.must_wait == (seconds is not None and "retry_after" in headers)


@pytest.mark.parametrize(
    ("headers", "body", "found"),
    [
        ({"x_request_id": "h1"}, live("L") | {"request_id": "b1"}, "h1"),
        ({"x_iam_trace_id": "t1"}, live("L"), "t1"),
        ({}, live("L") | {"request_id": "b1"}, "b1"),
        ({}, live("L") | {"requestId": "b2"}, "b2"),
        ({}, live("L"), None),
        ({"x_request_id": SECRETS[0]}, b"", "[redacted]"),
    ],
)
def test_keeps_the_request_id(headers: dict[str, str], body: object, found: str | None) -> None:
    assert failure(500, body, **headers).request_id == found


def test_cuts_secrets_out_of_message_and_code() -> None:
    found = failure(401, live(f"X.{SECRETS[0]}", f"sk is {SECRETS[0]}, token {SECRETS[1]}!"))
    assert found.code == "X.[redacted]"
    assert found.message == "sk is [redacted], token [redacted]!"


def test_cuts_a_token_out_of_an_echoed_canonical_request_in_any_spelling() -> None:
    echo = "canonicalRequest:PUT|/v1/p/|flow_id=1|host:h|x-security-token:{}|x-sdk-date:d||host|e3b0"
    for spelling in (SECRETS[1], SECRETS[1].lower(), "SECURITYTOKENEXAMPLE%2F0%2B1%3D%3D", SECRETS[1][:9]):
        message = failure(401, live("APIGW.0301", echo.format(spelling))).message
        assert message == echo.format("[redacted]")


@pytest.mark.parametrize("spelling", ["SECURITYTOKENEXAMPLE%2F0%2B1%3D%3D", r"SECURITYTOKENEXAMPLE\/0+1=="])
def test_cuts_out_a_secret_that_was_encoded_on_its_way(spelling: str) -> None:
    assert failure(502, f"the token {spelling} is bad".encode()).message == "the token [redacted] is bad"


def test_cuts_a_signature_out_of_an_echoed_header() -> None:
    message = failure(401, live("X", f"SDK-HMAC-SHA256 Access=A, Signature={'ab' * 32}")).message
    assert message == "SDK-HMAC-SHA256 Access=A, Signature=[redacted]"


def test_a_secret_that_control_characters_kept_apart_is_cut_out() -> None:
    torn = SECRETS[0][:5] + "\x00\u200b" + SECRETS[0][5:]
    assert failure(400, live("X", f"a {torn} b")).message == "a [redacted] b"


def test_a_long_message_is_shortened_between_words() -> None:
    message = failure(400, live("X", "word " * 1_000)).message
    assert message == " ".join(["word"] * 100) + "…"


def test_shortening_does_not_break_the_mark_of_a_secret() -> None:
    message = failure(400, live("X", "x" * 495 + SECRETS[0] + "x" * 20)).message
    assert message == "x" * 495 + "…"


def test_control_characters_and_halves_of_characters_are_dropped() -> None:
    found = failure(
        400, b'{"error_code":"A\\u0007B","error_msg":"a\\u0000b\\r\\n\\tc\\u202ed\\ud800e \xf0\x9f\x8e\xa5"}'
    )
    assert found.code == "AB"
    assert found.message == "ab cde 🎥"


def test_a_reply_that_quotes_a_passphrase_is_withheld() -> None:
    body = b'{"sources":[{"decryption":{"passphrase":"not-for-anyone'
    assert bodies.unreadable(200, {}, body, secrets=SECRETS).message == bodies.WITHHELD
    assert failure(500, body).message == bodies.WITHHELD


def test_an_unreadable_success_is_uncertain_and_tells_what_came() -> None:
    found = bodies.unreadable(200, {"x-request-id": "r1"}, b"<p>welcome\nto the hotel</p>", secrets=SECRETS)
    assert found == CloudFailure(
        fault=Fault.UNCERTAIN, http_status=200, message="welcome to the hotel", request_id="r1"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=600),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error_code", "error_msg", "error", "code", "message", "request_id"]), inner)
    ),
    max_leaves=8,
)


@given(
    status=st.integers(100, 999), body=st.binary(max_size=2_000) | JSON.map(lambda value: json.dumps(value).encode())
)
def test_no_body_makes_it_crash(status: int, body: bytes) -> None:
    for found in (bodies.failure(status, {}, body, secrets=SECRETS), bodies.unreadable(status, {}, body, secrets=())):
        assert len(found.message) <= bodies.MESSAGE_LIMIT + 1
        assert found.message.isprintable() or not found.message.isascii()
        found.message.encode()  # a lone surrogate could not be stored


KEY = st.text(string.ascii_letters + string.digits + "+/=-_", min_size=12, max_size=60)
AROUND = st.text(max_size=40)


@given(
    secrets=st.lists(KEY, min_size=1, max_size=3),
    around=st.lists(AROUND, min_size=2, max_size=5),
    status=st.sampled_from([200, 400, 401, 403, 429, 500, 503]),
    as_json=st.booleans(),
    torn=st.booleans(),
)
def test_no_secret_survives(secrets: list[str], around: list[str], status: int, as_json: bool, torn: bool) -> None:
    spelled = [secret[:6] + "\x01" + secret[6:] if torn else secret for secret in secrets]
    text = "".join(part + spelled[index % len(spelled)] for index, part in enumerate(around))
    value = {"error_code": text, "error_msg": text, "request_id": text}
    body = json.dumps(value).encode() if as_json else text.encode("utf-8", "replace")
    told = bodies.failure(status, {}, body, secrets=secrets)
    lost = bodies.unreadable(status, {"x-request-id": text}, body, secrets=secrets)
    for secret in secrets:
        assert secret not in f"{told}{lost}"
