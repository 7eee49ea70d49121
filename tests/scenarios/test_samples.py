"""Slack's public sample payloads through the real bot: its status, record and answer, and no error in the log."""

import logging
import pathlib
import shutil
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
import structlog

from bot.playground import world
from bot.playground.live.server import LiveStandIn
from bot.playground.slack.acks import Ack
from bot.playground.slack.server import SlackStandIn
from tests.fakes import FakeClock
from tests.scenarios import samples
from tests.scenarios.conftest import Stage, request_of, running
from tests.scenarios.samples import Installed, Json

BARE: Final = "You may not do this here. Nothing was done."
TEAM: Final = "T0PLAYGROUND"

PLACES: Final = {
    "workspace": Installed(team=TEAM),
    "workspace of an organisation": Installed(team=TEAM, enterprise="E0GRID"),
    "organisation": Installed(team=TEAM, enterprise="E0GRID", org=True),
}
OUTSIDERS: Final = ("U0GUEST", "U0SOLO", "U0OTHER")
"""A guest of several channels, one of a single channel, and a member of another organisation."""


@pytest.fixture(params=PLACES)
def at(request: pytest.FixtureRequest) -> Installed:
    """Return where the app is installed."""
    return PLACES[request.param]


@pytest.fixture
async def stage(
    at: Installed, tmp_path: pathlib.Path, clock: FakeClock, database: pathlib.Path, door: str
) -> AsyncIterator[Stage]:
    """Run the bot where it is installed like that; nothing that comes in may become an error in the log."""

    def furnish(slack: SlackStandIn, live: LiveStandIn) -> None:
        slack.workspace.enterprise_id, slack.workspace.org_install = at.enterprise, at.org
        world.sample(slack, live)

    shutil.copy(database, tmp_path / "flowbot.db")
    async with (
        world.build(tmp_path, clock=clock, furnish=furnish, socket=door == "socket") as built,
        running(built) as opened,
    ):
        yield opened


@pytest.fixture(autouse=True)
def _no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with structlog.testing.capture_logs() as lines:
        yield
    assert [line for line in lines if line["log_level"] in ("error", "critical") or line.get("exc_info")] == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def user(at: Installed, id: str) -> Json:
    """Return a person as interactions name them; in an organisation their team may be the organisation."""
    team = samples.ELSEWHERE if id == "U0OTHER" else at.enterprise if at.org and at.enterprise else at.team
    return {"id": id, "username": "primary-owner", "name": "primary-owner", "team_id": team}


def button(action_id: str, value: str = "click_me_123") -> Json:
    """Return a pressed button."""
    text = {"type": "plain_text", "text": "Button", "emoji": True}
    about = {"action_id": action_id, "block_id": "b", "type": "button", "action_ts": "1596530385.194939"}
    return {**about, "text": text, "value": value}


async def sent(stage: Stage, payload: Json, by: str) -> tuple[Ack, int, list[str]]:
    """Deliver an interaction; return its answer, the number of records that it made and what its person then read."""
    recorded, heard = stage.recorded(), len(stage.heard(by))
    ack = await stage.delivers_payload(payload)
    await stage.quiet()
    return ack, stage.recorded() - recorded, stage.heard(by)[heard:]


PEOPLE: Final = ("U0ALICE", *OUTSIDERS)


@pytest.mark.http_door
@pytest.mark.parametrize("by", PEOPLE)
async def test_what_the_app_has_no_use_for_is_said_to_be_that(stage: Stage, at: Installed, by: str) -> None:
    person = user(at, by)
    untaken = (
        samples.closed(at, person),
        samples.suggestion(at, person),
        samples.global_shortcut(at, person),
        samples.message_shortcut(at, person),
        samples.dialog(at, person, "dialog_suggestion"),
    )
    for payload in untaken:
        ack, recorded, heard = await sent(stage, payload, by)
        assert (ack.status, ack.body, recorded, heard) == (404, "flowbot does not handle this", 0, []), payload["type"]


