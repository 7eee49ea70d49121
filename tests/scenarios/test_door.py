"""The guard: what it rejects, and what a delivery may contain without harm."""

import contextlib
import io
import json
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlencode

import aiohttp
import pytest

from bot.playground.slack.acks import FORM, Ack, signature
from tests.fakes import FakeClock
from tests.scenarios.conftest import Stage


def _command(stage: Stage, **changes: str) -> dict[str, str]:
    fields = {
        "command": "/flow",
        "text": "stop main-feed",
        "team_id": stage.slack.workspace.team_id,
        "user_id": "U0ALICE",
        "channel_id": "C0INCIDENT",
        "channel_name": "incident",
        "trigger_id": "1.command",
    }
    return fields | changes


def _click(stage: Stage, **changes: object) -> dict[str, object]:
    payload: dict[str, object] = {
        "type": "block_actions",
        "team": {"id": stage.slack.workspace.team_id},
        "user": {"id": "U0ALICE", "team_id": stage.slack.workspace.team_id},
        "trigger_id": "1.click",
        "container": {"type": "message", "channel_id": "C0INCIDENT", "message_ts": "1.000001"},
        "actions": [{"type": "button", "action_id": "approve", "block_id": "b", "value": "nothing-like-it"}],
    }
    return payload | changes


async def _sent(stage: Stage, body: bytes, *, content_type: str = FORM, signed: Mapping[str, str] | None = None) -> Ack:
    headers = stage.slack.people.sign(body) if signed is None else signed
    return await stage.slack.people.raw(body, {"Content-Type": content_type, **headers})


async def _nothing_came_of_it(stage: Stage) -> None:
    await stage.quiet()
    assert stage.recorded() == 0
    assert stage.cards() == []
    assert stage.live.calls == ()


async def test_promise_3_what_is_not_signed_well_gets_a_4xx_and_no_effect(stage: Stage, clock: FakeClock) -> None:
    body = urlencode(_command(stage)).encode()
    good = stage.slack.people.sign(body)
    now = int(clock.now())
    other = signature("another-secret", body, now)
    turned_away: dict[str, Mapping[str, str]] = {
        "unsigned": {},
        "no signature": {"X-Slack-Request-Timestamp": str(now)},
        "no timestamp": {"X-Slack-Signature": good["X-Slack-Signature"]},
        "another secret": other,
        "another body": stage.slack.people.sign(body + b"&x=1"),
        "not hex": good | {"X-Slack-Signature": "v0=\u00e9"},
        "empty": good | {"X-Slack-Signature": ""},
        "301 s old": stage.slack.people.sign(body, now - 301),
        "61 s ahead": stage.slack.people.sign(body, now + 61),
        "no number": good | {"X-Slack-Request-Timestamp": "soon"},
        "negative": good | {"X-Slack-Request-Timestamp": "-1"},
    }
    for name, headers in turned_away.items():
        ack = await _sent(stage, body, signed=headers)
        assert ack.status == 401, name
    ssl_check = await _sent(stage, b"ssl_check=1", signed={})
    assert ssl_check.status == 401
    await _nothing_came_of_it(stage)


async def test_the_edges_of_the_window_are_inside(stage: Stage, clock: FakeClock) -> None:
    for trigger, moved in (("1.old", -300), ("1.ahead", 60)):
        body = urlencode(_command(stage, trigger_id=trigger)).encode()
        ack = await _sent(stage, body, signed=stage.slack.people.sign(body, int(clock.now()) + moved))
        assert ack.status == 200


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", FORM),
        (b"nonsense", FORM),
        (b"text=stop+main-feed", FORM),
        (b"payload=", FORM),
        (b"payload=%7Bnot+json", FORM),
        (b"payload=%5B1%5D", FORM),
        (b"payload=" + b"%5B" * 50_000, FORM),
        (b"command=/flow&text=\xff\xfe", FORM),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'"text"', "application/json"),
        (b"command=/flow&" + b"&".join(b"a%d=1" % n for n in range(200)), FORM),
    ],
)
async def test_what_is_malformed_gets_a_4xx_and_no_effect(stage: Stage, body: bytes, content_type: str) -> None:
    ack = await _sent(stage, body, content_type=content_type)

    assert ack.status == 400
    await _nothing_came_of_it(stage)


