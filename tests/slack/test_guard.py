"""The guard: what gets a 4xx, with no effect and nothing of the body in the log."""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import pytest
import structlog
from slack_sdk.web.async_client import AsyncWebClient
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message

from bot.playground.slack.acks import FORM, signature
from bot.slack import guard
from bot.slack.guard import MAX_BODY, Guard
from bot.slack.installation import Identity, Installation
from tests.fakes import FakeClock

SECRET: Final = "shhh-signing"
COMMAND: Final = urlencode(
    {"command": "/flow", "text": "stop tell-nobody", "team_id": "T1", "user_id": "U1", "channel_id": "C1"}
).encode()
JSON: Final = "application/json"


class Door:
    """A guard, and what it accepted."""

    def __init__(self, team: str = "T1", enterprise: str | None = None, *, known: bool = True) -> None:
        self.clock, self.through = FakeClock(), list[dict[str, Any]]()
        installation = Installation(client=AsyncWebClient())
        if known:
            installation.identity = Identity(team=team, enterprise=enterprise, bot_user="U0BOT", bot="B0BOT", url="")
        self.guard = Guard(signing_secret=SECRET, installation=installation, clock=self.clock, dispatch=self._dispatch)

    async def _dispatch(self, payload: dict[str, Any]) -> Response:
        self.through.append(payload)
        return PlainTextResponse("taken")

    async def knock(
        self,
        body: bytes = COMMAND,
        *,
        kind: str = FORM,
        age: int = 0,
        headers: Mapping[str, str] | None = None,
        chunks: int = 1,
    ) -> tuple[int, str]:
        """Deliver a signed body, with the given headers replaced; return status and answer."""
        signed = signature(SECRET, body, int(self.clock.now()) - age)
        given = {"content-type": kind, **signed, **(headers or {})}
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items()]
        size = max(1, -(-len(body) // chunks))
        pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]

        async def receive() -> Message:
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        response = await self.guard.receive(Request({"type": "http", "method": "POST", "headers": raw}, receive))
        return response.status_code, bytes(response.body).decode()


async def test_a_signed_delivery_for_us_goes_through_as_slacks_own_dict() -> None:
    door = Door()

    assert await door.knock() == (200, "taken")
    assert door.through[0]["text"] == "stop tell-nobody"


def headers(**changed: str) -> dict[str, str]:
    """Return headers from their short names."""
    names = {"stamp": "X-Slack-Request-Timestamp", "sign": "X-Slack-Signature", "length": "content-length"}
    return {names[name]: value for name, value in changed.items()}


BAD: Final = {
    "unsigned": ({"headers": headers(sign="")}, 401, "not signed"),
    "no time": ({"headers": headers(stamp="")}, 401, "not signed"),
    "another signature": ({"headers": headers(sign="v0=" + "0" * 64)}, 401, "the signature does not fit"),
    "a signature not in ASCII": ({"headers": headers(sign="v0=é²")}, 401, "the signature does not fit"),
    "a time in words": ({"headers": headers(stamp="now")}, 401, "the timestamp is not a number"),
    "a time in other digits": ({"headers": headers(stamp="17000²")}, 401, "the timestamp is not a number"),
    "a negative time": ({"headers": headers(stamp="-1")}, 401, "the timestamp is not a number"),
    "a time of a thousand digits": ({"headers": headers(stamp="1" * 1000)}, 401, "the timestamp is not a number"),
    "too old": ({"age": 301}, 401, "the timestamp is too old or ahead of the time"),
    "ahead of the time": ({"age": -61}, 401, "the timestamp is too old or ahead of the time"),
    "said to be large": ({"headers": headers(length=str(MAX_BODY + 1))}, 413, "too large"),
    "of no size": ({"headers": headers(length="many")}, 413, "too large"),
    "of a size in other digits": ({"headers": headers(length="1²")}, 413, "too large"),
    "large in chunks": ({"body": b"x" * (MAX_BODY + 1), "chunks": 7}, 413, "too large"),
    "not UTF-8": ({"body": b"command=\xff\xfe"}, 400, "malformed"),
    "empty": ({"body": b""}, 400, "malformed"),
    "no form": ({"body": b"hello"}, 400, "malformed"),
    "no JSON": ({"body": b"{", "kind": JSON}, 400, "malformed"),
    "JSON of another kind": ({"body": b"[1]", "kind": JSON}, 400, "malformed"),
    "JSON in the form of another kind": ({"body": b"payload=%22x%22"}, 400, "malformed"),
    "neither command nor payload": ({"body": b"ssl_check=1&token=x"}, 400, "malformed"),
    "a bomb of lists": ({"body": b"[" * 100_000, "kind": JSON}, 400, "malformed"),
    "a bomb of objects": ({"body": b'{"a":' * 100_000, "kind": JSON}, 400, "malformed"),
    "a bomb that closes": ({"body": b"payload=" + b"[" * 50_000 + b"]" * 50_000}, 400, "malformed"),
    "a number of a million digits": ({"body": b'{"a":' + b"1" * 500_000 + b"}", "kind": JSON}, 400, "malformed"),
    "a form of many fields": ({"body": b"&".join([b"a=1"] * 200) + b"&command=x"}, 400, "malformed"),
    "a command of nobody": ({"body": b"command=/flow&team_id=T1&channel_id=C1"}, 400, "incomplete"),
    "another team": ({"body": b"command=/flow&team_id=T2"}, 403, "another workspace"),
    "no team": ({"body": b"command=/flow"}, 403, "another workspace"),
    "a team of another kind": ({"body": b'{"team_id": ["T1"]}', "kind": JSON}, 403, "another workspace"),
    "a team within a list": ({"body": b'{"team": {"id": {"a": 1}}}', "kind": JSON}, 403, "another workspace"),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_input_is_rejected_and_not_dispatched(case: str, caplog: pytest.LogCaptureFixture) -> None:
    given, status, reason = BAD[case]
    door = Door()
    caplog.set_level(logging.DEBUG)

    with structlog.testing.capture_logs() as lines:
        assert await door.knock(**given) == (status, reason)  # type: ignore[arg-type]

    assert door.through == []
    assert lines == [{"event": "delivery rejected", "log_level": "warning", "status": status, "reason": reason}]
    assert "tell-nobody" not in caplog.text


@pytest.mark.parametrize("age", [300, 0, -60])
async def test_the_window_reaches_from_five_minutes_back_to_one_ahead(age: int) -> None:
    assert (await Door().knock(age=age))[0] == 200


@pytest.mark.parametrize("where", ["text", "channel_name", "user_name"])
async def test_the_word_payload_anywhere_in_a_command_is_only_a_word(where: str) -> None:
    door = Door()
    fields = {"command": "/flow", "text": "stop x", "team_id": "T1", "user_id": "U1", "channel_id": "C1"}
    fields[where] = "payload=payload"

    assert (await door.knock(urlencode(fields).encode()))[0] == 200
    assert door.through[0][where] == "payload=payload"


async def test_a_command_with_a_field_called_payload_stays_a_command() -> None:
    door = Door()

    assert (await door.knock(COMMAND + b"&payload=%7B%7D"))[0] == 200
    assert door.through[0]["command"] == "/flow"


@pytest.mark.parametrize(
    "payload",
    [
        {"team": {"id": "T1"}},
        {"team_id": "T1"},
        {"team": None, "enterprise": {"id": "E1"}},
        {"team": None, "enterprise_id": "E1"},
        {"team": {"id": "T2", "enterprise_id": "E1"}, "enterprise": {"id": "E1"}},
    ],
)
async def test_our_team_or_our_organisation_is_found_in_every_shape(payload: dict[str, Any]) -> None:
    door = Door("T1", "E1")

    assert await door.knock(urlencode({"payload": json.dumps(payload)}).encode()) == (200, "taken")


async def test_the_clickers_own_team_does_not_count() -> None:
    payload = {"team": {"id": "T2"}, "user": {"id": "U1", "team_id": "T1"}}

    assert (await Door().knock(urlencode({"payload": json.dumps(payload)}).encode()))[0] == 403


async def test_what_names_its_workspace_is_let_in_while_we_do_not_know_who_we_are() -> None:
    door = Door(known=False)
    click = {"team": {"id": "T2"}, "user": {"id": "U2"}}

    assert await door.knock() == (200, "taken")
    assert await door.knock(urlencode({"payload": json.dumps(click)}).encode()) == (200, "taken")
    assert await door.knock(urlencode({"payload": "{}"}).encode()) == (403, "another workspace")
    assert (await door.knock(headers=headers(sign="v0=x")))[0] == 401
    assert len(door.through) == 2


async def test_a_signed_challenge_is_answered_also_before_we_know_who_we_are() -> None:
    door = Door(known=False)

    assert await door.knock(b'{"type":"url_verification","challenge":"c-1"}', kind=JSON) == (200, "c-1")


async def test_an_unsigned_challenge_is_not() -> None:
    body = b'{"type":"url_verification","challenge":"c-1"}'

    assert (await Door().knock(body, kind=JSON, headers=headers(sign="v0=x")))[0] == 401


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
async def test_a_content_type_is_read_as_http_means_it(kind: str) -> None:
    assert (await Door().knock(b'{"team_id": "T1"}', kind=kind))[0] == 200


async def test_a_sender_that_disconnects_in_the_middle_is_no_error() -> None:
    door = Door()
    raw = [(b"x-slack-signature", b"v0=x"), (b"x-slack-request-timestamp", b"1")]

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    answered = await door.guard.receive(Request({"type": "http", "method": "POST", "headers": raw}, receive))

    assert answered.status_code == 400


async def test_a_flood_of_what_is_not_signed_is_logged_once_a_minute() -> None:
    door = Door()
    with structlog.testing.capture_logs() as lines:
        for _ in range(50):
            assert (await door.knock(headers={"X-Slack-Signature": ""}))[0] == 401
        door.clock.turn(60)
        assert (await door.knock(headers={"X-Slack-Signature": ""}))[0] == 401

    assert [line.get("suppressed", 0) for line in lines] == [0, 49]


async def test_bodies_that_are_read_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_BODIES", len(COMMAND) + 10)
    door, begun, ended = Door(), asyncio.Event(), asyncio.Event()

    async def receive() -> Message:
        if not begun.is_set():
            begun.set()
            return {"type": "http.request", "body": b"x" * 11, "more_body": True}
        await ended.wait()
        return {"type": "http.disconnect"}

    slow = asyncio.create_task(door.guard.receive(Request({"type": "http", "method": "POST", "headers": []}, receive)))
    await begun.wait()
    assert await door.knock() == (503, "too many at once")
    ended.set()
    assert (await slow).status_code == 400
    assert await door.knock() == (200, "taken")