@pytest.mark.parametrize("by", PEOPLE)
async def test_interactions_of_an_earlier_or_later_version_are_acknowledged(
    stage: Stage, at: Installed, by: str
) -> None:
    person = user(at, by)
    taken = (
        samples.attachment_button(at, person),
        samples.dialog(at, person, "dialog_submission"),
        samples.dialog(at, person, "dialog_cancellation"),
        samples.click_in_message(at, person, button("of_a_later_version")),
        samples.click_in_message(at, person, button("of_a_later_version"), ephemeral=True),
        samples.click_in_view(at, person, button("of_a_later_version"), kind="modal"),
        samples.click_in_view(at, person, button("of_a_later_version"), kind="home"),
        samples.submission(at, person, callback_id="of_a_later_version", metadata="x", values={}),
    )
    for payload in taken:
        ack, recorded, heard = await sent(stage, payload, by)
        assert (ack.status, ack.body, recorded, heard) == (200, "", 0, []), payload["type"]


@pytest.mark.parametrize("by", OUTSIDERS)
async def test_promise_7_outsiders_get_the_bare_refusal_whatever_they_send(
    stage: Stage, at: Installed, by: str
) -> None:
    ack = await stage.delivers(samples.command(at, "U0ALICE", "stop main-feed because of the samples"))
    await stage.quiet()
    (card,) = stage.cards()
    assert ack.status == 200
    person, approve = user(at, by), button("approve", request_of(card))
    reason = {"reason": {"reason_text": {"type": "plain_text_input", "value": "let me in"}}}
    given = (
        samples.click_in_message(at, person, approve, ts=card.ts),
        samples.click_in_message(at, person, approve, ephemeral=True),
        samples.click_in_view(at, person, approve, kind="modal"),
        samples.click_in_view(at, person, approve, kind="home"),
        samples.submission(at, person, callback_id="deny_reason", metadata=request_of(card), values=reason),
    )
    for number, payload in enumerate(given):
        ack, recorded, heard = await sent(stage, payload | {"trigger_id": f"1.{number}"}, by)
        assert (ack.status, ack.body, recorded, heard) == (200, "", 1, [BARE]), number

    assert (await stage.delivers(samples.command(at, by, "stop backup-feed", trigger_id="1.again"))).status == 200
    now = f"{stage.world.clock.now():.6f}"
    elsewhere = samples.ELSEWHERE if by == "U0OTHER" else None
    changes = {"user_team": elsewhere, "source_team": elsewhere, "user_profile": {}} if elsewhere else {}
    words = f"<@{stage.slack.workspace.bot_user_id}> stop backup-feed"
    inner = samples.mention(person, words, ts=now, **changes)
    assert (await stage.delivers_event(samples.event(at, inner, source=elsewhere))).status == 200
    await stage.quiet()
    assert stage.heard(by) == [BARE] * 7
    assert stage.now(card).buttons == card.buttons
    assert stage.cards() == [stage.now(card)]
    assert stage.stops() == 0


async def test_a_full_member_stops_a_flow_by_samples_alone(stage: Stage, at: Installed) -> None:
    assert (await stage.delivers(samples.command(at, "U0ALICE", "stop main-feed"))).status == 200
    await stage.quiet()
    (card,) = stage.cards()
    click = samples.click_in_message(at, user(at, "U0DAVE"), button("approve", request_of(card)), ts=card.ts)
    ack, recorded, _ = await sent(stage, click, "U0DAVE")

    assert (ack.status, ack.body, recorded) == (200, "", 1)
    await stage.thread_says(card, "STANDBY")
    assert stage.stops() == 1


EDITED: Final[Json] = {"edited": {"user": "U0ALICE", "ts": "1596530390.000000"}}
OF_A_BOT: Final[Json] = {"bot_id": "B0DEPLOY", "bot_profile": {"id": "B0DEPLOY", "app_id": "A0DEPLOY"}}