async def test_another_workspace_is_turned_away(stage: Stage) -> None:
    for fields in (_command(stage, team_id="T0ELSEWHERE"), {"command": "/flow", "text": "stop main-feed"}):
        assert (await stage.delivers(fields)).status == 403
    assert (await stage.delivers_payload(_click(stage, team={"id": "T0ELSEWHERE"}))).status == 403
    await _nothing_came_of_it(stage)


async def test_unhandled_deliveries_are_no_error_of_ours(stage: Stage) -> None:
    action = {"type": "button", "action_id": "of_a_later_version", "block_id": "b", "value": "x"}
    view = {"id": "V1", "type": "modal", "callback_id": "of_a_later_version", "private_metadata": "x"}
    team = {"id": stage.slack.workspace.team_id}
    deliveries = [
        await stage.delivers_payload(_click(stage, actions=[action])),
        await stage.delivers_payload(_click(stage, actions=[])),
        await stage.delivers_payload(_click(stage, actions="x")),
        await stage.delivers_payload(_click(stage, container="x", channel="y")),
        await stage.delivers_payload(_click(stage, user=None)),
        await stage.delivers_payload(_click(stage, user={})),
        await stage.delivers_payload(
            {"type": "view_submission", "team": team, "user": {"id": "U0ALICE"}, "view": view}
        ),
        await stage.delivers_payload({"type": "view_submission", "team": team, "user": {"id": "U0ALICE"}}),
        await stage.delivers_payload({"type": "view_closed", "team": team, "user": {"id": "U0ALICE"}, "view": view}),
        await stage.delivers_payload({"type": "of_a_later_version", "team": team}),
        await stage.delivers_payload({"team": team}),
        await stage.delivers(_command(stage, command="/other")),
        await stage.delivers({"command": "/flow", "text": "stop main-feed", "team_id": team["id"]}),
    ]

    assert [ack for ack in deliveries if ack.status is None or ack.status >= 500] == []
    assert [ack for ack in deliveries if "Traceback" in ack.body] == []
    await _nothing_came_of_it(stage)


async def test_a_click_for_a_request_that_nobody_knows_is_answered(stage: Stage) -> None:
    card = await stage.asks("U0ALICE", "stop main-feed")
    for value in ("", "nothing-like-it", "x" * 2000):
        assert (await stage.forges("U0DAVE", card, "approve", value=value)).ok
    await stage.quiet()

    assert len(stage.heard("U0DAVE")) == 3
    assert "approve" in stage.now(card).buttons


async def test_the_word_payload_is_no_trap(stage: Stage) -> None:
    workspace = stage.slack.workspace
    workspace.add_channel("C0PAY", "payload-team", members=["U0ALICE"])

    card = await stage.asks("U0ALICE", "stop main-feed because payload=1 & payload", channel="C0PAY")

    assert "payload=1" in card.plain


async def test_slack_may_verify_the_address(stage: Stage) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1aB"}).encode()

    assert (await _sent(stage, body, content_type="application/json")).body == "3eZbrw1aB"
    assert (await _sent(stage, body, content_type="application/json", signed={})).status == 401


async def test_the_other_surfaces(stage: Stage) -> None:
    await stage.asks("U0ALICE", "stop main-feed")
    base = stage.slack.people.request_url.removesuffix("/slack/events")
    async with aiohttp.ClientSession() as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(base + path) as response:
                return response.status, await response.text()

        assert (await get("/healthz"))[0] == 200
        assert (await get("/readyz"))[0] == 200
        assert (await get("/slack/events"))[0] == 405
        assert (await get("/nothing"))[0] == 404
        status, metrics = await get("/metrics")
        assert status == 200
        assert 'flowbot_recordings_total{result="new"} 1.0' in metrics
        for secret in (stage.slack.bot_token, stage.slack.signing_secret, "U0ALICE", "main-feed"):
            assert secret not in metrics


async def test_what_is_too_large_is_turned_away_with_and_without_a_length(stage: Stage) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b"x" * 65536

    base = stage.slack.people.request_url
    async with aiohttp.ClientSession() as session:
        for body in (io.BytesIO(b"x" * (1024 * 1024 + 1)), chunks()):
            with contextlib.suppress(aiohttp.ClientError):  # the server may close before everything was sent
                async with session.post(base, data=body, headers={"Content-Type": FORM}) as response:
                    assert response.status == 413
    await _nothing_came_of_it(stage)