@pytest.mark.parametrize("source", [None, "T0HOST"], ids=["own channel", "channel of another organisation"])
@pytest.mark.parametrize(
    ("changes", "cards"),
    [
        pytest.param({}, 1, id="new"),
        pytest.param(EDITED, 1, id="edited"),
        pytest.param({"subtype": "thread_broadcast", "thread_ts": "1596530000.000100"}, 1, id="broadcast"),
        pytest.param({"thread_ts": "1596530000.000100"}, 1, id="in a thread"),
        pytest.param(OF_A_BOT, 0, id="of a bot"),
        pytest.param({"subtype": "bot_message", "user": None, **OF_A_BOT}, 0, id="of a bot without a user"),
        pytest.param({"text": ""}, 0, id="without text"),
    ],
)
async def test_a_mention_opens_a_request_if_a_person_wrote_it(
    stage: Stage, at: Installed, changes: dict[str, Any], cards: int, source: str | None
) -> None:
    bot = stage.slack.workspace.bot_user_id
    root = stage.slack.workspace.post(samples.CHANNEL, "U0BOB", "main-feed is on fire")
    changes = changes | ({"thread_ts": root.ts} if "thread_ts" in changes else {})
    ts = f"{stage.world.clock.now():.6f}"
    inner = samples.mention(user(at, "U0ALICE"), f"<@{bot}> stop main-feed", ts=ts) | changes
    for _ in range(2):  # Slack sends events again
        ack = await stage.delivers_event(samples.event(at, inner, source=source))
        await stage.quiet()
        assert (ack.status, ack.body) == (200, "")

    assert stage.recorded() == cards
    assert len(stage.slack.workspace.with_button(samples.CHANNEL, "approve")) == cards


@pytest.mark.parametrize("authorized", [True, False])
async def test_events_that_nobody_handles_are_acknowledged_so_that_slack_does_not_repeat_them(
    stage: Stage, at: Installed, authorized: bool
) -> None:
    words = f"<@{stage.slack.workspace.bot_user_id}> stop main-feed"
    edited, automatic = samples.message_changed(user(at, "U0ALICE"), words), samples.message_of_a_bot(words)
    for inner in (*samples.OF_THE_APP.values(), edited, automatic):
        ack = await stage.delivers_event(samples.event(at, inner, authorized=authorized))
        assert (ack.status, ack.body) == (200, ""), inner["type"]
    await stage.quiet()

    assert stage.recorded() == 0
    assert stage.live.calls == ()
    assert stage.slack.workspace.called("chat.postMessage") == []


@pytest.mark.http_door
async def test_what_is_for_no_app_of_ours_is_turned_away(stage: Stage, at: Installed) -> None:
    other = Installed(team="T0ELSE", enterprise="E0ELSE", org=at.org)
    person = user(other, "U0ALICE")
    acks = [
        await stage.delivers(samples.command(other, "U0ALICE", "stop main-feed")),
        await stage.delivers_payload(samples.click_in_message(other, person, button("approve"))),
        await stage.delivers_payload(samples.submission(other, person, callback_id="x", metadata="", values={})),
        await stage.delivers_event(samples.event(other, samples.OF_THE_APP["app_uninstalled"])),
        await stage.delivers_event(samples.event(other, samples.mention(person, "<@U0FLOWBOT> stop x", ts="1.1"))),
    ]
    assert [(ack.status, ack.body) for ack in acks] == [(403, "another workspace")] * len(acks)
    ssl_check = await stage.delivers({"ssl_check": "1", "token": "verification_token"})
    assert (ssl_check.status, ssl_check.body) == (400, "malformed")
    asked = {"token": "verification_token", "challenge": "challenge-value", "type": "url_verification"}
    verified = await stage.delivers_event(asked)
    assert (verified.status, verified.body, verified.content_type) == (
        200,
        "challenge-value",
        "text/plain; charset=utf-8",
    )
    await stage.quiet()
    assert stage.recorded() == 0
